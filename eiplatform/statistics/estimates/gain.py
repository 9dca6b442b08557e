"""Estimates of the gain."""

from __future__ import annotations

import numpy as np

from eiplatform.errors import choose
from eiplatform.statistics import kernels
from eiplatform.statistics.estimates.common import Estimate, unit
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population, time_variance

__all__ = ["GAIN_MEASURES", "gain"]

GAIN_MEASURES = ("mean", "cv")


def gain(population: Population, measure: str) -> Estimate:
    """Mean gain, or its coefficient of variation over samples and time."""
    choose(measure, GAIN_MEASURES, "measure of the gain")
    population.require(("gain",), "the gain")
    mean = population.time_mean("gain")
    rule = "none" if measure == "mean" else "mean gain not positive"
    if measure == "mean":

        def values(weights: FloatArray) -> FloatArray:
            return kernels.weighted_mean(weights, mean)

    else:
        centre = kernels.weighted_mean(np.ones((1, population.n_samples)), mean)[0]
        within = population.table(time_variance, "gain")

        def values(weights: FloatArray) -> FloatArray:
            w = weights / weights.sum(axis=1, keepdims=True)
            average, square = kernels.weighted_sums(w, lambda m, v: (m, v + (m - centre) ** 2), mean, within)
            variance = square - (average - centre) ** 2
            sd = np.sqrt(np.maximum(variance, 0.0))
            cv: FloatArray = np.divide(sd, average, out=np.full_like(sd, np.nan), where=average > 0)
            return cv

    return Estimate(unit(population, mean.shape[1], values), population.neuron, rule, "1", {"measure": measure})
