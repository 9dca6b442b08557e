"""How closely inhibition cancels excitation: what is left, relative to what."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from eiplatform.errors import NotApplicableError, StatisticError
from eiplatform.statistics import kernels
from eiplatform.statistics.declare import CURRENTS, OVER_SAMPLES, OVER_TIME, SHARE, Over, Statistic
from eiplatform.statistics.estimate import Estimate
from eiplatform.statistics.kernels.moments import RELATIVE_TOLERANCE, FloatArray
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import grid, register

_RUBIN = "Rubin, Abbott & Sompolinsky 2017, PNAS 114:E9366"
_CONSTANT = f"excitation or inhibition constant (sd below {RELATIVE_TOLERANCE:g} of its root mean square)"
_WORD = {"sample": "samples", "time": "time"}


@register
class MeanToFluctuation(Statistic):
    """Mean net current over its fluctuation, <E - I> / (sqrt(N) sd(E - I)), of each neuron.

    Parameters
    ----------
    over : {"sample", "time"}
        The fluctuation is over samples (Rubin's patterns) or over time within a sample.
    n_inputs : int, optional
        Number N of inputs of a neuron.  Without it nothing is divided by its root.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.mean_to_fluctuation(over="time").mean()), 3)
    0.771
    """

    name, topic = "mean_to_fluctuation", "tightness of balance"
    question = "how large is the net current beside its own fluctuation?"
    phrase, needs = "mean over fluctuation", CURRENTS
    comparable_reason = "grows with the number of inputs; mean_to_fluctuation(n_inputs=...) divides by its root"
    reference = _RUBIN
    variants = grid(over=("sample", "time"))

    over: Over = "sample"
    n_inputs: int | None = None

    @property
    def key(self) -> str:
        return f"{self.name}_{_WORD[self.over]}"

    @property
    def label(self) -> str:
        return f"mean over fluctuation of the net current (over {_WORD[self.over]})"

    def compute(self, population: Population) -> Estimate:
        if self.n_inputs is not None and self.n_inputs < 1:
            raise StatisticError(f"n_inputs is {self.n_inputs}", valid="the number of inputs of a neuron, at least 1")
        root = np.sqrt(1.0 if self.n_inputs is None else float(self.n_inputs))
        pair = population.currents
        if self.over == "sample":
            population.require_samples(self.phrase)

            def values(weights: FloatArray) -> FloatArray:
                moments = pair.moments(weights)
                total = np.nan_to_num(moments.var_exc) + np.nan_to_num(moments.var_inh)
                return _ratio(moments.mean_exc - moments.mean_inh, total, total - 2 * moments.cov, root)

            where = "over samples"
        else:
            population.require_time(self.phrase, population.n_intervals)
            moments = pair_moments(population)
            total = np.nan_to_num(moments.var_exc) + np.nan_to_num(moments.var_inh)

            def values(weights: FloatArray) -> FloatArray:
                exc, inh = pair.means(weights)
                fluctuation = kernels.weighted_mean(weights, total - 2 * moments.cov)
                return _ratio(exc - inh, kernels.weighted_mean(weights, total), fluctuation, root)

            where = "over time"
        return self.result(
            population,
            values,
            rule=f"net current constant {where}",
            attrs={"n_inputs": "not given: not divided by its root" if self.n_inputs is None else self.n_inputs},
            biased=self.over == "sample",  # the sd of few samples is low
            moments=self.over == "sample",
        )


def pair_moments(population: Population) -> kernels.PairMoments:
    """Second moments of E and I over time in each sample, made once."""
    return kernels.PairMoments(*population.table(_moments, *CURRENTS))


def _moments(exc: npt.NDArray[Any], inh: npt.NDArray[Any]) -> FloatArray:
    """Tables of the second moments over time of some samples, in the order of PairMoments."""
    return np.stack(list(vars(kernels.moments_over_time(exc, inh)[0]).values()))


def _ratio(mean: FloatArray, total: FloatArray, variance: FloatArray, root: float) -> FloatArray:
    varies = variance > RELATIVE_TOLERANCE**2 * (total + mean**2)
    return np.where(varies, mean / (root * np.sqrt(np.where(varies, variance, 1.0))), np.nan)


@register
class ResidualVariance(Statistic):
    """Residual variance var(E - I)/(var E + var I) of each neuron: 0 perfect tracking, 1 independent.

    Parameters
    ----------
    over : {"sample", "time"}
        Of time-averaged currents over samples, or over time within a sample, then averaged over samples.
    pairs : {"own", "cross", "excess"}
        With the inhibition of the same neuron; of the others (both sides summed over them); own minus cross, which
        is *negative* where a neuron's own inhibition cancels better than that of others.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.residual_variance().mean()), 3)
    1.0
    """

    name, topic = "residual_variance", "tightness of balance"
    question = "how much fluctuation does inhibition leave?"
    phrase, needs = "the residual variance", CURRENTS
    reference = "var(E - I)/(var E + var I); Renart et al. 2010, Science 327:587"
    variants = grid(over=("sample", "time"), pairs=("own", "cross", "excess"))

    over: Over = "time"
    pairs: Annotated[Literal["own", "cross", "excess"], "pairing"] = "own"

    @property
    def key(self) -> str:
        suffix = "" if self.pairs == "own" else f"_{self.pairs}"
        return f"{self.name}_{_WORD[self.over]}{suffix}"

    @property
    def label(self) -> str:
        text = {"own": "", "cross": ", other neurons", "excess": ", own minus other"}[self.pairs]
        return f"residual variance{text} (over {_WORD[self.over]})"

    @property
    def comparable(self) -> bool:
        return self.over == "time"

    @property
    def comparable_reason(self) -> str:
        return OVER_TIME if self.over == "time" else OVER_SAMPLES

    @property
    def bounds(self) -> tuple[float, float]:
        return (-2.0, 2.0) if self.pairs == "excess" else (0.0, 2.0)

    @property
    def private(self) -> bool:
        return self.pairs != "own"

    def compute(self, population: Population) -> Estimate:
        attrs: dict[str, str] = {"pairs": self.pairs}
        if self.over == "sample":
            population.require_samples(self.phrase)
            pair = population.currents

            def moments(weights: FloatArray) -> kernels.PairMoments:
                return pair.shared(
                    weights, "pairs", lambda: kernels.moments_over_samples(weights, pair, pair.moments(weights))
                )

            def values(weights: FloatArray) -> FloatArray:
                return kernels.residual_variance(moments(weights), self.pairs)

            def influence(weights: FloatArray, found: FloatArray) -> FloatArray:
                return self._with_received(found, moments(weights).received_residual)

            return self.result(
                population,
                values,
                rule=f"{_CONSTANT} over samples",
                attrs=attrs,
                influence=None if self.pairs == "own" else influence,
                biased=True,
                moments=True,
            )
        population.require_time(self.phrase, population.n_intervals)
        tables = pair_moments(population)
        per_sample = kernels.residual_variance(tables, self.pairs)

        def averaged(weights: FloatArray) -> FloatArray:
            return kernels.weighted_nanmean(weights, per_sample)

        def whole(weights: FloatArray, found: FloatArray) -> FloatArray:
            return self._with_received(found, kernels.weighted_nanmean(weights, tables.received_residual))

        attrs["interval"] = f"{population.dt:g} {population.units}"
        return self.result(
            population,
            averaged,
            rule=f"{_CONSTANT} over time in every sample",
            attrs=attrs,
            influence=None if self.pairs == "own" else whole,
        )

    def _with_received(self, values: FloatArray, received: FloatArray) -> FloatArray:
        return kernels.with_received(values, received if self.pairs == "cross" else -received)


@register
class PrivateInhibition(Statistic):
    """Share of the variance of each neuron's inhibition that the mean of the other neurons does not explain.

    Near 0 all neurons receive the same inhibition, up to a factor: then nothing can be balanced in detail,
    and inhibitory neurons cannot be distinguished by what they do.

    Raises
    ------
    NotApplicableError
        If there is only one neuron.
    StatisticError
        If the signal is missing or not finite.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.private_inhibition().mean()), 3)
    0.402
    """

    name, topic = "private_inhibition", "shared inhibition"
    question = "does each neuron have inhibition of its own?"
    phrase, label = "private inhibition", "private share of the variance of inhibition"
    needs, over, bounds, cautioned = ("current_inh",), "sample and time", SHARE, False
    comparable_reason = "images differ in a network, time passes in a circuit: other sources of variance"
    reference = "own definition, 1 - r^2; after Renart et al. 2010, Science 327:587 (private against shared input)"

    def compute(self, population: Population) -> Estimate:
        if population.data.sizes["neuron"] < 2:
            raise NotApplicableError(
                f"{self.phrase} of one neuron", where=population.name or None, valid="at least 2 neurons"
            )
        sums = population.table(_with_others, "current_inh")

        def values(weights: FloatArray) -> FloatArray:
            return kernels.private_share(weights, sums)

        return self.result(population, values, rule="constant inhibition")


def _with_others(inhibition: npt.NDArray[Any]) -> FloatArray:
    x = inhibition.astype(np.float64)
    n = x.shape[2]
    others = (x.sum(axis=2, keepdims=True) - x) / (n - 1)
    return np.stack([part.mean(axis=1) for part in (x, x**2, others, others**2, x * others)])
