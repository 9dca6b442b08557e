"""Writing HDF5 files where the disk may fill: an error, not a crash of the process."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["GuardedFile", "guarded"]


class GuardedFile(io.FileIO):
    """A file that takes note of its first failed write and swallows all later ones.

    The HDF5 library flushes again when it closes a file whose write has failed, and crashes when
    that fails too.  Here it can close; what it left is thrown away and the error is raised.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of `data`, or nothing any more after an error."""
        left = memoryview(data).cast("B")
        total = len(left)
        while len(left) and self.error is None:
            try:
                left = left[super().write(left) :]
            except OSError as error:
                self.error = error
        return total

    def truncate(self, size: int | None = None) -> int:
        """Set the length, or leave it after an error."""
        if self.error is None:
            try:
                return super().truncate(size)
            except OSError as error:
                self.error = error
        return size or 0

    def check(self) -> None:
        """Raise the error that a write met."""
        if self.error is not None:
            raise self.error


@contextmanager
def guarded(path: Path) -> Iterator[GuardedFile]:
    """Open `path` for h5py or h5netcdf to write to; raise on leaving if a write failed.

    Raises
    ------
    OSError
        Of the first write that failed, e.g. because the disk is full.
    """
    with GuardedFile(path) as file:
        yield file
        file.check()
