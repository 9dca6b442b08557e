"""The gradient of a feedback network's rate: at the equilibrium, implicitly or by ternary spikes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from eiplatform.config.feedback import FeedbackConfig
from eiplatform.snn.equilibrium.implicit import implicit_rate, pull_back, replace_value
from eiplatform.snn.equilibrium.layers import Edge, LoopLayer
from eiplatform.snn.equilibrium.monitor import Monitor
from eiplatform.snn.equilibrium.solvers import Solution, Solver
from eiplatform.snn.equilibrium.spide import BackwardPhase, ternary_phase

__all__ = ["Equilibrium", "equilibrium_rate"]

_FULL = 1 - 1e-6
"""Rates above are 1: of weighted spikes, the sum of the weights has rounding errors."""


class Equilibrium(NamedTuple):
    """The equation ``a_k = clamp(y_k / d, 0, 1)``, ``y_1 = W a_N + F x``, ``y_{k+1} = W_k a_k``, of one run.

    Attributes
    ----------
    layers : sequence of LoopLayer
    read : int
        The layer that is read out.
    below : sequence of Edge
        ``W_k`` with saved statistics of normalisation; the first is unused.
    back : Edge
        ``W``.
    current : Tensor
        ``F x + b``, with its gradients.
    masks : sequence of Tensor or None
        Dropout of the ``W_k``.
    """

    layers: Sequence[LoopLayer]
    read: int
    below: Sequence[Edge]
    back: Edge
    current: Tensor
    masks: Sequence[Tensor | None]

    @property
    def full(self) -> float:
        """Current at which a neuron fires at every step, ``d``."""
        return self.layers[0].drop

    def around(self, rate: Tensor) -> Tensor:
        """Apply the whole loop to the rate of the layer that is read; normalisation as in training."""
        for layer in self._order:
            if layer == 0:
                current = self.back(rate) + self.current
            else:
                current, _ = self.layers[layer].batch_edge(rate, self.masks[layer])
            rate = (current / self.full).clamp(0, 1)
        return rate

    def around_saved(self, rate: Tensor) -> Tensor:
        """Do the same with saved statistics of normalisation and constant parameters."""
        for layer in self._order:
            if layer == 0:
                current = self.back.detached()(rate) + self.current.detach()
            else:
                current = self.below[layer].detached()(rate)
            rate = _Clamp.apply(current, self.full)  # type: ignore[no-untyped-call]
        return rate

    @property
    def _order(self) -> list[int]:
        n = len(self.layers)
        return [(self.read + 1 + step) % n for step in range(n)]


def equilibrium_rate(
    equation: Equilibrium, rates: Sequence[Tensor], settings: FeedbackConfig, monitor: Monitor
) -> Tensor:
    """Return the rate of the layer that is read, with the gradient of the equilibrium.

    Parameters
    ----------
    equation : Equilibrium
    rates : sequence of Tensor, shape (B, ...)
        What a simulation reached, of every layer.
    settings : FeedbackConfig
        Whose ``gradient`` is ``ide`` or ``spide``.
    monitor : Monitor
        Receives ``forward_residual`` (mean of ``|a - f(a)|`` of the layer that is read) now and, when the gradient is
        computed, how well its equation was solved.

    Returns
    -------
    Tensor
    """
    if settings.gradient == "spide":
        return _by_spikes(equation, rates, settings, monitor)
    solver = Solver(settings.solver, settings.tolerance, settings.max_iterations, settings.damping)

    def report(found: Solution) -> None:
        monitor.add(residual=found.residual, iterations=float(found.iterations), unconverged=float(not found.converged))

    rate, distance = implicit_rate(rates[equation.read], equation.around, equation.around_saved, solver, report)
    monitor.add(forward_residual=distance)
    return rate


def _by_spikes(equation: Equilibrium, rates: Sequence[Tensor], settings: FeedbackConfig, monitor: Monitor) -> Tensor:
    n, full = len(rates), equation.full
    fixed = [rate.detach() for rate in rates]
    open_ = [((rate > 0) & (rate < _FULL)).to(rate.dtype) / full for rate in fixed]
    edges = [equation.back.detached(), *(edge.detached() for edge in equation.below[1:])]
    pulls = [pull_back(edge.__call__, fixed[layer - 1]) for layer, edge in enumerate(edges)]
    carriers = [equation.back(fixed[-1]) + equation.current]
    carriers += [equation.layers[layer].batch_edge(fixed[layer - 1], equation.masks[layer])[0] for layer in range(1, n)]
    with torch.no_grad():
        reached = (carriers[equation.read] / full).clamp(0, 1)
        monitor.add(forward_residual=float((fixed[equation.read] - reached).abs().mean()))
    phase = BackwardPhase(settings.back_steps, settings.back_threshold, settings.back_decay, settings.gradient_scale)
    products = [lambda v, pull=pull, gate=gate: pull(gate * v) for pull, gate in zip(pulls, open_, strict=True)]

    def gradient(g: Tensor) -> list[Tensor]:
        found = ternary_phase(products, g, equation.read, [rate.shape for rate in fixed], phase)
        monitor.add(residual=found.residual, saturated=found.saturated, silent=found.silent)
        return [gate * value for gate, value in zip(open_, found.values, strict=True)]

    return replace_value(fixed[equation.read], carriers, gradient)


class _Clamp(torch.autograd.Function):
    """``clamp(y / d, 0, 1)`` whose derivative is worked out once, however often it is applied."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, full: float) -> Tensor:
        inside = (current >= 0) & (current <= full)
        ctx.save_for_backward(inside.to(current.dtype) / full)
        return (current / full).clamp_(0, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return grads[0] * slope, None
