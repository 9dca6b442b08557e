"""Labelled statistics of what makes other numbers mean less."""

from __future__ import annotations

import xarray as xr

from eiplatform.errors import choose
from eiplatform.statistics import estimates
from eiplatform.statistics.labelled.common import measured

__all__ = ["always_on", "private_inhibition", "silent_share"]


def silent_share(population: xr.Dataset) -> xr.DataArray:
    """Share of the samples in which each neuron does not fire; the mean is the share of silent pairs.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` or spike events.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If the population has no spikes.
    """
    return measured(population, "silent_share", estimates.silent_share)


def always_on(population: xr.Dataset, *, measure: str = "pairs") -> xr.DataArray:
    """Share of the samples in which each neuron fires at every step, or of the spikes that come from these.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` per step.
    measure : {"pairs", "spikes"}
        Of pairs of neuron and sample (a value per neuron), or of all spikes (one value).

    Returns
    -------
    xarray.DataArray, dims (neuron) or ()

    Raises
    ------
    NotApplicableError
        If spikes are events: a circuit has no steps.
    StatisticError
        If the population has no spikes.
    """
    choose(measure, estimates.ALWAYS_ON, "measure of firing at every step")
    return measured(population, f"always_on_{measure}", estimates.always_on, measure)


def private_inhibition(population: xr.Dataset) -> xr.DataArray:
    """Share of the variance of each neuron's inhibition that the mean of the other neurons does not explain.

    Near 0 all neurons receive the same inhibition, up to a factor: then nothing can be balanced in detail,
    and no inhibitory neuron can be told from another by what it does.

    Parameters
    ----------
    population : xarray.Dataset
        With ``current_inh``.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    NotApplicableError
        If there is only one neuron.
    StatisticError
        If the signal is missing or not finite.
    """
    return measured(population, "private_inhibition", estimates.private_inhibition)
