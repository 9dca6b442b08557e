"""Estimates of how excitation and inhibition compare and vary together."""

from __future__ import annotations

import numpy as np

from eiplatform.errors import choose
from eiplatform.statistics import kernels
from eiplatform.statistics.estimates.common import OVER, Estimate, unit
from eiplatform.statistics.kernels.moments import RELATIVE_TOLERANCE, FloatArray
from eiplatform.statistics.population import Population

__all__ = ["balance", "correlation"]

_CONSTANT = f"excitation or inhibition constant (sd below {RELATIVE_TOLERANCE:g} of its root mean square)"


def balance(population: Population, kind: str) -> Estimate:
    """Ratio of mean excitation to mean inhibition (``"ratio"``) or the balance index (``"index"``)."""
    population.require(("current_exc", "current_inh"), "the E/I ratio" if kind == "ratio" else "the balance index")
    pair = population.currents
    if kind == "ratio":

        def values(weights: FloatArray) -> FloatArray:
            return kernels.ei_ratio(*pair.means(weights))

        rule = "mean excitation or mean inhibition not positive"
        return Estimate(unit(population, pair.n_neurons, values, geometric=True), population.neuron, rule)
    # Decided once: a draw without the samples that excite a neuron gives it the lowest index, not none.
    hardly = kernels.hardly_excited(*pair.means(np.ones((1, pair.n_samples))))
    lowest = 2 - 1 / kernels.LEAST_EXCITATION

    def indices(weights: FloatArray) -> FloatArray:
        exc, inh = pair.means(weights)
        index = np.where(kernels.hardly_excited(exc, inh), lowest, kernels.balance_index(exc, inh))
        return np.where(hardly, np.nan, index)

    rule = f"mean excitation not positive, or less than {kernels.LEAST_EXCITATION:g} of the sum of both currents"
    return Estimate(unit(population, pair.n_neurons, indices), population.neuron, rule)


def correlation(population: Population, over: str, pairs: str) -> Estimate:
    """Correlation of excitation and inhibition over samples or over time."""
    choose(over, OVER, "estimator axis")
    choose(pairs, kernels.PAIRS, "pairing")
    needs = ("current_exc", "current_inh")
    population.require(needs, "the E-I correlation")
    attrs = {"pairs": pairs}
    if over == "sample":
        population.require_samples("the E-I correlation")
        pair = population.currents

        def values(weights: FloatArray) -> FloatArray:
            return kernels.pair_correlation(weights, pair, pairs)

        return Estimate(
            unit(population, pair.n_neurons, values), population.neuron, f"{_CONSTANT} over samples", "1", attrs
        )

    population.require_time("the E-I correlation", population.data.sizes["time"])
    per_sample = population.table(kernels.correlations_over_time, *needs)[kernels.PAIRS.index(pairs)]

    def averaged(weights: FloatArray) -> FloatArray:
        return kernels.weighted_nanmean(weights, per_sample)

    return Estimate(
        unit(population, per_sample.shape[1], averaged),
        population.neuron,
        f"{_CONSTANT} over time in every sample",
        "1",
        {**attrs, "interval": f"{population.dt:g} {population.units}"},
    )
