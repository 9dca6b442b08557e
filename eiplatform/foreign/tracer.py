"""Following currents through a forward pass, which runs as it is.

Every operation of the pass is seen where the dispatcher runs it (a ``TorchDispatchMode``), so
that all ways of writing it look alike; nothing is replaced.  A product with weights gives its
output a :class:`Current`; operations that are linear with constant coefficients carry it on.
Where it ends was found before, see :mod:`eiplatform.foreign.plan`: there, and where it reaches a
module of neurons, an :class:`Event` is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from eiplatform.errors import EIPlatformError, SumRuleError
from eiplatform.foreign.current import Current, Term, split
from eiplatform.foreign.flow import Flow, Source, first_of
from eiplatform.foreign.inside import Inside, Product, placed
from eiplatform.foreign.neurons import Neuron
from eiplatform.foreign.operations import ACTIVATIONS, AVERAGING, ELEMENTWISE, IGNORED, NORMALISING, name_of, tensors_in, written
from eiplatform.foreign.plan import Call, Classes, Structure
from eiplatform.foreign.products import PRODUCTS, Weighted, understand
from eiplatform.foreign.rnn import Layer, unroll

__all__ = ["Event", "Plain", "Source", "Tracer"]


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


class Tracer(TorchDispatchMode):
    """Follows the currents of one forward pass, or of one per step.

    Parameters
    ----------
    module : nn.Module
    neurons : mapping of str to Neuron
        Modules of neurons, by name.
    rule : str
        Sign rule, see :mod:`eiplatform.foreign.current`.
    emit : callable
        Receives every :class:`Event`, in order.
    labels : mapping of str to str
        Populations by the sign of their currents.
    uses : mapping of str to Classes
        Which use of its weights a call is.
    states : frozenset of str
        Buffers that a forward pass changes.
    needed : frozenset of str, optional
        Weights whose parts are computed; default: all.
    constants : bool
        Whether biases and shifts are followed.
    structure : Structure, optional
        Where to note what happens.
    """

    def __init__(
        self,
        module: nn.Module,
        neurons: Mapping[str, Neuron],
        rule: str,
        emit: Callable[[Event], None],
        *,
        labels: Mapping[str, str] | None = None,
        uses: Mapping[str, Classes] | None = None,
        states: frozenset[str] = frozenset(),
        needed: frozenset[str] | None = None,
        constants: bool = False,
        structure: Structure | None = None,
    ) -> None:
        super().__init__()
        self.module = module
        self.neurons = neurons
        self.rule = rule
        self.emit = emit
        self.labels = labels or {}
        self.uses = uses or {}
        self.structure = structure
        self.flow = Flow(rule, needed, constants, states)
        if structure is not None:
            self.flow.added_up = structure.added_up
        self.recurrent: set[str] = set()
        self.calls: dict[str, int] = {}
        self.unfollowed: dict[str, str] = {}
        self.seen: set[str] = set()
        self.weights_of: dict[str, frozenset[str]] = {}
        self.states: set[str] = set()
        self.step = 0
        self.paused = False
        self._numbers: dict[Any, int] = {}
        self._in_step: dict[str, int] = {}
        self._stack: list[tuple[str, nn.Module]] = []
        self._inside: list[Inside] = []
        self._fused: list[str] = []
        self._muted = False
        self._buffers: dict[str, tuple[Tensor, int]] = {}
        self._outer: Any = self.flow.currents

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
            stack.enter_context(_Whole(self))
            yield

    def begin(self) -> None:
        """Look at the module at rest."""
        with self._pause():
            self.flow.begin(self.module)
            self._buffers = {name: (tensor, _version(tensor)) for name, tensor in self.module.named_buffers()}

    def shown(self, x: Tensor, step: int) -> Tensor:
        """Say that `x` is the module's input at a step."""
        with self._pause():
            self.step = step
            self._in_step = {}
            x = x.clone()
            self.flow.sources[x] = Source(frozenset({"input"}), True)
            self.flow.made([x], [], False, varies=True)
        return x

    def finish(self, output: Any) -> None:
        """Note what leaves the module."""
        with self._pause():
            for tensor in tensors_in(output):
                if self.structure is not None:
                    self.structure.sink(self.flow.of(tensor).serial)
                self._consumed(tensor, "output", "", ())

    def end(self) -> None:
        """Note which buffers were changed."""
        now = dict(self.module.named_buffers())
        for name, (tensor, version) in self._buffers.items():
            if now.get(name) is not tensor or _version(tensor) != version:
                self.states.add(name)
        self.states.update(name for name in now if name not in self._buffers)

    # -- operations

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation as it is, and follow what it did."""
        kwargs = kwargs or {}
        if self.paused:
            return function(*args, **kwargs)
        if torch.is_inference_mode_enabled():  # there, composite operations arrive whole
            with self:
                result = function.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        name, writes = name_of(function)
        changed = written(function, args, kwargs)
        operands = list(tensors_in((args, kwargs)))
        if self._fused or self._muted:
            result = function(*args, **kwargs)
            self._note(name, operands, result, changed, function)
            return result
        plain = getattr(torch.ops.aten, name) if writes else function
        ahead: list[Current] | None = None
        drive = None
        if writes and name not in IGNORED and name not in PRODUCTS:
            ahead = self.flow.carry(name, plain, args, kwargs, args[0])
            if name in ACTIVATIONS and args[0] in self.flow.currents:
                drive = args[0].clone()
        source = self.flow.source_of(name, operands)
        before = {id(one): self.flow.currents[one] for one in operands if one in self.flow.currents}
        result = function(*args, **kwargs)
        if name in IGNORED:
            random = torch.Tag.nondeterministic_seeded in function.tags
            self.flow.made(tensors_in(result), [], random)
            if random and self.structure is not None:
                self.structure.random = True
            return result
        weighted = understand(name, args, kwargs, self.flow.is_weight) if name in PRODUCTS else None
        results, serial = self._note(name, operands, result, changed, function)
        if weighted is not None:
            self._weigh(name, weighted, result, serial, writes)
            return result
        carried = ahead if writes else self.flow.carry(name, plain, args, kwargs, result)
        if name in NORMALISING:
            results = results[:1]  # not the statistics
        self._after(name, operands, before, results, carried, source, serial, drive, writes)
        return result

    def whole(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run a layer or a matrix product as one operation, whatever it is made of for this shape."""
        given = dict(zip(("input", "weight", "bias"), args, strict=False)) | dict(kwargs)
        x, weight, bias = (given.get(name) for name in ("input", "weight", "bias"))
        known = not self.paused and not self._fused and not self._muted
        if not known or not isinstance(x, Tensor) or not isinstance(weight, Tensor) or "out" in kwargs:
            return function(*args, **kwargs)
        with self._pause():
            first, second = self.flow.is_weight(x), self.flow.is_weight(weight)
        if first == second:
            return function(*args, **kwargs)
        turned = first
        if turned:
            x, weight = weight, x
        if function is functional.linear and turned:
            return function(*args, **kwargs)
        self._muted = True
        try:
            result = function(*args, **kwargs)
        finally:
            self._muted = False

        def product(x: Tensor, w: Tensor) -> Tensor:
            made: Tensor = function(w, x) if turned else function(x, w)
            return made

        with self._pause():
            weighted = Weighted(x, weight, bias, product)
            self._weigh("linear", weighted, result, self.flow.of(result).serial, False)
        return result

    def _note(
        self, name: str, operands: list[Tensor], result: Any, changed: list[Tensor], function: Any
    ) -> tuple[list[Tensor], int]:
        """Note what results are made of, and what an operation has changed."""
        random = torch.Tag.nondeterministic_seeded in function.tags
        if random and self.structure is not None:
            self.structure.random = True
        of = tuple(self.flow.of(one).serial for one in operands) if self.structure is not None else ()
        if changed:
            others_too: list[Tensor] = []
            for tensor in changed:
                serial, others = self.flow.changed(tensor, operands, random)
                others_too += others
                if self.structure is not None:
                    self.structure.edge(serial, of)
            for other in others_too:
                if all(other is not tensor for tensor in changed):
                    self._consumed(other, "other", name, (serial,))
                    self.flow.currents.pop(other, None)
                    self.flow.sources.pop(other, None)
            fresh = [one for one in tensors_in(result) if all(one is not tensor for tensor in changed)]
            if fresh:
                self.flow.made(fresh, operands, random)
            results = list(tensors_in(result)) or changed
        else:
            results = [one for one in tensors_in(result) if all(one is not operand for operand in operands)]
            serial = self.flow.made(results, operands, random)
            if self.structure is not None:
                self.structure.edge(serial, of)
        if self._inside:
            self._inside[-1].computed(operands, results)
        return results, serial

    def _after(
        self,
        name: str,
        operands: list[Tensor],
        before: dict[int, Current],
        results: list[Tensor],
        carried: list[Current] | None,
        source: Source | None,
        serial: int,
        drive: Tensor | None,
        writes: bool,
    ) -> None:
        inside = self._inside[-1] if self._inside else None
        activation = name in ACTIVATIONS and bool(operands) and id(operands[0]) in before
        if carried is None:
            held = {id(tensor): tensor for tensor in operands if id(tensor) in before}
            for key, one in before.items():
                if inside is not None:
                    inside.ends(held[key], one, name)
                elif self.structure is not None:
                    kind = "activation" if activation else "other"
                    self.structure.consumed(one.sign, kind, name, (serial,))
            self._note_weights(name, operands, results)
        elif inside is not None and len(before) > 1:
            parts = [(tensor, before[id(tensor)]) for tensor in operands if id(tensor) in before]
            for one in carried:
                inside.meets(one, parts)
        elif inside is not None and before and name in AVERAGING:
            inside.sums(next(iter(before.values())), name)
        if activation and carried is None and inside is None:
            current = before[id(operands[0])]
            self._activate(current, operands[0] if drive is None else drive, results[0])
            source = Source(frozenset({first_of(current)}), True)
        for index, tensor in enumerate(results):
            self.flow.currents.pop(tensor, None)
            self.flow.sources.pop(tensor, None)
            if carried is not None:
                self._carry(tensor, carried[index], serial, [one.sign for one in before.values()])
            elif source is not None:
                self.flow.sources[tensor] = source

    def _carry(self, tensor: Tensor, current: Current, serial: int, parents: list[str]) -> None:
        """Give a tensor a current, and tell of it if it ends there."""
        self.flow.currents[tensor] = current
        if self._inside:
            return
        if self.structure is not None:
            self.structure.node(current.sign, tuple(tensor.shape), first_of(current), serial, parents, current.many)
        label = self.labels.get(current.sign)
        if label is not None and current.drive is None:
            current.drive = tensor.clone()
            self.emit(Event(label, current.drive, current, {}, None))

    def _activate(self, current: Current, x: Tensor, activity: Tensor) -> None:
        label = self.labels.get(current.sign)
        if label is None:
            return
        if current.drive is not None and not torch.equal(torch.nan_to_num(x), torch.nan_to_num(current.drive)):
            raise SumRuleError(
                "its current was changed outside torch before it arrived",
                where=label,
                remedy="change tensors by torch's operations only",
            )
        self.emit(Event(label, x, None, {"activity": activity}, None))

    def _consumed(self, tensor: Tensor, kind: str, name: str, serials: tuple[int, ...]) -> None:
        current = self.flow.currents.get(tensor)
        if current is not None and self.structure is not None and not self._inside:
            self.structure.consumed(current.sign, kind, name, serials)

    # -- weights

    def _weights_name(self, weight: Tensor) -> str:
        found = self.flow.of(weight).weights
        own = sorted(found & self.flow.parameters) or sorted(found)
        prefix, part = self._stack[-1] if self._stack else ("", self.module)
        if not isinstance(part, torch.jit.ScriptModule):
            for name, tensor in [*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)]:
                if tensor.untyped_storage()._cdata == weight.untyped_storage()._cdata:
                    own = [f"{prefix}.{name}" if prefix else name]
                    break
        plain = list(dict.fromkeys(_plain(name) for name in own))
        name = " * ".join(plain)
        return type(self.module).__name__.lower() if name == "weight" else name

    def _weigh(self, operation: str, weighted: Weighted, result: Tensor, serial: int, writes: bool) -> None:
        name = self._weights_name(weighted.weight)
        self.seen.update(self.flow.of(weighted.weight).weights)
        self.weights_of[name] = self.flow.of(weighted.weight).weights
        inside = self._inside[-1] if self._inside else None
        x = weighted.x
        self.flow.made([result], [weighted.weight], False, varies=True, serial=serial)
        source = self.flow.source_of(name, [one for one in (x,) if one.ndim]) or self._index_source(weighted)
        self._consumed(x, "product", name, ())
        key = self.flow.of(weighted.weight).weights
        number = self._numbers[key] = self._numbers.get(key, -1) + 1
        in_step = self._in_step[name] = self._in_step.get(name, -1) + 1
        names = source.names if source is not None else frozenset()
        kind = inside.kind_of(x, len(inside.products.get(name, ()))) if inside is not None else ""
        if kind == "ahead" and inside is not None and inside.given is not None:
            names = self._names_of(inside.given)
        if kind == "back" and inside is not None:
            names = frozenset({inside.label})
            self.recurrent.add(name)
        self.flow.saw(name, number, names)
        if self.structure is not None:
            self.structure.sink(self.flow.of(x).serial)
        product, factor = weighted.product, weighted.factor
        term = split(product, x, weighted.weight, self.rule, name) if self.flow.needs(name) else None
        term = term.scaled(factor) if term is not None and factor != 1 else term
        added = weighted.added
        apart = added is not None and (added in self.flow.currents or self.flow.of(added).varies or writes)
        root = product(x, weighted.weight) * factor if apart else result
        constant = None
        if self.flow.constants:
            constant = torch.zeros_like(root)
            if added is not None and not apart:
                constant = constant + added.detach() * weighted.added_factor
        if inside is not None:
            if kind == "mixed" and x in inside.currents:
                inside.ends(x, inside.currents[x], "product")
            call = inside.add(name, Product(number, kind, x, root, term, constant))
            zeros = None if constant is None else torch.zeros_like(constant)
            trails = {name: (("step", lambda part: part.reshape(root.shape)),)} if self.flow.trails else None
            current = Current({name: term}, {name: call}, constant, zeros, trails=trails)
        else:
            use = self.uses.get(name, Classes()).of(in_step, names)
            zeros = None if constant is None else torch.zeros_like(constant)
            trails = {name: (("step", lambda part: part.reshape(root.shape)),)} if self.flow.trails else None
            current = Current({name: term}, {name: number}, constant, zeros, f"{name}#{use}", trails=trails)
            if self.structure is not None:
                self.structure.calls.append(Call("product", name, names, self.step, self.flow.of(x).serial, serial))
        self.flow.sources.pop(result, None)
        self.flow.currents.pop(result, None)
        self._carry(root, current, serial, [])
        if not apart:
            return
        assert added is not None
        carried = None
        if not writes and weighted.added_factor == 1:
            carried = self.flow.carry("add", torch.add, (added, root), {}, result)
        self._after("add", [added, root], self._held([added, root]), [result], carried, None, serial, None, False)

    def _names_of(self, given: Tensor) -> frozenset[str]:
        """Return where the input of a module of neurons comes from."""
        current = self._outer.get(given)
        source = self.flow.sources.get(given)
        names = source.names if source is not None else frozenset()
        return names | {first_of(current)} if current is not None and current.terms else names

    def _held(self, tensors: list[Tensor]) -> dict[int, Current]:
        return {id(one): self.flow.currents[one] for one in tensors if one in self.flow.currents}

    def _index_source(self, weighted: Weighted) -> Source | None:
        return self.flow.source_of("index", [weighted.index]) if weighted.index is not None else None

    def _note_weights(self, name: str, operands: list[Tensor], results: list[Tensor]) -> None:
        """Note that parameters are used in what is not followed."""
        known = [(one, self.flow.of(one)) for one in operands]
        varying = [one.numel() for one, found in known if found.varies]
        if not varying:
            return
        used = [found.weights for one, found in known if found.weights and not found.varies and one.ndim > 1]
        if used and self._inside and (name not in ELEMENTWISE or results[0].numel() > max(varying)):
            weights = ", ".join(sorted(frozenset().union(*used)))
            self._inside[-1].unfollowed = f"{weights} is used in {name}, which is not followed"
        for weights in frozenset().union(*used) & self.flow.parameters:
            self.unfollowed.setdefault(weights, name)

    # -- modules

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
                inside = Inside(name, label, self.neurons[name], given)
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
                    if output is not None:
                        self._unroll(part, args, kwargs, output, inside)
                elif output is not None:
                    self._fire(inside, part, output)
            elif type(part).__name__ == "RecurrentOneToOne" and output is not None:  # snnTorch: V x spikes
                weight = torch.as_tensor(part.V, dtype=output.dtype, device=output.device)
                self._one_to_one(f"{name}.V", inside, args[0], weight, output)

        return self._unseen(hook)

    def _one_to_one(self, name: str, inside: Inside, x: Tensor, weight: Tensor, output: Tensor) -> None:
        name = name.removesuffix(".V")
        number = self._numbers[name] = self._numbers.get(name, -1) + 1
        self.flow.saw(name, number, frozenset({inside.label}))
        self.recurrent.add(name)
        self.seen.update(self.flow.of(weight).weights)
        term = split(torch.mul, x, weight, self.rule, name) if self.flow.needs(name) else None
        constant = torch.zeros_like(output) if self.flow.constants else None
        product = Product(number, "back", x, output, term, constant, (x.abs() * weight.abs()).expand_as(output))
        zeros = None if constant is None else torch.zeros_like(constant)
        trails: dict[str, Any] | None = {name: ()} if self.flow.trails else None
        call = inside.add(name, product)
        self.flow.currents[output] = Current({name: term}, {name: call}, constant, zeros, trails=trails)

    @contextmanager
    def _pause(self) -> Iterator[None]:
        was, self.paused = self.paused, True
        try:
            yield
        finally:
            self.paused = was

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

    def _fire(self, inside: Inside, module: nn.Module, output: Any) -> None:
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
                current = Current({}, {}, *[torch.zeros(()) if self.flow.constants else None] * 2)
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
            again = put([one.again for one in found if one.again is not None])
            trails = {key: (("is", Term(again, torch.zeros_like(again))),)}
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

    def _unroll(self, part: nn.Module, args: Any, kwargs: Any, output: Any, inside: Inside) -> None:
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
            trails = {key: (("is", term),) for key, term in layer.terms.items()}  # checked by unroll
            current = Current(layer.terms, calls, bias, zeros, trails=trails)
            state: dict[str, Tensor | None] = {"activity": layer.activity}
            self.emit(Event(layer.population, layer.drive, current, state, inside.neuron))
            if layer.ends:
                names = set(layer.ends)
        for tensor in tensors_in(output):
            self.flow.sources[tensor] = Source(frozenset(names), True)


class Plain(TorchFunctionMode):
    """Lets torch take the same ways as while it is followed: no path fused for evaluation."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return function(*args, **(kwargs or {}))


class _Whole(TorchFunctionMode):
    """Sees matrix products before they are taken apart, which depends on the layout in memory."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if function in _PRODUCTS:
            return self._tracer.whole(function, args, kwargs or {})
        return function(*args, **(kwargs or {}))


_PRODUCTS = frozenset({functional.linear, torch.matmul, Tensor.matmul, Tensor.__matmul__})


def _plain(name: str) -> str:
    """Return the name of weights: of their module, where it has one set."""
    name = name.partition(".parametrizations")[0] if ".parametrizations" in name else name
    name = name.removesuffix("_g").removesuffix("_v") if name.endswith(("weight_g", "weight_v")) else name
    return name.removesuffix(".weight")


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version
