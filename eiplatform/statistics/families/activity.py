"""How activity is spread over neurons and samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal

import numpy as np
import xarray as xr
from scipy import stats

from eiplatform.errors import NotApplicableError, StatisticError
from eiplatform.statistics import kernels
from eiplatform.statistics.counts import fired, rate_table
from eiplatform.statistics.declare import OVER_SAMPLES, POSITIVE, SHARE, SPIKES, Statistic, Table
from eiplatform.statistics.estimate import Estimate
from eiplatform.statistics.families.spikes import Rate
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.kernels.spill import map_rows
from eiplatform.statistics.population import Population
from eiplatform.statistics.quantiles import QUANTILES, checked_quantiles
from eiplatform.statistics.registry import grid, register

_TOPIC = "distribution of activity"
_SILENCE = "a neuron is silent or saturated in the time recorded: its length and the samples differ"
_NOT_KNOWN = (
    "the error of a skewness grows with the skewness, so that intervals miss on one side; "
    "they held the truth in 90 % (110 neurons) to 93 % (1000) of cases"
)
_NO_NEURON = "undefined where no neuron fires"


@register
class RateShape(Statistic):
    """Shape of the distribution of the rates over neurons: a row of :func:`rate_distribution`.

    Parameters
    ----------
    measure : {"cv", "gini", "log_sd", "log_skewness"}
    """

    name, public, topic = "rate_distribution", False, _TOPIC
    question = "how unequal are the rates?"
    phrase, needs, over, level = "the distribution of rates", SPIKES, "sample and time", "population"
    comparable = True
    comparable_reason = (
        "dimensionless and free of the unit of time; few spikes per neuron widen it (equal Poisson neurons: "
        "CV 1/sqrt(spikes)): read it beside the number of spikes"
    )
    variants = grid(measure=("cv", "gini", "log_sd", "log_skewness"))

    measure: Annotated[Literal["cv", "gini", "log_sd", "log_skewness"], "measure of the rates"]

    @property
    def key(self) -> str:
        return f"rate_{self.measure}"

    @property
    def label(self) -> str:
        return {
            "cv": "CV of rates over neurons",
            "gini": "Gini index of rates over neurons",
            "log_sd": "sd of log rates over active neurons",
            "log_skewness": "skewness of log rates over active neurons",
        }[self.measure]

    @property
    def reference(self) -> str:
        roxin, buzsaki = "Roxin et al. 2011, J Neurosci 31:16217", "Buzsaki & Mizuseki 2014, Nat Rev Neurosci 15:264"
        return {"gini": f"Gini 1912; {buzsaki}", "log_sd": buzsaki}.get(self.measure, roxin)

    @property
    def bounds(self) -> tuple[float, float]:
        return {"gini": SHARE, "log_skewness": (-math.inf, math.inf)}.get(self.measure, POSITIVE)

    def compute(self, population: Population) -> Estimate:
        table, _ = rate_table(population, self.phrase)
        _require_two(population, self.phrase, table)
        return self.result(
            population,
            partial(kernels.rate_shape, table=table, measure=self.measure),
            neuron=population.spiking_neuron,
            rule={
                "cv": f"none: silent neurons count as 0; {_NO_NEURON}",
                "gini": f"none: silent neurons count as 0; {_NO_NEURON}",
                "log_sd": "silent neurons (they have no logarithm); undefined where all others fire equally",
                "log_skewness": "silent neurons (they have no logarithm); "
                "undefined where fewer than 3 fire, or all equally",
            }[self.measure],
            attrs={"measure": self.measure},
            moments=True,
            without=_NOT_KNOWN if self.measure == "log_skewness" else "",
        )


def _require_two(population: Population, phrase: str, table: FloatArray) -> None:
    if table.shape[1] < 2:
        raise NotApplicableError(f"{phrase} of one neuron", where=population.name or None, valid="at least 2 neurons")


@register
class RateDistribution(Table):
    """Describe the distribution of rates over all neurons, silent ones included.

    Parameters
    ----------
    quantiles : sequence of float
        In [0, 1].

    Returns
    -------
    xarray.Dataset
        Over all neurons: ``mean``, ``sd`` (ddof 0), ``cv``, ``skewness``, ``kurtosis`` (excess),
        ``gini``, ``silent`` (share), ``quantile``, and ``cv_poisson``, the CV that equal Poisson
        neurons would show with as few spikes.  Over neurons that fire, a log-normal fit:
        ``log_mean``, ``log_sd`` (ddof 1), ``log_skewness`` (0 if log-normal) and
        ``log_distance``, the Kolmogorov-Smirnov distance from the fit.

    References
    ----------
    Roxin et al. 2011, J Neurosci 31:16217; Buzsaki & Mizuseki 2014, Nat Rev Neurosci 15:264.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.rate_distribution()["gini"]), 3)
    0.01
    """

    name, question, topic = "rate_distribution", "how unequal are the rates?", _TOPIC
    phrase, needs = "the distribution of rates", SPIKES

    quantiles: Sequence[float] = QUANTILES

    def compute(self, population: Population) -> xr.Dataset:
        wanted = checked_quantiles(self.quantiles)
        estimate = Rate().estimate(population)
        rates = estimate.kernel.per_neuron()
        mean, sd, cv, quantile = kernels.describe(rates, tuple(wanted))
        varies = sd > 1e-12 * mean
        shape = {}
        for measure in ("gini", "log_sd", "log_skewness"):
            values = RateShape(measure=measure).estimate(population).kernel.per_neuron()
            shape[measure] = float(values[np.isfinite(values)].mean()) if np.isfinite(values).any() else np.nan
        logs = np.log(rates[rates > 0])
        spikes = population.counts.sum() / rates.size
        return xr.Dataset(
            {
                "mean": float(mean),
                "sd": float(sd),
                "cv": float(cv),
                "skewness": float(stats.skew(rates)) if varies else np.nan,
                "kurtosis": float(stats.kurtosis(rates)) if varies else np.nan,
                "silent": float((rates == 0).mean()),
                "cv_poisson": float(1 / np.sqrt(spikes)) if spikes > 0 else np.nan,
                "log_mean": float(logs.mean()) if logs.size else np.nan,
                **shape,
                "log_distance": _distance(logs, shape["log_sd"]),
                "quantile": ("probability", quantile),
            },
            coords={"probability": wanted},
            attrs={
                "long_name": "distribution of rates over neurons",
                "units": estimate.units,
                "n": rates.size,
                "n_active": logs.size,
                "over": "sample and time",
            },
        )


def _distance(logs: FloatArray, sd: float) -> float:
    """Kolmogorov-Smirnov distance of log rates from the normal law with their mean and `sd`."""
    if not np.isfinite(sd):
        return float("nan")
    ordered = stats.norm.cdf(np.sort(logs), logs.mean(), sd)
    steps = np.arange(logs.size + 1) / logs.size
    return float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))


@register
class DeadFraction(Statistic):
    """Whether each neuron is dead (1) or fires at least once in the recording (0); the mean is the share.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.dead_fraction().mean()), 3)
    0.0
    """

    name, question, topic = "dead_fraction", "share of dead neurons", _TOPIC
    phrase, label = "the share of dead neurons", "share of dead neurons"
    needs, over, bounds, is_share = SPIKES, "sample and time", SHARE, True
    comparable_reason = _SILENCE
    reference = "share of neurons without a spike in the whole recording"

    def compute(self, population: Population) -> Estimate:
        values = partial(kernels.dead, table=fired(population))
        return self.result(population, values, neuron=population.spiking_neuron, rule="none")


@register
class SaturatedFraction(Statistic):
    """Whether each neuron fires at the highest rate (1) or not (0); the mean is the share.

    Parameters
    ----------
    share : float
        Part of the highest rate that counts as saturated.
    maximum : float, optional
        Highest rate: default one spike per step, or one per refractory period (Hz).

    Raises
    ------
    StatisticError
        If the population has no spikes, or `share` is impossible.
    NotApplicableError
        If a circuit has no refractory period and `maximum` is not given.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.saturated_fraction(maximum=0.3).mean()), 3)
    0.0
    """

    name, question, topic = "saturated_fraction", "share of saturated neurons", _TOPIC
    phrase, label = "the share of saturated neurons", "share of saturated neurons"
    needs, over, bounds, is_share = SPIKES, "sample and time", SHARE, True
    comparable_reason = _SILENCE
    reference = "share of neurons at 90 % of the highest possible rate"

    share: float = 0.9
    maximum: float | None = None

    def compute(self, population: Population) -> Estimate:
        if not 0 < self.share <= 1:
            raise StatisticError(f"the share is {self.share}", valid="above 0, at most 1")
        table, units = rate_table(population, self.phrase)
        maximum = _highest_rate(population, self.phrase) if self.maximum is None else self.maximum
        if not maximum > 0:
            raise StatisticError(f"the highest rate is {maximum}", valid=f"a positive number of {units}")
        return self.result(
            population,
            partial(kernels.saturated, table=table, limit=self.share * maximum),
            neuron=population.spiking_neuron,
            rule="none",
            attrs={"share": self.share, "maximum": f"{maximum:g} {units}"},
        )


def _highest_rate(population: Population, phrase: str) -> float:
    """One spike per step, or one per refractory period."""
    if population.units == "step":
        return 1.0
    refractory = float(population.data.attrs.get("refractory", 0.0))
    if not refractory > 0:
        raise NotApplicableError(
            f"{phrase}: a neuron without a refractory period has no highest rate",
            where=population.name or None,
            remedy="give maximum= in Hz",
        )
    return 1000.0 / refractory


@register
class Sparseness(Statistic):
    """Treves-Rolls sparseness S = (1 - <r>^2/<r^2>)/(1 - 1/n): 0 dense, 1 sparse.

    Parameters
    ----------
    kind : {"lifetime", "population"}
        Averages over at least 30 samples for each neuron, or over neurons for each sample (the
        result is then one value, the mean over samples).

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.sparseness().mean()), 3)
    0.141
    """

    name, question, topic = "sparseness", "how few samples or neurons carry the activity?", _TOPIC
    needs, bounds = SPIKES, SHARE
    variants = grid(kind=("lifetime", "population"))

    kind: Annotated[Literal["lifetime", "population"], "sparseness"] = "lifetime"

    @property
    def phrase(self) -> str:
        return f"the {self.kind} sparseness"

    @property
    def key(self) -> str:
        return f"{self.name}_{self.kind}"

    @property
    def label(self) -> str:
        return f"{self.kind} sparseness (over {'samples' if self.kind == 'lifetime' else 'neurons'})"

    @property
    def over(self) -> str:
        return "sample" if self.kind == "lifetime" else "sample and time"

    @property
    def level(self) -> str:
        return "neuron" if self.kind == "lifetime" else "population"

    @property
    def comparable_reason(self) -> str:
        if self.kind == "lifetime":
            return OVER_SAMPLES
        return "the counts of one sample: an image of a few steps and a trial of seconds differ in noise"

    @property
    def reference(self) -> str:
        if self.kind == "lifetime":
            return "Vinje & Gallant 2000, Science 287:1273; Treves & Rolls 1991, Network 2:371"
        return "Treves & Rolls 1991, Network 2:371; Willmore & Tolhurst 2001, Network 12:255"

    def compute(self, population: Population) -> Estimate:
        table, _ = rate_table(population, self.phrase)
        if self.kind == "lifetime":
            population.require_samples(self.phrase)
            values, rule = partial(kernels.lifetime_sparseness, table=table), "silent neurons"
        else:
            _require_two(population, self.phrase, table)
            influence = map_rows(kernels.population_sparseness, table)
            values, rule = partial(kernels.weighted_nanmean, data=influence), "samples in which no neuron fires"
        return self.result(population, values, neuron=population.spiking_neuron, rule=rule)
