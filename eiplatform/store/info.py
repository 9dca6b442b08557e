"""A recording in a few lines: what ``eiplatform info`` tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.store.reader import open_recording, read_manifest

__all__ = ["describe"]


def _mean_rate(data: xr.Dataset) -> str:
    """Return the mean rate over all neurons (events) or the recorded ones (dense)."""
    if "spike_time" in data:
        seconds = data.attrs["duration"] / 1000.0 * data.sizes["sample"]
        return f"{data.sizes['spike'] / (data.attrs['n_neurons'] * seconds):.2f} Hz"
    if "spikes" in data:
        total = sum(
            int(data["spikes"].isel(sample=slice(start, start + 256)).values.sum())
            for start in range(0, data.sizes["sample"], 256)
        )
        return f"{total / max(1, int(np.prod(data['spikes'].shape))):.3f} per step"
    return "no spikes"


def describe(path: str | Path, *, partial: bool = False) -> dict[str, Any]:
    """Return what a recording holds, JSON-compatible.

    Parameters
    ----------
    path : str or Path
        Recording directory.
    partial : bool
        Passed to :func:`eiplatform.open`.

    Raises
    ------
    StoreError
        If this is no recording, or it is incomplete and `partial` is false.
    """
    manifest = read_manifest(path)
    tree = open_recording(path, partial=partial)
    leaves = {node.path.lstrip("/"): node.to_dataset() for node in tree.leaves}
    provenance = manifest["provenance"]
    return {
        "path": str(path),
        "kind": manifest["source"]["kind"],
        "label": manifest["source"].get("label", manifest["source"].get("name", "")),
        "complete": tree.attrs["complete"],
        "problems": tree.attrs["problems"],
        "schema_version": manifest["schema_version"],
        "n_samples": int(next(iter(leaves.values())).sizes["sample"]),
        "n_shards": len(manifest["shards"]),
        "bytes": sum(shard["bytes"] for shard in manifest["shards"]),
        "created": provenance["created"],
        "command": provenance["command"],
        "source": manifest["source"],
        "config_hash": manifest["config_hash"],
        "populations": {
            name: {
                "role": data.attrs["role"],
                "n_neurons": int(data.attrs["n_neurons"]),
                "n_recorded": data.sizes["neuron"],
                "n_time": data.sizes["time"],
                "dt": float(data.attrs["dt"]),
                "dt_units": data.attrs["dt_units"],
                "rate": _mean_rate(data),
                "signals": list(map(str, data.data_vars)),
            }
            for name, data in leaves.items()
        },
    }
