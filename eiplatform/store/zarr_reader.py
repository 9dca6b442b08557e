"""Recordings in Zarr v3 as the other forms are read: lazily, and not without what is missing."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field
from xarray.backends import BackendArray
from xarray.core import indexing

from eiplatform.errors import StoreError
from eiplatform.files import read_json
from eiplatform.store.blocks import slabs
from eiplatform.store.optional import need
from eiplatform.untrusted import checked, inside, reading

__all__ = ["ZarrStore", "zarr_manifest"]

ROOT = "zarr.json"
REMEDY = "copy it again, or record it again"
_LARGEST_CHUNK = 2**28


class _Configuration(BaseModel):
    chunk_shape: list[Annotated[int, Field(ge=1, lt=_LARGEST_CHUNK)]]


class _Grid(BaseModel):
    name: Literal["regular"]
    configuration: _Configuration


class _Codec(BaseModel):
    name: Literal["bytes", "vlen-utf8", "zstd", "crc32c", "gzip", "blosc"]


class _Array(BaseModel):
    """What an array's ``zarr.json`` must say to be read."""

    model_config = ConfigDict(strict=True, extra="allow")

    zarr_format: Literal[3]
    shape: list[Annotated[int, Field(ge=0, lt=2**53)]]
    data_type: str
    chunk_grid: _Grid
    codecs: list[_Codec]
    dimension_names: list[str] | None = None
    attributes: dict[str, Any] = {}
    storage_transformers: list[Any] = Field([], max_length=0)


def zarr_manifest(path: Path, form: str) -> dict[str, Any] | None:
    """Return the manifest in the attributes of a Zarr store of that format, or None if it is something else.

    Raises
    ------
    StoreError
        If an earlier version wrote it, which could not read it again.
    """
    file = path / ROOT
    attrs = read_json(file).get("attributes", {}) if file.is_file() else {}
    if not isinstance(attrs, dict):
        raise StoreError("damaged: its attributes are not keys", where=str(file), remedy=REMEDY)
    if attrs.get("format") != form:
        return None
    if "zarr" not in attrs:
        raise StoreError(
            "a Zarr store that an earlier version of eiplatform exported",
            where=str(path),
            remedy=f"export it again, or open it with xarray.open_datatree({str(path)!r}, engine='zarr')",
        )
    _only_plain_files(path)
    return dict(attrs)


def _only_plain_files(path: Path) -> None:
    """Raise if something in a store is neither a file nor a folder: links lead elsewhere, reading a pipe never ends."""
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            kind = os.lstat(f"{folder}/{name}").st_mode
            if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                what = "a link to elsewhere" if stat.S_ISLNK(kind) else "neither a file nor a folder"
                raise StoreError(f"'{folder}/{name}' is {what}", where=str(path), remedy=REMEDY)


class ZarrStore:
    """A directory with an array per variable; it is whole or refused.

    Parameters
    ----------
    path : Path
    manifest : dict
        From :func:`zarr_manifest`.
    """

    name: ClassVar[str] = "zarr"
    part: ClassVar[str] = "array"
    divisible: ClassVar[bool] = False

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path, self.manifest = path, manifest

    def problems(self) -> dict[str, str]:
        """Return which arrays lack chunks: Zarr itself would read zeros there."""
        problems = {}
        for place, array in self._arrays():
            chunks = array["chunk_grid"]["configuration"]["chunk_shape"]
            expected = math.prod(-(-size // chunk) for size, chunk in zip(array["shape"], chunks, strict=True))
            found = sum(1 for file in (place / "c").rglob("*") if file.is_file()) if array["shape"] else 0
            found += (place / "c").is_file()
            if found != expected:
                problems[str(place.relative_to(self.path))] = f"incomplete ({found} of {expected} chunks)"
        found_here = {str(place.relative_to(self.path)) for place, _ in self._arrays()}
        expected_here = [f"{name}/{key}" for name, keys in self.manifest["zarr"]["arrays"].items() for key in keys]
        return problems | {name: "missing" for name in expected_here if name not in found_here}

    def files(self) -> list[Path]:
        """Return all files of the store."""
        return [file for file in self.path.rglob("*") if file.is_file()]

    def populations(self) -> dict[str, xr.Dataset]:
        """Return the populations; float16 is read as float32, as from HDF5."""
        need("zarr", "a Zarr store")
        found = {}
        for name in self.manifest["populations"]:
            inside(self.path, name, where=self.path / ROOT, deep=True)
            data = xr.open_zarr(self.path, group=name, chunks=None, consolidated=False)
            lazy = {key: _lazy(self.path / name / str(key), one.variable) for key, one in data.data_vars.items()}
            data = data.assign(lazy)
            data = data.assign_coords({key: coord.load() for key, coord in data.coords.items()})  # as from HDF5
            texts = {key: variable for key, variable in data.coords.items() if variable.dtype.kind in "OT"}
            plain = {key: text.copy(data=np.array(text.values.tolist(), dtype=str)) for key, text in texts.items()}
            data = data.assign_coords(plain)
            written = [key for key in self.manifest["zarr"]["arrays"][name] if key in data.data_vars]
            # A directory has no order, the recording has.
            found[name] = xr.Dataset({key: data[key] for key in written}, data.coords, data.attrs)
        return found

    def lengths(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """Return how many samples (and spikes) were written at a time."""
        lengths = self.manifest["zarr"]["lengths"]
        return {name: {dim: tuple(parts) for dim, parts in own.items()} for name, own in lengths.items()}

    def sizes(self, populations: list[str]) -> dict[str, int]:
        """Return the bytes of each population."""
        return {
            name: sum(file.stat().st_size for file in (self.path / name).rglob("*") if file.is_file())
            for name in populations
        }

    def changed(self) -> list[str]:
        """Return the arrays that fail the checksum (CRC-32C) of one of their chunks, or cannot be read."""
        root = need("zarr", "a Zarr store").open_group(self.path, mode="r")
        changed = []
        for place, _ in self._arrays():
            name = str(place.relative_to(self.path))
            try:
                array = root[name]
                for slab in slabs(array.shape, 8):
                    array[slab if slab else ...]
            except Exception:  # whatever the libraries raise about what is damaged
                changed.append(name)
        return changed

    def _arrays(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        for file in sorted(self.path.rglob(ROOT)):
            described = read_json(file)
            if described.get("node_type") == "array":
                checked(_Array, described, file, what="damaged", remedy=REMEDY)
                chunks = described["chunk_grid"]["configuration"]["chunk_shape"]
                if len(chunks) != len(described["shape"]) or math.prod(chunks) > _LARGEST_CHUNK:
                    raise StoreError(f"damaged: chunks of shape {chunks}", where=str(file), remedy=REMEDY)
                yield file.parent, described


def _lazy(place: Path, variable: xr.Variable) -> xr.Variable:
    inner = indexing.LazilyIndexedArray(_Read(place, variable))
    return xr.Variable(variable.dims, inner, variable.attrs, fastpath=True)


class _Read(BackendArray):
    """A variable whose damaged chunks raise when they are read; float16 becomes float32."""

    def __init__(self, place: Path, variable: xr.Variable) -> None:
        self._place, self._variable = place, variable
        self.shape = variable.shape
        self.dtype = np.dtype(np.float32) if variable.dtype == np.float16 else variable.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        with reading(self._place, what="a chunk is damaged", remedy=REMEDY):
            return np.asarray(self._variable[key].values, dtype=self.dtype)
