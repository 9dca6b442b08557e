"""Labelled statistics of how neurons vary together."""

from __future__ import annotations

import numpy as np
import xarray as xr

from eiplatform.errors import choose
from eiplatform.statistics import estimates
from eiplatform.statistics.labelled.common import labelled, measured
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import STATISTICS

__all__ = ["chi", "count_correlation", "synchrony"]


def count_correlation(
    population: xr.Dataset,
    *,
    over: str = "time",
    per: str = "neuron",
    n_neurons: int = estimates.FIXED_NEURONS,
    window: float | None = None,
) -> xr.DataArray:
    """Pearson correlation of the spike counts of pairs of neurons.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` or spike events.
    over : {"time", "sample"}
        ``"time"``: over at least 10 windows per sample, about each sample's own mean, pooled
        over samples.  ``"sample"``: of the count in the whole sample, over at least 30 samples
        (in a network these are different images: shared preferences count).
    per : {"neuron", "pair"}
        Each neuron's mean over its partners, or the correlation of every pair.
    n_neurons : int
        At most so many neurons, a fixed random draw.
    window : float, optional
        Length of a window, for ``over="time"``: default 10 steps or 50 ms.

    Returns
    -------
    xarray.DataArray, dims (neuron) or (pair)
        Over pairs, with coordinates ``first`` and ``second`` and attributes ``mean``, ``sd`` and
        ``sd_independent``, the sd that independent neurons would show in so few windows.

    Raises
    ------
    StatisticError
        If the population has no spikes.
    TooShortError
        With too few windows or samples.

    References
    ----------
    Cohen & Kohn 2011, Nat Neurosci 14:811; Renart et al. 2010, Science 327:587.
    """
    choose(per, ("neuron", "pair"), "result")
    key = "count_correlation" if over == "time" else "count_correlation_samples"
    checked = Population(population)
    if per == "neuron":
        return labelled(checked, estimates.count_correlation(checked, over, n_neurons, window), key)
    values, neuron, attrs, free = estimates.count_correlation_pairs(checked, over, n_neurons, window)
    first, second = (neuron[index] for index in np.triu_indices(len(neuron), 1))
    found = values[np.isfinite(values)]
    attrs |= {
        "long_name": STATISTICS[key].label,
        "units": "1",
        "n": found.size,
        "n_excluded": values.size - found.size,
        "exclusion": "a silent or constant neuron",
        "over": over,
        "mean": float(found.mean()) if found.size else np.nan,
        "sd": float(found.std()) if found.size else np.nan,
        "sd_independent": 1 / np.sqrt(free),
        "reference": STATISTICS[key].reference,
    }
    return xr.DataArray(
        values, dims="pair", coords={"first": ("pair", first), "second": ("pair", second)}, name=key, attrs=attrs
    )


def chi(
    population: xr.Dataset,
    *,
    signal: str = "voltage",
    n_neurons: int = estimates.FIXED_NEURONS,
    window: float | None = None,
) -> xr.DataArray:
    """Golomb & Rinzel's synchrony chi at a fixed number of neurons: 1 all alike, 1/sqrt(n) independent.

    Parameters
    ----------
    population : xarray.Dataset
        With the signal.
    signal : str
        ``"voltage"``, ``"spikes"`` (counts in windows) or another signal.
    n_neurons : int
        At most the recorded number; the value is the mean over all subsets of this size.
    window : float, optional
        Length of a window, for spikes: default 1 step or 3 ms.

    Returns
    -------
    xarray.DataArray, dims ()

    Raises
    ------
    StatisticError
        If the signal is missing or not finite, or the time axis has gaps.
    TooShortError
        With fewer than 50 intervals or `n_neurons` neurons.

    References
    ----------
    Golomb & Rinzel 1993, Phys Rev E 48:4810; Golomb 2007, Scholarpedia 2(1):1347.
    """
    key = "chi_spikes" if signal == "spikes" else "chi_voltage"
    result = measured(population, key, estimates.chi, signal, n_neurons, window)
    return result.assign_attrs(long_name=f"chi of {signal} ({n_neurons} neurons)")


def synchrony(
    population: xr.Dataset, *, n_neurons: int = estimates.FIXED_NEURONS, window: float | None = None
) -> xr.DataArray:
    """Variance over mean of the spike count of a fixed number of neurons together.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` or spike events.
    n_neurons : int
        At most the recorded number; the value is the mean over all subsets of this size.
    window : float, optional
        Default 1 step or 3 ms; at least 50 in a sample.

    Returns
    -------
    xarray.DataArray, dims ()
        Independent Poisson neurons: 1.

    Raises
    ------
    StatisticError
        If the population has no spikes.
    TooShortError
        With too few windows or neurons.

    References
    ----------
    Potjans & Diesmann 2014, Cereb Cortex 24:785.
    """
    result = measured(population, "synchrony", estimates.synchrony, n_neurons, window)
    return result.assign_attrs(long_name=f"variance over mean of population counts ({n_neurons} neurons)")
