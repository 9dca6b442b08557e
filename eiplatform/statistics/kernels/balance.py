"""Kernels of excitation-inhibition balance: ratio, balance index, and four correlations."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.errors import choose
from eiplatform.statistics.kernels.moments import (
    RELATIVE_TOLERANCE,
    CurrentMoments,
    CurrentPair,
    FloatArray,
    weighted_sums,
    with_received,
)
from eiplatform.statistics.kernels.spill import row_blocks_of

__all__ = [
    "LEAST_EXCITATION",
    "PAIRS",
    "balance_index",
    "correlation_over_time",
    "correlations_over_time",
    "cross_correlation",
    "ei_ratio",
    "lacks_excitation",
    "own_correlation",
    "pair_correlation",
    "partial_correlation",
    "received_correlation",
]

LEAST_EXCITATION = 0.1
"""Part of E + I that excitation must be for an index that divides by it."""
PAIRS = ("own", "cross", "excess", "partial")
"""What a correlation pairs: E and I of the same neuron; of different neurons; own minus cross;
the same neuron given the mean excitation of the other neurons."""


def ei_ratio(mean_exc: FloatArray, mean_inh: FloatArray) -> FloatArray:
    """Ratio of mean excitation to mean inhibition; NaN unless both are positive.

    Examples
    --------
    >>> import numpy as np
    >>> ei_ratio(np.array([3.0, 1.0]), np.array([2.0, 0.0]))
    array([1.5, nan])
    """
    both = (mean_exc > 0) & (mean_inh > 0)
    return np.divide(mean_exc, mean_inh, out=np.full_like(mean_exc, np.nan), where=both)


def lacks_excitation(mean_exc: FloatArray, mean_inh: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether mean excitation is less than a tenth of both currents' sum, or not positive.

    The balance index divides by it: below -8 it says how little excitation there is, not how balanced it is, and a
    few such neurons would be the whole mean.

    Examples
    --------
    >>> import numpy as np
    >>> lacks_excitation(np.array([4.0, 1.0, 0.0]), np.array([3.0, 10.0, 0.0]))
    array([False,  True,  True])
    """
    too_little: npt.NDArray[np.bool_] = ~((mean_exc > 0) & (mean_exc >= LEAST_EXCITATION * (mean_exc + mean_inh)))
    return too_little


def balance_index(mean_exc: FloatArray, mean_inh: FloatArray) -> FloatArray:
    """Balance index (mean E - mean I) / mean E; NaN unless mean E is positive.

    Ahmadian & Miller 2021, Neuron 109:3373.

    Examples
    --------
    >>> import numpy as np
    >>> balance_index(np.array([4.0, 0.0]), np.array([3.0, 1.0]))
    array([0.25,  nan])
    """
    return np.divide(mean_exc - mean_inh, mean_exc, out=np.full_like(mean_exc, np.nan), where=mean_exc > 0)


def own_correlation(moments: CurrentMoments) -> FloatArray:
    """Pearson correlation of a neuron's own E and I, shape (draw, neuron); NaN if one is constant."""
    r: FloatArray = moments.cov / np.sqrt(moments.var_exc * moments.var_inh)
    return r


def cross_correlation(
    weights: npt.NDArray[Any], pair: CurrentPair, moments: CurrentMoments, *, received: bool = False
) -> FloatArray:
    """Mean over other neurons j of corr(E_i, I_j), shape (draw, neuron).

    The sum over j of z-scored inhibition is one projection per draw, so no neuron-by-neuron
    matrix is built.  Only neurons with both signals varying take part.

    Parameters
    ----------
    weights : array, shape (draw, sample)
    pair : CurrentPair
    moments : CurrentMoments
        ``pair.moments(weights)``.
    received : bool
        Of corr(E_j, I_i) instead: the same mean over neurons, by the other current.
    """
    w = weights / weights.sum(axis=1, keepdims=True)
    defined = np.isfinite(moments.var_exc) & np.isfinite(moments.var_inh)
    per_exc = np.where(defined, 1.0 / np.sqrt(np.where(defined, moments.var_exc, 1.0)), 0.0)
    per_inh = np.where(defined, 1.0 / np.sqrt(np.where(defined, moments.var_inh, 1.0)), 0.0)
    total = np.zeros_like(per_exc)
    mean = np.zeros((len(w), 1))
    tables, per, deviations = (pair.exc, pair.inh), (per_exc, per_inh), pair.deviations(weights)
    if received:
        tables, per, deviations = tables[::-1], per[::-1], deviations[::-1]
    for rows, (mine, others) in row_blocks_of(*tables):
        # Sum over neurons of the z-scored inhibition, per draw and sample.
        summed = w[:, rows] * (per[1] @ others.T)
        mean += summed.sum(axis=1, keepdims=True)
        total += summed @ mine
    total = (total - mean * deviations[0]) * per[0]
    count = defined.sum(axis=1, keepdims=True) - 1
    cross = (total - moments.cov * per_exc * per_inh) / np.maximum(count, 1)
    return np.where(defined & (count > 0), cross, np.nan)


def partial_correlation(weights: npt.NDArray[Any], pair: CurrentPair, moments: CurrentMoments) -> FloatArray:
    """Correlation of own E and I with the common mode regressed out, shape (draw, neuron).

    The common mode of neuron i is the mean excitation of all *other* neurons in the same sample
    (its brightness, as the population sees it).  Leaving i out keeps independent neurons
    uncorrelated with it.

    Parameters
    ----------
    weights : array, shape (draw, sample)
    pair : CurrentPair
    moments : CurrentMoments
        ``pair.moments(weights)``.
    """
    w = weights / weights.sum(axis=1, keepdims=True)
    n = int(pair.varying.sum())
    if n < 2:
        return np.full_like(moments.cov, np.nan)
    share = pair.varying[:, None] / n

    def terms(exc: FloatArray, inh: FloatArray) -> tuple[FloatArray, ...]:
        common = exc @ share
        return common, common**2, exc * common, inh * common

    mean_common, var_all, exc_all, inh_all = weighted_sums(w, terms, pair.exc, pair.inh)
    mean_exc, mean_inh = pair.deviations(weights)
    var_all -= mean_common**2
    exc_all -= mean_exc * mean_common
    inh_all -= mean_inh * mean_common
    # From the mean of all neurons to the mean of all but neuron i.
    exc_others = (n * exc_all - moments.var_exc) / (n - 1)
    inh_others = (n * inh_all - moments.cov) / (n - 1)
    var_others = (n**2 * var_all - 2 * n * exc_all + moments.var_exc) / (n - 1) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        cov = moments.cov - exc_others * inh_others / var_others
        var_exc = moments.var_exc - exc_others**2 / var_others
        var_inh = moments.var_inh - inh_others**2 / var_others
        # Nothing but rounding is left when the common mode explains a signal wholly.
        left = (var_exc > RELATIVE_TOLERANCE * moments.var_exc) & (var_inh > RELATIVE_TOLERANCE * moments.var_inh)
        return np.where(left, cov / np.sqrt(np.where(left, var_exc * var_inh, 1.0)), np.nan)


def pair_correlation(weights: npt.NDArray[Any], pair: CurrentPair, pairs: str) -> FloatArray:
    """One of the four correlations of :data:`PAIRS` under each weighting, shape (draw, neuron).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> common = rng.normal(size=(500, 1))  # all neurons share one signal: synchrony, no detail
    >>> pair = CurrentPair(common + np.zeros(3), 2 * common + np.zeros(3))
    >>> pair_correlation(np.ones((1, 500)), pair, "own").round(6)
    array([[1., 1., 1.]])
    >>> bool(np.allclose(pair_correlation(np.ones((1, 500)), pair, "excess"), 0))
    True
    """
    choose(pairs, PAIRS, "pairing")
    moments = pair.moments(weights)
    if pairs == "own":
        return own_correlation(moments)
    if pairs == "partial":
        return partial_correlation(weights, pair, moments)
    cross = pair.shared(weights, "cross", lambda: cross_correlation(weights, pair, moments))
    return cross if pairs == "cross" else own_correlation(moments) - cross


def received_correlation(weights: npt.NDArray[Any], pair: CurrentPair, values: FloatArray, pairs: str) -> FloatArray:
    """Each neuron's influence on the mean over neurons of a correlation with other neurons, shape (draw, neuron).

    Its inhibition is one of the others' for every other neuron, so that the value of its own excitation
    (:func:`pair_correlation`) is half of what it does.

    Parameters
    ----------
    weights : array, shape (draw, sample)
    pair : CurrentPair
    values : array, shape (draw, neuron)
        ``pair_correlation(weights, pair, pairs)``.
    pairs : {"cross", "excess"}

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> pair, one = CurrentPair(*rng.normal(size=(2, 50, 4))), np.ones((1, 50))
    >>> cross = pair_correlation(one, pair, "cross")
    >>> bool(np.isclose(received_correlation(one, pair, cross, "cross").mean(), cross.mean()))
    True
    """
    moments = pair.moments(weights)
    received = pair.shared(weights, "received", lambda: cross_correlation(weights, pair, moments, received=True))
    return with_received(values, received if pairs == "cross" else -received)


def correlation_over_time(exc: npt.NDArray[Any], inh: npt.NDArray[Any], pairs: str) -> FloatArray:
    """Correlation of E and I along the time axis of each sample.

    Parameters
    ----------
    exc, inh : array, shape (sample, time, neuron)
    pairs : {"own", "cross", "excess", "partial"}

    Returns
    -------
    array, shape (sample, neuron)
        NaN where a signal is constant in time.
    """
    found: FloatArray = correlations_over_time(exc, inh)[PAIRS.index(choose(pairs, PAIRS, "pairing"))]
    return found


def correlations_over_time(exc: npt.NDArray[Any], inh: npt.NDArray[Any]) -> FloatArray:
    """All correlations of :data:`PAIRS` along the time axis of each sample, which share their moments.

    Parameters
    ----------
    exc, inh : array, shape (sample, time, neuron)

    Returns
    -------
    array, shape (5, sample, neuron)
        The last is the mean over other neurons j of corr(E_j, I_i).
    """
    one = np.ones((1, exc.shape[1]))
    found = np.empty((len(PAIRS) + 1, exc.shape[0], exc.shape[2]))
    for sample, (e, i) in enumerate(zip(exc, inh, strict=True)):
        pair = CurrentPair(e, i)
        moments = pair.moments(one)
        own = own_correlation(moments)[0]
        cross = cross_correlation(one, pair, moments)[0]
        received = cross_correlation(one, pair, moments, received=True)[0]
        found[:, sample] = own, cross, own - cross, partial_correlation(one, pair, moments)[0], received
    return found
