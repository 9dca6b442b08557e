"""Opening recordings: lazily, and telling complete from partial."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from eiplatform.errors import StoreError, UnknownNameError
from eiplatform.files import OWNED, read_json
from eiplatform.locks import being_written
from eiplatform.store.contract import require_contract
from eiplatform.store.events import tie, untied_because
from eiplatform.store.forms import form_of, manifest_at
from eiplatform.store.manifest import checked_manifest
from eiplatform.store.optional import need
from eiplatform.store.schema import SCHEMA_VERSION
from eiplatform.store.series import is_series, join_steps, steps_of
from eiplatform.store.tree import Recording, recording_tree
from eiplatform.store.writer import FORMAT, shard_records
from eiplatform.untrusted import reading

__all__ = ["is_recording", "is_whole", "open_recording", "read_manifest", "recordings_below"]


def is_recording(path: str | Path) -> bool:
    """Whether `path` is the directory of a recording (complete or not), a packed one or a Zarr store."""
    file = Path(path) / "manifest.json"
    if file.is_file():
        return read_json(file).get("format") == FORMAT
    return manifest_at(Path(path)) is not None


def recordings_below(path: str | Path) -> list[Path]:
    """Return the recordings in a directory (or the directory itself), sorted by name.

    Raises
    ------
    StoreError
        If there is none.
    """
    path = Path(path)
    if is_recording(path):
        return [path]
    found = sorted(entry for entry in path.iterdir() if entry.is_dir() and is_recording(entry)) if path.is_dir() else []
    if not found:
        raise StoreError(
            "no recording here" if path.exists() else "this directory does not exist",
            where=str(path),
            remedy="give the directory made by 'eiplatform record' or 'eiplatform simulate'",
        )
    return found


def is_whole(path: str | Path) -> bool:
    """Whether a recording is there, complete and undamaged."""
    if not is_recording(path):
        return False
    manifest = read_manifest(path)
    return manifest["status"] == "complete" and not form_of(Path(path), manifest).problems()


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Read and check the manifest of a recording.

    While a recording is being written (or after a kill) its shards are listed by their own
    ``.json`` files; ``status`` then reads ``"recording"``.

    Raises
    ------
    StoreError
        If this is not a recording, or of another schema version.
    """
    path = Path(path)
    if not is_recording(path):
        if is_series(path):
            raise StoreError(
                "a series of recordings made while training",
                where=str(path),
                valid=", ".join(str(part) for part in steps_of(path).values()),
                remedy="give one of them; eiplatform.open opens all as one",
            )
        if (path / "zarr.json").is_file():
            raise StoreError(
                "a Zarr store that eiplatform did not make",
                where=str(path),
                remedy=f"open it with xarray.open_datatree({str(path)!r}, engine='zarr')",
            )
        raise StoreError(
            "not a recording" if path.exists() else "this recording does not exist",
            where=str(path),
            remedy="give the directory made by 'eiplatform record' or 'eiplatform simulate'",
        )
    file = path / "manifest.json"
    manifest = read_json(file) if file.is_file() else manifest_at(path) or {}
    version = str(manifest.get("schema_version"))
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise StoreError(
            f"schema version {version} cannot be read by this version of eiplatform",
            where=str(path),
            valid=f"{SCHEMA_VERSION.split('.')[0]}.x",
        )
    manifest = checked_manifest(manifest, path)
    if manifest["status"] != "complete" and "zarr" not in manifest:
        manifest["shards"] = list(shard_records(path, manifest["id"]).values())
    return manifest


def open_recording(
    path: str | Path, *, partial: bool = False, chunks: Mapping[str, Any] | str | None = None
) -> Recording:
    """Open a recording as a lazy tree of populations.

    Nothing but coordinates is read until it is used.

    Parameters
    ----------
    path : str or Path
        Recording directory, a file made by ``eiplatform pack``, a Zarr store, or the directory of a series
        (:mod:`eiplatform.store.series`), whose populations have a leading dimension ``step``.
    partial : bool
        Open the complete shards of a recording that was interrupted or has lost shards.
        ``tree.attrs["complete"]`` and ``tree.attrs["problems"]`` tell what is missing.
    chunks : mapping or "auto", optional
        Give dask arrays: ``{}`` one chunk per shard, ``{"neuron": 64}`` also cut along neurons,
        ``"auto"`` as dask likes.  Without it variables are read when they are used.

    Returns
    -------
    Recording
        An :class:`xarray.DataTree`: one leaf per population, e.g. ``tree["fc1/E"].ds``; the manifest's
        identity in ``attrs``.
        A wrong name is a KeyError that says the near one.

    Raises
    ------
    StoreError
        If this is not a recording, or it is incomplete and `partial` is false.
    MissingDependencyError
        If `chunks` is given and dask is not installed, or zarr where it is needed.
    """
    if chunks is not None:
        need("dask", "chunks")
    path = Path(path)
    if is_series(path):
        trees = {step: open_recording(part, partial=partial) for step, part in steps_of(path).items()}
        if not trees:
            raise StoreError("a series without recordings", where=str(path), remedy="record it again")
        return join_steps(path, trees)
    manifest = read_manifest(path)
    form = form_of(path, manifest)
    problems = form.problems()
    complete = manifest["status"] == "complete" and not problems
    told = [f"{form.part} {file} is {problem}" for file, problem in problems.items()]
    if manifest["status"] == "recording":
        what = "is being written, so far" if being_written(path / OWNED) else "was interrupted after"
        told.append(f"the recording {what} {len(manifest['shards'])} complete shard(s)")
    if manifest["status"] == "partial":
        told.append("only what was complete of a recording was exported")
    if problems and not form.divisible:
        raise StoreError("; ".join(told), where=str(path), remedy="copy it again, or record it again")
    if not complete and not partial:
        raise StoreError(
            "; ".join(told), where=str(path), remedy=_remedies(path, manifest["source"], readable=bool(form.files()))
        )
    if not form.files():
        raise StoreError("no complete shard", where=str(path), remedy="record it again")
    with reading(path, what=f"a {form.part} is damaged inside", remedy="see 'eiplatform validate', record it again"):
        populations = form.populations()
    for name, data in populations.items():
        require_contract(name, data, str(path))
    if chunks is not None:
        lengths = form.lengths()
        populations = {name: _chunked(data, lengths[name], chunks) for name, data in populations.items()}
    # A list that does not fit stays as it is stored: its statistics say why it does not, the others are there.
    tied = {name: data if untied_because(data) else tie(data) for name, data in populations.items()}
    return recording_tree(tied, manifest, path=str(path), complete=complete, problems="; ".join(told))


def _remedies(path: Path, source: Mapping[str, Any], *, readable: bool) -> list[str]:
    """Return what can be done about an incomplete recording: what made it, and whether something can be read."""
    if being_written(path / OWNED):
        remedies = ["wait: another process is writing it"]
    elif source.get("kind") != "network":
        remedies = ["simulate it again with 'eiplatform simulate --overwrite'"]
    elif "design" in source:
        remedies = ["go on with its design with 'eiplatform lesion --resume'"]
    elif "null" in source:
        remedies = ["record the nulls again with 'eiplatform record --null KIND:COUNT --overwrite'"]
    elif is_series(path.parent):
        remedies = ["go on with its training with 'eiplatform train --resume'"]
    else:
        remedies = ["go on with it with 'eiplatform record --resume'"]
    if readable:
        remedies += ["pass partial=True to read what is complete"]
    return remedies


def _chunked(data: xr.Dataset, lengths: dict[str, tuple[int, ...]], chunks: Mapping[str, Any] | str) -> xr.Dataset:
    """Turn the variables (not the coordinates) into dask arrays, cut where shards end by default."""
    unknown = set() if isinstance(chunks, str) else set(chunks) - set(data.dims)
    if unknown or (isinstance(chunks, str) and chunks != "auto"):
        raise UnknownNameError(
            f"unknown chunks {chunks!r}", valid=["auto", *(f"{{'{dim}': size}}" for dim in data.dims)]
        )
    return data.assign(
        {
            key: variable.chunk(
                "auto"
                if isinstance(chunks, str)
                else {dim: size for dim, size in {**lengths, **chunks}.items() if dim in variable.dims}
            )
            for key, variable in data.data_vars.items()
        }
    )
