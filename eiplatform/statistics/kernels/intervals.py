"""From bootstrap draws to an interval, and from several seeds to one set of draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from eiplatform.statistics.kernels.moments import FloatArray

__all__ = [
    "METHODS",
    "Student",
    "combine_seeds",
    "interval_of",
    "resample_counts",
    "share_interval",
    "student",
    "student_half_width",
]

METHODS = ("percentile", "bca")
"""Kinds of bootstrap interval."""
_DRAWN = 2**17  # items drawn at a time: 1 MiB
FEW_SEEDS = 10
"""Fewer seeds do not tell the shape of their distribution: the mean of three drawn of three has ten values."""


def student_half_width(sd: ArrayLike, n: ArrayLike, level: float = 0.95) -> FloatArray:
    """Half of Student's t interval of a mean of `n` values.

    Parameters
    ----------
    sd : array
        Standard deviation of the values, ddof 1.
    n : array, broadcast with `sd`
    level : float
        Nominal coverage.

    Returns
    -------
    array
        NaN where `n` is below 2.

    Examples
    --------
    >>> round(float(student_half_width(1.0, 3)), 3), float(student_half_width(1.0, 1))
    (2.484, nan)
    """
    n = np.asarray(n, dtype=float)
    n = np.where(n > 1, n, np.nan)
    half: FloatArray = stats.t.ppf((1 + level) / 2, n - 1) * np.asarray(sd, dtype=float) / np.sqrt(n)
    return half


class Student(NamedTuple):
    """Mean over seeds with Student's interval, standard deviation (ddof 1) and number of seeds."""

    mean: FloatArray
    low: FloatArray
    high: FloatArray
    sd: FloatArray
    n: FloatArray


def student(values: ArrayLike, level: float = 0.95, *, axis: int = 0) -> Student:
    """Take the mean over seeds with Student's t interval, cell by cell.

    Parameters
    ----------
    values : array
        Seeds without a value (NaN) are left out.
    level : float
        Nominal coverage.
    axis : int
        That of the seeds.

    Returns
    -------
    Student
        Arrays without that axis; ``mean`` is NaN without a seed, the others with fewer than two.

    References
    ----------
    Student 1908, Biometrika 6:1.

    Examples
    --------
    >>> found = student([1.0, 2.0, 3.0, float("nan")])
    >>> [round(float(part), 3) for part in found]
    [2.0, -0.484, 4.484, 1.0, 3.0]
    """
    values = np.moveaxis(np.asarray(values, dtype=float), axis, 0)
    held = np.isfinite(values)
    n = held.sum(axis=0).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(held, values, 0.0).sum(axis=0) / np.where(n > 0, n, np.nan)
        square = np.where(held, (values - mean) ** 2, 0.0).sum(axis=0)
        sd = np.sqrt(square / np.where(n > 1, n - 1, np.nan))
    half = student_half_width(sd, n, level)
    return Student(mean, mean - half, mean + half, sd, n)


def share_interval(share: float, variance: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's interval of a share whose variance is known from resampling.

    Parameters
    ----------
    share : float
        Of neurons, between 0 and 1.
    variance : float
        Of the share.  As many independent neurons as would give it stand for those recorded
        (Korn & Graubard 1998, Surv Methodol 24:193); at 0 and 1, where nothing varies, all count.
    n : int
        Neurons.
    level : float

    Returns
    -------
    low, high : float

    References
    ----------
    Wilson 1927, J Am Stat Assoc 22:209.

    Examples
    --------
    >>> [round(end, 3) for end in share_interval(0.0, 0.0, 100)]  # none of 100: up to 3.7 %
    [0.0, 0.037]
    """
    inner = share * (1 - share)
    effective = inner / variance if inner > 0 and variance > 0 else float(n)
    square = stats.norm.ppf((1 + level) / 2) ** 2 / effective
    centre, half = share + square / 2, np.sqrt(square * (inner + square / 4))
    low, high = (centre - half) / (1 + square), (centre + half) / (1 + square)
    return (0.0 if share == 0 else float(low)), (1.0 if share == 1 else float(high))


def resample_counts(rng: np.random.Generator, n_draws: int, n_items: int) -> FloatArray:
    """How often each item is drawn when `n_items` are drawn with replacement.

    Returns
    -------
    array, shape (n_draws, n_items)
        Rows sum to `n_items`.

    Examples
    --------
    >>> import numpy as np
    >>> resample_counts(np.random.default_rng(0), 2, 5).sum(axis=1)
    array([5., 5.])
    """
    counts = np.empty((n_draws, n_items))
    rows = max(1, _DRAWN // n_items)
    for start in range(0, n_draws, rows):
        size = min(rows, n_draws - start)
        drawn = rng.integers(0, n_items, size=(size, n_items))
        drawn += n_items * np.arange(size)[:, None]
        found = np.bincount(drawn.ravel(), minlength=size * n_items)
        counts[start : start + size] = found.reshape(size, n_items)
    return counts


def interval_of(
    draws: FloatArray,
    estimate: float,
    level: float,
    *,
    parts: Sequence[tuple[float, float]] = (),
    skewness: float | None = None,
    n_seeds: int | None = None,
) -> tuple[float, float]:
    """Return the interval about an estimate from draws whose mean it is.

    Parameters
    ----------
    draws : array, shape (draw,)
    estimate : float
    level : float
        Nominal coverage.
    parts : sequence of (float, float)
        Independent parts of the draws' variance, each with its degrees of freedom.  The ends are
        moved from the normal's to Student's quantiles of each part; the widths add in squares.
    skewness : float, optional
        Of the estimate.  With it BCa limits (Efron 1987, J Am Stat Assoc 82:171): the draws'
        quantiles at Phi(z0 + (z0 + z)/(1 - a (z0 + z))), where Phi(z0) is the share of draws
        below the estimate and the acceleration a is a sixth of the skewness.  Without it
        percentiles.
    n_seeds : int, optional
        Seeds that were resampled, if any: below :data:`FEW_SEEDS` the ends are those of a normal
        distribution with the draws' variance, whatever the skewness.

    Returns
    -------
    low, high : float
        NaN if any draw is undefined, or there is only one.

    Examples
    --------
    >>> import numpy as np
    >>> low, high = interval_of(np.linspace(-1, 1, 101), 0.0, 0.9)
    >>> round(low, 6), round(high, 6)
    (-0.9, 0.9)
    """
    if draws.size < 2 or not np.isfinite(draws).all():
        return float("nan"), float("nan")
    levels = np.array([(1 - level) / 2, (1 + level) / 2])
    if skewness is not None and (n_seeds is None or n_seeds >= FEW_SEEDS):
        below = (np.count_nonzero(draws < estimate) + 0.5 * np.count_nonzero(draws == estimate)) / draws.size
        shift = stats.norm.ppf(np.clip(below, 0.5 / draws.size, 1 - 0.5 / draws.size))
        moved = shift + stats.norm.ppf(levels)
        levels = stats.norm.cdf(shift + moved / np.maximum(1 - skewness / 6 * moved, 1e-3))
    if n_seeds is not None and n_seeds < FEW_SEEDS:
        ends = estimate + stats.norm.ppf(levels) * draws.std()
    else:
        ends = np.quantile(draws, levels)
    low, high = estimate + _widening(parts, level) * (ends - estimate)
    return float(low), float(high)


def _widening(parts: Sequence[tuple[float, float]], level: float) -> float:
    """Return how much wider than the normal's an interval must be that rests on estimated variances."""
    variance = sum(part for part, _ in parts)
    if not variance > 0:
        return 1.0
    upper = (1 + level) / 2
    square = sum(part * stats.t.ppf(upper, freedom) ** 2 for part, freedom in parts)
    return float(np.sqrt(square / variance) / stats.norm.ppf(upper))


def combine_seeds(
    draws: FloatArray, seed: int, *, estimates: FloatArray | None = None, n_samples: int | None = None
) -> tuple[FloatArray, tuple[tuple[float, float], ...]]:
    """Add the seed level: each draw averages as many seeds, drawn with replacement, as there are.

    Plain draws are wrong for few seeds in two ways: the variance over K drawn seeds is too small
    by (K - 1)/K, and the noise within a seed, already part of the variance over seeds, counts
    twice.  So the draws are scaled about their mean to s^2/K + c: s^2 is the variance over seeds
    (divisor K - 1) and c the covariance of the draws of different seeds, what they share because
    they saw the same samples.

    Parameters
    ----------
    draws : array, shape (seed, draw)
        Draws of each seed's own sample-and-neuron bootstrap.  Column b is the same draw of
        samples in all seeds: seeds that saw the same samples share it.
    seed : int
    estimates : array, shape (seed,), optional
        Default: the draws' means.
    n_samples : int, optional
        For the degrees of freedom; default: many.

    Returns
    -------
    draws : array, shape (draw,)
        With one seed the draws themselves.
    parts : tuple of (float, float)
        s^2/K and c, with K - 1 and (samples - 1) degrees of freedom, for :func:`interval_of`;
        empty with one seed.

    Examples
    --------
    >>> import numpy as np
    >>> draws = np.arange(3.0)[:, None] + np.zeros((1, 4000))
    >>> combined, parts = combine_seeds(draws, 0)
    >>> round(float(combined.var()), 6), parts[0][1]  # s^2/K, K - 1
    (0.333333, 2.0)
    """
    n_seeds, n_draws = draws.shape
    if n_seeds == 1:
        return draws[0], ()
    rng = np.random.default_rng(np.random.SeedSequence([seed, 2]))
    counts = resample_counts(rng, n_draws, n_seeds)
    combined: FloatArray = np.einsum("bk,kb->b", counts, draws) / n_seeds
    means = draws.mean(axis=1) if estimates is None else np.asarray(estimates)
    if not np.isfinite(draws).all():
        return combined, ()
    between = means.var(ddof=1) / n_seeds
    about = draws - draws.mean(axis=1, keepdims=True)
    pairs = n_seeds * (n_seeds - 1)
    shared = max((about.sum(axis=0).var() - about.var(axis=1).sum()) / pairs, 0.0)
    # A covariance of draws has a sampling error of its own: below three of them it is none.
    if shared < 3 * about.var(axis=1).mean() / np.sqrt(n_draws * pairs / 2):
        shared = 0.0
    variance, spread = between + shared, combined.var()
    scale = np.sqrt(variance / spread) if spread > 0 else 1.0
    combined = means.mean() + scale * (combined - combined.mean())
    free = np.inf if n_samples is None else max(n_samples - 1, 1)
    return combined, ((float(between), n_seeds - 1.0), (float(shared), float(free)))
