"""Following currents through a forward pass, which runs as it is.

Every operation of the pass is seen where the dispatcher runs it (a ``TorchDispatchMode``), so
that all ways of writing it look alike; nothing is replaced.  A product with weights gives its
output a :class:`Current`; operations that are linear with constant coefficients carry it on.
Where it ends was found before, see :mod:`eiplatform.foreign.plan`: there, and where it reaches a
module of neurons, an :class:`Event` is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from eiplatform.errors import SumRuleError
from eiplatform.foreign.current import Current, split
from eiplatform.foreign.event import Event
from eiplatform.foreign.flow import Flow, Source, first_of
from eiplatform.foreign.inside import Inside, Product
from eiplatform.foreign.neurons import Neuron
from eiplatform.foreign.operations import (
    ACTIVATIONS,
    AVERAGING,
    ELEMENTWISE,
    IGNORED,
    NORMALISING,
    name_of,
    tensors_in,
    written,
)
from eiplatform.foreign.plan import Call, Classes, Structure
from eiplatform.foreign.products import PRODUCTS, Weighted, understand

__all__ = ["Follower", "Plain", "Whole"]


class Follower(TorchDispatchMode):  # type: ignore[no-untyped-call]
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
        super().__init__()  # type: ignore[no-untyped-call]
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
        return self.flow.source_of("index", [weighted.looked_up]) if weighted.looked_up is not None else None

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

    @contextmanager
    def _pause(self) -> Iterator[None]:
        was, self.paused = self.paused, True
        try:
            yield
        finally:
            self.paused = was


class Plain(TorchFunctionMode):
    """Lets torch take the same ways as while it is followed: no path fused for evaluation."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return function(*args, **(kwargs or {}))


class Whole(TorchFunctionMode):
    """Sees matrix products before they are taken apart, which depends on the layout in memory."""

    def __init__(self, follower: Follower) -> None:
        super().__init__()
        self._follower = follower

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if function in _PRODUCTS:
            return self._follower.whole(function, args, kwargs or {})
        return function(*args, **(kwargs or {}))


_PRODUCTS = frozenset({functional.linear, torch.matmul, Tensor.matmul, Tensor.__matmul__})


def _plain(name: str) -> str:
    """Return the name of weights: of their module, where it has one set."""
    name = name.partition(".parametrizations")[0] if ".parametrizations" in name else name
    name = name.removesuffix("_g").removesuffix("_v") if name.endswith(("weight_g", "weight_v")) else name
    return name.removesuffix(".weight")


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version
