"""Labelled statistics of how activity is spread over neurons and samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from scipy import stats

from eiplatform.statistics import estimates, kernels
from eiplatform.statistics.labelled.common import checked_quantiles, labelled, measured
from eiplatform.statistics.population import Population

__all__ = ["dead_fraction", "rate_distribution", "saturated_fraction", "sparseness"]


def rate_distribution(
    population: xr.Dataset, *, quantiles: Sequence[float] = (0.025, 0.25, 0.5, 0.75, 0.975)
) -> xr.Dataset:
    """Describe the distribution of rates over all neurons, silent ones included.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` or spike events.
    quantiles : sequence of float
        In [0, 1].

    Returns
    -------
    xarray.Dataset
        Over all neurons: ``mean``, ``sd`` (ddof 0), ``cv``, ``skewness``, ``kurtosis`` (excess),
        ``gini``, ``silent`` (share), ``quantile``, and ``cv_poisson``, the CV that equal Poisson
        neurons would show with so few spikes.  Over neurons that fire, a log-normal fit:
        ``log_mean``, ``log_sd`` (ddof 1), ``log_skewness`` (0 if log-normal) and
        ``log_distance``, the Kolmogorov-Smirnov distance from the fit.

    Raises
    ------
    StatisticError
        If the population has no spikes, or a quantile is outside [0, 1].

    References
    ----------
    Roxin et al. 2011, J Neurosci 31:16217; Buzsaki & Mizuseki 2014, Nat Rev Neurosci 15:264.
    """
    wanted = checked_quantiles(quantiles)
    checked = Population(population)
    estimate = estimates.rate(checked)
    rates = estimate.unit.per_neuron()
    mean, sd, cv, quantile = kernels.describe(rates, tuple(wanted))
    varies = sd > 1e-12 * mean
    shape = {
        measure: float(labelled(checked, estimates.rate_shape(checked, measure), f"rate_{measure}"))
        for measure in ("gini", "log_sd", "log_skewness")
    }
    logs = np.log(rates[rates > 0])
    spikes = checked.counts.sum() / rates.size
    variables: dict[str, object] = {
        "mean": float(mean),
        "sd": float(sd),
        "cv": float(cv),
        "skewness": float(stats.skew(rates)) if varies else np.nan,
        "kurtosis": float(stats.kurtosis(rates)) if varies else np.nan,
        "silent": float((rates == 0).mean()),
        "cv_poisson": float(1 / np.sqrt(spikes)) if spikes > 0 else np.nan,
        "log_mean": float(logs.mean()) if logs.size else np.nan,
        **shape,
        "log_distance": _distance(logs, shape["log_sd"]),
        "quantile": ("probability", quantile),
    }
    attrs = {
        "long_name": "distribution of rates over neurons",
        "units": estimate.units,
        "n": rates.size,
        "n_active": logs.size,
        "over": "sample and time",
    }
    return xr.Dataset(variables, coords={"probability": wanted}, attrs=attrs)


def _distance(logs: np.ndarray, sd: float) -> float:
    """Kolmogorov-Smirnov distance of log rates from the normal law with their mean and `sd`."""
    if not np.isfinite(sd):
        return float("nan")
    ordered = stats.norm.cdf(np.sort(logs), logs.mean(), sd)
    steps = np.arange(logs.size + 1) / logs.size
    return float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))


def dead_fraction(population: xr.Dataset) -> xr.DataArray:
    """Whether each neuron is dead (1) or fires at least once in the recording (0); the mean is the share.

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
    return measured(population, "dead_fraction", estimates.dead)


def saturated_fraction(
    population: xr.Dataset, *, share: float = estimates.SATURATED_SHARE, maximum: float | None = None
) -> xr.DataArray:
    """Whether each neuron fires at the highest rate (1) or not (0); the mean is the share.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` or spike events.
    share : float
        Part of the highest rate that counts as saturated.
    maximum : float, optional
        Highest rate: default one spike per step, or one per refractory period (Hz).

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If the population has no spikes, or `share` is impossible.
    NotApplicableError
        If a circuit has no refractory period and `maximum` is not given.
    """
    return measured(population, "saturated_fraction", estimates.saturated, share, maximum)


def sparseness(population: xr.Dataset, *, kind: str = "lifetime") -> xr.DataArray:
    """Treves-Rolls sparseness S = (1 - <r>^2/<r^2>)/(1 - 1/n): 0 dense, 1 sparse.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` or spike events.
    kind : {"lifetime", "population"}
        Averages over at least 30 samples for each neuron, or over neurons for each sample (the
        result is then one value, the mean over samples).

    Returns
    -------
    xarray.DataArray, dims (neuron) or ()

    Raises
    ------
    StatisticError
        If the population has no spikes.
    TooShortError
        With too few samples.

    References
    ----------
    Treves & Rolls 1991, Network 2:371; Vinje & Gallant 2000, Science 287:1273; Willmore &
    Tolhurst 2001, Network 12:255.
    """
    return measured(population, f"sparseness_{kind}", estimates.sparseness, kind)
