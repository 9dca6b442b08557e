"""Spikes as bits, packed on the device and in the order in which they lie there."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["pack_bits"]


def pack_bits(spikes: Tensor) -> Tensor:
    """Return spikes as bits, eight neurons a byte, the first in the lowest bit.

    Parameters
    ----------
    spikes : Tensor, shape (T, B, n) or (T, B, channels, rows, columns)
        Not zero where there is a spike.

    Returns
    -------
    Tensor of uint8, shape (T, B, ceil(n / 8))
        As ``numpy.packbits(..., axis=-1, bitorder="little")`` of all neurons in their order.

    Notes
    -----
    A layer that convolves keeps its channels last.  Where its places come in eights, the bytes
    are formed in that order and then transposed: an eighth of what would be moved otherwise.

    Examples
    --------
    >>> pack_bits(torch.tensor([[[1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]]])).tolist()
    [[[5, 1]]]
    """
    fired = (spikes != 0).view(torch.uint8)
    n_places = math.prod(spikes.shape[3:])
    if spikes.ndim > 3 and n_places % 8 == 0:
        rows = fired.movedim(2, -1).flatten(2, -2)  # a view where channels are last
        return _horner(_eights(rows)).transpose(2, 3).flatten(2)
    rows = fired.flatten(2)
    rows = functional.pad(rows, (0, -rows.shape[2] % 8))
    return _horner(_eights(rows))


def _eights(rows: Tensor) -> tuple[Tensor, ...]:
    """Return the first, second, ... eighth of every eight along axis 2."""
    return tuple(rows[:, :, bit::8] for bit in range(8))


def _horner(bits: tuple[Tensor, ...]) -> Tensor:
    """Return the numbers with these binary digits, the lowest first."""
    number = bits[-1].clone(memory_format=torch.contiguous_format)
    for bit in bits[-2::-1]:
        torch.add(bit, number, alpha=2, out=number)
    return number
