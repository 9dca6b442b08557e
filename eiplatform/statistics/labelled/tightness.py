"""Labelled statistics of how closely inhibition cancels excitation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from eiplatform.errors import StatisticError, TooShortError, choose
from eiplatform.statistics import estimates, kernels
from eiplatform.statistics.kernels.bootstrap import Unit, hierarchical_bootstrap
from eiplatform.statistics.labelled.common import measured
from eiplatform.statistics.population import Population

__all__ = [
    "ei_correlation_windows",
    "ei_ratio_distribution",
    "imbalance_index",
    "mean_to_fluctuation",
    "residual_variance",
]

WINDOWS = (1, 2, 5, 10, 20, 50, 100, 200)
"""Default windows of smoothing, in intervals."""
MIN_WINDOWS = 10
"""Fewest windows that a sample must hold."""
_SUFFIX = {"own": "", "cross": "_cross", "excess": "_excess"}
_WORD = {"sample": "samples", "time": "time"}


def imbalance_index(population: xr.Dataset) -> xr.DataArray:
    """Imbalance index IB = <E - I>/<E + I> of each neuron: 0 balanced, 1 no inhibition, -1 no excitation.

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
    Rubin, Abbott & Sompolinsky 2017, PNAS 114:E9366.
    """
    return measured(population, "imbalance_index", estimates.imbalance)


def mean_to_fluctuation(population: xr.Dataset, *, over: str = "sample", n_inputs: int | None = None) -> xr.DataArray:
    """Mean net current over its fluctuation, <E - I> / (sqrt(N) sd(E - I)), of each neuron.

    Parameters
    ----------
    population : xarray.Dataset
        With ``current_exc`` and ``current_inh``.
    over : {"sample", "time"}
        The fluctuation is over samples (Rubin's patterns) or over time within a sample.
    n_inputs : int, optional
        Number N of inputs of a neuron.  Without it nothing is divided by its root.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If a signal is missing or not finite, or `n_inputs` is below 1.
    TooShortError
        With fewer than 30 samples, or 50 intervals.

    References
    ----------
    Rubin, Abbott & Sompolinsky 2017, PNAS 114:E9366.
    """
    choose(over, _WORD, "estimator axis")
    key = f"mean_to_fluctuation_{_WORD[over]}"
    return measured(population, key, estimates.mean_to_fluctuation, over, n_inputs)


def residual_variance(population: xr.Dataset, *, over: str = "time", pairs: str = "own") -> xr.DataArray:
    """Residual variance var(E - I)/(var E + var I) of each neuron: 0 perfect tracking, 1 independent.

    Parameters
    ----------
    population : xarray.Dataset
        With ``current_exc`` and ``current_inh``.
    over : {"sample", "time"}
        Of time-averaged currents over samples, or over time within a sample, then averaged over samples.
    pairs : {"own", "cross", "excess"}
        With the inhibition of the same neuron; of the others (both sides summed over them); own minus cross, which
        is *negative* where a neuron's own inhibition cancels better than that of others.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If a signal is missing or not finite, or the time axis has gaps.
    TooShortError
        With fewer than 30 samples, or 50 intervals.

    References
    ----------
    Renart et al. 2010, Science 327:587.
    """
    key = f"residual_variance_{_WORD[choose(over, _WORD, 'estimator axis')]}"
    key += _SUFFIX[choose(pairs, kernels.RESIDUAL_PAIRS, "pairing")]
    return measured(population, key, estimates.residual, over, pairs)


def ei_ratio_distribution(
    population: xr.Dataset,
    *,
    quantiles: Sequence[float] = (0.025, 0.25, 0.5, 0.75, 0.975),
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset:
    """Describe the distribution over neurons of ln(E/I), and how far excitation and inhibition are equalised.

    Parameters
    ----------
    population : xarray.Dataset
        With ``current_exc`` and ``current_inh``.
    quantiles : sequence of float
        In [0, 1].
    n_bootstrap, seed, level
        Of the intervals over samples and neurons.

    Returns
    -------
    xarray.Dataset
        ``mean``, ``sd`` (ddof 0) with ``sd_low`` and ``sd_high``, ``skewness``, ``quantile`` (probability) of ln(E/I)
        over neurons; ``sd_shuffled``, what sd would be if the neurons' inhibition were exchanged at random (the square
        root of the summed variances of ln E and ln I); ``correlation`` over neurons of mean E and mean I;
        ``log_ratio`` (neuron).

    Raises
    ------
    StatisticError
        If a signal is missing or not finite, a quantile is outside [0, 1], or no neuron has both currents.
    TooShortError
        With fewer than 5 neurons.

    References
    ----------
    Xue, Atallah & Scanziani 2014, Nature 511:596.
    """
    wanted = np.asarray(tuple(quantiles), dtype=np.float64)
    if wanted.size == 0 or not ((wanted >= 0) & (wanted <= 1)).all():
        raise StatisticError(f"quantiles are {tuple(quantiles)}", valid="numbers from 0 to 1")
    checked = Population(population)
    estimate = estimates.ratio_spread(checked)
    exc, inh = (part[0] for part in checked.currents.means(np.ones((1, checked.n_samples))))
    both = (exc > 0) & (inh > 0)
    if not both.any():
        raise StatisticError("no neuron has positive mean excitation and inhibition", where=checked.name or None)
    ratio = np.full(exc.shape, np.nan)
    ratio[both] = np.log(exc[both] / inh[both])
    kept, log_exc, log_inh = ratio[both], np.log(exc[both]), np.log(inh[both])
    sd = float(kept.std())
    interval = hierarchical_bootstrap([estimate.unit], n_bootstrap=n_bootstrap, seed=seed, level=level)
    spread_exc, spread_inh = exc[both].std(), inh[both].std()
    vary = spread_exc > 1e-9 * exc[both].mean() and spread_inh > 1e-9 * inh[both].mean()
    return xr.Dataset(
        {
            "mean": float(kept.mean()),
            "sd": sd,
            "sd_low": interval.low,
            "sd_high": interval.high,
            "skewness": float(((kept - kept.mean()) ** 3).mean() / sd**3) if sd > 1e-9 else np.nan,
            "quantile": ("probability", np.quantile(kept, wanted)),
            "sd_shuffled": float(np.hypot(log_exc.std(), log_inh.std())),
            "correlation": float(np.corrcoef(exc[both], inh[both])[0, 1]) if vary else np.nan,
            "log_ratio": ("neuron", ratio),
        },
        coords={"probability": wanted, "neuron": estimate.neuron},
        attrs={
            "long_name": "distribution of ln(E/I) over neurons",
            "units": "1",
            "over": "neuron",
            "n": int(both.sum()),
            "n_excluded": int((~both).sum()),
            "exclusion": estimate.rule,
            "level": level,
        },
    )


def ei_correlation_windows(
    population: xr.Dataset,
    *,
    windows: Sequence[float] | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset:
    """E-I correlation over time as a function of the window of smoothing: tight or loose *in time*.

    Parameters
    ----------
    population : xarray.Dataset
        With ``current_exc`` and ``current_inh``.
    windows : sequence of float, optional
        Lengths of the moving average, in the recording's unit of time; default: those of 1, 2, 5, 10, 20, 50, 100 and
        200 intervals that fit at least ten times into a sample.
    n_bootstrap, seed, level
        Of the intervals over samples and neurons.

    Returns
    -------
    xarray.Dataset, dims (pairs, window, neuron)
        ``correlation`` (pairs, window, neuron), and over neurons ``value``, ``low``, ``high`` (pairs, window); pairs
        are own, cross and excess (own minus cross).

    Raises
    ------
    StatisticError
        If a signal is missing or not finite, the time axis has gaps, or a window is no whole number of intervals.
    TooShortError
        With fewer than 50 intervals, or fewer than ten windows in a sample.

    References
    ----------
    Deneve & Machens 2016, Nat Neurosci 19:375; Hennequin, Agnes & Vogels 2017, Annu Rev Neurosci 40:557.
    """
    checked = Population(population)
    name = "the E-I correlation by window"
    checked.require(("current_exc", "current_inh"), name)
    n_time, n_neurons = checked.data.sizes["time"], checked.data.sizes["neuron"]
    checked.require_time(name, n_time)
    if windows is None:
        chosen = [window for window in WINDOWS if window * MIN_WINDOWS <= n_time]
    else:
        chosen = [estimates.in_intervals(checked, float(window), "a window") for window in windows]
        if not chosen or len(set(chosen)) < len(chosen):
            raise StatisticError(f"the windows are {list(windows)}", valid="one or more different lengths")
        if max(chosen) * MIN_WINDOWS > n_time:
            raise TooShortError(
                f"{name}: {n_time} intervals hold fewer than {MIN_WINDOWS} windows of {max(chosen)} intervals",
                where=checked.name or None,
                valid=f"windows up to {n_time // MIN_WINDOWS} intervals",
            )
    parts = [
        kernels.moments_over_time(exc, inh, tuple(chosen)) for exc, inh in checked.blocks("current_exc", "current_inh")
    ]
    shape = (len(kernels.RESIDUAL_PAIRS), len(chosen))
    numbers = {key: np.empty(shape) for key in ("value", "low", "high")}
    rows = np.empty((*shape, n_neurons))
    for index in np.ndindex(shape):
        pairs = kernels.RESIDUAL_PAIRS[index[0]]
        per_sample = np.concatenate([kernels.paired_correlation(part[index[1]], pairs) for part in parts])

        def values(weights: np.ndarray, table: np.ndarray = per_sample) -> np.ndarray:
            return kernels.weighted_nanmean(weights, table)

        unit = Unit(values, checked.n_samples, n_neurons)
        rows[index] = unit.per_neuron()
        found = hierarchical_bootstrap([unit], n_bootstrap=n_bootstrap, seed=seed, level=level)
        numbers["value"][index], numbers["low"][index], numbers["high"][index] = found.estimate, found.low, found.high
    lengths = xr.Variable("window", np.array(chosen) * checked.dt, {"units": checked.units})
    return xr.Dataset(
        {
            "correlation": (("pairs", "window", "neuron"), rows),
            **{key: (("pairs", "window"), part) for key, part in numbers.items()},
        },
        coords={"pairs": list(kernels.RESIDUAL_PAIRS), "window": lengths, "neuron": checked.neuron},
        attrs={
            "long_name": "E-I correlation over time after smoothing",
            "units": "1",
            "over": "time",
            "n": int(np.isfinite(rows).all(axis=(0, 1)).sum()),
            "n_excluded": int((~np.isfinite(rows)).any(axis=(0, 1)).sum()),
            "exclusion": "excitation or inhibition constant over time in every sample",
            "level": level,
        },
    )
