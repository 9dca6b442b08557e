"""Naka-Rushton fits of many neurons at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.statistics.kernels.moments import FloatArray

__all__ = ["NakaRushton", "fit_naka_rushton"]

_EXPONENTS = (0.1, 10.0)
_STEPS = 60


@dataclass(frozen=True)
class NakaRushton:
    """Parameters of rate = maximum x^n / (x^n + half^n) + baseline, arrays of shape (neuron,); NaN if not found."""

    maximum: FloatArray
    half: FloatArray
    exponent: FloatArray
    baseline: FloatArray
    r2: FloatArray


def _curve(logs: FloatArray, half: FloatArray, exponent: FloatArray) -> FloatArray:
    """Give x^n / (x^n + half^n) from ln x (-inf for 0) and ln half."""
    with np.errstate(over="ignore"):
        saturated: FloatArray = 1 / (1 + np.exp(exponent * (half - logs)))
    return saturated


def _linear(
    shape: FloatArray, rate: FloatArray, w: FloatArray, baseline: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Best maximum and baseline for a given shape, and the squared error, over axis 0."""
    if baseline:
        mean_shape, mean_rate = w @ shape, w @ rate
        var = w @ (shape - mean_shape) ** 2
        maximum = (w @ ((shape - mean_shape) * rate)) / np.where(var > 1e-15, var, np.nan)
        base = mean_rate - maximum * mean_shape
    else:
        power = w @ shape**2
        maximum = (w @ (shape * rate)) / np.where(power > 1e-15, power, np.nan)
        base = np.zeros_like(maximum)
    return maximum, base, w @ (rate - maximum * shape - base) ** 2


def fit_naka_rushton(
    drive: npt.NDArray[Any], rate: npt.NDArray[Any], weights: npt.NDArray[Any] | None = None, *, baseline: bool = False
) -> NakaRushton:
    """Fit rate = maximum x^n / (x^n + half^n) (+ baseline) by least squares, all neurons together.

    For a given half-saturation and exponent the other two are linear.  Start: the best point of a grid; then damped
    Gauss-Newton steps (Levenberg 1944, Q Appl Math 2:164) in ln half and ln n, with the linear part solved exactly
    at every step (variable projection; Golub & Pereyra 1973, SIAM J Numer Anal 10:413).

    Parameters
    ----------
    drive, rate : array, shape (sample, neuron)
        Drive not negative.
    weights : array, shape (sample,), optional
    baseline : bool
        Fit a baseline; else it is 0.

    Returns
    -------
    NakaRushton
        NaN where the drive or the rate is constant, the fit falls, the exponent ends outside 0.1 to 10, or the
        half-saturation outside a tenth of the smallest to ten times the largest positive drive: then the data do not
        tell it.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(0, 10, 60)[:, None]
    >>> found = fit_naka_rushton(x, 40 * x**2 / (x**2 + 3.0**2))
    >>> [float(part.round(3)[0]) for part in (found.maximum, found.half, found.exponent, found.r2)]
    [40.0, 3.0, 2.0, 1.0]
    """
    x, y = np.asarray(drive, dtype=np.float64), np.asarray(rate, dtype=np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, dtype=np.float64)
    w = w / w.sum()
    usable = (x.max(axis=0) > 0) & (np.ptp(x, axis=0) > 1e-9 * x.max(axis=0)) & (np.ptp(y, axis=0) > 0)
    scale = np.where(usable, x.max(axis=0), 1.0)
    with np.errstate(divide="ignore"):
        logs = np.log(np.where(usable, x, 1.0) / scale)
    lowest = np.where(np.isfinite(logs), logs, 0.0).min(axis=0)
    half, exponent = _start(logs, lowest, y, w, baseline)
    half, exponent = _refine(logs, y, w, half, exponent, baseline)
    n = np.exp(exponent)
    shape = _curve(logs, half, n)
    maximum, base, error = _linear(shape, y, w, baseline)
    variance = w @ (y - w @ y) ** 2
    determined = usable & (maximum > 0) & (variance > 0) & (n > _EXPONENTS[0]) & (n < _EXPONENTS[1])
    determined &= (half > lowest - np.log(10)) & (half < np.log(10))
    parts = (maximum, np.exp(half) * scale, n, base, 1 - error / np.where(variance > 0, variance, 1.0))
    return NakaRushton(*(np.where(determined, part, np.nan) for part in parts))


def _start(
    logs: FloatArray, lowest: FloatArray, y: FloatArray, w: FloatArray, baseline: bool
) -> tuple[FloatArray, FloatArray]:
    """Best ln half and ln exponent of a grid."""
    best = np.full(logs.shape[1], np.inf)
    half, exponent = np.zeros_like(best), np.zeros_like(best)
    for place in np.linspace(0.0, 1.2, 9):
        trial = lowest * (1 - place)
        for n in (0.5, 1.0, 2.0, 4.0):
            maximum, _, error = _linear(_curve(logs, trial, np.full_like(trial, n)), y, w, baseline)
            error = np.where(maximum > 0, error, np.inf)
            better = error < best
            best = np.where(better, error, best)
            half, exponent = np.where(better, trial, half), np.where(better, np.log(n), exponent)
    return half, exponent


def _refine(
    logs: FloatArray, y: FloatArray, w: FloatArray, half: FloatArray, exponent: FloatArray, baseline: bool
) -> tuple[FloatArray, FloatArray]:
    """Damped Gauss-Newton steps on the projected residual, neurons apart."""
    reach = np.log(100.0)

    def residual(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
        shape = _curve(logs, a, np.exp(b))
        maximum, base, error = _linear(shape, y, w, baseline)
        filled = np.where(np.isfinite(maximum), maximum, 0.0)
        return y - filled * shape - np.where(np.isfinite(base), base, 0.0), np.where(maximum > 0, error, np.inf)

    damping = np.full_like(half, 1e-2)
    now, error = residual(half, exponent)
    step = 1e-5
    for _ in range(_STEPS):
        by_half = (residual(half + step, exponent)[0] - residual(half - step, exponent)[0]) / (2 * step)
        by_exponent = (residual(half, exponent + step)[0] - residual(half, exponent - step)[0]) / (2 * step)
        a, b, c = w @ by_half**2, w @ (by_half * by_exponent), w @ by_exponent**2
        p, q = -(w @ (by_half * now)), -(w @ (by_exponent * now))
        a, c = a * (1 + damping) + 1e-300, c * (1 + damping) + 1e-300
        determinant = a * c - b * b
        safe = np.where(determinant > 0, determinant, np.inf)
        move_half = np.clip((p * c - q * b) / safe, -1.0, 1.0)
        move_exponent = np.clip((q * a - p * b) / safe, -0.7, 0.7)
        next_half = np.clip(half + move_half, -2 * reach - 10, reach)
        next_exponent = np.clip(exponent + move_exponent, np.log(_EXPONENTS[0]), np.log(_EXPONENTS[1]))
        then, next_error = residual(next_half, next_exponent)
        better = next_error < error
        half, exponent = np.where(better, next_half, half), np.where(better, next_exponent, exponent)
        now, error = np.where(better, then, now), np.where(better, next_error, error)
        damping = np.clip(np.where(better, damping / 5, damping * 4), 1e-9, 1e9)
        if not better.any() and damping.min() > 1e6:
            break
    return half, exponent
