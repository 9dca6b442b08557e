"""Networks of several kinds and seeds: their statistics, changes by training, and distances from cortex."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.inputs import excitatory, setting_of
from eiplatform.errors import ConfigError, StatisticError
from eiplatform.statistics import STATISTICS, summarise
from eiplatform.statistics.kernels.contrasts import Contrast, paired
from eiplatform.statistics.kernels.multiple import benjamini_hochberg

__all__ = [
    "NAMED",
    "SENSES",
    "approach",
    "axes_of",
    "changes",
    "coordinates",
    "place_of",
    "seed_values",
    "stacked",
    "tightness",
]

SENSES = {
    "residual": "|balance index| falls",
    "tracking": "E-I correlation beyond the common mode rises",
    "detail": "own minus other E-I correlation rises",
}
"""Senses of "tighter", each a number that is positive when balance has become tighter in it."""


NAMED = ("low", "high", "p", "p_exact", "n")


def place_of(tree: xr.DataTree, taken: Container[tuple[str, str, int]], what: str, where: str) -> tuple[str, str, int]:
    """Return setting, type of layer and seed of a network's recording.

    Raises
    ------
    ConfigError
        If they are among those `taken`.
    """
    config = tree.attrs["config"]
    place = (setting_of(tree), str(config["network"]["layer"]), int(config["seed"]))
    if place in taken:
        kind = f"with layers of type {place[1]}, seed {place[2]}, {place[0]}"
        raise ConfigError(f"{what} {kind} is given twice", where=where)
    return place


def coordinates(populations: Sequence[str], keys: Sequence[str], **axes: Any) -> dict[str, Any]:
    """Return the coordinates of a result over seeds, with the labels of statistics and the meanings of senses."""
    return {
        **axes,
        "population": populations,
        "statistic": keys,
        "label": ("statistic", [STATISTICS[key].label for key in keys]),
        "sense": list(SENSES),
        "meaning": ("sense", list(SENSES.values())),
    }


def axes_of(places: Iterable[tuple[str, str, int]]) -> tuple[list[str], list[str], list[int]]:
    """Return settings, types of layers (E-I layers first) and seeds of (setting, layer_type, seed).

    Raises
    ------
    StatisticError
        If there are fewer than two seeds.
    """
    settings, layer_types, seeds = (set(values) for values in zip(*places, strict=True))
    if len(seeds) < 2:
        raise StatisticError(f"one seed gives no interval: {sorted(seeds)}", valid="two seeds or more")
    order = {name: index for index, name in enumerate(("ei", "bn", "none"))}
    by_kind = sorted(map(str, layer_types), key=lambda name: (order.get(name, len(order)), name))
    return sorted(map(str, settings)), by_kind, sorted(map(int, seeds))


def stacked(trees: Any, populations: Sequence[str], keys: Sequence[str]) -> np.ndarray:
    """Return every statistic of nested lists of recordings (None: NaN), shape (..., population, statistic)."""
    if isinstance(trees, list):
        return np.stack([stacked(part, populations, keys) for part in trees])
    found = np.full((len(populations), len(keys)), np.nan)
    if trees is None:
        return found
    here = excitatory(trees)
    # Without draws: the intervals are those over seeds.
    table = summarise(trees, keys, n_bootstrap=0, populations=list(here))
    for row, name in enumerate(populations):
        if name in here:
            found[row] = table["value"].sel(population=name).transpose("statistic").values
    return found


def seed_values(name: str, values: np.ndarray, dims: Sequence[str], level: float) -> dict[str, Any]:
    """Return the mean over seeds with Student's interval, as variables."""
    mean = paired(values, np.zeros_like(values), level=level)
    return {name: (dims, mean.difference), f"{name}_low": (dims, mean.low), f"{name}_high": (dims, mean.high)}


def changes(name: str, found: Contrast, dims: Sequence[str]) -> dict[str, Any]:
    """Return a contrast as variables, with the false discovery rate over all its cells."""
    parts = {f"{name}_{part}": (dims, getattr(found, part)) for part in NAMED}
    return {name: (dims, found.difference), **parts, f"{name}_q": (dims, benjamini_hochberg(found.p))}


def tightness(
    values: np.ndarray, null: np.ndarray, keys: Sequence[str], dims: Sequence[str], level: float
) -> dict[str, Any]:
    """Return how much tighter balance became in every sense, paired by seed.

    Correlations are taken over time where there are any, else over samples.

    Parameters
    ----------
    values, null : array, shape (seed, ..., statistic)
    keys : sequence of str
        Of the statistics.
    dims : sequence of str
        Of the arrays without seed, statistic last.
    level : float
    """

    def column(array: np.ndarray, key: str) -> np.ndarray:
        return array[..., keys.index(key)] if key in keys else np.full(array.shape[:-1], np.nan)

    def correlation(array: np.ndarray, ending: str) -> np.ndarray:
        over_time, over_samples = (column(array, f"ei_correlation_{axis}{ending}") for axis in ("time", "samples"))
        return np.where(np.isfinite(over_time), over_time, over_samples)

    def measured(array: np.ndarray) -> np.ndarray:
        return np.stack(
            [-np.abs(column(array, "balance_index")), correlation(array, "_partial"), correlation(array, "_excess")],
            axis=-1,
        )

    return changes("tightness", paired(measured(values), measured(null), level=level), (*dims[:-1], "sense"))


def approach(values: np.ndarray, null: np.ndarray, table: xr.Dataset, dims: Sequence[str], level: float) -> xr.Dataset:
    """Return distances from reference circuits, and by how much training reduced them, seed by seed.

    Parameters
    ----------
    values, null : array, shape (seed, ..., statistic)
    table : xarray.Dataset
        With ``reference_value``, ``_low``, ``_high`` (reference, statistic) and ``comparable`` (statistic).
    dims : sequence of str
        Of the arrays without seed, statistic last.
    level : float

    Returns
    -------
    xarray.Dataset
        ``distance`` = value - reference with the interval of Zou & Donner (2008), Stat Med 27:1693, from both
        sides' intervals over seeds; ``approach`` = |null - reference| - |value - reference|, paired by seed
        and given the reference's mean.  Only comparable statistics have them.
    """
    where = (*dims[:-1], "reference", dims[-1])
    target = table["reference_value"].where(table["comparable"]).transpose("reference", "statistic")
    apart = [np.abs(array[..., None, :] - target.values) for array in (null, values)]
    nearer = paired(*apart, level=level)
    own = {name: table[name] for name in ("value", "value_low", "value_high")}
    distance = own["value"] - target
    below = np.hypot(own["value"] - own["value_low"], table["reference_high"] - target)
    above = np.hypot(own["value_high"] - own["value"], target - table["reference_low"])
    ends = {"distance": distance, "distance_low": distance - below, "distance_high": distance + above}
    return xr.Dataset(
        {
            **{name: array.transpose(*where) for name, array in ends.items()},
            **changes("approach", nearer, where),
        },
        coords={name: table[name] for name in where if name in table.coords},
    )
