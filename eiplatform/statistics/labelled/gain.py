"""Labelled statistics of the gain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from eiplatform.statistics import estimates, kernels
from eiplatform.statistics.labelled.common import checked_quantiles, measured
from eiplatform.statistics.population import Population

__all__ = ["gain", "gain_distribution"]


def gain(population: xr.Dataset, *, measure: str = "mean") -> xr.DataArray:
    """Gain of each neuron: the factor that multiplies its net current.

    Parameters
    ----------
    population : xarray.Dataset
        With ``gain``.
    measure : {"mean", "cv"}
        Mean over samples and time, or coefficient of variation over samples and time: whether
        the gain does anything.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If the population has no gain.
    """
    return measured(population, "gain" if measure == "mean" else "gain_cv", estimates.gain, measure)


def gain_distribution(
    population: xr.Dataset, *, quantiles: Sequence[float] = (0.025, 0.25, 0.5, 0.75, 0.975)
) -> xr.Dataset:
    """Describe the gain over all neurons, samples and times, and over each of these axes.

    Parameters
    ----------
    population : xarray.Dataset
        With ``gain``.
    quantiles : sequence of float
        In [0, 1].

    Returns
    -------
    xarray.Dataset
        ``mean``, ``sd`` (ddof 0), ``cv`` and ``quantile`` over everything, and ``sd_neurons``,
        ``sd_samples``, ``sd_time``: the standard deviation of the gain averaged over the other
        two axes.

    Raises
    ------
    StatisticError
        If the population has no gain, or a quantile is outside [0, 1].
    """
    wanted = checked_quantiles(quantiles)
    checked = Population(population)
    checked.require(("gain",), "the gain")
    values = checked.array("gain").astype(np.float64)
    mean, sd, cv, quantile = kernels.describe(values, tuple(wanted))
    spread = {
        f"sd_{word}": float(values.mean(axis=others).std())
        for word, others in (("samples", (1, 2)), ("time", (0, 2)), ("neurons", (0, 1)))
    }
    return xr.Dataset(
        {
            "mean": float(mean),
            "sd": float(sd),
            "cv": float(cv),
            **spread,
            "quantile": ("probability", quantile),
        },
        coords={"probability": wanted},
        attrs={"long_name": "distribution of the gain", "units": "1", "n": values.size, "over": "sample, time, neuron"},
    )
