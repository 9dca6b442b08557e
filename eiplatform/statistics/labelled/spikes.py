"""Labelled statistics of spikes: how much, how regularly, how variably."""

from __future__ import annotations

import xarray as xr

from eiplatform.statistics import estimates
from eiplatform.statistics.labelled.common import measured

__all__ = ["cv2", "cv_isi", "fano_factor", "lv", "lvr", "rate"]


def rate(population: xr.Dataset) -> xr.DataArray:
    """Give the firing rate of every neuron: spikes/step in a network, Hz in a circuit.

    Silent neurons count as 0.  A circuit's spikes cover the whole population, not only the
    neurons whose currents were recorded.

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
    return measured(population, "rate", estimates.rate)


def cv_isi(population: xr.Dataset, *, min_spikes: int = 10) -> xr.DataArray:
    """Coefficient of variation of inter-spike intervals (sd with ddof 0 over mean).

    Taken within each sample, then averaged over samples.  Biased low for few spikes (Poisson
    0.73 at 5, 0.86 at 10, 0.97 at 50): read :func:`lv` beside it.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` or spike events.
    min_spikes : int
        Samples in which a neuron fires fewer do not count for it; neurons without a sample that
        counts are NaN and counted.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If the population has no spikes.
    TooShortError
        With fewer than 50 recorded intervals per sample.

    References
    ----------
    Softky & Koch 1993, J Neurosci 13:334.
    """
    return measured(population, "cv_isi", estimates.isi, "cv", min_spikes)


def lv(population: xr.Dataset, *, min_spikes: int = 10) -> xr.DataArray:
    """Local variation 3 <((a - b)/(a + b))^2> over adjacent inter-spike intervals a, b.

    Parameters, result and errors are those of :func:`cv_isi`.  Not biased by few spikes or by
    slow changes of the rate.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` or spike events.
    min_spikes : int
        Samples in which a neuron fires fewer do not count for it.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    References
    ----------
    Shinomoto, Shima & Tanji 2003, Neural Comput 15:2823.
    """
    return measured(population, "lv", estimates.isi, "lv", min_spikes)


def lvr(population: xr.Dataset, *, min_spikes: int = 10, refractoriness: float | None = None) -> xr.DataArray:
    """Revised local variation 3 <(1 - 4ab/(a + b)^2)(1 + 4R/(a + b))> over adjacent intervals a, b.

    :func:`lv` with the part that a refractory period takes away given back, so that the value does
    not fall with the rate.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` or spike events.
    min_spikes : int
        Samples in which a neuron fires fewer do not count for it.
    refractoriness : float, optional
        The constant R: default 5 ms in a circuit (as in the paper), 0 steps in a network, whose
        neurons have no refractory period (the value is then that of :func:`lv`).

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If the population has no spikes, or the refractoriness is negative.
    TooShortError
        With fewer than 50 recorded intervals per sample.

    References
    ----------
    Shinomoto et al. 2009, PLoS Comput Biol 5:e1000433.
    """
    return measured(population, "lvr", estimates.isi, "lvr", min_spikes, refractoriness)


def cv2(population: xr.Dataset, *, min_spikes: int = 10) -> xr.DataArray:
    """Mean of 2 |a - b|/(a + b) over adjacent inter-spike intervals a, b.

    Parameters, result and errors are those of :func:`cv_isi`.  Not biased by few spikes or by
    slow changes of the rate.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` or spike events.
    min_spikes : int
        Samples in which a neuron fires fewer do not count for it.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    References
    ----------
    Holt et al. 1996, J Neurophysiol 75:1806.
    """
    return measured(population, "cv2", estimates.isi, "cv2", min_spikes)


def fano_factor(population: xr.Dataset, *, over: str = "time", window: float | None = None) -> xr.DataArray:
    """Fano factor: variance (ddof 1) over mean of a neuron's spike count.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` or spike events.
    over : {"time", "sample"}
        ``"time"``: over windows within a sample, about the sample's own mean, pooled over
        samples; needs at least 10 windows per sample.  ``"sample"``: of the count in the whole
        sample, over at least 30 samples (in a network these are different images).
    window : float, optional
        Length of a window, for ``over="time"``: default 10 steps or 50 ms.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If the population has no spikes.
    TooShortError
        With too few windows or samples.

    References
    ----------
    Fano 1947, Phys Rev 72:26.
    """
    key = "fano_factor" if over == "time" else "fano_factor_samples"
    return measured(population, key, estimates.fano, over, window)
