"""The same recordings in Zarr v3, for object stores and clusters.

One group per population with the variables, coordinates and attributes of the HDF5 shards; plain
``xarray.open_datatree(path, engine="zarr")`` opens it.  A chunk holds the samples of one shard.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.files import atomic_directory, content_hash, read_json
from eiplatform.store.blocks import require_space, row_blocks
from eiplatform.store.optional import need
from eiplatform.store.provenance import provenance
from eiplatform.store.reader import open_recording, read_manifest, shard_lengths
from eiplatform.store.schema import SCHEMA_VERSION
from eiplatform.store.sumrules import check_sum_rules
from eiplatform.store.writer import FORMAT

__all__ = ["ZarrWriter", "export_zarr"]


class ZarrWriter:
    """Write one recording as Zarr v3, piece by piece: what :class:`RecordingWriter` does as HDF5.

    Everything is written under a temporary name; the store appears when it is complete.

    Parameters
    ----------
    path : str or Path
        Directory, e.g. ``recording.zarr``.
    source, config : mapping
        As of :class:`eiplatform.store.RecordingWriter`.
    overwrite : bool
        Whether an earlier Zarr store of eiplatform there may be deleted.

    Raises
    ------
    MissingDependencyError
        If zarr is not installed.
    OutputExistsError
        If the place is taken.
    """

    def __init__(
        self, path: str | Path, *, source: Mapping[str, Any], config: Mapping[str, Any], overwrite: bool = False
    ) -> None:
        self._zarr = need("zarr", "a Zarr store")
        self.path = Path(path)
        self.attrs: dict[str, Any] = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "source": dict(source),
            "config": dict(config),
            "config_hash": content_hash(config),
            "provenance": provenance(),
        }
        self._place: AbstractContextManager[Path] = atomic_directory(self.path, overwrite=overwrite, owned=_ours)
        self._temporary = self._place.__enter__()
        self._names: list[str] | None = None

    def append(self, populations: Mapping[str, xr.Dataset], *, check: bool = True) -> None:
        """Store some samples of every population, behind those that are stored.

        Parameters
        ----------
        populations : mapping of str to xarray.Dataset
            The same populations in every call.
        check : bool
            Check the sum rules first.

        Raises
        ------
        SumRuleError
            If recorded parts do not rebuild the whole.
        StoreError
            If the populations changed.
        """
        if self._names is not None and list(populations) != self._names:
            raise StoreError("a piece must hold the same populations as the first", where=str(self.path))
        for name, data in populations.items():
            if check:
                check_sum_rules(data, name)
            self._write(name, data.load(), first=self._names is None)
        self._names = list(populations)

    def _write(self, name: str, data: xr.Dataset, *, first: bool) -> None:
        events = [key for key, variable in data.data_vars.items() if "spike" in variable.dims]
        dense = data.drop_vars(events)
        for part, along in ((dense, "sample"), (data[events].reset_coords(drop=True), "spike")):
            if along not in part.dims:
                continue
            options: dict[str, Any] = {"group": name, "zarr_format": 3, "consolidated": False}
            if first:
                encoding = {str(key): {"chunks": _chunks(variable)} for key, variable in part.variables.items()}
                part.to_zarr(self._temporary, mode="a", encoding=encoding, **options)
            else:
                growing = part.drop_vars(
                    [key for key, variable in part.variables.items() if along not in variable.dims]
                )
                if part.sizes[along]:
                    growing.to_zarr(self._temporary, mode="a", append_dim=along, **options)

    def complete(self) -> None:
        """Give the store its name; it is complete from here on.

        Raises
        ------
        StoreError
            If nothing was stored.
        """
        if self._names is None:
            error = StoreError("nothing was recorded", where=str(self.path))
            self.abandon(error)
            raise error
        root = xr.Dataset(attrs={"complete": True, **self.attrs, "populations": self._names})
        root.to_zarr(self._temporary, mode="a", zarr_format=3, consolidated=False)
        with warnings.catch_warnings():  # an extension of the format, which xarray asks for and zarr warns of
            warnings.simplefilter("ignore")
            self._zarr.consolidate_metadata(self._temporary, zarr_format=3)
        self._place.__exit__(None, None, None)

    def abandon(self, error: BaseException) -> None:
        """Delete what was written, because of an error."""
        self._place.__exit__(type(error), error, error.__traceback__)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.complete()
        else:
            self.abandon(error)


def _ours(path: Path) -> bool:
    """Whether a directory is a Zarr store that eiplatform made."""
    file = path / "zarr.json"
    return file.is_file() and read_json(file).get("attributes", {}).get("format") == FORMAT


def _chunks(variable: xr.Variable) -> tuple[int, ...]:
    """Return the chunk that holds what one shard does; events at least 65536, nothing over 64 MB if it can be."""
    if not variable.ndim:
        return ()
    if variable.dims == ("spike",):
        return (max(variable.sizes["spike"], 2**16),)
    rows = next(row_blocks(variable.shape, variable.dtype.itemsize, budget=2**26), slice(0, 1))
    return (rows.stop, *(max(1, size) for size in variable.shape[1:]))


def export_zarr(
    path: str | Path,
    out: str | Path,
    *,
    partial: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Write a recording as Zarr v3, one shard after the other.

    Parameters
    ----------
    path : str or Path
        A recording.
    out : str or Path
        Directory, e.g. ``recording.zarr``.
    partial : bool
        Passed to :func:`eiplatform.open`.
    overwrite : bool
        Delete an earlier Zarr store of eiplatform there.
    progress : callable, optional
        Called with (shards done, shards in all, message).

    Returns
    -------
    Path

    Raises
    ------
    MissingDependencyError
        If zarr is not installed.
    """
    need("zarr", "Zarr export")
    path, out = Path(path), Path(out)
    manifest = read_manifest(path)
    tree = open_recording(path, partial=partial)
    leaves = {node.path.lstrip("/"): node.to_dataset() for node in tree.leaves}
    require_space(out.parent, sum(data.nbytes for data in leaves.values()))
    lengths = shard_lengths(path, manifest)
    n_shards = len(next(iter(lengths.values()))["sample"])
    with ZarrWriter(out, source=manifest["source"], config=manifest["config"], overwrite=overwrite) as writer:
        writer.attrs |= {"id": manifest["id"], "provenance": manifest.get("provenance", {})}
        starts = {name: dict.fromkeys(own, 0) for name, own in lengths.items()}
        for index in range(n_shards):
            pieces = {}
            for name, data in leaves.items():
                stops = {dim: starts[name][dim] + own[index] for dim, own in lengths[name].items()}
                pieces[name] = data.isel({dim: slice(starts[name][dim], stop) for dim, stop in stops.items()})
                starts[name] = stops
            writer.append(pieces, check=False)
            if progress:
                progress(index + 1, n_shards, "writing Zarr")
        writer.attrs["complete"] = tree.attrs["complete"]
    return out
