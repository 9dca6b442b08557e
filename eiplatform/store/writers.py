"""The formats in which a recording can be written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eiplatform.errors import ConfigError, choose
from eiplatform.store.acceptance import Writer
from eiplatform.store.memory_writer import MemoryWriter
from eiplatform.store.writer import RecordingWriter
from eiplatform.store.zarr_writer import ZarrWriter

__all__ = ["FORMATS", "Writer", "check_format", "make_writer"]

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
            where='store="zarr"',
            remedy="record it as hdf5 and export it: 'eiplatform export zarr REC --out REC.zarr'",
        )


def make_writer(
    name: str,
    path: Path | str | None,
    *,
    source: Mapping[str, Any],
    config: Mapping[str, Any],
    overwrite: bool = False,
    resume: bool = False,
    rank: int = 0,
    checked_samples: int | None = None,
) -> Writer:
    """Begin a recording in a format of :data:`FORMATS`, or in memory.

    Parameters
    ----------
    name : str
    path : path, optional
        None: in memory.
    source, config, overwrite, resume, rank, checked_samples
        As of :class:`~eiplatform.store.RecordingWriter`.
    """
    if path is None:
        if resume or rank:
            raise ConfigError("a recording in memory is made by one process, in one go", remedy="give it a path")
        return MemoryWriter(source=source, config=config, checked_samples=checked_samples)
    check_format(name, resume=resume, n_ranks=rank + 1)
    about: dict[str, Any] = {"source": source, "config": config, "overwrite": overwrite}
    if name == "zarr":
        return ZarrWriter(path, **about, checked_samples=checked_samples)
    return RecordingWriter(path, **about, resume=resume, rank=rank, checked_samples=checked_samples)
