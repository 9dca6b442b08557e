"""Convolution by the way that costs least: a library's, or one matrix product where maps are tiny.

On maps that are no larger than the kernel most of the kernel lies on padding.  There every
output sees every input, and the convolution is a dense layer whose matrix repeats the
kernel's entries: fewer operations, in one product.  Libraries are at their slowest there.

Along an axis on which the kernel has one place, a stride only skips places.  They are left out
before the product: fewer numbers are read, and oneDNN's weight gradient of strided 1x1 kernels,
which writes past its memory on processors without AVX-512 (docs/performance.md), is not called.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["convolve"]

Pair = tuple[int, int]


def convolve(x: Tensor, weight: Tensor, stride: Pair = (1, 1), padding: Pair = (0, 0), groups: int = 1) -> Tensor:
    """Convolve maps; the same as :func:`torch.nn.functional.conv2d` up to rounding.

    Parameters
    ----------
    x : Tensor, shape (batch, channels, rows, columns)
    weight : Tensor, shape (channels out, channels per group, kernel rows, kernel columns)
    stride, padding : (int, int)
        Zeros are padded.
    groups : int

    Returns
    -------
    Tensor, shape (batch, channels out, rows out, columns out)
        Channels last in memory.

    Examples
    --------
    >>> x, weight = torch.rand(2, 3, 2, 2), torch.rand(4, 3, 3, 3)
    >>> same = torch.nn.functional.conv2d(x, weight, padding=1)
    >>> torch.allclose(convolve(x, weight, padding=(1, 1)), same, rtol=1e-4)
    True
    """
    x, stride, padding = skipped(x, (weight.shape[2], weight.shape[3]), stride, padding)
    x = x.contiguous(memory_format=torch.channels_last)
    if groups == 1 and math.prod(x.shape[2:]) <= math.prod(weight.shape[2:]):
        return _dense(x, weight, stride, padding)
    weight = weight.contiguous(memory_format=torch.channels_last)
    few_places = groups == 1 and x.device.type == "cpu" and math.prod(x.shape[2:]) <= FEW_PLACES
    if few_places and torch.is_autocast_enabled("cpu"):
        with torch.autocast("cpu", enabled=False):
            half = torch.get_autocast_dtype("cpu")
            result: Tensor = _FewPlaces.apply(x.to(half), weight.to(half), stride, padding)  # type: ignore[no-untyped-call]
        return result
    return functional.conv2d(x, weight, None, stride, padding, 1, groups)


def skipped(x: Tensor, kernel: Pair, stride: Pair, padding: Pair) -> tuple[Tensor, Pair, Pair]:
    """Leave out the places that a strided kernel of one place never sees; return (x, stride, padding) that remain.

    Parameters
    ----------
    x : Tensor, shape (batch, channels, rows, columns)
    kernel, stride, padding : (int, int)

    Examples
    --------
    >>> x, stride, padding = skipped(torch.rand(2, 3, 5, 8), (1, 3), (2, 2), (0, 1))
    >>> x.shape[2:], stride, padding
    (torch.Size([3, 8]), (1, 2), (0, 1))
    """
    leave = [k == 1 and s > 1 for k, s in zip(kernel, stride, strict=True)]
    if not any(leave):
        return x, stride, padding
    rows, columns = (p if here else 0 for p, here in zip(padding, leave, strict=True))
    if rows or columns:
        x = functional.pad(x, (columns, columns, rows, rows))
    by = [s if here else 1 for s, here in zip(stride, leave, strict=True)]
    left = [(1, 0) if here else (s, p) for s, p, here in zip(stride, padding, leave, strict=True)]
    return x[:, :, :: by[0], :: by[1]], (left[0][0], left[1][0]), (left[0][1], left[1][1])


FEW_PLACES = 16
"""Maps up to this many places: in bfloat16 on a CPU the weights' gradient is faster as a product of patches."""


def _dense(x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
    kernel, places = (weight.shape[2], weight.shape[3]), (x.shape[2], x.shape[3])
    (rows, columns), taps = _taps(places, kernel, stride, padding)
    n_out, n_in = weight.shape[:2]
    # (input place * output place, tap) x (tap, in * out): every entry is one tap or zero, nothing is rounded.
    spread = taps.to(weight) @ weight.permute(2, 3, 1, 0).reshape(-1, n_in * n_out)
    matrix = spread.view(-1, rows * columns, n_in, n_out).transpose(1, 2).reshape(-1, rows * columns * n_out)
    y = x.permute(0, 2, 3, 1).flatten(1) @ matrix
    return y.view(len(x), rows, columns, len(weight)).permute(0, 3, 1, 2)


@lru_cache(maxsize=64)
def _taps(places: Pair, kernel: Pair, stride: Pair, padding: Pair) -> tuple[Pair, Tensor]:
    """Return the size of the output, and which tap connects input and output: (in places * out places, taps)."""
    out = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in zip(places, kernel, stride, padding, strict=True))
    taps = torch.zeros(*places, *out, *kernel)
    for position in product(*map(range, (*places, *out))):
        x, y = position[:2], position[2:]
        tap = tuple(i + p - o * s for i, p, o, s in zip(x, padding, y, stride, strict=True))
        if all(0 <= t < k for t, k in zip(tap, kernel, strict=True)):
            taps[(*position, *tap)] = 1
    return (out[0], out[1]), taps.flatten(4).flatten(0, 3)


class _FewPlaces(torch.autograd.Function):
    """A convolution whose weights' gradient is one product of the output's gradient and the patches."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(x, weight, None, stride, padding)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        grad = grads[0].contiguous(memory_format=torch.channels_last)
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = torch.ops.aten.convolution_backward(
                grad, x, weight, None, ctx.stride, ctx.padding, (1, 1), False, (0, 0), 1, (True, False, False)
            )[0]
        if ctx.needs_input_grad[1]:
            patches = _patches(x, (weight.shape[2], weight.shape[3]), ctx.stride, ctx.padding)
            rows = grad.permute(0, 2, 3, 1).flatten(0, 2)
            grad_weight = (rows.T @ patches).view(len(weight), *weight.shape[2:], -1).permute(0, 3, 1, 2)
        return grad_x, grad_weight, None, None


def _patches(x: Tensor, kernel: Pair, stride: Pair, padding: Pair) -> Tensor:
    """Return (batch * output places, kernel rows * kernel columns * channels) of maps with channels last."""
    padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, padding[1], padding[1], padding[0], padding[0]))
    windows = padded.unfold(1, kernel[0], stride[0]).unfold(2, kernel[1], stride[1])
    return windows.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)
