"""Estimates of how the gain follows the activity of the population."""

from __future__ import annotations

import numpy as np

from eiplatform.errors import NotApplicableError, choose
from eiplatform.statistics import kernels
from eiplatform.statistics.estimates.common import Estimate, unit
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population

__all__ = ["ACTIVITIES", "gain_slope", "population_activity"]

ACTIVITIES = {"excitation": "current_exc", "spikes": "spikes"}
"""What may stand for the activity of a population, and the signal of it."""


def population_activity(population: Population, activity: str) -> FloatArray:
    """Mean excitation, or mean rate, of the recorded neurons in each sample, shape (sample,)."""
    signal = ACTIVITIES[choose(activity, ACTIVITIES, "population activity")]
    population.require((signal,), "the population's activity")
    if signal == "spikes" and "spikes" not in population.data:
        return np.asarray(population.counts.mean(axis=1) / population.duration)
    return np.asarray(population.time_mean(signal).mean(axis=1))


def gain_slope(population: Population, activity: str = "excitation") -> Estimate:
    """Slope of ln gain on ln population activity over samples."""
    population.require(("gain",), "the slope of the gain")
    population.require_samples("the slope of the gain")
    active, gain = population_activity(population, activity), population.time_mean("gain")
    if not (active > 0).any():
        raise NotApplicableError("the population is not active in any sample", where=population.name or None)

    def values(weights: FloatArray) -> FloatArray:
        return kernels.log_slope(weights, active, gain)

    return Estimate(
        unit(population, gain.shape[1], values),
        population.neuron,
        "mean gain not positive in some sample, or the same activity in all samples",
        "1",
        {"activity": activity, "samples_left_out": int((active <= 0).sum())},
    )
