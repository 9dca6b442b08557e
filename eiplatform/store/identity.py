"""Names and hashes by which results, and what was made of them, can be traced to their recordings.

All of it is the same whenever the same command is given: nothing here holds a date or a random number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.earlier import as_hashed
from eiplatform.files import content_hash

__all__ = ["origin", "recording_hash", "result_hash"]

_RANDOM = ("recording_ids",)
"""Attributes of results that differ from run to run."""


def recording_hash(manifest: Mapping[Any, Any]) -> str:
    """Return the hash of all that decides a recording: network or circuit, weights, data, spec and configuration.

    Parameters
    ----------
    manifest : mapping
        With ``source`` and ``config``, as a manifest or the attributes of an open recording.

    Examples
    --------
    >>> recording_hash({"source": {"kind": "network"}, "config": {}, "id": "random"})
    'c0b9b41302f68614'
    """
    return content_hash({"source": manifest["source"], "config": as_hashed(manifest["config"])})


def result_hash(result: xr.Dataset) -> str:
    """Return the SHA-256 of a result: its numbers, names and settings, the same before and after it was stored.

    Examples
    --------
    >>> result_hash(xr.Dataset({"value": ("x", [1.0, 2.0])}, attrs={"n": 2}))[:16]
    'f3024ea082a12c6b'
    """
    digest = hashlib.sha256()
    for name, variable in sorted(result.variables.items(), key=lambda item: str(item[0])):
        digest.update(f"{name} {variable.dims} {variable.shape};".encode())
        digest.update(_bytes(variable.values))
    attrs = {str(key): _plain(value) for key, value in result.attrs.items() if key not in _RANDOM}
    digest.update(json.dumps(attrs, sort_keys=True).encode())
    return digest.hexdigest()


def origin(result: xr.Dataset) -> dict[str, str]:
    """Return, as text, what a figure or table of a result names: the analysis, its hash, and the recordings.

    Parameters
    ----------
    result : xarray.Dataset
        Of an analysis.
    """
    attrs = result.attrs
    names, hashes = (_listed(attrs.get(key, [])) for key in ("recordings", "recording_hashes"))
    told = [f"{name} ({value})" for name, value in zip(names, hashes, strict=False)] or names
    found = {"result": str(attrs.get("analysis", "")), "result_sha256": result_hash(result)}
    return found | ({"recordings": "; ".join(told)} if told else {})


def _listed(value: Any) -> list[str]:
    """Return a list of texts, which netCDF gives back as one text if it has one."""
    return [value] if isinstance(value, str) else [str(item) for item in np.ravel(value)]


def _bytes(values: np.ndarray) -> bytes:
    if values.dtype.kind in "OUS":
        return json.dumps([_plain(value) for value in values.ravel().tolist()]).encode()
    kind: type = {"f": np.float64, "c": np.complex128}.get(values.dtype.kind, np.int64)
    return np.ascontiguousarray(values, kind).tobytes()


def _plain(value: Any) -> Any:
    """Return what netCDF keeps of an attribute: numbers and texts; a list of one is that one."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, np.ndarray | list | tuple):
        held = [_plain(item) for item in np.ravel(np.asarray(value, object)).tolist()]
        return held[0] if len(held) == 1 else held
    if isinstance(value, bool | np.bool_ | int | np.integer | float | np.floating):
        return float(value)
    return str(value)
