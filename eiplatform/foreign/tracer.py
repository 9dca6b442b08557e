"""Following a whole module: its submodules, and what its modules of neurons take in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from eiplatform.errors import EIPlatformError
from eiplatform.foreign.current import Current, Term, split
from eiplatform.foreign.event import Event
from eiplatform.foreign.flow import Source, first_of
from eiplatform.foreign.follower import Follower, Plain, Whole
from eiplatform.foreign.neuron_call import NeuronCall, Product, placed
from eiplatform.foreign.neurons import Neuron
from eiplatform.foreign.operations import (
    tensors_in,
)
from eiplatform.foreign.plan import Call
from eiplatform.foreign.rnn import Layer, unroll

__all__ = ["Event", "Plain", "Source", "Tracer"]


class Tracer(Follower):  # type: ignore[no-untyped-call]
    """Follows the currents of a module and its submodules; see :class:`~eiplatform.foreign.follower.Follower`."""

    @contextmanager
    def following(self) -> Iterator[None]:
        """Follow the operations in the block."""
        with ExitStack() as stack:
            for name, part in self.module.named_modules():
                if isinstance(part, torch.jit.ScriptModule):
                    continue
                before = part.register_forward_pre_hook(self._entering(name), with_kwargs=True)
                after = part.register_forward_hook(self._leaving(name), with_kwargs=True, always_call=True)
                stack.callback(before.remove)
                stack.callback(after.remove)
            stack.enter_context(self)
            stack.enter_context(Whole(self))
            yield

    def _entering(self, name: str) -> Callable[..., None]:
        def hook(part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self.calls[name] = self.calls.get(name, 0) + 1
            self._stack.append((name, part))
            if isinstance(part, nn.MultiheadAttention):
                self._fused.append(name)
            if self._inside:
                return
            if name in self.neurons:
                label = name or type(part).__name__.lower()
                given = next(tensors_in((args, kwargs)), None)
                if given is not None and given not in self.flow.known:
                    self.flow.of(given)
                inside = NeuronCall(name, label, self.neurons[name], given)
                inside.unfollowed = self._other_inputs(given, list(tensors_in((args, kwargs)))[1:])
                if self.structure is not None:
                    self.structure.calls.append(Call("neuron", name, frozenset(), self.step))
                    self.structure.given.append((name, tuple(given.shape) if given is not None else ()))
                    for tensor in tensors_in((args, kwargs)):
                        self.structure.sink(self.flow.of(tensor).serial)
                self._inside.append(inside)
                self._outer, self.flow.currents = self.flow.currents, inside.currents
                self.flow.inside = True
                if isinstance(part, nn.RNN | nn.RNNCell):
                    self._fused.append(name)

        return self._unseen(hook)

    def _leaving(self, name: str) -> Callable[..., None]:
        def hook(part: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            self._stack.pop()
            inside = self._inside[-1] if self._inside else None
            if isinstance(part, nn.MultiheadAttention):
                self._fused.pop()
                for key, parameter in part.named_parameters():
                    if parameter.ndim > 1:
                        self.unfollowed.setdefault(f"{name}.{key}".lstrip("."), "multi_head_attention_forward")
                for tensor in tensors_in((args, kwargs)):
                    self._consumed(tensor, "product", name, ())
                if inside is not None:
                    inside.unfollowed = f"{name} is attention, which is not followed"
            if inside is None:
                return
            if inside.name == name:
                self._inside.pop()
                self.flow.currents = self._outer
                self.flow.inside = False
                if self._fused:
                    self._fused.pop()
                    if output is not None and isinstance(part, nn.RNN | nn.RNNCell):
                        self._unroll(part, args, kwargs, output, inside)
                elif output is not None:
                    self._fire(inside, part, output)
            elif type(part).__name__ == "RecurrentOneToOne" and output is not None:  # snnTorch: V x spikes
                weight = torch.as_tensor(part.V, dtype=output.dtype, device=output.device)
                self._one_to_one(f"{name}.V", inside, args[0], weight, output)

        return self._unseen(hook)

    def _one_to_one(self, name: str, inside: NeuronCall, x: Tensor, weight: Tensor, output: Tensor) -> None:
        name = name.removesuffix(".V")
        number = self._numbers[name] = self._numbers.get(name, -1) + 1
        self.flow.saw(name, number, frozenset({inside.label}))
        self.recurrent.add(name)
        self.seen.update(self.flow.of(weight).weights)
        term = split(torch.mul, x, weight, self.rule, name) if self.flow.needs(name) else None
        constant = torch.zeros_like(output) if self.flow.constants else None
        again = tuple(values.expand_as(output) for values in (x.abs() * weight.abs(), x * weight))
        product = Product(number, "back", x, output, term, constant, (again[0], again[1]))
        zeros = None if constant is None else torch.zeros_like(constant)
        trails: dict[str, Any] | None = {name: ()} if self.flow.trails else None
        call = inside.add(name, product)
        self.flow.currents[output] = Current({name: term}, {name: call}, constant, zeros, trails=trails)

    def _unseen(self, hook: Callable[..., None]) -> Callable[..., None]:
        def quiet(*args: Any) -> None:
            with self._pause():
                hook(*args)

        return quiet

    def _other_inputs(self, given: Tensor | None, others: list[Tensor]) -> str:
        """Return why the first tensor that a module of neurons takes is not all that arrives; empty if it is."""
        found = [one for one in others if one is not given and one in self.flow.currents]
        if not found:
            return ""
        names = " and ".join(sorted({first_of(self.flow.currents[one]) for one in found}))
        return f"the current of {names} is not its first argument, which alone is taken for its input"

    def _fire(self, inside: NeuronCall, module: nn.Module, output: Any) -> None:
        name, neuron = inside.label, inside.neuron
        for index, tensor in enumerate(tensors_in(output)):
            self.flow.sources[tensor] = Source(frozenset({name}), index == 0, "" if index == 0 else "a state")
            self.flow.currents.pop(tensor, None)
        given, drive = inside.given, inside.drive
        if given is None or drive is None:
            raise EIPlatformError(
                "a module of neurons was called without a tensor", where=name, valid="a current as its first argument"
            )
        steps = given.shape[neuron.time_axis] if neuron.time_axis is not None and not neuron.flat else 1
        if neuron.time_axis is not None and neuron.flat:
            steps = max((len(found) for found in inside.products.values()), default=1)
        reason = neuron.opaque or inside.refused(steps)
        self._consumed(given, "neuron" if inside.takes_input and not reason else "product", inside.name, ())
        complete = not reason
        current: Current | None = None
        if not reason:
            if inside.takes_input:
                current, reason = self._arriving(given)
            else:
                drive = torch.zeros(())
                nothing = torch.zeros(()) if self.flow.constants else None
                current = Current({}, {}, nothing, nothing)
                current.trails = {} if self.flow.trails else None
        fits = next(tensors_in(output), None)
        for key, found in inside.products.items():
            if not complete:
                break
            recurrent = found[0].kind == "back"
            like = given if inside.takes_input else fits
            place = placed([one.result for one in found], like, neuron, recurrent)
            if place is None:
                reason = f"what {key} contributes has another shape than its neurons (gates are not followed)"
                current, complete = None, False
                break
            drive = drive + place
            current = self._with(current, key, found, place, neuron, recurrent)
        self.emit(Event(name, drive, current, neuron.read(module, output), neuron, reason, complete))

    def _with(
        self, current: Current | None, key: str, found: list[Product], place: Tensor, neuron: Neuron, recurrent: bool
    ) -> Current | None:
        """Add what weights inside a module of neurons contribute to what arrives there."""
        if current is None:
            return None

        def put(values: list[Tensor]) -> Tensor:
            whole = placed(values, place, neuron, recurrent)
            assert whole is not None
            return whole

        terms = [one.term for one in found if one.term is not None]
        term = (
            Term(put([one.exc for one in terms]), put([one.inh for one in terms])) if len(terms) == len(found) else None
        )
        biases = [one.bias for one in found if one.bias is not None]
        bias = put(biases) if len(biases) == len(found) else None
        trails: dict[str, Any] | None = None
        if self.flow.trails and all(one.again is not None for one in found):
            both = [one.again for one in found if one.again is not None]
            trails = {key: (("is", tuple(put([one[k] for one in both]) for k in (0, 1))),)}
        elif self.flow.trails:
            trails = {key: (("calls", ([(one.trail or (), one.call) for one in found], put)),)}
        zeros = None if bias is None else torch.zeros_like(bias)
        return current.plus(Current({key: term}, {key: found[0].call}, bias, zeros, trails=trails))

    def _arriving(self, given: Tensor) -> tuple[Current | None, str]:
        """Return the current that reaches a module of neurons, or why it is not known."""
        current = self.flow.currents.get(given) or self.flow.identity(given)
        if current is not None:
            return current, ""
        source = self.flow.sources.get(given)
        if source is None:
            return None, "its input is not followed back to any weights"
        between = " + ".join(sorted(source.names))
        via = source.via or "an operation"
        return None, f"between {between} and its input stands {via}, which mixes excitation and inhibition"

    def _unroll(self, part: nn.RNN | nn.RNNCell, args: Any, kwargs: Any, output: Any, inside: NeuronCall) -> None:
        layers: list[Layer] | None = unroll(part, args, kwargs, output, self.rule, inside.label, self.flow.needs)
        if layers is None or inside.given is None:
            for name, parameter in part.named_parameters():
                if parameter.ndim > 1:
                    full = f"{inside.name}.{name}" if inside.name else name
                    self.unfollowed.setdefault(full, type(part).__name__)
            return
        self._consumed(inside.given, "product", inside.name, ())
        source = self.flow.source_of("rnn", [inside.given]) or Source(frozenset(), True)
        names = set(source.names)
        for layer in layers:
            self.seen.update(f"{inside.name}.{name}" if inside.name else name for name in layer.weights)
            ahead, back = layer.terms
            number = self._numbers[ahead] = self._numbers.get(ahead, -1) + 1
            self.flow.saw(ahead, number, frozenset(names))
            self.flow.saw(back, number, frozenset({layer.population}))
            self.recurrent.add(back)
            zeros = torch.zeros_like(layer.drive) if self.flow.constants else None
            bias = None if zeros is None else zeros + layer.bias
            calls = dict.fromkeys(layer.terms, number)
            known = {key: term for key, term in layer.terms.items() if term is not None}  # checked by unroll
            trails = {key: (("is", (one.exc + one.inh, one.exc - one.inh)),) for key, one in known.items()}
            current = Current(layer.terms, calls, bias, zeros, trails=trails)
            state: dict[str, Tensor | None] = {"activity": layer.activity}
            self.emit(Event(layer.population, layer.drive, current, state, inside.neuron))
            if layer.ends:
                names = set(layer.ends)
        for tensor in tensors_in(output):
            self.flow.sources[tensor] = Source(frozenset(names), True)
