"""Which tensors carry currents, which are a population's output, and how operations pass both on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from eiplatform.errors import EIPlatformError
from eiplatform.foreign.current import Current, Term
from eiplatform.foreign.operations import ADDING, JOINING, PASSING, POOLING, SCALING, tensors_in

__all__ = ["AS_IT_IS", "Flow", "Source", "first_of"]

AS_IT_IS = " (as it is)"
"""Ends the name of what arrives through no weights."""


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


class Flow:
    """What is known of the tensors of one forward pass.

    Parameters
    ----------
    module : nn.Module
    rule : str
        Sign rule.
    needed : frozenset of str or None
        Weights whose parts are computed; None: all.
    constants : bool
        Whether biases and shifts are followed.

    Attributes
    ----------
    currents, sources
        By tensor (its identity, weakly): what it consists of, and whose output it is.
    views
        Parameters that a tensor is a view of.
    owner : dict of int to str
        Names of parameters and buffers by identity.
    sources_of : dict of str to set of str
        What every set of weights saw.
    """

    def __init__(self, module: nn.Module, rule: str, needed: frozenset[str] | None, constants: bool) -> None:
        self.rule = rule
        self.needed = needed
        self.constants = constants
        self.currents: Any = WeakIdKeyDictionary()
        self.sources: Any = WeakIdKeyDictionary()
        self.views: Any = WeakIdKeyDictionary()
        self.sources_of: dict[str, set[str]] = {}
        self.owner: dict[int, str] = {}
        self._fixed: set[int] = set()
        for prefix, part in module.named_modules():
            mine = list(part.named_parameters(recurse=False))
            self._fixed.update(id(tensor) for _, tensor in mine)
            for name, tensor in [*mine, *part.named_buffers(recurse=False)]:
                self.owner[id(tensor)] = f"{prefix}.{name}" if prefix else name

    def carry(
        self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> list[Current] | None:
        """Return the currents of the results, None if they have none that is known."""
        if name in PASSING:
            current = self.currents.get(args[0]) if args and isinstance(args[0], Tensor) else None
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
        found = [self.currents.get(tensor) for tensor in tensors]
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
        if not any(isinstance(value, Tensor) and value in self.currents for value in args):
            return None
        left, right = (self._as_current(value, result) for value in args)
        if left is None or right is None:
            return None
        if sign == 0:
            left, right, sign = right, left, -1
        return [_shaped(left, result).plus(_shaped(right, result).scaled(sign * alpha))]

    def _scale(self, args: tuple[Any, ...], power: int, result: Any) -> list[Current] | None:
        if len(args) == 1:  # neg
            current = self.currents.get(args[0])
            return None if current is None else [current.scaled(-1.0)]
        currents = [self.currents.get(value) if isinstance(value, Tensor) else None for value in args]
        at = 0 if currents[0] is not None else 1
        current, factor = currents[at], args[1 - at]
        if current is None or currents[1 - at] is not None or (power < 0 and at == 1):
            return None
        if isinstance(factor, Tensor) and not self.is_constant(factor):
            return None
        return [_shaped(current, result).scaled(1 / factor if power < 0 else factor)]

    def _normalise(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Tensor) -> list[Current] | None:
        names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
        given = dict(zip(names, args, strict=False)) | dict(kwargs)
        current = self.currents.get(given["input"])
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
        if isinstance(value, Tensor) and value in self.currents:
            current: Current = self.currents[value]
            return current
        if not isinstance(value, Tensor) or self.is_constant(value):
            zeros = torch.zeros_like(like) if self.constants else None
            return Current({}, None if zeros is None else zeros + value, zeros)
        return self.identity(value)

    def identity(self, x: Tensor) -> Current | None:
        """Return spikes or rates that arrive as they are, as through weights of 1."""
        source = self.sources.get(x)
        if source is None or not source.direct:
            return None
        name = " + ".join(sorted(source.names)) + AS_IT_IS
        self.sources_of.setdefault(name, set()).update(source.names)
        zeros = torch.zeros_like(x) if self.constants else None
        term = Term(x.clamp(min=0), (-x).clamp(min=0)) if self.needs(name) else None
        if self.rule == "weight" and bool((x < 0).any()):
            raise EIPlatformError(
                f"an input of {float(x.min()):.3g} reaches neurons as it is", where=name, remedy="signs='contribution'"
            )
        return Current({name: term}, zeros, zeros)

    def source_of(self, name: str, operands: list[Tensor]) -> Source | None:
        """Return where the result of an operation comes from."""
        found = [self.sources[tensor] for tensor in operands if tensor in self.sources]
        names = frozenset().union(*(source.names for source in found))
        for tensor in operands:
            if tensor in self.currents:
                current = self.currents[tensor]
                names |= {first_of(current)} if current.terms else frozenset()
        if not names:
            return None
        direct = (name in PASSING or name in POOLING or name in JOINING) and len(found) == len(operands)
        direct = direct and all(source.direct for source in found)
        via = name if not direct else ""
        return Source(names, direct, next((source.via for source in found if source.via), via))

    def is_weight(self, value: Any) -> bool:
        """Whether a tensor is a parameter or buffer of the module, or a view of one."""
        return isinstance(value, Tensor) and (id(value) in self.owner or value in self.views)

    def needs(self, name: str) -> bool:
        """Whether the parts of a set of weights are computed."""
        return self.needed is None or name in self.needed

    def is_constant(self, value: Any) -> bool:
        """Whether a tensor is a parameter; a buffer may be a state."""
        return isinstance(value, Tensor) and id(self.views.get(value, value)) in self._fixed


def first_of(current: Current) -> str:
    """Return the weights by which a current is called: the first that entered it."""
    weights = (name for name in current.terms if not name.endswith(AS_IT_IS))
    return next(weights, next(iter(current.terms), "constant"))


def _shaped(current: Current, result: Tensor) -> Current:
    """Return the parts broadcast to the shape of the result."""
    return current.map(lambda part: part.expand_as(result))


def _several(current: Current, function: Callable[[Tensor], Any], result: Any) -> list[Current]:
    """Return one current per tensor that an operation returned."""
    count = len(list(tensors_in(result)))

    def apply(part: Tensor) -> list[Tensor]:
        return list(tensors_in(function(part)))

    nothing: list[Tensor | None] = [None] * count
    terms = {key: term and (apply(term.exc), apply(term.inh)) for key, term in current.terms.items()}
    bias = nothing if current.bias is None else apply(current.bias)
    shift = nothing if current.shift is None else apply(current.shift)
    return [
        Current({key: term and Term(term[0][k], term[1][k]) for key, term in terms.items()}, bias[k], shift[k])
        for k in range(count)
    ]
