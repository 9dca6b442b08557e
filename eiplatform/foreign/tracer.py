"""Following currents through a forward pass, which runs as it is.

Every torch operation of the pass is seen after it ran (a ``TorchFunctionMode``); nothing is
replaced.  An operation with weights gives its output a :class:`Current`; operations that are
linear with constant coefficients (reshaping, adding, averaging, scaling, batch normalisation in
evaluation) carry it on; a module of neurons or an activation takes it in, which makes an
:class:`Event`.  Any other operation ends a current: the weights then stand as a population of
their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from eiplatform.foreign.current import Current, Product, Term, split
from eiplatform.foreign.flow import Flow, Source, first_of
from eiplatform.foreign.inside import Inside, placed
from eiplatform.foreign.neurons import Neuron
from eiplatform.foreign.operations import (
    ACTIVATIONS,
    ADDING,
    IGNORED,
    JOINING,
    PASSING,
    SCALING,
    name_of,
    tensors_in,
    understand,
)
from eiplatform.foreign.rnn import RNN_OPERATIONS, unroll

__all__ = ["Event", "Source", "Tracer"]


class Event(NamedTuple):
    """A current has arrived.

    Attributes
    ----------
    population : str
    drive : Tensor
        All that arrives.
    current : Current or None
        Its parts; None where it was not followed so far.
    state : dict of str to Tensor or None
        ``voltage``, ``spikes``, ``activity``.
    neuron : Neuron or None
        Of a module of neurons.
    reason : str
        Why the parts are not known.
    complete : bool
        Whether `drive` is all that arrives.
    """

    population: str
    drive: Tensor
    current: Current | None
    state: dict[str, Tensor | None]
    neuron: Neuron | None
    reason: str = ""
    complete: bool = True


class Tracer(TorchFunctionMode):
    """Follows the currents of one forward pass.

    Parameters
    ----------
    module : nn.Module
    neurons : mapping of str to Neuron
        Modules of neurons, by name.
    rule : str
        Sign rule, see :mod:`eiplatform.foreign.current`.
    emit : callable
        Receives every :class:`Event`, in order.
    needed : frozenset of str, optional
        Weights whose parts are computed; default: all.
    constants : bool
        Whether biases and shifts are followed.
    """

    def __init__(
        self,
        module: nn.Module,
        neurons: Mapping[str, Neuron],
        rule: str,
        emit: Callable[[Event], None],
        needed: frozenset[str] | None = None,
        constants: bool = False,
    ) -> None:
        super().__init__()
        self.module = module
        self.neurons = neurons
        self.rule = rule
        self.emit = emit
        self.flow = Flow(module, rule, needed, constants)
        self.recurrent: set[str] = set()
        self.calls: dict[str, int] = {}
        self.unfollowed: dict[str, str] = {}
        self.seen: set[int] = set()
        self._stack: list[tuple[str, nn.Module]] = []
        self._inside: list[Inside] = []
        self._paused = False

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow the operations in the block."""
        with ExitStack() as stack:
            for name, part in self.module.named_modules():
                before = part.register_forward_pre_hook(self._entering(name), with_kwargs=True)
                after = part.register_forward_hook(self._leaving(name), with_kwargs=True, always_call=True)
                stack.callback(before.remove)
                stack.callback(after.remove)
            stack.enter_context(self)
            yield

    def shown(self, x: Tensor) -> Tensor:
        """Say that `x` is the module's input."""
        self.flow.sources[x] = Source(frozenset({"input"}), True)
        return x

    def finish(self, output: Any) -> None:
        """Tell of the currents that leave the module."""
        for tensor in tensors_in(output):
            self._end(tensor)

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation as it is, and follow what it did."""
        kwargs = kwargs or {}
        if self._paused:
            return function(*args, **kwargs)
        name = name_of(function)
        if name in IGNORED:
            return function(*args, **kwargs)
        following = not self._inside
        pending = self._before(name, args, kwargs) if following else None
        result = function(*args, **kwargs)
        weighted = understand(name, function, args, kwargs, self.flow.is_weight)
        if weighted is not None:
            self._weigh(weighted.x, weighted.product, weighted.weight, weighted.bias, result)
        elif name in RNN_OPERATIONS:
            self._unroll(name, args, result)
        elif following:
            self._after(name, function, args, kwargs, result, pending)
        else:
            self._inside[-1].follow(name, args, result)
            self._note_weights(name, args, kwargs)
        return result

    # -- what happens before an operation, which may change its operands

    def _before(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Event | None:
        if name in PASSING or name in ADDING or name in SCALING or name in JOINING or name == "batch_norm":
            # Told afterwards, if they end a current after all; what they overwrite is kept till then.
            first = args[0] if args and _overwrites(name) else None
            current = self.flow.currents.get(first) if isinstance(first, Tensor) else None
            if current is None or current.emitted or not current.terms:
                return None
            return Event(first_of(current), args[0].clone(), current, {}, None)
        if name in ACTIVATIONS:
            x = next(tensors_in(args), None)
            current = None if x is None else self.flow.currents.get(x)
            if x is None or current is None or current.emitted:
                return None
            current.emitted = True
            drive = x.clone() if kwargs.get("inplace") or _overwrites(name) else x
            return Event(first_of(current), drive, current, {}, None)
        for tensor in tensors_in((args, kwargs)):
            self._end(tensor)
        return None

    def _end(self, tensor: Tensor) -> None:
        """Tell of a current that is not followed any further."""
        current = self.flow.currents.get(tensor)
        if current is not None and not current.emitted and current.terms:
            current.emitted = True
            self.emit(Event(first_of(current), tensor, current, {}, None))

    # -- what an operation did

    def _after(
        self,
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
        pending: Event | None,
    ) -> None:
        operands = list(tensors_in((args, kwargs)))
        if name in PASSING and operands and self.flow.is_weight(operands[0]):
            for tensor in tensors_in(result):
                self.flow.views[tensor] = self.flow.views.get(operands[0], operands[0])
        if name in ACTIVATIONS and pending is not None:
            activity = next(tensors_in(result))
            self.flow.currents.pop(activity, None)
            self.emit(pending._replace(state={"activity": activity}))
            self.flow.sources[activity] = Source(frozenset({pending.population}), True)
            return
        currents = self.flow.carry(name, function, args, kwargs, result)
        source = self.flow.source_of(name, operands)
        if currents is None:
            if pending is not None and pending.current is not None:
                pending.current.emitted = True
                self.emit(pending)
            for tensor in operands:
                self._end(tensor)
            self._note_weights(name, args, kwargs)
        results = list(tensors_in(result)) if name != "__setitem__" else operands[:1]
        for index, tensor in enumerate(results):
            if name in PASSING and any(tensor is operand for operand in operands):
                continue  # e.g. contiguous() of what is contiguous
            for table in (self.flow.currents, self.flow.sources):
                table.pop(tensor, None)
            if currents is not None:
                self.flow.currents[tensor] = currents[index]
            elif source is not None:
                self.flow.sources[tensor] = source

    # -- weights

    def _weights_name(self, weight: Tensor) -> str:
        weight = self.flow.views.get(weight, weight)
        prefix, part = self._stack[-1] if self._stack else ("", self.module)
        for name, tensor in [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]:
            if tensor is weight:
                full = prefix if name == "weight" else f"{prefix}.{name}"
                return full.lstrip(".") or type(self.module).__name__.lower()
        owner = self.flow.owner.get(id(weight), f"{prefix}.weight" if prefix else "weight")
        return owner.removesuffix(".weight")

    def _weigh(self, x: Tensor, product: Product, weight: Tensor, bias: Tensor | None, result: Tensor) -> None:
        name = self._weights_name(weight)
        self.seen.add(id(self.flow.views.get(weight, weight)))
        inside = self._inside[-1] if self._inside else None
        ahead = inside is not None and inside.is_input(x)
        if inside is None or ahead:
            given = inside.given if inside is not None and inside.given is not None else x
            source = self.flow.source_of(name, [given])
            self._end(given)  # a linear unit between two sets of weights
            self.flow.sources_of.setdefault(name, set()).update(source.names if source is not None else ())
        else:
            self.flow.sources_of.setdefault(name, set()).add(inside.label)
            self.recurrent.add(name)
        if inside is not None:
            if any(x is earlier for earlier in inside.inputs.setdefault(name, [])):
                return  # the same product once more, e.g. to subtract it in a reset to zero
            inside.inputs[name].append(x)
        term = split(product, x, weight, self.rule, name) if self.flow.needs(name) else None
        constant = None
        if self.flow.constants:
            constant = torch.zeros_like(result) if bias is None else bias.detach().expand_as(result)
        if inside is None:
            self.flow.currents[result] = Current(
                {name: term}, constant, None if constant is None else torch.zeros_like(constant)
            )
            return
        inside.replaces_input |= ahead
        inside.terms.setdefault(name, []).append(term)
        inside.outputs.setdefault(name, []).append(result)
        inside.biases[name] = constant

    def _unroll(self, name: str, args: tuple[Any, ...], result: Any) -> None:
        prefix, part = self._stack[-1]
        neuron = self.neurons.get(prefix)
        layers = unroll(name, args, result, self.rule, prefix or type(part).__name__.lower(), self.flow.needs)
        if layers is None or neuron is None:
            self._note_weights(name, args, {})
            return
        self._end(args[0])
        source = self.flow.source_of(name, [args[0]])
        names = set(source.names) if source is not None else set()
        for layer in layers:
            self.seen.update(id(weight) for weight in layer.weights)
            ahead, back = layer.terms
            self.flow.sources_of.setdefault(ahead, set()).update(names)
            self.flow.sources_of.setdefault(back, set()).add(layer.population)
            self.recurrent.add(back)
            zeros = torch.zeros_like(layer.drive) if self.flow.constants else None
            bias = None if zeros is None else zeros + layer.bias
            self.emit(
                Event(
                    layer.population,
                    layer.drive,
                    Current(layer.terms, bias, zeros),
                    {"activity": layer.activity},
                    neuron,
                )
            )
            if layer.ends:
                names = set(layer.ends)
        for tensor in tensors_in(result):
            self.flow.sources[tensor] = Source(frozenset(names), True)

    def _note_weights(self, name: str, args: Any, kwargs: Any) -> None:
        for tensor in tensors_in((args, kwargs)):
            tensor = self.flow.views.get(tensor, tensor)
            if id(tensor) in self.flow.owner and tensor.ndim > 1:
                self.unfollowed.setdefault(self.flow.owner[id(tensor)], name)

    # -- modules

    def _entering(self, name: str) -> Callable[..., None]:
        def hook(part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self.calls[name] = self.calls.get(name, 0) + 1
            self._stack.append((name, part))
            if name in self.neurons and not self._inside:
                label = name or type(part).__name__.lower()
                self._inside.append(Inside(name, label, self.neurons[name], next(tensors_in((args, kwargs)), None)))

        return self._unseen(hook)

    def _leaving(self, name: str) -> Callable[..., None]:
        def hook(part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            self._stack.pop()
            inside = self._inside[-1] if self._inside else None
            if inside is None:
                return
            if inside.name == name:
                self._inside.pop()
                if output is not None:
                    self._fire(inside, part, output)
            elif type(part).__name__ == "RecurrentOneToOne" and output is not None:  # snnTorch: V x spikes
                weight = torch.as_tensor(part.V, dtype=output.dtype, device=output.device)
                self._weigh(args[0], torch.mul, weight, None, output)

        return self._unseen(hook)

    def _unseen(self, hook: Callable[..., None]) -> Callable[..., None]:
        def quiet(*args: Any) -> None:
            self._paused = True
            try:
                hook(*args)
            finally:
                self._paused = False

        return quiet

    def _fire(self, inside: Inside, module: nn.Module, output: Any) -> None:
        if isinstance(module, nn.RNNBase | nn.RNNCellBase):
            for tensor in tensors_in(output):
                if tensor not in self.flow.sources:  # gated: not followed, but known as a source
                    self.flow.sources[tensor] = Source(frozenset({inside.label}), True)
            return
        if inside.given is None or inside.drive is None:
            return
        neuron = inside.neuron
        name = inside.label
        for index, tensor in enumerate(tensors_in(output)):
            if tensor not in self.flow.sources or index == 0:
                self.flow.sources[tensor] = Source(frozenset({name}), index == 0, "" if index == 0 else "a state")
            self.flow.currents.pop(tensor, None)
        given, drive, reason, complete = inside.given, inside.drive, "", True
        current: Current | None = None
        if inside.replaces_input:
            drive = torch.zeros(())
            current = Current({}, *[torch.zeros(()) if self.flow.constants else None] * 2)
        else:
            current = self.flow.currents.get(given) or self.flow.identity(given)
            if current is None:
                source = self.flow.sources.get(given)
                reason = "its input is not followed back to any weights"
                if source is not None:
                    between = " + ".join(sorted(source.names))
                    reason = (
                        f"between {between} and its input stands {source.via}, which mixes excitation and inhibition"
                    )
        for key, outputs in inside.outputs.items():
            recurrent = key in self.recurrent
            place = placed(outputs, given if not inside.replaces_input else None, neuron, recurrent)
            if place is None or sum(other in self.recurrent for other in inside.outputs) > 1:
                reason = f"the recurrent part of {type(module).__name__} is more than one product with weights per step"
                current, complete = None, False
                break
            drive = drive + place
            terms = [term for term in inside.terms[key] if term is not None]
            term = None
            if len(terms) == len(outputs):
                parts = [placed([t[k] for t in terms], place, neuron, recurrent) for k in (0, 1)]
                term = Term(*parts)  # type: ignore[arg-type]
            constant = inside.biases[key]
            if constant is not None:
                constant = placed([constant] * len(outputs), place, neuron, recurrent)
            if current is not None:
                current = current.plus(
                    Current({key: term}, constant, None if constant is None else torch.zeros_like(constant))
                )
        if current is not None:
            current.emitted = True
        followed = self.flow.currents.get(given)
        if followed is not None:
            followed.emitted = True
        self.emit(Event(name, drive, current, neuron.read(module, output), neuron, reason, complete))


def _overwrites(name: str) -> bool:
    return (name.endswith("_") and not name.endswith("__")) or name in (
        "__iadd__",
        "__isub__",
        "__imul__",
        "__itruediv__",
    )
