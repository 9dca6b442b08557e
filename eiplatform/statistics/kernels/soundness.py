"""What makes other numbers mean less: silence, firing at every step, inhibition that neurons share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.statistics.kernels.moments import FloatArray, weighted_mean

__all__ = ["always_on_spikes", "private_share"]


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


def private_share(weights: npt.NDArray[Any], sums: FloatArray) -> FloatArray:
    """Share of the variance of a neuron's signal that the mean of the other neurons does not explain, 1 - r^2.

    Parameters
    ----------
    weights : array, shape (draw, sample)
    sums : array, shape (5, sample, neuron)
        Means over time of x, x^2, m, m^2 and x m, where x is the signal of the neuron and m the mean of
        the others, both about any fixed value.

    Returns
    -------
    array, shape (draw, neuron)
        NaN where the signal, or that of the others, is constant.
    """
    x, square, m, square_m, product = (weighted_mean(weights, table) for table in sums)
    own, others = square - x**2, square_m - m**2
    varies = (own > 1e-12 * square) & (others > 1e-12 * square_m)
    bound = np.where(varies, own * others, 1.0)
    share: FloatArray = np.where(varies, np.clip(1.0 - (product - x * m) ** 2 / bound, 0.0, 1.0), np.nan)
    return share
