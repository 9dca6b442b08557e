"""Estimates of how neurons vary together, always at a fixed number of neurons."""

from __future__ import annotations

from typing import Any

import numpy as np

from eiplatform.errors import NotApplicableError, StatisticError, TooShortError, choose
from eiplatform.statistics import kernels
from eiplatform.statistics.estimates.common import OVER, Estimate, unit
from eiplatform.statistics.estimates.spikes import FANO_WINDOWS, MIN_WINDOWS, windowed
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.kernels.spill import map_rows
from eiplatform.statistics.kernels.synchrony import SharedSums
from eiplatform.statistics.population import MIN_INTERVALS, Population
from eiplatform.store.schema import SIGNALS

__all__ = [
    "FIXED_NEURONS",
    "SYNCHRONY_WINDOWS",
    "chi",
    "count_correlation",
    "count_correlation_pairs",
    "enough_neurons",
    "some_neurons",
    "synchrony",
]

FIXED_NEURONS = 100
"""Number of neurons at which statistics of the whole population that grow with it are given."""
SYNCHRONY_WINDOWS = {"step": 1.0, "ms": 3.0}
"""Default window of synchrony (Potjans & Diesmann 2014: 3 ms), by the recording's unit of time."""


def enough_neurons(population: Population, statistic: str, wanted: int, found: int) -> None:
    """Raise unless at least two neurons are wanted and so many were recorded.

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


def some_neurons(n_all: int, n: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return positions of `n` of `n_all` neurons, all if there are no more, else a fixed random draw, sorted.

    Not every k-th neuron: in convolutional layers that would be a single channel.

    Examples
    --------
    >>> some_neurons(3, 10).tolist(), len(set(some_neurons(1000, 10).tolist()))
    ([0, 1, 2], 10)
    """
    if n_all <= n:
        return np.arange(n_all)
    return np.sort(np.random.default_rng(0).choice(n_all, n, replace=False))


def _shared_sums(values: np.ndarray[Any, Any]) -> FloatArray:
    """Mean, variance and shared covariance of some samples, shape (3, sample, neuron)."""
    sums = SharedSums.from_signal(values)
    return np.stack([sums.mean, sums.variance, sums.shared])


def chi(population: Population, signal: str, n_neurons: int, window: float | None) -> Estimate:
    """Golomb & Rinzel's chi of a signal, or of spike counts."""
    name = f"chi of {choose(signal, SIGNALS, 'signal')}"
    population.require((signal,), name)
    attrs: dict[str, Any] = {"signal": signal, "n_neurons": n_neurons}
    if signal == "spikes":
        enough_neurons(population, name, n_neurons, len(population.spiking_neuron))
        population.require_every_step(name)
        chosen = windowed(population, name, window, SYNCHRONY_WINDOWS, MIN_INTERVALS)
        attrs["window"] = f"{chosen:g} {population.units}"
        sums, neuron = SharedSums.from_trains(population.trains, chosen), population.spiking_neuron
    else:
        if window is not None:
            raise StatisticError("only spikes are counted in windows", valid="window=None, or signal='spikes'")
        enough_neurons(population, name, n_neurons, len(population.neuron))
        population.require_time(name, population.data.sizes["time"])
        attrs["interval"] = f"{population.dt:g} {population.units}"
        sums, neuron = SharedSums(*population.table(_shared_sums, signal)), population.neuron

    def values(weights: FloatArray) -> FloatArray:
        return kernels.chi(weights, sums, n_neurons)

    return Estimate(
        unit(population, len(neuron), values), neuron, "nothing varies over time", "1", attrs, level="population"
    )


def synchrony(population: Population, n_neurons: int, window: float | None) -> Estimate:
    """Variance over mean of the summed spike counts of a fixed number of neurons."""
    name = "synchrony"
    population.require(("spikes",), name)
    enough_neurons(population, name, n_neurons, len(population.spiking_neuron))
    population.require_every_step(name)
    chosen = windowed(population, name, window, SYNCHRONY_WINDOWS, MIN_INTERVALS)
    sums = SharedSums.from_trains(population.trains, chosen)

    def values(weights: FloatArray) -> FloatArray:
        return kernels.count_synchrony(weights, sums, n_neurons)

    return Estimate(
        unit(population, len(population.spiking_neuron), values),
        population.spiking_neuron,
        "no neuron fires",
        "1",
        {"n_neurons": n_neurons, "window": f"{chosen:g} {population.units}"},
        level="population",
    )


def _counts(
    population: Population, over: str, n_neurons: int, window: float | None
) -> tuple[FloatArray, np.ndarray[Any, Any], dict[str, Any]]:
    """Return counts as the pairs' kernel takes them, the neurons, and the choices made."""
    choose(over, OVER, "estimator axis")
    name = "the correlation of spike counts"
    if n_neurons < 2:
        raise StatisticError(f"n_neurons is {n_neurons}", valid="a whole number of at least 2")
    population.require(("spikes",), name)
    population.require_every_step(name)
    if len(population.spiking_neuron) < 2:
        raise NotApplicableError(f"{name} of one neuron", where=population.name or None, valid="at least 2 neurons")
    chosen = some_neurons(len(population.spiking_neuron), n_neurons)
    if over == "sample":
        if window is not None:
            raise StatisticError(f"{name} over samples counts the whole sample", valid="window=None")
        population.require_samples(name)
        # Weighted moments about a weighted mean: left to the kernel of pairs over samples.
        counts = map_rows(lambda rows: rows[:, chosen], population.counts)
        text = f"whole sample, {population.duration:g} {population.units}"
    else:
        width = windowed(population, name, window, FANO_WINDOWS, MIN_WINDOWS)
        counts = population.trains.binned(width, chosen)
        text = f"{width:g} {population.units}"
    return counts, population.spiking_neuron[chosen], {"window": text, "n_neurons": len(chosen)}


def count_correlation(population: Population, over: str, n_neurons: int, window: float | None) -> Estimate:
    """Mean correlation of a neuron's spike counts with those of others."""
    counts, neuron, attrs = _counts(population, over, n_neurons, window)
    n = len(neuron)
    pair = kernels.CurrentPair(counts, counts) if over == "sample" else None

    def partners(weights: FloatArray) -> FloatArray:
        if pair is not None:
            return kernels.pair_correlation(weights, pair, "cross")
        step = max(1, 2**22 // (n * n))
        blocks = [weights[start : start + step] for start in range(0, len(weights), step)]
        return np.concatenate([kernels.partner_mean(kernels.pair_correlations(block, counts), n) for block in blocks])

    def values(weights: FloatArray) -> FloatArray:
        found = partners(weights)
        defined = np.isfinite(found)
        with np.errstate(invalid="ignore"):
            mean = np.where(defined, found, 0.0).sum(axis=1, keepdims=True) / defined.sum(axis=1, keepdims=True)
        # A pair belongs to two neurons: its mean varies twice as much with a neuron as half of it.
        doubled: FloatArray = 2 * found - mean
        return doubled

    return Estimate(
        unit(population, n, values),
        neuron,
        "silent or constant neurons",
        "1",
        attrs,
        shown=partners(np.ones((1, population.n_samples)))[0],
    )


def count_correlation_pairs(
    population: Population, over: str, n_neurons: int, window: float | None
) -> tuple[FloatArray, np.ndarray[Any, Any], dict[str, Any], int]:
    """Return every pair's correlation, the neurons, the choices made, and the degrees of freedom."""
    counts, neuron, attrs = _counts(population, over, n_neurons, window)
    if over == "sample":
        counts = counts[None]
    free = counts.shape[0] * (counts.shape[1] - 1)
    return kernels.pair_correlations(np.ones((1, counts.shape[0])), counts)[0], neuron, attrs, free
