"""Differences over seeds: paired and unpaired, with Student's interval, and an exact test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, product
from math import comb

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from eiplatform.errors import StatisticError
from eiplatform.statistics.kernels.intervals import student_half_width
from eiplatform.statistics.kernels.moments import FloatArray

__all__ = ["Contrast", "paired", "unpaired"]

_MOST = 20_000
"""Rearrangements that are still enumerated."""
_ROUNDING = 1e-6  # a spread below this part of the values is rounding, not variation


@dataclass(frozen=True)
class Contrast:
    """A difference of means, cell by cell.

    Attributes
    ----------
    difference, low, high : array
        With its interval; NaN ends for fewer than two seeds.
    p : array
        Two-sided, Student; NaN where nothing varies over the seeds.
    p_exact : array
        Two-sided, from all rearrangements of the labels; free of assumptions on the distribution, and
        never below one (paired: two) over their number.  NaN where there are too many to enumerate.
    n : array of int
        Pairs, or seeds of the smaller group.
    """

    difference: FloatArray
    low: FloatArray
    high: FloatArray
    p: FloatArray
    p_exact: FloatArray
    n: np.ndarray


def paired(first: ArrayLike, second: ArrayLike, *, level: float = 0.95) -> Contrast:
    """Return first minus second where both were measured on the same seeds.

    Parameters
    ----------
    first, second : array, shape (seed, ...)
        Seeds without a value on both sides (NaN) are left out, cell by cell.
    level : float
        Nominal coverage (Student's t over the pairs).

    Returns
    -------
    Contrast
        ``p_exact``: sign-flip test (Fisher 1935, The Design of Experiments, section 21), all 2^n signs.

    Examples
    --------
    >>> found = paired([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    >>> float(found.difference), round(float(found.low), 2), float(found.p_exact)
    (2.0, -0.48, 0.25)
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.shape != second.shape:
        raise StatisticError(f"pairs of unequal shape: {first.shape} and {second.shape}")

    def cell(a: FloatArray, b: FloatArray) -> tuple[float, ...]:
        kept = np.isfinite(a) & np.isfinite(b)
        change = (a - b)[kept]
        n = change.size
        if n == 0:
            return (np.nan,) * 5 + (0,)
        mean = float(change.mean())
        if n == 1:
            return mean, np.nan, np.nan, np.nan, np.nan, 1
        error = float(change.std(ddof=1)) / np.sqrt(n)
        scale = max(float(np.abs(a[kept]).max()), float(np.abs(b[kept]).max()))
        p = _student(mean, error, n - 1, scale)
        exact = np.nan
        if 2**n <= _MOST:
            signs = np.array(list(product((1.0, -1.0), repeat=n)))
            exact = _share(signs @ change / n, mean, scale)
        half = float(student_half_width(change.std(ddof=1), n, level))
        return mean, mean - half, mean + half, p, exact, n

    return _each(cell, first, second)


def unpaired(first: ArrayLike, second: ArrayLike, *, level: float = 0.95) -> Contrast:
    """Return the difference of the means of two groups of seeds.

    Parameters
    ----------
    first, second : array, shape (seed, ...)
        The numbers of seeds may differ; NaN are left out.
    level : float
        Nominal coverage (Welch 1947, Biometrika 34:28: unequal variances).

    Returns
    -------
    Contrast
        ``p_exact``: all permutations of the labels (Fisher-Pitman permutation test).

    Examples
    --------
    >>> found = unpaired([3.0, 4.0, 5.0], [0.0, 1.0, 2.0])
    >>> float(found.difference), float(found.p_exact)  # 2 of 20
    (3.0, 0.1)
    """
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.shape[1:] != second.shape[1:]:
        raise StatisticError(f"groups of unequal cells: {first.shape[1:]} and {second.shape[1:]}")

    def cell(a: FloatArray, b: FloatArray) -> tuple[float, ...]:
        a, b = a[np.isfinite(a)], b[np.isfinite(b)]
        n = min(a.size, b.size)
        if n == 0:
            return (np.nan,) * 5 + (0,)
        mean = float(a.mean() - b.mean())
        if n == 1:
            return mean, np.nan, np.nan, np.nan, np.nan, 1
        parts = np.array([x.var(ddof=1) / x.size for x in (a, b)])
        error = float(np.sqrt(parts.sum()))
        freedom = n - 1.0
        if error > 0:
            freedom = float(parts.sum() ** 2 / (parts**2 / [a.size - 1, b.size - 1]).sum())
        pooled = np.concatenate([a, b])
        scale = float(np.abs(pooled).max())
        p = _student(mean, error, freedom, scale)
        exact = np.nan
        if comb(pooled.size, a.size) <= _MOST:
            chosen = np.array(list(combinations(range(pooled.size), a.size)))
            inside = pooled[chosen].sum(axis=1)
            exact = _share(inside / a.size - (pooled.sum() - inside) / b.size, mean, scale)
        half = stats.t.ppf((1 + level) / 2, freedom) * error
        return mean, mean - half, mean + half, p, exact, n

    return _each(cell, first, second)


def _student(mean: float, error: float, freedom: float, scale: float) -> float:
    if error <= _ROUNDING * scale:
        return np.nan  # nothing varies, so nothing tells chance from effect
    return float(2 * stats.t.sf(abs(mean) / error, freedom))


def _share(rearranged: FloatArray, observed: float, scale: float) -> float:
    """Return how many rearrangements are at least as far from zero; equal ones differ by rounding only."""
    return float((np.abs(rearranged) >= abs(observed) - 1e-12 * scale).mean())


def _each(
    cell: Callable[[FloatArray, FloatArray], tuple[float, ...]], first: FloatArray, second: FloatArray
) -> Contrast:
    shape = first.shape[1:]
    found = np.full((6, *shape), np.nan)
    for index in np.ndindex(shape):
        found[(slice(None), *index)] = cell(first[(slice(None), *index)], second[(slice(None), *index)])
    difference, low, high, p, p_exact, n = found
    return Contrast(difference, low, high, p, p_exact, n.astype(int))
