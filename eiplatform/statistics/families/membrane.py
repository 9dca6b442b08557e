"""The regime of firing: driven by the mean input, or by fluctuations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from eiplatform.errors import NotApplicableError
from eiplatform.statistics import kernels
from eiplatform.statistics.declare import CURRENTS, SHARE, Statistic
from eiplatform.statistics.estimate import Estimate, shared
from eiplatform.statistics.kernels.membrane import Inputs
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import register

_NAME = "the free membrane potential"


class _FreeMembrane(Statistic):
    """What both statistics of the free membrane potential share."""

    topic, phrase, needs, over = "regime of firing", _NAME, CURRENTS, "time"

    def lacks(self, population: Population) -> str:
        return super().lacks(population) or ("" if "threshold" in population.data.attrs else "needs a threshold")


@register
class FluctuationIndex(_FreeMembrane):
    """Fluctuation index (theta - mu)/sigma of each neuron's free membrane potential.

    Positive: the mean stays below threshold and fluctuations cause the spikes; negative: the mean drives them.  The
    free potential is the membrane's without threshold and reset, followed through the recorded input.

    The population needs the attributes ``threshold`` and ``membrane_decay`` (a network, with ``drive``, or ``gain``
    and ``bias``) or ``tau_membrane`` (a circuit, with what its currents need to become a potential: see the page).

    Raises
    ------
    NotApplicableError
        If an attribute or signal that the membrane needs is missing.
    StatisticError
        If a signal is not finite, or the time axis has gaps.
    TooShortError
        With fewer than 50 intervals per sample.

    References
    ----------
    Rossbroich, Gygax & Zenke 2022, Neuromorph Comput Eng 2:044016; Brunel 2000, J Comput Neurosci 8:183 (whose sigma
    is sqrt(2) times the standard deviation of the potential).

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.fluctuation_index().mean()), 3)
    1.564
    """

    name, question = "fluctuation_index", "driven by the mean or by fluctuations?"
    label = "fluctuation index (threshold - mean)/sd"
    comparable_reason = (
        "a ratio of moments that are averaged over samples first: its value depends on how many samples there are, "
        "and a circuit has one; driven_above_threshold does not"
    )
    reference = "Rossbroich, Gygax & Zenke 2022, Neuromorph Comput Eng 2:044016"

    def compute(self, population: Population) -> Estimate:
        membrane, threshold = _membrane(population)

        def values(weights: FloatArray) -> FloatArray:
            return kernels.fluctuation_index(weights, membrane, threshold)

        return self.result(population, values, rule="free potential constant over time")


@register
class DrivenAboveThreshold(_FreeMembrane):
    """Share of time in which the free membrane potential of each neuron is at or above threshold.

    Needs and errors are those of :func:`fluctuation_index`; for a Gaussian potential it is Phi(-fluctuation_index).

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.driven_above_threshold().mean()), 3)
    0.07
    """

    name, label, bounds = "driven_above_threshold", "share of time driven above threshold", SHARE
    comparable = True
    comparable_reason = (
        "over time in both, at each membrane's own threshold; the fluctuation is that of recorded intervals: compare "
        "at intervals that are short beside the membrane constant"
    )
    question = "how often would the input alone hold the neuron above threshold?"
    reference = "Brunel 2000, J Comput Neurosci 8:183"

    def compute(self, population: Population) -> Estimate:
        membrane, _ = _membrane(population)

        def values(weights: FloatArray) -> FloatArray:
            return kernels.weighted_mean(weights, membrane.above)

        return self.result(population, values, rule="none")


def _membrane(population: Population) -> tuple[kernels.FreeMembrane, float]:
    threshold = _attribute(population, "threshold")
    inputs = _network(population) if population.units == "step" else _circuit(population)
    population.require_time(_NAME, population.n_intervals)
    return shared(population, "free membrane", lambda: kernels.free_membrane(inputs, threshold)), threshold


def _attribute(population: Population, name: str) -> float:
    if name not in population.data.attrs:
        raise NotApplicableError(
            f"{_NAME} needs the attribute '{name}', which this population lacks", where=population.name or None
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
