"""The formats in which a recording can be written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eiplatform.errors import ConfigError, choose
from eiplatform.store.writer import RecordingWriter
from eiplatform.store.zarr_writer import ZarrWriter

__all__ = ["FORMATS", "check_format", "make_writer"]

FORMATS = ("hdf5", "zarr")
"""HDF5 shards, which survive a crash and can be resumed, or one Zarr v3 store."""


def check_format(name: str, *, resume: bool = False, n_ranks: int = 1) -> None:
    """Raise unless a recording can be written so.

    Raises
    ------
    UnknownNameError
        For a format that does not exist.
    ConfigError
        If Zarr is asked to resume or to take several processes.
    MissingDependencyError
        If zarr is not installed.
    """
    choose(name, FORMATS, "store")
    if name == "zarr" and (resume or n_ranks > 1):
        raise ConfigError(
            "a Zarr store cannot be resumed" if resume else "a Zarr store is written by one process",
            where="--store zarr",
            remedy="record it as hdf5 and export it: 'eiplatform export zarr REC --out REC.zarr'",
        )


def make_writer(
    name: str,
    path: Path | str,
    *,
    source: Mapping[str, Any],
    config: Mapping[str, Any],
    overwrite: bool = False,
    resume: bool = False,
    rank: int = 0,
    checked_samples: int | None = None,
) -> RecordingWriter | ZarrWriter:
    """Begin a recording in a format of :data:`FORMATS`.

    Parameters
    ----------
    name : str
    path, source, config, overwrite, resume, rank, checked_samples
        As of :class:`~eiplatform.store.RecordingWriter`.
    """
    check_format(name, resume=resume, n_ranks=rank + 1)
    about: dict[str, Any] = {"source": source, "config": config, "overwrite": overwrite}
    if name == "zarr":
        return ZarrWriter(path, **about, checked_samples=checked_samples)
    return RecordingWriter(path, **about, resume=resume, rank=rank, checked_samples=checked_samples)
