"""What statistics of spikes share: rates, windows in which spikes are counted, a fixed number of neurons."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.errors import StatisticError, TooShortError
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import MIN_NEURONS, Population

__all__ = [
    "COUNTS",
    "COUNT_WINDOWS",
    "FIXED_NEURONS",
    "MIN_WINDOWS",
    "SYNCHRONY_WINDOWS",
    "enough_neurons",
    "fired",
    "in_intervals",
    "rate_table",
    "require_neurons",
    "some_neurons",
    "window_of",
    "windowed",
]

COUNT_WINDOWS = {"step": 10.0, "ms": 50.0}
"""Default window of counts (Fano factor, correlation of counts), by the recording's unit of time."""
COUNTS = (
    "the windows differ, 10 steps in a network and 50 ms in a circuit; and a ratio of moments that are averaged over "
    "samples first depends on how many samples there are"
)
"""Why ratios of counts of single neurons are not compared between a network and a circuit."""
SYNCHRONY_WINDOWS = {"step": 1.0, "ms": 3.0}
"""Default window of synchrony (Potjans & Diesmann 2014: 3 ms), by the recording's unit of time."""
MIN_WINDOWS = 10
"""Fewest windows per sample for a variance of counts over time."""
FIXED_NEURONS = 100
"""Number of neurons at which statistics of the whole population that grow with it are given."""


def rate_table(population: Population, statistic: str) -> tuple[FloatArray, str]:
    """Return every neuron's rate in every sample, shape (sample, neuron), and its unit."""
    population.require(("spikes",), statistic)
    if "spikes" in population.data and population.units == "step":
        population.require_counts(statistic)
        # The mean count per recorded step: also right when only every k-th step was recorded.
        return population.time_mean("spikes"), "spikes/step"
    if population.units == "step":
        raise StatisticError("spike events in steps are not a network's recording", where=population.name or None)
    return population.counts / population.duration * 1000.0, "Hz"


def fired(population: Population) -> FloatArray:
    """Return in how many intervals (of events: how often) a neuron fires in a sample, shape (sample, neuron).

    It is 0 only where a neuron does not fire: spikes that have signs do not cancel.
    """
    return population.table(_with_spikes, "spikes") if "spikes" in population.data else population.counts


def _with_spikes(spikes: npt.NDArray[Any]) -> FloatArray:
    number: FloatArray = np.count_nonzero(spikes, axis=1).astype(np.float64)
    return number


def window_of(population: Population, defaults: Mapping[str, float]) -> float:
    """Return the default window for counts: by the unit of time, of a circuit in a network's time by its steps."""
    step = population.data.attrs.get("step_ms")
    return defaults[population.units] if step is None else defaults["step"] * float(step)


def windowed(
    population: Population, statistic: str, window: float | None, defaults: Mapping[str, float], least: int
) -> float:
    """Return the window for counts, checked: whole steps, and at least `least` of them in a sample."""
    chosen = window_of(population, defaults) if window is None else float(window)
    if not (0 < chosen < math.inf and (population.units != "step" or chosen == int(chosen))):
        raise StatisticError(
            f"the window is {window}", valid=f"a positive (whole, for steps) number of {population.units}"
        )
    steps = math.ceil(chosen * least / population.dt - 1e-9)
    population.require_time(f"{statistic} in windows of {chosen:g} {population.units}", population.n_intervals, steps)
    return chosen


def enough_neurons(population: Population, statistic: str, wanted: int, found: int) -> None:
    """Raise unless at least two neurons are wanted and as many were recorded.

    Raises
    ------
    StatisticError
        If fewer than two are wanted.
    TooShortError
        If the population has fewer.
    """
    if wanted < 2 or wanted != int(wanted):
        raise StatisticError(f"n_neurons is {wanted}", valid="a whole number of at least 2")
    if found < wanted:
        raise TooShortError(
            f"{statistic} at {wanted} neurons: {found} neurons are too few",
            where=population.name or None,
            valid=f"at least {wanted} neurons (or a smaller n_neurons, compared with the same only)",
        )


def some_neurons(n_all: int, n: int) -> npt.NDArray[np.int64]:
    """Return positions of `n` of `n_all` neurons, all if there are at most `n`, else a fixed random draw, sorted.

    Not every k-th neuron: in convolutional layers that would be a single channel.

    Examples
    --------
    >>> some_neurons(3, 10).tolist(), len(set(some_neurons(1000, 10).tolist()))
    ([0, 1, 2], 10)
    """
    if n_all <= n:
        return np.arange(n_all)
    return np.sort(np.random.default_rng(0).choice(n_all, n, replace=False))


def require_neurons(population: Population, statistic: str) -> None:
    """Raise TooShortError unless there are enough neurons for a statistic over neurons."""
    count = population.data.sizes["neuron"]
    if count < MIN_NEURONS:
        raise TooShortError(
            f"{statistic}: {count} recorded neurons are too few",
            where=population.name or None,
            valid=f"at least {MIN_NEURONS} neurons",
        )


def in_intervals(population: Population, length: float, what: str) -> int:
    """Return a length of time in intervals of the recording.

    Raises
    ------
    StatisticError
        Unless it is one or more whole intervals.
    """
    intervals = length / population.dt
    if not np.isfinite(intervals) or round(intervals) < 1 or abs(intervals - round(intervals)) > 1e-6:
        raise StatisticError(
            f"{what} of {length:g} {population.units} is not possible",
            where=population.name or None,
            valid=f"one or more whole intervals of {population.dt:g} {population.units}",
        )
    return round(intervals)
