"""How long activity remembers: autocorrelation times without fits, and the spectrum of the population.

Autocovariances enter as sums over lags only, which are linear in the samples, so that a draw of
the bootstrap is a matrix product.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import signal as scipy_signal
from scipy import stats

from eiplatform.statistics.kernels.moments import RELATIVE_TOLERANCE, FloatArray, weighted_mean

__all__ = ["LagSums", "decay_time", "integrated_time", "spectrum_peak", "population_spectrum"]


@dataclass(frozen=True)
class LagSums:
    """Sums of the autocovariance a(k) of each neuron over lags k, corrected for the unknown mean.

    About the mean of T times, all autocovariances are too low by the variance of that mean,
    2 q / T with q = a(0)/2 + sum of a(k) over k >= 1.  With the sums cut at lag K this is one
    linear equation for q (Bartlett 1946; Marriott & Pope 1954, Biometrika 41:390).

    Attributes
    ----------
    zero, first, second : array, shape (sample, neuron)
        a(0); the sum over lags 1 .. K; the sum over lags 2 .. K + 1.
    max_lag : int
        K, in intervals.
    """

    zero: FloatArray
    first: FloatArray
    second: FloatArray
    max_lag: int

    @classmethod
    def from_signal(cls, signal: Iterable[npt.NDArray[Any]], max_lag: int) -> Self:
        """Take the sums of the samples of a signal, each of shape (time, neuron), more than 2 K + 1 times.

        Every lag uses the same first T - K - 1 times, so that a sum over lags is one pass over
        a running sum.
        """
        rows = []
        for values in signal:
            n_times = len(values)
            start = n_times - max_lag - 1
            mean = values.mean(axis=0, dtype=np.float64)
            deviation = values - mean
            total = np.zeros((n_times + 1, mean.size))
            np.cumsum(deviation, axis=0, out=total[1:])
            row = np.zeros((3, mean.size))
            row[0] = np.einsum("tn,tn->n", deviation, deviation) / n_times
            base = deviation[:start]
            # total[t + 1] is the sum up to and with time t.
            ahead = total[1 + max_lag : 1 + max_lag + start] - total[1 : 1 + start]
            row[1] = np.einsum("tn,tn->n", base, ahead) / start
            # From lags 1 .. K to 2 .. K + 1.
            first, last = (np.einsum("tn,tn->n", base, deviation[k : k + start]) for k in (1, max_lag + 1))
            row[2] = row[1] + (last - first) / start
            row[:, row[0] <= (RELATIVE_TOLERANCE * mean) ** 2] = 0.0
            rows.append(row)
        zero, first, second = np.stack(rows, axis=1)
        q = (zero / 2 + first) / (1 - (2 * max_lag + 1) / n_times)
        offset = 2 * q / n_times
        return cls(zero + offset, first + max_lag * offset, second + max_lag * offset, max_lag)


def integrated_time(weights: npt.NDArray[Any], sums: LagSums) -> FloatArray:
    """Integrated autocorrelation time 1/2 + sum of rho(k) over lags 1 .. K, in intervals.

    Parameters
    ----------
    weights : array, shape (draw, sample)
    sums : LagSums

    Returns
    -------
    array, shape (draw, neuron)
        White noise: 1/2; an exponential of time constant tau: coth(1/(2 tau))/2, about tau.
        NaN for constant signals.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).normal(size=(20, 2000, 5))
    >>> bool(abs(integrated_time(np.ones((1, 20)), LagSums.from_signal(noise, 20)).mean() - 0.5) < 0.03)
    True
    """
    zero, first = weighted_mean(weights, sums.zero), weighted_mean(weights, sums.first)
    time: FloatArray = np.divide(first, zero, out=np.full_like(zero, np.nan), where=zero > 0) + 0.5
    return time


def decay_time(weights: npt.NDArray[Any], sums: LagSums) -> FloatArray:
    """Time constant of the mean autocovariance over neurons beyond lag 0, in intervals.

    The sum over lags 2 .. K + 1 is that over 1 .. K times exp(-1/tau) if the decay is
    exponential, whatever K.  Lag 0 is left out: it holds the white noise that single spikes add.

    Parameters
    ----------
    weights : array, shape (draw, sample)
    sums : LagSums

    Returns
    -------
    array, shape (draw, neuron)
        Value plus influence of each neuron; NaN unless the ratio lies between 0 and 1.
    """
    first, second = weighted_mean(weights, sums.first), weighted_mean(weights, sums.second)
    d, n = first.mean(axis=1, keepdims=True), second.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        decays = (n > 0) & (n < d)
        log = np.log(np.where(decays, n / d, np.nan))
        change = ((second - n) / n - (first - d) / d) / log**2
        value: FloatArray = -1 / log + change
    return value


def population_spectrum(counts: npt.NDArray[Any], fs: float, segment: int) -> tuple[FloatArray, FloatArray]:
    """Power spectral density of spike counts per interval (Welch: Hann windows, half overlapping).

    Parameters
    ----------
    counts : array, shape (sample, time)
    fs : float
        Intervals per unit of time.
    segment : int
        Length of a window in intervals.

    Returns
    -------
    frequency : array, shape (frequency,)
        Without zero, which the removal of the mean empties.
    power : array, shape (sample, frequency)
        One-sided, in counts^2 per unit of frequency; a Poisson process of rate r has 2 r/fs^2.
    """
    frequency, power = scipy_signal.welch(counts, fs=fs, nperseg=segment, detrend="constant", axis=1)
    return frequency[1:], power[:, 1:]


def spectrum_peak(frequency: FloatArray, power: FloatArray, n_segments: float) -> tuple[FloatArray, FloatArray]:
    """Frequency and height (over the median) of the highest power, if it is a peak.

    Parameters
    ----------
    frequency : array, shape (frequency,)
    power : array, shape (draw, frequency)
    n_segments : float
        Independent segments behind the power.

    Returns
    -------
    frequency, height : array, shape (draw,)
        Interpolated by a parabola through the logarithms of three powers.  NaN where the
        highest power is the lowest or highest frequency, or no higher than white noise reaches
        by chance (1 %).

    Examples
    --------
    >>> import numpy as np
    >>> f = np.arange(1.0, 100.0)
    >>> where, height = spectrum_peak(f, np.exp(-((f - 30.0) ** 2) / 50)[None] * 50 + 1, 100)
    >>> where.round(2), height.round(1)
    (array([30.]), array([51.]))
    """
    n = frequency.size
    law = stats.gamma(n_segments, scale=1 / n_segments)
    chance = law.isf(-np.expm1(np.log(0.99) / n)) / law.median()
    top = power.argmax(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        height = np.take_along_axis(power, top[:, None], axis=1)[:, 0] / np.median(power, axis=1)
        found = (top > 0) & (top < n - 1) & (height > chance)
        inner = np.clip(top, 1, n - 2)
        below, here, above = (np.log(np.take_along_axis(power, (inner + k)[:, None], axis=1)[:, 0]) for k in (-1, 0, 1))
        shift = (below - above) / (2 * (below - 2 * here + above))
    where = frequency[inner] + shift * (frequency[1] - frequency[0])
    return np.where(found, where, np.nan), np.where(found, height, np.nan)
