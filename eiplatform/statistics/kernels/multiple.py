"""Tests of many things at once, and the paired test of two answers to the same images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from eiplatform.errors import StatisticError
from eiplatform.statistics.kernels.moments import FloatArray

__all__ = ["benjamini_hochberg", "holm", "mcnemar"]


def benjamini_hochberg(p: npt.ArrayLike) -> FloatArray:
    """Adjust p values to control the false discovery rate (q); NaN are left out.

    Parameters
    ----------
    p : array
        All tests of one family, any shape.

    Returns
    -------
    array
        Of the same shape: rejecting where q <= level keeps the expected share of false rejections
        among all rejections at the level, for independent or positively dependent tests.

    References
    ----------
    Benjamini & Hochberg 1995, J R Stat Soc B 57:289.

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03, float("nan")])
    array([0.03, 0.04, 0.04,  nan])
    """
    p = np.asarray(p, dtype=np.float64)
    q = np.full(p.shape, np.nan)
    tested = np.isfinite(p)
    if tested.any():
        q[tested] = stats.false_discovery_control(p[tested], method="bh")
    return q


def holm(p: npt.ArrayLike) -> FloatArray:
    """Adjust p values so that any false rejection among all tests is as rare as the level says; NaN are left out.

    References
    ----------
    Holm 1979, Scand J Stat 6:65.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03, float("nan")])
    array([0.03, 0.06, 0.06,  nan])
    """
    p = np.asarray(p, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.isfinite(p)
    found = p[tested]
    order = np.argsort(found)
    steps = np.maximum.accumulate(found[order] * (found.size - np.arange(found.size)))
    placed = np.empty_like(found)
    placed[order] = np.minimum(steps, 1.0)
    adjusted[tested] = placed
    return adjusted


def mcnemar(before: npt.ArrayLike, after: npt.ArrayLike) -> tuple[float, int, int]:
    """Test whether fewer of the same images are classified correctly after than before.

    Only images that change sides count: of those, under no effect, every second one is lost.

    Parameters
    ----------
    before, after : array of bool, shape (sample,)
        Whether each image was classified correctly.

    Returns
    -------
    p : float
        Exact and one-sided (binomial); 1 where no image changes.
    lost, gained : int
        Images that were right before only, and after only.

    Raises
    ------
    StatisticError
        If the two are not of the same images.

    References
    ----------
    McNemar 1947, Psychometrika 12:153.

    Examples
    --------
    >>> p, lost, gained = mcnemar([True] * 6 + [False], [False] * 5 + [True, True])
    >>> round(p, 6), lost, gained  # 5 or more of 6: 7/64
    (0.109375, 5, 1)
    """
    before, after = np.asarray(before, dtype=bool), np.asarray(after, dtype=bool)
    if before.shape != after.shape:
        raise StatisticError(f"answers to {before.size} and to {after.size} images cannot be paired")
    lost, gained = int((before & ~after).sum()), int((after & ~before).sum())
    return float(stats.binom.sf(lost - 1, lost + gained, 0.5)) if lost + gained else 1.0, lost, gained
