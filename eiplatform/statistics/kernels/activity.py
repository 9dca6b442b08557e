"""How activity is spread over neurons and samples: inequality, shape of the rates, sparseness.

A value of a whole population, theta, is returned as one number per neuron, theta + I_i, where I_i
is the influence of neuron i (the first derivative of theta in that neuron's weight; its mean is 0).
The mean over neurons is then theta itself, and resampling neurons is the infinitesimal jackknife
(Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 21), as for any mean over neurons.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.errors import choose
from eiplatform.statistics.kernels.moments import FloatArray, weighted_mean, weighted_sums

__all__ = [
    "RATE_MEASURES",
    "always_on_spikes",
    "dead",
    "lifetime_sparseness",
    "population_sparseness",
    "rate_shape",
    "saturated",
]

RATE_MEASURES = ("cv", "gini", "log_sd", "log_skewness")
"""Shape of the distribution of rates over neurons: coefficient of variation and Gini index of all
neurons; standard deviation and skewness of the logarithm of the neurons that fire."""


def rate_shape(weights: npt.NDArray[Any], table: FloatArray, measure: str) -> FloatArray:
    """Describe the distribution of the neurons' rates.

    Parameters
    ----------
    weights : array, shape (draw, sample)
    table : array, shape (sample, neuron)
        Rates, not negative.
    measure : {"cv", "gini", "log_sd", "log_skewness"}

    Returns
    -------
    array, shape (draw, neuron)
        The value plus the influence of each neuron; NaN where the value is undefined, and for
        silent neurons where the logarithm is taken.

    Examples
    --------
    >>> import numpy as np
    >>> rates = np.array([[0.0, 0.0, 0.0, 8.0]])  # one neuron has everything
    >>> float(rate_shape(np.ones((1, 1)), rates, "gini").mean().round(6))
    0.75
    """
    choose(measure, RATE_MEASURES, "measure of the rates")
    rates = weighted_mean(weights, table)
    with np.errstate(invalid="ignore", divide="ignore"):
        if measure == "cv":
            return _cv(rates)
        if measure == "gini":
            return _gini(rates)
        logs = np.log(np.where(rates > 0, rates, np.nan))
        return _log_sd(logs) if measure == "log_sd" else _skewness(logs)


def _cv(rates: FloatArray) -> FloatArray:
    mean = rates.mean(axis=1, keepdims=True)
    square = (rates - mean) ** 2
    sd = np.sqrt(square.mean(axis=1, keepdims=True))
    # Equal rates: the derivative of the root does not exist, and no neuron has an influence.
    slope = np.where(sd > 1e-12 * mean, (square - sd**2) / (2 * sd) / mean - sd / mean**2 * (rates - mean), 0.0)
    cv: FloatArray = np.where(mean > 0, sd / mean + slope, np.nan)
    return cv


def _gini(rates: FloatArray) -> FloatArray:
    n = rates.shape[1]
    order = np.argsort(rates, axis=1)
    ordered = np.take_along_axis(rates, order, axis=1)
    below = np.cumsum(ordered, axis=1)
    # Mean distance of each neuron's rate from all rates, by ranks.
    distance = (ordered * (2 * np.arange(1, n + 1) - n) + below[:, -1:] - 2 * below) / n
    mean, spread = ordered.mean(axis=1, keepdims=True), distance.mean(axis=1, keepdims=True)
    value = spread / (2 * mean)
    influence = (distance - spread) / mean - value * (ordered - mean) / mean
    gini = np.empty_like(rates)
    np.put_along_axis(gini, order, np.where(mean > 0, value + influence, np.nan), axis=1)
    return gini


def _centred(logs: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Deviations from the mean over the finite values of a row, their number and standard deviation (ddof 0)."""
    finite = np.isfinite(logs)
    n = finite.sum(axis=1, keepdims=True)
    filled = np.where(finite, logs, 0.0)
    deviation = logs - filled.sum(axis=1, keepdims=True) / n
    variance = np.where(finite, deviation**2, 0.0).sum(axis=1, keepdims=True) / n
    return deviation, n, np.where(variance > 1e-24, np.sqrt(variance), np.nan)


def _summed(terms: FloatArray) -> FloatArray:
    """Return the sums of the finite values of each row."""
    total: FloatArray = np.where(np.isfinite(terms), terms, 0.0).sum(axis=1, keepdims=True)
    return total


def _squares_without(deviation: FloatArray, n: FloatArray) -> FloatArray:
    """Return sums of squares about their own mean when one value is left out, for every value."""
    squares = deviation**2
    rest: FloatArray = _summed(squares) - squares * n / (n - 1)
    return rest


def _cubes_without(deviation: FloatArray, n: FloatArray) -> FloatArray:
    """Return sums of cubes about their own mean when one value is left out, for every value."""
    squares, cubes, mean = deviation**2, deviation**3, -deviation / (n - 1)
    rest: FloatArray = _summed(cubes) - cubes - 3 * mean * (_summed(squares) - squares) + 2 * (n - 1) * mean**3
    return rest


def _jackknife(value: FloatArray, without: FloatArray, n: FloatArray) -> FloatArray:
    """Return the value plus deviations by the jackknife: derivatives are too small for few skewed values."""
    centre = np.where(np.isfinite(without), without, 0.0).sum(axis=1, keepdims=True) / n
    found: FloatArray = value - (n - 1) * (without - centre)
    return found


def _log_sd(logs: FloatArray) -> FloatArray:
    deviation, n, sd = _centred(logs)
    squares = _squares_without(deviation, n)
    value = sd * np.sqrt(n / (n - 1))
    without = np.sqrt(np.maximum(squares, 0.0) / np.maximum(n - 2, 1))
    # Of two values none can be left out.
    return _jackknife(value, np.where(n > 2, without, np.where(np.isfinite(deviation), value, np.nan)), n)


def _skewness(logs: FloatArray) -> FloatArray:
    deviation, n, sd = _centred(logs)
    z = deviation / np.where(n > 2, sd, np.nan)  # two values have no skewness of their own: it is 0
    value = np.where(np.isfinite(z), z**3, 0.0).sum(axis=1, keepdims=True) / n
    squares, cubes = _squares_without(deviation, n), _cubes_without(deviation, n)
    defined = np.isfinite(z) & (squares > 1e-12 * n * sd**2)
    scale = np.sqrt(n - 1) / np.where(defined, squares, 1.0) ** 1.5
    # Left out, one of three values leaves two, whose skewness is 0.
    return _jackknife(value, np.where(defined, cubes * scale, np.where(np.isfinite(z), 0.0, np.nan)), n)


def lifetime_sparseness(weights: npt.NDArray[Any], table: FloatArray) -> FloatArray:
    """Treves-Rolls sparseness of each neuron over samples, (1 - <r>^2/<r^2>)/(1 - 1/n).

    Parameters
    ----------
    weights : array, shape (draw, sample)
    table : array, shape (sample, neuron)
        Responses, not negative.

    Returns
    -------
    array, shape (draw, neuron)
        0: the same response to all n samples; 1: a response to one only.  NaN for silent neurons.

    Examples
    --------
    >>> import numpy as np
    >>> lifetime_sparseness(np.ones((1, 4)), np.array([[2.0, 0, 0], [2.0, 1, 0], [2.0, 0, 0], [2.0, 0, 0]]))
    array([[ 0.,  1., nan]])
    """
    weights = np.asarray(weights, dtype=np.float64)
    n = weights.sum(axis=1, keepdims=True)
    mean, square = weighted_sums(weights / n, lambda rows: (rows, rows**2), table)
    with np.errstate(invalid="ignore", divide="ignore"):
        sparse: FloatArray = (1 - mean**2 / square) / (1 - 1 / n)
    return sparse


def population_sparseness(table: FloatArray) -> FloatArray:
    """Treves-Rolls sparseness of the population in each sample, as value plus influence of each neuron.

    Parameters
    ----------
    table : array, shape (sample, neuron)
        Responses, not negative.

    Returns
    -------
    array, shape (sample, neuron)
        The mean over neurons is (1 - <r>^2/<r^2>)/(1 - 1/N); NaN for samples without a response.

    Examples
    --------
    >>> import numpy as np
    >>> population_sparseness(np.array([[3.0, 3.0, 3.0], [0.0, 5.0, 0.0]])).mean(axis=1)
    array([0., 1.])
    """
    mean, square = table.mean(axis=1, keepdims=True), (table**2).mean(axis=1, keepdims=True)
    scale = 1 - 1 / table.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        value = mean**2 / square
        change = 2 * mean / square * (table - mean) - value / square * (table**2 - square)
        sparse: FloatArray = (1 - value - change) / scale
    return sparse


def dead(weights: npt.NDArray[Any], table: FloatArray) -> FloatArray:
    """Whether a neuron is silent in all samples that count, 0 or 1, shape (draw, neuron)."""
    (total,) = weighted_sums(np.asarray(weights, dtype=np.float64), lambda rows: (rows,), table)
    return (total <= 0).astype(np.float64)


def saturated(weights: npt.NDArray[Any], table: FloatArray, limit: float) -> FloatArray:
    """Whether a neuron's mean rate reaches `limit`, 0 or 1, shape (draw, neuron)."""
    # A sum of counts over a product of whole numbers may miss the limit by its rounding.
    return (weighted_mean(weights, table) >= limit * (1 - 1e-9)).astype(np.float64)


def always_on_spikes(weights: npt.NDArray[Any], counts: FloatArray, always: FloatArray) -> FloatArray:
    """Share of all spikes that come from a neuron in a sample in which it fires at every step.

    Parameters
    ----------
    weights : array, shape (draw, sample)
    counts : array, shape (sample, neuron)
        Spikes.
    always : array, shape (sample, neuron)
        1 where a neuron fires at every step of a sample, else 0.

    Returns
    -------
    array, shape (draw, neuron)
        The share plus the influence of each neuron; NaN if nothing fires.

    Examples
    --------
    >>> import numpy as np
    >>> counts, always = np.array([[4.0, 1.0, 3.0]]), np.array([[1.0, 0.0, 0.0]])
    >>> float(always_on_spikes(np.ones((1, 1)), counts, always).mean())
    0.5
    """
    part, whole = weighted_mean(weights, counts * always), weighted_mean(weights, counts)
    mean = whole.mean(axis=1, keepdims=True)
    share = np.divide(part.mean(axis=1, keepdims=True), mean, out=np.full_like(mean, np.nan), where=mean > 0)
    influence = np.divide(part - share * whole, mean, out=np.full_like(whole, np.nan), where=mean > 0)
    found: FloatArray = share + influence
    return found
