"""How a presynaptic pattern becomes currents: the only part of a layer that knows its geometry.

The circuit's mathematics is written once over these few operations, so that a fully connected
and a convolutional layer differ in their transform alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from eiplatform.errors import ConfigError
from eiplatform.networks.kernels import products
from eiplatform.networks.kernels.convolution import convolve
from eiplatform.networks.kernels.spikes import spike_product

__all__ = ["Conv2d", "Linear", "Transform", "average_pool", "dropped", "max_pool", "with_axis_moved"]


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

    def weight_shape(self, n_channels: int) -> tuple[int, ...]:
        """Shape of the input weights of this many channels; the first axis counts channels."""
        ...

    def output_shape(self, n_channels: int) -> tuple[int, ...]:
        """Shape of a population of this many channels at one step: (channels, ...)."""
        ...

    def apply(self, weight: Tensor, x: Tensor) -> Tensor:
        """Currents (T, B, ...) of the pattern `x` (T, B, ...) through `weight`."""
        ...

    @property
    def mixes_all(self) -> bool:
        """Whether every neuron sees all channels, so that weights of different neurons can be added."""
        ...

    def apply_pair(self, first: Tensor, second: Tensor, x: Tensor) -> Tensor:
        """Currents of two populations that see the same pattern: the channels of `first`, then of `second`."""
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
    >>> Linear(3).apply(torch.ones(2, 3), torch.ones(1, 1, 3)).tolist()
    [[[3.0, 3.0]]]
    """

    channel_axis = -1
    mixes_all = True

    def __init__(self, n_inputs: int) -> None:
        if n_inputs < 1:
            raise ConfigError(f"a layer has {n_inputs} inputs", valid="at least 1")
        self.n_inputs = n_inputs

    @property
    def fan_in(self) -> int:
        """Number of inputs of one neuron."""
        return self.n_inputs

    def weight_shape(self, n_channels: int) -> tuple[int, ...]:
        """Shape (neurons, inputs)."""
        return (n_channels, self.n_inputs)

    def output_shape(self, n_channels: int) -> tuple[int, ...]:
        """Shape (neurons,)."""
        return (n_channels,)

    def apply(self, weight: Tensor, x: Tensor) -> Tensor:
        """Currents (T, B, neurons) of the pattern `x` (T, B, inputs)."""
        found = spike_product(x, weight)
        return functional.linear(x, weight) if found is None else found

    def apply_pair(self, first: Tensor, second: Tensor, x: Tensor) -> Tensor:
        """Currents of two populations, from one product."""
        if products.takes(x, first, second):
            return products.pair_product(x, first, second)
        return self.apply(torch.cat((first, second)), x)

    def mix(self, weight: Tensor, activity: Tensor) -> Tensor:
        """Mix the last axis."""
        return functional.linear(activity, weight)

    def per_channel(self, vector: Tensor) -> Tensor:
        """Return the vector itself: neurons are the last axis."""
        return vector


class Conv2d:
    """Convolutional input: every neuron sees a patch of the maps below, at each place by the same weights.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, rows, columns) of the input.
    kernel, stride, padding : int or pair of int
        Zeros are padded.
    groups : int
        The channels are divided into this many groups that do not see each other; it divides
        the channels of the input and of every population.

    Raises
    ------
    ConfigError
        If the numbers do not fit, or nothing of the map is left.

    Examples
    --------
    >>> transform = Conv2d((3, 8, 8), kernel=3, stride=2, padding=1)
    >>> transform.fan_in, transform.output_shape(16)
    (27, (16, 4, 4))
    >>> transform.apply(torch.ones(transform.weight_shape(16)), torch.ones(4, 2, 3, 8, 8)).shape
    torch.Size([4, 2, 16, 4, 4])
    """

    channel_axis = -3

    def __init__(
        self,
        input_shape: tuple[int, ...],
        kernel: int | tuple[int, int] = 3,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 1,
        groups: int = 1,
    ) -> None:
        if len(input_shape) != 3 or min(input_shape) < 1:
            raise ConfigError(
                f"a convolution cannot see an input of shape {tuple(input_shape)}", valid="(channels, rows, columns)"
            )
        self.input_shape = tuple(input_shape)
        self.kernel = _pair(kernel)
        self.stride = _pair(stride)
        self.padding = _pair(padding)
        self.groups = groups
        if min(self.kernel) < 1 or min(self.stride) < 1 or min(self.padding) < 0 or groups < 1:
            raise ConfigError(
                f"a convolution of kernel {self.kernel}, stride {self.stride}, padding {self.padding}, {groups} groups",
                valid="kernel, stride and groups at least 1, padding at least 0",
            )
        self._check_groups(input_shape[0])
        self.map_shape = tuple(
            (size + 2 * pad - kernel_size) // step + 1
            for size, kernel_size, step, pad in zip(
                input_shape[1:], self.kernel, self.stride, self.padding, strict=True
            )
        )
        if min(self.map_shape) < 1:
            raise ConfigError(
                f"a kernel of {self.kernel} finds no place on maps of {tuple(input_shape[1:])}",
                remedy="use larger images, or fewer poolings and strides",
            )

    def _check_groups(self, n_channels: int) -> None:
        if n_channels % self.groups:
            raise ConfigError(f"{self.groups} groups do not divide {n_channels} channels")

    @property
    def fan_in(self) -> int:
        """Number of inputs of one neuron: channels of its group times the kernel's area."""
        return self.input_shape[0] // self.groups * math.prod(self.kernel)

    def weight_shape(self, n_channels: int) -> tuple[int, ...]:
        """Shape (channels, input channels per group, kernel rows, kernel columns)."""
        self._check_groups(n_channels)
        return (n_channels, self.input_shape[0] // self.groups, *self.kernel)

    def output_shape(self, n_channels: int) -> tuple[int, ...]:
        """Shape (channels, rows, columns)."""
        return (n_channels, *self.map_shape)

    def apply(self, weight: Tensor, x: Tensor) -> Tensor:
        """Currents (T, B, channels, rows, columns) of maps of the same order."""
        return _merged(convolve, x, weight, self.stride, self.padding, self.groups)

    @property
    def mixes_all(self) -> bool:
        """Whether there is one group."""
        return self.groups == 1

    def apply_pair(self, first: Tensor, second: Tensor, x: Tensor) -> Tensor:
        """Currents of two populations, from one convolution."""
        if self.groups == 1:
            return self.apply(torch.cat((first, second)), x)
        # A grouped convolution wants the channels of a group, of both populations, side by side.
        groups = self.groups
        grouped = [weight.reshape(groups, len(weight) // groups, *weight.shape[1:]) for weight in (first, second)]
        both = self.apply(torch.cat(grouped, 1).flatten(0, 1), x)
        both = both.reshape(*both.shape[:2], groups, both.shape[2] // groups, *self.map_shape)
        parts = torch.split(both, [len(weight) // groups for weight in (first, second)], -3)
        return torch.cat([part.flatten(-4, -3) for part in parts], -3)

    def mix(self, weight: Tensor, activity: Tensor) -> Tensor:
        """Mix the channels at each place: a 1x1 convolution."""
        return _merged(convolve, activity, weight[:, :, None, None])

    def per_channel(self, vector: Tensor) -> Tensor:
        """Shape (channels, 1, 1)."""
        return vector[:, None, None]


def average_pool(x: Tensor) -> Tensor:
    """Average over squares of 2x2; an odd last row or column is dropped.

    Parameters
    ----------
    x : Tensor, shape (..., channels, rows, columns)

    Examples
    --------
    >>> average_pool(torch.arange(6.0).reshape(1, 1, 2, 3)).tolist()
    [[[[2.0]]]]
    """
    return functional.avg_pool2d(x, 2) if x.ndim <= 4 else _merged(functional.avg_pool2d, x, 2)


def max_pool(x: Tensor) -> Tensor:
    """Take the maximum over squares of 2x2; an odd last row or column is dropped.

    Parameters
    ----------
    x : Tensor, shape (..., channels, rows, columns)

    Examples
    --------
    >>> max_pool(torch.arange(6.0).reshape(1, 1, 2, 3)).tolist()
    [[[[4.0]]]]
    """
    return functional.max_pool2d(x, 2) if x.ndim <= 4 else _merged(functional.max_pool2d, x, 2)


def dropped(x: Tensor, part: float, generator: torch.Generator) -> Tensor:
    """Set this part of the values to zero, at random, and scale the others up, so that the mean stays (dropout).

    Parameters
    ----------
    x : Tensor
        Any shape; every value is drawn for on its own.
    part : float
        0 (nothing is drawn) to below 1.
    generator : torch.Generator
        On the CPU.

    Examples
    --------
    >>> dropped(torch.ones(4), 0.5, torch.Generator().manual_seed(1)).tolist()
    [2.0, 0.0, 0.0, 2.0]
    """
    if not part:
        return x
    kept = torch.rand(x.shape, generator=generator) >= part
    return x * kept.to(x) / (1 - part)


def with_axis_moved(x: Tensor, axis: int, to: int) -> Tensor:
    """Move an axis (both counted from the end); where it is there already, `x` itself, which is faster.

    Examples
    --------
    >>> with_axis_moved(torch.ones(2, 3, 4), -1, -2).shape
    torch.Size([2, 4, 3])
    """
    return x if axis == to else x.movedim(axis, to)


def _merged(function: Callable[..., Tensor], x: Tensor, *args: Any) -> Tensor:
    """Apply a function of (batch, channels, rows, columns) to (T, B, channels, rows, columns)."""
    result = function(x.flatten(0, 1), *args)
    return result.reshape(*x.shape[:2], *result.shape[1:])


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
