"""Weighted moments of excitation and inhibition along the sample axis, by matrix products."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["RELATIVE_TOLERANCE", "CurrentPair", "FloatArray", "Moments", "weighted_mean", "weighted_nanmean"]

FloatArray = npt.NDArray[np.float64]

RELATIVE_TOLERANCE = 1e-5
"""A signal whose standard deviation is below this part of its root mean square is constant:
recorded signals are float32 sums, whose rounding alone makes 1e-7 to 1e-6."""


def _normalised(weights: npt.NDArray[Any]) -> FloatArray:
    weights = np.asarray(weights, dtype=np.float64)
    normalised: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    return normalised


def weighted_mean(weights: npt.NDArray[Any], data: FloatArray) -> FloatArray:
    """Average over samples under several weightings.

    Parameters
    ----------
    weights : array, shape (draw, sample)
        Non-negative, e.g. how often the bootstrap drew each sample; rows need not sum to one.
    data : array, shape (sample, neuron)

    Returns
    -------
    array, shape (draw, neuron)

    Examples
    --------
    >>> import numpy as np
    >>> weighted_mean(np.array([[1, 1], [2, 0]]), np.array([[1.0], [3.0]]))
    array([[2.],
           [1.]])
    """
    return _normalised(weights) @ data


def weighted_nanmean(weights: npt.NDArray[Any], data: FloatArray) -> FloatArray:
    """Average over the samples in which a value is defined; NaN where there is none.

    Parameters
    ----------
    weights : array, shape (draw, sample)
    data : array, shape (sample, neuron)
        May hold NaN.

    Returns
    -------
    array, shape (draw, neuron)
    """
    defined = np.isfinite(data)
    weights = np.asarray(weights, dtype=np.float64)
    if defined.all():
        everywhere: FloatArray = (weights @ data) / weights.sum(axis=1, keepdims=True)
        return everywhere
    total = weights @ np.where(defined, data, 0.0)
    count = weights @ defined.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: FloatArray = total / count
    return mean


@dataclass(frozen=True)
class Moments:
    """Means, population variances (ddof 0) and covariance, each of shape (draw, neuron).

    Variances of constant signals are set to NaN, so that whatever divides by them is NaN.
    """

    mean_exc: FloatArray
    mean_inh: FloatArray
    var_exc: FloatArray
    var_inh: FloatArray
    cov: FloatArray


class CurrentPair:
    """Excitation and inhibition of one population, ready for moments under many weightings.

    The data are centred once; moments of centred data under bootstrap weights lose no digits,
    because a resampled mean is close to the mean.

    Parameters
    ----------
    exc, inh : array, shape (sample, neuron)

    Attributes
    ----------
    exc, inh : array, shape (sample, neuron)
        Deviations from the mean over samples.
    floor_exc, floor_inh : array, shape (neuron,)
        Variances up to which a signal is constant.

    Examples
    --------
    >>> import numpy as np
    >>> pair = CurrentPair(np.array([[1.0], [2.0], [3.0]]), np.array([[2.0], [4.0], [6.0]]))
    >>> moments = pair.moments(np.ones((1, 3)))
    >>> float(moments.mean_inh[0, 0]), round(float(moments.cov[0, 0]), 6)
    (4.0, 1.333333)
    """

    def __init__(self, exc: npt.NDArray[Any], inh: npt.NDArray[Any]) -> None:
        self.exc: FloatArray = np.array(exc, dtype=np.float64)
        self.inh: FloatArray = np.array(inh, dtype=np.float64)
        self.n_samples, self.n_neurons = self.exc.shape
        self._centre_exc, self._centre_inh = self.exc.mean(axis=0), self.inh.mean(axis=0)
        self.exc -= self._centre_exc
        self.inh -= self._centre_inh
        self._square_exc = np.einsum("sn,sn->n", self.exc, self.exc) / self.n_samples
        self._square_inh = np.einsum("sn,sn->n", self.inh, self.inh) / self.n_samples
        self.floor_exc: FloatArray = RELATIVE_TOLERANCE**2 * (self._square_exc + self._centre_exc**2)
        self.floor_inh: FloatArray = RELATIVE_TOLERANCE**2 * (self._square_inh + self._centre_inh**2)

    @cached_property
    def _products(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return self.exc**2, self.inh**2, self.exc * self.inh

    @cached_property
    def varying(self) -> npt.NDArray[np.bool_]:
        """Whether both signals of a neuron vary over the samples, shape (neuron,)."""
        above: npt.NDArray[np.bool_] = (self._square_exc > self.floor_exc) & (self._square_inh > self.floor_inh)
        return above

    def means(self, weights: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Return the mean excitation and inhibition, each of shape (draw, neuron)."""
        w = _normalised(weights)
        return w @ self.exc + self._centre_exc, w @ self.inh + self._centre_inh

    def moments(self, weights: npt.NDArray[Any]) -> Moments:
        """Return all first and second moments under each weighting.

        Parameters
        ----------
        weights : array, shape (draw, sample)
        """
        w = _normalised(weights)
        mean_exc, mean_inh = w @ self.exc, w @ self.inh
        if len(w) == 1:
            # One weighting needs no arrays of products, each as large as the data.
            pairs = ((self.exc, self.exc), (self.inh, self.inh), (self.exc, self.inh))
            square_exc, square_inh, product = (np.einsum("s,sn,sn->n", w[0], *pair)[None] for pair in pairs)
        else:
            square_exc, square_inh, product = (w @ table for table in self._products)
        var_exc = square_exc - mean_exc**2
        var_inh = square_inh - mean_inh**2
        return Moments(
            mean_exc=mean_exc + self._centre_exc,
            mean_inh=mean_inh + self._centre_inh,
            var_exc=np.where(var_exc > self.floor_exc, var_exc, np.nan),
            var_inh=np.where(var_inh > self.floor_inh, var_inh, np.nan),
            cov=product - mean_exc * mean_inh,
        )
