"""Tables of (sample, neuron) that may be larger than the memory, gone through in blocks of rows.

A large table lies in a temporary file without a name, in the directory that ``TMPDIR`` says; it
vanishes with the array, or with the process.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ROWS_BYTES", "SPILL_BYTES", "empty_table", "row_blocks_of"]

SPILL_BYTES = 2**26
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


def release(table: npt.NDArray[Any]) -> None:
    """Give the memory of a table that lies in a file back to the system; its values stay."""
    mapped = getattr(table, "_mmap", None)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)
