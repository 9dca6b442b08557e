"""Writing to disk so that a crash leaves the old file or the new one, never half of one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eiplatform.errors import ConfigError, OutputExistsError, StoreError
from eiplatform.locks import hold, private_directory
from eiplatform.untrusted import parse_json, read_text

__all__ = [
    "OWNED",
    "atomic_directory",
    "atomic_write",
    "check_directory",
    "claim",
    "claim_file",
    "claimed",
    "content_hash",
    "read_json",
    "sha256_of",
    "write_bytes",
    "write_json",
]

OWNED = ".eiplatform"
"""Marker of directories that eiplatform made, and hence may empty if asked to overwrite; locked by whoever writes."""
_MARK = "made by eiplatform; --overwrite may delete this directory\n"


def atomic_write(
    path: Path, write: Callable[[Path], object], meanwhile: Callable[[Path], object] | None = None
) -> None:
    """Call `write` on a temporary name in a folder beside `path`, flush it to the disk, then rename.

    What killed processes left of writing `path` is removed.

    Parameters
    ----------
    path : Path
        Final name.
    write : callable
        Receives the temporary path and must leave a complete, closed file there.
    meanwhile : callable, optional
        Reads the complete file while it is being flushed.
    """
    with private_directory(path.parent, f".{path.name}.") as folder:
        temporary = folder / path.name
        write(temporary)
        with temporary.open("rb+") as handle:
            if meanwhile is None:
                os.fsync(handle.fileno())
            else:
                with ThreadPoolExecutor(1) as pool:
                    flushed = pool.submit(os.fsync, handle.fileno())
                    meanwhile(temporary)
                    flushed.result()
        temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the rename itself must survive a power cut
    finally:
        os.close(directory)


@contextmanager
def atomic_directory(path: Path, *, overwrite: bool, owned: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """Give a temporary directory beside `path`, which takes its name if all goes well and else vanishes.

    What killed processes left of writing `path` is removed.

    Parameters
    ----------
    path, overwrite, owned
        As in :func:`check_directory`.  An earlier result is deleted only when the new one is complete.

    Raises
    ------
    OutputExistsError
        If the place is taken.
    """
    check_directory(path, overwrite=overwrite, owned=owned)
    path.parent.mkdir(parents=True, exist_ok=True)
    with private_directory(path.parent, f".{path.name}.") as folder:
        temporary = folder / path.name
        temporary.mkdir()
        if owned is None:
            (temporary / OWNED).write_text(_MARK)
        yield temporary
        if path.is_dir():
            shutil.rmtree(path)
        temporary.rename(path)


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write `content` atomically, making the directory if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, lambda temporary: temporary.write_bytes(content))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as indented JSON, atomically."""
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    atomic_write(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    StoreError
        If the file is missing or no JSON object.
    """
    if path.exists() and not path.is_file():
        raise StoreError("is not a plain file", where=str(path))
    value = parse_json(read_text(path, StoreError), where=path)
    if not isinstance(value, dict):
        raise StoreError("not a JSON object", where=str(path))
    return value


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def content_hash(value: Any) -> str:
    """Return a short hash of JSON-like data, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def claim_file(path: Path, *, overwrite: bool, suffix: str | None = None) -> Path:
    """Check, before anything is computed, that a result may be written to `path`.

    Raises
    ------
    ConfigError
        If its name ends otherwise than in `suffix`.
    OutputExistsError
        If it is a directory, or exists and `overwrite` is false.
    """
    if path.is_dir():
        raise OutputExistsError("is a directory, a file is needed", where=str(path), remedy="choose another path")
    if suffix is not None and path.suffix != suffix:
        raise ConfigError("names a file of another kind", where=str(path), valid=f"a name that ends in {suffix}")
    if path.exists() and not overwrite:
        raise OutputExistsError(
            "exists already", where=str(path), remedy=("choose another path", "pass overwrite=True")
        )
    return path


def check_directory(path: Path, *, overwrite: bool, owned: Callable[[Path], bool] | None = None) -> bool:
    """Raise unless a result may be written to the directory `path`; return whether one is to be deleted for it.

    Parameters
    ----------
    path : Path
    overwrite : bool
        Whether an earlier result of eiplatform there may be deleted.
    owned : callable, optional
        Tells whether eiplatform made a directory; default: by the marker in it.

    Raises
    ------
    OutputExistsError
        If the place is taken.
    """
    if path.is_file():
        raise OutputExistsError("is a file, a directory is needed", where=str(path), remedy="choose another path")
    if path.is_dir() and any(entry.name != OWNED for entry in path.iterdir()):
        if not overwrite:
            raise OutputExistsError(
                "output directory is not empty", where=str(path), remedy=("choose another path", "pass overwrite=True")
            )
        if not (owned(path) if owned else (path / OWNED).is_file()):
            raise OutputExistsError(
                "will not overwrite a directory that eiplatform did not make",
                where=str(path),
                remedy=("choose another path", "delete it yourself"),
            )
        return True
    return False


@contextmanager
def claimed(path: Path, *, overwrite: bool, resume: bool = False) -> Iterator[Path]:
    """Hold a directory, alone, that is empty and ours, or that is ours and gone on with.

    Parameters
    ----------
    path : Path
        Directory to create, or to empty.
    overwrite : bool
        Whether an earlier result of eiplatform there may be deleted.  A directory that
        eiplatform did not make is never deleted.
    resume : bool
        Leave what is there.

    Raises
    ------
    OutputExistsError
        If the place is taken, or another process writes there.
    """
    handle = claim(path, overwrite=overwrite, resume=resume)
    try:
        yield path
    finally:
        os.close(handle)


def claim(path: Path, *, overwrite: bool, resume: bool = False) -> int:
    """Do what :func:`claimed` does, until the returned descriptor is closed."""
    if (path / OWNED).is_file():
        os.close(hold(path / OWNED))  # whoever is writing there keeps it, and nothing else is advised
    if not resume:
        check_directory(path, overwrite=overwrite)
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = hold(path / OWNED)
    except OutputExistsError:
        raise
    except OSError as error:
        raise OutputExistsError(
            f"cannot create the output directory ({error.strerror})", where=str(path), remedy="choose another path"
        ) from None
    try:
        if not resume:
            # Again, now that it is ours alone; the mark stays, since it is what is locked.
            inside = [entry for entry in path.iterdir() if entry.name != OWNED]
            if inside and not overwrite:
                check_directory(path, overwrite=False)
            for entry in inside:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        os.ftruncate(handle, 0)
        os.pwrite(handle, _MARK.encode(), 0)
    except BaseException:
        os.close(handle)
        raise
    return handle
