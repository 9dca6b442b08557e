"""Going through large variables in pieces of bounded size, where there is space for the result."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import xarray as xr

from eiplatform.errors import StoreError

__all__ = ["BLOCK_BYTES", "require_space", "row_blocks", "sample_blocks", "slabs", "time_pieces"]

BLOCK_BYTES = 2**24
"""Largest piece of one variable that is held at a time, unless one row is larger."""


def row_blocks(shape: Sequence[int], itemsize: int, budget: int | None = None) -> Iterator[slice]:
    """Yield slices of the first dimension that cover it, each of at most `budget` bytes.

    Parameters
    ----------
    shape : sequence of int
    itemsize : int
        Bytes per element.
    budget : int, optional
        Default: BLOCK_BYTES.  A single row may exceed it.

    Examples
    --------
    >>> list(row_blocks((5, 10), 4, budget=80))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    rows = max(1, (BLOCK_BYTES if budget is None else budget) // max(1, itemsize * math.prod(shape[1:])))
    for start in range(0, shape[0], rows):
        yield slice(start, min(start + rows, shape[0]))


def sample_blocks(data: xr.Dataset, budget: int | None = None) -> Iterator[slice]:
    """Yield slices of the samples of a population, such that each of its signals stays within `budget`."""
    signals = [variable for variable in data.data_vars.values() if variable.dims[:1] == ("sample",)]
    largest = max(signals, key=lambda variable: variable.nbytes, default=data["sample"])
    yield from row_blocks(largest.shape, largest.dtype.itemsize, budget)


def slabs(shape: Sequence[int], itemsize: int, budget: int | None = None) -> Iterator[tuple[slice, ...]]:
    """Yield indices that cover an array in C order, each of at most `budget` bytes, however long a row is.

    Parameters
    ----------
    shape, itemsize, budget
        As in :func:`row_blocks`.

    Examples
    --------
    >>> [block[1] for block in slabs((1, 5, 10), 4, budget=80)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    most = BLOCK_BYTES if budget is None else budget
    if len(shape) < 2 or itemsize * math.prod(shape[1:]) <= most:
        whole = tuple(slice(0, size) for size in shape[1:])
        yield from ((rows, *whole) for rows in row_blocks(shape, itemsize, most)) if shape else [()]
        return
    for row in range(shape[0]):
        yield from ((slice(row, row + 1), *rest) for rest in slabs(shape[1:], itemsize, most))


def time_pieces(data: xr.Dataset, budget: int | None = None) -> Iterator[xr.Dataset]:
    """Yield a population in pieces whose signals stay within `budget` and whose sum rules can be checked.

    Only a circuit's recording is cut (along time; its spikes apart): a network's voltages have to follow from
    one another, so that the steps of a sample belong together.

    Parameters
    ----------
    data : xarray.Dataset
    budget : int, optional
        Bytes; default: BLOCK_BYTES.
    """
    if data.attrs.get("dt_units") != "ms" or "membrane_decay" in data.attrs or "time" not in data.dims:
        yield data
        return
    dense, spikes = data.drop_dims("spike", errors="ignore"), data.drop_dims("time")
    largest = max((variable.nbytes for variable in dense.data_vars.values()), default=1)
    for rows in row_blocks((data.sizes["time"],), -(-largest // max(1, data.sizes["time"])), budget):
        yield dense.isel(time=rows)
    for rows in row_blocks((spikes.sizes.get("spike", 0),), 8, budget):
        yield spikes.isel(spike=rows)


def require_space(place: Path, needed: int) -> None:
    """Raise before anything is written if it cannot fit.

    Parameters
    ----------
    place : Path
        Directory to write to; the nearest one that exists is asked.
    needed : int
        Bytes.

    Raises
    ------
    StoreError
        If less is free.
    """
    there = next(folder for folder in (place, *place.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if free < 1.05 * needed + 2**20:
        raise StoreError(
            f"needs {needed / 1e6:.1f} MB and {free / 1e6:.1f} MB are free",
            where=str(place),
            remedy=("free some space", "choose another path"),
        )
