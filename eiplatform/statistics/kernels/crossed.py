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
Stat 9:586), and a variance that rests on some values far out has fewer degrees of freedom, by their
kurtosis (O'Neill 2014, Am Stat 68:282).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats

from eiplatform.statistics.kernels.moments import FloatArray

__all__ = ["CHUNK", "Influences", "NeuronValues", "average", "crossed_variance", "influences"]

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
        Why a value has no interval; empty where it has one.
    influence : callable, optional
        Where a neuron enters the values of other neurons too: sample weights and the values to each neuron's whole
        influence on their mean over neurons, about that mean, shape (draw, neuron).
    moments : bool
        A smooth function of second moments over samples or neurons.  Of few skewed samples the jackknife gives
        its variance, kurtosis the degrees of freedom, and the interval is BCa's.
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
        return self._row.copy()

    @cached_property
    def _row(self) -> FloatArray:
        row: FloatArray = self.values(np.ones((1, self.n_samples)))[0]
        return row

    def moved(self, weights: FloatArray, values: FloatArray) -> FloatArray:
        """Return what resampling neurons resamples: their influence, which is their values if it says no other."""
        return values if self.influence is None else self.influence(weights, values)


def average(values: FloatArray, weights: FloatArray, geometric: bool) -> FloatArray:
    """Weighted mean over neurons, leaving out undefined values; shape (draw,)."""
    defined = np.isfinite(values)
    every = defined.all()
    filled = values if every else np.where(defined, values, 1.0)
    if geometric:
        filled = np.log(filled)
    kept = weights if every else weights * defined
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: FloatArray = (kept * filled).sum(axis=1) / kept.sum(axis=1)
    return np.exp(mean) if geometric else mean


def crossed_variance(
    variances: Sequence[float] | FloatArray,
    free: Sequence[float],
    *,
    known: Sequence[float] | None = None,
    n_draws: int | None = None,
) -> tuple[float, float]:
    """Return the variance of a mean over crossed samples and neurons, and its degrees of freedom.

    Parameters
    ----------
    variances : sequence of float
        Of bootstrap draws with samples and with neurons resampled, and of what resampling both adds to these.
    free : sequence of float
        Samples less one, neurons less one; a level with 0 is not resampled.
    known : sequence of float, optional
        Degrees of freedom with which the two variances are known; default: `free`.
    n_draws : int, optional
        Draws behind the variances: few of them know a variance no better than as many values do.

    Examples
    --------
    >>> round(crossed_variance([4.0, 1.0, 1.0], [1e9, 1e9])[0], 6)  # cells of 1, which both levels contain
    4.0
    """
    held = np.maximum(np.asarray(free, dtype=np.float64), 1.0)
    sure = np.maximum(np.asarray(free if known is None else known, dtype=np.float64), 1.0)
    levels = np.asarray(variances[:2]) * (1 + 1 / held) * (np.asarray(free) > 0)
    found = float(variances[2]) if (np.asarray(free) > 0).all() else 0.0
    # Each level contains the cells.  Resampling samples shows more of them where it adds noise to noise (the lag of a
    # peak jumps more often); resampling neurons does not, so that they are no more than neurons may have by chance.
    most = float(levels[1]) * sure[1] / float(stats.chi2.ppf(0.05, sure[1])) if levels[1] > 0 else found
    cells = min(found, most)
    wanted = float(max(levels.sum() - found, cells))
    # What the cells add to a level is known from all of them.
    uncertainty = (np.maximum(levels**2 - cells**2, 0.0) / sure).sum() + cells**2 / held.prod()
    if n_draws is not None:
        uncertainty += wanted**2 / max(n_draws - 1, 1)
    return wanted, float(wanted**2 / uncertainty) if uncertainty > 0 else np.inf


@dataclass(frozen=True)
class Influences:
    """What single (groups of) samples, and single neurons, do to the mean over neurons of one statistic.

    Attributes
    ----------
    samples : array, shape (group,)
        By the jackknife, with the sum 0; empty where it was not taken.  The sum of squares is the variance over
        samples less what resampling n of them lacks, (n - 1)/n, so that it takes the place of the draws' variance.
    neurons : array, shape (neuron,)
        Likewise, of the neurons with a value.

    Examples
    --------
    >>> data = np.random.default_rng(0).normal(size=(20, 1))
    >>> unit = NeuronValues(lambda w: w @ data / w.sum(axis=1, keepdims=True), 20, 1, moments=True)
    >>> (found,) = influences([unit], [unit.per_neuron()])
    >>> bool(np.isclose((found.samples**2).sum(), data.var() / 20))  # the variance of a mean
    True
    """

    samples: FloatArray
    neurons: FloatArray

    def known(self, free: Sequence[float]) -> tuple[float, float]:
        """Return the degrees of freedom with which both variances are known, by the kurtosis (O'Neill 2014)."""
        return _freedom(self.samples, free[0]), _freedom(self.neurons, free[1])

    def skewness(self, over_samples: float) -> float:
        """Return the skewness of the estimate, whose variance `over_samples` counts where samples were not taken."""
        second = float((self.samples**2).sum() if self.samples.size else over_samples) + float((self.neurons**2).sum())
        third = float((self.samples**3).sum() + (self.neurons**3).sum())
        return third / second**1.5 if second > 0 and np.isfinite([second, third]).all() else 0.0


def _freedom(values: FloatArray, free: float) -> float:
    """Return 2n/(kurtosis - (n - 3)/(n - 1)): n - 1 where values are normal, fewer where some are far out."""
    n, square = values.size, float((values**2).mean()) if values.size else 0.0
    if n < 4 or not (np.isfinite(square) and square > 0):
        return free
    return min(2 * n / max(float((values**4).mean()) / square**2 - (n - 3) / (n - 1), 1e-9), free)


def influences(units: Sequence[NeuronValues], rows: Sequence[FloatArray], *, always: bool = False) -> list[Influences]:
    """Return the influences of samples and of neurons on several statistics of the same samples.

    Deviations of independent samples add up, and so do their cumulants: leaving out groups
    of samples serves as well as leaving out single ones.

    Parameters
    ----------
    units : sequence of NeuronValues
    rows : sequence of array, shape (neuron,)
        Their values.
    always : bool
        Of samples for every statistic; else only of few samples where second moments are taken over them.
    """
    n_samples = units[0].n_samples if units else 0
    n_groups = min(n_samples, JACKKNIFE_GROUPS) if n_samples > 2 else 0
    taken = [n_groups if always or (unit.moments and n_samples <= JACKKNIFE_GROUPS) else 0 for unit in units]
    group = np.arange(n_samples) % max(n_groups, 1)
    lacking = [np.empty(size) for size in taken]
    chunk = max(1, CHUNK // max(n_samples, 1))
    for start in range(0, max(taken, default=0), chunk):
        left_out = np.arange(start, min(start + chunk, n_groups))
        weights = (group != left_out[:, None]).astype(np.float64)
        for unit, row, found in zip(units, rows, lacking, strict=True):
            if found.size:
                values = np.where(np.isfinite(row), unit.values(weights), np.nan)
                found[left_out] = average(values, np.ones((1, unit.n_neurons)), unit.geometric)
    made = []
    for unit, row, found in zip(units, rows, lacking, strict=True):
        samples = (n_groups - 1) / n_groups * (found.mean() - found) if found.size else found
        used = unit.moved(np.ones((1, n_samples)), row[None])[0][np.isfinite(row)]
        used = np.log(used) if unit.geometric else used
        about = (used - used.mean()) / used.size if used.size else used
        about *= np.exp(used.mean()) if unit.geometric and used.size else 1.0
        made.append(Influences(samples if np.isfinite(samples).all() else np.zeros(0), about))
    return made
