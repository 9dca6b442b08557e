"""Estimates of the regime of firing: driven by the mean input, or by fluctuations."""

from __future__ import annotations

import numpy as np

from eiplatform.errors import NotApplicableError
from eiplatform.statistics import base
from eiplatform.statistics.base.membrane import Inputs
from eiplatform.statistics.base.moments import FloatArray
from eiplatform.statistics.estimates.common import Estimate, shared, unit
from eiplatform.statistics.population import Population

__all__ = ["driven_above_threshold", "fluctuation_index"]

_NAME = "the free membrane potential"


def fluctuation_index(population: Population) -> Estimate:
    """Distance of the mean free potential from threshold, in standard deviations of the free potential."""
    membrane, threshold = _membrane(population)

    def values(weights: FloatArray) -> FloatArray:
        return base.fluctuation_index(weights, membrane, threshold)

    return Estimate(
        unit(population, membrane.mean.shape[1], values), population.neuron, "free potential constant over time"
    )


def driven_above_threshold(population: Population) -> Estimate:
    """Share of intervals in which the free potential is at or above threshold."""
    membrane, _ = _membrane(population)

    def values(weights: FloatArray) -> FloatArray:
        return base.weighted_mean(weights, membrane.above)

    return Estimate(unit(population, membrane.mean.shape[1], values), population.neuron, "none")


def _membrane(population: Population) -> tuple[base.FreeMembrane, float]:
    population.require(("current_exc", "current_inh"), _NAME)
    shape = population.array("current_exc").shape
    threshold = _attribute(population, "threshold")
    inputs = _network(population) if population.units == "step" else _circuit(population)
    population.require_time(_NAME, shape[1])
    return shared(population, "free membrane", lambda: base.free_membrane(inputs, shape, threshold)), threshold


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
        drive = population.array("drive")

        def target(block: slice) -> FloatArray:
            return np.asarray(drive[block], dtype=np.float64)

    elif {"gain", "bias"} <= set(data.variables):
        exc, inh, gain = (population.array(name) for name in ("current_exc", "current_inh", "gain"))
        bias = data["bias"].to_numpy().astype(np.float64)

        def target(block: slice) -> FloatArray:
            net = np.asarray(exc[block], dtype=np.float64) - inh[block]
            return np.asarray(gain[block] * net + bias, dtype=np.float64)

    else:
        raise NotApplicableError(
            f"{_NAME} of a network needs its drive, or gain and bias, which were not recorded",
            where=population.name or None,
            remedy="record 'drive'",
        )

    def inputs(block: slice) -> tuple[FloatArray, FloatArray | float]:
        return target(block) / (1 - decay), decay

    return inputs


def _circuit(population: Population) -> Inputs:
    """Input of a circuit's leaky membrane, as the potential that it would hold the membrane at."""
    data, attrs = population.data, population.data.attrs
    tau = _attribute(population, "tau_membrane")
    if {"conductance_exc", "conductance_inh"} <= set(data.variables):
        return _conductances(population, tau)
    left = float(np.exp(-population.dt / tau))
    exc, inh = population.array("current_exc"), population.array("current_inh")
    if data["current_exc"].attrs.get("units") == "mV":
        resistance, rest = 1.0, float(attrs.get("reversal_leak", 0.0))  # potential and current both above rest
    else:
        resistance, rest = tau / _attribute(population, "capacitance_pf"), _attribute(population, "reversal_leak")

    def inputs(block: slice) -> tuple[FloatArray, FloatArray | float]:
        net = np.asarray(exc[block], dtype=np.float64) - inh[block]
        return rest + resistance * net, left

    return inputs


def _conductances(population: Population, tau: float) -> Inputs:
    leak, rest = _attribute(population, "g_leak"), _attribute(population, "reversal_leak")
    reversal_exc, reversal_inh = _attribute(population, "reversal_exc"), _attribute(population, "reversal_inh")
    exc, inh = population.array("conductance_exc"), population.array("conductance_inh")
    constant = population.array("current_exc_constant") if "current_exc_constant" in population.data else None

    def inputs(block: slice) -> tuple[FloatArray, FloatArray | float]:
        g_exc, g_inh = (np.asarray(part[block], dtype=np.float64) / leak for part in (exc, inh))
        total = 1 + g_exc + g_inh
        target = rest + g_exc * reversal_exc + g_inh * reversal_inh
        if constant is not None:
            target = target + np.asarray(constant[block], dtype=np.float64) / leak
        return target / total, np.exp(-population.dt * total / tau)

    return inputs
