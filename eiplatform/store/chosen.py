"""The spikes of what was chosen from a circuit's recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.store.events import (
    EVENT_NAMES,
    IDENTITY,
    INTERVAL,
    LINKS,
    bare,
    decoded,
    events_of,
    has_events,
    link,
    read_events,
    untied_because,
)

__all__ = ["ChosenSpikes", "chosen_spikes", "plain", "replaced"]

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ChosenSpikes:
    """Spikes of some samples, times and neurons.

    Attributes
    ----------
    time : array, shape (spike,)
        Since the start of what was chosen.
    neuron, sample : array of int, shape (spike,)
        Positions: among `n_neurons`, and on the sample axis.
    n_neurons : int
        Neurons covered.
    duration : float
        Time covered per sample.
    everyone : bool
        Whether all neurons of the population are covered: no recorded neuron was left out.  Else the
        neurons are those of the axis ``neuron``, in its order.
    recorded : array of int, shape (neuron,)
        Positions, among the neurons covered, of those on the axis ``neuron``.
    gapless : bool
        Whether the chosen intervals follow one another, in every sample.
    first : array of int, shape (sample,)
        Interval of the recording with which each sample begins.
    source : array, shape (sample,)
        Ids of the recorded samples (of the first interval).
    """

    time: npt.NDArray[np.float64]
    neuron: IntArray
    sample: IntArray
    n_neurons: int
    duration: float
    everyone: bool
    recorded: IntArray
    gapless: bool
    first: IntArray
    source: npt.NDArray[Any]


def chosen_spikes(data: xr.Dataset) -> ChosenSpikes:
    """Return the spikes of the samples, times and neurons that a population holds.

    Parameters
    ----------
    data : xarray.Dataset
        With a list of spikes, see :mod:`eiplatform.store.events`.

    Raises
    ------
    StoreError
        If the spikes of the data are unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from eiplatform.store.schema import population_dataset
    >>> data = population_dataset(
    ...     {}, sample=np.array([7, 9]), time=np.arange(4.0), neuron=np.arange(3), dt=1.0, time_units="ms",
    ...     current_units="mV", n_neurons=3, role="E", attrs={"duration": 4.0},
    ...     events={"spike_time": np.array([0.5, 2.5, 3.5]), "spike_neuron": np.array([0, 1, 1]),
    ...             "spike_sample": np.array([7, 9, 9])})
    >>> found = chosen_spikes(data.isel(sample=[1], time=slice(2, 4)))
    >>> found.time.tolist(), found.duration
    ([0.5, 1.5], 2.0)
    """
    trial, grid, binding = events_of(data)
    events = read_events(data)
    n, dt, duration = int(grid["n_intervals"]), float(grid["interval"]), float(grid["duration"])
    if float(data.attrs.get("dt", dt)) != dt:
        raise StoreError(
            f"dt is {data.attrs['dt']}, and the spikes were tied to intervals of {dt:g}",
            where="spikes",
            remedy="leave dt as it was recorded",
        )
    by_sample = _by_sample(events["spike_sample"], trial)
    pieces, first, source, last, gapless = [_NONE], [], [], [], True
    for row in range(data.sizes["sample"]):
        (code,) = decoded(data, INTERVAL, binding, len(trial) * n, slice(row, row + 1))
        of, interval = np.divmod(code, n)
        runs = np.flatnonzero(np.r_[interval.size > 0, (np.diff(of) != 0) | (np.diff(interval) != 1)])
        lengths = np.diff(runs, append=interval.size)
        gapless &= runs.size <= 1
        first.append(interval[:1].sum())
        source.append(of[:1].sum())
        last.append(int((interval == n - 1).sum()))
        for sample in np.unique(of[runs]):
            mine, inside = runs[of[runs] == sample], by_sample[int(sample)]
            time = events["spike_time"][inside].astype(np.float64, copy=False)
            # The small number keeps a time on an edge in its interval despite rounding.
            when = np.minimum(np.floor(time / dt + 1e-9).astype(np.int64), n - 1)
            at, run = _within(when, interval[mine], lengths[of[runs] == sample])
            shift = (mine - interval[mine])[run] * dt
            pieces.append((time[at] + shift, inside[at], np.full(at.size, row)))
    longer = duration - n * dt  # of the last interval
    if len(set(last)) > 1 and abs(longer) > 1e-6 * dt:
        raise StoreError("the last interval is longer than the others, and not of all samples", where="spikes")
    time, which, sample = (np.concatenate(part) for part in zip(*pieces, strict=True))
    neuron = events["spike_neuron"][which].astype(np.int64)
    held = decoded(data, IDENTITY, binding, int(grid["n_neurons"]))
    everyone = len(np.unique(held)) == held.size == int(grid["n_recorded"])
    if not everyone:
        kept, neuron = _among(neuron, held)
        time, sample = time[kept], sample[kept]
    whole = gapless and data.sizes["time"] == n
    return ChosenSpikes(
        time,
        neuron,
        sample,
        int(grid["n_neurons"]) if everyone else held.size,
        duration if whole else data.sizes["time"] * dt + (last[0] * longer if last else 0.0),
        everyone,
        held if everyone else np.arange(held.size),
        gapless,
        np.array(first, np.int64),
        trial[np.array(source, np.int64)] if len(trial) else trial,
    )


def plain(data: xr.Dataset) -> xr.Dataset:
    """Return a population as it is stored: the list of spikes among its variables, cut to what was chosen.

    Parameters
    ----------
    data : xarray.Dataset
        Whole (nothing is read then), or some samples and a stretch of time of a recording.

    Raises
    ------
    StoreError
        If the spikes of the data are unknown, or a list cannot hold them: intervals with gaps,
        samples that repeat, some of the recorded neurons only (the list is of all neurons).
    """
    if not has_events(data):
        return data
    if not set(LINKS) & set(data.variables) and not untied_because(data):
        return data  # as it is stored
    if _whole(data):
        return bare(data)
    found = chosen_spikes(data)
    ids, neurons = data["sample"].to_numpy(), data["neuron"].to_numpy()
    because = ""
    if not found.gapless or (found.first != found.first[:1]).any():
        because = "its intervals have gaps, or begin at different times"
    elif len(np.unique(ids)) < len(ids):
        because = "samples repeat"
    elif not found.everyone or not np.array_equal(neurons, found.recorded):
        because = "some of the recorded neurons were chosen, or renamed, and the list is of all neurons"
    if because:
        raise StoreError(
            f"a list of spikes cannot be written of these data: {because}",
            valid="different samples, a stretch of time, all recorded neurons",
        )
    types = {name: data[name].dtype for name in EVENT_NAMES}
    values = {"spike_time": found.time, "spike_neuron": found.neuron, "spike_sample": ids[found.sample]}
    kept = bare(data)
    attrs = {name: kept[name].attrs for name in EVENT_NAMES}
    return (
        kept.drop_dims("spike")
        .assign({name: ("spike", values[name].astype(types[name]), attrs[name]) for name in EVENT_NAMES})
        .assign_attrs(duration=found.duration)
    )


def replaced(
    data: xr.Dataset, found: ChosenSpikes, time: npt.NDArray[Any], neuron: IntArray, sample: IntArray
) -> xr.Dataset:
    """Return a population with other spikes at the same places.

    Parameters
    ----------
    data : xarray.Dataset
    found : ChosenSpikes
        Its spikes, which say what it covers.
    time, neuron, sample : array, shape (spike,)
        As in :class:`ChosenSpikes`.
    """
    ids = data["sample"].to_numpy() if "sample" in data.coords else np.arange(data.sizes["sample"])
    ids = ids if len(np.unique(ids)) == len(ids) else np.arange(len(ids))
    kept = bare(data)
    values = {"spike_time": time, "spike_neuron": neuron, "spike_sample": ids[sample]}
    types = {name: kept[name].dtype if name != "spike_sample" else ids.dtype for name in EVENT_NAMES}
    attrs = {name: kept[name].attrs for name in EVENT_NAMES}
    listed = {name: ("spike", values[name].astype(types[name]), attrs[name]) for name in EVENT_NAMES}
    grid = {
        "n_intervals": data.sizes["time"],
        "interval": float(data.attrs["dt"]),
        "n_recorded": data.sizes["neuron"] if found.everyone else -1,
        "n_neurons": found.n_neurons,
        "duration": found.duration,
    }
    made = kept.drop_dims("spike").assign(listed).assign_attrs(duration=found.duration)
    return link(made, ids, found.recorded, grid)


_NONE = (np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64))


def _whole(data: xr.Dataset) -> bool:
    """Whether all samples, times and neurons are there under their own names; the list is not read."""
    trial, grid, binding = events_of(data)
    n, neuron = int(grid["n_intervals"]), data["neuron"].to_numpy()
    if data.sizes["time"] != n or not np.array_equal(data["sample"].to_numpy(), trial):
        return False
    for row in range(len(trial)):
        (code,) = decoded(data, INTERVAL, binding, len(trial) * n, slice(row, row + 1))
        if not np.array_equal(code, row * n + np.arange(n)):
            return False
    held = decoded(data, IDENTITY, binding, int(grid["n_neurons"]))
    return len(held) == int(grid["n_recorded"]) and np.array_equal(held, neuron)


def _by_sample(ids: npt.NDArray[Any], trial: npt.NDArray[Any]) -> list[IntArray]:
    """Return which spikes belong to each recorded sample, in the order of the list."""
    order = np.argsort(trial, kind="stable")
    place = np.minimum(np.searchsorted(trial, ids, sorter=order), len(trial) - 1)
    own = order[place]
    if (trial[own] != ids).any():
        raise StoreError("spikes of unknown samples", where="spike_sample", valid=f"{trial[:5].tolist()} ...")
    sequence = np.argsort(own, kind="stable")
    return np.split(sequence, np.searchsorted(own[sequence], np.arange(1, len(trial))))


def _within(when: IntArray, starts: IntArray, lengths: IntArray) -> tuple[IntArray, IntArray]:
    """Return the spikes in each run of intervals, and the runs they are in; runs may overlap."""
    if starts.size == 1:
        at = np.flatnonzero((when >= starts[0]) & (when < starts[0] + lengths[0]))
        return at, np.zeros(at.size, np.int64)
    order = np.argsort(when, kind="stable")
    low, high = (np.searchsorted(when[order], edge) for edge in (starts, starts + lengths))
    return order[_ranges(low, high - low)], np.repeat(np.arange(starts.size), high - low)


def _among(neuron: IntArray, held: IntArray) -> tuple[IntArray, IntArray]:
    """Return the spikes of the neurons `held` and their places there; a neuron held twice has them twice."""
    order = np.argsort(held, kind="stable")
    low, high = (np.searchsorted(held[order], neuron, side) for side in ("left", "right"))
    return np.repeat(np.arange(neuron.size), high - low), order[_ranges(low, high - low)]


def _ranges(starts: IntArray, counts: IntArray) -> IntArray:
    """Return the numbers from each start on, as many as counted, one range after the other."""
    shift = starts - np.concatenate([[0], np.cumsum(counts)[:-1]]) if starts.size else starts
    found: IntArray = np.repeat(shift, counts) + np.arange(int(counts.sum()))
    return found
