"""Spikes and signals as pynapple objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

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

__all__ = ["to_pynapple"]

_NANOSECOND = 1e-9


def to_pynapple(
    source: str | Path | xr.DataTree,
    *,
    ms_per_step: float | None = None,
    populations: Iterable[str] | None = None,
    signals: Iterable[str] = ("spikes",),
    samples: Iterable[int] | None = None,
    partial: bool = False,
) -> dict[str, Any]:
    """Return the spikes of a recording as pynapple objects, which pynapple's analyses take.

    Samples follow one another on pynapple's one time axis, in s; each is an interval of ``trials``, which ends a
    nanosecond before the next begins, because pynapple's intervals include their ends.

    Parameters
    ----------
    source : str, Path or xarray.DataTree
        A recording, or a population of it (``rec["fc1/E"]``).
    ms_per_step : float, optional
        For recordings in steps: what a step is taken to last.  Nothing is assumed.
    populations : iterable of str, optional
        Names or wildcards.  Default: all.
    signals : iterable of str
        Names or wildcards: further signals come as TsdFrames.
    samples : iterable of int, optional
        Ids.  Default: all.
    partial : bool
        Passed to :func:`eiplatform.open`.

    Returns
    -------
    dict
        ``units``: TsGroup of all neurons whose spikes are known, with metadata ``population``, ``layer``, ``role``
        and ``neuron`` (index in the population).  ``trials``: IntervalSet with metadata ``sample``, and ``label``
        where there are labels.  Further signals by ``population/signal``: TsdFrame (time, neuron), each value at the
        start of its interval.

    Raises
    ------
    MissingDependencyError
        If pynapple is not installed.
    ConfigError
        If a recording in steps comes without `ms_per_step`.
    StoreError
        If spikes of some steps are unknown, or what is asked for does not fit into memory.

    Examples
    --------
    >>> import eiplatform as ei, numpy as np
    >>> rec = ei.from_arrays(spikes=[[np.array([1.0, 7.5]), np.array([3.0])]] * 2, dt=1.0, duration=10.0)
    >>> made = ei.to_pynapple(rec)  # doctest: +SKIP
    >>> made["units"].count(ep=made["trials"]).values.tolist()  # doctest: +SKIP
    [[2.0, 1.0], [2.0, 1.0]]
    """
    nap = need("pynapple", "to_pynapple")
    parts = select(opened(source, partial=partial), populations=populations, signals=signals, samples=samples)
    timeline = common_timeline(parts, ms_per_step)
    trials = _trials(nap, timeline, next(iter(parts.values())))
    made: dict[str, Any] = {"trials": trials}
    if trains := list(spike_trains(parts, timeline)):
        made = {"units": _units(nap, trains, trials), **made}
    for name, data in parts.items():
        check_signal_memory(data)
        for key in recorded_signals(data):
            made[f"{name}/{key}"] = _frame(nap, data[key], timeline, trials)
    return made


def _trials(nap: Any, timeline: Timeline, data: xr.Dataset) -> Any:
    starts = timeline.starts / 1000.0
    metadata = {"sample": np.asarray(timeline.samples), **sample_coords(data)}
    return nap.IntervalSet(starts, starts + timeline.length / 1000.0 - _NANOSECOND, metadata=metadata)


def _units(nap: Any, trains: Sequence[Train], trials: Any) -> Any:
    units = [nap.Ts(t=train.times / 1000.0, time_support=trials) for train in trains]
    metadata = {key: [getattr(train, key) for train in trains] for key in ("population", "layer", "role", "neuron")}
    return nap.TsGroup(units, time_support=trials, bypass_check=True, metadata=metadata)


def _frame(nap: Any, signal: xr.DataArray, timeline: Timeline, trials: Any) -> Any:
    within = np.arange(timeline.n_time) * timeline.dt
    times = (timeline.starts[:, None] + within).ravel() / 1000.0
    values = signal.values.reshape(len(times), -1)
    return nap.TsdFrame(t=times, d=values, time_support=trials, columns=signal["neuron"].values)
