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
from torch.utils.weak import WeakIdKeyDictionary

from eiplatform.errors import EIPlatformError
from eiplatform.foreign.current import Current, Product, Term, split
from eiplatform.foreign.neurons import Neuron
from eiplatform.foreign.operations import (
    ACTIVATIONS,
    ADDING,
    IGNORED,
    JOINING,
    PASSING,
    POOLING,
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
    """

    population: str
    drive: Tensor
    current: Current | None
    state: dict[str, Tensor | None]
    neuron: Neuron | None
    reason: str = ""


class Source(NamedTuple):
    """Where a tensor comes from.

    Attributes
    ----------
    names : frozenset of str
        Populations, or ``input``.
    direct : bool
        Whether it is their very output (reshaped, pooled), not something computed from it.
    via : str
        The operation that computed it, if not direct.
    """

    names: frozenset[str]
    direct: bool
    via: str = ""


class _Inside:
    """A module of neurons whose forward is running."""

    def __init__(self, name: str, label: str, neuron: Neuron, given: Tensor | None) -> None:
        self.name = name
        self.label = label
        self.neuron = neuron
        self.given = given
        self.drive = None if given is None else given.clone()  # the module may overwrite its input
        self.terms: dict[str, list[Term | None]] = {}
        self.outputs: dict[str, list[Tensor]] = {}
        self.biases: dict[str, Tensor | None] = {}
        self.replaces_input = False
        self._slices: Any = WeakIdKeyDictionary()
        if given is not None:
            self._slices[given] = True

    def follow(self, name: str, args: tuple[Any, ...], result: Any) -> None:
        """Remember the steps that a module takes out of its input."""
        if name in PASSING and args and self.is_input(args[0]):
            for tensor in tensors_in(result):
                self._slices[tensor] = True

    def is_input(self, value: Any) -> bool:
        """Whether a tensor is the module's input, or a part of it."""
        return isinstance(value, Tensor) and value in self._slices


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
        self.needed = needed
        self.constants = constants
        self.sources_of: dict[str, set[str]] = {}
        self.recurrent: set[str] = set()
        self.calls: dict[str, int] = {}
        self.unfollowed: dict[str, str] = {}
        self.seen: set[int] = set()
        self._currents: Any = WeakIdKeyDictionary()
        self._sources: Any = WeakIdKeyDictionary()
        self._views: Any = WeakIdKeyDictionary()
        self._owner = {
            id(tensor): (f"{prefix}.{name}" if prefix else name)
            for prefix, part in module.named_modules()
            for name, tensor in [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]
        }
        self._stack: list[tuple[str, nn.Module]] = []
        self._inside: list[_Inside] = []
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
        self._sources[x] = Source(frozenset({"input"}), True)
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
        weighted = understand(name, function, args, kwargs, self._is_weight)
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
            current = self._currents.get(first) if isinstance(first, Tensor) else None
            if current is None or current.emitted or not current.terms:
                return None
            return Event(_first(current), args[0].clone(), current, {}, None)
        if name in ACTIVATIONS:
            x = next(tensors_in(args), None)
            current = None if x is None else self._currents.get(x)
            if x is None or current is None or current.emitted:
                return None
            current.emitted = True
            drive = x.clone() if kwargs.get("inplace") or _overwrites(name) else x
            return Event(_first(current), drive, current, {}, None)
        for tensor in tensors_in((args, kwargs)):
            self._end(tensor)
        return None

    def _end(self, tensor: Tensor) -> None:
        """Tell of a current that is not followed any further."""
        current = self._currents.get(tensor)
        if current is not None and not current.emitted and current.terms:
            current.emitted = True
            self.emit(Event(_first(current), tensor, current, {}, None))

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
        if name in PASSING and operands and self._is_weight(operands[0]):
            for tensor in tensors_in(result):
                self._views[tensor] = self._views.get(operands[0], operands[0])
        if name in ACTIVATIONS and pending is not None:
            activity = next(tensors_in(result))
            self._currents.pop(activity, None)
            self.emit(pending._replace(state={"activity": activity}))
            self._sources[activity] = Source(frozenset({pending.population}), True)
            return
        currents = self._carry(name, function, args, kwargs, result)
        source = self._source(name, operands)
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
            for table in (self._currents, self._sources):
                table.pop(tensor, None)
            if currents is not None:
                self._currents[tensor] = currents[index]
            elif source is not None:
                self._sources[tensor] = source

    def _carry(
        self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> list[Current] | None:
        """Return the currents of the results, None if they have none that is known."""
        if name in PASSING:
            current = self._currents.get(args[0]) if args and isinstance(args[0], Tensor) else None
            quiet = not name.endswith("dropout") or not kwargs.get("training", True)
            if current is None or not quiet or (name == "pad" and kwargs.get("value")):
                return None
            return _several(current, lambda part: function(part, *args[1:], **kwargs), result)
        if name in JOINING:
            return self._join(function, args, kwargs)
        if name in ADDING and len(args) == 2:
            return self._add(args, float(kwargs.get("alpha", 1)), ADDING[name], result)
        if name in SCALING and not kwargs:
            return self._scale(args, SCALING[name], result)
        if name == "batch_norm":
            return self._normalise(args, kwargs, result)
        return None

    def _join(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> list[Current] | None:
        tensors = list(args[0]) if args else []
        found = [self._currents.get(tensor) for tensor in tensors]
        if not found or any(current is None for current in found):
            return None
        terms: dict[str, Term | None] = {}
        for name in dict.fromkeys(name for current in found for name in current.terms):
            parts = [
                current.terms.get(name, Term(torch.zeros_like(tensor), torch.zeros_like(tensor)))
                for current, tensor in zip(found, tensors, strict=True)
            ]
            known = [part for part in parts if part is not None]
            terms[name] = None
            if len(known) == len(parts):
                exc, inh = ([part[k] for part in known] for k in (0, 1))
                terms[name] = Term(function(exc, *args[1:], **kwargs), function(inh, *args[1:], **kwargs))
        constants = []
        for which in ("bias", "shift"):
            values = [getattr(current, which) for current in found]
            constants.append(None if any(v is None for v in values) else function(values, *args[1:], **kwargs))
        return [Current(terms, *constants)]

    def _add(self, args: tuple[Any, ...], alpha: float, sign: int, result: Any) -> list[Current] | None:
        if not any(isinstance(value, Tensor) and value in self._currents for value in args):
            return None
        left, right = (self._as_current(value, result) for value in args)
        if left is None or right is None:
            return None
        if sign == 0:
            left, right, sign = right, left, -1
        return [_shaped(left, result).plus(_shaped(right, result).scaled(sign * alpha))]

    def _scale(self, args: tuple[Any, ...], power: int, result: Any) -> list[Current] | None:
        if len(args) == 1:  # neg
            current = self._currents.get(args[0])
            return None if current is None else [current.scaled(-1.0)]
        currents = [self._currents.get(value) if isinstance(value, Tensor) else None for value in args]
        at = 0 if currents[0] is not None else 1
        current, factor = currents[at], args[1 - at]
        if current is None or currents[1 - at] is not None or (power < 0 and at == 1):
            return None
        if isinstance(factor, Tensor) and not self._is_weight(factor):
            return None
        return [_shaped(current, result).scaled(1 / factor if power < 0 else factor)]

    def _normalise(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Tensor) -> list[Current] | None:
        names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
        given = dict(zip(names, args, strict=False)) | dict(kwargs)
        current = self._currents.get(given["input"])
        mean, variance = given.get("running_mean"), given.get("running_var")
        if current is None or given.get("training", False) or mean is None or variance is None:
            return None
        weight, bias = given.get("weight"), given.get("bias")
        scale = (variance.double() + float(given.get("eps", 1e-5))).rsqrt()
        scale = scale if weight is None else scale * weight.double()
        shift = -scale * mean.double() if bias is None else bias.double() - scale * mean.double()
        place = (-1, *[1] * (result.ndim - 2))
        return [current.scaled(scale.to(result.dtype).view(place)).offset(shift=shift.to(result.dtype).view(place))]

    def _as_current(self, value: Any, like: Tensor) -> Current | None:
        if isinstance(value, Tensor) and value in self._currents:
            current: Current = self._currents[value]
            return current
        if not isinstance(value, Tensor) or self._is_weight(value):
            zeros = torch.zeros_like(like) if self.constants else None
            return Current({}, None if zeros is None else zeros + value, zeros)
        return self._identity(value)

    def _identity(self, x: Tensor) -> Current | None:
        """Return spikes or rates that arrive as they are, as through weights of 1."""
        source = self._sources.get(x)
        if source is None or not source.direct:
            return None
        name = f"{' + '.join(sorted(source.names))} (as it is)"
        self.sources_of.setdefault(name, set()).update(source.names)
        zeros = torch.zeros_like(x) if self.constants else None
        term = Term(x.clamp(min=0), (-x).clamp(min=0)) if self._needs(name) else None
        if self.rule == "weight" and bool((x < 0).any()):
            raise EIPlatformError(
                f"an input of {float(x.min()):.3g} reaches neurons as it is", where=name, remedy="signs='contribution'"
            )
        return Current({name: term}, zeros, zeros)

    def _source(self, name: str, operands: list[Tensor]) -> Source | None:
        found = [self._sources[tensor] for tensor in operands if tensor in self._sources]
        names = frozenset().union(*(source.names for source in found))
        for tensor in operands:
            if tensor in self._currents:
                current = self._currents[tensor]
                names |= {_first(current)} if current.terms else frozenset()
        if not names:
            return None
        direct = (name in PASSING or name in POOLING or name in JOINING) and len(found) == len(operands)
        direct = direct and all(source.direct for source in found)
        via = name if not direct else ""
        return Source(names, direct, next((source.via for source in found if source.via), via))

    # -- weights

    def _is_weight(self, value: Any) -> bool:
        return isinstance(value, Tensor) and (id(value) in self._owner or value in self._views)

    def _needs(self, name: str) -> bool:
        return self.needed is None or name in self.needed

    def _weights_name(self, weight: Tensor) -> str:
        weight = self._views.get(weight, weight)
        prefix, part = self._stack[-1] if self._stack else ("", self.module)
        for name, tensor in [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]:
            if tensor is weight:
                full = prefix if name == "weight" else f"{prefix}.{name}"
                return full.lstrip(".") or type(self.module).__name__.lower()
        owner = self._owner.get(id(weight), f"{prefix}.weight" if prefix else "weight")
        return owner.removesuffix(".weight")

    def _weigh(self, x: Tensor, product: Product, weight: Tensor, bias: Tensor | None, result: Tensor) -> None:
        name = self._weights_name(weight)
        self.seen.add(id(self._views.get(weight, weight)))
        inside = self._inside[-1] if self._inside else None
        ahead = inside is not None and inside.is_input(x)
        if inside is None or ahead:
            given = inside.given if inside is not None and inside.given is not None else x
            source = self._source(name, [given])
            self._end(given)  # a linear unit between two sets of weights
            self.sources_of.setdefault(name, set()).update(source.names if source is not None else ())
        else:
            self.sources_of.setdefault(name, set()).add(inside.label)
            self.recurrent.add(name)
        term = split(product, x, weight, self.rule, name) if self._needs(name) else None
        constant = None
        if self.constants:
            constant = torch.zeros_like(result) if bias is None else bias.detach().expand_as(result)
        if inside is None:
            self._currents[result] = Current(
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
        layers = unroll(name, args, result, self.rule, prefix or type(part).__name__.lower(), self._needs)
        if layers is None or neuron is None:
            self._note_weights(name, args, {})
            return
        source = self._sources.get(args[0])
        names = set(source.names) if source is not None else set()
        for layer in layers:
            self.seen.update(id(weight) for weight in layer.weights)
            ahead, back = layer.terms
            self.sources_of.setdefault(ahead, set()).update(names)
            self.sources_of.setdefault(back, set()).add(layer.population)
            self.recurrent.add(back)
            zeros = torch.zeros_like(layer.drive) if self.constants else None
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
            self._sources[tensor] = Source(frozenset(names), True)

    def _note_weights(self, name: str, args: Any, kwargs: Any) -> None:
        for tensor in tensors_in((args, kwargs)):
            tensor = self._views.get(tensor, tensor)
            if id(tensor) in self._owner and tensor.ndim > 1:
                self.unfollowed.setdefault(self._owner[id(tensor)], name)

    # -- modules

    def _entering(self, name: str) -> Callable[..., None]:
        def hook(part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self.calls[name] = self.calls.get(name, 0) + 1
            self._stack.append((name, part))
            if name in self.neurons and not self._inside:
                label = name or type(part).__name__.lower()
                self._inside.append(_Inside(name, label, self.neurons[name], next(tensors_in((args, kwargs)), None)))

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
                weight = part.V if isinstance(part.V, Tensor) else torch.tensor(float(part.V)).to(output)
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

    def _fire(self, inside: _Inside, module: nn.Module, output: Any) -> None:
        if isinstance(module, nn.RNNBase | nn.RNNCellBase) or inside.given is None:
            return
        neuron = inside.neuron
        name = inside.label
        for index, tensor in enumerate(tensors_in(output)):
            if tensor not in self._sources or index == 0:
                self._sources[tensor] = Source(frozenset({name}), index == 0, "" if index == 0 else "a state")
            self._currents.pop(tensor, None)
        given, drive, reason = inside.given, inside.drive, ""
        current: Current | None = None
        if inside.replaces_input:
            drive = torch.zeros(())
            current = Current({}, *[torch.zeros(()) if self.constants else None] * 2)
        else:
            current = self._currents.get(given) or self._identity(given)
            if current is None:
                source = self._sources.get(given)
                reason = (
                    "its input is not followed back to any weights"
                    if source is None
                    else (
                        f"between {' + '.join(sorted(source.names))} and its input stands {source.via}, which mixes excitation and inhibition"
                    )
                )
        for key, outputs in inside.outputs.items():
            recurrent = key in self.recurrent
            place = _placed(outputs, given if not inside.replaces_input else None, neuron, recurrent)
            if place is None or sum(other in self.recurrent for other in inside.outputs) > 1:
                current, reason = None, f"the recurrent part of {type(module).__name__} is more than one set of weights"
                break
            drive = drive + place
            terms = [term for term in inside.terms[key] if term is not None]
            term = None
            if len(terms) == len(outputs):
                parts = [_placed([t[k] for t in terms], place, neuron, recurrent) for k in (0, 1)]
                term = Term(*parts)  # type: ignore[arg-type]
            constant = inside.biases[key]
            if constant is not None:
                constant = _placed([constant] * len(outputs), place, neuron, recurrent)
            if current is not None:
                current = current.plus(
                    Current({key: term}, constant, None if constant is None else torch.zeros_like(constant))
                )
        if current is not None:
            current.emitted = True
        followed = self._currents.get(given)
        if followed is not None:
            followed.emitted = True
        self.emit(Event(name, drive, current, neuron.read(module, output), neuron, reason))


def _overwrites(name: str) -> bool:
    return (name.endswith("_") and not name.endswith("__")) or name in (
        "__iadd__",
        "__isub__",
        "__imul__",
        "__itruediv__",
    )


def _first(current: Current) -> str:
    return next(iter(current.terms), "constant")


def _shaped(current: Current, result: Tensor) -> Current:
    """Return the parts broadcast to the shape of the result."""
    return current.map(lambda part: part.expand_as(result))


def _several(current: Current, function: Callable[[Tensor], Any], result: Any) -> list[Current]:
    """Return one current per tensor that an operation returned."""
    count = len(list(tensors_in(result)))

    def apply(part: Tensor) -> list[Tensor]:
        return list(tensors_in(function(part)))

    terms = {key: term and (apply(term.exc), apply(term.inh)) for key, term in current.terms.items()}
    bias = None if current.bias is None else apply(current.bias)
    shift = None if current.shift is None else apply(current.shift)
    return [
        Current(
            {key: term and Term(term[0][k], term[1][k]) for key, term in terms.items()},
            bias and bias[k],
            shift and shift[k],
        )
        for k in range(count)
    ]


def _placed(values: list[Tensor], like: Tensor | None, neuron: Neuron, recurrent: bool) -> Tensor | None:
    """Return what was computed inside a module of neurons in the shape of its input, time included."""
    axis = neuron.time_axis
    if axis is None:
        if len(values) != 1:
            return None
        whole = values[0]
    elif len(values) == 1 and (like is None or values[0].shape == like.shape):
        whole = values[0]
    else:
        if recurrent and neuron.delay:
            values = [torch.zeros_like(values[0])] * neuron.delay + values[: -neuron.delay]
        whole = torch.stack(values, min(axis, 1))
    if like is None or whole.shape == like.shape or like.ndim == 0:
        return whole
    return whole.reshape(like.shape) if whole.numel() == like.numel() else None
