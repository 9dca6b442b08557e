"""How the ratio of excitation to inhibition is distributed over neurons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from eiplatform.errors import StatisticError
from eiplatform.statistics import kernels
from eiplatform.statistics.counts import require_neurons
from eiplatform.statistics.declare import CURRENTS, POSITIVE, Statistic, Table
from eiplatform.statistics.estimate import Estimate
from eiplatform.statistics.kernels.bootstrap import hierarchical_bootstrap
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population
from eiplatform.statistics.quantiles import QUANTILES, checked_quantiles
from eiplatform.statistics.registry import register

_QUESTION = "are excitation and inhibition equalised over neurons?"
_PHRASE = "the spread of the E/I ratio"


@register
class EIRatioSpread(Statistic):
    """Spread over neurons of ln(E/I), a standard deviation: a row of :func:`ei_ratio_distribution`."""

    name, public, question, topic = "ei_ratio_distribution", False, _QUESTION, "tightness of balance"
    key, phrase, label = "ei_ratio_sd", _PHRASE, "sd over neurons of ln(E/I)"
    needs, over, level, bounds = CURRENTS, "neuron", "population", POSITIVE
    comparable_reason = "the more inputs a neuron has, the more alike are the ratios of the neurons"
    reference = "Xue, Atallah & Scanziani 2014, Nature 511:596"

    def compute(self, population: Population) -> Estimate:
        require_neurons(population, self.phrase)
        pair = population.currents

        def values(weights: FloatArray) -> FloatArray:
            return kernels.log_ratio_spread(*pair.means(weights))

        rule = "mean excitation or mean inhibition not positive"
        return self.result(
            population, values, rule=rule, biased=True, moments=True
        )  # noise of few samples spreads them


@register
class EIRatioDistribution(Table):
    """Describe the distribution over neurons of ln(E/I), and how far excitation and inhibition are equalised.

    Parameters
    ----------
    quantiles : sequence of float
        In [0, 1].
    n_bootstrap, seed, level
        Of the intervals over samples and neurons.

    Returns
    -------
    xarray.Dataset
        ``mean``, ``sd`` (ddof 0) with ``sd_low`` and ``sd_high``, ``skewness``, ``quantile`` (probability) of ln(E/I)
        over neurons; ``sd_shuffled``, what sd would be if the neurons' inhibition were exchanged at random (the square
        root of the summed variances of ln E and ln I); ``correlation`` over neurons of mean E and mean I;
        ``log_ratio`` (neuron).

    References
    ----------
    Xue, Atallah & Scanziani 2014, Nature 511:596.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.ei_ratio_distribution(n_bootstrap=20)["sd"]), 3)
    0.001
    """

    name, question, topic = "ei_ratio_distribution", _QUESTION, "tightness of balance"
    phrase, needs = _PHRASE, CURRENTS

    quantiles: Sequence[float] = QUANTILES
    n_bootstrap: int = 1000
    seed: int = 0
    level: float = 0.95

    def compute(self, population: Population) -> xr.Dataset:
        wanted = checked_quantiles(self.quantiles)
        estimate = EIRatioSpread().estimate(population)
        exc, inh = (part[0] for part in population.currents.means(np.ones((1, population.n_samples))))
        both = (exc > 0) & (inh > 0)
        if not both.any():
            raise StatisticError("no neuron has positive mean excitation and inhibition", where=population.name or None)
        ratio = np.full(exc.shape, np.nan)
        ratio[both] = np.log(exc[both] / inh[both])
        kept, log_exc, log_inh = ratio[both], np.log(exc[both]), np.log(inh[both])
        sd = float(kept.std())
        interval = hierarchical_bootstrap(
            [estimate.kernel], n_bootstrap=self.n_bootstrap, seed=self.seed, level=self.level
        )
        spread_exc, spread_inh = exc[both].std(), inh[both].std()
        vary = spread_exc > 1e-9 * exc[both].mean() and spread_inh > 1e-9 * inh[both].mean()
        return xr.Dataset(
            {
                "mean": float(kept.mean()),
                "sd": sd,
                "sd_low": interval.low,
                "sd_high": interval.high,
                "skewness": float(((kept - kept.mean()) ** 3).mean() / sd**3) if sd > 1e-9 else np.nan,
                "quantile": ("probability", np.quantile(kept, wanted)),
                "sd_shuffled": float(np.hypot(log_exc.std(), log_inh.std())),
                "correlation": float(np.corrcoef(exc[both], inh[both])[0, 1]) if vary else np.nan,
                "log_ratio": ("neuron", ratio),
            },
            coords={"probability": wanted, "neuron": estimate.neuron},
            attrs={
                "long_name": "distribution of ln(E/I) over neurons",
                "units": "1",
                "over": "neuron",
                "n": int(both.sum()),
                "n_excluded": int((~both).sum()),
                "exclusion": estimate.rule,
                "level": self.level,
            },
        )
