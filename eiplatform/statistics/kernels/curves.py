"""Input-output curves of neurons: threshold-linear fits, and regression of one response on another."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.statistics.kernels.moments import FloatArray

__all__ = ["RectifiedFit", "regress"]

_MIN_POINTS = 5


class RectifiedFit:
    """Least-squares fits of rate = G [x - theta]+ to every neuron, for any weights of the samples.

    The best kink is found exactly: for each set of highest inputs the line through them, if its zero falls between
    that set and the next input, else the kink at that input (sums over sets are cumulative sums).  Then the points
    whose *fitted* rate is below a fraction `floor` of the largest are left out and a line is fitted through the rest:
    a curve that starts smoothly is bent at its foot, and choosing points by their own rate would flatten the line.

    Parameters
    ----------
    drive, rate : array, shape (sample, neuron)
    floor : float
        In [0, 1); 0: the best kink itself.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(0, 10, 50)[:, None]
    >>> gain, threshold = RectifiedFit(x, 2 * np.maximum(x - 4, 0)).fit(np.ones(50))
    >>> gain.round(9), threshold.round(9)
    (array([2.]), array([4.]))
    """

    def __init__(self, drive: npt.NDArray[Any], rate: npt.NDArray[Any], *, floor: float = 0.15) -> None:
        drive, rate = np.asarray(drive, dtype=np.float64), np.asarray(rate, dtype=np.float64)
        self._centre = drive.mean(axis=0)
        spread = drive.std(axis=0)
        self._constant = ~(spread > 1e-9 * np.sqrt((drive**2).mean(axis=0)))
        self._scale = np.where(self._constant, 1.0, spread)
        self._order = np.argsort(-drive, axis=0, kind="stable")
        self._x = np.take_along_axis((drive - self._centre) / self._scale, self._order, axis=0)
        self._y = np.take_along_axis(rate, self._order, axis=0)
        self._next = np.concatenate([self._x[1:], np.full_like(self._x[:1], -np.inf)])
        self._products = self._x * self._x, self._x * self._y, self._y * self._y
        self._floor = floor

    def fit(self, weights: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Gain and threshold of every neuron under one weighting.

        Parameters
        ----------
        weights : array, shape (sample,)
            Non-negative, e.g. how often the bootstrap drew each sample.

        Returns
        -------
        gain, threshold : array, shape (neuron,)
            NaN with fewer than five samples drawn on the line, a constant input or no rise.
        """
        w = np.asarray(weights, dtype=np.float64)[self._order]
        sums = [np.cumsum(w * part, axis=0) for part in (self._x, self._y, *self._products)]
        n = np.cumsum(w, axis=0)
        distinct = np.cumsum(w > 0, axis=0)
        slope, threshold, error = _lines(n, sums)
        feasible = (slope > 0) & (threshold <= self._x) & (threshold >= self._next)
        kink_slope, kink_error = _kinks(n, sums, self._next)
        some = distinct >= 2
        error = np.where(feasible & some, error, np.inf)
        kink_error = np.where(some & np.isfinite(self._next), kink_error, np.inf)
        at, kink_at = error.argmin(axis=0), kink_error.argmin(axis=0)
        column = np.arange(w.shape[1])
        on_kink = kink_error[kink_at, column] < error[at, column]
        start = np.where(on_kink, self._next[kink_at, column], threshold[at, column])
        highest = self._x[(w > 0).argmax(axis=0), column]
        cut = start + self._floor * (highest - start)
        last = np.maximum((self._x > cut).sum(axis=0) - 1, 0)  # the lowest point on the line
        if self._floor > 0:
            gain, zero = slope[last, column], threshold[last, column]
        else:
            gain, zero = np.where(on_kink, kink_slope[kink_at, column], slope[at, column]), start
        good = (distinct[last, column] >= _MIN_POINTS) & (gain > 0) & ~self._constant & np.isfinite(zero)
        return (
            np.where(good, gain / self._scale, np.nan),
            np.where(good, zero * self._scale + self._centre, np.nan),
        )


def _lines(n: FloatArray, sums: list[FloatArray]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Slope, zero and squared error (all points; those outside the set predicted 0) of the line through each set."""
    x, y, xx, xy, yy = sums
    with np.errstate(invalid="ignore", divide="ignore"):
        s_xx, s_xy, s_yy = xx - x * x / n, xy - x * y / n, yy - y * y / n
        slope = np.where(s_xx > 1e-12 * np.maximum(xx, 1e-300), s_xy / s_xx, np.nan)
        zero = (x - y / slope) / n
        error = s_yy - slope * s_xy + (yy[-1] - yy)
    return slope, zero, error


def _kinks(n: FloatArray, sums: list[FloatArray], kink: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Slope and squared error of the best line from (kink, 0) through each set; infinite if it does not rise."""
    x, y, xx, xy, yy = sums
    safe = np.where(np.isfinite(kink), kink, 0.0)
    s_xy = xy - safe * y
    s_xx = xx - 2 * safe * x + safe * safe * n
    rises = (s_xy > 0) & (s_xx > 0)
    slope = s_xy / np.where(rises, s_xx, 1.0)
    return slope, np.where(rises, yy[-1] - slope * s_xy, np.inf)


def regress(weights: npt.NDArray[Any], x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Slope and offset of the least-squares line of y on x for every neuron, each of shape (draw, neuron).

    Parameters
    ----------
    weights : array, shape (draw, sample)
    x, y : array, shape (sample, neuron)

    Returns
    -------
    slope, offset : array
        NaN where x does not vary.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(4.0)[:, None]
    >>> slope, offset = regress(np.ones((1, 4)), x, 3 * x + 1)
    >>> slope.round(9), offset.round(9)
    (array([[3.]]), array([[1.]]))
    """
    weights = np.asarray(weights, dtype=np.float64)
    w = weights / weights.sum(axis=1, keepdims=True)
    centre_x, centre_y = x.mean(axis=0), y.mean(axis=0)
    x, y = x - centre_x, y - centre_y
    mean_x, mean_y = w @ x, w @ y
    var, cov = w @ (x * x) - mean_x**2, w @ (x * y) - mean_x * mean_y
    floor = 1e-10 * ((x * x).mean(axis=0) + centre_x**2)
    slope = np.divide(cov, var, out=np.full_like(var, np.nan), where=var > floor)
    return slope, mean_y + centre_y - slope * (mean_x + centre_x)
