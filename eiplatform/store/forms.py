"""The forms in which a recording lies on the disk: a directory of shards, one packed file, a Zarr store.

A form is found by the manifest; everything that reads a recording asks it for what it needs.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

import h5py
import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.store.assemble import assemble, populations_in
from eiplatform.store.hdf5 import REMEDY, open_hdf5, open_netcdf
from eiplatform.store.packed import packed_manifest
from eiplatform.store.writer import FORMAT
from eiplatform.store.zarr_reader import ZarrStore, zarr_manifest
from eiplatform.untrusted import inside, reading

__all__ = ["Form", "form_of", "lengths_in", "manifest_at"]

Lengths = dict[str, dict[str, tuple[int, ...]]]


class Form(Protocol):
    """How one recording is stored.

    Attributes
    ----------
    name : {"shards", "packed", "zarr"}
    part : str
        What a problem concerns.
    divisible : bool
        Whether what is intact can be read without the rest.
    """

    name: ClassVar[str]
    part: ClassVar[str]
    divisible: ClassVar[bool]

    def problems(self) -> dict[str, str]:
        """Return what is wrong with each damaged or missing part, by its file."""

    def files(self) -> list[Path]:
        """Return the intact files that hold the data."""

    def populations(self) -> dict[str, xr.Dataset]:
        """Return every population of the intact parts, lazily."""

    def lengths(self) -> Lengths:
        """Return, for every population, how many samples (and spikes) each intact part holds."""

    def sizes(self, populations: list[str]) -> dict[str, int]:
        """Return the bytes that each population takes on the disk."""


class Shards:
    """A directory with an HDF5 file per shard; a shard that is damaged leaves the others readable."""

    name: ClassVar[str] = "shards"
    part: ClassVar[str] = "shard"
    divisible: ClassVar[bool] = True

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path, self.manifest = path, manifest

    def problems(self) -> dict[str, str]:
        """Return which shards are missing, truncated, or of another recording; each is opened once."""
        return self._problems

    @cached_property
    def _problems(self) -> dict[str, str]:
        problems: dict[str, str] = {}
        for shard in self.manifest["shards"]:
            file = self._file(shard)
            problem = _shard_problem(file, shard["bytes"], self.manifest["id"]) if file.is_file() else "missing"
            if problem:
                problems[shard["file"]] = problem
        return problems

    def files(self) -> list[Path]:
        """Return the intact shards."""
        problems = self.problems()
        return [self._file(shard) for shard in self.manifest["shards"] if shard["file"] not in problems]

    def _file(self, shard: dict[str, Any]) -> Path:
        return inside(self.path / "shards", shard["file"], where=self.path / "manifest.json")

    def populations(self) -> dict[str, xr.Dataset]:
        """Return the populations of all intact shards, joined."""
        return assemble(self.files())

    def lengths(self) -> Lengths:
        """Return the lengths of the intact shards."""
        parts = [lengths_in(file, populations_in(file)) for file in self.files()]
        return _by_population(parts)

    def sizes(self, populations: list[str]) -> dict[str, int]:
        """Return the bytes of each population in all intact files."""
        found = dict.fromkeys(populations, 0)
        for path in self.files():
            with open_hdf5(path) as file:
                for name in populations:
                    held = [item for item in file[name].values() if isinstance(item, h5py.Dataset)]
                    found[name] += sum(item.id.get_storage_size() for item in held)
        return found


class PackedFile(Shards):
    """All shards joined in one HDF5 file."""

    name: ClassVar[str] = "packed"

    def problems(self) -> dict[str, str]:
        """Return nothing: a packed file that can be opened is whole."""
        return {}

    def files(self) -> list[Path]:
        """Return the file."""
        return [self.path]

    def lengths(self) -> Lengths:
        """Return the lengths of the shards that were packed."""
        return _by_population([shard["lengths"] for shard in self.manifest["packed"]["shards"]])


def form_of(path: Path, manifest: dict[str, Any]) -> Form:
    """Return the form of the recording with this manifest."""
    if "zarr" in manifest:
        return ZarrStore(path, manifest)
    return PackedFile(path, manifest) if "packed" in manifest else Shards(path, manifest)


def manifest_at(path: Path) -> dict[str, Any] | None:
    """Return the manifest inside a packed file or a Zarr store, or None if `path` is something else."""
    return packed_manifest(path) if path.is_file() else zarr_manifest(path, FORMAT)


def lengths_in(file: Path, populations: list[str]) -> dict[str, dict[str, int]]:
    """Return the length of the dimensions along which shards continue one another, per population."""
    with open_netcdf(file) as shard, reading(file, remedy=REMEDY):
        held = {name: shard[name].dimensions for name in populations}
        return {
            name: {dim: int(dims[dim].size) for dim in ("sample", "spike") if dim in dims}
            for name, dims in held.items()
        }


def _by_population(parts: list[dict[str, dict[str, int]]]) -> Lengths:
    return {name: {dim: tuple(part[name][dim] for part in parts) for dim in parts[0][name]} for name in parts[0]}


def _shard_problem(file: Path, expected: int, recording: str) -> str | None:
    """Return what is wrong with one shard; a foreign one also has another size, so its kind comes first."""
    found = file.stat().st_size
    try:
        with open_hdf5(file) as opened:
            if opened.attrs.get("recording_id") != recording:
                return "of another recording"
    except StoreError as error:
        if found == expected or isinstance(error.__context__, BlockingIOError):  # held by its writer
            return error.what
    if found < expected:
        return f"truncated ({found} of {expected} bytes)"
    return f"longer than it was ({found} instead of {expected} bytes)" if found > expected else None
