"""One HDF5 file that holds a whole recording: recognising it, and checking what is in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np

from eiplatform.errors import StoreError
from eiplatform.store.blocks import row_blocks
from eiplatform.store.hdf5 import open_hdf5, open_netcdf
from eiplatform.store.writer import FORMAT
from eiplatform.untrusted import parse_json, reading

__all__ = ["MANIFEST", "changed_variables", "described", "packed_manifest", "update_digest"]

MANIFEST = "manifest"
"""Name of the variable that holds the manifest as JSON."""


def packed_manifest(path: Path) -> dict[str, Any] | None:
    """Return the manifest in a packed recording, or None if the file is something else.

    Raises
    ------
    StoreError
        If the file is damaged, or only a shard of a recording.
    """
    if not h5py.is_hdf5(path):
        return None
    with open_hdf5(path) as file:
        if file.attrs.get("format") != FORMAT:
            return None
        if MANIFEST not in file:
            raise StoreError(
                "one shard of a recording", where=str(path), remedy="give the directory that holds 'shards'"
            )
        with reading(path, what="damaged: its manifest is not readable", remedy=_REMEDY):
            text = bytes(file[MANIFEST][()])
            if hashlib.sha256(text).hexdigest() != file.attrs["manifest_sha256"]:
                raise StoreError("the manifest inside has changed", where=str(path), remedy=_REMEDY)
            manifest = parse_json(text.decode(), where=path)
    if not isinstance(manifest, dict) or "packed" not in manifest:
        raise StoreError("damaged: the manifest inside is not that of a packed recording", where=str(path))
    return manifest


_REMEDY = "copy the file again, or pack the recording again"


def described(variable: h5netcdf.Variable) -> dict[str, Any]:
    """Return what identifies a stored variable beside its values and its length."""
    return {
        "dims": list(variable.dimensions),
        "dtype": "str" if variable.dtype is str else np.dtype(variable.dtype).str,
        "attrs": {name: np.asarray(value).tolist() for name, value in sorted(variable.attrs.items())},
    }


def update_digest(digest: Any, values: np.ndarray) -> None:
    """Add values to a running SHA-256, such that the cuts between pieces do not matter."""
    if values.dtype.kind == "O":
        for value in values.ravel().tolist():
            raw = value if isinstance(value, bytes) else str(value).encode()
            digest.update(len(raw).to_bytes(8, "little") + raw)
    else:
        digest.update(np.ascontiguousarray(values).data)


def changed_variables(
    path: Path, manifest: dict[str, Any], progress: Callable[[int, int, str], None] | None = None
) -> list[str]:
    """Return ``population/variable`` of everything in a packed recording that fails its checksum.

    Parameters
    ----------
    path : Path
        The packed file.
    manifest : dict
        Its manifest.
    progress : callable, optional
        Called with (variables checked, variables in all, message).
    """
    checksums = manifest["packed"]["checksums"]
    changed, done = [], 0
    n_variables = sum(map(len, checksums.values()))
    with open_netcdf(path) as file:
        for population, expected in checksums.items():
            for name, checksum in expected.items():
                if _checksum(file, f"{population}/{name}") != checksum:
                    changed.append(f"{population}/{name}")
                done += 1
                if progress:
                    progress(done, n_variables, population)
    return changed


def _checksum(file: h5netcdf.File, name: str) -> str | None:
    """Return the SHA-256 of one variable, None if it cannot be read."""
    try:
        variable = file[name]
        digest = hashlib.sha256(json.dumps(described(variable)).encode())
        for block in row_blocks(variable.shape, _itemsize(variable)) if variable.shape else [...]:
            update_digest(digest, np.asarray(variable[block]))
    except Exception:  # whatever the libraries raise about what is damaged
        return None
    return digest.hexdigest()


def _itemsize(variable: h5netcdf.Variable) -> int:
    return 64 if variable.dtype is str else np.dtype(variable.dtype).itemsize
