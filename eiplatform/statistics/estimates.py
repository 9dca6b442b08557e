"""From a population to an estimate per neuron: which arrays, which kernel, which exclusion rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.errors import StatisticError, choose
from eiplatform.statistics import base
from eiplatform.statistics.base.moments import RELATIVE_TOLERANCE, FloatArray
from eiplatform.statistics.population import Population

__all__ = ["FANO_WINDOWS", "GAIN_MEASURES", "MIN_WINDOWS", "Estimate", "balance", "correlation", "fano", "gain", "isi"]

FANO_WINDOWS = {"step": 10.0, "ms": 50.0}
"""Default window of the Fano factor, by the recording's unit of time."""
MIN_WINDOWS = 10
"""Fewest windows per sample for a Fano factor over time."""
GAIN_MEASURES = ("mean", "cv")

_OVER = ("sample", "time")
_CONSTANT = f"excitation or inhibition constant (sd below {RELATIVE_TOLERANCE:g} of its root mean square)"


@dataclass(frozen=True)
class Estimate:
    """A statistic of one population, ready to be evaluated for any weights of the samples.

    Attributes
    ----------
    unit : Unit
        The kernel: sample weights to values per neuron.
    neuron : array, shape (neuron,)
        Indices of the neurons.
    rule : str
        When a neuron is excluded (NaN).
    units : str
    attrs : dict
        The choices made: window, pairs, least number of spikes.
    """

    unit: base.Unit
    neuron: npt.NDArray[Any]
    rule: str
    units: str = "1"
    attrs: Mapping[str, Any] = field(default_factory=dict)


def _unit(
    population: Population, n_neurons: int, values: Callable[[FloatArray], FloatArray], geometric: bool = False
) -> base.Unit:
    return base.Unit(values, population.n_samples, n_neurons, geometric)


def balance(population: Population, kind: str) -> Estimate:
    """Ratio of mean excitation to mean inhibition (``"ratio"``) or the balance index (``"index"``)."""
    kernel = base.ei_ratio if kind == "ratio" else base.balance_index
    population.require(("current_exc", "current_inh"), "the E/I ratio" if kind == "ratio" else "the balance index")
    pair = population.currents

    def values(weights: FloatArray) -> FloatArray:
        return kernel(*pair.means(weights))

    rule = "mean excitation or mean inhibition not positive" if kind == "ratio" else "mean excitation not positive"
    return Estimate(_unit(population, pair.n_neurons, values, kind == "ratio"), population.neuron, rule)


def correlation(population: Population, over: str, pairs: str) -> Estimate:
    """Correlation of excitation and inhibition over samples or over time."""
    choose(over, _OVER, "estimator axis")
    choose(pairs, base.PAIRS, "pairing")
    needs = ("current_exc", "current_inh")
    population.require(needs, "the E-I correlation")
    attrs = {"pairs": pairs}
    if over == "sample":
        population.require_samples("the E-I correlation")
        pair = population.currents

        def values(weights: FloatArray) -> FloatArray:
            return base.pair_correlation(weights, pair, pairs)

        return Estimate(
            _unit(population, pair.n_neurons, values), population.neuron, f"{_CONSTANT} over samples", "1", attrs
        )

    exc, inh = (population.array(name) for name in needs)
    population.require_time("the E-I correlation", exc.shape[1])
    per_sample = base.correlation_over_time(exc, inh, pairs)

    def averaged(weights: FloatArray) -> FloatArray:
        return base.weighted_nanmean(weights, per_sample)

    return Estimate(
        _unit(population, per_sample.shape[1], averaged),
        population.neuron,
        f"{_CONSTANT} over time in every sample",
        "1",
        {**attrs, "interval": f"{population.dt:g} {population.units}"},
    )


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
        _unit(population, table.shape[1], values), population.spiking_neuron, "none: silent neurons count as 0", units
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
        _unit(population, trains.n_neurons, values),
        population.spiking_neuron,
        f"no sample with at least {min_spikes} spikes",
        "1",
        {"min_spikes": min_spikes},
    )


def fano(population: Population, over: str, window: float | None) -> Estimate:
    """Fano factor over windows in time, or over samples."""
    choose(over, _OVER, "estimator axis")
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

    return Estimate(
        _unit(population, trains.n_neurons, values), population.spiking_neuron, "silent neurons", "1", attrs
    )


def gain(population: Population, measure: str) -> Estimate:
    """Mean gain, or its coefficient of variation over samples and time."""
    choose(measure, GAIN_MEASURES, "measure of the gain")
    population.require(("gain",), "the gain")
    mean = population.time_mean("gain")
    rule = "none" if measure == "mean" else "mean gain not positive"
    if measure == "mean":

        def values(weights: FloatArray) -> FloatArray:
            return base.weighted_mean(weights, mean)

    else:
        centre = mean.mean(axis=0)
        square = ((population.array("gain") - centre) ** 2).mean(axis=1)

        def values(weights: FloatArray) -> FloatArray:
            average = base.weighted_mean(weights, mean)
            variance = base.weighted_mean(weights, square) - (average - centre) ** 2
            sd = np.sqrt(np.maximum(variance, 0.0))
            cv: FloatArray = np.divide(sd, average, out=np.full_like(sd, np.nan), where=average > 0)
            return cv

    return Estimate(_unit(population, mean.shape[1], values), population.neuron, rule, "1", {"measure": measure})
