"""An independent look at what a run recorded.

Beside the tracer, and without following any current, the operands of every product with weights
are kept as the dispatcher got them.  From these, what weights contribute in the first and in the
last step is computed again from weights and inputs alone, without splitting either by sign,

    exc + inh = |w| |x|,  exc - inh = w x

and both parts are compared with what is recorded, for every sample.  A current that holds more
than one call of its weights, or another input than theirs, or is given to another step, or has
excitation and inhibition exchanged, fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from eiplatform.errors import SumRuleError
from eiplatform.foreign.current import Current, Term, retrace
from eiplatform.foreign.operations import name_of, tensors_in, written
from eiplatform.foreign.products import PRODUCTS, Weighted, understand

__all__ = ["Witness", "confirm"]

TOLERANCE = 1e-4
"""Largest difference, relative to all that is added and subtracted."""

_KEPT = 4
_SMALL = 1 << 18


class Witness(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the last products with each set of weights.

    Parameters
    ----------
    module : nn.Module
    muted : callable
        Whether what runs is not the module's own.
    states : frozenset of str
        Buffers that a forward pass changes.
    wanted : frozenset of str
        Parameters and buffers whose products are kept.
    all_of : frozenset of str
        Those all of whose products are kept, not only the last.
    """

    def __init__(
        self,
        module: nn.Module,
        muted: Callable[[], bool],
        *,
        states: frozenset[str],
        wanted: frozenset[str],
        all_of: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.muted = muted
        self.wanted = wanted
        self.all_of = all_of
        self._module = module
        self._states = states
        self._own: dict[int, tuple[Tensor, frozenset[str] | None]] = {}
        self._fixed: Any = WeakIdKeyDictionary()
        self._counts: dict[frozenset[str], int] = {}
        self._kept: dict[frozenset[str], dict[int, Weighted]] = {}

    def begin(self) -> None:
        """Look at the module at rest."""
        self._own = {}
        for name, tensor in [*self._module.named_parameters(), *self._module.named_buffers()]:
            of = None if name in self._states else frozenset({name})
            self._own.setdefault(tensor.untyped_storage()._cdata, (tensor, of))

    def shown(self, x: Tensor) -> None:
        """Say that `x` is the module's input."""
        self._fixed[x] = None

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation, and keep it if it is a product with weights."""
        kwargs = kwargs or {}
        if self.muted():
            return function(*args, **kwargs)
        if torch.is_inference_mode_enabled():
            with self:
                result = function.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        name, _ = name_of(function)
        found = None
        if name in PRODUCTS:
            found = understand(name, args, kwargs, lambda tensor: bool(self._of(tensor)))
            if found is not None:
                self._keep(found)
        result = function(*args, **kwargs)
        operands = [self._of(tensor) for tensor in tensors_in((args, kwargs))]
        random = torch.Tag.nondeterministic_seeded in function.tags
        fixed: frozenset[str] | None = frozenset().union(*(of for of in operands if of is not None))
        if random or found is not None or None in operands:
            fixed = None
        for tensor in [*tensors_in(result), *written(function, args, kwargs)]:
            self._fixed[tensor] = fixed
        return result

    def _of(self, tensor: Tensor) -> frozenset[str] | None:
        """Return the parameters that a tensor is made of, None if of anything else."""
        if tensor in self._fixed:
            known: frozenset[str] | None = self._fixed[tensor]
            return known
        return self._own.get(tensor.untyped_storage()._cdata, (None, frozenset()))[1]

    def _keep(self, found: Weighted) -> None:
        key = self._of(found.weight) or frozenset()
        number = self._counts[key] = self._counts.get(key, -1) + 1
        if key.isdisjoint(self.wanted):
            return
        kept = self._kept.setdefault(key, {})
        kept[number] = found._replace(x=found.x.clone())
        if key.isdisjoint(self.all_of) and len(kept) > _KEPT:
            del kept[min(kept)]

    def check(self, current: Current, where: str, weights: Mapping[str, frozenset[str]]) -> None:
        """Raise unless the parts of a current are what its weights contribute in one call.

        Parameters
        ----------
        current : Current
        where : str
            Population, for the message.
        weights : mapping of str to frozenset of str
            Parameters by the names of the terms.
        """
        for name, term in current.terms.items():
            if term is None or current.trails is None or name not in current.trails:
                raise SumRuleError(f"what {name} contributes cannot be checked", where=where, remedy="report it")

            whole, net = (
                retrace(current.trails[name], partial(again, name, weights, where), current.calls[name], magnitudes)
                for again, magnitudes in ((self._whole, True), (self._net, False))
            )
            _compare(term, whole, net, f"{where}, weights {name}")

    def _whole(self, name: str, weights: Mapping[str, frozenset[str]], where: str, call: int) -> Tensor:
        found = self._found(name, weights, where, call)
        return _magnitude(found.product, found.x, found.weight) * abs(found.factor)

    def _net(self, name: str, weights: Mapping[str, frozenset[str]], where: str, call: int) -> Tensor:
        found = self._found(name, weights, where, call)
        return _value(found.product, found.x, found.weight) * found.factor

    def _found(self, name: str, weights: Mapping[str, frozenset[str]], where: str, call: int) -> Weighted:
        found = self._kept.get(weights.get(name, frozenset()), {}).get(call)
        if found is None:
            raise SumRuleError(
                f"what {name} contributes in call {call + 1} cannot be checked: no such product was seen",
                where=where,
                remedy="record other populations of this module, or report it",
            )
        return found


def confirm(term: Term, product: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor, where: str) -> None:
    """Raise unless a term is what weights contribute for an input."""
    _compare(term, _magnitude(product, x, weight), _value(product, x, weight), where)


def _magnitude(product: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor) -> Tensor:
    return _value(product, x.abs(), weight.abs())


def _value(product: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor) -> Tensor:
    if x.numel() + weight.numel() < _SMALL and x.device.type == "cpu":
        x, weight = x.double(), weight.double()
    return product(x, weight)


def _compare(term: Term, whole: Tensor, net: Tensor, where: str) -> None:
    finite = all(bool(values.isfinite().all()) for values in (*term, whole, net))
    if not finite:
        return  # the sum rule names numbers that are not finite
    scale = whole + 1e-3 * whole.max() if whole.numel() else whole
    for found, expected in zip(term, ((whole + net) / 2, (whole - net) / 2), strict=True):
        if found.shape != expected.shape:
            worst = f"shape {tuple(found.shape)}"
            break
        if bool(((found - expected).abs() > TOLERANCE * scale).any()):
            worst = f"{float(((found - expected).abs() / scale).max()):.2g} of their sum"
            break
    else:
        return
    raise SumRuleError(
        f"excitation and inhibition are not what the weights contribute in one call, computed again (off by {worst})",
        where=where,
        remedy="this network cannot be recorded correctly; record its other populations, and report it",
    )
