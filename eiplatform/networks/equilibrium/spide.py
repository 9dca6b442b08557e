"""SPIDE: the backward equilibrium found by ternary spikes (Xiao et al. 2023, arXiv 2302.00232).

With ``m_k = 1`` where the rate of layer k lies strictly between 0 and 1, and ``d = threshold -
rest``, the gradients ``beta_k`` of the loss by the rates obey

    beta_j = [g if j is read out] + L_{j+1}^T (m_{j+1} beta_{j+1}) / d

where layer j+1 is the one that sees layer j.  Instead of solving this, integrate-and-fire neurons
with spikes of +1, 0 and -1 receive the right-hand side as current at each of T_B steps; their
mean number of spikes approaches ``beta`` as 1/T_B, as long as ``|beta|`` stays below the size of
a spike and is not so small that it causes none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from eiplatform.networks.equilibrium.neuron import rate_weights

__all__ = ["BackwardPhase", "BackwardResult", "ternary_phase"]

Product = Callable[[Tensor], Tensor]


class BackwardPhase(NamedTuple):
    """Constants of the backward phase.

    Attributes
    ----------
    steps : int
        T_B.
    threshold : float
        A spike occurs where the membrane leaves (-threshold, threshold); it is twice as large.
    decay : float
        Of the membrane, and of what earlier spikes count; 1: integrate-and-fire.
    scale : float
        Factor on ``g``, divided out of the result.
    """

    steps: int = 250
    threshold: float = 0.5
    decay: float = 1.0
    scale: float = 100.0


class BackwardResult(NamedTuple):
    """What the ternary spikes say.

    Attributes
    ----------
    values : list of Tensor
        ``beta`` of every layer.
    residual : float
        By how much they miss the equation above, relative to ``|g|``.
    saturated : float
        Part of the neurons whose membrane lies beyond the threshold after the last spike: they
        cannot fire enough.
    silent : float
        Part of the neurons that received something and never fired.
    """

    values: list[Tensor]
    residual: float
    saturated: float
    silent: float


def ternary_phase(
    products: Sequence[Product], g: Tensor, read: int, shapes: Sequence[torch.Size], phase: BackwardPhase
) -> BackwardResult:
    """Run the backward phase.

    Parameters
    ----------
    products : sequence of callable
        ``v -> L_k^T (m_k v) / d`` per layer k, from its neurons to those of the layer before it;
        the first ends on the last layer.
    g : Tensor, shape (B, ...)
        Gradient of the loss by the rate of layer `read`.
    read : int
    shapes : sequence of torch.Size
        Of the rates of every layer, (B, ...).
    phase : BackwardPhase

    Examples
    --------
    >>> phase = BackwardPhase(steps=1000, scale=1.0)
    >>> g = torch.tensor([[0.25]])
    >>> result = ternary_phase([lambda v: 0.5 * v], g, 0, [g.shape], phase)
    >>> round(result.values[0].item(), 2), result.saturated  # 0.25 / (1 - 0.5)
    (0.5, 0.0)
    """
    n = len(products)
    # From the layer that is read backwards, so that what a layer receives has just been sent.
    order = [(read - step) % n for step in range(n)]
    size = 2 * phase.threshold
    scaled = g * phase.scale
    membranes = [g.new_zeros(shape) for shape in shapes]
    spikes = [g.new_zeros(shape) for shape in shapes]
    values = [g.new_zeros(shape) for shape in shapes]
    fired = [torch.zeros(shape, dtype=torch.bool, device=g.device) for shape in shapes]
    for weight in rate_weights(phase.steps, phase.decay):
        for layer in order:
            after = (layer + 1) % n
            current = products[after](spikes[after])
            membrane = membranes[layer].mul_(phase.decay).add_(current)
            if layer == read:
                membrane.add_(scaled)
            sign = (membrane >= phase.threshold).to(g.dtype) - (membrane <= -phase.threshold).to(g.dtype)
            spikes[layer] = sign * size
            membrane.sub_(spikes[layer])
            values[layer].add_(spikes[layer], alpha=weight)
            fired[layer] |= sign != 0
    missed = 0.0
    for layer in order:
        expected = products[(layer + 1) % n](values[(layer + 1) % n])
        if layer == read:
            expected = expected + scaled
        missed += float((expected - values[layer]).square().sum())
    total = sum(shape.numel() for shape in shapes)
    saturated = sum(int((membrane.abs() > phase.threshold).sum()) for membrane in membranes)
    pairs = zip(membranes, fired, strict=True)
    silent = sum(int(((membrane != 0) & ~spiked).sum()) for membrane, spiked in pairs)
    norm = float(scaled.norm())
    return BackwardResult(
        [value / phase.scale for value in values],
        missed**0.5 / norm if norm else 0.0,
        saturated / total,
        silent / total,
    )
