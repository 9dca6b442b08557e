"""Estimates from spikes: how much, how regularly, how variably."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from eiplatform.errors import StatisticError, choose
from eiplatform.statistics import kernels
from eiplatform.statistics.estimates.common import OVER, Estimate, unit
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population
from eiplatform.statistics.trains import Counted

__all__ = [
    "FANO_WINDOWS",
    "MIN_WINDOWS",
    "REFRACTORINESS",
    "fano",
    "fired",
    "isi",
    "rate",
    "rate_table",
    "windowed",
]

FANO_WINDOWS = {"step": 10.0, "ms": 50.0}
"""Default window of the Fano factor, by the recording's unit of time."""
MIN_WINDOWS = 10
"""Fewest windows per sample for a Fano factor over time."""
REFRACTORINESS = {"step": 0.0, "ms": 5.0}
"""Refractoriness constant of LvR: 5 ms (Shinomoto et al. 2009); a network's neurons have none."""

_IRREGULARITY = {
    "cv": "the CV of the intervals",
    "lv": "the local variation",
    "lvr": "the revised local variation",
    "cv2": "CV2",
}


def rate_table(population: Population, statistic: str) -> tuple[FloatArray, str]:
    """Return every neuron's rate in every sample, shape (sample, neuron), and its unit."""
    population.require(("spikes",), statistic)
    if "spikes" in population.data and population.units == "step":
        population.require_counts(statistic)
        # The mean count per recorded step: also right when only every k-th step was recorded.
        return population.time_mean("spikes"), "spikes/step"
    if population.units == "step":
        raise StatisticError("spike events in steps are not a network's recording", where=population.name or None)
    return population.counts / population.duration * 1000.0, "Hz"


def fired(population: Population, statistic: str) -> FloatArray:
    """Return in how many intervals (of events: how often) a neuron fires in a sample, shape (sample, neuron).

    It is 0 only where a neuron does not fire: spikes that have signs do not cancel.
    """
    population.require(("spikes",), statistic)
    return population.table(_with_spikes, "spikes") if "spikes" in population.data else population.counts


def windowed(
    population: Population, statistic: str, window: float | None, defaults: Mapping[str, float], least: int
) -> float:
    """Return the window for counts, checked: whole steps, and at least `least` of them in a sample."""
    chosen = defaults[population.units] if window is None else float(window)
    if not (0 < chosen < math.inf and (population.units != "step" or chosen == int(chosen))):
        raise StatisticError(
            f"the window is {window}", valid=f"a positive (whole, for steps) number of {population.units}"
        )
    steps = math.ceil(chosen * least / population.dt - 1e-9)
    population.require_time(f"{statistic} in windows of {chosen:g} {population.units}", population.n_intervals, steps)
    return chosen


def rate(population: Population) -> Estimate:
    """Spikes per step, or per second, of every neuron."""
    table, units = rate_table(population, "the rate")

    def values(weights: FloatArray) -> FloatArray:
        return kernels.weighted_mean(weights, table)

    return Estimate(
        unit(population, table.shape[1], values), population.spiking_neuron, "none: silent neurons count as 0", units
    )


def isi(population: Population, kind: str, min_spikes: int, refractoriness: float | None = None) -> Estimate:
    """Irregularity of inter-spike intervals: ``"cv"``, ``"lv"``, ``"lvr"`` or ``"cv2"``."""
    name = _IRREGULARITY[choose(kind, _IRREGULARITY, "irregularity")]
    if min_spikes < 3:
        raise StatisticError(f"min_spikes is {min_spikes}", valid="at least 3 (two intervals)")
    population.require(("spikes",), name)
    population.require_time(name, population.n_intervals)
    population.require_every_step(name)
    trains = population.trains
    attrs: dict[str, Any] = {"min_spikes": min_spikes}
    if kind == "lvr":
        constant = REFRACTORINESS[population.units] if refractoriness is None else float(refractoriness)
        if not (constant >= 0 and math.isfinite(constant)):
            raise StatisticError(f"the refractoriness is {refractoriness}", valid=f"0 {population.units} or more")
        attrs["refractoriness"] = f"{constant:g} {population.units}"
        kernel: Callable[..., FloatArray] = partial(kernels.lvr, refractoriness=constant)
    else:
        simple: dict[str, Callable[..., FloatArray]] = {"lv": kernels.lv, "cv2": kernels.cv2}
        kernel = simple.get(kind, partial(kernels.cv_isi, corrected=True))
        if kind == "cv":
            attrs["correction"] = "of short trains: intervals by 1/(duration - interval), jackknife"

    def values(weights: FloatArray) -> FloatArray:
        return kernel(trains, weights, min_spikes=min_spikes)

    return Estimate(
        unit(population, trains.n_neurons, values),
        population.spiking_neuron,
        f"no sample with at least {min_spikes} spikes" + (" and two intervals above 0" if kind == "cv" else ""),
        "1",
        attrs,
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
        trains = cast(kernels.SpikeTrains, Counted(population.counts, population.n_samples))  # it needs no times
        chosen, n_neurons = None, population.counts.shape[1]
        attrs: dict[str, Any] = {"window": f"whole sample, {population.duration:g} {population.units}"}
    else:
        chosen = windowed(population, "the Fano factor", window, FANO_WINDOWS, MIN_WINDOWS)
        trains = population.trains
        n_neurons = trains.n_neurons
        attrs = {"window": f"{chosen:g} {population.units}"}

    def values(weights: FloatArray) -> FloatArray:
        return kernels.fano_factor(trains, weights, over=over, window=chosen)

    return Estimate(unit(population, n_neurons, values), population.spiking_neuron, "silent neurons", "1", attrs)


def _with_spikes(spikes: npt.NDArray[Any]) -> FloatArray:
    number: FloatArray = np.count_nonzero(spikes, axis=1).astype(np.float64)
    return number
