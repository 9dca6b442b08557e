"""Which tensors carry currents, which are a population's output, and how operations pass both on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import md5
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from eiplatform.errors import EIPlatformError
from eiplatform.foreign.current import Current, Term
from eiplatform.foreign.joins import calls_of, joined, listed
from eiplatform.foreign.operations import (
    ADDING,
    AVERAGING,
    INDEXED,
    JOINING,
    NORMALISING,
    PASSING,
    POOLING,
    SAME,
    SCALING,
    tensors_in,
)

__all__ = ["AS_IT_IS", "Flow", "Known", "Source", "first_of", "longer"]

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


class Known(NamedTuple):
    """What a tensor is made of.

    Attributes
    ----------
    varies : bool
        Whether the module's input, a state or a random number is in it.
    weights : frozenset of str
        Parameters and buffers that it is made of.
    serial : int
    """

    varies: bool
    weights: frozenset[str]
    serial: int


class Flow:
    """What is known of the tensors of one forward pass.

    Parameters
    ----------
    rule : str
        Sign rule.
    needed : frozenset of str or None
        Weights whose parts are computed; None: all.
    constants : bool
        Whether biases and shifts are followed.
    states : frozenset of str
        Buffers that a forward pass changes.

    Attributes
    ----------
    currents, sources, known
        By tensor (its identity, weakly): what it consists of, whose output it is, what made it.
    sources_of : dict of str to set of str
        What every set of weights saw.
    sources_at : dict of (str, int) to frozenset of str
        What a set of weights saw in a call.
    trails : bool
        Whether currents keep what was done to them.
    inside : bool
        Whether a module of neurons is running.
    added_up : set of str
        Weights whose calls are added up or listed.
    """

    def __init__(self, rule: str, needed: frozenset[str] | None, constants: bool, states: frozenset[str]) -> None:
        self.rule = rule
        self.needed = needed
        self.constants = constants
        self.states = states
        self.trails = False
        self.inside = False
        self.added_up: set[str] = set()
        self.currents: Any = WeakIdKeyDictionary()
        self.sources: Any = WeakIdKeyDictionary()
        self.known: Any = WeakIdKeyDictionary()
        self.sources_of: dict[str, set[str]] = {}
        self.sources_at: dict[tuple[str, int], frozenset[str]] = {}
        self.parameters: frozenset[str] = frozenset()
        self._owner: dict[int, tuple[Tensor, str]] = {}
        self._alike: dict[int, Any] = {}
        self._serial = 0

    def begin(self, module: nn.Module) -> None:
        """Look at the parameters and buffers of a module at rest."""
        self._owner = {}
        tensors = [*module.named_parameters(), *module.named_buffers()]
        self.parameters = frozenset(name for name, _ in module.named_parameters())
        for name, tensor in tensors:
            self._owner.setdefault(tensor.untyped_storage()._cdata, (tensor, name))
        for name, tensor in tensors:
            if tensor not in self.known:
                self._remember(tensor, Known(name in self.states, frozenset({name}), self._next()))

    # -- what tensors are made of

    def of(self, tensor: Tensor) -> Known:
        """Return what a tensor is made of; one that comes from elsewhere is a constant without weights."""
        found: Known | None = self.known.get(tensor)
        if found is None:
            _, name = self._owner.get(tensor.untyped_storage()._cdata, (None, ""))
            found = Known(name in self.states, frozenset({name} if name else ()), self._next())
            self._remember(tensor, found)
        return found

    def is_weight(self, tensor: Tensor) -> bool:
        """Whether a tensor is made of parameters and buffers alone."""
        found = self.of(tensor)
        return bool(found.weights) and not found.varies

    def is_constant(self, tensor: Tensor) -> bool:
        """Whether no input, state or random number is in a tensor."""
        return not self.of(tensor).varies

    def made(
        self,
        results: Iterable[Tensor],
        operands: list[Tensor],
        random: bool,
        *,
        varies: bool = False,
        serial: int | None = None,
    ) -> int:
        """Note what results are made of; return their serial number."""
        found = [self.of(tensor) for tensor in operands]
        serial = self._next() if serial is None else serial
        known = Known(
            varies or random or any(one.varies for one in found),
            frozenset().union(*(one.weights for one in found)),
            serial,
        )
        for tensor in results:
            self._remember(tensor, known)
        return serial

    def changed(self, tensor: Tensor, operands: list[Tensor], random: bool) -> tuple[int, list[Tensor]]:
        """Note that a tensor was written into; return its serial and the others that share its memory."""
        found = [self.of(one) for one in [tensor, *operands]]
        known = Known(
            random or any(one.varies for one in found),
            frozenset().union(*(one.weights for one in found)),
            self._next(),
        )
        self._remember(tensor, known)
        others = [other for other in self._sharing(tensor) if other is not tensor]
        for other in others:
            self.known[other] = known
        return known.serial, others

    def _sharing(self, tensor: Tensor) -> list[Tensor]:
        key = tensor.untyped_storage()._cdata
        return [one for one in self._alike.get(key, {}) if one.untyped_storage()._cdata == key]

    def _remember(self, tensor: Tensor, known: Known) -> None:
        self.known[tensor] = known
        key = tensor.untyped_storage()._cdata
        self._alike.setdefault(key, WeakIdKeyDictionary())[tensor] = True

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    # -- what operations do to currents

    def carry(
        self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> list[Current] | None:
        """Return the currents of the results, None if they have none that is known."""
        found: list[Current] | None = None
        if name in PASSING:
            current = self.currents.get(args[0]) if args and isinstance(args[0], Tensor) else None
            first = next(tensors_in(result), None)
            if current is None or first is None or not first.is_floating_point():
                return None
            if name == "constant_pad_nd" and any(args[2:]):
                return None
            if current.many and name in AVERAGING:
                return None  # steps are added up
            if name == "_to_copy":
                found = _several(current, lambda part: part.to(first.dtype), result)
            else:
                found = _several(current, lambda part: function(part, *args[1:], **kwargs), result)
        elif name in JOINING:
            found = self._join(function, args, kwargs)
        elif name in ADDING and len(args) >= 2:
            alpha = kwargs.get("alpha", args[2] if len(args) > 2 else 1)
            found = self._add(args[:2], float(alpha), ADDING[name], result)
        elif name in SCALING and not kwargs:
            found = self._scale(args, SCALING[name], result)
        elif name in NORMALISING:
            found = self._normalise(name, args, result)
        if found is not None:
            for index, current in enumerate(found):
                if name in SAME:
                    current.drive = self.currents[args[0]].drive
                else:
                    current.sign = longer(self._told(args), name, args, index)
        return found

    def _told(self, args: Any) -> list[str]:
        return [self.currents[tensor].sign for tensor in tensors_in(args) if tensor in self.currents]

    def _join(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> list[Current] | None:
        tensors = list(args[0]) if args else []
        known = [self.currents[tensor] for tensor in tensors if tensor in self.currents]
        if not known or len(known) < len(tensors):
            return None

        def place(parts: list[Tensor]) -> Tensor:
            placed: Tensor = function(parts, *args[1:], **kwargs)
            return placed

        calls = calls_of(known)
        if calls is not None:
            return [joined(known, tensors, place, calls, self.trails)]
        self.added_up.update(known[0].calls)
        steps = listed(known, place)
        return None if steps is None else [steps]

    def _add(self, args: tuple[Any, ...], alpha: float, sign: int, result: Any) -> list[Current] | None:
        if not any(isinstance(value, Tensor) and value in self.currents for value in args):
            return None
        left, right = (self._as_current(value, result) for value in args)
        if left is None or right is None:
            return None
        if sign == 0:
            left, right, sign = right, left, -1
        added = _shaped(left, result).plus(_shaped(right, result).scaled(sign * alpha))
        if added is None:
            self.added_up |= left.terms.keys() & right.terms.keys()
        return None if added is None else [added]

    def _scale(self, args: tuple[Any, ...], power: int, result: Any) -> list[Current] | None:
        if len(args) == 1:  # neg
            current = self.currents.get(args[0])
            return None if current is None else [current.scaled(-1.0)]
        currents = [self.currents.get(value) if isinstance(value, Tensor) else None for value in args[:2]]
        at = 0 if currents[0] is not None else 1
        current, factor = currents[at], args[1 - at]
        if current is None or currents[1 - at] is not None or (power < 0 and at == 1):
            return None
        if isinstance(factor, Tensor) and not self.is_constant(factor):
            return None
        if isinstance(factor, Tensor) and result.numel() > args[at].numel():
            return None  # neurons times neurons: a product written out
        return [_shaped(current, result).scaled(1 / factor if power < 0 else factor)]

    def _normalise(self, name: str, args: tuple[Any, ...], result: Any) -> list[Current] | None:
        x, weight, bias, mean, variance = args[:5]
        rest = list(args[5:])
        training = False if name.endswith(("no_training", "no_update")) else bool(rest[0])
        eps = float(rest[-1])
        current = self.currents.get(x)
        if current is None or training or mean is None or variance is None:
            return None
        if not all(self.is_constant(t) for t in (weight, bias, mean, variance) if t is not None):
            return None
        scale = (variance.double() + eps).rsqrt()
        scale = scale if weight is None else scale * weight.double()
        shift = -scale * mean.double() if bias is None else bias.double() - scale * mean.double()
        place = (-1, *[1] * (x.ndim - 2))
        return [current.scaled(scale.to(x.dtype).view(place)).offset(shift=shift.to(x.dtype).view(place))]

    def _as_current(self, value: Any, like: Tensor) -> Current | None:
        if isinstance(value, Tensor) and value in self.currents:
            current: Current = self.currents[value]
            return current
        if self.inside and not (isinstance(value, Tensor) and self.is_weight(value)):
            return None  # a state, or what it begins with
        if not isinstance(value, Tensor) or self.is_constant(value):
            zeros = torch.zeros_like(like) if self.constants else None
            trails: dict[str, Any] | None = {} if self.trails else None
            return Current({}, {}, None if zeros is None else zeros + value, zeros, trails=trails)
        return self.identity(value)

    def identity(self, x: Tensor) -> Current | None:
        """Return spikes or rates that arrive as they are, as through weights of 1."""
        source = self.sources.get(x)
        if source is None or not source.direct or not x.is_floating_point():
            return None
        name = " + ".join(sorted(source.names)) + AS_IT_IS
        self.saw(name, self.of(x).serial, source.names)
        zeros = torch.zeros_like(x) if self.constants else None
        needed = self.needs(name)
        term = Term(x.clamp(min=0), (-x).clamp(min=0)) if needed else None
        if needed and self.rule == "weight" and bool((x < 0).any()):
            raise EIPlatformError(
                f"an input of {float(x.min()):.3g} reaches neurons as it is", where=name, remedy="signs='contribution'"
            )
        trails = {name: (("is", (x.abs(), x.clone())),)} if self.trails else None
        return Current({name: term}, {name: self.of(x).serial}, zeros, zeros, f"={name}", trails=trails)

    def saw(self, name: str, call: int, sources: frozenset[str]) -> None:
        """Note what a set of weights saw in a call."""
        self.sources_of.setdefault(name, set()).update(sources)
        if self.constants:
            self.sources_at[name, call] = sources

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

    def needs(self, name: str) -> bool:
        """Whether the parts of a set of weights are computed."""
        return self.needed is None or name in self.needed


def longer(before: list[str], name: str, args: Any, index: int) -> str:
    """Return the sign of what an operation made of currents with the signs `before`."""
    told = [
        str(value)
        for value in (args[1:] if name in PASSING and name not in INDEXED else ())
        if isinstance(value, int | float | str | bool)
    ]
    at = index if name not in INDEXED else 0
    name = "view" if name in ("_unsafe_view", "reshape", "_reshape_alias") else name
    return md5("|".join([*sorted(set(before)), name, *told, str(at)]).encode(), usedforsecurity=False).hexdigest()


def first_of(current: Current) -> str:
    """Return the weights by which a current is called: the first that entered it."""
    weights = (name for name in current.terms if not name.endswith(AS_IT_IS))
    return next(weights, next(iter(current.terms), "constant"))


def _shaped(current: Current, result: Tensor) -> Current:
    """Return the parts broadcast to the shape of the result."""
    shape = result.shape
    return current.map(lambda part: part.expand(shape))


def _several(current: Current, function: Callable[[Tensor], Any], result: Any) -> list[Current]:
    """Return one current per tensor that an operation returned."""
    count = len(list(tensors_in(result)))
    if count == 1:
        return [current.map(lambda part: next(tensors_in(function(part))))]
    return [current.map(lambda part, k=k: list(tensors_in(function(part)))[k]) for k in range(count)]  # type: ignore[misc]
