"""The dimension of activity."""

from __future__ import annotations

from typing import Any

import numpy as np

from eiplatform.errors import StatisticError
from eiplatform.statistics import kernels
from eiplatform.statistics.counts import (
    COUNT_WINDOWS,
    FIXED_NEURONS,
    MIN_WINDOWS,
    enough_neurons,
    some_neurons,
    windowed,
)
from eiplatform.statistics.declare import OVER_SAMPLES, SPIKES, Over, Statistic
from eiplatform.statistics.estimate import Estimate
from eiplatform.statistics.kernels.moments import FloatArray, weighted_mean
from eiplatform.statistics.kernels.spill import map_rows
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import grid, register

_NEURONS = 500  # a covariance matrix of 2 MB; more neurons add little to means over pairs


@register
class ParticipationRatio(Statistic):
    """Participation ratio (tr C)^2/tr C^2 of the covariance of spike counts: the number of dimensions.

    From 1 to `n_neurons`, corrected for the finite number of windows or samples (noise may carry it beyond).

    Parameters
    ----------
    over : {"time", "sample"}
        ``"time"``: over at least 10 windows per sample, about each sample's own mean, pooled
        over samples.  ``"sample"``: of the count in the whole sample, over at least 30 samples.
    n_neurons : int
        At most the recorded number; the value is that of random subsets of this size.
    window : float, optional
        Length of a window, for ``over="time"``: default 10 steps or 50 ms.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.participation_ratio(n_neurons=10)), 3)
    9.869
    """

    name, question, topic = "participation_ratio", "how many dimensions does activity have?", "dimension"
    phrase, needs, level = "the participation ratio", SPIKES, "population"
    reference = "Gao et al. 2017, bioRxiv 214262; Abbott, Rajan & Sompolinsky 2011, in The Dynamic Brain"
    variants = grid(over=("time", "sample"))
    windows = (COUNT_WINDOWS, MIN_WINDOWS)

    over: Over = "time"
    n_neurons: int = FIXED_NEURONS
    window: float | None = None

    @property
    def key(self) -> str:
        return self.name if self.over == "time" else f"{self.name}_samples"

    @property
    def label(self) -> str:
        where = "windows" if self.over == "time" else "samples"
        return f"participation ratio (over {where}, {self.n_neurons} neurons)"

    @property
    def least_neurons(self) -> int:
        return self.n_neurons

    @property
    def comparable_reason(self) -> str:
        return "the windows differ: 10 steps in a network, 50 ms in a circuit" if self.over == "time" else OVER_SAMPLES

    @property
    def in_steps(self) -> bool:
        return self.over == "time"

    def compute(self, population: Population) -> Estimate:
        everyone = np.asarray(population.spiking_neuron)
        enough_neurons(population, self.phrase, self.n_neurons, len(everyone))
        chosen = some_neurons(len(everyone), max(self.n_neurons, _NEURONS))
        attrs: dict[str, Any] = {"n_neurons": self.n_neurons}
        if self.over == "sample":
            if self.window is not None:
                raise StatisticError(f"{self.phrase} over samples counts the whole sample", valid="window=None")
            population.require_samples(self.phrase)
            rows = map_rows(lambda counts: counts[:, None, chosen], population.counts)
            attrs["window"] = f"whole sample, {population.duration:g} {population.units}"
        else:
            population.require_every_step(self.phrase)
            width = windowed(population, self.phrase, self.window, COUNT_WINDOWS, MIN_WINDOWS)
            rows = population.trains.binned(width, chosen)
            attrs["window"] = f"{width:g} {population.units}"
        value, of_sample, of_neuron = kernels.participation_ratio(rows, self.n_neurons)

        def values(weights: FloatArray) -> FloatArray:
            return value + weighted_mean(weights, of_sample[:, None]) + of_neuron

        return self.result(population, values, neuron=everyone[chosen], rule="nothing varies", attrs=attrs)
