"""E-I Prop: what makes gradients of the E-I layer usable (DeepEISNN, arXiv 2509.23253).

Divisive inhibition of exactly 0 is replaced, the gradient passes the replacement, and that of
I->E is divided by the number of inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from eiplatform.networks.kernels.fused_parts import replace_zeros

__all__ = ["FULL_PROP", "EIProp", "scale_gradient", "stabilise"]


class EIProp(NamedTuple):
    """The parts of E-I Prop, each of which can be switched off for an ablation.

    Attributes
    ----------
    stabilise : bool
        Replace a divisive inhibition of exactly 0 by the smallest one of the same sample.
    straight_through : bool
        Let the gradient pass that replacement as if it were the identity.
    scale_gradient : bool
        Divide the gradient of I->E by the fan-in ``d``.
    """

    stabilise: bool = True
    straight_through: bool = True
    scale_gradient: bool = True


FULL_PROP = EIProp()


def stabilise(inhibition_div: Tensor, prop: EIProp = FULL_PROP) -> Tensor:
    """Replace zeros by the smallest non-zero value of the same (time, sample).

    Parameters
    ----------
    inhibition_div : Tensor, shape (T, B, ...), >= 0
    prop : EIProp
        With ``straight_through`` the gradient is that of the identity.

    Returns
    -------
    Tensor
        Same shape; infinite where a sample has no divisive inhibition at all, so that its
        gain is 0.

    Examples
    --------
    >>> stabilise(torch.tensor([[[0.0, 2.0, 4.0], [0.0, 0.0, 0.0]]])).tolist()
    [[[2.0, 2.0, 4.0], [inf, inf, inf]]]
    """
    rows = inhibition_div.flatten(2).flatten(0, 1) if inhibition_div.ndim > 2 else inhibition_div
    if prop.straight_through:
        replaced: Tensor = _StraightThrough.apply(replace_zeros, rows)  # type: ignore[no-untyped-call]
        return replaced.view_as(inhibition_div)
    return replace_zeros(rows).view_as(inhibition_div)


def scale_gradient(values: Tensor, factor: float) -> Tensor:
    """Return the values themselves, which are finite; their gradient is multiplied by a factor.

    Examples
    --------
    >>> weight = torch.tensor([3.0], requires_grad=True)
    >>> scale_gradient(weight, 0.1).backward()
    >>> weight.grad.item()
    0.10000000149011612
    """
    return torch.lerp(values.detach(), values, factor)  # between equals, which adds 0 times the factor


class _StraightThrough(torch.autograd.Function):
    """Apply a function; its gradient is the identity."""

    @staticmethod
    def forward(ctx: Any, function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
        return function(values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        return None, grads[0]
