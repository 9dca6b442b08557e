"""Reductions over time, which :meth:`eiplatform.statistics.population.Population.table` keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.statistics.kernels.moments import FloatArray

__all__ = ["time_mean", "time_sum", "time_variance"]


def time_mean(values: npt.NDArray[Any]) -> FloatArray:
    """Average over time, shape (sample, time, neuron) to (sample, neuron)."""
    mean: FloatArray = values.mean(axis=1, dtype=np.float64)
    return mean


def time_sum(values: npt.NDArray[Any]) -> FloatArray:
    """Sum over time, shape (sample, time, neuron) to (sample, neuron)."""
    total: FloatArray = values.sum(axis=1, dtype=np.float64)
    return total


def time_variance(values: npt.NDArray[Any]) -> FloatArray:
    """Variance (ddof 0) over time, shape (sample, time, neuron) to (sample, neuron)."""
    variance: FloatArray = values.var(axis=1, dtype=np.float64)
    return variance
