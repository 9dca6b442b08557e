"""A current as the sum of what each set of weights contributes, with excitation and inhibition apart.

Sign rules
----------
``contribution`` (the default)
    A synapse excites while ``w x > 0`` and inhibits while ``w x < 0``: the sign is that of the
    current it passes at this moment.  For inputs ``x >= 0`` (spikes, rates, intensities) that
    is the sign of the weight.  For inputs of either sign (normalised images, tanh units) an
    excitatory weight inhibits while its input is negative, and both parts stay magnitudes:

        exc = W+ x+ + W- x-        inh = W+ x- + W- x+

    with ``x+ = max(x, 0)``, ``x- = max(-x, 0)`` and likewise for the weights.
``weight``
    Dale's reading: the sign of the weight decides.  It has a meaning for inputs ``x >= 0``
    only, so a negative input is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from eiplatform.errors import EIPlatformError

__all__ = ["SIGN_RULES", "Calls", "Current", "Term", "Trail", "retrace", "split", "total"]

SIGN_RULES = ("contribution", "weight")

Trail = tuple[tuple[str, Any], ...]
"""Steps from a product to where it arrives: ``is`` (magnitude, value), ``sum``, ``calls`` or ``step``."""
Calls = int | tuple[int, ...]

Product = Callable[[Tensor, Tensor], Tensor]
"""What is linear in an input and in weights: (input, weight) -> current."""


class Term(NamedTuple):
    """What one set of weights contributes; both magnitudes, ``exc - inh`` is its current."""

    exc: Tensor
    inh: Tensor

    def map(self, function: Callable[[Tensor], Tensor]) -> Term:
        """Apply what is linear with non-negative coefficients."""
        return Term(function(self.exc), function(self.inh))

    def scaled(self, factor: Tensor | float) -> Term:
        """Multiply by constants of either sign; a negative one turns excitation into inhibition."""
        if isinstance(factor, Tensor):
            up, down = factor.clamp(min=0), (-factor).clamp(min=0)
            return Term(self.exc * up + self.inh * down, self.exc * down + self.inh * up)
        if factor >= 0:
            return Term(self.exc * factor, self.inh * factor)
        return Term(self.inh * -factor, self.exc * -factor)

    def __add__(self, other: object) -> Term:
        assert isinstance(other, Term)
        return Term(self.exc + other.exc, self.inh + other.inh)


def split(product: Product, x: Tensor, weight: Tensor, rule: str, name: str) -> Term:
    """Split a current into excitation and inhibition.

    Parameters
    ----------
    product : callable
        (input, weight) -> current, linear in both.
    x, weight : Tensor
    rule : {"contribution", "weight"}
    name : str
        Of the weights, for the message.

    Returns
    -------
    Term
        Non-negative, and ``exc - inh`` is ``product(x, weight)`` up to rounding.

    Raises
    ------
    EIPlatformError
        With the rule ``weight``, if an input is negative.

    Examples
    --------
    >>> import torch
    >>> x, weight = torch.tensor([1.0, -1.0]), torch.tensor([[3.0, 2.0]])
    >>> term = split(torch.nn.functional.linear, x, weight, "contribution", "fc")
    >>> term.exc.item(), term.inh.item()
    (3.0, 2.0)
    """
    positive, negative = weight.clamp(min=0), (-weight).clamp(min=0)
    if not bool((x < 0).any()):
        return Term(_magnitude(product(x, positive)), _magnitude(product(x, negative)))
    if rule == "weight":
        raise EIPlatformError(
            f"an input of {float(x.min()):.3g} reaches weights whose sign decides what excites",
            where=name,
            valid="inputs >= 0",
            remedy="signs='contribution' takes the sign of weight x input",
        )
    up, down = x.clamp(min=0), (-x).clamp(min=0)
    exc = product(up, positive) + product(down, negative)
    return Term(_magnitude(exc), _magnitude(product(up, negative) + product(down, positive)))


def _magnitude(values: Tensor) -> Tensor:
    # Fast convolutions (Winograd) sum magnitudes to -1e-8 where they should give 0.
    return values.clamp(min=0)


class Current:
    """The parts of one tensor: ``sum of exc - sum of inh + bias + shift`` is the tensor.

    Attributes
    ----------
    terms : dict of str to Term or None
        By the name of the weights; None where the parts were not asked for.
    calls : dict of str to int or tuple of int
        Which call of the weights each term is: what one set of weights contributes in different
        calls is never added up in a current.  Several calls: they lie side by side, as steps.
    bias, shift : Tensor or None
        Constants from biases and from batch normalisation, of the tensor's shape; None where
        they were not asked for.
    sign : str
        By what operations it was made, alike in every iteration of a loop.
    was_scaled : bool
        Whether it was multiplied by something.
    trails : dict of str to tuple
        What was done to each term since its product; kept where it is checked.
    drive : Tensor or None
        The tensor as it was recorded.
    """

    __slots__ = ("bias", "calls", "drive", "shift", "sign", "terms", "trails", "was_scaled")

    def __init__(
        self,
        terms: Mapping[str, Term | None],
        calls: Mapping[str, Calls],
        bias: Tensor | None,
        shift: Tensor | None,
        sign: str = "",
        was_scaled: bool = False,
        trails: Mapping[str, Trail] | None = None,
    ) -> None:
        self.terms = dict(terms)
        self.calls = dict(calls)
        self.bias = bias
        self.shift = shift
        self.sign = sign
        self.was_scaled = was_scaled
        self.trails = trails
        self.drive: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> Current:
        """Apply what is linear with non-negative coefficients to every part."""
        return Current(
            {name: term and term.map(function) for name, term in self.terms.items()},
            self.calls,
            None if self.bias is None else function(self.bias),
            None if self.shift is None else function(self.shift),
            self.sign,
            self.was_scaled,
            self._longer(function),
        )

    def scaled(self, factor: Tensor | float) -> Current:
        """Multiply by constants."""
        return Current(
            {name: term and term.scaled(factor) for name, term in self.terms.items()},
            self.calls,
            None if self.bias is None else self.bias * factor,
            None if self.shift is None else self.shift * factor,
            self.sign,
            self.was_scaled or isinstance(factor, Tensor) or factor != 1,
            self._longer(factor),
        )

    @property
    def many(self) -> bool:
        """Whether several calls of the same weights lie side by side."""
        return any(isinstance(call, tuple) for call in self.calls.values())

    def plus(self, other: Current) -> Current | None:
        """Add; None if that would add up what the same weights contribute twice: that is a state."""
        if not self.terms.keys().isdisjoint(other.terms):
            return None
        trails = None
        if self.trails is not None and other.trails is not None:
            trails = {**self.trails, **other.trails}
        return Current(
            {**self.terms, **other.terms},
            self.calls | other.calls,
            _sum(self.bias, other.bias),
            _sum(self.shift, other.shift),
            self.sign,
            self.was_scaled or other.was_scaled,
            trails,
        )

    def offset(self, bias: Tensor | float | None = None, shift: Tensor | None = None) -> Current:
        """Add constants, where they are followed."""
        return Current(
            self.terms,
            self.calls,
            self.bias if self.bias is None or bias is None else self.bias + bias,
            self.shift if self.shift is None or shift is None else self.shift + shift,
            self.sign,
            self.was_scaled,
            self.trails,
        )

    def _longer(self, step: Callable[[Tensor], Tensor] | Tensor | float) -> dict[str, Trail] | None:
        if self.trails is None:
            return None
        return {name: (*trail, ("step", step)) for name, trail in self.trails.items()}


def retrace(trail: Trail, of_call: Callable[[int], Tensor], call: Calls, magnitudes: bool) -> Tensor:
    """Return what a trail makes of the products of one set of weights.

    Parameters
    ----------
    trail : tuple of (str, object)
        Of a current.
    of_call : callable
        Returns the product of a call.
    call : int or tuple of int
        The call that the trail begins with.
    magnitudes : bool
        Whether the products are sums of magnitudes, which no factor turns negative.
    """
    values: Tensor | None = None
    for kind, step in trail:
        if kind == "is":
            values = step[0] if magnitudes else step[1]
        elif kind == "sum":
            first, second = (retrace(branch, of_call, call, magnitudes) for branch in step)
            values = first + second
        elif kind == "calls":
            branches, place = step
            values = place([retrace(branch, of_call, one, magnitudes) for branch, one in branches])
        else:
            values = of_call(_one(call)) if values is None else values
            if callable(step):
                values = step(values)
            else:
                values = values * (abs(step) if magnitudes else step)
    return of_call(_one(call)) if values is None else values


def _one(call: Calls) -> int:
    assert isinstance(call, int)
    return call


def _sum(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return None if first is None or second is None else first + second


def total(terms: Mapping[str, Term | None]) -> Term | None:
    """Return the sum of all terms, None if any was not asked for."""
    found = [term for term in terms.values() if term is not None]
    if not found or len(found) < len(terms):
        return None
    whole = found[0]
    for term in found[1:]:
        whole = whole + term
    return whole
