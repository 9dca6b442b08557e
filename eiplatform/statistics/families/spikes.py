"""Spikes: how many, how regularly, how variably."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, cast

from eiplatform.errors import StatisticError
from eiplatform.statistics import kernels
from eiplatform.statistics.counts import COUNT_WINDOWS, COUNTS, MIN_WINDOWS, rate_table, windowed
from eiplatform.statistics.declare import OVER_SAMPLES, POSITIVE, SPIKES, Over, Statistic
from eiplatform.statistics.estimate import Estimate
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import grid, register
from eiplatform.statistics.trains import Counted

REFRACTORINESS = {"step": 0.0, "ms": 5.0}
"""Refractoriness constant of LvR: 5 ms (Shinomoto et al. 2009); a network's neurons have none."""


@register
class Rate(Statistic):
    """Give the firing rate of every neuron: spikes/step in a network, Hz in a circuit.

    Silent neurons count as 0.  A circuit's spikes cover the whole population, not only the
    neurons whose currents were recorded.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.rate().mean()), 3)
    0.243
    """

    name, question, topic = "rate", "firing rate", "spikes"
    phrase, label = "the rate", "firing rate"
    needs, over, bounds, by_time = SPIKES, "sample and time", POSITIVE, {"step": "spikes/step", "ms": "Hz"}
    comparable_reason = "spikes per step against Hz: a step is a time only by assumption"
    reference = "mean spike count per unit of time, silent neurons included"

    def compute(self, population: Population) -> Estimate:
        table, _ = rate_table(population, self.phrase)

        return self.result(
            population,
            lambda weights: kernels.weighted_mean(weights, table),
            neuron=population.spiking_neuron,
            rule="none: silent neurons count as 0",
        )


@dataclass(frozen=True, kw_only=True)
class _Intervals(Statistic):
    """What statistics of inter-spike intervals share: within each sample, then averaged over samples."""

    topic, needs, over, bounds = "spikes", SPIKES, "time", POSITIVE
    comparable_reason = (
        "a network's intervals are whole steps: a random train of p spikes a step has CV sqrt(1 - p), not 1; "
        "read it beside its own rate"
    )
    minimal: ClassVar[str] = ""

    min_spikes: int = 10

    def kernel(self, population: Population) -> tuple[Callable[..., FloatArray], dict[str, Any]]:
        """Return the kernel of trains and weights, and the choices made; default: that of the statistic's name."""
        return getattr(kernels, self.name), {}

    def compute(self, population: Population) -> Estimate:
        if self.min_spikes < 3:
            raise StatisticError(f"min_spikes is {self.min_spikes}", valid="at least 3 (two intervals)")
        population.require_time(self.phrase, population.n_intervals)
        population.require_every_step(self.phrase)
        trains = population.trains
        kernel, attrs = self.kernel(population)

        return self.result(
            population,
            lambda weights: kernel(trains, weights, min_spikes=self.min_spikes),
            neuron=population.spiking_neuron,
            rule=f"no sample with at least {self.min_spikes} spikes{self.minimal}",
            attrs={"min_spikes": self.min_spikes, **attrs},
        )


@register
class CVISI(_Intervals):
    """Coefficient of variation of inter-spike intervals (sd with ddof 0 over mean).

    Taken within each sample, then averaged over samples.  Biased low for few spikes (Poisson
    0.73 at 5, 0.86 at 10, 0.97 at 50): read :func:`lv` beside it.

    Parameters
    ----------
    min_spikes : int
        Samples in which a neuron fires fewer do not count for it; neurons without a sample that
        counts are NaN and counted.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.cv_isi().mean()), 3)
    0.901
    """

    name, question = "cv_isi", "coefficient of variation of inter-spike intervals"
    phrase, label = "the CV of the intervals", "CV of inter-spike intervals"
    reference = "Softky & Koch 1993, J Neurosci 13:334"
    minimal = " and two intervals above 0"

    def kernel(self, population: Population) -> tuple[Callable[..., FloatArray], dict[str, Any]]:
        correction = "of short trains: intervals by 1/(duration - interval), jackknife"
        return partial(kernels.cv_isi, corrected=True), {"correction": correction}


@register
class LV(_Intervals):
    """Local variation 3 <((a - b)/(a + b))^2> over adjacent inter-spike intervals a, b.

    Not biased by few spikes or by slow changes of the rate.

    Parameters
    ----------
    min_spikes : int
        Samples in which a neuron fires fewer do not count for it.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.lv().mean()), 3)
    0.624
    """

    name, question = "lv", "local variation of inter-spike intervals"
    phrase, label = "the local variation", "local variation LV"
    reference = "Shinomoto, Shima & Tanji 2003, Neural Comput 15:2823"


@register
class LvR(_Intervals):
    """Revised local variation 3 <(1 - 4ab/(a + b)^2)(1 + 4R/(a + b))> over adjacent intervals a, b.

    :func:`lv` with the part that a refractory period takes away given back, so that the value does
    not fall with the rate.

    Parameters
    ----------
    min_spikes : int
        Samples in which a neuron fires fewer do not count for it.
    refractoriness : float, optional
        The constant R: default 5 ms in a circuit (as in the paper), 0 steps in a network, whose
        neurons have no refractory period (the value is then that of :func:`lv`).

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.lvr(refractoriness=1).mean()), 3)
    0.989
    """

    name, question = "lvr", "local variation corrected for refractoriness"
    phrase, label = "the revised local variation", "revised local variation LvR"
    reference = "Shinomoto et al. 2009, PLoS Comput Biol 5:e1000433"
    comparable_reason = f"R is 5 ms in a circuit and 0 in a network; {_Intervals.comparable_reason}"

    refractoriness: float | None = None

    def kernel(self, population: Population) -> tuple[Callable[..., FloatArray], dict[str, Any]]:
        given, units = self.refractoriness, population.units
        constant = REFRACTORINESS[units] if given is None else float(given)
        if not (constant >= 0 and math.isfinite(constant)):
            raise StatisticError(f"the refractoriness is {given}", valid=f"0 {units} or more")
        return partial(kernels.lvr, refractoriness=constant), {"refractoriness": f"{constant:g} {units}"}


@register
class CV2(_Intervals):
    """Mean of 2 |a - b|/(a + b) over adjacent inter-spike intervals a, b.

    Not biased by few spikes or by slow changes of the rate.

    Parameters
    ----------
    min_spikes : int
        Samples in which a neuron fires fewer do not count for it.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.cv2().mean()), 3)
    0.752
    """

    name, question = "cv2", "local coefficient of variation of inter-spike intervals"
    phrase, label = "CV2", "local coefficient of variation CV2"
    reference = "Holt et al. 1996, J Neurophysiol 75:1806"
    bounds = (0.0, 2.0)


@register
class FanoFactor(Statistic):
    """Fano factor: variance (ddof 1) over mean of a neuron's spike count.

    Parameters
    ----------
    over : {"time", "sample"}
        ``"time"``: over windows within a sample, about the sample's own mean, pooled over
        samples; needs at least 10 windows per sample.  ``"sample"``: of the count in the whole
        sample, over at least 30 samples (in a network these are different images).
    window : float, optional
        Length of a window, for ``over="time"``: default 10 steps or 50 ms.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.fano_factor().mean()), 3)
    0.793
    """

    name, question, topic = "fano_factor", "variability of spike counts", "spikes"
    phrase, needs, bounds = "the Fano factor", SPIKES, POSITIVE
    reference = "Fano 1947, Phys Rev 72:26"
    variants = grid(over=("time", "sample"))
    windows = (COUNT_WINDOWS, MIN_WINDOWS)

    over: Over = "time"
    window: float | None = None

    @property
    def key(self) -> str:
        return self.name if self.over == "time" else f"{self.name}_samples"

    @property
    def label(self) -> str:
        return f"Fano factor (over {'windows' if self.over == 'time' else 'samples'})"

    @property
    def comparable_reason(self) -> str:
        return COUNTS if self.over == "time" else OVER_SAMPLES

    def compute(self, population: Population) -> Estimate:
        population.require_every_step(self.phrase)
        if self.over == "sample":
            if self.window is not None:
                raise StatisticError("the Fano factor over samples counts the whole sample", valid="window=None")
            population.require_samples(self.phrase)
            # It needs no times.
            trains = cast(kernels.SpikeTrains, Counted(population.counts, population.n_samples))
            width, text = None, f"whole sample, {population.duration:g} {population.units}"
        else:
            width = windowed(population, self.phrase, self.window, COUNT_WINDOWS, MIN_WINDOWS)
            trains, text = population.trains, f"{width:g} {population.units}"

        return self.result(
            population,
            lambda weights: kernels.fano_factor(trains, weights, over=self.over, window=width),
            neuron=population.spiking_neuron,
            rule="silent neurons",
            attrs={"window": text},
        )
