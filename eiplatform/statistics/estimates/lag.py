"""Estimates from the cross-correlogram of excitation and inhibition."""

from __future__ import annotations

import numpy as np

from eiplatform.errors import StatisticError, TooShortError, choose
from eiplatform.statistics import base
from eiplatform.statistics.base.moments import FloatArray, weighted_nanmean
from eiplatform.statistics.estimates.common import Estimate, shared, unit
from eiplatform.statistics.population import Population

__all__ = ["LAG_MEASURES", "correlograms", "in_intervals", "lag"]

LAG_MEASURES = ("lag", "peak")
"""Where the peak of the correlogram lies, and how high it is."""

_NEEDS = ("current_exc", "current_inh")
_DEFAULT = 10  # intervals
_BLOCK = 2**21  # elements of one (draw, lag, neuron) block: 16 MiB


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


def correlograms(population: Population, max_lag: float | None, pairs: str) -> FloatArray:
    """Cross-correlogram of each sample and neuron, shape (sample, lag, neuron).

    Raises
    ------
    TooShortError
        With fewer than four times `max_lag` intervals.
    """
    choose(pairs, base.RESIDUAL_PAIRS, "pairing")
    name = "the E-I correlogram"
    population.require(_NEEDS, name)
    lags = _DEFAULT if max_lag is None else in_intervals(population, max_lag, "a largest lag")
    exc, inh = (population.array(signal) for signal in _NEEDS)
    population.require_time(name, exc.shape[1])
    if exc.shape[1] < 4 * lags:
        raise TooShortError(
            f"{name} to lags of {lags * population.dt:g} {population.units}: {exc.shape[1]} intervals are too few",
            where=population.name or None,
            valid=f"at least {4 * lags} intervals, four times the largest lag",
        )
    own, cross = shared(population, ("correlogram", lags), lambda: base.correlogram(exc, inh, lags))
    return own if pairs == "own" else cross if pairs == "cross" else own - cross


def lag(population: Population, measure: str, pairs: str, max_lag: float | None = None) -> Estimate:
    """Lag or height of the peak of each neuron's correlogram, averaged over samples first."""
    choose(measure, LAG_MEASURES, "measure of the correlogram")
    curves = correlograms(population, max_lag, pairs)
    n_samples, n_lags, n_neurons = curves.shape

    def values(weights: FloatArray) -> FloatArray:
        size = max(1, _BLOCK // (n_lags * n_neurons))
        rows = []
        for start in range(0, len(weights), size):
            part = weights[start : start + size]
            mean = weighted_nanmean(part, curves.reshape(n_samples, -1)).reshape(len(part), n_lags, n_neurons)
            where, height = base.peak(mean)
            rows.append(where * population.dt if measure == "lag" else height)
        return np.concatenate(rows)

    return Estimate(
        unit(population, n_neurons, values),
        population.neuron,
        "no positive peak inside the range of lags, or excitation or inhibition constant over time in every sample",
        population.units if measure == "lag" else "1",
        {"pairs": pairs, "max_lag": f"{n_lags // 2 * population.dt:g} {population.units}", "positive": "I later"},
    )
