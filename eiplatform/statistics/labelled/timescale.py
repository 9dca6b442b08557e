"""Labelled statistics of the memory and rhythm of activity."""

from __future__ import annotations

import numpy as np
import xarray as xr

from eiplatform.statistics import estimates, kernels
from eiplatform.statistics.labelled.common import measured
from eiplatform.statistics.population import Population

__all__ = ["power_spectrum", "timescale"]


def timescale(
    population: xr.Dataset, *, signal: str = "voltage", max_lag: float | None = None, window: float | None = None
) -> xr.DataArray:
    """Autocorrelation time: how long a signal, or the population's spiking, stays alike.

    Parameters
    ----------
    population : xarray.Dataset
        With the signal.
    signal : str
        A signal over time: the integrated autocorrelation time of each neuron.  ``"spikes"``: the
        decay time of the autocovariance of counts, averaged over neurons, without lag 0.
    max_lag : float, optional
        Longest lag: default 20 steps or 100 ms; a sample must be 5 times as long.
    window : float, optional
        In which spikes are counted: default 1 step or 5 ms.

    Returns
    -------
    xarray.DataArray, dims (neuron) or ()
        In steps or ms.  NaN for times above a third of the longest lag (or for spikes, without
        autocorrelation beyond chance).

    Raises
    ------
    StatisticError
        If the signal is missing or not finite, or the time axis has gaps.
    TooShortError
        If samples are shorter than 5 times the longest lag.

    References
    ----------
    Murray et al. 2014, Nat Neurosci 17:1661; Sokal 1997, in Functional Integration, 131; Marriott &
    Pope 1954, Biometrika 41:390.
    """
    key = "timescale_spikes" if signal == "spikes" else "timescale_voltage"
    result = measured(population, key, estimates.timescale, signal, max_lag, window)
    if signal in ("spikes", "voltage"):
        return result
    return result.assign_attrs(long_name=f"autocorrelation time of {signal}")


def power_spectrum(population: xr.Dataset, *, window: float | None = None, segment: float | None = None) -> xr.Dataset:
    """Power spectrum of the population's spike count, relative to as many Poisson neurons.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` or spike events.
    window : float, optional
        In which spikes are counted: default 1 step or 1 ms.
    segment : float, optional
        Length of a segment, whose inverse is the resolution: default 128 steps or 512 ms.

    Returns
    -------
    xarray.Dataset
        ``power`` over ``frequency`` (1/step or Hz), mean over samples, NaN if no neuron fires;
        ``peak`` and ``height`` (over the median), NaN if no frequency stands out of white noise.

    Raises
    ------
    StatisticError
        If the population has no spikes.
    TooShortError
        If samples are shorter than a segment.

    References
    ----------
    Welch 1967, IEEE Trans Audio 15:70.
    """
    checked = Population(population)
    frequency, power, mean, independent, attrs = estimates.spectrum(checked, window, segment)
    total = power.mean(axis=0)
    where, height = kernels.spectrum_peak(frequency, total[None], independent)
    level = mean.mean()
    units = "1/step" if checked.units == "step" else "Hz"
    return xr.Dataset(
        {
            "power": ("frequency", total / level if level > 0 else np.full_like(total, np.nan)),
            "peak": ((), where[0], {"units": units}),
            "height": ((), height[0]),
        },
        coords={"frequency": ("frequency", frequency, {"units": units})},
        attrs={
            "long_name": "power of the population's spike count over that of Poisson neurons",
            "units": "1",
            "n": len(checked.spiking_neuron),
            "n_samples": checked.n_samples,
            "independent_segments": independent,
            "over": "time",
            **attrs,
        },
    )
