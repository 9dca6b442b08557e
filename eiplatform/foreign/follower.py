"""Following currents through a forward pass, which runs as it is.

Every operation of the pass is seen where the dispatcher runs it (a ``TorchDispatchMode``), so
that all ways of writing it look alike; nothing is replaced.  A product with weights gives its
output a :class:`Current`; operations that are linear with constant coefficients carry it on.
Where it ends was found before, see :mod:`eiplatform.foreign.plan`: there, and where it reaches a
module of neurons, an :class:`Event` is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from eiplatform.foreign.current import Current, split
from eiplatform.foreign.flow import Source, first_of
from eiplatform.foreign.ledger import Ledger
from eiplatform.foreign.neuron_call import Product
from eiplatform.foreign.operations import (
    ACTIVATIONS,
    IGNORED,
    NORMALISING,
    name_of,
    tensors_in,
    written,
)
from eiplatform.foreign.plan import Call, Classes
from eiplatform.foreign.products import PRODUCTS, Weighted, understand

__all__ = ["Follower", "Plain", "Whole"]


class Follower(Ledger):  # type: ignore[no-untyped-call]
    """Follows the currents of one forward pass, or of one per step; see :class:`~eiplatform.foreign.ledger.Ledger`."""

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
        weight_first = first
        if weight_first:
            x, weight = weight, x
        if function is functional.linear and weight_first:
            return function(*args, **kwargs)
        self._muted = True
        try:
            result = function(*args, **kwargs)
        finally:
            self._muted = False

        def product(x: Tensor, w: Tensor) -> Tensor:
            made: Tensor = function(w, x) if weight_first else function(x, w)
            return made

        with self._pause():
            weighted = Weighted(x, weight, bias, product)
            self._weigh("linear", weighted, result, self.flow.of(result).serial, False)
        return result

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

    def _index_source(self, weighted: Weighted) -> Source | None:
        return self.flow.source_of("index", [weighted.looked_up]) if weighted.looked_up is not None else None


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
