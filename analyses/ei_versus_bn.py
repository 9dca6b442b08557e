"""What does training do to the balance of every layer, with E-I layers, with batch normalisation, with neither?

Every trained network is compared with itself before training (the null, seed by seed), with networks of the other
kinds (the contrast), and with summaries of cortical circuits.  "Tight" has two senses, which are kept apart:
a small residual (net current small compared with excitation) and tracking (inhibition follows excitation once what all
neurons share is removed); a third question is whether inhibition is matched neuron by neuron (detail).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result, defined
from eiplatform.analyses.parts.findings import layers, span, strongest
from eiplatform.analyses.parts.inputs import (
    Nulls,
    Recordings,
    Summaries,
    excitatory,
    open_kind,
    samples_of,
)
from eiplatform.analyses.parts.seed_tables import (
    CLEAR,
    DELTA,
    about,
    approach_findings,
    changed,
    reference_tables,
    tightness_findings,
    tightness_table,
    type_name,
)
from eiplatform.analyses.parts.seeds import (
    NAMED,
    approach,
    axes_of,
    changes,
    coordinates,
    place_of,
    seed_values,
    stacked,
    tightness,
)
from eiplatform.analyses.parts.tables import Table, value_text
from eiplatform.errors import ConfigError, StatisticError
from eiplatform.statistics.kernels.contrasts import Contrast, paired, unpaired
from eiplatform.statistics.references import reference_table
from eiplatform.statistics.summary import keys_of

__all__ = ["EIVersusBN"]


_DIMS = ("setting", "layer_type", "population", "statistic")


class EIVersusBN(Analysis):
    """Trained networks of several kinds against themselves untrained, each other and cortex."""

    question = "What does training do to balance, with E-I layers, with batch normalisation, with neither?"
    place = 20

    def run(
        self,
        recordings: Recordings,
        nulls: Nulls = (),
        references: Summaries = (),
        *,
        statistics: str | Sequence[str] | None = None,
        level: float = 0.95,
    ) -> Result:
        """Compare trained networks of several kinds with themselves untrained, each other and cortex.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree
            Of trained networks: several seeds of each type of layer, in one or more settings (input and steps).
        nulls : sequence of str, Path or DataTree
            Of the same networks untrained: same type of layer, seed, setting and samples.
        references : sequence of str or Path
            Summaries of circuits (:func:`eiplatform.store.references.reference_file`).
        statistics : str or sequence of str, optional
            Keys of :data:`eiplatform.statistics.STATISTICS`; default: all that were recorded.
        level : float
            Nominal coverage of all intervals.

        Returns
        -------
        xarray.Dataset, dims (setting, layer_type, population, statistic)
            ``seed_value`` and ``seed_null`` (with seed); ``value`` and ``null``, means over seeds with Student's
            interval (``_low``, ``_high``); ``change`` = value - null, paired by seed, with ``_low``, ``_high``,
            ``_p``, ``_p_exact``, ``_n`` and ``_q`` (false discovery rate over all cells), and ``z``, the change in
            units of the spread of the untrained networks.
            ``tightness`` likewise, with the dimension ``sense`` (:data:`SENSES`) in place of statistic.
            ``contrast`` likewise (of, setting, pair, population, statistic): between types of layers, of the trained
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
                    f"no null for layers of type {place[1]}, seed {place[2]}, {place[0]}",
                    where=tree.attrs["path"],
                    remedy="record the same network untrained with the same spec",
                )
            if not np.array_equal(samples_of(untrained[place]), samples_of(tree)):
                raise StatisticError("the null saw other samples", where=untrained[place].attrs["path"])
        settings, layer_types, seeds = axes_of(trained)
        keys = keys_of(statistics)
        populations = list(dict.fromkeys(name for tree in trees for name in excitatory(tree)))

        def held(of: Mapping[Any, xr.DataTree]) -> np.ndarray:
            return stacked(
                [
                    [[of.get((setting, layer_type, seed)) for layer_type in layer_types] for setting in settings]
                    for seed in seeds
                ],
                populations,
                keys,
            )

        values, null = held(trained), held({place: untrained[place] for place in trained})
        kept = [index for index, _ in enumerate(keys) if np.isfinite(values[..., index]).any()]
        keys, values, null = [keys[index] for index in kept], values[..., kept], null[..., kept]
        coords = coordinates(populations, keys, setting=settings, layer_type=layer_types, seed=seeds)
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
        variables |= _contrasts(values, null, layer_types, level)
        coords |= {"of": ["trained", "change"], "pair": [f"{a} - {b}" for a, b in combinations(layer_types, 2)]}
        result = xr.Dataset(variables, coords=coords)
        result = result.merge(reference_table(references or (), keys), compat="no_conflicts")
        result = result.merge(approach(values, null, result, _DIMS, level), compat="no_conflicts")
        return self.result(
            result,
            [*trees, *null_trees],
            level=level,
            n_seeds=len(seeds),
            n_samples=[len(samples_of(next(t for p, t in trained.items() if p[0] == setting))) for setting in settings],
        )

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Yield the tables of ``ei_versus_bn``: values and nulls, tightness, contrasts, distances from cortex."""
        layers = [str(name) for name in result["population"].values]
        for setting in result["setting"].values:
            for layer_type in result["layer_type"].values:
                one = result.sel(setting=setting, layer_type=layer_type)
                rows = []
                for key in defined(one, one["statistic"].values.tolist()):
                    row = [str(one["label"].sel(statistic=key).item())]
                    for layer in layers:
                        cell = one.sel(statistic=key, population=layer)
                        null = f"null {value_text(cell, 'null')}"
                        row.append("\n".join(filter(None, [value_text(cell), null, changed(cell, "change")])))
                    rows.append(tuple(row))
                yield Table(
                    f"{type_name(layer_type)}, trained and untrained ({setting})",
                    ("statistic", *layers),
                    tuple(rows),
                    f"null: the same networks before training; {DELTA}: change by training, paired by seed. "
                    + about(result),
                )
        yield tightness_table(result, "By how much training tightened balance")
        yield from _contrast_tables(result, layers)
        yield from reference_tables(result)

    def findings(self, result: xr.Dataset) -> Iterable[str]:
        """Say what training changes, how that differs between kinds of networks, and how it moves them to cortex."""
        yield from tightness_findings(result)
        if "contrast" in result:
            yield from _contrast_findings(result.sel(of="change"))
        yield from approach_findings(result)


def _contrast_findings(change: xr.Dataset) -> Iterable[str]:
    """Say where training changes two kinds of networks differently, and of how many tests."""
    tests, clear = int(np.isfinite(change["contrast_q"]).sum()), int((change["contrast_q"] < CLEAR).sum())
    found = []
    for pair, setting in product(change["pair"].values, change["setting"].values):
        first, _, second = str(pair).partition(" - ")
        one = change.sel(pair=pair, setting=setting)
        for key in defined(one, ["ei_ratio", "ei_correlation_time", "ei_correlation_samples"], "contrast"):
            cells = one.sel(statistic=key)
            names, size = cells["population"].values, cells["contrast"].values
            ways = [
                (f"{words} in {layers(names[chosen])} (difference {span(size[chosen])})", cells["contrast_q"][chosen])
                for words, sign in (("more positive", 1), ("more negative", -1))
                if (chosen := strongest(size, (cells["contrast_q"] < CLEAR).values, sign))
            ]
            if ways:
                text = (
                    f"{cells['label'].item()} ({setting}): its change by training is, with {type_name(first)} "
                    f"compared with {type_name(second)}, {' and '.join(way for way, _ in ways)} (q < {CLEAR:g})."
                )
                found.append((min(float(q.min()) for _, q in ways), text))
    yield from (text for _, text in sorted(found))
    if tests:
        yield f"Between kinds of networks, {clear} of {tests} tests of changes by training are clear (q < {CLEAR:g})."


def _contrast_tables(result: xr.Dataset, layers: list[str]) -> Iterable[Table]:
    if "contrast" not in result:
        return
    for pair in result["pair"].values:
        first, _, second = str(pair).partition(" - ")
        rows = []
        for setting in result["setting"].values:
            one = result.sel(setting=setting, pair=pair)
            for key in one["statistic"].values:
                cells = one.sel(statistic=key)
                if not bool(cells["contrast"].notnull().any()):
                    continue
                texts = []
                for layer in layers:
                    kinds = (cells.sel(population=layer, of=kind) for kind in ("trained", "change"))
                    texts.append("\n".join(filter(None, (changed(cell, "contrast") for cell in kinds))) or "–")
                rows.append((f"{cells['label'].item()} ({setting})", *texts))
        note = "First the trained values, then what training changed; unpaired over seeds (Welch). " + about(result)
        yield Table(f"{type_name(first)} minus {type_name(second)}", ("statistic", *layers), tuple(rows), note)


def _arranged(trees: Sequence[xr.DataTree], what: str) -> dict[tuple[str, str, int], xr.DataTree]:
    """Return recordings by setting, type of layer and seed."""
    found: dict[tuple[str, str, int], xr.DataTree] = {}
    for tree in trees:
        found[place_of(tree, found, what, tree.attrs["path"])] = tree
    return found


def _contrasts(values: np.ndarray, null: np.ndarray, layer_types: Sequence[str], level: float) -> dict[str, Any]:
    """Return the differences between types of layers, of trained values and of changes."""
    found = [
        [unpaired(array[:, :, a], array[:, :, b], level=level) for a, b in combinations(range(len(layer_types)), 2)]
        for array in (values, values - null)
    ]
    if not found[0]:
        return {}
    dims = ("of", "pair", "setting", "population", "statistic")
    joined = Contrast(
        *(np.array([[getattr(one, part) for one in row] for row in found]) for part in ("difference", *NAMED))
    )
    return changes("contrast", joined, dims)
