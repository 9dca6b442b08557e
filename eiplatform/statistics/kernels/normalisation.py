"""Gain against population activity: the slope of their logarithms and the fit of divisive normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.statistics.kernels.moments import FloatArray, weighted_sums

__all__ = ["fit_normalisation", "log_slope"]

_GRID = 161
_DECADES = 3.0


def log_slope(weights: npt.NDArray[Any], activity: FloatArray, gain: FloatArray) -> FloatArray:
    """Slope of ln gain on ln population activity over samples, shape (draw, neuron).

    Samples without activity carry no weight; a neuron with a gain that is not positive in some other sample is NaN.

    Parameters
    ----------
    weights : array, shape (draw, sample)
    activity : array, shape (sample,)
    gain : array, shape (sample, neuron)

    Examples
    --------
    >>> import numpy as np
    >>> activity = np.array([1.0, 2.0, 4.0, 8.0])
    >>> log_slope(np.ones((1, 4)), activity, 5 / activity[:, None]).round(9)
    array([[-1.]])
    """
    active = activity > 0
    weights = np.asarray(weights, dtype=np.float64) * active
    some = weights.sum(axis=1) > 0
    slope = np.full((len(weights), gain.shape[1]), np.nan)
    if not some.any():
        return slope
    x = np.log(np.where(active, activity, 1.0))
    x = np.where(active, x - x[active].mean(), 0.0)[:, None]
    w: FloatArray = weights[some] / weights[some].sum(axis=1, keepdims=True)

    def terms(x: FloatArray, g: FloatArray) -> tuple[FloatArray, ...]:
        y = np.log(np.where(g > 0, g, 1.0))
        return x, x**2, y, x * y

    mean_x, square, mean_y, product = weighted_sums(w, terms, x, gain)
    variance = square - mean_x**2
    centre = np.log(activity[active]).mean()
    varies = variance > 1e-10 * ((x[active] ** 2).mean() + centre**2)
    slope[some] = np.where(varies, (product - mean_x * mean_y) / np.where(varies, variance, 1.0), np.nan)
    (lost,) = weighted_sums(active[None].astype(np.float64), lambda g: ((g <= 0).astype(np.float64),), gain)
    return np.where(lost > 0, np.nan, slope)


def fit_normalisation(
    weights: npt.NDArray[Any], activity: FloatArray, gain: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Least-squares fit of gain = G / (1 + P / sigma), P the population's activity.

    For a given sigma the best G is linear; sigma is searched on a logarithmic grid over six decades around the
    mean activity and refined by a parabola.

    Parameters
    ----------
    weights : array, shape (draw, sample)
    activity : array, shape (sample,)
        Not negative.
    gain : array, shape (sample, neuron)

    Returns
    -------
    maximum, sigma, r2 : array, shape (draw, neuron)
        r2 is relative to a constant gain.  NaN where the best sigma lies at an end of the grid: then the data do not
        tell sigma (a gain that does not fall with activity, or falls as 1/P throughout).

    Examples
    --------
    >>> import numpy as np
    >>> activity = np.linspace(0.5, 8, 100)
    >>> found = fit_normalisation(np.ones((1, 100)), activity, 3 / (1 + activity[:, None] / 2))
    >>> [float(part[0, 0].round(2)) for part in found]
    [3.0, 2.0, 1.0]
    """
    weights = np.asarray(weights, dtype=np.float64)
    w = weights / weights.sum(axis=1, keepdims=True)
    log_sigma = np.log(activity.mean()) + np.linspace(-_DECADES, _DECADES, _GRID) * np.log(10.0)
    basis = 1 / (1 + activity[:, None] / np.exp(log_sigma))
    basis = basis / np.sqrt((basis**2).mean(axis=0))  # sums of squares of one size along the grid
    found = [np.empty((len(w), gain.shape[1])) for _ in range(3)]
    for draw, row in enumerate(w):
        power = row @ basis**2
        projected = (basis * row[:, None]).T @ gain
        explained = projected**2 / power[:, None]
        best = np.where(projected > 0, explained, -np.inf).argmax(axis=0)
        inside = np.clip(best, 1, _GRID - 2)
        column = np.arange(gain.shape[1])
        left, top, right = (explained[inside + step, column] for step in (-1, 0, 1))
        bend = left - 2 * top + right
        shift = np.divide(left - right, 2 * bend, out=np.zeros_like(top), where=bend < 0)
        sigma = np.exp(log_sigma[inside] + shift * (log_sigma[1] - log_sigma[0]))
        shape = 1 / (1 + activity[:, None] / sigma)
        maximum = (row @ (shape * gain)) / (row @ shape**2)
        error = row @ (gain - maximum * shape) ** 2
        variance = row @ gain**2 - (row @ gain) ** 2
        determined = (best > 0) & (best < _GRID - 1) & (variance > 1e-10 * (row @ gain**2))
        for part, values in zip(found, (maximum, sigma, 1 - error / np.where(determined, variance, 1.0)), strict=True):
            part[draw] = np.where(determined, values, np.nan)
    return found[0], found[1], found[2]
