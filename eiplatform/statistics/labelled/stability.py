"""Labelled statistics of stability: what a small perturbation does, from two recordings."""

from __future__ import annotations

import numpy as np
import xarray as xr

from eiplatform.errors import StatisticError
from eiplatform.statistics import estimates, kernels
from eiplatform.statistics.kernels.bootstrap import Unit, hierarchical_bootstrap
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import statistic as entry_of

__all__ = ["paradoxical_index", "perturbation_response"]


def perturbation_response(
    control: xr.Dataset,
    perturbed: xr.Dataset,
    *,
    statistic: str = "rate",
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset:
    """Change of a statistic of one population from a control to a perturbed recording.

    Both must hold the same samples (seeds): the differences are within a sample, and each draw of the bootstrap
    takes the same samples and neurons of both.

    Parameters
    ----------
    control, perturbed : xarray.Dataset
        One population, e.g. ``E``, of two conditions of ``eiplatform simulate --protocol perturb-I``.
    statistic : str
        Key of :data:`eiplatform.statistics.STATISTICS`; of a ratio (``ei_ratio``) the natural logarithm.
    n_bootstrap, seed, level
        Of the interval.

    Returns
    -------
    xarray.Dataset
        ``control``, ``perturbed``, ``response`` (neuron); means over neurons ``mean_control``, ``mean_perturbed`` and
        ``mean_response`` with ``mean_response_low`` and ``mean_response_high``.

    Raises
    ------
    UnknownNameError
        For an unknown statistic.
    StatisticError
        If the recordings are not of the same samples and neurons, or the statistic cannot be computed.

    References
    ----------
    Sanzeni et al. 2020, eLife 9:e54875.
    """
    first, second = Population(control), Population(perturbed)
    estimates.paired(first, second)
    entry = entry_of(statistic)
    before, after = entry.estimate(first), entry.estimate(second)
    scale = np.log if before.unit.geometric else np.asarray
    rows = scale(before.unit.per_neuron()), scale(after.unit.per_neuron())

    def values(weights: np.ndarray) -> np.ndarray:
        difference: np.ndarray = scale(after.unit.values(weights)) - scale(before.unit.values(weights))
        return difference

    unit = Unit(values, first.n_samples, before.unit.n_neurons)
    found = hierarchical_bootstrap([unit], n_bootstrap=n_bootstrap, seed=seed, level=level)
    both = np.isfinite(rows[0]) & np.isfinite(rows[1])
    means = [float(row[both].mean()) if both.any() else np.nan for row in rows]
    return xr.Dataset(
        {
            "control": ("neuron", rows[0]),
            "perturbed": ("neuron", rows[1]),
            "response": ("neuron", rows[1] - rows[0]),
            "mean_control": means[0],
            "mean_perturbed": means[1],
            "mean_response": found.estimate,
            "mean_response_low": found.low,
            "mean_response_high": found.high,
        },
        coords={"neuron": before.neuron},
        attrs={
            "long_name": f"response of {'ln ' if before.unit.geometric else ''}{entry.label}",
            "units": before.units,
            "statistic": statistic,
            "n": int(both.sum()),
            "n_excluded": int((~both).sum()),
            "exclusion": before.rule,
            "n_samples": first.n_samples,
            "note": _note(first.n_samples),
            "level": level,
        },
    )


def paradoxical_index(
    control: xr.Dataset,
    perturbed: xr.Dataset,
    *,
    change: float,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset:
    """Paradoxical-response index of the population whose drive was changed.

    PI = -sign(change) (r_on - r_off) / (r_on + r_off) of the population's mean rates: positive if the rate moves
    against its drive, as that of inhibitory neurons does in an inhibition-stabilised network.

    Parameters
    ----------
    control, perturbed : xarray.Dataset
        The *perturbed* population (``I`` for ``perturb-I``) of both recordings, same samples and neurons.
    change : float
        By how much its drive was changed, with its sign (the level of the protocol's condition).
    n_bootstrap, seed, level
        Of the intervals.

    Returns
    -------
    xarray.Dataset
        ``index`` and ``slope`` (change of the rate per unit of drive), each with ``_low`` and ``_high``;
        ``rate_control``, ``rate_perturbed``; ``response``: "paradoxical", "ordinary" or, if the interval of the index
        holds 0 or there is none, "undecided".

    Raises
    ------
    StatisticError
        If the recordings are not of the same samples and neurons, `change` is 0, or nothing fires in both.

    References
    ----------
    Tsodyks, Skaggs, Sejnowski & McNaughton 1997, J Neurosci 17:4382.
    """
    if not np.isfinite(change) or change == 0:
        raise StatisticError(f"the change of the drive is {change}", valid="a number that is not 0, with its sign")
    first, second = Population(control), Population(perturbed)
    estimates.paired(first, second)
    before, after = (entry_of("rate").estimate(population) for population in (first, second))
    sign = np.sign(change)

    def index(weights: np.ndarray) -> np.ndarray:
        off, on = before.unit.values(weights), after.unit.values(weights)
        r_off, r_on = off.mean(axis=1), on.mean(axis=1)
        total = r_on + r_off
        total = np.where(total > 0, total, np.nan)
        slopes = 2 * sign * r_on / total**2, -2 * sign * r_off / total**2
        return kernels.mean_influence((off, on), -sign * (r_on - r_off) / total, slopes)

    def slope(weights: np.ndarray) -> np.ndarray:
        difference: np.ndarray = (after.unit.values(weights) - before.unit.values(weights)) / change
        return difference

    rates = [float(part.unit.per_neuron().mean()) for part in (before, after)]
    if sum(rates) == 0:
        raise StatisticError("nothing fires in either recording", where=first.name or None)
    found: dict[str, float | str] = {"rate_control": rates[0], "rate_perturbed": rates[1]}
    for name, values in (("index", index), ("slope", slope)):
        unit = Unit(values, first.n_samples, before.unit.n_neurons)
        interval = hierarchical_bootstrap([unit], n_bootstrap=n_bootstrap, seed=seed, level=level)
        found |= {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
    low, high = found["index_low"], found["index_high"]
    found["response"] = "paradoxical" if low > 0 else "ordinary" if high < 0 else "undecided"  # type: ignore[operator]
    return xr.Dataset(
        found,
        attrs={
            "long_name": "paradoxical-response index",
            "units": "1",
            "units_rate": before.units,
            "change": float(change),
            "n_samples": first.n_samples,
            "n": before.unit.n_neurons,
            "note": _note(first.n_samples),
            "level": level,
        },
    )


def _note(n_samples: int) -> str:
    return "one sample: the interval covers neurons only" if n_samples == 1 else ""
