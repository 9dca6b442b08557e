"""From a declared statistic to its labelled result: of one population, or of every population of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.errors import StatisticError
from eiplatform.statistics.cautions import cautions
from eiplatform.statistics.checks import populations_of
from eiplatform.statistics.declare import Declared, Statistic, Table
from eiplatform.statistics.estimate import Estimate
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import statistic

__all__ = ["apply", "per_neuron"]


def apply(declared: Declared, *inputs: Any) -> Any:
    """Return what a statistic or a table gives of its inputs.

    Parameters
    ----------
    declared : Declared
        With its options chosen.
    *inputs : xarray.Dataset, sequence of xarray.Dataset, or xarray.DataTree
        As many as :attr:`Declared.inputs`.

    Returns
    -------
    xarray.DataArray, xarray.Dataset or xarray.DataTree
        Of a tree with several populations a tree: each population's result under its name, and in the attribute
        ``left_out`` which populations have none, and why.

    Raises
    ------
    StatisticError
        If it cannot be computed (of a tree: of any population).
    """
    if not any(isinstance(item, xr.DataTree) for item in inputs):
        return _of_population(declared, inputs)
    sides = [populations_of(item) for item in inputs]
    if all(len(side) == 1 for side in sides):
        (name,) = sides[0]
        return _of_population(declared, [next(iter(side.values())) for side in sides], name)
    found: dict[str, xr.Dataset] = {}
    failed: dict[str, StatisticError] = {}
    for name in sides[0]:
        try:
            if lacking := [side for side in sides if name not in side]:
                raise StatisticError("this population is not in both recordings", where=name, valid=list(lacking[0]))
            result = _of_population(declared, [side[name] for side in sides], name)
        except StatisticError as error:
            failed[name] = error
        else:
            found[name] = result.to_dataset() if isinstance(result, xr.DataArray) else result
    if not found:
        raise next(iter(failed.values()))
    tree = xr.DataTree.from_dict(dict(found))
    tree.attrs["left_out"] = "; ".join(f"{name}: {error.what}" for name, error in failed.items())
    return tree


def _of_population(declared: Declared, inputs: Sequence[Any], name: str = "") -> xr.DataArray | xr.Dataset:
    if isinstance(declared, Table):
        several = declared.several
        populations = [_conditions(item, name) if several else Population(item, name) for item in inputs]
        for item in populations:
            for population in item if isinstance(item, list) else [item]:
                population.require(declared.needs, declared.phrase)
        return declared.compute(*populations)
    assert isinstance(declared, Statistic)  # noqa: S101
    population = Population(inputs[0], name)
    population.require(declared.needs, declared.phrase)
    special = declared.special(population)
    return _labelled(population, declared, declared.estimate(population)) if special is None else special


def _conditions(item: Any, name: str) -> list[Population]:
    several = [item] if isinstance(item, xr.Dataset) else list(item)
    if not several:
        raise StatisticError("no recording was given", valid="one population, or a list of its conditions")
    return [Population(data, name) for data in several]


def _labelled(population: Population, chosen: Statistic, estimate: Estimate) -> xr.DataArray:
    """Return the values per neuron of an estimate, with their description."""
    values = estimate.kernel.per_neuron()
    used = estimate.n_used(values)
    attrs = {
        "long_name": chosen.label,
        "units": estimate.units,
        "n": used,
        "n_excluded": estimate.n_neurons - used,
        "exclusion": estimate.rule,
        "n_samples": estimate.kernel.n_samples,
        "over": chosen.over,
        "average": chosen.average,
        "reference": chosen.reference,
        **estimate.attrs,
    }
    if caution := cautions(population, chosen):
        attrs["caution"] = caution
    if estimate.level == "population":
        value = values[np.isfinite(values)].mean() if np.isfinite(values).any() else np.nan
        return xr.DataArray(value, name=chosen.key, attrs=attrs)
    neuron = xr.Variable("neuron", estimate.neuron, {"long_name": "index within the population"})
    return xr.DataArray(values, dims="neuron", coords={"neuron": neuron}, name=chosen.key, attrs=attrs)


def per_neuron(population: xr.Dataset | xr.DataTree, key: str) -> Any:
    """Return any statistic of :data:`STATISTICS` per neuron, with its default options.

    A statistic of the whole population (``level`` "population") comes without dimension.

    Returns
    -------
    xarray.DataArray, dims (neuron) or (); of a tree with several populations an xarray.DataTree

    Raises
    ------
    UnknownNameError, StatisticError, TooShortError

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> per_neuron(example_population(), "rate_gini").attrs["long_name"]
    'Gini index of rates over neurons'
    """
    return apply(statistic(key), population)
