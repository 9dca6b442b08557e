"""Weighted moments of excitation and inhibition along the sample axis, by matrix products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from eiplatform.statistics.kernels.spill import empty_table, release, row_blocks_of

__all__ = [
    "RELATIVE_TOLERANCE",
    "CurrentPair",
    "FloatArray",
    "CurrentMoments",
    "about",
    "weighted_mean",
    "weighted_nanmean",
    "weighted_sums",
    "with_received",
]

FloatArray = npt.NDArray[np.float64]
Made = TypeVar("Made")

RELATIVE_TOLERANCE = 1e-5
"""A signal whose standard deviation is below this part of its root mean square is constant:
recorded signals are float32 sums, whose rounding alone makes 1e-7 to 1e-6."""


_CANCELLED = 1e-12  # of a mean over samples, in float64


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
    return weighted_sums(_normalised(weights), lambda part: (part,), data)[0]


def weighted_sums(
    weights: FloatArray, terms: Callable[..., tuple[FloatArray, ...]], *tables: npt.NDArray[Any]
) -> list[FloatArray]:
    """Sum terms over samples under several weightings, in blocks of samples.

    Only one block of the terms is held at a time, so neither tables nor terms need fit into the
    memory.

    Parameters
    ----------
    weights : array, shape (draw, sample)
    terms : callable
        Takes the same rows of every table and returns arrays (rows, ...) to be summed.
    *tables : array, shape (sample, ...)

    Returns
    -------
    list of array, shape (draw, ...)
        ``weights @ term`` of every term.

    Examples
    --------
    >>> import numpy as np
    >>> weighted_sums(np.array([[1.0, 2.0]]), lambda a: (a, a**2), np.array([[3.0], [4.0]]))
    [array([[11.]]), array([[41.]])]
    """
    sums: list[FloatArray] = []
    for rows, parts in row_blocks_of(*tables):
        block = weights[:, rows]
        found = [block @ term for term in terms(*parts)]
        if sums:
            for total, part in zip(sums, found, strict=True):
                total += part
        else:
            sums = found
    return sums


def about(centre: FloatArray, deviation: FloatArray) -> FloatArray:
    """Return centre + deviation, 0 where the two cancel but for their rounding.

    A neuron that is active in one sample only has the mean 0 in a draw without it, not 1e-17, by which a ratio
    could be divided.

    Examples
    --------
    >>> import numpy as np
    >>> about(np.array([0.1]), np.array([[0.2 - 0.3]])).tolist()  # not 2.8e-17
    [[0.0]]
    """
    mean: FloatArray = centre + deviation
    return np.where(np.abs(mean) > _CANCELLED * np.abs(centre), mean, 0.0)


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

    def terms(part: FloatArray) -> tuple[FloatArray, FloatArray]:
        defined = np.isfinite(part)
        return np.where(defined, part, 0.0), defined.astype(np.float64)

    total, count = weighted_sums(np.asarray(weights, dtype=np.float64), terms, data)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: FloatArray = total / count
    return mean


def with_received(values: FloatArray, received: FloatArray) -> FloatArray:
    """Add to each neuron's value what it does to the values of the others: the neuron's influence on their mean.

    Parameters
    ----------
    values : array, shape (row, neuron)
        Mean over the other neurons of what this one makes with each of them.
    received : array, shape (row, neuron)
        Mean over the other neurons of what each of them makes with this one.

    Returns
    -------
    array, shape (row, neuron)
        With the mean of `values`; NaN where that is.

    Examples
    --------
    >>> import numpy as np
    >>> with_received(np.array([[1.0, 3.0]]), np.array([[0.0, 4.0]]))
    array([[-1.,  5.]])
    """
    defined = np.isfinite(values) & np.isfinite(received)
    with np.errstate(invalid="ignore"):
        mean = np.where(defined, received, 0.0).sum(axis=1, keepdims=True) / defined.sum(axis=1, keepdims=True)
    influence: FloatArray = values + (received - mean)
    return influence


@dataclass(frozen=True)
class CurrentMoments:
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
        self.n_samples, self.n_neurons = exc.shape
        self._centre_exc, self.exc, square_exc = _centred(exc)
        self._centre_inh, self.inh, square_inh = _centred(inh)
        self.floor_exc: FloatArray = RELATIVE_TOLERANCE**2 * (square_exc + self._centre_exc**2)
        self.floor_inh: FloatArray = RELATIVE_TOLERANCE**2 * (square_inh + self._centre_inh**2)
        self._square_exc, self._square_inh = square_exc, square_inh
        self._last: npt.NDArray[Any] | None = None
        self._shared: dict[str, Any] = {}

    @cached_property
    def varying(self) -> npt.NDArray[np.bool_]:
        """Whether both signals of a neuron vary over the samples, shape (neuron,)."""
        above: npt.NDArray[np.bool_] = (self._square_exc > self.floor_exc) & (self._square_inh > self.floor_inh)
        return above

    def means(self, weights: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Return the mean excitation and inhibition, each of shape (draw, neuron)."""
        moments = self.moments(weights)
        return moments.mean_exc, moments.mean_inh

    def shared(self, weights: npt.NDArray[Any], name: str, make: Callable[[], Made]) -> Made:
        """Return what `make` gives, made once for the same weights (the same array).

        Statistics are evaluated one after the other under the same weights, and several need
        the same moments.
        """
        if self._last is not weights:
            self._last, self._shared = weights, {}
        if name not in self._shared:
            self._shared[name] = make()
        made: Made = self._shared[name]
        return made

    def moments(self, weights: npt.NDArray[Any]) -> CurrentMoments:
        """Return all first and second moments under each weighting.

        Parameters
        ----------
        weights : array, shape (draw, sample)
        """
        return self._moments(weights)[0]

    def deviations(self, weights: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Return the means of the centred excitation and inhibition, each of shape (draw, neuron)."""
        return self._moments(weights)[1]

    def _moments(self, weights: npt.NDArray[Any]) -> tuple[CurrentMoments, tuple[FloatArray, FloatArray]]:
        return self.shared(weights, "moments", lambda: self._make_moments(weights))

    def _make_moments(self, weights: npt.NDArray[Any]) -> tuple[CurrentMoments, tuple[FloatArray, FloatArray]]:
        w = _normalised(weights)
        mean_exc, mean_inh, exc_squared, inh_squared, product = weighted_sums(
            w, lambda exc, inh: (exc, inh, exc**2, inh**2, exc * inh), self.exc, self.inh
        )
        var_exc = exc_squared - mean_exc**2
        var_inh = inh_squared - mean_inh**2
        moments = CurrentMoments(
            mean_exc=about(self._centre_exc, mean_exc),
            mean_inh=about(self._centre_inh, mean_inh),
            var_exc=np.where(var_exc > self.floor_exc, var_exc, np.nan),
            var_inh=np.where(var_inh > self.floor_inh, var_inh, np.nan),
            cov=product - mean_exc * mean_inh,
        )
        return moments, (mean_exc, mean_inh)


def _centred(values: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the mean over samples, the values about it, and their mean square."""
    n = len(values)
    centre: FloatArray = np.zeros(values.shape[1:])
    for _, (part,) in row_blocks_of(values):
        centre += part.sum(axis=0, dtype=np.float64) / n
    about = empty_table(values.shape)
    square: FloatArray = np.zeros(values.shape[1:])
    for rows, (part,) in row_blocks_of(values):
        about[rows] = part
        about[rows] -= centre
        square += (about[rows] ** 2).sum(axis=0) / n
        release(about)
    return centre, about, square
