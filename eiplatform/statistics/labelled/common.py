"""From an estimate to a labelled value per neuron."""

from __future__ import annotations

import numpy as np
import xarray as xr

from eiplatform.statistics.estimates import Estimate
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import STATISTICS, statistic

__all__ = ["labelled", "per_neuron"]


def labelled(estimate: Estimate, key: str) -> xr.DataArray:
    """Return the values per neuron of the estimate of the statistic `key`, with their description."""
    meta = STATISTICS[key]
    values = estimate.unit.per_neuron()
    used = int(np.isfinite(values).sum())
    attrs = {
        "long_name": meta.label,
        "units": estimate.units,
        "n": used,
        "n_excluded": values.size - used,
        "exclusion": estimate.rule,
        "n_samples": estimate.unit.n_samples,
        "over": meta.over,
        "average": meta.average,
        "reference": meta.reference,
        **estimate.attrs,
    }
    neuron = xr.Variable("neuron", estimate.neuron, {"long_name": "index within the population"})
    return xr.DataArray(values, dims="neuron", coords={"neuron": neuron}, name=key, attrs=attrs)


def per_neuron(population: xr.Dataset, key: str) -> xr.DataArray:
    """Return any statistic of :data:`STATISTICS` per neuron, with its default options.

    Parameters
    ----------
    population : xarray.Dataset
    key : str

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    UnknownNameError, StatisticError, TooShortError
    """
    return labelled(statistic(key).estimate(Population(population)), key)
