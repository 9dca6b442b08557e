"""Spikes and signals as Neo objects, which Elephant's analyses take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.store.export.selection import opened, select
from eiplatform.store.export.timeline import (
    Timeline,
    check_signal_memory,
    check_spike_memory,
    common_timeline,
    has_spikes,
    spikes_by_sample,
)
from eiplatform.store.optional import need
from eiplatform.store.schema import SIGNALS

__all__ = ["to_neo"]

_DIMENSIONLESS = "dimensionless"


def to_neo(
    source: str | Path | xr.DataTree,
    *,
    ms_per_step: float | None = None,
    populations: Iterable[str] | None = None,
    signals: Iterable[str] = ("spikes",),
    samples: Iterable[int] | None = None,
    partial: bool = False,
) -> Any:
    """Return the spikes of a recording as a Neo Block: a Segment for every sample, a SpikeTrain for every neuron.

    Parameters
    ----------
    source : str, Path or xarray.DataTree
        A recording, or a population of it (``rec["fc1/E"]``).
    ms_per_step : float, optional
        For recordings in steps: what a step is taken to last.  Nothing is assumed.
    populations : iterable of str, optional
        Names or wildcards.  Default: all.
    signals : iterable of str
        Names or wildcards: further signals come as AnalogSignals with their units.
    samples : iterable of int, optional
        Ids.  Default: all.
    partial : bool
        Passed to :func:`eiplatform.open`.

    Returns
    -------
    neo.Block
        Segments are annotated with ``sample`` (and ``label``), spike trains with ``population``, ``layer``, ``role``
        and ``neuron``; times are in ms from the start of the sample.  A Group for each population holds its trains
        and signals of all samples.

    Raises
    ------
    MissingDependencyError
        If neo is not installed.
    ConfigError
        If a recording in steps comes without `ms_per_step`.
    StoreError
        If spikes of some steps are unknown, or what is asked for does not fit into memory.

    Examples
    --------
    >>> import eiplatform as ei, numpy as np
    >>> rec = ei.from_arrays(spikes=[[np.array([1.0, 7.5]), np.array([3.0])]] * 2, dt=1.0, duration=10.0)
    >>> block = ei.to_neo(rec)
    >>> len(block.segments), block.segments[0].spiketrains[0].times
    (2, array([1. , 7.5]) * ms)
    """
    neo = need("neo", "to_neo")
    quantities = need("quantities", "to_neo")
    tree = opened(source, partial=partial)
    parts = select(tree, populations=populations, signals=signals, samples=samples)
    timeline = common_timeline(parts, ms_per_step)
    check_spike_memory({name: data for name, data in parts.items() if has_spikes(data)})
    about = tree.attrs.get("source", {})
    block = neo.Block(name=str(about.get("label", about.get("name", ""))))
    if ms_per_step is not None:
        block.annotate(ms_per_step=ms_per_step)
    for segment in _segments(neo, timeline, next(iter(parts.values()))):
        block.segments.append(segment)
    for name, data in parts.items():
        held = _Held(neo, quantities, name, data, timeline)
        group = neo.Group(name=name, **held.about)
        for index, objects in enumerate(held.by_sample()):
            block.segments[index].spiketrains.extend(objects["trains"])
            block.segments[index].analogsignals.extend(objects["signals"])
            group.add(*objects["trains"], *objects["signals"])
        block.groups.append(group)
    block.check_relationships()
    return block


def _segments(neo: Any, timeline: Timeline, data: xr.Dataset) -> list[Any]:
    coords = [key for key, values in data.coords.items() if values.dims == ("sample",) and key != "sample"]
    return [
        neo.Segment(
            name=f"sample {sample}",
            index=index,
            sample=sample,
            **{str(key): data[key].values[index].item() for key in coords},
        )
        for index, sample in enumerate(timeline.samples)
    ]


class _Held:
    """What one population holds, as Neo objects."""

    def __init__(self, neo: Any, quantities: Any, name: str, data: xr.Dataset, timeline: Timeline) -> None:
        self.neo, self.units, self.data, self.timeline = neo, quantities, data, timeline
        self.name = name
        self.about = {"population": name, "layer": name.rpartition("/")[0] or name, "role": data.attrs["role"]}

    def by_sample(self) -> Iterable[Mapping[str, list[Any]]]:
        """Yield the spike trains and signals of one sample after the other."""
        keys = [str(key) for key in self.data.data_vars if key in SIGNALS and key != "spikes"]
        check_signal_memory(self.data, keys)
        spikes = iter(spikes_by_sample(self.name, self.data, self.timeline)) if has_spikes(self.data) else None
        for index, start in enumerate(self.timeline.starts):
            trains = []
            if spikes is not None:
                times, neurons = next(spikes)
                trains = self._trains(times - start, neurons)
            yield {"trains": trains, "signals": [self._signal(key, index) for key in keys]}

    def _trains(self, times: np.ndarray, neurons: np.ndarray) -> list[Any]:
        ms = self.units.ms
        known = self.data["neuron"].values if "spikes" in self.data else np.arange(self.data.attrs["n_neurons"])
        return [
            self.neo.SpikeTrain(
                times[neurons == neuron],
                units=ms,
                t_stop=self.timeline.length * ms,
                name=f"{self.name} {neuron}",
                neuron=int(neuron),
                **self.about,
            )
            for neuron in known
        ]

    def _signal(self, key: str, index: int) -> Any:
        signal = self.data[key]
        unit = str(signal.attrs.get("units", "1"))
        try:
            units = self.units.Quantity(1.0, _DIMENSIONLESS if unit == "1" else unit)
        except LookupError:
            raise StoreError(
                f"Neo knows no unit '{unit}'", where=f"'{key}' of population '{self.name}'", remedy="leave it out"
            ) from None
        return self.neo.AnalogSignal(
            signal[index].values,
            units=units,
            sampling_period=self.timeline.dt * self.units.ms,
            name=f"{self.name} {key}",
            array_annotations={"neuron": signal["neuron"].values},
            kind=key,
            **self.about,
        )
