"""Second moments of excitation and inhibition over time, at several windows, and what is left of both.

Signals keep the recording's type and are centred and summed in float64, a block of samples at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.errors import choose
from eiplatform.statistics.kernels.moments import (
    RELATIVE_TOLERANCE,
    CurrentMoments,
    CurrentPair,
    FloatArray,
    weighted_mean,
)
from eiplatform.statistics.kernels.spill import row_blocks_of

__all__ = [
    "RESIDUAL_PAIRS",
    "PairMoments",
    "moments_over_samples",
    "moments_over_time",
    "paired_correlation",
    "private_share",
    "residual_variance",
    "blocks_of_samples",
]

RESIDUAL_PAIRS = ("own", "cross", "excess")
"""E and I of the same neuron; E of this with I of the other neurons; own minus cross."""

_BLOCK = 2**18  # elements of one signal in float64: 2 MiB


def blocks_of_samples(shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield slices of the first axis that hold about a quarter of a million elements each.

    Examples
    --------
    >>> [block.stop - block.start for block in blocks_of_samples((5, 256, 512))]
    [2, 2, 1]
    """
    size = max(1, _BLOCK // max(1, int(np.prod(shape[1:]))))
    for start in range(0, shape[0], size):
        yield slice(start, min(start + size, shape[0]))


@dataclass(frozen=True)
class PairMoments:
    """Second moments, each of shape (row, neuron); a row is a sample or a draw.

    Attributes
    ----------
    var_exc, var_inh, cov : array
        Of a neuron's own currents (ddof 0).  Variances of constant signals are NaN.
    cov_others : array
        Covariance of a neuron's excitation with the mean inhibition of all other neurons that vary.
    var_inh_others : array
        Mean variance of the inhibition of those.
    cross : array
        Mean correlation of a neuron's excitation with the inhibition of those.
    received, received_residual : array
        What a neuron's inhibition adds to the mean over the other neurons of `cross`, and of their residual variance.
    """

    var_exc: FloatArray
    var_inh: FloatArray
    cov: FloatArray
    cov_others: FloatArray
    var_inh_others: FloatArray
    cross: FloatArray
    received: FloatArray
    received_residual: FloatArray


def _of_others(values: FloatArray, defined: npt.NDArray[np.bool_]) -> FloatArray:
    """Mean over the other defined neurons; NaN where there are none, and for undefined neurons."""
    count = defined.sum(axis=1, keepdims=True) - 1
    filled = np.where(defined, values, 0.0)
    some = np.where(defined & (count > 0), np.maximum(count, 1), np.nan)
    mean: FloatArray = (filled.sum(axis=1, keepdims=True) - filled) / some
    return mean


def _factors(var_exc: FloatArray, var_inh: FloatArray) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]]:
    """Return what inhibition, and what excitation, is multiplied with before it is summed; 0 if undefined."""
    defined = np.isfinite(var_exc) & np.isfinite(var_inh)
    both = var_exc + _of_others(var_inh, defined)
    per_exc, per_inh = (
        np.where(defined, 1 / np.sqrt(np.where(defined, part, 1.0)), 0.0) for part in (var_exc, var_inh)
    )
    held = np.isfinite(both)
    return (defined * 1.0, per_inh), (per_exc, np.where(held, 1 / np.where(held, both, 1.0), 0.0))


def _pair_moments(
    var_exc: FloatArray,
    var_inh: FloatArray,
    cov: FloatArray,
    cov_sum: FloatArray,
    cov_scored: FloatArray,
    cov_received: FloatArray,
    cov_residual: FloatArray,
) -> PairMoments:
    """From the covariances with sums over all neurons (see :func:`_factors`) to those with the others."""
    defined = np.isfinite(var_exc) & np.isfinite(var_inh)
    count = defined.sum(axis=1, keepdims=True) - 1
    some = np.where(defined & (count > 0), np.maximum(count, 1), np.nan)
    with np.errstate(invalid="ignore"):
        own = cov / np.sqrt(var_exc * var_inh)
        cov_others, var_inh_others = (cov_sum - cov) / some, _of_others(var_inh, defined)
        both = var_exc + var_inh_others
        # The residual variance with others is 1 - 2 c/b; its derivatives by c and by b, the latter by the variance.
        slope, fall = 2 / both, 2 * cov_others / both**2
        by_variance = var_inh * _of_others(fall, defined) - _of_others(fall * var_inh_others, defined)
        by_covariance = _of_others(slope * cov_others, defined) - 2 * (cov_residual - cov / both) / some
        return PairMoments(
            var_exc=var_exc,
            var_inh=var_inh,
            cov=cov,
            cov_others=cov_others,
            var_inh_others=var_inh_others,
            cross=(cov_scored / np.sqrt(var_exc) - own) / some,
            received=(cov_received / np.sqrt(var_inh) - own) / some,
            received_residual=by_covariance + by_variance,
        )


def _centred(part: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Return deviations from the mean over time, and the least variance that rounding does not explain."""
    centred: FloatArray = np.array(part, dtype=np.float64)  # a copy, changed in place
    mean = centred.mean(axis=1, keepdims=True)
    centred -= mean
    square = np.einsum("stn,stn->sn", centred, centred) / centred.shape[1] + mean[:, 0] ** 2
    return centred, RELATIVE_TOLERANCE**2 * square


def _smoothed(centred: FloatArray, window: int) -> FloatArray:
    """Average over a moving window `window` intervals, only where it is whole, about its own mean."""
    if window == 1:
        return centred
    total = np.cumsum(centred, axis=1)
    total[:, window:] -= total[:, :-window].copy()
    smooth: FloatArray = total[:, window - 1 :] / window
    smooth -= smooth.mean(axis=1, keepdims=True)
    return smooth


def moments_over_time(
    exc: npt.NDArray[Any], inh: npt.NDArray[Any], windows: tuple[int, ...] = (1,)
) -> list[PairMoments]:
    """Second moments over time within each sample, after smoothing with each window.

    Parameters
    ----------
    exc, inh : array, shape (sample, time, neuron)
    windows : tuple of int
        Lengths of the moving average, in intervals; 1 smooths nothing.

    Returns
    -------
    list of PairMoments
        One per window; rows are samples.

    Examples
    --------
    >>> import numpy as np
    >>> exc = np.random.default_rng(0).normal(size=(1, 1000, 2))
    >>> fine, coarse = moments_over_time(exc, exc, (1, 4))
    >>> (coarse.var_exc / fine.var_exc).mean().round(2)  # white noise: 1/4
    np.float64(0.25)
    """
    found: list[list[tuple[FloatArray, ...]]] = [[] for _ in windows]
    for block in blocks_of_samples(exc.shape):
        (all_exc, floor_exc), (all_inh, floor_inh) = _centred(exc[block]), _centred(inh[block])
        for index, window in enumerate(windows):
            e, i = _smoothed(all_exc, window), _smoothed(all_inh, window)
            n = e.shape[1]
            var_exc, var_inh, cov = (np.einsum("stn,stn->sn", *two) / n for two in ((e, e), (i, i), (e, i)))
            var_exc, var_inh = (
                np.where(var_exc > floor_exc, var_exc, np.nan),
                np.where(var_inh > floor_inh, var_inh, np.nan),
            )
            sums = [
                np.einsum("stn,st->sn", mine, np.einsum("stn,sn->st", others, factor)) / n
                for (mine, others), factors in zip(((e, i), (i, e)), _factors(var_exc, var_inh), strict=True)
                for factor in factors
            ]
            found[index].append((var_exc, var_inh, cov, *sums))
    return [_pair_moments(*(np.concatenate(parts) for parts in zip(*rows, strict=True))) for rows in found]


def moments_over_samples(weights: npt.NDArray[Any], pair: CurrentPair, moments: CurrentMoments) -> PairMoments:
    """Second moments of time-averaged currents over samples under each weighting; rows are draws.

    Parameters
    ----------
    weights : array, shape (draw, sample)
    pair : CurrentPair
    moments : CurrentMoments
        ``pair.moments(weights)``.
    """
    weights = np.asarray(weights, dtype=np.float64)
    w = weights / weights.sum(axis=1, keepdims=True)
    by_inh, by_exc = _factors(moments.var_exc, moments.var_inh)
    factors, deviations = (*by_inh, *by_exc), pair.deviations(weights)
    means = [np.zeros((len(w), 1)) for _ in factors]
    sums = [np.zeros_like(factor) for factor in factors]
    for rows, tables in row_blocks_of(pair.exc, pair.inh):
        for index, (factor, mean, total) in enumerate(zip(factors, means, sums, strict=True)):
            mine, others = tables if index < len(by_inh) else tables[::-1]
            summed = w[:, rows] * (factor @ others.T)  # over neurons, per draw and sample
            mean += summed.sum(axis=1, keepdims=True)
            total += summed @ mine
    centred = [
        total - mean * deviations[int(index >= len(by_inh))]
        for index, (total, mean) in enumerate(zip(sums, means, strict=True))
    ]
    return _pair_moments(moments.var_exc, moments.var_inh, moments.cov, *centred)


def residual_variance(moments: PairMoments, pairs: str) -> FloatArray:
    """Give var(E - I) / (var E + var I) of every neuron, shape (row, neuron).

    0: inhibition cancels every fluctuation of excitation; 1: they are uncorrelated; 2: opposite.
    For other neurons both sides are summed over them before the division.

    Parameters
    ----------
    moments : PairMoments
    pairs : {"own", "cross", "excess"}

    Examples
    --------
    >>> import numpy as np
    >>> exc = np.random.default_rng(0).normal(size=(1, 500, 3))
    >>> (moments,) = moments_over_time(exc, 2 * exc)
    >>> residual_variance(moments, "own").round(9)  # (2 - 1)^2 / (1 + 4)
    array([[0.2, 0.2, 0.2]])
    """
    choose(pairs, RESIDUAL_PAIRS, "pairing")
    own: FloatArray = 1 - 2 * moments.cov / (moments.var_exc + moments.var_inh)
    if pairs == "own":
        return own
    cross: FloatArray = 1 - 2 * moments.cov_others / (moments.var_exc + moments.var_inh_others)
    return cross if pairs == "cross" else own - cross


def paired_correlation(moments: PairMoments, pairs: str) -> FloatArray:
    """Correlation of E and I, shape (row, neuron): own, with others' inhibition, or own minus that."""
    choose(pairs, RESIDUAL_PAIRS, "pairing")
    own: FloatArray = moments.cov / np.sqrt(moments.var_exc * moments.var_inh)
    if pairs == "own":
        return own
    return moments.cross if pairs == "cross" else own - moments.cross


def private_share(weights: npt.NDArray[Any], sums: FloatArray) -> FloatArray:
    """Share of the variance of a neuron's signal that the mean of the other neurons does not explain, 1 - r^2.

    Parameters
    ----------
    weights : array, shape (draw, sample)
    sums : array, shape (5, sample, neuron)
        Means over time of x, x^2, m, m^2 and x m, where x is the signal of the neuron and m the mean of
        the others, both about any fixed value.

    Returns
    -------
    array, shape (draw, neuron)
        NaN where the signal, or that of the others, is constant.
    """
    x, x_squared, m, m_squared, product = (weighted_mean(weights, table) for table in sums)
    own, others = x_squared - x**2, m_squared - m**2
    varies = (own > 1e-12 * x_squared) & (others > 1e-12 * m_squared)
    bound = np.where(varies, own * others, 1.0)
    share: FloatArray = np.where(varies, np.clip(1.0 - (product - x * m) ** 2 / bound, 0.0, 1.0), np.nan)
    return share
