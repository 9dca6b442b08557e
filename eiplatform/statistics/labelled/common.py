"""From an estimate to a labelled value per neuron."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from eiplatform.errors import StatisticError
from eiplatform.statistics.cautions import cautions
from eiplatform.statistics.estimates import Estimate
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import STATISTICS, statistic

__all__ = ["checked_quantiles", "labelled", "measured", "per_neuron"]


def checked_quantiles(quantiles: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return quantiles as an array.

    Raises
    ------
    StatisticError
        If there is none, or one is outside [0, 1].
    """
    wanted = np.asarray(tuple(quantiles), dtype=np.float64)
    if wanted.size == 0 or not ((wanted >= 0) & (wanted <= 1)).all():
        raise StatisticError(f"quantiles are {tuple(quantiles)}", valid="numbers from 0 to 1")
    return wanted


def measured(population: xr.Dataset, key: str, estimate: Callable[..., Estimate], *options: Any) -> xr.DataArray:
    """Return the statistic `key` of a population: ``estimate(population, *options)``, labelled."""
    checked = Population(population)
    return labelled(checked, estimate(checked, *options), key)


def labelled(population: Population, estimate: Estimate, key: str) -> xr.DataArray:
    """Return the values per neuron of the estimate of the statistic `key`, with their description."""
    meta = STATISTICS[key]
    values = estimate.unit.per_neuron()
    used = estimate.n_used(values)
    attrs = {
        "long_name": meta.label,
        "units": estimate.units,
        "n": used,
        "n_excluded": estimate.n_neurons - used,
        "exclusion": estimate.rule,
        "n_samples": estimate.unit.n_samples,
        "over": meta.over,
        "average": meta.average,
        "reference": meta.reference,
        **estimate.attrs,
    }
    if caution := cautions(population, meta):
        attrs["caution"] = caution
    if estimate.level == "population":
        value = values[np.isfinite(values)].mean() if np.isfinite(values).any() else np.nan
        return xr.DataArray(value, name=key, attrs=attrs)
    values = values if estimate.shown is None else estimate.shown
    neuron = xr.Variable("neuron", estimate.neuron, {"long_name": "index within the population"})
    return xr.DataArray(values, dims="neuron", coords={"neuron": neuron}, name=key, attrs=attrs)


def per_neuron(population: xr.Dataset, key: str) -> xr.DataArray:
    """Return any statistic of :data:`STATISTICS` per neuron, with its default options.

    A statistic of the whole population (``level`` "population") comes without dimension.

    Parameters
    ----------
    population : xarray.Dataset
    key : str

    Returns
    -------
    xarray.DataArray, dims (neuron) or ()

    Raises
    ------
    UnknownNameError, StatisticError, TooShortError
    """
    return measured(population, key, statistic(key).estimate)
