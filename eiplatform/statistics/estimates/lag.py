"""Estimates from the cross-correlogram of excitation and inhibition."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.errors import StatisticError, TooShortError, choose
from eiplatform.statistics import kernels
from eiplatform.statistics.estimates.common import Estimate, unit
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population

__all__ = ["LAG_MEASURES", "by_draws", "correlograms", "in_intervals", "lag"]

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


@cache
def _kernel(lags: int) -> Callable[..., FloatArray]:
    """One function per largest lag: tables are kept by the function that made them."""
    return partial(_flat, lags=lags)


def _flat(exc: npt.NDArray[Any], inh: npt.NDArray[Any], *, lags: int) -> FloatArray:
    return kernels.correlogram(exc, inh, lags).reshape(-1, exc.shape[0], exc.shape[2])


def correlograms(population: Population, max_lag: float | None) -> FloatArray:
    """Own and cross correlogram of each sample and neuron, shape (2, lag, sample, neuron), made once.

    Raises
    ------
    TooShortError
        With fewer than four times `max_lag` intervals.
    """
    name = "the E-I correlogram"
    population.require(_NEEDS, name)
    lags = _DEFAULT if max_lag is None else in_intervals(population, max_lag, "a largest lag")
    n_time = population.data.sizes["time"]
    population.require_time(name, n_time)
    if n_time < 4 * lags:
        raise TooShortError(
            f"{name} to lags of {lags * population.dt:g} {population.units}: {n_time} intervals are too few",
            where=population.name or None,
            valid=f"at least {4 * lags} intervals, four times the largest lag",
        )
    flat = population.table(_kernel(lags), *_NEEDS)
    return flat.reshape(2, -1, *flat.shape[1:])


def by_draws(weights: FloatArray, curves: FloatArray, rows: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Call `rows` for so many draws at a time that their correlograms stay small, and join what it gives."""
    size = max(1, _BLOCK // (curves.shape[1] * curves.shape[3]))
    return np.concatenate([rows(weights[start : start + size]) for start in range(0, len(weights), size)])


def lag(population: Population, measure: str, pairs: str, max_lag: float | None = None) -> Estimate:
    """Lag or height of the peak of each neuron's correlogram, averaged over samples first."""
    choose(measure, LAG_MEASURES, "measure of the correlogram")
    choose(pairs, kernels.RESIDUAL_PAIRS, "pairing")
    curves = correlograms(population, max_lag)
    _, n_lags, _, n_neurons = curves.shape

    def values(weights: FloatArray) -> FloatArray:
        index = LAG_MEASURES.index(measure)
        found = by_draws(
            weights, curves, lambda part: kernels.peak(kernels.mean_correlogram(part, curves, pairs))[index]
        )
        return found * population.dt if measure == "lag" else found

    return Estimate(
        unit(population, n_neurons, values),
        population.neuron,
        "no positive peak inside the range of lags, or excitation or inhibition constant over time in every sample",
        population.units if measure == "lag" else "1",
        {"pairs": pairs, "max_lag": f"{n_lags // 2 * population.dt:g} {population.units}", "positive": "I later"},
    )
