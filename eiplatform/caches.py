"""Where compiled programs are kept: a folder that may be deleted at any time and is made again."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from functools import cache
from pathlib import Path

from eiplatform.errors import ConfigError

__all__ = ["CACHE_VARIABLE", "cache_directory"]

CACHE_VARIABLE = "EIPLATFORM_CACHE"
"""Environment variable that names the folder."""


def cache_directory() -> Path:
    """Return the folder of everything that may be deleted and made again, which can be written to.

    ``$EIPLATFORM_CACHE``, else ``$XDG_CACHE_HOME/eiplatform``, else ``~/.cache/eiplatform``; where that cannot be
    written to, a temporary folder of this user, and standard error says so.

    Raises
    ------
    ConfigError
        If the folder that ``EIPLATFORM_CACHE`` names cannot be written to: it was asked for, so it is not replaced.
    """
    if named := os.environ.get(CACHE_VARIABLE):
        path = Path(named)
        if (why := _unwritable(path)) is not None:
            raise ConfigError(
                f"cannot be written to ({why})", where=f"{CACHE_VARIABLE}={named}", remedy="name another folder"
            )
        return path
    base = os.environ.get("XDG_CACHE_HOME")
    return _usual_or_temporary(base)


@cache
def _usual_or_temporary(base: str | None) -> Path:
    try:
        usual = (Path(base) if base else Path.home() / ".cache") / "eiplatform"
        why = _unwritable(usual)
    except RuntimeError:  # a user without a home
        usual, why = Path("~/.cache/eiplatform"), "this user has no home directory"
    if why is None:
        return usual
    made = _private()
    print(  # noqa: T201
        f"eiplatform: {usual} cannot be written to ({why}): compiled programs are kept in {made} for now. "
        f"Name a lasting folder in {CACHE_VARIABLE}.",
        file=sys.stderr,
    )
    return made


def _unwritable(path: Path) -> str | None:
    """Return why a folder cannot be made or written to; None if it can."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return error.strerror or str(error)
    return None if os.access(path, os.W_OK | os.X_OK) else "permission denied"


def _private() -> Path:
    """Return a temporary folder that nobody else can write to: programs in it are run."""
    path = Path(tempfile.gettempdir()) / f"eiplatform-cache-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        facts = path.lstat()
        if stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid() and not facts.st_mode & 0o077:
            return path
    except OSError:
        pass  # something else has that name
    return Path(tempfile.mkdtemp(prefix="eiplatform-cache-"))
