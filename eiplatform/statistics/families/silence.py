"""Silence, and firing at every step: what makes other numbers mean less."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from eiplatform.errors import NotApplicableError
from eiplatform.statistics import kernels
from eiplatform.statistics.counts import fired
from eiplatform.statistics.declare import SHARE, SPIKES, Statistic
from eiplatform.statistics.estimate import Estimate
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.kernels.over_time import time_sum
from eiplatform.statistics.kernels.spill import map_rows
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import grid, register

_TOPIC = "distribution of activity"
_LENGTH = "it falls with the length of a sample and depends on the samples shown"


@register
class SilentShare(Statistic):
    """Share of the samples in which each neuron does not fire; the mean is the share of silent pairs.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.silent_share().mean()), 3)
    0.0
    """

    name, question, topic = "silent_share", "share of silent pairs of neuron and sample", _TOPIC
    phrase, label = "the share of silent pairs", "share of silent pairs of neuron and sample"
    needs, over, bounds, is_share, cautioned = SPIKES, "sample", SHARE, True, False
    least_samples = 1
    comparable_reason = _LENGTH
    reference = "share of pairs of neuron and sample without a spike"

    def compute(self, population: Population) -> Estimate:
        values = partial(kernels.weighted_mean, data=map_rows(_silent, fired(population)))
        return self.result(population, values, neuron=population.spiking_neuron, rule="none")


def _silent(rates: FloatArray) -> FloatArray:
    silent: FloatArray = np.equal(rates, 0).astype(np.float64)
    return silent


@register
class AlwaysOn(Statistic):
    """Share of the samples in which each neuron fires at every step, or of the spikes that come from these.

    It needs ``spikes`` per step.

    Parameters
    ----------
    measure : {"pairs", "spikes"}
        Of pairs of neuron and sample (a value per neuron), or of all spikes (one value).

    Raises
    ------
    NotApplicableError
        If spikes are events: a circuit has no steps.
    StatisticError
        If the population has no spikes.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.always_on().mean()), 3)
    0.0
    """

    name, question, topic = "always_on", "neurons that fire at every step", _TOPIC
    phrase = "firing at every step"
    needs, over, bounds, cautioned = SPIKES, "sample", SHARE, False
    least_samples = 1
    comparable_reason = _LENGTH
    reference = "own definition: a spike at every recorded step of a sample"
    variants = grid(measure=("pairs", "spikes"))

    measure: Annotated[Literal["pairs", "spikes"], "measure of firing at every step"] = "pairs"

    @property
    def key(self) -> str:
        return f"{self.name}_{self.measure}"

    @property
    def label(self) -> str:
        if self.measure == "pairs":
            return "share of always-on pairs of neuron and sample"
        return "share of spikes from always-on neurons"

    @property
    def level(self) -> str:
        return "neuron" if self.measure == "pairs" else "population"

    @property
    def is_share(self) -> bool:
        return self.measure == "pairs"

    def compute(self, population: Population) -> Estimate:
        if "spikes" not in population.data:
            raise NotApplicableError(f"{self.phrase}: this population has no steps", where=population.name or None)
        always, attrs = population.table(_always, "spikes"), {"measure": self.measure}
        if self.measure == "pairs":
            return self.result(population, partial(kernels.weighted_mean, data=always), rule="none", attrs=attrs)
        counts = population.table(_magnitudes, "spikes")
        return self.result(
            population,
            partial(kernels.always_on_spikes, counts=counts, always=always),
            rule="none; undefined where no neuron fires",
            attrs=attrs,
        )


def _always(spikes: npt.NDArray[Any]) -> FloatArray:
    always: FloatArray = np.all(spikes != 0, axis=1).astype(np.float64)
    return always


def _magnitudes(spikes: npt.NDArray[Any]) -> FloatArray:
    if spikes.dtype.kind in "bu":
        return time_sum(spikes)
    return time_sum(np.abs(spikes.astype(np.float64)))
