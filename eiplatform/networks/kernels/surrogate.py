"""Surrogate derivatives of the spike, each with the smooth function that it is the derivative of.

A spike is a step, ``s = H(u - theta)``, whose derivative is zero almost everywhere.  Training
replaces that derivative by the one of a smooth step, the *primitive*.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from eiplatform.errors import ConfigError, choose

__all__ = ["SURROGATES", "Surrogate", "make_surrogate"]


class _Form(NamedTuple):
    alpha: float
    primitive: Callable[[Tensor, Any], Tensor]
    derivative: Callable[[Tensor, Any], Tensor]


def _sigmoid_derivative(x: Tensor, alpha: float) -> Tensor:
    step = torch.sigmoid(alpha * x)
    return alpha * step * (1 - step)


def _triangle_primitive(x: Tensor, alpha: float) -> Tensor:
    clipped = (alpha * x).clamp(-1, 1)
    return 0.5 + clipped - 0.5 * clipped * clipped.abs()


SURROGATES: dict[str, _Form] = {
    "sigmoid": _Form(4.0, lambda x, a: torch.sigmoid(a * x), _sigmoid_derivative),
    "atan": _Form(
        2.0,
        lambda x, a: torch.atan(math.pi / 2 * a * x) / math.pi + 0.5,
        lambda x, a: a / 2 / (1 + (math.pi / 2 * a * x) ** 2),
    ),
    "fast-sigmoid": _Form(
        10.0,
        lambda x, a: x / (1 + a * x.abs()),
        lambda x, a: (1 + a * x.abs()) ** -2,
    ),
    "triangle": _Form(1.0, _triangle_primitive, lambda x, a: a * (1 - a * x.abs()).clamp(min=0)),
    "rectangle": _Form(
        1.0,
        lambda x, a: (a * x + 0.5).clamp(0, 1),
        lambda x, a: a * (a * x.abs() < 0.5).to(x.dtype),
    ),
}
"""Known surrogates: default steepness, primitive, derivative."""


class Surrogate(NamedTuple):
    """A named smooth step with its steepness.

    Attributes
    ----------
    name : str
        One of :data:`SURROGATES`.
    alpha : float
        Steepness; the larger, the closer to a step.
    """

    name: str
    alpha: float

    def primitive(self, x: Tensor) -> Tensor:
        """Return a smooth step of the distance `x` to the threshold (up to a constant), same shape."""
        return SURROGATES[self.name].primitive(x, self.alpha)

    def derivative(self, x: Tensor) -> Tensor:
        """Return the derivative of :meth:`primitive`, which stands in for the spike's, same shape."""
        return SURROGATES[self.name].derivative(x, self.alpha)

    def chain_(self, grad: Tensor, x: Tensor) -> Tensor:
        """Overwrite the distance `x` by ``grad * derivative(x)`` and return it."""
        if self.name == "sigmoid":
            x.mul_(self.alpha).sigmoid_()
            torch.ops.aten.sigmoid_backward.grad_input(grad, x, grad_input=x)
            return x.mul_(self.alpha)
        return torch.mul(self.derivative(x), grad, out=x)

    def spike(self, x: Tensor) -> Tensor:
        """Return the step ``x >= 0`` in the dtype of `x`, with the surrogate's derivative."""
        spikes: Tensor = _Spike.apply(x, self)  # type: ignore[no-untyped-call]
        return spikes

    def spike_learnt(self, x: Tensor, alpha: Tensor) -> Tensor:
        """Return the same step with steepness `alpha` (a scalar), which learns as if the spike were its primitive."""
        spikes: Tensor = _LearntSpike.apply(x, alpha, self)  # type: ignore[no-untyped-call]
        return spikes


def make_surrogate(name: str, alpha: float | None = None) -> Surrogate:
    """Return the surrogate of that name.

    Parameters
    ----------
    name : str
        ``sigmoid`` (alpha 4: the DeepEISNN paper, arXiv 2509.23253), ``atan`` (alpha 2),
        ``fast-sigmoid`` (alpha 10; Zenke and Vogels 2021), ``triangle`` or ``rectangle``.
    alpha : float, optional
        Steepness, > 0; by default the surrogate's own.

    Raises
    ------
    UnknownNameError
        For another name.
    ConfigError
        If `alpha` is not positive.

    Examples
    --------
    >>> make_surrogate("sigmoid").derivative(torch.zeros(1)).item()
    1.0
    """
    form = SURROGATES[choose(name, SURROGATES, "surrogate")]
    steepness = form.alpha if alpha is None else float(alpha)
    if not (math.isfinite(steepness) and steepness > 0):
        raise ConfigError(f"surrogate steepness alpha is {steepness}", valid="a number > 0")
    return Surrogate(name, steepness)


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, form: Surrogate) -> Tensor:
        ctx.save_for_backward(x)
        ctx.form = form
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grads[0] * ctx.form.derivative(x), None


class _LearntSpike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor, form: Surrogate) -> Tensor:
        ctx.save_for_backward(x, alpha)
        ctx.form = SURROGATES[form.name]
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        x, alpha = ctx.saved_tensors
        with torch.enable_grad():
            leaf = alpha.detach().requires_grad_()
            (grad_alpha,) = torch.autograd.grad(ctx.form.primitive(x.detach(), leaf), leaf, grads[0])
        return grads[0] * ctx.form.derivative(x, alpha), grad_alpha, None
