"""Hierarchical bootstrap: seeds, samples within a seed, and neurons.

Samples and neurons of one recording are crossed (every neuron sees every sample), so each draw
resamples both; a statistic is re-evaluated from sample *weights*, never from gathered data.

How large the variance of the draws should be, :mod:`eiplatform.statistics.kernels.crossed` says.

Few samples bias some statistics (class means of few samples hold the samples' noise).  Resampling
samples shifts those by about the same bias, so their draws lie about the value less that shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eiplatform.errors import StatisticError, choose
from eiplatform.statistics.kernels.crossed import (
    CHUNK,
    Influences,
    NeuronValues,
    average,
    crossed_variance,
    influences,
)
from eiplatform.statistics.kernels.intervals import METHODS, combine_seeds, interval_of, resample_counts
from eiplatform.statistics.kernels.moments import FloatArray

__all__ = ["Interval", "bootstrap_statistics", "check_bootstrap", "hierarchical_bootstrap"]


@dataclass(frozen=True)
class Interval:
    """An estimate, its interval and the (recentred) bootstrap draws behind it.

    ``failed`` counts draws in which the statistic was undefined for every neuron.
    """

    estimate: float
    low: float
    high: float
    draws: FloatArray
    failed: int


@dataclass(frozen=True)
class _Drawn:
    """What the draws of one recording say of one statistic.

    ``draws`` lie about the estimate less `bias` and have the right variance; ``freedom`` are its
    degrees of freedom; ``skewness`` is that of the estimate (from the jackknife), None for percentiles.
    """

    estimate: float
    draws: FloatArray
    freedom: float
    skewness: float | None = None
    bias: float = 0.0

    @property
    def centre(self) -> float:
        """What the draws lie about."""
        return self.estimate - self.bias


def _evaluate(
    units: Sequence[NeuronValues], rows: Sequence[FloatArray], n_bootstrap: int, seed: int
) -> list[FloatArray]:
    """Return draws with samples, neurons, and both resampled, and what both add, (4, draw), of every statistic.

    All statistics see the same array of weights, chunk by chunk, so that those of the same
    currents compute their moments once.
    """
    # One stream per level: draws depend neither on the chunk size nor on other statistics, and
    # populations that saw the same samples resample them alike (differences stay paired).
    n_samples = units[0].n_samples
    samples_rng = np.random.default_rng(np.random.SeedSequence([seed, 0]))
    sizes = sorted({unit.n_neurons for unit in units})
    neurons_rng = {size: np.random.default_rng(np.random.SeedSequence([seed, 1])) for size in sizes}
    found = [np.empty((4, n_bootstrap)) for _ in units]
    ones = np.ones((1, n_samples))
    whole = [unit.moved(ones, row[None])[0] for unit, row in zip(units, rows, strict=True)]
    chunk = max(1, CHUNK // max(n_samples, *sizes))
    for start in range(0, n_bootstrap, chunk):
        size = min(chunk, n_bootstrap - start)
        samples = resample_counts(samples_rng, size, n_samples)
        neurons = {n: resample_counts(rng, size, n) for n, rng in neurons_rng.items()}
        for unit, row, influence, draws in zip(units, rows, whole, found, strict=True):
            values = np.where(np.isfinite(row), unit.values(samples), np.nan)
            drawn, equal = neurons[unit.n_neurons], np.ones((1, unit.n_neurons))
            parts = (
                average(values, equal, unit.geometric),
                average(influence[None], drawn, unit.geometric),
                average(unit.moved(samples, values), drawn, unit.geometric),
            )
            draws[:3, start : start + size] = parts
            draws[3, start : start + size] = parts[2] - parts[1] - parts[0]
    return found


def _scaled(unit: NeuronValues, estimate: float, blocks: FloatArray, of_each: Influences, bca: bool) -> _Drawn:
    """Give the draws of one recording the mean and the variance that they should have."""
    if unit.without or not np.isfinite(blocks).all():
        # NaN draws make no interval, also not of several seeds.
        return _Drawn(estimate, np.full_like(blocks[2], np.nan) if unit.without else blocks[2], np.inf)
    samples, neurons, both, cells = blocks.var(axis=1)
    free = unit.n_samples - 1.0, of_each.neurons.size - 1.0
    known = free
    if unit.moments:
        samples = float((of_each.samples**2).sum()) if of_each.samples.size == unit.n_samples else samples
        known = of_each.known(free)
    wanted, freedom = crossed_variance([samples, neurons, cells], free, known=known, n_draws=blocks.shape[1])
    scale = np.sqrt(wanted / both) if both > 0 else 1.0
    # Resampled data have fewer distinct samples, which lowers variances, CVs and Fano factors;
    # that shift does not belong to the uncertainty of the estimate, so the draws are recentred on it.
    # That of a statistic which few samples bias is one.
    bias = float(blocks[0].mean()) - estimate if unit.biased else 0.0
    draws: FloatArray = estimate - bias + scale * (blocks[2] - blocks[2].mean())
    return _Drawn(estimate, draws, freedom, of_each.skewness(samples) if bca or unit.moments else None, bias)


def _estimate(unit: NeuronValues, row: FloatArray) -> float:
    return float(average(row[None], np.ones((1, unit.n_neurons)), unit.geometric)[0])


def _draw(units: Sequence[NeuronValues], n_bootstrap: int, seed: int, bca: bool) -> list[_Drawn]:
    """Draw several statistics of the same samples."""
    rows = [unit.per_neuron() for unit in units]
    estimates = [_estimate(unit, row) for unit, row in zip(units, rows, strict=True)]
    found = [_Drawn(estimate, np.full(n_bootstrap, np.nan), np.inf) for estimate in estimates]
    here = [index for index, estimate in enumerate(estimates) if np.isfinite(estimate)]
    if here:
        units, rows = [units[index] for index in here], [rows[index] for index in here]
        known = [estimates[index] for index in here]
        blocks = _evaluate(units, rows, n_bootstrap, seed)
        every = influences(units, rows, always=bca)
        for index, unit, estimate, drawn, of_each in zip(here, units, known, blocks, every, strict=True):
            found[index] = _scaled(unit, estimate, drawn, of_each, bca)
    return found


def bootstrap_statistics(
    units: Sequence[NeuronValues],
    *,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    method: str = "percentile",
) -> list[Interval]:
    """Bootstrap several statistics of one recording, under the same draws of samples.

    Parameters
    ----------
    units : sequence of NeuronValues
        All of the same number of samples.
    n_bootstrap : int
        0: values alone, without intervals.
    seed, level, method
        As for :func:`hierarchical_bootstrap`.

    Returns
    -------
    list of Interval
        Each the same as if the statistic were alone.

    Raises
    ------
    StatisticError
        If the numbers of samples differ, or an option is impossible.
    """
    check_bootstrap(n_bootstrap, level, method, least=0)
    if len({unit.n_samples for unit in units}) > 1:
        raise StatisticError("statistics of different samples cannot share their draws")
    if n_bootstrap == 0:
        nothing = np.empty(0)
        return [Interval(_estimate(unit, unit.per_neuron()), np.nan, np.nan, nothing, 0) for unit in units]
    found = []
    for drawn in _draw(units, n_bootstrap, seed, method == "bca") if units else []:
        parts = ((1.0, drawn.freedom),)
        low, high = interval_of(drawn.draws, drawn.centre, level, parts=parts, skewness=drawn.skewness)
        failed = int(np.count_nonzero(~np.isfinite(drawn.draws)))
        found.append(Interval(drawn.estimate, low, high, drawn.draws, failed))
    return found


def hierarchical_bootstrap(
    units: Sequence[NeuronValues],
    *,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    method: str = "percentile",
) -> Interval:
    """Mean over neurons (and seeds) with a bootstrap interval.

    Stages: seeds are drawn with replacement, samples within each seed, and neurons.  Neurons
    that the estimate excludes (NaN) stay excluded in every draw.  Draws are recentred on the
    estimate and scaled so that noise of single (sample, neuron) cells counts once; with several
    seeds so that few of them stay few (:func:`combine_seeds`).  The interval is widened to
    Student's t.

    Parameters
    ----------
    units : sequence of NeuronValues
        One per seed (network initialisation, circuit realisation).
    n_bootstrap : int
    seed : int
        Of the resampling; the same seed gives the same interval.
    level : float
        Nominal coverage.
    method : {"percentile", "bca"}
        Percentiles of the draws, or bias-corrected and accelerated ones (Efron 1987) for
        skewed estimates; see :func:`interval_of`.  One recording's functions of second moments always have the latter.

    Returns
    -------
    Interval

    Raises
    ------
    StatisticError
        If `n_bootstrap` or `level` is impossible.
    UnknownNameError
        For another method.

    Examples
    --------
    >>> import numpy as np
    >>> data = np.random.default_rng(0).normal(2.0, 1.0, size=(40, 50))
    >>> unit = NeuronValues(lambda w: w @ data / 40, n_samples=40, n_neurons=50)
    >>> interval = hierarchical_bootstrap([unit])
    >>> interval.low < interval.estimate < interval.high
    True
    """
    check_bootstrap(n_bootstrap, level, method)
    if len(units) == 1:
        return bootstrap_statistics(units, n_bootstrap=n_bootstrap, seed=seed, level=level, method=method)[0]
    found = [_draw([unit], n_bootstrap, seed, bca=False)[0] for unit in units]
    estimates = np.array([drawn.estimate for drawn in found])
    n_samples = min(unit.n_samples for unit in units)
    centres = np.array([drawn.centre for drawn in found])
    every = np.stack([drawn.draws for drawn in found])
    draws, parts = combine_seeds(every, seed, estimates=centres, n_samples=n_samples)
    estimate = float(np.mean(estimates))
    about = estimates - estimate
    square = (about**2).sum()
    skewness = (float((about**3).sum() / square**1.5) if square > 0 else 0.0) if method == "bca" else None
    low, high = interval_of(draws, float(centres.mean()), level, parts=parts, skewness=skewness, n_seeds=len(units))
    return Interval(estimate, low, high, draws, int(np.count_nonzero(~np.isfinite(draws))))


def check_bootstrap(n_bootstrap: int, level: float, method: str = "percentile", least: int = 1) -> None:
    """Raise for an impossible number of draws or level, or an unknown kind of interval."""
    if n_bootstrap < least:
        raise StatisticError(f"n_bootstrap is {n_bootstrap}", valid=f"an integer of at least {least}")
    if not 0 < level < 1:
        raise StatisticError(f"level is {level}", valid="a number between 0 and 1, e.g. 0.95")
    choose(method, METHODS, "kind of interval")
