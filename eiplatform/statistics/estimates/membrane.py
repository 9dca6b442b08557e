"""Estimates of the regime of firing: driven by the mean input, or by fluctuations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from eiplatform.errors import NotApplicableError
from eiplatform.statistics import kernels
from eiplatform.statistics.estimates.common import Estimate, shared, unit
from eiplatform.statistics.kernels.membrane import Inputs
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population

__all__ = ["driven_above_threshold", "fluctuation_index"]

_NAME = "the free membrane potential"


def fluctuation_index(population: Population) -> Estimate:
    """Distance of the mean free potential from threshold, in standard deviations of the free potential."""
    membrane, threshold = _membrane(population)

    def values(weights: FloatArray) -> FloatArray:
        return kernels.fluctuation_index(weights, membrane, threshold)

    return Estimate(
        unit(population, membrane.mean.shape[1], values), population.neuron, "free potential constant over time"
    )


def driven_above_threshold(population: Population) -> Estimate:
    """Share of intervals in which the free potential is at or above threshold."""
    membrane, _ = _membrane(population)

    def values(weights: FloatArray) -> FloatArray:
        return kernels.weighted_mean(weights, membrane.above)

    return Estimate(unit(population, membrane.mean.shape[1], values), population.neuron, "none")


def _membrane(population: Population) -> tuple[kernels.FreeMembrane, float]:
    population.require(("current_exc", "current_inh"), _NAME)
    threshold = _attribute(population, "threshold")
    inputs = _network(population) if population.units == "step" else _circuit(population)
    population.require_time(_NAME, population.data.sizes["time"])
    return shared(population, "free membrane", lambda: kernels.free_membrane(inputs, threshold)), threshold


def _attribute(population: Population, name: str) -> float:
    if name not in population.data.attrs:
        raise NotApplicableError(
            f"{_NAME} needs the attribute '{name}', which this population has not", where=population.name or None
        )
    return float(population.data.attrs[name])


def _network(population: Population) -> Inputs:
    """Drive of a network: u[t] = decay u[t-1] + drive[t], at rest at drive / (1 - decay)."""
    decay = _attribute(population, "membrane_decay")
    population.require_every_step(_NAME)
    data = population.data
    if "drive" in data:
        return ((drive.astype(np.float64) / (1 - decay), decay) for (drive,) in population.blocks("drive"))
    if {"gain", "bias"} <= set(data.variables):
        bias = data["bias"].to_numpy().astype(np.float64)
        return (
            ((gain * (exc.astype(np.float64) - inh) + bias) / (1 - decay), decay)
            for exc, inh, gain in population.blocks("current_exc", "current_inh", "gain")
        )
    raise NotApplicableError(
        f"{_NAME} of a network needs its drive, or gain and bias, which were not recorded",
        where=population.name or None,
        remedy="record 'drive'",
    )


def _circuit(population: Population) -> Inputs:
    """Input of a circuit's leaky membrane, as the potential that it would hold the membrane at."""
    data, attrs = population.data, population.data.attrs
    tau = _attribute(population, "tau_membrane")
    if {"conductance_exc", "conductance_inh"} <= set(data.variables):
        return _conductances(population, tau)
    left = float(np.exp(-population.dt / tau))
    if data["current_exc"].attrs.get("units") == "mV":
        resistance, rest = 1.0, float(attrs.get("reversal_leak", 0.0))  # potential and current both above rest
    else:
        resistance, rest = tau / _attribute(population, "capacitance_pf"), _attribute(population, "reversal_leak")
    return (
        (rest + resistance * (exc.astype(np.float64) - inh), left)
        for exc, inh in population.blocks("current_exc", "current_inh")
    )


def _conductances(population: Population, tau: float) -> Inputs:
    leak, rest = _attribute(population, "g_leak"), _attribute(population, "reversal_leak")
    reversal_exc, reversal_inh = _attribute(population, "reversal_exc"), _attribute(population, "reversal_inh")
    names = ["conductance_exc", "conductance_inh"]
    if "current_exc_constant" in population.data:
        names.append("current_exc_constant")

    def inputs() -> Iterator[tuple[FloatArray, FloatArray]]:
        for parts in population.blocks(*names):
            g_exc, g_inh, *constant = (part.astype(np.float64) / leak for part in parts)
            total = 1 + g_exc + g_inh
            target = rest + g_exc * reversal_exc + g_inh * reversal_inh + sum(constant)
            yield target / total, np.exp(-population.dt * total / tau)

    return inputs()
