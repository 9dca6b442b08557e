"""Reading compressed files and archives, never more than they can be worth, and nothing to the disk."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from eiplatform.errors import EIPlatformError

__all__ = ["read_file", "read_member", "read_tar"]

OTHERS = 8
"""An archive may hold this many times the limit of a file besides what is wanted."""


def read_file(path: Path, limit: int, *, packed: bool) -> bytes:
    """Return the content of a file, uncompressed.

    Parameters
    ----------
    path : Path
    limit : int
        Bytes; more are refused while they are decompressed.
    packed : bool
        Whether it is gzipped.

    Raises
    ------
    EIPlatformError
        If it holds more.
    """
    most = limit if packed else min(limit, path.stat().st_size)
    with gzip.open(path) if packed else path.open("rb") as file:
        content: bytes = file.read(most + 1)
    if len(content) > limit:
        raise _too_much(str(path), limit)
    return content


def read_member(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """Return one file of a zip archive.

    Raises
    ------
    EIPlatformError
        If it holds more than `limit` bytes.
    """
    with archive.open(name) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise _too_much(f"{archive.filename}: {name}", limit)
    return content


def read_tar(path: Path, names: Sequence[str], limit: int) -> dict[str, bytes]:
    """Return files of a gzipped tar archive by their names without folders; links and devices are left out.

    Raises
    ------
    EIPlatformError
        If a file holds more than `limit` bytes, all before it far more, or one is missing.
    """
    found: dict[str, bytes] = {}
    with (
        gzip.open(path) as raw,
        tarfile.open(fileobj=_Bounded(raw, path, limit * (len(names) + OTHERS)), mode="r|") as tar,
    ):
        for member in tar:
            name = PurePosixPath(member.name).name
            if name not in names or not member.isreg():
                continue
            if member.size > limit:
                raise _too_much(f"{path}: {name}", limit)
            if name in found:
                raise EIPlatformError(f"the archive holds '{name}' twice", where=str(path))
            stream = tar.extractfile(member)
            found[name] = stream.read() if stream else b""
    if missing := [name for name in names if name not in found]:
        raise EIPlatformError(f"the archive does not hold {', '.join(missing)}", where=str(path))
    return {name: found[name] for name in names}


class _Bounded(io.RawIOBase):
    """A file that gives no more than some bytes in all."""

    def __init__(self, file: Any, path: Path, most: int) -> None:
        self._file: BinaryIO = file
        self._path, self._most, self._left = path, most, most

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(content)
        if self._left < 0:
            raise _too_much(str(self._path), self._most)
        return content


def _too_much(where: str, limit: int) -> EIPlatformError:
    return EIPlatformError(
        f"holds more than the {limit} bytes that it can be worth",
        where=where,
        remedy="get the file again from its source",
    )
