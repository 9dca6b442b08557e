"""Estimates of what makes other numbers mean less: silence, firing at every step, shared inhibition."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.errors import NotApplicableError, choose
from eiplatform.statistics import kernels
from eiplatform.statistics.estimates.common import Estimate, unit
from eiplatform.statistics.estimates.spikes import fired
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.kernels.spill import map_rows
from eiplatform.statistics.population import Population, time_sum

__all__ = ["ALWAYS_ON", "always_on", "private_inhibition", "silent_share"]

ALWAYS_ON = ("pairs", "spikes")
"""What firing at every step can be a share of: pairs of neuron and sample, or spikes."""


def silent_share(population: Population) -> Estimate:
    """Share of the samples in which a neuron does not fire."""
    table = fired(population, "the share of silent pairs")
    silent = map_rows(_silent, table)
    return Estimate(
        unit(population, table.shape[1], partial(kernels.weighted_mean, data=silent)), population.spiking_neuron, "none"
    )


def always_on(population: Population, measure: str) -> Estimate:
    """Share of the samples in which a neuron fires at every step, or share of spikes that come from these."""
    choose(measure, ALWAYS_ON, "measure of firing at every step")
    name = "firing at every step"
    population.require(("spikes",), name)
    if "spikes" not in population.data:
        raise NotApplicableError(f"{name}: this population has no steps", where=population.name or None)
    always = population.table(_always, "spikes")
    if measure == "pairs":
        values = partial(kernels.weighted_mean, data=always)
        return Estimate(unit(population, always.shape[1], values), population.neuron, "none", "1", {"measure": measure})
    shares = partial(kernels.always_on_spikes, counts=population.table(_magnitudes, "spikes"), always=always)
    return Estimate(
        unit(population, always.shape[1], shares),
        population.neuron,
        "none; undefined where no neuron fires",
        "1",
        {"measure": measure},
        level="population",
    )


def private_inhibition(population: Population) -> Estimate:
    """Share of the variance of a neuron's inhibition that the mean of the other neurons does not explain."""
    name = "private inhibition"
    population.require(("current_inh",), name)
    if population.data.sizes["neuron"] < 2:
        raise NotApplicableError(f"{name} of one neuron", where=population.name or None, valid="at least 2 neurons")
    sums = population.table(_with_others, "current_inh")
    values = partial(kernels.private_share, sums=sums)
    return Estimate(unit(population, sums.shape[2], values), population.neuron, "constant inhibition")


def _silent(rates: FloatArray) -> FloatArray:
    silent: FloatArray = np.equal(rates, 0).astype(np.float64)
    return silent


def _always(spikes: npt.NDArray[Any]) -> FloatArray:
    always: FloatArray = np.all(spikes != 0, axis=1).astype(np.float64)
    return always


def _magnitudes(spikes: npt.NDArray[Any]) -> FloatArray:
    if spikes.dtype.kind in "bu":
        return time_sum(spikes)
    return time_sum(np.abs(spikes.astype(np.float64)))


def _with_others(inhibition: npt.NDArray[Any]) -> FloatArray:
    x = inhibition.astype(np.float64)
    n = x.shape[2]
    others = (x.sum(axis=2, keepdims=True) - x) / (n - 1)
    return np.stack([part.mean(axis=1) for part in (x, x**2, others, others**2, x * others)])
