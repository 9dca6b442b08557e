"""Distances of distributions over neurons: Wasserstein with its floor, and Cliff's delta."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.errors import StatisticError
from eiplatform.statistics.kernels.intervals import interval_of
from eiplatform.statistics.kernels.moments import FloatArray

__all__ = ["ATOMS", "Distance", "cliffs_delta", "distance", "wasserstein"]

ATOMS = 128
"""Most atoms of a distribution in resampling; more values are grouped into this many quantiles."""
_SHARED = "no test: neurons of one network share its samples; independent=True if the values do not"
_COUNTED = 200_000  # values up to which a permutation is drawn by counting, which is faster for few


def _checked(values: npt.ArrayLike, weights: npt.ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    """Return values, shape (n,), and weights, shape (..., n), as float64."""
    array = np.asarray(values, dtype=np.float64).ravel()
    if array.size == 0 or not np.isfinite(array).all():
        raise StatisticError(
            "a distribution has no values, or NaN or infinite ones", remedy="leave undefined values out"
        )
    weight = np.ones(array.size) if weights is None else np.asarray(weights, dtype=np.float64)
    if weight.shape[-1] != array.size or (weight < 0).any() or not (weight.sum(axis=-1) > 0).all():
        raise StatisticError(
            f"weights of shape {weight.shape} for {array.size} values",
            valid="one weight of at least 0 per value, not all 0",
        )
    return array, weight


def wasserstein(
    a: npt.ArrayLike, b: npt.ArrayLike, weights_a: npt.ArrayLike | None = None, weights_b: npt.ArrayLike | None = None
) -> FloatArray:
    """Wasserstein-1 distance of two distributions on the line: the integral of |F_a - F_b|.

    Parameters
    ----------
    a, b : array, shape (n,) and (m,)
        Values, in the same unit.
    weights_a, weights_b : array, shape (..., n) and (..., m), optional
        Weights of the values, e.g. one row per bootstrap draw; rows need not sum to one.

    Returns
    -------
    array, shape (...)
        In the unit of the values.

    Raises
    ------
    StatisticError
        If a value is not finite or a row of weights is impossible.

    References
    ----------
    Vallender 1974, Theory Probab Appl 18:784.

    Examples
    --------
    >>> float(wasserstein([0.0, 1.0, 2.0], [0.5, 1.5, 2.5]))  # a shift by 1/2
    0.5
    """
    a, weights_a = _checked(a, weights_a)
    b, weights_b = _checked(b, weights_b)
    merged = np.concatenate([a, b])
    order = np.argsort(merged, kind="stable")
    gaps = np.diff(merged[order])
    lead = np.broadcast_shapes(weights_a.shape[:-1], weights_b.shape[:-1])
    signed = np.concatenate(
        [
            np.broadcast_to(weights_a / weights_a.sum(axis=-1, keepdims=True), (*lead, a.size)),
            -np.broadcast_to(weights_b / weights_b.sum(axis=-1, keepdims=True), (*lead, b.size)),
        ],
        axis=-1,
    )
    apart = np.abs(np.cumsum(signed[..., order], axis=-1)[..., :-1])
    found: FloatArray = apart @ gaps
    return found


def cliffs_delta(
    a: npt.ArrayLike, b: npt.ArrayLike, weights_a: npt.ArrayLike | None = None, weights_b: npt.ArrayLike | None = None
) -> float:
    """Cliff's delta, P(a > b) - P(a < b): which of two distributions lies higher, from -1 to 1.

    Parameters
    ----------
    a, b : array, shape (n,) and (m,)
    weights_a, weights_b : array, shape (n,) and (m,), optional

    References
    ----------
    Cliff 1993, Psychol Bull 114:494.

    Examples
    --------
    >>> cliffs_delta([3.0, 4.0], [1.0, 2.0]), cliffs_delta([1.0], [1.0])
    (1.0, 0.0)
    """
    a, weights_a = _checked(a, weights_a)
    b, weights_b = _checked(b, weights_b)
    order = np.argsort(b)
    below = np.concatenate([[0.0], np.cumsum(weights_b[order])]) / weights_b.sum()
    left, right = (np.searchsorted(b[order], a, side) for side in ("left", "right"))
    return float((weights_a * (below[left] + below[right] - 1.0)).sum() / weights_a.sum())


@dataclass(frozen=True)
class Distance:
    """A Wasserstein distance with what is needed to judge it.

    Attributes
    ----------
    value, low, high : float
        Estimate and bootstrap interval, in the unit of the values; without an interval NaN.
    floor : float
        What two samples of these sizes from the distribution of `b` would show on average: the
        bias of the estimate where nothing differs.
    p : float
        Share of permutations with at least this distance; NaN without a test.
    reason : str
        Why there is neither interval nor test.
    """

    value: float
    low: float
    high: float
    floor: float
    p: float
    reason: str = ""


def _atoms(values: FloatArray, counts: npt.NDArray[np.int64]) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Group sorted values into at most ATOMS neighbours of about equal counts."""
    order = np.argsort(values, kind="stable")
    values, counts = values[order], counts[order]
    if values.size > ATOMS:
        before = np.cumsum(counts) - counts
        group = np.minimum(before * ATOMS // counts.sum(), ATOMS - 1)
        starts = np.flatnonzero(np.diff(group, prepend=-1))
        sums = np.add.reduceat(counts, starts)
        values, counts = np.add.reduceat(values * counts, starts) / np.maximum(sums, 1), sums
    return values, counts


def distance(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    counts_b: npt.NDArray[Any] | None = None,
    independent: bool = False,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Distance:
    """Wasserstein distance and its floor; of independent values also with interval and permutation test.

    Parameters
    ----------
    a, b : array, shape (n,) and (m,)
        Values, e.g. one per neuron.
    counts_b : array of int, shape (m,), optional
        How many neurons have each value of `b` (a histogram).
    independent : bool
        All values are independent draws, e.g. one value per network.  Neurons of one network are
        not: they share its samples, and permuting them finds differences where there are none
        (in 50 to 79 % of comparisons of networks that saw other images).  For recordings use
        :func:`~eiplatform.statistics.kernels.difference.distributions`.
    n_bootstrap : int
        Draws of the interval, and permutations.
    seed : int
    level : float

    Returns
    -------
    Distance
        A sample is not its distribution, so that distances are biased upwards, by about the
        `floor`.  Without `independent` interval and p are NaN, and `reason` says so.  Draws are
        recentred on the estimate; an interval near the floor says little.
        In resampling, more than :data:`ATOMS` values are grouped into quantiles.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> same = distance(rng.normal(size=200), rng.normal(size=300), independent=True)
    >>> moved = distance(rng.normal(size=200), rng.normal(1.0, size=300), independent=True)
    >>> same.p > 0.05, moved.p < 0.01, same.value < 3 * same.floor, moved.low < 1 < moved.high
    (True, True, True, True)
    >>> distance([1.0, 2.0], [3.0, 4.0]).p
    nan
    """
    a, _ = _checked(a, None)
    b, weights_b = _checked(b, counts_b)
    value = float(wasserstein(a, b, None, weights_b))
    counts = np.rint(weights_b).astype(np.int64)
    n_a, n_b = a.size, int(counts.sum())
    rng = np.random.default_rng(np.random.SeedSequence([seed, 4]))
    (atoms_a, one), (atoms_b, many) = _atoms(a, np.ones(n_a, dtype=np.int64)), _atoms(b, counts)
    drawn_b = rng.multinomial(n_b, many / n_b, size=n_bootstrap)
    alike = rng.multinomial(n_a, many / n_b, size=n_bootstrap)
    above = np.abs(np.cumsum(alike / n_a - drawn_b / n_b, axis=1)[:, :-1]) @ np.diff(atoms_b)
    floor = float(above.mean())
    if not independent:
        return Distance(value, np.nan, np.nan, floor, np.nan, _SHARED)
    drawn_a = rng.multinomial(n_a, one / n_a, size=n_bootstrap)
    draws = wasserstein(atoms_a, atoms_b, drawn_a, drawn_b)
    low, high = interval_of(value + draws - draws.mean(), 0.0, level)
    pooled, together = _atoms(np.concatenate([a, b]), np.concatenate([np.ones(n_a, dtype=np.int64), counts]))
    fewer = min(n_a, n_b)
    method: Any = "count" if n_a + n_b < _COUNTED else "marginals"
    drawn = rng.multivariate_hypergeometric(together, fewer, size=n_bootstrap, method=method)
    apart = np.cumsum(drawn / fewer - (together - drawn) / (n_a + n_b - fewer), axis=1)[:, :-1]
    null = np.abs(apart) @ np.diff(pooled)
    # The observed distance counts as one permutation, which keeps the test exact.
    p = (1 + np.count_nonzero(null >= value * (1 - 1e-12))) / (1 + n_bootstrap)
    return Distance(value, max(low, 0.0), high, floor, float(p))
