"""The gradient of a feedback network's rate: at the equilibrium, implicitly or by ternary spikes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from eiplatform.config.feedback import FeedbackConfig
from eiplatform.networks.equilibrium.implicit import implicit_rate, pull_back, replace_value
from eiplatform.networks.equilibrium.layers import Edge, LoopLayer
from eiplatform.networks.equilibrium.monitor import Monitor
from eiplatform.networks.equilibrium.solvers import Solution, Solver
from eiplatform.networks.equilibrium.spide import BackwardPhase, ternary_phase

__all__ = ["Equilibrium", "equilibrium_rate"]

_FULL = 1 - 1e-6
"""Rates above are 1: of weighted spikes, the sum of the weights has rounding errors."""


class Equilibrium(NamedTuple):
    """The equation ``a_k = clamp(y_k / d, 0, 1)``, ``y_1 = W a_N + F x``, ``y_{k+1} = W_k a_k``, of one run.

    ``d`` may be one of every neuron (trainable thresholds), and rates may lie in a wider range
    than from 0 to 1 (several and negative spikes per step).

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

    def around(self, rate: Tensor) -> Tensor:
        """Apply the whole loop to the rate of the layer that is read; normalisation as in training."""
        for layer in self._order:
            if layer == 0:
                current = self.back(rate) + self.current
            else:
                current, _ = self.layers[layer].batch_edge(rate, self.masks[layer])
            rate = self.clamped(layer, current / self.layers[layer].full)
        return rate

    def clamped(self, layer: int, rate: Tensor) -> Tensor:
        """Return what the neurons of a layer can make of ``y / d``."""
        return rate.clamp(*self.layers[layer].rate_range)

    def around_saved(self, rate: Tensor) -> Tensor:
        """Do the same with saved statistics of normalisation and constant parameters."""
        for layer in self._order:
            if layer == 0:
                current = self.back.detached()(rate) + self.current.detach()
            else:
                current = self.below[layer].detached()(rate)
            owner = self.layers[layer]
            rate = _Clamp.apply(current, _constant(owner.full), *owner.rate_range)  # type: ignore[no-untyped-call]
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
    n, layers = len(rates), equation.layers
    fixed = [rate.detach() for rate in rates]
    open_ = [_between(rate, layer.rate_range) for rate, layer in zip(fixed, layers, strict=True)]
    edges = [equation.back.detached(), *(edge.detached() for edge in equation.below[1:])]
    pulls = [pull_back(edge.__call__, fixed[layer - 1]) for layer, edge in enumerate(edges)]
    currents = [equation.back(fixed[-1]) + equation.current]
    currents += [layers[layer].batch_edge(fixed[layer - 1], equation.masks[layer])[0] for layer in range(1, n)]
    carriers = [current / layer.full for current, layer in zip(currents, layers, strict=True)]
    with torch.no_grad():
        reached = equation.clamped(equation.read, carriers[equation.read])
        monitor.add(forward_residual=float((fixed[equation.read] - reached).abs().mean()))
    phase = BackwardPhase(settings.back_steps, settings.back_threshold, settings.back_decay, settings.gradient_scale)
    slopes = [gate / _constant(layer.full) for gate, layer in zip(open_, layers, strict=True)]
    products = [lambda v, pull=pull, slope=slope: pull(slope * v) for pull, slope in zip(pulls, slopes, strict=True)]

    def gradient(g: Tensor) -> list[Tensor]:
        found = ternary_phase(products, g, equation.read, [rate.shape for rate in fixed], phase)
        monitor.add(residual=found.residual, saturated=found.saturated, silent=found.silent)
        return [gate * value for gate, value in zip(open_, found.values, strict=True)]

    return replace_value(fixed[equation.read], carriers, gradient)


def _constant(full: float | Tensor) -> float | Tensor:
    return full.detach() if isinstance(full, Tensor) else full


def _between(rate: Tensor, limits: tuple[float, float]) -> Tensor:
    """Return 1 where a rate is neither the smallest nor the largest possible, else 0."""
    low, high = limits
    return ((rate > low * _FULL) & (rate < high * _FULL)).to(rate.dtype)


class _Clamp(torch.autograd.Function):
    """``clamp(y / d, low, high)`` whose derivative is worked out once, however often it is applied."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, full: float | Tensor, low: float, high: float) -> Tensor:
        inside = (current >= low * full) & (current <= high * full)
        ctx.save_for_backward(inside.to(current.dtype) / full)
        return (current / full).clamp_(low, high)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return grads[0] * slope, None, None, None
