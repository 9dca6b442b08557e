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
from typing import NamedTuple

import torch
from torch import Tensor

from eiplatform.errors import EIPlatformError

__all__ = ["SIGN_RULES", "Current", "Term", "split"]

SIGN_RULES = ("contribution", "weight")

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
            f"an input of {float(x.min()):.3g} reaches weights whose sign is to say what excites",
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
    bias, shift : Tensor or None
        Constants from biases and from batch normalisation, of the tensor's shape; None where
        they were not asked for.
    """

    __slots__ = ("bias", "emitted", "shift", "terms")

    def __init__(self, terms: Mapping[str, Term | None], bias: Tensor | None, shift: Tensor | None) -> None:
        self.terms = dict(terms)
        self.bias = bias
        self.shift = shift
        self.emitted = False

    def map(self, function: Callable[[Tensor], Tensor]) -> Current:
        """Apply what is linear with non-negative coefficients to every part."""
        return Current(
            {name: term and term.map(function) for name, term in self.terms.items()},
            None if self.bias is None else function(self.bias),
            None if self.shift is None else function(self.shift),
        )

    def scaled(self, factor: Tensor | float) -> Current:
        """Multiply by constants."""
        return Current(
            {name: term and term.scaled(factor) for name, term in self.terms.items()},
            None if self.bias is None else self.bias * factor,
            None if self.shift is None else self.shift * factor,
        )

    def plus(self, other: Current) -> Current:
        """Add; weights that contribute to both are summed."""
        terms = dict(self.terms)
        for name, term in other.terms.items():
            mine = terms.get(name)
            terms[name] = term if mine is None or term is None else mine + term
        return Current(terms, _sum(self.bias, other.bias), _sum(self.shift, other.shift))

    def offset(self, bias: Tensor | float | None = None, shift: Tensor | None = None) -> Current:
        """Add constants, where they are followed."""
        return Current(
            self.terms,
            self.bias if self.bias is None or bias is None else self.bias + bias,
            self.shift if self.shift is None or shift is None else self.shift + shift,
        )


def _sum(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return None if first is None or second is None else first + second


def total(terms: Mapping[str, Term | None]) -> Term | None:
    """Return the sum of all terms, None if any was not asked for."""
    found = [term for term in terms.values() if term is not None]
    if not found or len(found) < len(terms):
        return None
    return Term(
        torch.stack([term.exc for term in found]).sum(0) if len(found) > 1 else found[0].exc,
        torch.stack([term.inh for term in found]).sum(0) if len(found) > 1 else found[0].inh,
    )
