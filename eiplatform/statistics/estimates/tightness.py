"""Estimates of how closely inhibition cancels excitation: what is left, relative to what."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.errors import StatisticError, TooShortError, choose
from eiplatform.statistics import kernels
from eiplatform.statistics.estimates.common import OVER, Estimate, shared, unit
from eiplatform.statistics.kernels.moments import RELATIVE_TOLERANCE, FloatArray
from eiplatform.statistics.population import Population

__all__ = [
    "MIN_NEURONS",
    "imbalance",
    "mean_to_fluctuation",
    "over_neurons",
    "pair_moments",
    "ratio_spread",
    "residual",
]

MIN_NEURONS = 5
"""Fewest neurons for a correlation over neurons."""

_NEEDS = ("current_exc", "current_inh")
_CONSTANT = f"excitation or inhibition constant (sd below {RELATIVE_TOLERANCE:g} of its root mean square)"


def imbalance(population: Population) -> Estimate:
    """Mean net current over the mean of both currents' sum, (E - I)/(E + I)."""
    population.require(_NEEDS, "the imbalance index")
    pair = population.currents

    def values(weights: FloatArray) -> FloatArray:
        exc, inh = pair.means(weights)
        return np.divide(exc - inh, exc + inh, out=np.full_like(exc, np.nan), where=exc + inh > 0)

    return Estimate(unit(population, pair.n_neurons, values), population.neuron, "sum of mean currents not positive")


def pair_moments(population: Population) -> kernels.PairMoments:
    """Second moments of E and I over time in each sample, made once."""
    return kernels.PairMoments(*population.table(_moments, *_NEEDS))


def _moments(exc: npt.NDArray[Any], inh: npt.NDArray[Any]) -> FloatArray:
    """Tables of the second moments over time of some samples, in the order of PairMoments."""
    return np.stack(list(vars(kernels.moments_over_time(exc, inh)[0]).values()))


def mean_to_fluctuation(population: Population, over: str, n_inputs: int | None = None) -> Estimate:
    """Mean net current over the standard deviation of the net current, over samples or over time."""
    choose(over, OVER, "estimator axis")
    name = "mean over fluctuation"
    if n_inputs is not None and n_inputs < 1:
        raise StatisticError(f"n_inputs is {n_inputs}", valid="the number of inputs of a neuron, at least 1")
    population.require(_NEEDS, name)
    root = np.sqrt(1.0 if n_inputs is None else float(n_inputs))
    pair = population.currents
    if over == "sample":
        population.require_samples(name)

        def values(weights: FloatArray) -> FloatArray:
            moments = pair.moments(weights)
            total = np.nan_to_num(moments.var_exc) + np.nan_to_num(moments.var_inh)
            return _ratio(moments.mean_exc - moments.mean_inh, total, total - 2 * moments.cov, root)

        where = "over samples"
    else:
        population.require_time(name, population.data.sizes["time"])
        moments = pair_moments(population)
        total = np.nan_to_num(moments.var_exc) + np.nan_to_num(moments.var_inh)

        def values(weights: FloatArray) -> FloatArray:
            exc, inh = pair.means(weights)
            fluctuation = kernels.weighted_mean(weights, total - 2 * moments.cov)
            return _ratio(exc - inh, kernels.weighted_mean(weights, total), fluctuation, root)

        where = "over time"
    attrs = {"n_inputs": "not given: not divided by its root" if n_inputs is None else n_inputs}
    rule = f"net current constant {where}"
    kernel = unit(population, pair.n_neurons, values, biased=over == "sample")  # the sd of few samples is low
    return Estimate(kernel, population.neuron, rule, "1", attrs)


def _ratio(mean: FloatArray, total: FloatArray, variance: FloatArray, root: float) -> FloatArray:
    varies = variance > RELATIVE_TOLERANCE**2 * (total + mean**2)
    return np.where(varies, mean / (root * np.sqrt(np.where(varies, variance, 1.0))), np.nan)


def residual(population: Population, over: str, pairs: str) -> Estimate:
    """Variance of the net current over the sum of the variances of E and I."""
    choose(over, OVER, "estimator axis")
    choose(pairs, kernels.RESIDUAL_PAIRS, "pairing")
    name = "the residual variance"
    population.require(_NEEDS, name)
    if over == "sample":
        population.require_samples(name)
        pair = population.currents

        def values(weights: FloatArray) -> FloatArray:
            return kernels.residual_variance(kernels.moments_over_samples(weights, pair, pair.moments(weights)), pairs)

        where, n = "over samples", pair.n_neurons
        attrs = {"pairs": pairs}
    else:
        population.require_time(name, population.data.sizes["time"])
        per_sample = kernels.residual_variance(pair_moments(population), pairs)

        def values(weights: FloatArray) -> FloatArray:
            return kernels.weighted_nanmean(weights, per_sample)

        where, n = "over time in every sample", per_sample.shape[1]
        attrs = {"pairs": pairs, "interval": f"{population.dt:g} {population.units}"}
    return Estimate(unit(population, n, values), population.neuron, f"{_CONSTANT} {where}", "1", attrs)


def over_neurons(population: Population, pairs: str) -> Estimate:
    """Correlation of time-averaged E and I over the neurons of a sample, averaged over samples."""
    choose(pairs, kernels.RESIDUAL_PAIRS, "pairing")
    name = "the E-I correlation over neurons"
    population.require(_NEEDS, name)
    require_neurons(population, name)
    if pairs != "own" and population.n_samples < 2:
        raise TooShortError(f"{name} with other samples: one sample is too few", valid="at least 2 samples")
    exc, inh = (population.time_mean(signal) for signal in _NEEDS)
    patterns = shared(population, "patterns", lambda: kernels.Patterns(exc, inh))

    def values(weights: FloatArray) -> FloatArray:
        return patterns.correlation(weights, pairs)

    left_out = int((~patterns.defined).sum())
    return Estimate(
        unit(population, exc.shape[1], values),
        population.neuron,
        "none; samples in which excitation or inhibition is the same for all neurons are left out",
        "1",
        {"pairs": pairs, "samples_left_out": left_out},
        level="population",
    )


def ratio_spread(population: Population) -> Estimate:
    """Spread over neurons of ln(E/I), a standard deviation."""
    name = "the spread of the E/I ratio"
    population.require(_NEEDS, name)
    require_neurons(population, name)
    pair = population.currents

    def values(weights: FloatArray) -> FloatArray:
        return kernels.log_ratio_spread(*pair.means(weights))

    rule = "mean excitation or mean inhibition not positive"
    return Estimate(unit(population, pair.n_neurons, values), population.neuron, rule, level="population")


def require_neurons(population: Population, statistic: str) -> None:
    """Raise TooShortError unless there are enough neurons for a statistic over neurons."""
    count = population.data.sizes["neuron"]
    if count < MIN_NEURONS:
        raise TooShortError(
            f"{statistic}: {count} recorded neurons are too few",
            where=population.name or None,
            valid=f"at least {MIN_NEURONS} neurons",
        )
