"""Labelled statistics of tuning to classes."""

from __future__ import annotations

import xarray as xr

from eiplatform.errors import choose
from eiplatform.statistics import estimates, kernels
from eiplatform.statistics.labelled.common import measured

__all__ = ["ei_cotuning"]


def ei_cotuning(population: xr.Dataset, *, pairs: str = "own") -> xr.DataArray:
    """E-I co-tuning: correlation over classes of a neuron's mean excitation and mean inhibition.

    Every class counts once, however many samples it has.

    Parameters
    ----------
    population : xarray.Dataset
        With ``current_exc``, ``current_inh`` and the samples' ``label``.
    pairs : {"own", "cross", "excess"}
        With the inhibition of the same neuron; of the other neurons (mean); own minus cross.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    NotApplicableError
        If the samples have no labels.
    StatisticError
        If a signal is missing or not finite.
    TooShortError
        With fewer than 30 samples or 5 classes.

    References
    ----------
    Wehr & Zador 2003, Nature 426:442.
    """
    suffix = "" if choose(pairs, kernels.RESIDUAL_PAIRS, "pairing") == "own" else f"_{pairs}"
    return measured(population, f"ei_cotuning{suffix}", estimates.cotuning, pairs)
