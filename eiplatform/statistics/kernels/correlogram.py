"""Cross-correlogram of excitation and inhibition by FFT, and the lag of its peak."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft

from eiplatform.errors import choose
from eiplatform.statistics.kernels.moments import RELATIVE_TOLERANCE, FloatArray, weighted_nanmean
from eiplatform.statistics.kernels.tracking import RESIDUAL_PAIRS, blocks_of_samples

__all__ = ["correlogram", "mean_correlogram", "peak", "pooled_peak"]


def _scored(part: npt.NDArray[Any]) -> FloatArray:
    """z-score over time; constant signals are 0."""
    scored: FloatArray = np.array(part, dtype=np.float64)  # a copy, changed in place
    mean = scored.mean(axis=1, keepdims=True)
    scored -= mean
    sd = np.sqrt(np.einsum("stn,stn->sn", scored, scored) / scored.shape[1])[:, None]
    varies = sd > RELATIVE_TOLERANCE * np.hypot(sd, mean)
    scored *= np.where(varies, 1 / np.where(varies, sd, 1.0), 0.0)
    return scored


def correlogram(exc: npt.NDArray[Any], inh: npt.NDArray[Any], max_lag: int) -> FloatArray:
    """Correlation of E(t) with I(t + lag) over time within each sample, of the same neuron and with the others.

    Deviations from a sample's mean, divided by its standard deviations; each lag is averaged over the T - |lag|
    pairs of intervals that it has.

    Parameters
    ----------
    exc, inh : array, shape (sample, time, neuron)
    max_lag : int
        In intervals, below the number of intervals.

    Returns
    -------
    array, shape (2, lag, sample, neuron)
        With the inhibition of the same neuron, then the mean over that of the other neurons.  Lags from ``-max_lag``
        to ``max_lag``; positive: inhibition later.  NaN where a signal is constant.

    Examples
    --------
    >>> import numpy as np
    >>> exc = np.random.default_rng(0).normal(size=(1, 400, 2))
    >>> own, cross = correlogram(exc, np.roll(exc, 3, axis=1), 5)
    >>> own.argmax(axis=0) - 5
    array([[3, 3]])
    """
    n_samples, n_time, n_neurons = exc.shape
    size = fft.next_fast_len(n_time + max_lag, real=True)
    count = (n_time - np.abs(np.arange(-max_lag, max_lag + 1)))[:, None]
    found = np.empty((2, 2 * max_lag + 1, n_samples, n_neurons))
    for block in blocks_of_samples(exc.shape):
        e, i = (_scored(part[block]) for part in (exc, inh))
        varies: npt.NDArray[np.bool_] = (np.any(e, axis=1) & np.any(i, axis=1))[:, None]
        i *= varies
        full = fft.irfft(np.conj(fft.rfft(e, size, axis=1)) * fft.rfft(i, size, axis=1), size, axis=1)
        alone = np.concatenate([full[:, size - max_lag :], full[:, : max_lag + 1]], axis=1)
        # Of all neurons together: the sum of the inhibition is one series, its shifts one matrix product.
        total = np.pad(i.sum(axis=2), ((0, 0), (max_lag, max_lag)))
        together = sliding_window_view(total, n_time, axis=1) @ e
        others = varies.sum(axis=2, keepdims=True) - 1
        own = np.where(varies, alone / count, np.nan)
        cross = np.where(varies, (together - alone) / count, np.nan) / np.where(others > 0, others, np.nan)
        found[:, :, block] = own.transpose(1, 0, 2), cross.transpose(1, 0, 2)
    return found


def mean_correlogram(weights: npt.NDArray[Any], curves: npt.NDArray[Any], pairs: str) -> FloatArray:
    """Average correlograms over samples, lag by lag, shape (draw, lag, neuron).

    Parameters
    ----------
    weights : array, shape (draw, sample)
    curves : array, shape (2, lag, sample, neuron)
        Of :func:`correlogram`.
    pairs : {"own", "cross", "excess"}
        E and I of the same neuron; I of the other neurons; own minus cross.
    """
    choose(pairs, RESIDUAL_PAIRS, "pairing")
    if pairs == "excess":
        return mean_correlogram(weights, curves, "own") - mean_correlogram(weights, curves, "cross")
    table = curves[int(pairs == "cross")]
    mean: FloatArray = np.stack([weighted_nanmean(weights, at_lag) for at_lag in table], axis=1)
    return mean


def peak(curves: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lag and height of the peak of correlograms, by a parabola through the three highest points.

    Parameters
    ----------
    curves : array, shape (row, lag, neuron)
        An odd number of lags, 0 in the middle.

    Returns
    -------
    lag, height : array, shape (row, neuron)
        In intervals; NaN where the highest point is the first or last, is not positive (above the rounding of
        recorded currents) or is undefined.

    Examples
    --------
    >>> import numpy as np
    >>> lag = np.arange(-5, 6)
    >>> found = peak((1 - 0.01 * (lag - 1.25) ** 2)[None, :, None])
    >>> found[0].round(9), found[1].round(9)
    (array([[1.25]]), array([[1.]]))
    """
    n_lags = curves.shape[1]
    undefined = ~np.isfinite(curves).all(axis=1)
    best = np.where(np.isfinite(curves), curves, -np.inf).argmax(axis=1)
    inside = np.clip(best, 1, n_lags - 2)[:, None]
    left, top, right = (np.take_along_axis(curves, inside + step, axis=1)[:, 0] for step in (-1, 0, 1))
    bend = left - 2 * top + right
    shift = np.divide(left - right, 2 * bend, out=np.zeros_like(top), where=bend < 0)
    bad = undefined | (best == 0) | (best == n_lags - 1) | ~(top > RELATIVE_TOLERANCE)
    lag = np.where(bad, np.nan, inside[:, 0] + shift - n_lags // 2)
    return lag, np.where(bad, np.nan, top - (left - right) * shift / 4)


def pooled_peak(curves: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lag and height of the peak of the mean correlogram over neurons, as values per neuron.

    Their mean over neurons is the lag (or height) of that one peak, their spread each neuron's influence on it (the
    derivative of the parabola's vertex).

    Parameters
    ----------
    curves : array, shape (draw, lag, neuron)
        Undefined neurons are NaN.

    Returns
    -------
    lag, height : array, shape (draw, neuron)

    Examples
    --------
    >>> import numpy as np
    >>> lag = np.arange(-5, 6)[:, None]
    >>> found = pooled_peak((1 - 0.01 * (lag - np.array([1.0, 2.0])) ** 2)[None])
    >>> found[0].mean(axis=1).round(9)
    array([1.5])
    """
    defined: npt.NDArray[np.bool_] = np.all(np.isfinite(curves), axis=1)
    count = np.maximum(defined.sum(axis=1), 1)
    filled = np.where(defined[:, None], curves, 0.0)
    mean = filled.sum(axis=2) / count[:, None]
    some = np.any(defined, axis=1, keepdims=True)
    lag, height = peak(np.where(some, mean, np.nan)[..., None])
    inside = np.clip(mean.argmax(axis=1), 1, mean.shape[1] - 2)[:, None]
    (left, top, right) = (np.take_along_axis(mean, inside + step, axis=1) for step in (-1, 0, 1))
    own = [np.take_along_axis(filled, (inside + step)[..., None], axis=1)[:, 0] for step in (-1, 0, 1)]
    bend = left - 2 * top + right
    bend = np.where(bend < 0, bend, -np.inf)
    tilt = left - right
    shift = tilt / (2 * bend)
    by_lag = (1 / (2 * bend) - tilt / (2 * bend**2), tilt / bend**2, -1 / (2 * bend) - tilt / (2 * bend**2))
    by_height = (-shift * (1 - shift) / 2, 1 - shift**2, shift * (1 + shift) / 2)
    apart = [part - at for part, at in zip(own, (left, top, right), strict=True)]
    found = []
    # The vertex of a parabola through -1, 0, 1 lies at shift; heights enter by Lagrange's weights there.
    for value, slopes in ((lag, by_lag), (height, by_height)):
        influence = value + sum(slope * part for slope, part in zip(slopes, apart, strict=True))
        found.append(np.where(defined, influence, np.nan))
    return found[0], found[1]
