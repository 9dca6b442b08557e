"""The user's project folder as a package: ``eiplatform.project.statistics.mine`` is ``statistics/mine.py`` there.

A project folder is the folder named by the environment variable ``EIPLATFORM_PROJECT``, or else the nearest
folder at or above the working directory that holds a file ``eiplatform.toml``.  Code is never taken from any
other folder.  The marker must belong to the user (or to root): nobody else can plant one above the user's work.
"""

from __future__ import annotations

import os
import sys
import warnings
from importlib import invalidate_caches
from pathlib import Path

from eiplatform.errors import ConfigError

__all__ = ["MARKER", "VARIABLE", "ForeignProjectWarning", "project_folder"]

MARKER = "eiplatform.toml"
VARIABLE = "EIPLATFORM_PROJECT"

__path__: list[str] = []


class ForeignProjectWarning(UserWarning):
    """A project marker belongs to another user, so that nothing below it is loaded."""


def project_folder() -> Path | None:
    """Return the user's project folder, or None.

    Raises
    ------
    ConfigError
        If ``EIPLATFORM_PROJECT`` names something that is not a folder.
    """
    folder = _named() if os.environ.get(VARIABLE) else _marked()
    _enter(folder)
    return folder


def _named() -> Path:
    folder = Path(os.environ[VARIABLE]).expanduser()
    if not folder.is_dir():
        raise ConfigError(
            f"{VARIABLE} names {folder}, which is not a folder",
            valid="a folder with statistics/, analyses/, figures/, circuits/, ...",
            remedy=f"create the folder, or unset {VARIABLE}",
        )
    return folder.resolve()


def _marked() -> Path | None:
    try:
        here = Path.cwd()
    except OSError:  # the working directory was deleted
        return None
    for folder in (here, *here.parents):
        try:
            owner = (folder / MARKER).stat().st_uid
        except OSError:
            continue
        if os.name == "posix" and owner not in (0, os.getuid()):
            warnings.warn(
                f"{folder / MARKER} belongs to another user: nothing of that project is loaded. "
                f"To trust it, set {VARIABLE}={folder}.",
                ForeignProjectWarning,
                stacklevel=3,
            )
            return None
        return folder
    return None


def _enter(folder: Path | None) -> None:
    """Let this package stand for a folder; forget the modules of an earlier one."""
    wanted = [] if folder is None else [str(folder)]
    if __path__ == wanted:
        return
    __path__[:] = wanted
    for name in [name for name in sys.modules if name.startswith(f"{__name__}.")]:
        del sys.modules[name]
    invalidate_caches()


project_folder()
