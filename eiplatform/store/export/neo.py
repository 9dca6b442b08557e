"""Spikes and signals as Neo objects, which Elephant's analyses take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.store.export.selection import opened, select
from eiplatform.store.export.timeline import (
    Timeline,
    Train,
    check_signal_memory,
    common_timeline,
    recorded_signals,
    sample_coords,
    spike_trains,
)
from eiplatform.store.optional import need

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
    about = tree.attrs.get("source", {})
    block = neo.Block(name=str(about.get("label", about.get("name", ""))))
    if ms_per_step is not None:
        block.annotate(ms_per_step=ms_per_step)
    labels = sample_coords(next(iter(parts.values())))
    for index, sample in enumerate(timeline.samples):
        known = {key: values[index].item() for key, values in labels.items()}
        block.segments.append(neo.Segment(name=f"sample {sample}", index=index, sample=sample, **known))
    trains = {
        name: list(found) for name, found in groupby(spike_trains(parts, timeline), lambda train: train.population)
    }
    for name, data in parts.items():
        whose = {"population": name, "layer": name.rpartition("/")[0] or name, "role": data.attrs["role"]}
        group = neo.Group(name=name, **whose)
        cut = [_cut(neo, quantities, train, timeline, whose) for train in trains.get(name, [])]
        check_signal_memory(data)
        for index, segment in enumerate(block.segments):
            own = [pieces[index] for pieces in cut]
            analog = [
                _signal(neo, quantities, name, data[key][index], timeline, whose) for key in recorded_signals(data)
            ]
            segment.spiketrains.extend(own)
            segment.analogsignals.extend(analog)
            group.add(*own, *analog)
        block.groups.append(group)
    block.check_relationships()
    return block


def _cut(neo: Any, quantities: Any, train: Train, timeline: Timeline, about: Mapping[str, str]) -> list[Any]:
    """Return the spikes of a neuron in each sample, from the start of the sample."""
    pieces = np.split(train.times, np.searchsorted(train.times, timeline.starts[1:]))
    return [
        neo.SpikeTrain(
            times - start,
            units=quantities.ms,
            t_stop=timeline.length * quantities.ms,
            name=f"{train.population} {train.neuron}",
            neuron=train.neuron,
            **about,
        )
        for times, start in zip(pieces, timeline.starts, strict=True)
    ]


def _signal(
    neo: Any, quantities: Any, name: str, signal: xr.DataArray, timeline: Timeline, about: Mapping[str, str]
) -> Any:
    """Return a signal of one sample, (time, neuron)."""
    unit = str(signal.attrs.get("units", "1"))
    try:
        units = quantities.Quantity(1.0, _DIMENSIONLESS if unit == "1" else unit)
    except LookupError:
        raise StoreError(
            f"Neo knows no unit '{unit}'", where=f"'{signal.name}' of population '{name}'", remedy="leave it out"
        ) from None
    return neo.AnalogSignal(
        signal.values,
        units=units,
        sampling_period=timeline.dt * quantities.ms,
        name=f"{name} {signal.name}",
        array_annotations={"neuron": signal["neuron"].values},
        kind=signal.name,
        **about,
    )
