"""Estimates of the dimension of activity."""

from __future__ import annotations

from typing import Any

import numpy as np

from eiplatform.errors import StatisticError, choose
from eiplatform.statistics import kernels
from eiplatform.statistics.estimates.common import OVER, Estimate, unit
from eiplatform.statistics.estimates.spikes import FANO_WINDOWS, MIN_WINDOWS, windowed
from eiplatform.statistics.estimates.synchrony import enough_neurons, some_neurons
from eiplatform.statistics.kernels.moments import FloatArray, weighted_mean
from eiplatform.statistics.kernels.spill import map_rows
from eiplatform.statistics.population import Population

__all__ = ["participation_ratio"]

_NEURONS = 500  # a covariance matrix of 2 MB; more neurons add little to means over pairs


def participation_ratio(population: Population, over: str, n_neurons: int, window: float | None) -> Estimate:
    """Participation ratio of spike counts over samples, or over windows in time."""
    choose(over, OVER, "estimator axis")
    name = "the participation ratio"
    population.require(("spikes",), name)
    enough_neurons(population, name, n_neurons, len(population.spiking_neuron))
    chosen = some_neurons(len(population.spiking_neuron), max(n_neurons, _NEURONS))
    attrs: dict[str, Any] = {"n_neurons": n_neurons}
    if over == "sample":
        if window is not None:
            raise StatisticError(f"{name} over samples counts the whole sample", valid="window=None")
        population.require_samples(name)
        rows = map_rows(lambda counts: counts[:, None, chosen], population.counts)
        attrs["window"] = f"whole sample, {population.duration:g} {population.units}"
    else:
        population.require_every_step(name)
        width = windowed(population, name, window, FANO_WINDOWS, MIN_WINDOWS)
        rows = population.trains.binned(width, chosen)
        attrs["window"] = f"{width:g} {population.units}"
    value, of_sample, of_neuron = kernels.participation_ratio(rows, n_neurons)

    def values(weights: FloatArray) -> FloatArray:
        return value + weighted_mean(weights, of_sample[:, None]) + of_neuron

    return Estimate(
        unit(population, len(chosen), values),
        np.asarray(population.spiking_neuron)[chosen],
        "nothing varies",
        "1",
        attrs,
        level="population",
    )
