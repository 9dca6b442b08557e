"""Random crops, flips and cutout of whole batches; a function of (seed, epoch, iteration)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from eiplatform.config import DatasetConfig
from eiplatform.errors import ConfigError

__all__ = ["Draws", "augment", "draw"]

_PURPOSE = 0xA6  # sets these random numbers apart from those that order the samples


class Draws(NamedTuple):
    """Random numbers in [0, 1) that decide how each sample is varied.

    Attributes
    ----------
    crop, cutout : array, shape (n, 2)
        Position (row, column).
    flip : array, shape (n,)
    """

    crop: np.ndarray
    cutout: np.ndarray
    flip: np.ndarray

    def take(self, index: np.ndarray) -> Draws:
        """Return those of these samples."""
        return Draws(self.crop[index], self.cutout[index], self.flip[index])


def draw(n_samples: int, seed: int, epoch: int, iteration: int) -> Draws:
    """Draw for a batch; the same whatever is in it, and whether or not each number is used.

    Examples
    --------
    >>> bool((draw(3, 1, 2, 5).flip == draw(3, 1, 2, 5).flip).all())
    True
    """
    numbers = np.random.default_rng([seed, epoch, iteration, _PURPOSE]).random((n_samples, 5))
    return Draws(numbers[:, 0:2], numbers[:, 2:4], numbers[:, 4])


def augment(x: Tensor, draws: Draws, dataset: DatasetConfig) -> Tensor:
    """Vary a batch as the configuration says; all steps of a sequence in the same way.

    ``crop`` shifts an image by up to `crop_padding` pixels, zeros move in; ``flip`` mirrors
    every second image, left to right; ``cutout`` sets a square to zero whose centre is
    anywhere in the image.

    Parameters
    ----------
    x : Tensor, shape (B, ..., height, width)
        Any dtype.
    draws : Draws
        Of these B samples.
    dataset : DatasetConfig
        Its `augment`, `crop_padding` and `cutout_size` are used.

    Returns
    -------
    Tensor, like `x`
        No value that was not in `x`, but zero.

    Raises
    ------
    ConfigError
        If the samples are not images.

    Examples
    --------
    >>> x = torch.ones(2, 1, 4, 4)
    >>> augment(x, draw(2, 1, 1, 0), DatasetConfig(augment=("crop",), crop_padding=1)).shape
    torch.Size([2, 1, 4, 4])
    """
    if not dataset.augment:
        return x
    if x.ndim < 4:
        raise ConfigError("these data are not images", where="dataset.augment", valid="[]")
    shape = x.shape
    x = x.flatten(1, -3)
    steps = {"crop": _crop, "flip": _flip, "cutout": _cutout}
    for name in dataset.augment:
        x = steps[name](x, draws, dataset)
    return x.reshape(shape)


def _crop(x: Tensor, draws: Draws, dataset: DatasetConfig) -> Tensor:
    pad = dataset.crop_padding
    height, width = x.shape[-2:]
    start = _on(np.floor(draws.crop * (2 * pad + 1)).astype(np.int64), x)
    rows = start[:, 0, None] + torch.arange(height, device=x.device)
    columns = start[:, 1, None] + torch.arange(width, device=x.device)
    padded = functional.pad(x, (pad, pad, pad, pad))
    batch = torch.arange(len(x), device=x.device)[:, None, None, None]
    channel = torch.arange(x.shape[1], device=x.device)[None, :, None, None]
    return padded[batch, channel, rows[:, None, :, None], columns[:, None, None, :]]


def _flip(x: Tensor, draws: Draws, dataset: DatasetConfig) -> Tensor:
    del dataset
    return torch.where(_on(draws.flip < 0.5, x)[:, None, None, None], x.flip(-1), x)


def _cutout(x: Tensor, draws: Draws, dataset: DatasetConfig) -> Tensor:
    size = dataset.cutout_size
    inside = []
    for axis, length in enumerate(x.shape[-2:]):
        start = np.floor(draws.cutout[:, axis] * length).astype(np.int64) - size // 2
        distance = torch.arange(length, device=x.device) - _on(start, x)[:, None]
        inside.append((distance >= 0) & (distance < size))
    hole = inside[0][:, :, None] & inside[1][:, None, :]
    return x.masked_fill(hole[:, None], 0)


def _on(values: np.ndarray, x: Tensor) -> Tensor:
    return torch.from_numpy(values).to(x.device)
