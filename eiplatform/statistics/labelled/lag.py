"""Labelled cross-correlogram of excitation and inhibition."""

from __future__ import annotations

import numpy as np
import xarray as xr

from eiplatform.errors import choose
from eiplatform.statistics import estimates, kernels
from eiplatform.statistics.kernels.bootstrap import Unit, hierarchical_bootstrap
from eiplatform.statistics.labelled.common import measured
from eiplatform.statistics.population import Population

__all__ = ["ei_correlogram", "ei_lag"]


def ei_lag(
    population: xr.Dataset, *, measure: str = "lag", pairs: str = "own", max_lag: float | None = None
) -> xr.DataArray:
    """Lag of inhibition behind excitation of each neuron, or the height of its correlogram's peak.

    Parameters
    ----------
    population : xarray.Dataset
        With ``current_exc`` and ``current_inh``.
    measure : {"lag", "peak"}
        Where the peak is (positive: inhibition later), or how high.
    pairs : {"own", "excess"}
        The correlogram of the neuron's own currents, or that minus the mean one with other neurons' inhibition.
    max_lag : float, optional
        Largest lag looked at, in the recording's unit of time; default: 10 intervals.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If a signal is missing or not finite, the time axis has gaps, or `max_lag` is no whole number of intervals.
    TooShortError
        With fewer than 50 intervals per sample, or four times `max_lag`.

    References
    ----------
    Okun & Lampl 2008, Nat Neurosci 11:535.
    """
    choose(measure, estimates.LAG_MEASURES, "measure of the correlogram")
    suffix = {"own": "", "excess": "_excess"}[choose(pairs, ("own", "excess"), "pairing")]
    return measured(population, f"ei_{measure}{suffix}", estimates.lag, measure, pairs, max_lag)


def ei_correlogram(
    population: xr.Dataset,
    *,
    max_lag: float | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset:
    """Cross-correlogram of excitation and inhibition with the peak of its mean: own, cross, own minus cross.

    Parameters
    ----------
    population : xarray.Dataset
        With ``current_exc`` and ``current_inh``.
    max_lag : float, optional
        Largest lag, in the recording's unit of time; default: 10 intervals.
    n_bootstrap, seed, level
        Of the intervals over samples and neurons.

    Returns
    -------
    xarray.Dataset, dims (pairs, lag, neuron)
        ``correlation`` (pairs, lag, neuron); of its mean over neurons ``mean`` (pairs, lag), ``peak_lag`` and ``peak``
        (pairs) with ``_low`` and ``_high``.  Positive lag: inhibition later.

    Raises
    ------
    StatisticError, TooShortError
        As :func:`ei_lag`.

    References
    ----------
    Okun & Lampl 2008, Nat Neurosci 11:535.
    """
    checked = Population(population)
    pairs = kernels.RESIDUAL_PAIRS
    found: dict[str, list[float]] = {
        f"{name}{end}": [] for name in ("peak_lag", "peak") for end in ("", "_low", "_high")
    }
    rows = []
    curves = estimates.correlograms(checked, max_lag)
    _, _, n_samples, n_neurons = curves.shape
    for which in pairs:
        rows.append(kernels.mean_correlogram(np.ones((1, n_samples)), curves, which)[0])
        for index, name in enumerate(("peak_lag", "peak")):

            def values(weights: np.ndarray, which: str = which, index: int = index) -> np.ndarray:
                return estimates.by_draws(
                    weights,
                    curves,
                    lambda part: kernels.pooled_peak(kernels.mean_correlogram(part, curves, which))[index],
                )

            interval = hierarchical_bootstrap(
                [Unit(values, n_samples, n_neurons)], n_bootstrap=n_bootstrap, seed=seed, level=level
            )
            factor = checked.dt if name == "peak_lag" else 1.0
            for end, number in (("", interval.estimate), ("_low", interval.low), ("_high", interval.high)):
                found[name + end].append(factor * number)
    table = np.stack(rows)
    defined = np.isfinite(table).all(axis=(0, 1))
    mean = np.where(defined, table, 0.0).sum(axis=2) / max(int(defined.sum()), 1)
    steps = np.arange(table.shape[1]) - table.shape[1] // 2
    return xr.Dataset(
        {
            "correlation": (("pairs", "lag", "neuron"), table),
            "mean": (("pairs", "lag"), mean if defined.any() else np.full(mean.shape, np.nan)),
            **{name: ("pairs", values_) for name, values_ in found.items()},
        },
        coords={
            "pairs": list(pairs),
            "lag": ("lag", steps * checked.dt, {"units": checked.units, "positive": "inhibition later"}),
            "neuron": checked.neuron,
        },
        attrs={
            "long_name": "cross-correlogram of excitation and inhibition",
            "units": "1",
            "over": "time",
            "n": int(defined.sum()),
            "n_excluded": int((~defined).sum()),
            "exclusion": "excitation or inhibition constant over time in every sample, or (cross) no other neuron",
            "level": level,
        },
    )
