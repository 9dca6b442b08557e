"""Recordings reduced while they were made: states that merge, and what can be read off them.

Every shard holds the state of its own samples; opening the recording merges the shards.  Samples
and steps are pooled, neurons are kept apart in the moments and pooled in the distributions.

=================== =========================== ===========================================
variable            dimensions                  meaning
=================== =========================== ===========================================
``n``               ()                          values per neuron: samples times steps
``mean``            (signal, neuron)            mean
``m2``              (signal, neuron)            sum of squared deviations from the mean
``comoment``        (signal, other, neuron)     sum of products of deviations
``histogram``       (signal, bin)               counts; first and last bin: outside the edges
``histogram_edges`` (signal, edge)              edges of the bins
``sketch``          (signal, bucket)            counts of logarithmic buckets, for quantiles
=================== =========================== ===========================================

Moments merge after Chan, Golub & LeVeque (1983), eq. 2.1; the sketch is that of Masson, Rim & Lee,
DDSketch (VLDB 2019), with relative accuracy :data:`ACCURACY`, on a fixed range, so that merging is
the sum of integers and independent of the order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from eiplatform.errors import StatisticError, StoreError, choose

__all__ = [
    "ACCURACY",
    "BUCKETS",
    "MERGED",
    "bucket_values",
    "correlation",
    "covariance",
    "is_reduced",
    "merge",
    "merge_moments",
    "quantile",
    "variance",
]

ACCURACY = 0.01
"""Relative error of a quantile."""
GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
SMALLEST, LARGEST = 1e-9, 1e9
"""Magnitudes below count as zero, magnitudes above as the largest."""
LOWEST = math.ceil(math.log(SMALLEST) / math.log(GAMMA))
PER_SIDE = math.ceil(math.log(LARGEST) / math.log(GAMMA)) - LOWEST + 1
BUCKETS = 2 * PER_SIDE + 1
"""Buckets of a sketch: negative values, zero, positive values, in rising order."""

MERGED = ("n", "mean", "m2", "comoment", "histogram", "histogram_edges", "sketch")
"""Variables of a reduced population."""

Array = NDArray[np.float64]


def is_reduced(data: xr.Dataset) -> bool:
    """Whether a population was reduced while it was recorded."""
    return "n" in data.data_vars and "signal" in data.dims


def merge_moments(first: tuple[int, Array, Array], second: tuple[int, Array, Array]) -> tuple[int, Array, Array]:
    """Merge two states (n, mean, sum of products of deviations).

    The mean has shape (signal, neuron); the last entry is (signal, neuron) for squares or
    (signal, other, neuron) for products.

    Examples
    --------
    >>> a, b = np.array([[1.0]]), np.array([[4.0]])
    >>> n, mean, m2 = merge_moments((1, a, 0 * a), (2, b, 0 * b))
    >>> n, mean.item(), m2.item()  # of 1, 4, 4
    (3, 3.0, 6.0)
    """
    (n_a, mean_a, m_a), (n_b, mean_b, m_b) = first, second
    n = n_a + n_b
    if n == 0:
        return first
    delta = mean_b - mean_a
    product = delta * delta if m_a.ndim == delta.ndim else delta[:, None] * delta[None]
    return n, mean_a + delta * (n_b / n), m_a + m_b + product * (n_a * n_b / n)


def merge(parts: Sequence[xr.Dataset]) -> dict[str, xr.Variable]:
    """Merge the reduced variables of several shards of one population.

    Raises
    ------
    StoreError
        If the shards counted into different bins.
    """
    first = parts[0]
    found: dict[str, xr.Variable] = {}
    for name in ("m2", "comoment"):
        if name in first:
            state = (0, np.zeros(first["mean"].shape), np.zeros(first[name].shape))
            for part in parts:
                state = merge_moments(state, (int(part["n"]), part["mean"].values, part[name].values))
            found["mean"] = xr.Variable(first["mean"].dims, state[1], first["mean"].attrs)
            found[name] = xr.Variable(first[name].dims, state[2], first[name].attrs)
    for name in ("n", "histogram", "sketch"):
        if name in first:
            total = sum(part[name].values.astype(np.int64) for part in parts)
            found[name] = xr.Variable(first[name].dims, total, first[name].attrs)
    if "histogram_edges" in first:
        edges = first["histogram_edges"]
        if any(not np.array_equal(part["histogram_edges"], edges) for part in parts):
            raise StoreError("shards counted into different bins")
        found["histogram_edges"] = edges.variable.load()
    return found


def _reduced(data: xr.Dataset, needs: str, keep: str) -> None:
    if not is_reduced(data) or needs not in data:
        raise StatisticError(f"this recording holds no '{needs}'", remedy=f"record it with keep: {keep}")


def _signal(data: xr.Dataset, name: str) -> str:
    return choose(name, [str(value) for value in data["signal"].values], "signal")


def variance(data: xr.Dataset, signal: str) -> xr.DataArray:
    """Return the variance (divisor n) over samples and steps of every neuron, shape (neuron,).

    Raises
    ------
    StatisticError
        If the recording was not reduced to moments.
    """
    if "comoment" in data:
        return covariance(data, signal, signal)
    _reduced(data, "m2", "moments")
    return data["m2"].sel(signal=_signal(data, signal)) / data["n"]


def covariance(data: xr.Dataset, signal: str, other: str) -> xr.DataArray:
    """Return the covariance (divisor n) of two signals of every neuron, shape (neuron,)."""
    _reduced(data, "comoment", "covariance")
    return data["comoment"].sel(signal=_signal(data, signal), other=_signal(data, other)) / data["n"]


def correlation(data: xr.Dataset, signal: str, other: str) -> xr.DataArray:
    """Return Pearson's correlation of two signals of every neuron, NaN where one of them is constant.

    Samples and steps are pooled, so that this mixes correlation over samples and over time.

    Examples
    --------
    >>> comoment = np.array([[[4.0], [-2.0]], [[-2.0], [1.0]]])
    >>> names = ["current_exc", "current_inh"]
    >>> data = xr.Dataset(
    ...     {"n": 5, "comoment": (("signal", "other", "neuron"), comoment)}, {"signal": names, "other": names})
    >>> correlation(data, *names).values.tolist()
    [-1.0]
    """
    both = covariance(data, signal, other)
    square = covariance(data, signal, signal) * covariance(data, other, other)
    return both / square.where(square > 0) ** 0.5


def bucket_values() -> Array:
    """Return the value that stands for each bucket of a sketch, shape (bucket,)."""
    positive = 2 * GAMMA ** np.arange(LOWEST, LOWEST + PER_SIDE, dtype=np.float64) / (GAMMA + 1)
    return np.concatenate([-positive[::-1], [0.0], positive])


def quantile(data: xr.Dataset, signal: str, q: float | Sequence[float]) -> xr.DataArray:
    """Return quantiles over neurons, samples and steps, to a relative accuracy of 1 %.

    Parameters
    ----------
    data : xarray.Dataset
        A population recorded with ``keep: quantiles``.
    signal : str
    q : float or sequence of float
        Between 0 and 1.

    Returns
    -------
    xarray.DataArray, dimension quantile
        The value of rank floor(q (n - 1)), exact up to the width of its bucket.
    """
    _reduced(data, "sketch", "quantiles")
    levels = np.atleast_1d(np.asarray(q, dtype=np.float64))
    if not ((levels >= 0) & (levels <= 1)).all():
        raise StatisticError(f"quantiles {levels.tolist()} are not possible", valid="0 to 1")
    below = np.cumsum(data["sketch"].sel(signal=_signal(data, signal)).values)
    rank = np.floor(levels * (below[-1] - 1))
    values: Any = bucket_values()[np.searchsorted(below, rank, side="right")]
    return xr.DataArray(values, dims="quantile", coords={"quantile": levels})
