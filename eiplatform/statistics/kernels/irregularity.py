"""How much, how regularly and how variably neurons fire, from the sums of their spike trains."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.errors import StatisticError
from eiplatform.statistics.kernels.moments import FloatArray, about, weighted_mean, weighted_nanmean, weighted_sums
from eiplatform.statistics.kernels.spikes import SpikeTrains

__all__ = ["cv2", "cv_isi", "fano_factor", "lv", "lvr", "rate"]


def rate(trains: SpikeTrains, weights: npt.NDArray[Any]) -> FloatArray:
    """Spikes per unit of time, shape (draw, neuron); silent neurons have rate 0."""
    return weighted_mean(weights, trains.counts / trains.duration)


def cv_isi(
    trains: SpikeTrains, weights: npt.NDArray[Any], *, min_spikes: int = 10, corrected: bool = False
) -> FloatArray:
    """Coefficient of variation of the inter-spike intervals, sd (ddof 0) / mean.

    Taken within each sample and averaged over samples: pooling the intervals of samples with
    different rates (stimuli) would give regular trains a CV near 1.

    Parameters
    ----------
    trains : SpikeTrains
    weights : array, shape (draw, sample)
    min_spikes : int
        Samples in which a neuron fires fewer spikes do not count for it.
    corrected : bool
        Free of the bias of short trains
        (:attr:`~eiplatform.statistics.kernels.spikes.SpikeTrains.corrected_cv`): the plain value of a gamma
        train of 30 spikes is 4 % too low.

    Returns
    -------
    array, shape (draw, neuron)
        NaN for neurons without a sample that counts.

    Examples
    --------
    >>> import numpy as np
    >>> trains = SpikeTrains.from_dense(np.tile([[[True]], [[False]]], (1, 40, 1)), dt=1.0, units="step")
    >>> cv_isi(trains, np.ones((1, 2)))  # a spike in every step of one sample, none in the other
    array([[0.]])
    """
    number, mean, variance = trains.interval_moments
    with np.errstate(invalid="ignore", divide="ignore"):
        cv = trains.corrected_cv if corrected else np.sqrt(variance) / mean
    counted = (trains.counts >= min_spikes) & (number >= 2)
    return weighted_nanmean(weights, np.where(counted, cv, np.nan))


def lv(trains: SpikeTrains, weights: npt.NDArray[Any], *, min_spikes: int = 10) -> FloatArray:
    """Local variation 3 <((a - b) / (a + b))^2> over adjacent intervals a, b (Shinomoto et al. 2003).

    Parameters and result are those of :func:`cv_isi`; pairs of intervals are pooled over the
    samples that count, since each pair is compared with itself only.  Poisson: 1; gamma
    intervals of shape k: 3 / (2k + 1).
    """
    sums = trains.local_sums
    return _pooled(trains, weights, 3.0 * sums.square, min_spikes)


def lvr(trains: SpikeTrains, weights: npt.NDArray[Any], *, refractoriness: float, min_spikes: int = 10) -> FloatArray:
    """Revised local variation 3 <(1 - 4ab/(a + b)^2)(1 + 4R/(a + b))> over adjacent intervals a, b.

    Shinomoto et al. 2009, PLoS Comput Biol 5:e1000433, eq. 3.  Parameters and result are those of
    :func:`lv` is its value for R = 0; `refractoriness` R is in the trains' unit.
    Gamma intervals of shape k and mean 1/r: 3/(2k + 1) (1 + 4 R r k/(2k - 1)).
    """
    sums = trains.local_sums
    return _pooled(trains, weights, 3.0 * (sums.square + 4.0 * refractoriness * sums.square_rate), min_spikes)


def cv2(trains: SpikeTrains, weights: npt.NDArray[Any], *, min_spikes: int = 10) -> FloatArray:
    """Mean of 2 |a - b|/(a + b) over adjacent intervals a, b (Holt et al. 1996, J Neurophysiol 75:1806).

    Parameters and result are those of :func:`lv`.  Poisson: 1.
    """
    return _pooled(trains, weights, 2.0 * trains.local_sums.absolute, min_spikes)


def _pooled(trains: SpikeTrains, weights: npt.NDArray[Any], total: FloatArray, min_spikes: int) -> FloatArray:
    """Average over pairs of adjacent intervals, pooled over the samples with enough spikes."""
    weights = np.asarray(weights, dtype=np.float64)
    counted = trains.counts >= min_spikes
    n = weights @ (trains.local_sums.number * counted)
    with np.errstate(invalid="ignore", divide="ignore"):
        local = (weights @ (total * counted)) / n
    return np.where(n >= 1, local, np.nan)


def fano_factor(
    trains: SpikeTrains, weights: npt.NDArray[Any], *, over: str = "time", window: float | None = None
) -> FloatArray:
    """Variance over mean (variance with ddof 1) of spike counts.

    Parameters
    ----------
    trains : SpikeTrains
    weights : array, shape (draw, sample)
    over : {"time", "sample"}
        ``"time"``: over the windows of a sample, about that sample's own mean, pooled over
        samples, so that differences between samples (stimuli, realisations) do not count.
        ``"sample"``: over samples, of the count in the whole sample.
    window : float, optional
        Length of a window, in the trains' unit; needed for ``over="time"``.

    Returns
    -------
    array, shape (draw, neuron)
        NaN for silent neurons, and for fewer than two windows or samples.  With
        ddof 1 the expectation for a Poisson train is exactly 1 at any rate.
    """
    weights = np.asarray(weights, dtype=np.float64)
    size = weights.sum(axis=1, keepdims=True)
    if over == "time":
        if window is None:
            raise StatisticError("the Fano factor over time needs a window", remedy="give window=")
        n_windows, total, square, _ = trains.window_sums(window)
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = (weights @ square) / (size * (n_windows - 1))
            mean = (weights @ total) / (size * n_windows)
        defined = n_windows > 1
    else:
        centre = weighted_mean(np.ones((1, trains.n_samples)), trains.counts)[0]
        # About the mean, so that large counts keep their digits.
        shift, square = weighted_sums(
            weights / size, lambda counts: (counts - centre, (counts - centre) ** 2), trains.counts
        )
        variance = (square - shift**2) * size / np.maximum(size - 1, 1)
        mean = about(centre, shift)
        defined = trains.n_samples > 1
    fano: FloatArray = np.divide(variance, mean, out=np.full_like(mean, np.nan), where=(mean > 0) & defined)
    return fano
