"""Solvers of the linear fixed-point equation v = g + J^T v, sample by sample.

The equation comes from the implicit function theorem: at ``a = f(a, theta)`` the gradient of a
loss by theta is ``v . df/dtheta`` with ``v = (I - J^T)^-1 g``, ``J = df/da`` and ``g`` the loss's
gradient by ``a`` (Xiao et al. 2021, arXiv 2109.14247, after Bai et al. 2019, arXiv 1909.01377).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from eiplatform.errors import choose

__all__ = ["SOLVERS", "Solution", "Solver", "solve"]

SOLVERS = ("broyden", "fixed-point")

Product = Callable[[Tensor], Tensor]


class Solver(NamedTuple):
    """How to solve, and when to stop.

    Attributes
    ----------
    method : {"broyden", "fixed-point"}
        Broyden's first method from ``v = g`` with ``-I`` as first guess of the Jacobian's inverse,
        for every sample on its own; or ``v <- v + damping (g + J^T v - v)``.
    tolerance : float
        Largest residual, relative to the norm of ``g`` over all samples.
    max_iterations : int
        Products with ``J^T`` after the first.
    damping : float
        Of fixed-point, in (0, 1]; Neumann's series where it is 1.
    """

    method: str = "broyden"
    tolerance: float = 1e-3
    max_iterations: int = 30
    damping: float = 1.0


class Solution(NamedTuple):
    """The best iterate and how good it is.

    Attributes
    ----------
    value : Tensor
        Of the shape of ``g``.
    residual : float
        ``|g + J^T v - v| / |g|``.
    iterations : int
        Products with ``J^T`` that were made.
    converged : bool
        Whether the residual is at most the tolerance.
    """

    value: Tensor
    residual: float
    iterations: int
    converged: bool


def solve(product: Product, g: Tensor, solver: Solver) -> Solution:
    """Solve ``v = g + J^T v``.

    Parameters
    ----------
    product : callable
        ``v -> J^T v``, for all samples at once.
    g : Tensor, shape (B, ...)
    solver : Solver

    Returns
    -------
    Solution
        Of all iterates the one with the smallest residual.

    Raises
    ------
    UnknownNameError
        For another method.

    Examples
    --------
    >>> solve(lambda v: 0.5 * v, torch.ones(1, 2), Solver("fixed-point", 1e-6, 50)).value.round().tolist()
    [[2.0, 2.0]]
    >>> solve(lambda v: 0.5 * v, torch.ones(1, 2), Solver("broyden", 1e-6, 50)).iterations
    3
    """
    choose(solver.method, SOLVERS, "solver")
    size = float(g.norm())
    if size == 0:
        return Solution(g.clone(), 0.0, 0, True)
    value = g
    residual = product(value)  # of v = g: g + J^T g - g
    update = _Broyden(g, solver.max_iterations) if solver.method == "broyden" else None
    best, smallest, iterations = value, float(residual.norm()) / size, 1
    while smallest > solver.tolerance and iterations <= solver.max_iterations:
        step = solver.damping * residual if update is None else update.step(residual)
        value = value + step
        residual = torch.add(product(value), g).sub_(value)
        iterations += 1
        relative = float(residual.norm()) / size
        if relative < smallest:
            best, smallest = value, relative
        if not relative < 1e8:  # diverges, or is not finite
            break
    return Solution(best, smallest, iterations, smallest <= solver.tolerance)


class _Broyden:
    """The inverse of the residual's Jacobian, ``-I + sum_k u_k w_k^T``, for every sample on its own."""

    def __init__(self, like: Tensor, memory: int) -> None:
        samples = like.shape[0]
        self._left = like.new_zeros(memory, samples, like[0].numel())
        self._right = torch.zeros_like(self._left)
        self._n = 0
        self._last: tuple[Tensor, Tensor] | None = None

    def step(self, residual: Tensor) -> Tensor:
        """Return the next step at a point with this residual, after learning from the last step."""
        now = residual.flatten(1)
        if self._last is not None:
            taken, before = self._last
            change = now - before
            # Sherman and Morrison: B += (step - B change) (step^T B) / (step^T B change)
            seen = self._times(change)
            row = self._transposed(taken)
            along = (row * change).sum(1, keepdim=True)
            safe = along.abs() > torch.finfo(now.dtype).tiny
            self._left[self._n] = torch.where(safe, (taken - seen) / torch.where(safe, along, 1), 0)
            self._right[self._n] = row
            self._n += 1
        step = -self._times(now)
        self._last = step, now
        return step.view_as(residual)

    def _times(self, x: Tensor) -> Tensor:
        weights = torch.einsum("kbd,bd->kb", self._right[: self._n], x)
        return torch.einsum("kbd,kb->bd", self._left[: self._n], weights) - x

    def _transposed(self, x: Tensor) -> Tensor:
        weights = torch.einsum("kbd,bd->kb", self._left[: self._n], x)
        return torch.einsum("kbd,kb->bd", self._right[: self._n], weights) - x
