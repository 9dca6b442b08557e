"""Labelled statistics of the regime of firing."""

from __future__ import annotations

import xarray as xr

from eiplatform.statistics import estimates
from eiplatform.statistics.labelled.common import measured

__all__ = ["driven_above_threshold", "fluctuation_index"]


def fluctuation_index(population: xr.Dataset) -> xr.DataArray:
    """Fluctuation index (theta - mu)/sigma of each neuron's free membrane potential.

    Positive: the mean stays below threshold and fluctuations cause the spikes; negative: the mean drives them.  The
    free potential is the membrane's without threshold and reset, followed through the recorded input.

    Parameters
    ----------
    population : xarray.Dataset
        With ``current_exc`` and ``current_inh``, and the attributes ``threshold`` and ``membrane_decay`` (a network,
        with ``drive``, or ``gain`` and ``bias``) or ``tau_membrane`` (a circuit, with what its currents need to
        become a potential: see the page).

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    NotApplicableError
        If an attribute or signal that the membrane needs is missing.
    StatisticError
        If a signal is not finite, or the time axis has gaps.
    TooShortError
        With fewer than 50 intervals per sample.

    References
    ----------
    Rossbroich, Gygax & Zenke 2022, Neuromorph Comput Eng 2:044016; Brunel 2000, J Comput Neurosci 8:183 (whose sigma
    is sqrt(2) times the standard deviation of the potential).
    """
    return measured(population, "fluctuation_index", estimates.fluctuation_index)


def driven_above_threshold(population: xr.Dataset) -> xr.DataArray:
    """Share of time in which the free membrane potential of each neuron is at or above threshold.

    Parameters, result and errors are those of :func:`fluctuation_index`; for a Gaussian potential it is
    Phi(-fluctuation_index).

    Parameters
    ----------
    population : xarray.Dataset

    Returns
    -------
    xarray.DataArray, dims (neuron)

    References
    ----------
    Brunel 2000, J Comput Neurosci 8:183.
    """
    return measured(population, "driven_above_threshold", estimates.driven_above_threshold)
