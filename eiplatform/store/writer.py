"""Writing a recording: one HDF5 file per shard, each complete or absent.

Layout of a recording directory::

    manifest.json          written when the recording starts, rewritten when it is complete
    shards/00000.h5        netCDF-4/HDF5, one group per population
    shards/00000.json      what the shard holds and its SHA-256, written after the shard

A shard counts only when its ``.json`` exists; both are written to a temporary name, flushed to
the disk and renamed, so a kill at any moment leaves complete shards and at most a temporary file.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.files import claim_directory, content_hash, write_bytes, write_json
from eiplatform.store.provenance import provenance
from eiplatform.store.schema import SCHEMA_VERSION
from eiplatform.store.sumrules import check_sum_rules

__all__ = ["FORMAT", "RecordingWriter"]

FORMAT = "eiplatform-recording"


def _encoding(data: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Spikes and events compress well; raw currents do not (and any HDF5 reader opens gzip)."""
    packed = ("spikes", "spike_time", "spike_neuron", "spike_sample")
    return {
        name: {"zlib": True, "complevel": 1, "shuffle": True} if name in packed and data[name].size else {}
        for name in map(str, data.data_vars)
    }


def _describe(data: xr.Dataset) -> dict[str, Any]:
    """Return what the manifest says of a population: role, sizes, signals and their units."""
    return {
        "role": data.attrs["role"],
        "n_neurons": data.attrs["n_neurons"],
        "n_recorded": data.sizes["neuron"],
        "n_time": data.sizes["time"],
        "dt": data.attrs["dt"],
        "dt_units": data.attrs["dt_units"],
        "signals": {
            str(name): {
                "dims": list(map(str, variable.dims)),
                "dtype": str(variable.dtype),
                "units": variable.attrs.get("units", "1"),
            }
            for name, variable in data.data_vars.items()
        },
    }


class RecordingWriter:
    """Write one recording, shard by shard.

    Parameters
    ----------
    path : str or Path
        Recording directory; must be absent or empty unless `overwrite`.
    source : mapping
        What was recorded, e.g. ``{"kind": "network", "name": "mlp", ...}``; JSON-compatible.
        ``kind`` is ``"network"`` or ``"circuit"``.
    config : mapping
        The resolved configuration, stored and hashed.
    overwrite : bool
        Whether an earlier recording there may be deleted.

    Raises
    ------
    OutputExistsError
        If the directory is taken.

    Examples
    --------
    >>> import numpy as np, tempfile, eiplatform
    >>> from eiplatform.store.schema import population_dataset
    >>> signals = {"current_exc": np.ones((2, 4, 3)), "current_inh": np.full((2, 4, 3), 0.25)}
    >>> data = population_dataset(
    ...     signals, sample=np.arange(2), time=np.arange(4), neuron=np.arange(3), dt=1.0,
    ...     time_units="step", current_units="1", n_neurons=3, role="E")
    >>> directory = tempfile.mkdtemp() + "/recording"
    >>> with RecordingWriter(directory, source={"kind": "network", "name": "toy"}, config={}) as writer:
    ...     writer.append({"fc1/E": data})
    >>> float(eiplatform.open(directory)["fc1/E"].ds["current_inh"].mean())
    0.25
    """

    def __init__(
        self, path: str | Path, *, source: Mapping[str, Any], config: Mapping[str, Any], overwrite: bool = False
    ) -> None:
        about = provenance()  # takes a moment: before the directory exists
        self.path = claim_directory(Path(path), overwrite=overwrite)
        (self.path / "shards").mkdir()
        self._started = time.monotonic()
        self._shards: list[dict[str, Any]] = []
        self._samples: set[Any] = set()
        self._populations: dict[str, dict[str, Any]] = {}
        self._axes: dict[str, tuple[list[Any], list[Any]]] = {}
        self._manifest: dict[str, Any] = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "id": uuid.uuid4().hex,
            "status": "recording",
            "source": dict(source),
            "config": dict(config),
            "config_hash": content_hash(config),
            "provenance": about,
        }
        write_json(self.path / "manifest.json", self._manifest)

    def append(self, populations: Mapping[str, xr.Dataset]) -> None:
        """Check and store one shard: some samples of every population.

        Parameters
        ----------
        populations : mapping of str to xarray.Dataset
            The same populations and signals in every call.

        Raises
        ------
        SumRuleError
            If recorded parts do not rebuild the whole; nothing is written.
        StoreError
            If samples repeat, differ between populations, or populations, times or neurons changed.
        """
        described = {name: _describe(data) for name, data in populations.items()}
        if self._populations and described != self._populations:
            raise StoreError("a shard must hold the same populations and signals as the first", where=str(self.path))
        axes = {
            name: (data["time"].values.tolist(), data["neuron"].values.tolist()) for name, data in populations.items()
        }
        if self._axes and axes != self._axes:
            raise StoreError("a shard must hold the same times and neurons as the first", where=str(self.path))
        samples = next(iter(populations.values()))["sample"].values
        for name, data in populations.items():
            if not np.array_equal(data["sample"].values, samples):
                raise StoreError("populations of one shard hold different samples", where=f"population '{name}'")
        repeated = self._samples.intersection(samples.tolist())
        if repeated or len(set(samples.tolist())) < len(samples):
            raise StoreError(f"samples recorded twice: {sorted(repeated)[:5]}", where=str(self.path))
        residuals: dict[str, float] = {}
        for name, data in populations.items():
            for rule, residual in check_sum_rules(data, name).items():
                residuals[rule] = max(residuals.get(rule, 0.0), residual)

        index = len(self._shards)
        file = self.path / "shards" / f"{index:05d}.h5"
        tree = xr.DataTree.from_dict(dict(populations))
        tree.attrs = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "recording_id": self._manifest["id"],
            "shard": index,
            "populations": list(populations),
        }
        encoding = {f"/{name}": _encoding(data) for name, data in populations.items()}
        # Built in memory: when a disk is full, the HDF5 library crashes the process on closing its file.
        image = tree.to_netcdf(engine="h5netcdf", encoding=encoding)
        write_bytes(file, image)
        record = {
            "file": file.name,
            "bytes": len(image),
            "sha256": hashlib.sha256(image).hexdigest(),
            "n_samples": len(samples),
            "sum_rules": residuals,
        }
        write_json(file.with_suffix(".json"), {"recording_id": self._manifest["id"], **record})
        self._shards.append(record)
        self._samples.update(samples.tolist())
        self._populations, self._axes = described, axes

    def complete(self) -> None:
        """Write the final manifest; the recording is complete from here on."""
        if not self._shards:
            raise StoreError("nothing was recorded", where=str(self.path))
        self._manifest |= {
            "status": "complete",
            "populations": self._populations,
            "n_samples": sum(shard["n_samples"] for shard in self._shards),
            "bytes": sum(shard["bytes"] for shard in self._shards),
            "wall_time_s": round(time.monotonic() - self._started, 3),
            "shards": self._shards,
        }
        write_json(self.path / "manifest.json", self._manifest)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.complete()
