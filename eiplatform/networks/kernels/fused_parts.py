"""What the two implementations of :func:`eiplatform.networks.kernels.fused.ei_spikes` share."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from eiplatform.networks.kernels.lif import LIF, real_type
from eiplatform.networks.kernels.moments import Moments

__all__ = ["SIGNALS", "Fused", "Options", "Weights", "replace_zeros", "weights_of"]


class Fused(NamedTuple):
    """What :func:`ei_spikes` returns; the signals beyond the spikes only where they were asked for."""

    spikes: Tensor
    """(T, B, places..., n_E), in the type of the currents."""
    membrane: Tensor
    """(B, places..., n_E), after the last step."""
    voltage: Tensor | None
    """(T, B, places..., n_E)."""
    inh: Tensor | None
    """As all that follow (T, B, places..., n_E), or (1, ...) of a static input."""
    net: Tensor | None
    div: Tensor | None
    gain: Tensor | None
    drive: Tensor | None


SIGNALS = Fused._fields[2:]
"""What is returned only if it is asked for."""


class Weights(NamedTuple):
    """Of I->E, and of the neurons, in the type that is computed in."""

    sub: Tensor | None
    div: Tensor
    gain_exc: Tensor
    bias: Tensor


class Options(NamedTuple):
    """What is not a tensor; see :func:`~eiplatform.networks.kernels.fused.ei_spikes`."""

    neuron: LIF
    steps: int
    stabilised: bool
    straight_through: bool
    keep: frozenset[str]
    select: Tensor | None
    moments: Moments | None


def replace_zeros(inhibition_div: Tensor) -> Tensor:
    """Replace zeros by the smallest non-zero value of the same row, which is infinite if there is none.

    Parameters
    ----------
    inhibition_div : Tensor, shape (rows, n), >= 0

    Returns
    -------
    Tensor
        Of the same shape, or `inhibition_div` itself where nothing is to be replaced.

    Examples
    --------
    >>> replace_zeros(torch.tensor([[0.0, 2.0, 4.0], [0.0, 0.0, 0.0]])).tolist()
    [[2.0, 2.0, 4.0], [inf, inf, inf]]
    """
    # On a CPU the one pass that finds no zero is far cheaper than the replacement; a GPU would have to wait for it.
    if inhibition_div.device.type == "cpu" and bool(inhibition_div.amin() > 0):
        return inhibition_div
    silent = inhibition_div == 0
    smallest = inhibition_div.masked_fill(silent, torch.inf).amin(1, keepdim=True)
    return torch.where(silent, smallest, inhibition_div)


def weights_of(currents: Tensor, *values: Tensor | None) -> Weights:
    """Return the weights in the type that these currents are computed with."""
    real = real_type(currents)
    return Weights(*(None if v is None else v.to(real) for v in values))  # type: ignore[arg-type]
