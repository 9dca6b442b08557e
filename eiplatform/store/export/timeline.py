"""Where samples lie on the one time axis of other formats, in milliseconds.

NWB and SONATA know one continuous time.  The samples of a recording are laid on it one after
the other, each as long as it was recorded; where each starts and ends is stored beside the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xarray as xr

from eiplatform.errors import ConfigError, StoreError
from eiplatform.memory import available_memory
from eiplatform.store.blocks import row_blocks, sample_blocks
from eiplatform.store.schema import EVENTS, SIGNALS

__all__ = [
    "Timeline",
    "Train",
    "check_signal_memory",
    "common_timeline",
    "has_spikes",
    "recorded_signals",
    "sample_coords",
    "spike_trains",
    "spikes_by_sample",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_SPIKE_BYTES = 40  # a time and a neuron, their order, and the sorted copy


@dataclass(frozen=True)
class Timeline:
    """The samples of a recording, one after the other.

    Attributes
    ----------
    samples : tuple of int
        Their ids.
    scale : float
        Milliseconds per unit of the recording's time.
    origin : float
        First instant of a sample, in the recording's unit.
    length, dt : float
        Of a sample and of a recorded interval, in ms.
    n_time : int
        Recorded intervals per sample.
    """

    samples: tuple[int, ...]
    scale: float
    origin: float
    length: float
    dt: float
    n_time: int

    @property
    def starts(self) -> FloatArray:
        """Start of each sample in ms, shape (sample,)."""
        return np.arange(len(self.samples), dtype=np.float64) * np.float64(self.length)

    @property
    def gapless(self) -> bool:
        """Whether the recorded intervals of one sample end where those of the next begin."""
        return abs(self.n_time * self.dt - self.length) < 1e-6 * self.dt

    def require_gapless(self, what: str) -> None:
        """Raise StoreError if a regular series cannot hold the signals."""
        if not self.gapless:
            raise StoreError(
                f"{what}: {self.n_time} intervals of {self.dt:g} ms do not fill a sample of {self.length:g} ms",
                remedy='export only spikes: signals="spikes"',
            )


def common_timeline(populations: Mapping[str, xr.Dataset], ms_per_step: float | None) -> Timeline:
    """Return the timeline that all populations share.

    Parameters
    ----------
    populations : mapping of str to xarray.Dataset
    ms_per_step : float or None
        For a recording in steps: what a step is taken to last.

    Raises
    ------
    ConfigError
        If the recording is in steps and `ms_per_step` is missing, or the other way round.
    StoreError
        If time is irregular, or populations differ in time or samples.
    """
    timelines = {name: _timeline(name, data, ms_per_step) for name, data in populations.items()}
    (first, whole), *others = timelines.items()
    for name, timeline in others:
        if timeline != whole:
            raise StoreError(
                f"'{name}' and '{first}' have different times or samples",
                remedy="export them one by one: populations=...",
            )
    return whole


def _timeline(name: str, data: xr.Dataset, ms_per_step: float | None) -> Timeline:
    in_steps = data.attrs["dt_units"] == "step"
    if in_steps and ms_per_step is None:
        decay = data.attrs.get("membrane_decay")
        hint = f"; here dt = {-np.log(decay):.3g} x tau_membrane" if decay and 0 < decay < 1 else ""
        raise ConfigError(
            "this recording is in steps, which have no duration of their own, and the format is in seconds",
            where=f"population '{name}'",
            remedy=f"say what a step is taken to last: ms_per_step=..., e.g. dt = -tau_membrane ln(1 - 1/tau){hint}",
        )
    if not in_steps and ms_per_step is not None:
        raise ConfigError("this recording is in ms already", where="ms_per_step", remedy="leave it out")
    if ms_per_step is not None and not (np.isfinite(ms_per_step) and ms_per_step > 0):
        raise ConfigError(f"{ms_per_step} is not a duration", where="ms_per_step", valid="a number above 0")
    scale = 1.0 if ms_per_step is None else float(ms_per_step)
    time, dt = data["time"].values.astype(float), float(data.attrs["dt"])
    if len(time) > 1 and not np.allclose(np.diff(time), dt, rtol=1e-3):
        raise StoreError(
            f"time is not evenly spaced by {dt:g} {data.attrs['dt_units']}",
            where=f"population '{name}'",
            valid="the recording as it was made",
        )
    origin = float(time[0]) if in_steps and len(time) else 0.0
    length = float(data.attrs.get("duration", len(time) * dt)) * scale
    return Timeline(tuple(data["sample"].values.tolist()), scale, origin, length, dt * scale, len(time))


def has_spikes(data: xr.Dataset) -> bool:
    """Whether a population has spikes, dense or as events."""
    return "spikes" in data or set(EVENTS) <= set(data.data_vars)


def _check_spike_memory(populations: Mapping[str, xr.Dataset]) -> None:
    """Raise StoreError if the spikes of some populations cannot be sorted by neuron in memory."""
    sizes = (data["spikes"].size if "spikes" in data else data.sizes["spike"] for data in populations.values())
    needed, available = _SPIKE_BYTES * sum(sizes), available_memory()
    if needed > available:
        raise StoreError(
            f"sorting the spikes by neuron takes up to {needed / 2**30:.1f} GiB, {available / 2**30:.1f} are free",
            remedy="export fewer populations or samples, or SONATA, which keeps spikes in the order of time",
        )


def check_signal_memory(data: xr.Dataset) -> None:
    """Raise StoreError if the signals of a population do not fit into half of the free memory."""
    needed, allowed = sum(data[key].nbytes for key in recorded_signals(data)), available_memory() // 2
    if needed > allowed:
        raise StoreError(
            f"these signals take {needed / 2**30:.1f} GiB, {allowed / 2**30:.1f} are allowed",
            remedy="choose fewer populations, signals or samples",
        )


class Train(NamedTuple):
    """The spikes of a neuron: where it belongs, its index there, and times in ms on the timeline, ascending."""

    population: str
    layer: str
    role: str
    neuron: int
    times: FloatArray


def spike_trains(populations: Mapping[str, xr.Dataset], timeline: Timeline) -> Iterator[Train]:
    """Yield the spikes of every neuron whose spikes are known, of silent ones too.

    Raises
    ------
    StoreError
        If they do not fit into memory, or spikes of some steps were not recorded.
    """
    spiking = {name: data for name, data in populations.items() if has_spikes(data)}
    _check_spike_memory(spiking)
    for name, data in spiking.items():
        found = list(spikes_by_sample(name, data, timeline))
        time, neuron = (np.concatenate([pair[axis] for pair in found]) for axis in (0, 1))
        order = np.argsort(neuron, kind="stable")  # times ascend already
        ids = np.asarray(data["neuron"].values if "spikes" in data else np.arange(data.attrs["n_neurons"]), np.int64)
        first, last = (np.searchsorted(neuron[order], ids, side=side) for side in ("left", "right"))
        layer, role, time = name.rpartition("/")[0] or name, str(data.attrs["role"]), time[order]
        for one, start, stop in zip(ids.tolist(), first, last, strict=True):
            yield Train(name, layer, role, one, time[start:stop])


def recorded_signals(data: xr.Dataset) -> list[str]:
    """Return the names of a population's signals but its spikes."""
    return [str(key) for key in data.data_vars if key in SIGNALS and key != "spikes"]


def sample_coords(data: xr.Dataset) -> dict[str, npt.NDArray[Any]]:
    """Return what is known of the samples besides their ids, such as labels."""
    return {
        str(key): values.values for key, values in data.coords.items() if values.dims == ("sample",) and key != "sample"
    }


def spikes_by_sample(name: str, data: xr.Dataset, timeline: Timeline) -> Iterator[tuple[FloatArray, IntArray]]:
    """Yield the spikes of one sample after the other: times in ms on the timeline, ascending, and neurons.

    Raises
    ------
    StoreError
        If spikes of some steps were not recorded, or events are not in the order of the samples.
    """
    if "spikes" not in data:
        yield from _events(name, data, timeline)
        return
    if data.attrs["dt_units"] == "step" and data.attrs["dt"] != 1:
        raise StoreError(
            f"spikes were recorded every {data.attrs['dt']:g} steps, those between are unknown",
            where=f"population '{name}'",
            remedy=("record every step", 'export other signals: signals="current_*"'),
        )
    neurons = data["neuron"].values
    dense = data[["spikes"]]
    for block in sample_blocks(dense):
        values = dense["spikes"][block].values
        for offset, spikes in enumerate(values):
            step, place = np.nonzero(spikes)
            counts = spikes[step, place].astype(np.int64)  # more than one spike per interval
            times = timeline.starts[block.start + offset] + step * timeline.dt
            yield np.repeat(times, counts), np.repeat(neurons[place].astype(np.int64), counts)


def _events(name: str, data: xr.Dataset, timeline: Timeline) -> Iterator[tuple[FloatArray, IntArray]]:
    """Yield the events of the samples, wherever these lie in the list."""
    bounds = _event_ranges(name, data["spike_sample"])
    for start, sample in zip(timeline.starts, timeline.samples, strict=True):
        block = slice(*bounds.get(sample, (0, 0)))
        times = data["spike_time"][block].values.astype(np.float64) * timeline.scale
        order = np.argsort(times, kind="stable")
        yield start + times[order], data["spike_neuron"][block].values.astype(np.int64)[order]


def _event_ranges(name: str, spike_sample: xr.DataArray) -> dict[int, tuple[int, int]]:
    """Return where the events of each sample begin and end."""
    ranges: dict[int, tuple[int, int]] = {}
    for block in row_blocks(spike_sample.shape, spike_sample.dtype.itemsize):
        values = spike_sample[block].values
        cuts = np.flatnonzero(np.diff(values)) + 1
        for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(values)], strict=True):
            sample = values[start].item()
            begin, end = ranges.get(sample, (block.start + start, block.start + start))
            if end != block.start + start:
                raise StoreError(
                    "spike events are not in the order of the samples",
                    where=f"population '{name}'",
                    remedy="see 'eiplatform validate'; record it again",
                )
            ranges[sample] = (begin, block.start + stop)
    return ranges
