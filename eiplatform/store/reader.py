"""Opening recordings: lazily, and telling complete from partial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.files import read_json
from eiplatform.store.assemble import assemble
from eiplatform.store.schema import SCHEMA_VERSION
from eiplatform.store.series import is_series, join_steps, steps_of
from eiplatform.store.writer import FORMAT, shard_records

__all__ = ["is_recording", "open_recording", "read_manifest", "recordings_below"]


def is_recording(path: str | Path) -> bool:
    """Whether `path` is the directory of a recording (complete or not)."""
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
        raise StoreError(
            "not a recording" if path.exists() else "no such recording",
            where=str(path),
            remedy="give the directory made by 'eiplatform record' or 'eiplatform simulate'",
        )
    manifest = read_json(path / "manifest.json")
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
    problems = {}
    for shard in manifest["shards"]:
        file = path / "shards" / shard["file"]
        if not file.is_file():
            problems[shard["file"]] = "missing"
        elif file.stat().st_size != shard["bytes"]:
            problems[shard["file"]] = f"truncated ({file.stat().st_size} of {shard['bytes']} bytes)"
        else:
            try:
                with h5py.File(file, "r") as opened:
                    if opened.attrs.get("recording_id") != manifest["id"]:
                        problems[shard["file"]] = "belongs to another recording"
            except OSError:
                problems[shard["file"]] = "not readable as HDF5"
    return problems


def open_recording(path: str | Path, *, partial: bool = False) -> xr.DataTree:
    """Open a recording as a lazy tree of populations.

    Nothing but coordinates is read until it is used.

    Parameters
    ----------
    path : str or Path
        Recording directory, or that of a series (:mod:`eiplatform.store.series`), whose
        populations have a leading dimension ``step``.
    partial : bool
        Open the complete shards of a recording that was interrupted or has lost shards.
        ``tree.attrs["complete"]`` and ``tree.attrs["problems"]`` tell what is missing.

    Returns
    -------
    xarray.DataTree
        One leaf per population, e.g. ``tree["fc1/E"].ds``; the manifest's identity in ``attrs``.

    Raises
    ------
    StoreError
        If this is no recording, or it is incomplete and `partial` is false.
    """
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
    files = [path / "shards" / shard["file"] for shard in shards]
    try:
        tree = xr.DataTree.from_dict(assemble(files))
    except (OSError, KeyError) as error:
        raise StoreError(
            f"a shard is damaged inside ({error})", where=str(path), remedy="see 'eiplatform validate', record it again"
        ) from None
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
