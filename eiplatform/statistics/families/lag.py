"""Cross-correlograms of excitation and inhibition: which comes first, and by how much."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from eiplatform.errors import TooShortError
from eiplatform.statistics import kernels
from eiplatform.statistics.counts import in_intervals
from eiplatform.statistics.declare import CURRENTS, OVER_TIME, Statistic, Table
from eiplatform.statistics.estimate import Estimate
from eiplatform.statistics.kernels.bootstrap import hierarchical_bootstrap
from eiplatform.statistics.kernels.crossed import NeuronValues
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import grid, register

_NAME = "the E-I correlogram"
_DEFAULT = 10  # intervals
_BLOCK = 2**21  # elements of one (draw, lag, neuron) block: 16 MiB


@cache
def _kernel(lags: int) -> Callable[..., FloatArray]:
    """One function per largest lag: tables are kept by the function that made them."""
    return partial(_flat, lags=lags)


def _flat(exc: npt.NDArray[Any], inh: npt.NDArray[Any], *, lags: int) -> FloatArray:
    return kernels.correlogram(exc, inh, lags).reshape(-1, exc.shape[0], exc.shape[2])


def _correlograms(population: Population, max_lag: float | None) -> FloatArray:
    """Own and cross correlogram of each sample and neuron, shape (2, lag, sample, neuron), made once."""
    lags = _DEFAULT if max_lag is None else in_intervals(population, max_lag, "a largest lag")
    n_time = population.n_intervals
    population.require_time(_NAME, n_time)
    if n_time < 4 * lags:
        raise TooShortError(
            f"{_NAME} to lags of {lags * population.dt:g} {population.units}: {n_time} intervals are too few",
            where=population.name or None,
            valid=f"at least {4 * lags} intervals, four times the largest lag",
        )
    flat = population.table(_kernel(lags), *CURRENTS)
    return flat.reshape(2, -1, *flat.shape[1:])


def _by_draws(weights: FloatArray, curves: FloatArray, rows: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Call `rows` for a few draws at a time, so that their correlograms stay small, and join what it gives."""
    size = max(1, _BLOCK // (curves.shape[1] * curves.shape[3]))
    return np.concatenate([rows(weights[start : start + size]) for start in range(0, len(weights), size)])


@register
class EILag(Statistic):
    """Lag of inhibition behind excitation of each neuron, or the height of its correlogram's peak.

    Parameters
    ----------
    measure : {"lag", "peak"}
        Where the peak is (positive: inhibition later), or how high.
    pairs : {"own", "excess"}
        The correlogram of the neuron's own currents, or that minus the mean one with other neurons' inhibition.
    max_lag : float, optional
        Largest lag looked at, in the recording's unit of time; default: 10 intervals.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.ei_lag(pairs="excess").mean()), 3)
    1.0
    """

    name, question, topic = "ei_lag", "how long after excitation does inhibition come?", "lag"
    phrase, needs, over = _NAME, CURRENTS, "time"
    reference = "Okun & Lampl 2008, Nat Neurosci 11:535"
    variants = grid(measure=("lag", "peak"), pairs=("own", "excess"))

    measure: Annotated[Literal["lag", "peak"], "measure of the correlogram"] = "lag"
    pairs: Annotated[Literal["own", "excess"], "pairing"] = "own"
    max_lag: float | None = None

    @property
    def key(self) -> str:
        return f"ei_{self.measure}{'' if self.pairs == 'own' else '_excess'}"

    @property
    def label(self) -> str:
        what = "lag of I behind E" if self.measure == "lag" else "peak of the E-I correlogram"
        return what + ("" if self.pairs == "own" else ", own minus other")

    @property
    def comparable(self) -> bool:
        return self.measure == "peak"

    @property
    def comparable_reason(self) -> str:
        if self.measure == "peak":
            return OVER_TIME
        return "steps against milliseconds: a step is a time only by assumption"

    @property
    def in_steps(self) -> bool:
        return self.measure == "lag"

    @property
    def by_time(self) -> dict[str, str]:
        return {"step": "step", "ms": "ms"} if self.measure == "lag" else {}

    @property
    def private(self) -> bool:
        return self.pairs != "own"

    def compute(self, population: Population) -> Estimate:
        curves = _correlograms(population, self.max_lag)
        index = ("lag", "peak").index(self.measure)

        def values(weights: FloatArray) -> FloatArray:
            found = _by_draws(
                weights, curves, lambda part: kernels.peak(kernels.mean_correlogram(part, curves, self.pairs))[index]
            )
            return found * population.dt if self.measure == "lag" else found

        longest = f"{curves.shape[1] // 2 * population.dt:g} {population.units}"
        return self.result(
            population,
            values,
            rule="no positive peak inside the range of lags, or excitation or inhibition constant over time in "
            "every sample",
            attrs={"pairs": self.pairs, "max_lag": longest, "positive": "I later"},
        )


@register
class EICorrelogram(Table):
    """Cross-correlogram of excitation and inhibition with the peak of its mean: own, cross, own minus cross.

    Parameters
    ----------
    max_lag : float, optional
        Largest lag, in the recording's unit of time; default: 10 intervals.
    n_bootstrap, seed, level
        Of the intervals over samples and neurons.

    Returns
    -------
    xarray.Dataset, dims (pairs, lag, neuron)
        ``correlation`` (pairs, lag, neuron); of its mean over neurons ``mean`` (pairs, lag), ``peak_lag`` and ``peak``
        (pairs) with ``_low`` and ``_high``.  Positive lag: inhibition later.

    References
    ----------
    Okun & Lampl 2008, Nat Neurosci 11:535.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> example_population().ei.ei_correlogram(n_bootstrap=20)["peak_lag"].round(2).values.tolist()
    [1.0, 1.0, 1.0]
    """

    name, question, topic = "ei_correlogram", "which comes first, and by how much?", "lag"
    phrase, needs = _NAME, CURRENTS

    max_lag: float | None = None
    n_bootstrap: int = 1000
    seed: int = 0
    level: float = 0.95

    def compute(self, population: Population) -> xr.Dataset:
        pairs = kernels.RESIDUAL_PAIRS
        found: dict[str, list[float]] = {
            f"{name}{end}": [] for name in ("peak_lag", "peak") for end in ("", "_low", "_high")
        }
        curves = _correlograms(population, self.max_lag)
        rows = [kernels.mean_correlogram(np.ones((1, curves.shape[2])), curves, which)[0] for which in pairs]
        for which in pairs:
            for index, name in enumerate(("peak_lag", "peak")):
                numbers = self._interval(curves, which, index)
                factor = population.dt if name == "peak_lag" else 1.0
                for end, number in zip(("", "_low", "_high"), numbers, strict=True):
                    found[name + end].append(factor * number)
        table = np.stack(rows)
        defined = np.isfinite(table).all(axis=(0, 1))
        mean = np.where(defined, table, 0.0).sum(axis=2) / max(int(defined.sum()), 1)
        steps = np.arange(table.shape[1]) - table.shape[1] // 2
        return xr.Dataset(
            {
                "correlation": (("pairs", "lag", "neuron"), table),
                "mean": (("pairs", "lag"), mean if defined.any() else np.full(mean.shape, np.nan)),
                **{name: ("pairs", numbers) for name, numbers in found.items()},
            },
            coords={
                "pairs": list(pairs),
                "lag": ("lag", steps * population.dt, {"units": population.units, "positive": "inhibition later"}),
                "neuron": population.neuron,
            },
            attrs={
                "long_name": "cross-correlogram of excitation and inhibition",
                "units": "1",
                "over": "time",
                "n": int(defined.sum()),
                "n_excluded": int((~defined).sum()),
                "exclusion": "excitation or inhibition constant over time in every sample, or (cross) no other neuron",
                "level": self.level,
            },
        )

    def _interval(self, curves: FloatArray, which: str, index: int) -> tuple[float, float, float]:
        """Return the lag (0) or height (1) of the peak of the mean correlogram, with its interval."""

        def values(weights: FloatArray) -> FloatArray:
            return _by_draws(
                weights,
                curves,
                lambda part: kernels.pooled_peak(kernels.mean_correlogram(part, curves, which))[index],
            )

        interval = hierarchical_bootstrap(
            [NeuronValues(values, *curves.shape[2:])],
            n_bootstrap=self.n_bootstrap,
            seed=self.seed,
            level=self.level,
        )
        return interval.estimate, interval.low, interval.high
