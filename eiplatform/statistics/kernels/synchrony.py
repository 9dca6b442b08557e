"""How neurons vary together: population synchrony at a fixed number of neurons, and pair correlations.

With v the mean variance of the neurons and c the mean covariance of pairs, the sum over a random
subset of n neurons has on average the variance n v + n (n - 1) c.  So synchrony at any number of
neurons follows from sums per neuron, over all subsets at once, without choosing one.
Values of a whole population come as value plus influence of each neuron, as in
:mod:`eiplatform.statistics.kernels.activity`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from eiplatform.statistics.kernels.moments import RELATIVE_TOLERANCE, FloatArray, weighted_mean
from eiplatform.statistics.kernels.spikes import SpikeTrains
from eiplatform.statistics.kernels.spill import release

__all__ = ["SharedSums", "chi", "count_synchrony", "pair_correlations", "partner_mean"]

_BLOCK = 2**22  # elements of one block of pair covariances: 32 MiB


@dataclass(frozen=True)
class SharedSums:
    """Each neuron's mean, variance, and covariance with the sum of all neurons, over time.

    Attributes
    ----------
    mean, variance, shared : array, shape (sample, neuron)
        Variances and covariances have ddof 1.

    Examples
    --------
    >>> import numpy as np
    >>> signal = np.random.default_rng(0).normal(size=(1, 5000, 1)) + np.zeros(4)  # all neurons equal
    >>> float(chi(np.ones((1, 1)), SharedSums.from_signal(signal), 4).mean().round(6))
    1.0
    """

    mean: FloatArray
    variance: FloatArray
    shared: FloatArray

    @classmethod
    def from_signal(cls, signal: npt.NDArray[Any]) -> Self:
        """Take the sums of a signal, shape (sample, time, neuron), at least two times."""
        n_samples, n_times, n_neurons = signal.shape
        mean, variance, shared = (np.empty((n_samples, n_neurons)) for _ in range(3))
        for row, values in enumerate(signal):
            mean[row] = values.mean(axis=0, dtype=np.float64)
            deviation = values - mean[row]
            variance[row] = np.einsum("tn,tn->n", deviation, deviation)
            shared[row] = deviation.sum(axis=1) @ deviation
            # Rounding of a recorded constant is not variation.
            still = variance[row] <= n_times * (RELATIVE_TOLERANCE * mean[row]) ** 2
            variance[row, still] = shared[row, still] = 0.0
        return cls(mean, variance / (n_times - 1), shared / (n_times - 1))

    @classmethod
    def from_trains(cls, trains: SpikeTrains, window: float) -> Self:
        """Take the sums of spike counts in whole windows, at least two."""
        sums = trains.window_sums(window)
        free = sums.n_windows - 1
        return cls(sums.total / sums.n_windows, sums.about / free, sums.shared / free)

    def pairs(self, weights: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Mean, variance, and mean covariance with the other neurons, each of shape (draw, neuron)."""
        mean, variance, shared = (weighted_mean(weights, part) for part in (self.mean, self.variance, self.shared))
        return mean, variance, (shared - variance) / max(variance.shape[1] - 1, 1)


def _mean(values: FloatArray) -> FloatArray:
    mean: FloatArray = values.mean(axis=1, keepdims=True)
    return mean


def chi(weights: npt.NDArray[Any], sums: SharedSums, n_neurons: int) -> FloatArray:
    """Golomb & Rinzel's chi: sd over time of the mean of n neurons over the rms of their own sd.

    Parameters
    ----------
    weights : array, shape (draw, sample)
    sums : SharedSums
    n_neurons : int
        At least 2 and at most the recorded number.

    Returns
    -------
    array, shape (draw, neuron)
        Value plus influence of each neuron.  1: all alike; 1/sqrt(n): independent.  NaN where
        nothing varies.
    """
    _, variance, covariance = sums.pairs(weights)
    v, c = _mean(variance), _mean(covariance)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(v > 0, c / v, np.nan)
        # Rounding may push the variance of a sum that cancels below zero.
        square = np.maximum((1 + (n_neurons - 1) * ratio) / n_neurons, 0.0)
        change = (2 * (covariance - c) - ratio * (variance - v)) / v * (n_neurons - 1) / n_neurons
        value: FloatArray = np.sqrt(square) + np.where(square > 0, change / (2 * np.sqrt(square)), 0.0)
    return value


def count_synchrony(weights: npt.NDArray[Any], sums: SharedSums, n_neurons: int) -> FloatArray:
    """Variance over mean of the summed spike counts of n neurons (Potjans & Diesmann 2014).

    Parameters and result are those of :func:`chi`.  Independent Poisson neurons: 1.  NaN where
    no neuron fires.
    """
    mean, variance, covariance = sums.pairs(weights)
    m, v, c = _mean(mean), _mean(variance), _mean(covariance)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = (v + (n_neurons - 1) * c) / m
        change = (variance - v + 2 * (n_neurons - 1) * (covariance - c) - value * (mean - m)) / m
        result: FloatArray = np.where(m > 0, value + change, np.nan)
    return result


def pair_correlations(weights: npt.NDArray[Any], counts: FloatArray) -> FloatArray:
    """Pearson correlation of the spike counts of every pair of neurons, over windows.

    Counts are taken about each sample's own mean and covariances pooled over samples, so that
    differences between samples (stimuli, realisations) do not count; the expectation for
    independent neurons is exactly 0.

    Parameters
    ----------
    weights : array, shape (draw, sample)
    counts : array, shape (sample, window, neuron)

    Returns
    -------
    array, shape (draw, pair)
        Pairs in the order of ``numpy.triu_indices(n, 1)``; NaN where a neuron is constant.

    Examples
    --------
    >>> import numpy as np
    >>> shared = np.random.default_rng(0).poisson(3.0, size=(2, 100, 1))
    >>> pair_correlations(np.ones((1, 2)), np.concatenate([shared, 2.0 * shared, 5.0 - shared], axis=2)).round(6)
    array([[ 1., -1., -1.]])
    """
    weights = np.asarray(weights, dtype=np.float64)
    n_samples, n_windows, n = counts.shape
    first, second = np.triu_indices(n, 1)
    covariance, variance = np.zeros((len(weights), first.size)), np.zeros((len(weights), n))
    step = max(1, _BLOCK // (n * max(n, n_windows)))
    for start in range(0, n_samples, step):
        part = counts[start : start + step]
        part = part - part.mean(axis=1, keepdims=True)
        release(counts)
        products = part.transpose(0, 2, 1) @ part
        some = weights[:, start : start + step]
        covariance += some @ products[:, first, second]
        variance += some @ np.diagonal(products, axis1=1, axis2=2)
    scale = np.where(variance > 0, 1 / np.sqrt(np.where(variance > 0, variance, 1.0)), np.nan)
    covariance *= scale[:, first]
    covariance *= scale[:, second]
    return covariance


def partner_mean(correlations: FloatArray, n_neurons: int) -> FloatArray:
    """Each neuron's mean correlation with all others, shape (draw, neuron), from the pairs' correlations.

    Parameters
    ----------
    correlations : array, shape (draw, pair)
        As :func:`pair_correlations` gives them.
    n_neurons : int
    """
    member = np.zeros((correlations.shape[1], n_neurons))
    for index in np.triu_indices(n_neurons, 1):
        member[np.arange(correlations.shape[1]), index] = 1.0
    defined = np.isfinite(correlations)
    if defined.all():
        return (correlations @ member) / (n_neurons - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: FloatArray = (np.where(defined, correlations, 0.0) @ member) / (defined.astype(np.float64) @ member)
    return mean
