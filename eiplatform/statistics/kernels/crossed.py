"""Values per neuron under any weights of the samples, and the variance of their mean over crossed samples and neurons.

Resampling two crossed axes counts the noise of single (sample, neuron) cells three times
(Owen 2007, Ann Appl Stat 1:386).  With V the variance of draws in which samples (s) or neurons (n)
are resampled, and V_c that of what both together add to these two, V_c is that noise, and V_s, V_n
are too small by (S - 1)/S and (N - 1)/N.  So the variance is
V_s S/(S - 1) + V_n N/(N - 1) - V_c, at least that of the cells, with Satterthwaite's degrees of
freedom: three trials stay three.  Where cells are all that varies they count as the many that they are.

Two things make these variances too small.  A neuron may enter the values of other neurons too (its
inhibition is one of the others' in a correlation with other neurons): then its whole influence is
resampled, not its value.  And with few samples of skewed currents a second moment varies more than
resampling shows: there V_s is the jackknife's, which is not too small (Efron & Stein 1981, Ann
Stat 9:586).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from eiplatform.statistics.kernels.moments import FloatArray

__all__ = ["CHUNK", "NeuronValues", "average", "crossed_variance", "jackknife_skewness", "jackknife_variances"]

JACKKNIFE_GROUPS = 200
"""Groups of samples that the jackknife leaves out, at most; with more samples variances need none."""

CHUNK = 2**20  # elements of one (draw, neuron) or (draw, sample) block: 8 MiB


@dataclass(frozen=True)
class NeuronValues:
    """One recording (seed) of one statistic.

    Attributes
    ----------
    values : callable
        Sample weights of shape (draw, sample) to per-neuron values of shape (draw, neuron).
    n_samples, n_neurons : int
    geometric : bool
        Average over neurons geometrically (ratios) instead of arithmetically.
    biased : bool
        Few samples bias the value, and resampling them shifts it by about as much.
    without : str
        Why there is no interval, although there is a value; empty where there is one.
    influence : callable, optional
        Where a neuron enters the values of other neurons too: sample weights and the values to each neuron's whole
        influence on their mean over neurons, about that mean, shape (draw, neuron).
    moments : bool
        A smooth function of second moments over samples, whose variance the jackknife gives.
    """

    values: Callable[[FloatArray], FloatArray]
    n_samples: int
    n_neurons: int
    geometric: bool = False
    biased: bool = False
    without: str = ""
    influence: Callable[[FloatArray, FloatArray], FloatArray] | None = None
    moments: bool = False

    def per_neuron(self) -> FloatArray:
        """Return the values with every sample counted once, shape (neuron,); NaN where undefined."""
        row: FloatArray = self.values(np.ones((1, self.n_samples)))[0]
        return row

    def moved(self, weights: FloatArray, values: FloatArray) -> FloatArray:
        """Return what resampling neurons resamples: their influence, which is their values if it says no other."""
        return values if self.influence is None else self.influence(weights, values)


def average(values: FloatArray, weights: FloatArray, geometric: bool) -> FloatArray:
    """Weighted mean over neurons, leaving out undefined values; shape (draw,)."""
    defined = np.isfinite(values)
    filled = np.where(defined, values, 1.0)
    if geometric:
        filled = np.log(filled)
    kept = weights * defined
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: FloatArray = (kept * filled).sum(axis=1) / kept.sum(axis=1)
    return np.exp(mean) if geometric else mean


def crossed_variance(
    variances: Sequence[float] | FloatArray, free: Sequence[float], *, n_draws: int | None = None
) -> tuple[float, float]:
    """Return the variance of a mean over crossed samples and neurons, and its degrees of freedom.

    Parameters
    ----------
    variances : sequence of float
        Of bootstrap draws with samples and with neurons resampled, and of what resampling both adds to these.
    free : sequence of float
        Samples less one, neurons less one; a level with 0 is not resampled.
    n_draws : int, optional
        Draws behind the variances: few of them know a variance no better than as many values do.

    Examples
    --------
    >>> round(crossed_variance([4.0, 1.0, 1.0], [1e9, 1e9])[0], 6)  # cells of 1, which both levels contain
    4.0
    """
    held = np.maximum(np.asarray(free, dtype=np.float64), 1.0)
    levels = np.asarray(variances[:2]) * (1 + 1 / held) * (np.asarray(free) > 0)
    found = float(variances[2]) if (np.asarray(free) > 0).all() else 0.0
    # Each level contains the cells.  Resampling samples shows more of them where it adds noise to noise (the lag of a
    # peak jumps more often); resampling neurons does not.
    cells = min(found, *levels.tolist())
    wanted = float(max(levels.sum() - found, cells))
    # What the cells add to a level is known from all of them.
    uncertainty = (np.maximum(levels**2 - cells**2, 0.0) / held).sum() + cells**2 / held.prod()
    if n_draws is not None:
        uncertainty += wanted**2 / max(n_draws - 1, 1)
    return wanted, float(wanted**2 / uncertainty) if uncertainty > 0 else np.inf


def _influences(units: Sequence[NeuronValues], rows: Sequence[FloatArray]) -> list[FloatArray]:
    """Return what leaving out (groups of) samples takes from every statistic, by the jackknife; empty for one sample.

    Deviations of independent samples add up, and so do their cumulants: leaving out groups
    of samples serves as well as leaving out single ones.
    """
    n_samples = units[0].n_samples if units else 0
    n_groups = min(n_samples, JACKKNIFE_GROUPS) if n_samples > 1 else 0
    group = np.arange(n_samples) % max(n_groups, 1)
    lacking = [np.empty(n_groups) for _ in units]
    chunk = max(1, CHUNK // max(n_samples, 1))
    for start in range(0, n_groups, chunk):
        left_out = np.arange(start, min(start + chunk, n_groups))
        weights = (group != left_out[:, None]).astype(np.float64)
        for unit, row, found in zip(units, rows, lacking, strict=True):
            values = np.where(np.isfinite(row), unit.values(weights), np.nan)
            found[left_out] = average(values, np.ones((1, unit.n_neurons)), unit.geometric)
    return [(n_groups - 1) / n_groups * (found.mean() - found) if n_groups else found for found in lacking]


def jackknife_variances(units: Sequence[NeuronValues], rows: Sequence[FloatArray]) -> list[float]:
    """Return the jackknife's variance over samples of every statistic that takes it; NaN for the others.

    It is divided by what resampling n samples lacks, n/(n - 1), so that it takes the place of the draws' variance.

    Parameters
    ----------
    units : sequence of NeuronValues
        All of the same samples.
    rows : sequence of array, shape (neuron,)
        Their values.

    Examples
    --------
    >>> data = np.random.default_rng(0).normal(size=(20, 1))
    >>> unit = NeuronValues(lambda w: w @ data / w.sum(axis=1, keepdims=True), 20, 1, moments=True)
    >>> bool(np.isclose(jackknife_variances([unit], [unit.per_neuron()])[0], data.var() / 20))  # of a mean
    True
    """
    taken = [index for index, unit in enumerate(units) if unit.moments and 2 < unit.n_samples <= JACKKNIFE_GROUPS]
    found = [float("nan")] * len(units)
    influences = _influences([units[index] for index in taken], [rows[index] for index in taken])
    for index, influence in zip(taken, influences, strict=True):
        found[index] = float((influence**2).sum())
    return found


def jackknife_skewness(
    units: Sequence[NeuronValues], rows: Sequence[FloatArray], estimates: Sequence[float]
) -> list[float]:
    """Return the skewness of every estimate from the jackknife over (groups of) samples and neurons."""
    ones = np.ones((1, units[0].n_samples))
    found = []
    for unit, row, estimate, influence in zip(units, rows, estimates, _influences(units, rows), strict=True):
        used = unit.moved(ones, row[None])[0][np.isfinite(row)]
        used = np.log(used) if unit.geometric else used
        about = (used - used.mean()) / max(used.size, 1) if used.size else used
        about *= abs(estimate) if unit.geometric else 1.0
        second, third = ((influence**power).sum() + (about**power).sum() for power in (2, 3))
        found.append(float(third / second**1.5) if second > 0 and np.isfinite(second) else 0.0)
    return found
