"""Integrate-and-fire neurons with feedback, and the rates that reach an equilibrium.

    u[t] = lambda m[t-1] + drive[t],   drive[t] = W s[t-1] + F x[t] + b
    s[t] = 1 where u[t] >= threshold
    m[t] = u[t] - (threshold - rest) s[t]

(Xiao et al. 2021, arXiv 2109.14247; ``rest`` below 0 is that of Xiao et al. 2023, arXiv
2302.00232).  The rate after T steps is the weighted mean of the spikes,

    a = sum_t lambda^(T-t) s[t] / sum_t lambda^(T-t)

which for IF (lambda = 1) is the plain mean.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from eiplatform.networks.kernels.lif import LIF, real_type

__all__ = ["advance", "feedback_tau", "rate_weights"]


def feedback_tau(decay: float) -> float:
    """Return the membrane constant of neurons that keep the part `decay` of their membrane per step.

    Examples
    --------
    >>> LIF(feedback_tau(0.95)).decay, LIF(feedback_tau(1.0)).decay
    (0.95, 1.0)
    """
    return math.inf if decay == 1 else 1 / (1 - decay)


def rate_weights(steps: int, decay: float) -> list[float]:
    """Return what every step's spikes count in the rate, oldest first; they sum to 1.

    Examples
    --------
    >>> rate_weights(4, 1.0)
    [0.25, 0.25, 0.25, 0.25]
    >>> [round(weight, 3) for weight in rate_weights(2, 0.5)]
    [0.333, 0.667]
    """
    weights = [decay ** (steps - 1 - step) for step in range(steps)]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def advance(
    drive: Tensor, membrane: Tensor | None, neuron: LIF, drop: float, *, through_time: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Advance by one step.

    Parameters
    ----------
    drive : Tensor, shape (B, ...)
    membrane : Tensor or None
        After the last reset; None: at rest.
    neuron : LIF
    drop : float
        What a spike takes from the membrane, ``threshold - rest``.
    through_time : bool
        Whether gradients pass, by the surrogate.

    Returns
    -------
    membrane, spikes, voltage : Tensor, shape (B, ...)

    Examples
    --------
    >>> neuron = LIF(feedback_tau(1.0), threshold=2.0)
    >>> membrane, spikes, _ = advance(torch.tensor([1.5, 2.5]), None, neuron, 2.0)
    >>> spikes.tolist(), membrane.tolist()
    ([0.0, 1.0], [1.5, 0.5])
    """
    drive = drive.to(real_type(drive))  # under autocast, currents alone are of less precision
    voltage = drive if membrane is None else torch.add(drive, membrane, alpha=neuron.decay)
    if not through_time:
        spikes = (voltage >= neuron.threshold).to(voltage.dtype)
        return torch.sub(voltage, spikes, alpha=drop), spikes, voltage
    spikes = neuron.surrogate.spike(voltage - neuron.threshold)
    taken = spikes.detach() if neuron.detach_reset else spikes
    return torch.sub(voltage, taken, alpha=drop), spikes, voltage
