"""Reading what anybody may have written: names of files, JSON, and whatever a library parses for us.

A file that came from elsewhere may be damaged or made to do harm.  It names no file outside of its own
directory, it cannot ask for more memory than it is worth, and what is wrong with it is one clear message.
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from eiplatform.errors import EIPlatformError, StoreError
from eiplatform.locks import locked

__all__ = ["checked", "depth_of", "inside", "is_plain", "parse_json", "reading", "read_text"]

MOST_TEXT = 2**26
"""Bytes of a description (JSON, YAML) that are read."""
MOST_VALUES = 2**21
"""Values in a JSON text."""
DEEPEST = 64
"""Levels of lists and keys within each other."""
LARGEST = 2**64
"""Whole numbers are smaller than this: no identifier, seed or count needs more."""


def is_plain(name: object) -> bool:
    """Whether a name stands for something directly in a directory, whatever the operating system.

    Examples
    --------
    >>> [is_plain(name) for name in ("00000.h5", "../x", "/etc/passwd", "a/b", "c:x", "", ".")]
    [True, False, False, False, False, False, False]
    """
    return (
        isinstance(name, str)
        and 0 < len(name.encode(errors="replace")) <= 255
        and name not in (".", "..")
        and name[1:2] != ":"  # a drive
        and not any(sign in "/\\" or ord(sign) < 32 for sign in name)
    )


def inside(folder: Path, name: object, *, where: str | Path, deep: bool = False) -> Path:
    """Return the file of a name that was read from a file; it lies in `folder`.

    Parameters
    ----------
    folder : Path
    name : object
        As it was read.
    where : str or Path
        The file that names it.
    deep : bool
        Whether the name may have folders in it, e.g. ``"fc1/E"``.

    Raises
    ------
    StoreError
        If the name is not plain, or is a link that leads elsewhere.

    Examples
    --------
    >>> inside(Path("shards"), "00000.h5", where="manifest.json").as_posix()
    'shards/00000.h5'
    """
    parts = name.split("/") if deep and isinstance(name, str) else [name]
    path = folder.joinpath(*(part for part in parts if isinstance(part, str))) if all(map(is_plain, parts)) else None
    if path is not None and (path.is_symlink() or (deep and path.exists())):
        path = path if path.resolve().is_relative_to(folder.resolve()) else None
    if path is None:
        raise StoreError(
            f"names the file {str(name)[:100]!r}, which is not in its own directory",
            where=str(where),
            valid="a plain name" + (" below it" if deep else ""),
            remedy="do not use this file: it was edited, or made to do harm",
        )
    return path


@contextmanager
def reading(
    where: str | Path,
    *,
    what: str = "damaged",
    remedy: str | None = None,
    error: type[EIPlatformError] = StoreError,
) -> Iterator[None]:
    """Turn whatever a parser raises about a file into one error that names it.

    Only the reading of a file belongs inside: what is raised there is the fault of its content.

    Parameters
    ----------
    where : str or Path
    what : str
        What the file is then.
    remedy : str, optional
    error : type of EIPlatformError
    """
    try:
        yield
    except (EIPlatformError, MemoryError, ModuleNotFoundError):
        raise
    except BlockingIOError:
        raise locked(Path(where)) from None
    except Exception as found:
        if isinstance(found, OSError) and found.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # of what is written meanwhile
        told = " ".join(str(found).split())[:200] or "nothing more is known"
        kind = "" if isinstance(found, OSError | ValueError) else f"{type(found).__name__}: "
        raise error(f"{what} ({kind}{told})", where=str(where), remedy=remedy) from found


def checked(
    model: type[BaseModel],
    data: Any,
    where: str | Path,
    *,
    what: str,
    remedy: str | None = None,
    error: type[EIPlatformError] = StoreError,
) -> None:
    """Raise unless data have the form of a model.

    Raises
    ------
    EIPlatformError
        Of the type `error`; it says the first thing that is wrong.
    """
    try:
        model.model_validate(data)
    except ValidationError as found:
        first = found.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:200]
        told = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        told = f"it has no {place}" if first["type"] == "missing" else f"{place}: {told}"
        raise error(f"{what}: {told}", where=str(where), remedy=remedy) from None


def read_text(path: Path, error: type[EIPlatformError], most: int = MOST_TEXT) -> str:
    """Return the text of a file.

    Raises
    ------
    EIPlatformError
        Of the type `error`: if the file is missing, larger than `most` bytes, or no UTF-8.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size  # 0 of a pipe; more than is there would be set aside
            content = file.read(min(size or most, most) + 1)
        if len(content) > most:
            raise error(f"longer than {most} bytes", where=str(path), remedy="give another file")
        return content.decode("utf-8")
    except FileNotFoundError:
        raise error("this file does not exist", where=str(path)) from None
    except OSError as found:
        raise error(f"the file cannot be read ({found.strerror or found})", where=str(path)) from None
    except UnicodeDecodeError as found:
        raise error(f"the file is not UTF-8 text ({found})", where=str(path)) from None


def parse_json(text: str, *, where: str | Path, nan: bool = False) -> Any:
    """Parse JSON strictly: no key twice, no number without bounds, no depth without end.

    Parameters
    ----------
    text : str
    where : str or Path
        Named in errors.
    nan : bool
        Whether NaN and infinite numbers may occur.

    Raises
    ------
    StoreError

    Examples
    --------
    >>> parse_json('{"a": [1, 2.5]}', where="example")
    {'a': [1, 2.5]}
    """
    if len(text) > MOST_TEXT or sum(map(text.count, ",[{")) > MOST_VALUES:
        raise StoreError(f"more than {MOST_VALUES} values or {MOST_TEXT} bytes of JSON", where=str(where))
    try:
        value = json.loads(
            text,
            object_pairs_hook=_once,
            parse_int=_whole,
            parse_float=float if nan else _finite,
            parse_constant=float if nan else _finite,
        )
    except (ValueError, RecursionError) as error:
        told = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())[:200]
        raise StoreError(f"not readable as JSON ({told})", where=str(where)) from None
    if depth_of(value) > DEEPEST:
        raise StoreError(f"not readable as JSON (nested more than {DEEPEST} times)", where=str(where))
    return value


def depth_of(value: Any) -> int:
    """Return how many lists and mappings lie within each other, whatever the depth.

    Examples
    --------
    >>> depth_of({"a": [1, [2]]})
    3
    """
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list | tuple)]:
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return held


def _whole(text: str) -> int:
    if len(text) > 20 or abs(int(text)) >= LARGEST:
        raise ValueError(f"the number {text[:20]}.. is too large")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is not a finite number")
    return value
