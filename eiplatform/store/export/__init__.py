"""Recordings as other programs read them: NWB, SONATA, Zarr, tables."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

from eiplatform.errors import ConfigError, choose

__all__ = ["TARGETS", "export_recording"]

TARGETS = {
    "csv": ("eiplatform.store.export.frames", "export_csv"),
    "nwb": ("eiplatform.store.export.nwb", "to_nwb"),
    "sonata": ("eiplatform.store.export.sonata", "export_sonata"),
    "zarr": ("eiplatform.store.export.zarr", "export_zarr"),
}
"""Where the writer of each format is; imported when it is used."""

_NOT_OPTIONS = ("path", "source", "out", "progress", "about")


def export_recording(target: str, path: str | Path, out: str | Path, **options: Any) -> Path:
    """Write a recording in another format.

    Parameters
    ----------
    target : str
        A key of :data:`TARGETS`.
    path, out : str or Path
        The recording, and what to write.
    **options
        Of the target's own function; None (or False) leaves an option as it is.

    Raises
    ------
    UnknownNameError
        If no format has that name.
    ConfigError
        If the format has no such option.
    """
    module, name = TARGETS[choose(target, TARGETS, "format")]
    write = getattr(importlib.import_module(module), name)
    given = {key: value for key, value in options.items() if value is not None and value is not False}
    known = inspect.signature(write).parameters
    if "progress" not in known:
        given.pop("progress", None)
    for key in given:
        if key not in known:
            valid = [f"{option}=..." for option in known if option not in _NOT_OPTIONS]
            raise ConfigError(f"export to {target} takes no {key}=...", valid=valid)
    made: Path = write(path, out, **given)
    return made
