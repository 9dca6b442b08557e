"""Opening recordings: lazily, and telling complete from partial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import xarray as xr

from eiplatform.errors import StoreError, UnknownNameError
from eiplatform.files import read_json
from eiplatform.store.assemble import assemble, populations_in
from eiplatform.store.optional import need
from eiplatform.store.packed import packed_manifest
from eiplatform.store.schema import SCHEMA_VERSION
from eiplatform.store.series import is_series, join_steps, steps_of
from eiplatform.store.tree import RecordingTree
from eiplatform.store.writer import FORMAT, shard_records

__all__ = ["is_recording", "open_recording", "read_manifest", "recordings_below"]


def is_recording(path: str | Path) -> bool:
    """Whether `path` is the directory of a recording (complete or not), or a packed one."""
    if Path(path).is_file():
        return packed_manifest(Path(path)) is not None
    file = Path(path) / "manifest.json"
    return file.is_file() and read_json(file).get("format") == FORMAT


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
            "no recording here" if path.exists() else "no such directory",
            where=str(path),
            remedy="give the directory made by 'eiplatform record' or 'eiplatform simulate'",
        )
    return found


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Read and check the manifest of a recording.

    While a recording is being written (or after a kill) its shards are listed by their own
    ``.json`` files; ``status`` then reads ``"recording"``.

    Raises
    ------
    StoreError
        If this is no recording, or of another schema version.
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
                "a Zarr store",
                where=str(path),
                remedy=f"open it with xarray.open_datatree({str(path)!r}, engine='zarr')",
            )
        raise StoreError(
            "not a recording" if path.exists() else "no such recording",
            where=str(path),
            remedy="give the directory made by 'eiplatform record' or 'eiplatform simulate'",
        )
    packed = packed_manifest(path) if path.is_file() else None
    manifest = read_json(path / "manifest.json") if packed is None else packed
    absent = [key for key in ("id", "status", "source", "config") if key not in manifest]
    if absent or (manifest["status"] == "complete" and "shards" not in manifest):
        raise StoreError(
            f"the manifest is damaged: it has no {', '.join(absent or ['shards'])}",
            where=str(path),
            remedy="copy the recording again, or record it again",
        )
    version = str(manifest.get("schema_version"))
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise StoreError(
            f"schema version {version} cannot be read by this version of eiplatform",
            where=str(path),
            valid=f"{SCHEMA_VERSION.split('.')[0]}.x",
        )
    if manifest.get("status") != "complete":
        manifest["shards"] = list(shard_records(path, manifest["id"]).values())
    return manifest


def shard_problems(path: Path, manifest: dict[str, Any]) -> dict[str, str]:
    """Return what is wrong with each damaged shard: missing, truncated, or of another recording."""
    problems: dict[str, str] = {}
    if "packed" in manifest:
        return problems
    for shard in manifest["shards"]:
        file = path / "shards" / shard["file"]
        problem = _shard_problem(file, shard["bytes"], manifest["id"]) if file.is_file() else "missing"
        if problem:
            problems[shard["file"]] = problem
    return problems


def _shard_problem(file: Path, expected: int, recording: str) -> str | None:
    """Return what is wrong with one shard; a foreign one has another size too, so that is told first."""
    found = file.stat().st_size
    try:
        with h5py.File(file, "r") as opened:
            if opened.attrs.get("recording_id") != recording:
                return "of another recording"
    except OSError:
        if found == expected:
            return "not readable as HDF5"
    if found < expected:
        return f"truncated ({found} of {expected} bytes)"
    return f"longer than it was ({found} instead of {expected} bytes)" if found > expected else None


def open_recording(
    path: str | Path, *, partial: bool = False, chunks: Mapping[str, Any] | str | None = None
) -> xr.DataTree:
    """Open a recording as a lazy tree of populations.

    Nothing but coordinates is read until it is used.

    Parameters
    ----------
    path : str or Path
        Recording directory, a file made by ``eiplatform pack``, or the directory of a series
        (:mod:`eiplatform.store.series`), whose populations have a leading dimension ``step``.
    partial : bool
        Open the complete shards of a recording that was interrupted or has lost shards.
        ``tree.attrs["complete"]`` and ``tree.attrs["problems"]`` tell what is missing.
    chunks : mapping or "auto", optional
        Give dask arrays: ``{}`` one chunk per shard, ``{"neuron": 64}`` also cut along neurons,
        ``"auto"`` as dask likes.  Without it variables are read when they are used.

    Returns
    -------
    xarray.DataTree
        One leaf per population, e.g. ``tree["fc1/E"].ds``; the manifest's identity in ``attrs``.
        A wrong name is a KeyError that says the near one.

    Raises
    ------
    StoreError
        If this is no recording, or it is incomplete and `partial` is false.
    MissingDependencyError
        If `chunks` is given and dask is not installed.
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
    problems = shard_problems(path, manifest)
    complete = manifest["status"] == "complete" and not problems
    shards = [shard for shard in manifest["shards"] if shard["file"] not in problems]
    told = [f"shard {file} is {problem}" for file, problem in problems.items()]
    if manifest["status"] != "complete":
        told.append(f"the recording was interrupted after {len(manifest['shards'])} complete shard(s)")
    if not complete and not partial:
        raise StoreError(
            "; ".join(told),
            where=str(path),
            remedy="record it with --resume, or read what is complete: --partial, eiplatform.open(path, partial=True)",
        )
    if not shards:
        raise StoreError("no complete shard", where=str(path), remedy="record it again")
    files = [path / "shards" / shard["file"] for shard in shards] if "packed" not in manifest else [path]
    try:
        populations = assemble(files)
    except (OSError, KeyError) as error:
        raise StoreError(
            f"a shard is damaged inside ({error})", where=str(path), remedy="see 'eiplatform validate', record it again"
        ) from None
    if chunks is not None:
        lengths = shard_lengths(path, manifest)
        populations = {name: _chunked(data, lengths[name], chunks) for name, data in populations.items()}
    tree = RecordingTree.from_dict(populations)
    tree.attrs = {
        "path": str(path),
        "id": manifest["id"],
        "schema_version": manifest["schema_version"],
        "complete": complete,
        "problems": "; ".join(told),
        "source": manifest["source"],
        "config": manifest["config"],
    }
    return tree


def shard_files(path: Path, manifest: dict[str, Any]) -> list[Path]:
    """Return the files that hold the data: the intact shards, or the packed file."""
    if "packed" in manifest:
        return [path]
    problems = shard_problems(path, manifest)
    return [path / "shards" / shard["file"] for shard in manifest["shards"] if shard["file"] not in problems]


def lengths_in(file: Path, populations: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the length of the dimensions along which shards continue one another, per population."""
    with h5netcdf.File(file, "r") as shard:
        held = {name: shard[name].dimensions for name in populations}
        return {
            name: {dim: int(dims[dim].size) for dim in ("sample", "spike") if dim in dims}
            for name, dims in held.items()
        }


def shard_lengths(path: Path, manifest: dict[str, Any]) -> dict[str, dict[str, tuple[int, ...]]]:
    """Return, for every population, how many samples (and spikes) each intact shard holds."""
    if "packed" in manifest:
        parts = [shard["lengths"] for shard in manifest["packed"]["shards"]]
    else:
        parts = [lengths_in(file, populations_in(file)) for file in shard_files(path, manifest)]
    return {name: {dim: tuple(part[name][dim] for part in parts) for dim in parts[0][name]} for name in parts[0]}


def _chunked(data: xr.Dataset, lengths: dict[str, tuple[int, ...]], chunks: Mapping[str, Any] | str) -> xr.Dataset:
    """Turn the variables (not the coordinates) into dask arrays, cut where shards end unless told otherwise."""
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
