"""Tables of (sample, neuron) that may be larger than the memory, gone through in blocks of rows.

A large table lies in a temporary file without a name, in the directory that ``TMPDIR`` says; it
vanishes with the array, or with the process.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ROWS_BYTES", "SPILL_BYTES", "empty_table", "map_rows", "release", "row_blocks_of"]

SPILL_BYTES = 2**24
"""A table larger than this lies in a file."""
ROWS_BYTES = 2**22
"""Largest block of rows of one table, in bytes, unless one row is larger."""


def empty_table(shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return an uninitialised float64 array, in a temporary file if it is large.

    Examples
    --------
    >>> empty_table((2, 3)).shape
    (2, 3)
    """
    if 8 * int(np.prod(shape)) <= SPILL_BYTES:
        return np.empty(shape)
    with tempfile.TemporaryFile(prefix="eiplatform-") as file:
        return np.memmap(file, dtype=np.float64, mode="w+", shape=shape)  # keeps the file open by itself


def row_blocks_of(*tables: npt.NDArray[Any]) -> Iterator[tuple[slice, tuple[npt.NDArray[Any], ...]]]:
    """Yield rows of tables of equal length: a slice, and that part of every table (not a copy).

    What was read of a file is given back to the system after each block.

    Parameters
    ----------
    *tables : array, shape (sample, ...)

    Examples
    --------
    >>> import numpy as np
    >>> [(rows, part.shape) for rows, (part,) in row_blocks_of(np.ones((2, 3)))]
    [(slice(0, 2, None), (2, 3))]
    """
    n_rows = len(tables[0])
    widest = max(table.itemsize * max(1, table.size // max(n_rows, 1)) for table in tables)
    size = max(1, ROWS_BYTES // widest)
    for start in range(0, n_rows, size):
        rows = slice(start, min(start + size, n_rows))
        yield rows, tuple(table[rows] for table in tables)
        for table in tables:
            release(table)


def map_rows(function: Callable[..., npt.NDArray[np.float64]], *tables: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Apply a function of rows to tables of equal length, block by block, and return the table of what it gives.

    Parameters
    ----------
    function : callable
        Takes the same rows of every table and returns as many rows; a row may depend on that row alone.
    *tables : array, shape (sample, ...)

    Returns
    -------
    array, shape (sample, ...)
        In a temporary file if it is large.

    Examples
    --------
    >>> import numpy as np
    >>> map_rows(lambda rows: rows[:, 1:] ** 2, np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[ 4.],
           [16.]])
    """
    found: npt.NDArray[np.float64] | None = None
    for rows, parts in row_blocks_of(*tables):
        made = function(*parts)
        if found is None:
            found = empty_table((len(tables[0]), *made.shape[1:]))
        found[rows] = made
        release(found)
    return np.empty(0) if found is None else found


def release(table: npt.NDArray[Any]) -> None:
    """Give the memory of a table that lies in a file back to the system; its values stay."""
    mapped = getattr(table, "_mmap", None)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)
