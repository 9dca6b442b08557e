"""Estimates of autocorrelation times and of the population's spectrum."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from eiplatform.errors import StatisticError, choose
from eiplatform.statistics import kernels
from eiplatform.statistics.estimates.common import Estimate, unit
from eiplatform.statistics.estimates.spikes import windowed
from eiplatform.statistics.estimates.synchrony import some_neurons
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.kernels.timescale import LagSums
from eiplatform.statistics.population import Population
from eiplatform.store.schema import SIGNALS

__all__ = ["MAX_LAGS", "PEAK_MEASURES", "SEGMENTS", "SPECTRUM_WINDOWS", "peak", "spectrum", "timescale"]

MAX_LAGS = {"step": 20.0, "ms": 100.0}
"""Default longest lag of autocorrelation times, by the recording's unit of time."""
TIMESCALE_WINDOWS = {"step": 1.0, "ms": 5.0}
"""Default window in which spikes are counted for their autocorrelation time."""
SPECTRUM_WINDOWS = {"step": 1.0, "ms": 1.0}
SEGMENTS = {"step": 128.0, "ms": 512.0}
"""Default length of a segment of the spectrum: its inverse is the resolution."""
PEAK_MEASURES = ("frequency", "height")

_LONGEST = 3  # an integrated time above 1/3 of the longest lag misses 5 % of an exponential or more
_RATIO = 5  # intervals in a sample, over the longest lag
_NEURONS = 1000  # enough for a mean over neurons; more only cost time
_BEYOND_CHANCE = 3.0


def timescale(population: Population, signal: str, max_lag: float | None, window: float | None) -> Estimate:
    """Autocorrelation time of a signal per neuron, or of spike counts for the population."""
    name = f"the timescale of {choose(signal, SIGNALS, 'signal')}"
    population.require((signal,), name)
    longest = MAX_LAGS[population.units] if max_lag is None else float(max_lag)
    if signal == "spikes":
        population.require_every_step(name)
        width = windowed(population, name, window, TIMESCALE_WINDOWS, 1)
    elif window is not None:
        raise StatisticError("only spikes are counted in windows", valid="window=None, or signal='spikes'")
    else:
        width = population.dt
    lags = round(longest / width) if math.isfinite(longest) else 0
    if lags < 2:
        raise StatisticError(
            f"the longest lag is {max_lag}", valid=f"at least two intervals, {2 * width:g} {population.units}"
        )
    needed = math.ceil(_RATIO * lags * width / population.dt - 1e-9)
    population.require_time(f"{name} with lags up to {longest:g} {population.units}", population.n_intervals, needed)
    attrs: dict[str, Any] = {"signal": signal, "max_lag": f"{longest:g} {population.units}"}
    if signal == "spikes":
        attrs["window"] = f"{width:g} {population.units}"
        return _of_spikes(population, width, lags, attrs)
    sums = LagSums.from_signal((sample for (block,) in population.blocks(signal) for sample in block), lags)
    time = kernels.integrated_time(np.ones((1, population.n_samples)), sums)[0] * width
    # Decided once, so that draws near the limit do not lose their longest times.
    kept = (time > 0) & (time <= longest / _LONGEST)

    def values(weights: FloatArray) -> FloatArray:
        return np.where(kept, kernels.integrated_time(weights, sums) * width, np.nan)

    rule = f"constant over time, or not between 0 and a third of the longest lag ({longest / _LONGEST:g})"
    return Estimate(unit(population, len(population.neuron), values), population.neuron, rule, population.units, attrs)


def _of_spikes(population: Population, width: float, lags: int, attrs: dict[str, Any]) -> Estimate:
    trains = population.trains
    chosen = some_neurons(trains.n_neurons, _NEURONS)
    if "spikes" in population.data and width == population.dt:
        samples: Iterable[Any] = (sample[:, chosen] for (block,) in population.blocks("spikes") for sample in block)
    else:
        samples = trains.binned(width, chosen)
    sums = LagSums.from_signal(samples, lags)
    first = sums.first
    beyond = first.mean() > _BEYOND_CHANCE * first.std() / math.sqrt(first.size)

    def values(weights: FloatArray) -> FloatArray:
        time = kernels.decay_time(weights, sums) * width
        return time if beyond and bool(limit) else np.full_like(time, np.nan)

    limit = True
    value = values(np.ones((1, population.n_samples))).mean()
    limit = bool(0 < value <= lags * width)
    return Estimate(
        unit(population, len(chosen), values),
        population.spiking_neuron[chosen],
        f"no positive autocorrelation beyond chance ({_BEYOND_CHANCE:g} standard errors), or no decay within the lags",
        population.units,
        attrs,
        level="population",
    )


def spectrum(
    population: Population, window: float | None, segment: float | None
) -> tuple[FloatArray, FloatArray, FloatArray, float, dict[str, Any]]:
    """Return frequencies, power (sample, frequency), mean count per window, independent segments, choices made."""
    name = "the spectrum of the population's rate"
    population.require(("spikes",), name)
    population.require_every_step(name)
    width = windowed(population, name, window, SPECTRUM_WINDOWS, 1)
    length = SEGMENTS[population.units] if segment is None else float(segment)
    points = round(length / width) if math.isfinite(length) else 0
    if points < 8:
        raise StatisticError(f"the segment is {segment}", valid=f"at least 8 windows, {8 * width:g} {population.units}")
    population.require_time(
        f"{name} in segments of {length:g} {population.units}",
        population.n_intervals,
        math.ceil(points * width / population.dt - 1e-9),
    )
    counts = population.trains.population_counts(width)
    fs = (1.0 if population.units == "step" else 1000.0) / width
    frequency, power = kernels.population_spectrum(counts, fs, points)
    # Half-overlapping Hann windows share a sixth of their energy (Welch 1967, IEEE Trans Audio 15:70).
    n = (counts.shape[1] - points) // (points - points // 2) + 1
    independent = len(counts) * n / (1 + 2 / 36 * (1 - 1 / n))
    attrs = {"window": f"{width:g} {population.units}", "segment": f"{length:g} {population.units}"}
    one_sided = np.full(frequency.size, 2.0)
    if points % 2 == 0:
        one_sided[-1] = 1.0  # the highest frequency stands for itself alone
    return frequency, power * fs / one_sided, counts.mean(axis=1, keepdims=True), independent, attrs


def peak(population: Population, measure: str) -> Estimate:
    """Frequency of the highest peak of the population's spectrum, or its height over the median."""
    choose(measure, PEAK_MEASURES, "measure of the peak")
    frequency, power, _, independent, attrs = spectrum(population, None, None)

    def values(weights: FloatArray) -> FloatArray:
        where, height = kernels.spectrum_peak(frequency, kernels.weighted_mean(weights, power), independent)
        return (where if measure == "frequency" else height)[:, None]

    units = ("1/step" if population.units == "step" else "Hz") if measure == "frequency" else "1"
    return Estimate(
        unit(population, 1, values),
        np.zeros(1, int),
        "no frequency stands out of white noise (1 %), or the lowest or highest does",
        units,
        attrs,
        level="population",
        n_pooled=len(population.spiking_neuron),
    )
