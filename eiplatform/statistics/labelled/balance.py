"""Labelled statistics of how excitation and inhibition compare and vary together."""

from __future__ import annotations

import xarray as xr

from eiplatform.errors import choose
from eiplatform.statistics import estimates, kernels
from eiplatform.statistics.labelled.common import measured

__all__ = ["balance_index", "ei_correlation", "ei_ratio"]


def ei_ratio(population: xr.Dataset) -> xr.DataArray:
    """E/I ratio <E>/<I> of each neuron; averages over samples and time come before the ratio.

    The population's value is the geometric mean over neurons (a ratio of 2 and one of 1/2
    average to 1).

    Parameters
    ----------
    population : xarray.Dataset
        With ``current_exc`` and ``current_inh``.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If a signal is missing or not finite.

    References
    ----------
    Xue, Atallah & Scanziani 2014, Nature 511:596.

    Examples
    --------
    >>> import numpy as np
    >>> from eiplatform.store.schema import population_dataset
    >>> data = population_dataset(
    ...     {"current_exc": np.full((2, 4, 3), 2.0), "current_inh": np.ones((2, 4, 3))},
    ...     sample=np.arange(2), time=np.arange(4), neuron=np.arange(3), dt=1.0,
    ...     time_units="step", current_units="1", n_neurons=3, role="E")
    >>> ei_ratio(data).values
    array([2., 2., 2.])
    """
    return measured(population, "ei_ratio", estimates.balance, "ratio")


def balance_index(population: xr.Dataset) -> xr.DataArray:
    """Balance index beta = <E - I>/<E> of each neuron: 0 balanced, 1 no inhibition.

    Parameters
    ----------
    population : xarray.Dataset
        With ``current_exc`` and ``current_inh``.

    Returns
    -------
    xarray.DataArray, dims (neuron)
        NaN, and counted, for neurons whose mean excitation is less than a tenth of the sum of both currents
        (an index below -8): it is excitation that they lack.

    Raises
    ------
    StatisticError
        If a signal is missing or not finite.

    References
    ----------
    Ahmadian & Miller 2021, Neuron 109:3373.
    """
    return measured(population, "balance_index", estimates.balance, "index")


def ei_correlation(population: xr.Dataset, *, over: str = "sample", pairs: str = "own") -> xr.DataArray:
    """Pearson correlation of excitation and inhibition: of each neuron, or over the neurons of a sample.

    Parameters
    ----------
    population : xarray.Dataset
        With ``current_exc`` and ``current_inh``.
    over : {"sample", "time", "neuron"}
        ``"sample"``: of time-averaged currents over at least 30 samples.
        ``"time"``: over at least 50 recorded intervals within a sample, then averaged over
        samples.
        ``"neuron"``: of time-averaged currents over the (at least 5) neurons of a sample, then averaged over
        samples: one number for the population.
    pairs : {"own", "cross", "excess", "partial"}
        E and I of the same neuron; E of this with I of all other neurons (mean); own minus
        cross; own with the mean excitation of the other neurons regressed out.  Over neurons: E and I of
        the same sample; E of this with I of the other samples; own minus cross; no partial.

    Returns
    -------
    xarray.DataArray, dims (neuron), or () over neurons

    Raises
    ------
    StatisticError
        If a signal is missing or not finite, or the time axis has gaps.
    TooShortError
        With too few samples or intervals; the message says how many are enough.

    References
    ----------
    Okun & Lampl 2008, Nat Neurosci 11:535; Renart et al. 2010, Science 327:587.
    """
    if choose(over, ("sample", "time", "neuron"), "estimator axis") == "neuron":
        suffix = "" if choose(pairs, kernels.RESIDUAL_PAIRS, "pairing over neurons") == "own" else f"_{pairs}"
        return measured(population, f"ei_correlation_neurons{suffix}", estimates.over_neurons, pairs)
    word = {"sample": "samples", "time": "time"}[over]
    suffix = "" if choose(pairs, kernels.PAIRS, "pairing") == "own" else f"_{pairs}"
    return measured(population, f"ei_correlation_{word}{suffix}", estimates.correlation, over, pairs)
