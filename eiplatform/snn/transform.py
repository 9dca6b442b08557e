"""How a presynaptic pattern becomes currents: the only part of a layer that knows its geometry.

The circuit's mathematics is written once over these few operations, so that a fully connected
and a convolutional layer differ in their transform alone.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor
from torch.nn import functional

from eiplatform.errors import ConfigError

__all__ = ["Linear", "Transform"]


class Transform(Protocol):
    """What a layer needs to know about its geometry."""

    @property
    def fan_in(self) -> int:
        """Number of inputs of one neuron, ``d``."""
        ...

    @property
    def channel_axis(self) -> int:
        """Axis of the currents along which neurons of the E and I populations differ (negative)."""
        ...

    def weight_shape(self, n_neurons: int) -> tuple[int, ...]:
        """Shape of the input weights of so many neurons; the first axis counts neurons."""
        ...

    def apply(self, weight: Tensor, x: Tensor) -> Tensor:
        """Currents (T, B, ...) of the pattern `x` (T, B, ...) through `weight`."""
        ...

    def mix(self, weight: Tensor, activity: Tensor) -> Tensor:
        """Mix the channels of `activity` by `weight`, shape (channels out, channels in)."""
        ...

    def per_channel(self, vector: Tensor) -> Tensor:
        """Shape a vector (channels,) so that it broadcasts over currents (T, B, ...)."""
        ...


class Linear:
    """Fully connected input: every neuron sees every input.

    Parameters
    ----------
    n_inputs : int
        Number of inputs, > 0.

    Examples
    --------
    >>> import torch
    >>> Linear(3).apply(torch.ones(2, 3), torch.ones(1, 1, 3)).tolist()
    [[[3.0, 3.0]]]
    """

    channel_axis = -1

    def __init__(self, n_inputs: int) -> None:
        if n_inputs < 1:
            raise ConfigError(f"a layer has {n_inputs} inputs", valid="at least 1")
        self.n_inputs = n_inputs

    @property
    def fan_in(self) -> int:
        """Number of inputs of one neuron."""
        return self.n_inputs

    def weight_shape(self, n_neurons: int) -> tuple[int, ...]:
        """Shape (neurons, inputs)."""
        return (n_neurons, self.n_inputs)

    def apply(self, weight: Tensor, x: Tensor) -> Tensor:
        """Currents (T, B, neurons) of the pattern `x` (T, B, inputs)."""
        return functional.linear(x, weight)

    def mix(self, weight: Tensor, activity: Tensor) -> Tensor:
        """Mix the last axis."""
        return functional.linear(activity, weight)

    def per_channel(self, vector: Tensor) -> Tensor:
        """Return the vector itself: neurons are the last axis."""
        return vector
