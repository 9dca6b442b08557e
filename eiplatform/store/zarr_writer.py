"""Writing a recording as Zarr v3, for object stores and clusters.

One group per population with the variables, coordinates and attributes of the HDF5 shards; plain
``xarray.open_datatree(path, engine="zarr")`` opens it, and so does :func:`eiplatform.open`.  Every
chunk carries its CRC-32C, and chunks of zeros are written too, so that a lost one is noticed.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.files import atomic_directory, read_json
from eiplatform.store.acceptance import Acceptance, Writer
from eiplatform.store.attributes import check_source
from eiplatform.store.blocks import slabs
from eiplatform.store.chosen import plain
from eiplatform.store.optional import need
from eiplatform.store.provenance import provenance
from eiplatform.store.reduced import MERGED, is_reduced, merge
from eiplatform.store.writer import FORMAT, first_manifest

__all__ = ["ZarrWriter"]

_GROWING = ("sample", "spike")
_EVENTS = 2**16
"""Fewest spikes of a chunk, however few the first piece holds."""


class ZarrWriter(Writer):
    """Write one recording as Zarr v3, piece by piece: what :class:`RecordingWriter` does as HDF5.

    Everything is written under a temporary name; the store appears when it is complete, and an
    interrupted one cannot be resumed.

    Parameters
    ----------
    path : str or Path
        Directory, e.g. ``recording.zarr``.
    source, config : mapping
        As of :class:`eiplatform.store.RecordingWriter`.
    overwrite : bool
        Whether an earlier Zarr store of eiplatform there may be deleted.
    checked_samples : int, optional
        Check the sum rules on this many samples of every piece, spread evenly; default: on all.

    Raises
    ------
    MissingDependencyError
        If zarr is not installed.
    OutputExistsError
        If the place is taken.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        source: Mapping[str, Any],
        config: Mapping[str, Any],
        overwrite: bool = False,
        checked_samples: int | None = None,
    ) -> None:
        self._zarr = need("zarr", "a Zarr store")
        self.path = Path(path)
        check_source(source, str(path))
        self.attrs = first_manifest(source, config, provenance()) | {"status": "complete"}
        self._acceptance = Acceptance(self.path, checked_samples)
        self._started = time.monotonic()
        self._states: dict[str, xr.Dataset] = {}
        self._lengths: dict[str, dict[str, list[int]]] = {}
        self._arrays: dict[str, list[str]] = {}
        self._shards: list[dict[str, Any]] = []
        self._place: AbstractContextManager[Path] = atomic_directory(self.path, overwrite=overwrite, owned=_ours)
        self._temporary = self._place.__enter__()

    def append(self, populations: Mapping[str, xr.Dataset], index: int | None = None) -> None:
        """Check and store some samples, after those that are stored; see :meth:`Writer.append`."""
        if index not in (None, len(self._shards)):
            raise StoreError(
                f"piece {index} cannot follow {len(self._shards)} others", where=str(self.path), remedy="write in order"
            )
        populations = {name: plain(data) for name, data in populations.items()}
        accepted = self._acceptance.check(populations)
        for name, data in populations.items():
            if is_reduced(data):
                state = data[[key for key in MERGED if key in data]]
                states = [self._states[name], state] if name in self._states else [state]
                self._states[name] = state.assign(merge(states))
            dense = data.drop_vars([key for key in MERGED if key in data.data_vars])
            if not self._shards:
                self._create(name, dense)
            self._grow(name, dense)
        self._shards.append({"n_samples": len(accepted.samples), "sum_rules": accepted.residuals})
        self._acceptance.keep(accepted)

    def _create(self, name: str, data: xr.Dataset) -> None:
        """Write what all pieces share, and arrays of no length for what grows."""
        data = _with_plain_text(data)
        empty = data.isel({dim: slice(0, 0) for dim in _GROWING if dim in data.dims})
        checked = (self._zarr.codecs.ZstdCodec(level=1), self._zarr.codecs.Crc32cCodec())
        encoding = {
            str(key): {"chunks": _chunks(variable), "compressors": checked} for key, variable in data.variables.items()
        }
        self._lengths[name] = {dim: [] for dim in _GROWING if dim in data.dims}
        self._arrays[name] = list(map(str, data.variables))
        empty.to_zarr(
            self._temporary,
            group=name,
            mode="a",
            encoding=encoding,
            zarr_format=3,
            consolidated=False,
            write_empty_chunks=True,
        )

    def _grow(self, name: str, data: xr.Dataset) -> None:
        """Append what a piece holds of its own, slab by slab."""
        with self._zarr.config.set({"array.write_empty_chunks": True}):
            group = self._zarr.open_group(self._temporary / name, mode="r+")
        for key, variable in data.variables.items():
            if variable.dims[:1] and variable.dims[0] in _GROWING:
                array = group[str(key)]
                before = array.shape[0]
                array.resize((before + variable.shape[0], *variable.shape[1:]))
                for first, *rest in slabs(variable.shape, variable.dtype.itemsize):
                    rows = slice(before + first.start, before + first.stop)
                    array[(rows, *rest)] = variable[(first, *rest)].values
        for dim, parts in self._lengths[name].items():
            parts.append(data.sizes[dim])

    def complete(self) -> None:
        """Give the store its name; it is complete from here on."""
        if not self._shards:
            error = StoreError("nothing was recorded", where=str(self.path))
            self.abandon(error)
            raise error
        for name, state in self._states.items():
            attrs = dict(self._zarr.open_group(self._temporary / name, mode="r").attrs)  # which xarray replaces
            _with_plain_text(state).to_zarr(
                self._temporary, group=name, mode="a", zarr_format=3, consolidated=False, write_empty_chunks=True
            )
            self._zarr.open_group(self._temporary / name, mode="r+").update_attributes(attrs)
            self._arrays[name] += [str(key) for key in state.variables if key not in self._arrays[name]]
        self.attrs |= {
            "populations": list(self._lengths),
            "n_samples": sum(shard["n_samples"] for shard in self._shards),
            "shards": self._shards,
            "wall_time_s": round(time.monotonic() - self._started, 3),
            "zarr": {"lengths": self._lengths, "arrays": self._arrays},
        }
        root = xr.Dataset(attrs=self.attrs)
        root.to_zarr(self._temporary, mode="a", zarr_format=3, consolidated=False)
        with warnings.catch_warnings():  # an extension of the format, which xarray asks for and zarr warns of
            warnings.simplefilter("ignore")
            self._zarr.consolidate_metadata(self._temporary, zarr_format=3)
        self._place.__exit__(None, None, None)

    def abandon(self, error: BaseException) -> None:
        """Delete what was written, because of an error."""
        self._place.__exit__(type(error), error, error.__traceback__)


def _ours(path: Path) -> bool:
    """Whether a directory is a Zarr store that eiplatform made."""
    file = path / "zarr.json"
    return file.is_file() and read_json(file).get("attributes", {}).get("format") == FORMAT


def _with_plain_text(data: xr.Dataset) -> xr.Dataset:
    """Return texts of any length: those of fixed length have no specification in Zarr v3."""
    texts = {key: variable.astype(object) for key, variable in data.variables.items() if variable.dtype.kind == "U"}
    return data.assign_coords({key: (text.dims, text.values, text.attrs) for key, text in texts.items()})


def _chunks(variable: xr.Variable) -> tuple[int, ...]:
    """Return the chunk that holds what one piece does, or as much of it as one slab."""
    if not variable.ndim:
        return ()
    if variable.dims == ("spike",):
        return (max(variable.sizes["spike"], _EVENTS),)
    first = next(slabs(variable.shape, variable.dtype.itemsize), (slice(0, 1),) * variable.ndim)
    return tuple(max(1, axis.stop - axis.start) for axis in first)
