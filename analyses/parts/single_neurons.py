"""Signals and spikes of chosen neurons in one sample and a stretch of time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from eiplatform.statistics.population import Population
from eiplatform.store.events import bare

__all__ = ["SHOWN", "fires", "signals_of", "spikes_of", "units_of"]

SHOWN = ("current_exc", "current_inh", "current_net", "gain", "voltage", "activity")
"""Signals that are shown of a neuron, in the order of the panels."""


def signals_of(
    data: xr.Dataset, neurons: Sequence[int], *, sample: int = 0, start: int = 0, stop: int | None = None
) -> tuple[np.ndarray, dict[str, np.ndarray], list[np.ndarray]]:
    """Return time, signals by name (neuron, time) and the spike times of every neuron; nothing else is read.

    Parameters
    ----------
    data : xarray.Dataset
        A population.
    neurons : sequence of int
        Positions among the recorded neurons.
    sample : int
        Position of the sample.
    start, stop : int
        Recorded intervals.
    """
    chosen = data.isel(sample=[sample], time=slice(start, stop), neuron=list(neurons))
    shown = bare(chosen).drop_dims("spike", errors="ignore").isel(sample=0)
    held = {name: shown[name].transpose("neuron", "time").values for name in SHOWN if name in shown}
    fired: list[np.ndarray] = [np.zeros(0)] * len(neurons)
    if fires(data):
        time, number = spikes_of(chosen)
        fired = [time[number == own] for own in data["neuron"].values[list(neurons)]]
    return shown["time"].values.astype(float), held, fired


def fires(data: xr.Dataset) -> bool:
    """Whether spikes of a population were recorded."""
    return "spikes" in data or "spike_time" in data


def spikes_of(data: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the times of the spikes of one sample, and the numbers of their neurons.

    Parameters
    ----------
    data : xarray.Dataset
        A population with one sample.
    """
    if "spikes" in data:
        step, place = np.nonzero(data["spikes"].values[0])
        return data["time"].values[step].astype(float), data["neuron"].values[place]
    if not fires(data):
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    population, start = Population(data), float(data["time"].values[0])
    return start + population.trains.time, population.spiking_neuron[population.trains.neuron]


def units_of(data: xr.Dataset) -> dict[str, str]:
    """Return the unit of every signal that is shown."""
    return {name: str(data[name].attrs.get("units", "1")) for name in SHOWN if name in data}
