"""The membrane without threshold and reset: where its mean lies, how much it fluctuates, how often it is above."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eiplatform.statistics.kernels.moments import RELATIVE_TOLERANCE, FloatArray, weighted_mean

__all__ = ["FreeMembrane", "Inputs", "fluctuation_index", "free_membrane"]

Inputs = Iterable[tuple[FloatArray, FloatArray | float]]
"""Blocks of samples: the potential that the input of each interval would hold the membrane at, shape
(sample, time, neuron), and the part of a deviation from it that is left after the interval (or one for all)."""


@dataclass(frozen=True)
class FreeMembrane:
    """The free membrane potential of each sample, over time; arrays of shape (sample, neuron).

    Attributes
    ----------
    mean, variance : array
        Variance with ddof 0; 0 if it is only rounding.
    above : array
        Share of intervals at whose end the potential is at or above threshold.
    """

    mean: FloatArray
    variance: FloatArray
    above: FloatArray


def free_membrane(inputs: Inputs, threshold: float) -> FreeMembrane:
    """Follow V[t] = target[t] + left[t] (V[t-1] - target[t]), started at the mean of the target.

    Parameters
    ----------
    inputs : iterable of tuple
        Target and left, block of samples by block.
    threshold : float

    Examples
    --------
    >>> import numpy as np
    >>> target = np.random.default_rng(0).normal(size=(1, 20000, 1))
    >>> found = free_membrane([(target, 0.5)], 1.0)
    >>> found.variance.round(2)  # (1 - a)^2 / (1 - a^2) with a = 0.5
    array([[0.33]])
    """
    rows: list[tuple[FloatArray, FloatArray, FloatArray]] = []
    for target, left in inputs:
        n_time = target.shape[1]
        start = target.mean(axis=1)
        moved = np.zeros_like(start)  # potential minus `start`: sums keep their digits
        first, second, count = np.zeros_like(start), np.zeros_like(start), np.zeros_like(start)
        for t in range(n_time):
            pull = target[:, t] - start
            keep = left if isinstance(left, float) else left[:, t]
            moved = pull + keep * (moved - pull)
            first += moved
            second += moved**2
            count += moved >= threshold - start
        first /= n_time
        spread = np.maximum(second / n_time - first**2, 0.0)
        floor = RELATIVE_TOLERANCE**2 * (second / n_time + start**2)
        rows.append((start + first, np.where(spread > floor, spread, 0.0), count / n_time))
    return FreeMembrane(*(np.concatenate(parts) for parts in zip(*rows, strict=True)))


def fluctuation_index(weights: npt.NDArray[np.float64], membrane: FreeMembrane, threshold: float) -> FloatArray:
    """(threshold - mean) / sd of the free membrane potential, shape (draw, neuron); NaN without fluctuation.

    Mean and variance over time are averaged over samples before the division.

    Parameters
    ----------
    weights : array, shape (draw, sample)
    membrane : FreeMembrane
    threshold : float
    """
    variance = weighted_mean(weights, membrane.variance)
    distance = threshold - weighted_mean(weights, membrane.mean)
    index: FloatArray = np.divide(distance, np.sqrt(variance), out=np.full_like(variance, np.nan), where=variance > 0)
    return index
