"""Feedback from a smaller map to a larger one: a transposed convolution."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from eiplatform.networks.kernels.convolution import convolve

__all__ = ["TransposedConv2d"]


class TransposedConv2d:
    """Transposed convolution of stride 2 that exactly doubles a map, as a ``Transform``.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, rows, columns) of the smaller map.
    kernel : int
        Odd.

    Examples
    --------
    >>> transform = TransposedConv2d((6, 4, 4), 3)
    >>> transform.weight_shape(2), transform.output_shape(2)
    ((2, 6, 3, 3), (2, 8, 8))
    >>> transform.apply(torch.ones(2, 6, 3, 3), torch.ones(1, 5, 6, 4, 4)).shape
    torch.Size([1, 5, 2, 8, 8])
    """

    channel_axis = -3
    mixes_all = True

    def __init__(self, input_shape: tuple[int, ...], kernel: int = 3) -> None:
        self.input_shape = tuple(input_shape)
        self.kernel = kernel

    @property
    def fan_in(self) -> int:
        """Number of weights of one neuron's channel; about a quarter of them meets a given place."""
        return self.input_shape[0] * self.kernel**2

    def weight_shape(self, n_channels: int) -> tuple[int, ...]:
        """Shape (channels, input channels, rows, columns): the receiving channels first, as everywhere here."""
        return (n_channels, self.input_shape[0], self.kernel, self.kernel)

    def output_shape(self, n_channels: int) -> tuple[int, ...]:
        """Shape (channels, rows, columns)."""
        return (n_channels, 2 * self.input_shape[1], 2 * self.input_shape[2])

    def apply(self, weight: Tensor, x: Tensor) -> Tensor:
        """Currents (T, B, channels, rows, columns) of maps of the same order."""
        if self.kernel == 1:
            # One place reaches one place.  oneDNN's weight gradient of strided 1x1 kernels must not be
            # called (docs/performance.md).
            reached = convolve(x.flatten(0, 1), weight)
            result = reached.new_zeros(*reached.shape[:2], *self.output_shape(1)[1:])
            result[..., ::2, ::2] = reached
            return result.reshape(*x.shape[:2], *result.shape[1:])
        result = functional.conv_transpose2d(
            x.flatten(0, 1), weight.transpose(0, 1), stride=2, padding=self.kernel // 2, output_padding=1
        )
        return result.reshape(*x.shape[:2], *result.shape[1:])

    def apply_pair(self, first: Tensor, second: Tensor, x: Tensor) -> Tensor:
        """Currents of two populations."""
        return self.apply(torch.cat((first, second)), x)

    def mix(self, weight: Tensor, activity: Tensor) -> Tensor:
        """Mix the channels at each place."""
        return torch.einsum("oc,tbcij->tboij", weight, activity)

    def per_channel(self, vector: Tensor) -> Tensor:
        """Shape (channels, 1, 1)."""
        return vector[:, None, None]
