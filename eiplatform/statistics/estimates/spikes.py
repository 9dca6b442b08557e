"""Estimates from spikes: how much, how regularly, how variably."""

from __future__ import annotations

import math
from typing import Any

from eiplatform.errors import StatisticError, choose
from eiplatform.statistics import base
from eiplatform.statistics.base.moments import FloatArray
from eiplatform.statistics.estimates.common import OVER, Estimate, unit
from eiplatform.statistics.population import Population

__all__ = ["FANO_WINDOWS", "MIN_WINDOWS", "fano", "isi", "rate"]

FANO_WINDOWS = {"step": 10.0, "ms": 50.0}
"""Default window of the Fano factor, by the recording's unit of time."""
MIN_WINDOWS = 10
"""Fewest windows per sample for a Fano factor over time."""


def rate(population: Population) -> Estimate:
    """Spikes per step, or per second, of every neuron."""
    population.require(("spikes",), "the rate")
    if "spikes" in population.data and population.units == "step":
        # The mean count per recorded step: also right when only every k-th step was recorded.
        table, units = population.time_mean("spikes"), "spikes/step"
    else:
        table, units = population.trains.counts / population.trains.duration * 1000.0, "Hz"
        if population.units == "step":
            raise StatisticError("spike events in steps are not a network's recording", where=population.name or None)

    def values(weights: FloatArray) -> FloatArray:
        return base.weighted_mean(weights, table)

    return Estimate(
        unit(population, table.shape[1], values), population.spiking_neuron, "none: silent neurons count as 0", units
    )


def isi(population: Population, kind: str, min_spikes: int) -> Estimate:
    """Irregularity of inter-spike intervals: ``"cv"`` or ``"lv"``."""
    name = "the CV of the intervals" if kind == "cv" else "the local variation"
    if min_spikes < 3:
        raise StatisticError(f"min_spikes is {min_spikes}", valid="at least 3 (two intervals)")
    population.require(("spikes",), name)
    population.require_time(name, population.n_intervals)
    population.require_every_step(name)
    trains = population.trains
    kernel = base.cv_isi if kind == "cv" else base.lv

    def values(weights: FloatArray) -> FloatArray:
        return kernel(trains, weights, min_spikes=min_spikes)

    return Estimate(
        unit(population, trains.n_neurons, values),
        population.spiking_neuron,
        f"no sample with at least {min_spikes} spikes",
        "1",
        {"min_spikes": min_spikes},
    )


def fano(population: Population, over: str, window: float | None) -> Estimate:
    """Fano factor over windows in time, or over samples."""
    choose(over, OVER, "estimator axis")
    population.require(("spikes",), "the Fano factor")
    population.require_every_step("the Fano factor")
    if over == "sample":
        if window is not None:
            raise StatisticError("the Fano factor over samples counts the whole sample", valid="window=None")
        population.require_samples("the Fano factor")
        trains = population.trains
        chosen = None
        attrs: dict[str, Any] = {"window": f"whole sample, {trains.duration:g} {population.units}"}
    else:
        chosen = FANO_WINDOWS[population.units] if window is None else float(window)
        whole = population.units != "step" or chosen == int(chosen)
        if not (chosen > 0 and whole):
            raise StatisticError(
                f"the window is {window}", valid=f"a positive (whole, for steps) number of {population.units}"
            )
        steps = math.ceil(chosen * MIN_WINDOWS / population.dt - 1e-9)
        population.require_time(
            f"the Fano factor in windows of {chosen:g} {population.units}", population.n_intervals, steps
        )
        trains = population.trains
        attrs = {"window": f"{chosen:g} {population.units}"}

    def values(weights: FloatArray) -> FloatArray:
        return base.fano_factor(trains, weights, over=over, window=chosen)

    return Estimate(unit(population, trains.n_neurons, values), population.spiking_neuron, "silent neurons", "1", attrs)
