"""What does training do to the balance of every layer, with E-I circuits, with batch normalisation, with neither?

Every trained network stands beside itself before training (the null, seed by seed), beside networks of the other
kinds (the contrast), and beside summaries of cortical circuits.  "Tight" has two senses, which are kept apart:
a small residual (net current small beside excitation) and tracking (inhibition follows excitation once what all
neurons share is removed); a third question is whether inhibition is matched neuron by neuron (detail).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.inputs import Recording, describe_inputs, excitatory, open_kind, samples_of, setting_of
from eiplatform.errors import ConfigError, StatisticError, choose
from eiplatform.statistics import STATISTICS, summarise
from eiplatform.statistics.kernels.contrasts import Contrast, paired, unpaired
from eiplatform.statistics.kernels.multiple import benjamini_hochberg
from eiplatform.statistics.references import reference_table

__all__ = ["NAMED", "SENSES", "approach", "axes_of", "changes", "keys_of", "run", "seed_values", "stacked", "tightness"]

SENSES = {
    "residual": "|balance index| falls",
    "tracking": "E-I correlation beyond the common mode rises",
    "detail": "own minus other E-I correlation rises",
}
"""Senses of "tighter", each a number that is positive when balance has become tighter in it."""

NAMED = ("low", "high", "p", "p_exact", "n")
_DIMS = ("setting", "circuit", "population", "statistic")


def run(
    recordings: Sequence[Recording],
    nulls: Sequence[Recording],
    references: Sequence[str | Path] = (),
    *,
    statistics: Sequence[str] | None = None,
    level: float = 0.95,
) -> xr.Dataset:
    """Set trained networks of several kinds beside themselves untrained, each other and cortex.

    Parameters
    ----------
    recordings : sequence of str, Path or DataTree
        Of trained networks: several seeds of each circuit, in one or more settings (input and steps).
    nulls : sequence of str, Path or DataTree
        Of the same networks untrained: same circuit, seed, setting and samples.
    references : sequence of str or Path
        Summaries of circuits (:func:`eiplatform.store.references.reference_file`).
    statistics : sequence of str, optional
        Keys of :data:`eiplatform.statistics.STATISTICS`; default: all that were recorded.
    level : float
        Nominal coverage of all intervals.

    Returns
    -------
    xarray.Dataset, dims (setting, circuit, population, statistic)
        ``seed_value`` and ``seed_null`` (with seed); ``value`` and ``null``, means over seeds with Student's
        interval (``_low``, ``_high``); ``change`` = value - null, paired by seed, with ``_low``, ``_high``,
        ``_p``, ``_p_exact``, ``_n`` and ``_q`` (false discovery rate over all cells), and ``z``, the change in
        units of the spread of the untrained networks.
        ``tightness`` likewise, with the dimension ``sense`` (:data:`SENSES`) in place of statistic.
        ``contrast`` likewise (of, setting, pair, population, statistic): between circuits, of the trained
        values or of the changes, unpaired (Welch).
        ``reference_value``, ``_low``, ``_high`` (reference, statistic); ``distance`` from each with its
        interval, and ``approach``: by how much training brought the network nearer (negative: away).

    Raises
    ------
    ConfigError
        If a recording is not of a network or has no null.
    StatisticError
        If a null saw other samples, or there are fewer than two seeds.
    """
    trees = open_kind(recordings, "network", purpose="a recording")
    null_trees = open_kind(nulls, "network", purpose="a null")
    ids = [tree.attrs["id"] for tree in (*trees, *null_trees)]
    if len(set(ids)) < len(ids):
        raise StatisticError("a recording stands for itself as a null, or is given twice", where="inputs and nulls")
    if not trees:
        raise ConfigError("no recording was given", where="inputs")
    trained, untrained = _arranged(trees, "a recording"), _arranged(null_trees, "a null")
    for place, tree in trained.items():
        if place not in untrained:
            raise ConfigError(
                f"no null for circuit {place[1]}, seed {place[2]}, {place[0]}",
                where=tree.attrs["path"],
                remedy="record the same network untrained with the same spec",
            )
        if not np.array_equal(samples_of(untrained[place]), samples_of(tree)):
            raise StatisticError("the null saw other samples", where=untrained[place].attrs["path"])
    settings, circuits, seeds = axes_of(trained)
    if len(seeds) < 2:
        raise StatisticError(f"one seed gives no interval: {seeds}", valid="two seeds or more")
    keys = keys_of(statistics)
    populations = list(dict.fromkeys(name for tree in trees for name in excitatory(tree)))

    def held(of: Mapping[Any, xr.DataTree]) -> np.ndarray:
        return stacked(
            [[[of.get((setting, circuit, seed)) for circuit in circuits] for setting in settings] for seed in seeds],
            populations,
            keys,
        )

    values, null = held(trained), held({place: untrained[place] for place in trained})
    kept = [index for index, _ in enumerate(keys) if np.isfinite(values[..., index]).any()]
    keys, values, null = [keys[index] for index in kept], values[..., kept], null[..., kept]
    coords = {
        "setting": settings,
        "circuit": circuits,
        "population": populations,
        "statistic": keys,
        "seed": seeds,
        "label": ("statistic", [STATISTICS[key].label for key in keys]),
        "sense": list(SENSES),
        "meaning": ("sense", list(SENSES.values())),
    }
    variables: dict[str, Any] = {
        "seed_value": (("seed", *_DIMS), values),
        "seed_null": (("seed", *_DIMS), null),
        **seed_values("value", values, _DIMS, level),
        **seed_values("null", null, _DIMS, level),
        **changes("change", paired(values, null, level=level), _DIMS),
        **tightness(values, null, keys, _DIMS, level),
    }
    spread = null.std(axis=0, ddof=1) * np.sqrt(1 + 1 / len(seeds))
    with np.errstate(invalid="ignore", divide="ignore"):
        varies = spread > 1e-6 * np.fmax(np.abs(values), np.abs(null)).max(axis=0)
        variables["z"] = (_DIMS, np.where(varies, (values - null).mean(axis=0) / spread, np.nan))
    variables |= _contrasts(values, null, circuits, level)
    coords |= {"of": ["trained", "change"], "pair": [f"{a} - {b}" for a, b in combinations(circuits, 2)]}
    result = xr.Dataset(variables, coords=coords)
    result = result.merge(reference_table(references, keys), compat="no_conflicts")
    result = result.merge(approach(values, null, result, _DIMS, level), compat="no_conflicts")
    return result.assign_attrs(
        analysis="ei_versus_bn",
        level=level,
        n_seeds=len(seeds),
        n_samples=[len(samples_of(next(t for p, t in trained.items() if p[0] == setting))) for setting in settings],
        **describe_inputs([*trees, *null_trees]),
    )


def _arranged(trees: Sequence[xr.DataTree], what: str) -> dict[tuple[str, str, int], xr.DataTree]:
    """Return recordings by setting, circuit and seed."""
    found: dict[tuple[str, str, int], xr.DataTree] = {}
    for tree in trees:
        config = tree.attrs["config"]
        place = (setting_of(tree), str(config["network"]["circuit"]), int(config["seed"]))
        if place in found:
            raise ConfigError(
                f"{what} of circuit {place[1]}, seed {place[2]}, {place[0]} is given twice", where=tree.attrs["path"]
            )
        found[place] = tree
    return found


def axes_of(places: Iterable[tuple[str, str, int]]) -> tuple[list[str], list[str], list[int]]:
    """Return settings, circuits (E-I circuits first) and seeds of (setting, circuit, seed)."""
    settings, circuits, seeds = (set(values) for values in zip(*places, strict=True))
    order = {name: index for index, name in enumerate(("ei", "bn", "none"))}
    by_kind = sorted(map(str, circuits), key=lambda name: (order.get(name, len(order)), name))
    return sorted(map(str, settings)), by_kind, sorted(map(int, seeds))


def keys_of(statistics: Sequence[str] | None) -> list[str]:
    """Return checked keys, by default all."""
    return [choose(key, STATISTICS, "statistic") for key in dict.fromkeys(statistics or STATISTICS)]


def stacked(trees: Any, populations: Sequence[str], keys: Sequence[str]) -> np.ndarray:
    """Return every statistic of nested lists of recordings (None: NaN), shape (..., population, statistic)."""
    if isinstance(trees, list):
        return np.stack([stacked(part, populations, keys) for part in trees])
    found = np.full((len(populations), len(keys)), np.nan)
    if trees is None:
        return found
    here = excitatory(trees)
    # One draw: the intervals are those over seeds.
    table = summarise(trees, keys, n_bootstrap=1, populations=list(here))
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


def _contrasts(values: np.ndarray, null: np.ndarray, circuits: Sequence[str], level: float) -> dict[str, Any]:
    """Return the differences between circuits, of trained values and of changes."""
    found = [
        [unpaired(array[:, :, a], array[:, :, b], level=level) for a, b in combinations(range(len(circuits)), 2)]
        for array in (values, values - null)
    ]
    if not found[0]:
        return {}
    dims = ("of", "pair", "setting", "population", "statistic")
    joined = Contrast(
        *(np.array([[getattr(one, part) for one in row] for row in found]) for part in ("difference", *NAMED))
    )
    return changes("contrast", joined, dims)


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
