"""The gain, and how it follows the activity of the population."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import xarray as xr

from eiplatform.errors import NotApplicableError, StatisticError
from eiplatform.statistics import kernels
from eiplatform.statistics.declare import Statistic, Table
from eiplatform.statistics.estimate import Estimate
from eiplatform.statistics.intervals import mean_with_interval
from eiplatform.statistics.kernels.crossed import NeuronValues
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.kernels.over_time import time_variance
from eiplatform.statistics.population import Population
from eiplatform.statistics.quantiles import QUANTILES, checked_quantiles
from eiplatform.statistics.registry import grid, register

_NO_GAIN = "current-based circuits have no gain (it is 1 by definition)"
_CARANDINI = "Carandini & Heeger 2012, Nat Rev Neurosci 13:51"
_SIGNAL = {"excitation": "current_exc", "spikes": "spikes"}
_Activity = Annotated[Literal["excitation", "spikes"], "population activity"]


@register
class Gain(Statistic):
    """Gain of each neuron: what its net current is multiplied with, or how much that varies.

    Parameters
    ----------
    measure : {"mean", "cv"}
        Mean over samples and time, or coefficient of variation over samples and time: whether
        the gain does anything.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.gain().mean()), 3)
    0.365
    """

    name, question, topic = "gain", "what multiplies the net current", "gain"
    phrase, needs, over, comparable_reason = "the gain", ("gain",), "sample and time", _NO_GAIN
    variants = grid(measure=("mean", "cv"))

    measure: Annotated[Literal["mean", "cv"], "measure of the gain"] = "mean"

    @property
    def key(self) -> str:
        return "gain" if self.measure == "mean" else "gain_cv"

    @property
    def label(self) -> str:
        return "gain" if self.measure == "mean" else "CV of the gain over samples and time"

    @property
    def reference(self) -> str:
        return "Chance, Abbott & Reyes 2002, Neuron 35:773" if self.measure == "mean" else _CARANDINI

    def compute(self, population: Population) -> Estimate:
        mean, attrs = population.time_mean("gain"), {"measure": self.measure}
        if self.measure == "mean":

            def means(weights: FloatArray) -> FloatArray:
                return kernels.weighted_mean(weights, mean)

            return self.result(population, means, rule="none", attrs=attrs)
        centre = kernels.weighted_mean(np.ones((1, population.n_samples)), mean)[0]
        within = population.table(time_variance, "gain")

        def values(weights: FloatArray) -> FloatArray:
            w = weights / weights.sum(axis=1, keepdims=True)
            average, spread = kernels.weighted_sums(w, lambda m, v: (m, v + (m - centre) ** 2), mean, within)
            sd = np.sqrt(np.maximum(spread - (average - centre) ** 2, 0.0))
            cv: FloatArray = np.divide(sd, average, out=np.full_like(sd, np.nan), where=average > 0)
            return cv

        # The sd of few samples is low.
        return self.result(population, values, rule="mean gain not positive", attrs=attrs, biased=True, moments=True)


@register
class GainDistribution(Table):
    """Describe the gain over all neurons, samples and times, and over each of these axes.

    Parameters
    ----------
    quantiles : sequence of float
        In [0, 1].

    Returns
    -------
    xarray.Dataset
        ``mean``, ``sd`` (ddof 0), ``cv`` and ``quantile`` over everything, and ``sd_neurons``,
        ``sd_samples``, ``sd_time``: the standard deviation of the gain averaged over the other
        two axes.

    References
    ----------
    Carandini & Heeger 2012, Nat Rev Neurosci 13:51.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.gain_distribution()["cv"]), 3)
    0.376
    """

    name, question, topic = "gain_distribution", "the gain over neurons, samples and time", "gain"
    phrase, needs = "the gain", ("gain",)

    quantiles: Sequence[float] = QUANTILES

    def compute(self, population: Population) -> xr.Dataset:
        wanted = checked_quantiles(self.quantiles)
        values = population.array("gain").astype(np.float64)
        mean, sd, cv, quantile = kernels.describe(values, tuple(wanted))
        axes = {"samples": (1, 2), "time": (0, 2), "neurons": (0, 1)}
        spread = {f"sd_{word}": float(values.mean(axis=others).std()) for word, others in axes.items()}
        return xr.Dataset(
            {
                "mean": float(mean),
                "sd": float(sd),
                "cv": float(cv),
                **spread,
                "quantile": ("probability", quantile),
            },
            coords={"probability": wanted},
            attrs={
                "long_name": "distribution of the gain",
                "units": "1",
                "n": values.size,
                "over": "sample, time, neuron",
            },
        )


def _activity(population: Population, activity: str) -> FloatArray:
    """Mean excitation, or mean rate, of the recorded neurons in each sample, shape (sample,)."""
    signal = _SIGNAL[activity]
    if signal == "spikes" and "spikes" not in population.data:
        return np.asarray(population.counts.mean(axis=1) / population.duration)
    return np.asarray(population.time_mean(signal).mean(axis=1))


@register
class GainSlope(Statistic):
    """Slope of ln gain on ln population activity over samples, of each neuron: -1 full normalisation, 0 none.

    Parameters
    ----------
    activity : {"excitation", "spikes"}
        Mean excitatory current, or mean rate, of the recorded neurons in a sample.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.gain_slope().mean()), 3)
    -0.611
    """

    name, topic = "gain_slope", "gain"
    question = "does the gain fall when the population is more active?"
    phrase, label = "the slope of the gain", "slope of ln gain on ln population activity"
    over, comparable_reason, reference = "sample", _NO_GAIN, _CARANDINI

    activity: _Activity = "excitation"

    @property
    def needs(self) -> tuple[str, ...]:
        return ("gain", _SIGNAL[self.activity])

    def compute(self, population: Population) -> Estimate:
        population.require_samples(self.phrase)
        active, gain = _activity(population, self.activity), population.time_mean("gain")
        if not (active > 0).any():
            raise NotApplicableError("the population is not active in any sample", where=population.name or None)

        def values(weights: FloatArray) -> FloatArray:
            return kernels.log_slope(weights, active, gain)

        return self.result(
            population,
            values,
            rule="mean gain not positive in some sample, or the same activity in all samples",
            attrs={"activity": self.activity, "samples_left_out": int((active <= 0).sum())},
        )


@register
class GainNormalisation(Table):
    """Fit divisive normalisation, gain = G / (1 + P/sigma), P the population's activity in a sample.

    Parameters
    ----------
    activity : {"excitation", "spikes"}
        Mean excitatory current, or mean rate, of the recorded neurons in a sample.
    n_bootstrap, seed, level
        Of the intervals over samples and neurons.

    Returns
    -------
    xarray.Dataset
        ``maximum`` (G), ``sigma`` and ``r2`` (neuron), NaN where the data do not determine sigma; ``saturation``, the
        geometric mean over neurons of mean P / sigma (large: the gain falls as 1/P; small: it hardly falls), with
        ``saturation_low`` and ``saturation_high``; ``activity`` (sample).

    References
    ----------
    Carandini & Heeger 2012, Nat Rev Neurosci 13:51.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.gain_normalisation(n_bootstrap=20)["saturation"]), 3)
    1.78
    """

    name, topic = "gain_normalisation", "gain"
    question = "at which activity does divisive normalisation set in?"
    phrase = "the fit of divisive normalisation"

    activity: _Activity = "excitation"
    n_bootstrap: int = 200
    seed: int = 0
    level: float = 0.95

    @property
    def needs(self) -> tuple[str, ...]:
        return ("gain", _SIGNAL[self.activity])

    def compute(self, population: Population) -> xr.Dataset:
        population.require_samples(self.phrase)
        active, gain = _activity(population, self.activity), population.time_mean("gain")
        mean = float(active.mean())
        if not mean > 0:
            raise StatisticError("the population is not active in any sample", where=population.name or None)

        def saturation(weights: FloatArray) -> FloatArray:
            return mean / kernels.fit_normalisation(weights, active, gain)[1]

        maximum, sigma, r2 = (part[0] for part in kernels.fit_normalisation(np.ones((1, len(active))), active, gain))
        kernel = NeuronValues(saturation, len(active), gain.shape[1], geometric=True)
        numbers, note = mean_with_interval(
            "saturation", kernel, n_bootstrap=self.n_bootstrap, seed=self.seed, level=self.level
        )
        used = int(np.isfinite(sigma).sum())
        return xr.Dataset(
            {
                "maximum": ("neuron", maximum),
                "sigma": ("neuron", sigma),
                "r2": ("neuron", r2),
                **numbers,
                "activity": ("sample", active),
            },
            coords={"neuron": population.neuron, "sample": population.data["sample"].values},
            attrs={
                "long_name": "divisive normalisation gain = G/(1 + P/sigma)",
                "activity": self.activity,
                "over": "sample",
                "n": used,
                "n_excluded": sigma.size - used,
                "exclusion": "gain constant, or best sigma more than a thousandfold from the mean activity",
                "note": note,
                "level": self.level,
            },
        )
