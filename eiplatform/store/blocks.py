"""Going through large variables in pieces of bounded size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import xarray as xr

__all__ = ["BLOCK_BYTES", "row_blocks", "sample_blocks"]

BLOCK_BYTES = 2**24
"""Largest piece of one variable that is held at a time, unless one row is larger."""


def row_blocks(shape: Sequence[int], itemsize: int, budget: int = BLOCK_BYTES) -> Iterator[slice]:
    """Yield slices of the first dimension that cover it, each of at most `budget` bytes.

    Parameters
    ----------
    shape : sequence of int
    itemsize : int
        Bytes per element.
    budget : int
        A single row may exceed it.

    Examples
    --------
    >>> list(row_blocks((5, 10), 4, budget=80))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    rows = max(1, budget // max(1, itemsize * math.prod(shape[1:])))
    for start in range(0, shape[0], rows):
        yield slice(start, min(start + rows, shape[0]))


def sample_blocks(data: xr.Dataset, budget: int = BLOCK_BYTES) -> Iterator[slice]:
    """Yield slices of the samples of a population, such that each of its signals stays within `budget`."""
    signals = [variable for variable in data.data_vars.values() if variable.dims[:1] == ("sample",)]
    largest = max(signals, key=lambda variable: variable.nbytes, default=data["sample"])
    yield from row_blocks(largest.shape, largest.dtype.itemsize, budget)
