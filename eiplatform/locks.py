"""Locks that end with their process, however it ends, and temporary folders that the next writer can clear away.

Both rest on :func:`fcntl.flock`: the system gives a lock back when its process dies, even by ``kill -9``, so that no
lock is ever stale and no process number has to be trusted.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from eiplatform.errors import OutputExistsError, StoreError

__all__ = ["LEFT", "being_written", "hold", "locked", "private_directory", "remove_leftovers"]

LEFT = ".eiplatform-tmp"
"""How the names of temporary folders end; nobody else's do."""


def hold(file: Path, what: str = "another process is writing here") -> int:
    """Lock `file`, making it if needed, until the returned descriptor is closed or the process ends.

    Raises
    ------
    OutputExistsError
        If another process holds it.  Overwriting is not offered: the other one is alive.
    """
    while True:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise OutputExistsError(
                what, where=str(file.parent), remedy=("wait until it ends", "choose another path")
            ) from None
        except OSError:
            os.close(handle)
            raise
        if _is_still(handle, file):
            return handle
        os.close(handle)  # its directory was deleted meanwhile


def being_written(file: Path) -> bool:
    """Whether a living process holds the lock `file`."""
    try:
        handle = os.open(file, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


@contextmanager
def private_directory(place: Path, prefix: str) -> Iterator[Path]:
    """Give a temporary directory of this process, and remove it at the end.

    What killed processes left there is removed first; what a living one is using stays.

    Parameters
    ----------
    place : Path
        Existing directory that it is made in.
    prefix : str
        How its name starts; the rest is random.
    """
    remove_leftovers(place)
    made, handle = _locked_directory(place, prefix)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def remove_leftovers(place: Path) -> None:
    """Remove the temporary directories in `place` that belong to processes which are dead."""
    try:
        with os.scandir(place) as entries:
            found = [entry.name for entry in entries if entry.name.endswith(LEFT)]
    except OSError:
        return
    for name in found:
        with suppress(OSError):  # another user's, or removed meanwhile
            handle = os.open(place / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(place / name, ignore_errors=True)
            finally:
                os.close(handle)


def _locked_directory(place: Path, prefix: str) -> tuple[Path, int | None]:
    while True:
        made = Path(tempfile.mkdtemp(prefix=prefix, suffix=LEFT, dir=place))
        handle = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            os.close(handle)
            if error.errno in (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL):
                return made, None  # this file system has no such locks: nobody will remove it either
            raise
        if _is_still(handle, made):
            return made, handle
        os.close(handle)  # another process took it for a leftover before it was locked


def _is_still(handle: int, path: Path) -> bool:
    """Whether `path` is still what was opened."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def locked(path: Path) -> StoreError:
    """Return the error for an HDF5 file that another process has open for writing: whole, and nothing to replace."""
    return StoreError(
        "another process has this file open for writing",
        where=str(path),
        remedy=("close it there", "wait until that process ends"),
    )
