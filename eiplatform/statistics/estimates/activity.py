"""Estimates of how activity is spread over neurons and samples."""

from __future__ import annotations

from functools import partial

from eiplatform.errors import NotApplicableError, StatisticError, choose
from eiplatform.statistics import kernels
from eiplatform.statistics.estimates.common import Estimate, unit
from eiplatform.statistics.estimates.spikes import fired, rate_table
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.kernels.spill import map_rows
from eiplatform.statistics.population import Population

__all__ = ["SATURATED_SHARE", "SPARSENESS", "dead", "rate_shape", "saturated", "sparseness"]

SATURATED_SHARE = 0.9
"""Part of the highest possible rate from which a neuron counts as saturated."""
SPARSENESS = ("lifetime", "population")

_SHAPE_RULES = {
    "cv": "none: silent neurons count as 0; undefined where no neuron fires",
    "gini": "none: silent neurons count as 0; undefined where no neuron fires",
    "log_sd": "silent neurons (they have no logarithm); undefined where all others fire equally",
    "log_skewness": "silent neurons (they have no logarithm); undefined where fewer than 3 fire, or all equally",
}


def rate_shape(population: Population, measure: str) -> Estimate:
    """Shape of the distribution of the rates over neurons."""
    choose(measure, kernels.RATE_MEASURES, "measure of the rates")
    name = "the distribution of rates"
    table, _ = rate_table(population, name)
    if table.shape[1] < 2:
        raise NotApplicableError(f"{name} of one neuron", where=population.name or None, valid="at least 2 neurons")

    def values(weights: FloatArray) -> FloatArray:
        return kernels.rate_shape(weights, table, measure)

    return Estimate(
        unit(population, table.shape[1], values),
        population.spiking_neuron,
        _SHAPE_RULES[measure],
        "1",
        {"measure": measure},
        level="population",
    )


def sparseness(population: Population, kind: str) -> Estimate:
    """Treves-Rolls sparseness over samples (``"lifetime"``) or over neurons (``"population"``)."""
    choose(kind, SPARSENESS, "sparseness")
    name = f"the {kind} sparseness"
    population.require(("spikes",), name)
    table, _ = rate_table(population, name)
    if kind == "lifetime":
        population.require_samples(name)
        return Estimate(
            unit(population, table.shape[1], partial(kernels.lifetime_sparseness, table=table)),
            population.spiking_neuron,
            "silent neurons",
        )
    if table.shape[1] < 2:
        raise NotApplicableError(f"{name} of one neuron", where=population.name or None, valid="at least 2 neurons")
    influence = map_rows(kernels.population_sparseness, table)
    return Estimate(
        unit(population, table.shape[1], partial(kernels.weighted_nanmean, data=influence)),
        population.spiking_neuron,
        "samples in which no neuron fires",
        level="population",
    )


def dead(population: Population) -> Estimate:
    """Whether a neuron never fires, 0 or 1."""
    table = fired(population, "the share of dead neurons")
    return Estimate(
        unit(population, table.shape[1], partial(kernels.dead, table=table)), population.spiking_neuron, "none"
    )


def saturated(population: Population, share: float, maximum: float | None) -> Estimate:
    """Whether a neuron fires at `share` of the highest possible rate, 0 or 1."""
    name = "the share of saturated neurons"
    if not 0 < share <= 1:
        raise StatisticError(f"the share is {share}", valid="above 0, at most 1")
    table, units = rate_table(population, name)
    if maximum is None:
        maximum = _highest_rate(population, name)
    elif not maximum > 0:
        raise StatisticError(f"the highest rate is {maximum}", valid=f"a positive number of {units}")
    return Estimate(
        unit(population, table.shape[1], partial(kernels.saturated, table=table, limit=share * maximum)),
        population.spiking_neuron,
        "none",
        "1",
        {"share": share, "maximum": f"{maximum:g} {units}"},
    )


def _highest_rate(population: Population, name: str) -> float:
    """One spike per step, or one per refractory period."""
    if population.units == "step":
        return 1.0
    refractory = float(population.data.attrs.get("refractory", 0.0))
    if not refractory > 0:
        raise NotApplicableError(
            f"{name}: without a refractory period there is no highest rate",
            where=population.name or None,
            remedy="give maximum= in Hz",
        )
    return 1000.0 / refractory
