"""Implicit differentiation: the gradient of an equilibrium without the way there.

Whatever led to the rate ``a`` (a spiking simulation, or a solver), the gradient is that of the
fixed point ``a = f(a, theta)``: memory and work do not depend on the number of time steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from eiplatform.errors import EIPlatformError
from eiplatform.networks.equilibrium.solvers import Solution, Solver, solve

__all__ = ["fixed_point", "implicit_rate", "pull_back", "replace_value"]

Function = Callable[[Tensor], Tensor]


def fixed_point(function: Function, start: Tensor, tolerance: float = 1e-10, max_iterations: int = 10_000) -> Tensor:
    """Iterate ``a <- f(a)`` until nothing changes by more than `tolerance`; without gradients.

    Parameters
    ----------
    function : callable
    start : Tensor
    tolerance : float
        Largest change of any entry.
    max_iterations : int

    Raises
    ------
    EIPlatformError
        If it does not converge.

    Examples
    --------
    >>> round(fixed_point(lambda a: 0.5 * a + 1, torch.zeros(1)).item(), 6)
    2.0
    """
    with torch.no_grad():
        value = start
        for _ in range(max_iterations):
            after = function(value)
            change = float((after - value).abs().max())
            value = after
            if change <= tolerance:
                return value
    raise EIPlatformError(
        f"the rates do not reach a fixed point: they still change by {change:.2g} after {max_iterations} iterations",
        where="equilibrium",
        remedy="restrict the feedback's spectral norm below the threshold (network.feedback.norm_limit)",
    )


def implicit_rate(
    rate: Tensor, parameterised: Function, linearised: Function, solver: Solver, report: Callable[[Solution], None]
) -> tuple[Tensor, float]:
    """Return `rate` with the gradient of the fixed point.

    Parameters
    ----------
    rate : Tensor, shape (B, ...)
        The equilibrium, or what a finite simulation reached of it.
    parameterised : callable
        ``f(a)``, whose parameters receive the gradient.
    linearised : callable
        ``f(a)`` as it is linearised in ``a``; the same function, or one with saved statistics of
        batch normalisation.
    solver : Solver
    report : callable
        Receives the :class:`~eiplatform.networks.equilibrium.solvers.Solution` when the gradient is
        computed.

    Returns
    -------
    rate : Tensor
        Equal to `rate`, bit for bit.
    distance : float
        Mean of ``|a - f(a)|``: 0 at the equilibrium.

    Examples
    --------
    >>> theta = torch.tensor([3.0], requires_grad=True)  # a = 0.5 a + theta, hence a = 2 theta
    >>> rate, distance = implicit_rate(
    ...     torch.tensor([[6.0]]), lambda a: 0.5 * a + theta, lambda a: 0.5 * a, Solver(tolerance=1e-6), print)
    >>> rate.sum().backward()
    Solution(value=tensor([[2.]]), residual=0.0, iterations=3, converged=True)
    >>> theta.grad.item()
    2.0
    """
    fixed = rate.detach()
    value = parameterised(fixed)
    distance = float((fixed - value.detach()).abs().mean())
    if not value.requires_grad:
        return fixed, distance
    product = pull_back(linearised, fixed)

    def gradient(g: Tensor) -> list[Tensor]:
        found = solve(product, g, solver)
        report(found)
        return [found.value]

    return replace_value(fixed, [value], gradient), distance


def pull_back(function: Function, at: Tensor) -> Function:
    """Return ``v -> J^T v`` with ``J`` the derivative of `function` at `at`, linearised once."""
    with torch.enable_grad():
        leaf = at.detach().requires_grad_()
        image = function(leaf)

    def product(v: Tensor) -> Tensor:
        (result,) = torch.autograd.grad(image, leaf, v, retain_graph=True)
        return result

    return product


def replace_value(value: Tensor, carriers: Sequence[Tensor], gradient: Callable[[Tensor], list[Tensor]]) -> Tensor:
    """Return `value`; of its gradient, `gradient` makes those of the carriers."""
    result: Tensor = _Replace.apply(value, gradient, *carriers)  # type: ignore[no-untyped-call]
    return result


class _Replace(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, gradient: Callable[[Tensor], list[Tensor]], *carriers: Tensor) -> Tensor:
        ctx.gradient = gradient
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *ctx.gradient(grads[0])
