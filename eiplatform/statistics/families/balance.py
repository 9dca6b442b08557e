"""How excitation and inhibition compare and vary together."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from eiplatform.errors import TooShortError, choose
from eiplatform.statistics import kernels
from eiplatform.statistics.counts import require_neurons
from eiplatform.statistics.declare import BY_SIZE, CURRENTS, OVER_SAMPLES, OVER_TIME, POSITIVE, Statistic
from eiplatform.statistics.estimate import Estimate, shared
from eiplatform.statistics.kernels.moments import RELATIVE_TOLERANCE, FloatArray
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import grid, register

_CONSTANT = f"excitation or inhibition constant (sd below {RELATIVE_TOLERANCE:g} of its root mean square)"
_SUFFIX = {"own": "", "cross": "_cross", "excess": "_excess", "partial": "_partial"}
_WORD = {"sample": "samples", "time": "time", "neuron": "neurons"}


@register
class EIRatio(Statistic):
    """E/I ratio <E>/<I> of each neuron; averages over samples and time come before the ratio.

    The population's value is the geometric mean over neurons (a ratio of 2 and one of 1/2
    average to 1).

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.ei_ratio().mean()), 3)
    1.819
    """

    name, question, topic = "ei_ratio", "ratio of excitation to inhibition", "excitation and inhibition"
    phrase, label = "the E/I ratio", "E/I ratio"
    needs, over, bounds, average = CURRENTS, "sample and time", POSITIVE, "geometric mean"
    comparable_reason = BY_SIZE
    reference = "Xue, Atallah & Scanziani 2014, Nature 511:596"

    def compute(self, population: Population) -> Estimate:
        pair = population.currents

        def values(weights: FloatArray) -> FloatArray:
            return kernels.ei_ratio(*pair.means(weights))

        return self.result(population, values, rule="mean excitation or mean inhibition not positive")


@register
class BalanceIndex(Statistic):
    """Balance index beta = <E - I>/<E> of each neuron: 0 balanced, 1 no inhibition.

    NaN, and counted, for neurons whose mean excitation is less than a tenth of the sum of both currents
    (an index below -8): these neurons lack excitation.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.balance_index().mean()), 3)
    0.45
    """

    name, question, topic = "balance_index", "what is left after cancellation", "excitation and inhibition"
    phrase, label = "the balance index", "balance index (E - I)/E"
    needs, over = CURRENTS, "sample and time"
    comparable_reason = BY_SIZE
    reference = "Ahmadian & Miller 2021, Neuron 109:3373"

    def compute(self, population: Population) -> Estimate:
        pair = population.currents
        # Decided once: a draw without the samples that excite a neuron gives it the lowest index, not none.
        lacking = kernels.lacks_excitation(*pair.means(np.ones((1, pair.n_samples))))
        lowest = 2 - 1 / kernels.LEAST_EXCITATION

        def values(weights: FloatArray) -> FloatArray:
            exc, inh = pair.means(weights)
            index = np.where(kernels.lacks_excitation(exc, inh), lowest, kernels.balance_index(exc, inh))
            return np.where(lacking, np.nan, index)

        least = f"less than {kernels.LEAST_EXCITATION:g} of the sum of both currents"
        return self.result(population, values, rule=f"mean excitation not positive, or {least}")


@register
class ImbalanceIndex(Statistic):
    """Imbalance index IB = <E - I>/<E + I> of each neuron: 0 balanced, 1 no inhibition, -1 no excitation.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.imbalance_index().mean()), 3)
    0.291
    """

    name, question, topic = "imbalance_index", "IB, what is left of both currents", "tightness of balance"
    phrase, label = "the imbalance index", "imbalance index IB (E - I)/(E + I)"
    needs, over, bounds = CURRENTS, "sample and time", (-1.0, 1.0)
    comparable_reason = BY_SIZE
    reference = "Rubin, Abbott & Sompolinsky 2017, PNAS 114:E9366"

    def compute(self, population: Population) -> Estimate:
        pair = population.currents

        def values(weights: FloatArray) -> FloatArray:
            exc, inh = pair.means(weights)
            return np.divide(exc - inh, exc + inh, out=np.full_like(exc, np.nan), where=exc + inh > 0)

        return self.result(population, values, rule="sum of mean currents not positive")


@register
class EICorrelation(Statistic):
    """Pearson correlation of excitation and inhibition: of each neuron, or over the neurons of a sample.

    Parameters
    ----------
    over : {"sample", "time", "neuron"}
        ``"sample"``: of time-averaged currents over at least 30 samples.
        ``"time"``: over at least 50 recorded intervals within a sample, then averaged over
        samples.
        ``"neuron"``: of time-averaged currents over the (at least 5) neurons of a sample, then averaged over
        samples: one number for the population.
    pairs : {"own", "cross", "excess", "partial"}
        E and I of the same neuron; E of this with I of all other neurons (mean); own minus
        cross; own with the mean excitation of the other neurons regressed out.  Over neurons: E and I of
        the same sample; E of this with I of the other samples; own minus cross; no partial.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.ei_correlation(over="sample").mean()), 3)
    1.0
    """

    name, question = "ei_correlation", "do excitation and inhibition vary together?"
    needs = CURRENTS
    variants = (
        *grid(over=("sample", "time"), pairs=("own", "cross", "excess", "partial")),
        *grid(over=("neuron",), pairs=("own", "cross", "excess")),
    )

    over: Annotated[Literal["sample", "time", "neuron"], "estimator axis"] = "sample"
    pairs: Annotated[Literal["own", "cross", "excess", "partial"], "pairing"] = "own"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.over == "neuron":
            choose(self.pairs, kernels.RESIDUAL_PAIRS, "pairing over neurons")

    @property
    def topic(self) -> str:  # type: ignore[override]
        return "balance over neurons" if self.over == "neuron" else "excitation and inhibition"

    @property
    def key(self) -> str:
        return f"{self.name}_{_WORD[self.over]}{_SUFFIX[self.pairs]}"

    @property
    def phrase(self) -> str:
        return "the E-I correlation over neurons" if self.over == "neuron" else "the E-I correlation"

    @property
    def label(self) -> str:
        others = "other samples" if self.over == "neuron" else "other neurons"
        text = {"own": "", "cross": f", {others}", "excess": ", own minus other", "partial": ", common mode removed"}
        return f"E-I correlation{text[self.pairs]} (over {_WORD[self.over]})"

    @property
    def comparable(self) -> bool:
        return self.over == "time" or (self.over == "neuron" and self.pairs == "own")

    @property
    def comparable_reason(self) -> str:
        if self.over == "neuron" and self.pairs == "own":
            return "over the neurons of a sample in both; neurons of a circuit differ by chance in their in-degree"
        return OVER_TIME if self.over == "time" else OVER_SAMPLES

    @property
    def reference(self) -> str:
        if self.over == "neuron":
            return "Xue, Atallah & Scanziani 2014, Nature 511:596"
        return {
            "own": "Okun & Lampl 2008, Nat Neurosci 11:535",
            "cross": "Renart et al. 2010, Science 327:587",
            "excess": "own minus cross; Hennequin, Agnes & Vogels 2017, Annu Rev Neurosci 40:557",
            "partial": "partial correlation given the mean excitation of the other neurons",
        }[self.pairs]

    @property
    def level(self) -> str:
        return "population" if self.over == "neuron" else "neuron"

    @property
    def bounds(self) -> tuple[float, float]:
        return (-2.0, 2.0) if self.pairs == "excess" else (-1.0, 1.0)

    @property
    def private(self) -> bool:
        return self.pairs != "own"

    @property
    def with_others(self) -> bool:
        """Whether a neuron's inhibition enters the values of other neurons."""
        return self.pairs in ("cross", "excess")

    @property
    def least_samples(self) -> int:
        return 2 if self.over == "neuron" and self.pairs != "own" else super().least_samples

    def compute(self, population: Population) -> Estimate:
        if self.over == "neuron":
            return self._over_neurons(population)
        attrs: dict[str, str] = {"pairs": self.pairs}
        if self.over == "sample":
            population.require_samples(self.phrase)
            pair = population.currents

            def values(weights: FloatArray) -> FloatArray:
                return kernels.pair_correlation(weights, pair, self.pairs)

            def received(weights: FloatArray, found: FloatArray) -> FloatArray:
                return kernels.received_correlation(weights, pair, found, self.pairs)

            return self.result(
                population,
                values,
                rule=f"{_CONSTANT} over samples",
                attrs=attrs,
                influence=received if self.with_others else None,
                moments=True,
            )
        population.require_time(self.phrase, population.n_intervals)
        tables = population.table(kernels.correlations_over_time, *CURRENTS)
        per_sample, of_others = tables[kernels.PAIRS.index(self.pairs)], tables[-1]

        def averaged(weights: FloatArray) -> FloatArray:
            return kernels.weighted_nanmean(weights, per_sample)

        def influence(weights: FloatArray, found: FloatArray) -> FloatArray:
            received = kernels.weighted_nanmean(weights, of_others)
            return kernels.with_received(found, received if self.pairs == "cross" else -received)

        attrs["interval"] = f"{population.dt:g} {population.units}"
        return self.result(
            population,
            averaged,
            rule=f"{_CONSTANT} over time in every sample",
            attrs=attrs,
            influence=influence if self.with_others else None,
        )

    def _over_neurons(self, population: Population) -> Estimate:
        require_neurons(population, self.phrase)
        if self.pairs != "own" and population.n_samples < 2:
            raise TooShortError(f"{self.phrase} with other samples: one sample is too few", valid="at least 2 samples")
        exc, inh = (population.time_mean(signal) for signal in CURRENTS)
        patterns = shared(population, "patterns", lambda: kernels.Patterns(exc, inh))

        def values(weights: FloatArray) -> FloatArray:
            return patterns.correlation(weights, self.pairs)

        return self.result(
            population,
            values,
            rule="none; samples in which excitation or inhibition is the same for all neurons are left out",
            attrs={"pairs": self.pairs, "samples_left_out": int((~patterns.defined).sum())},
            moments=True,
        )
