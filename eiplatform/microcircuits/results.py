"""The result of one run as datasets of the schema, read from its files when they are used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from eiplatform.microcircuits.circuit import Circuit
from eiplatform.microcircuits.extraction import DTYPES
from eiplatform.store.events import bare, tie
from eiplatform.store.schema import EVENTS, population_dataset

__all__ = ["FileArray", "datasets"]


class FileArray(BackendArray):
    """Numbers of a file in C order; what is asked for is read.

    Parameters
    ----------
    path : Path
    dtype : numpy dtype
    shape : tuple of int
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self.path, self.dtype, self.shape = path, dtype, shape

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        empty = not self.path.stat().st_size  # nothing to map
        held = np.empty(self.shape, self.dtype) if empty else np.memmap(self.path, self.dtype, "r", shape=self.shape)
        # A copy, so that the pages of the file do not stay with the process.
        values: np.ndarray = np.array(held[key])
        return values


def datasets(circuit: Circuit, job: Mapping[str, Any], seed: int, folder: Path) -> dict[str, xr.Dataset]:
    """Label the result of one run; its values are read from `folder` whenever they are used.

    Parameters
    ----------
    circuit : Circuit
    job : mapping
        ``duration_ms``, ``warmup_ms``, ``record_dt_ms`` and ``device`` of the run.
    seed : int
    folder : Path
        As :func:`~eiplatform.microcircuits.extraction.extract` left it.

    Returns
    -------
    dict of str to xarray.Dataset
        By population, with one sample whose id is the seed.
    """
    common = {
        "circuit": circuit.name,
        "reference": circuit.reference,
        "device": job["device"],
        "parameters": json.dumps(circuit.to_mapping()),
        "brian2": version("brian2"),
        "duration": job["duration_ms"],
        "warmup": job["warmup_ms"],
        "sampling": "currents: mean over each interval; voltage: value at its start",
    }
    time = np.arange(round(job["duration_ms"] / job["record_dt_ms"])) * job["record_dt_ms"]
    own = {signal.signal: np.zeros((1, 0, 1), np.float32) for signal in circuit.signals}
    signals = tuple(own | circuit.derived(own))
    found: dict[str, xr.Dataset] = {}
    for population in circuit.populations:
        place = folder / population.name
        neuron = np.fromfile(place / "neuron", DTYPES["neuron"])
        n_spikes = (place / "spike_neuron").stat().st_size // DTYPES["spike_neuron"].itemsize
        shape = (1, len(time), len(neuron))
        # Stand-ins that take no memory get the checks and the labels; then the files take their place.
        data = population_dataset(
            {name: np.broadcast_to(np.float32(0), shape) for name in signals},
            sample=np.array([seed]),
            time=time,
            neuron=neuron,
            dt=job["record_dt_ms"],
            time_units="ms",
            current_units=circuit.current_units,
            potential_units=circuit.potential_units,
            n_neurons=population.size,
            role=population.role,
            events={name: np.broadcast_to(np.int64(seed), n_spikes) for name in EVENTS},
            attrs={**common, **population.attrs},
        )
        data, lazy = bare(data), {}
        for name in (*signals, "spike_time", "spike_neuron"):
            stand_in = data[name].variable
            array = FileArray(place / name, DTYPES.get(name, np.dtype(np.float32)), stand_in.shape)
            held = indexing.LazilyIndexedArray(array)
            lazy[name] = xr.Variable(stand_in.dims, held, stand_in.attrs, fastpath=True)
        found[population.name] = tie(data.assign(lazy))
    return found
