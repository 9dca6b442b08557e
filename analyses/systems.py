"""How balanced are trained systems of every kind, on the same data, and how far is each from cortex?

A system is a kind of trained network: E-I layers, batch normalisation, neither, learnt thresholds (STL),
circulate-firing, a feedback loop at its equilibrium, BackEISNN, DANN.  Their layers differ in number and in
what they record, so that a layer is named by its depth; what a system does not have is NaN and says why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from eiplatform.analyses.lesions import accuracy
from eiplatform.analyses.parts.analysis import Analysis, Result, defined
from eiplatform.analyses.parts.cautioned import cautioned, cautions_of, over_layers
from eiplatform.analyses.parts.inputs import (
    Recordings,
    Summaries,
    excitatory,
    open_kind,
    samples_of,
    spiking,
)
from eiplatform.analyses.parts.seeds import seed_values
from eiplatform.analyses.parts.system_findings import against_first, leaning, near_cortex, unanswered
from eiplatform.analyses.parts.system_names import rank_of, system_of
from eiplatform.analyses.parts.tables import Table, interval_text, largest, number_text
from eiplatform.analyses.regime_scorecard import RegimeScorecard
from eiplatform.errors import ConfigError, StatisticError
from eiplatform.statistics import STATISTICS, summarise_seeds
from eiplatform.statistics.population import MIN_INTERVALS
from eiplatform.statistics.references import reference_table
from eiplatform.statistics.summary import keys_of
from eiplatform.store.references import reference_file

__all__ = ["HIDDEN", "SCORED", "SHIPPED", "Systems", "system_of"]

SCORED = (
    "ei_ratio",
    "balance_index",
    "ei_correlation_samples",
    "ei_correlation_time",
    "ei_correlation_time_cross",
    "ei_correlation_time_partial",
    "rate",
    "cv_isi",
    "lv",
    "fano_factor",
)
"""Statistics of the scorecard unless others are asked for."""

SHIPPED = ("brunel-2000-B", "brunel-2000-C", "brunel-2000-D", "potjans-diesmann-2014-10")
"""Summaries of circuits with which the systems are compared unless others are given."""

HIDDEN = "hidden"
"""The depth that stands for the mean over all hidden layers, seed by seed."""

_READOUT = "readout"
_SETTINGS = ("short", "long")
_SHARES = {"share": "regime", "tightness": "residual", "tracking": "in_time"}


class Systems(Analysis):
    """All systems by the same statistics."""

    question = "How balanced are trained systems of every kind on the same data, and how far is each from cortex?"
    place = 40

    def run(
        self,
        recordings: Recordings,
        references: Summaries = None,
        *,
        statistics: str | Sequence[str] | None = None,
        n_bootstrap: int = 1000,
        seed: int = 0,
    ) -> Result:
        """Score all systems by the same statistics.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree
            Of trained networks: one or more seeds of each system, as trained and, for statistics over
            time, for at least 50 steps.
        references : sequence of str or Path, optional
            Summaries of circuits; default: :data:`SHIPPED`.
        statistics : str or sequence of str, optional
            Keys of :data:`eiplatform.statistics.STATISTICS`; default: :data:`SCORED`.
        n_bootstrap, seed : int
            Of the regimes' draws.

        Returns
        -------
        xarray.Dataset, dims (setting, system, depth, statistic)
            ``value``, mean over seeds, with Student's interval ``low``, ``high``, ``n_seeds`` and ``note`` (why a
            number is missing), ``value_caution`` (what limits its meaning); ``seed_value`` with the further dimension
            seed.  Setting is ``short`` (fewer than 50 steps) or ``long``.
            Depth is ``1``, ``2``, ... from the input on, ``readout``, and :data:`HIDDEN`; ``layer`` (system, depth)
            has the names.  ``accuracy``, ``accuracy_low``, ``accuracy_high`` (setting, system), over the samples
            recorded.
            ``share``, ``tightness``, ``tracking`` (system, depth and regime, residual or in_time): shares of
            draws of :class:`~eiplatform.analyses.regime_scorecard.RegimeScorecard`, mean over the ``regime_n`` seeds
            that could be placed, and ``regime_note``.  ``reference_value``, ``_low``, ``_high`` (reference,
            statistic), ``comparable``,
            ``caution``.

        Raises
        ------
        ConfigError
            If a recording is of a circuit or a lesioned network, or a seed of a system is given twice.
        StatisticError
            If there is none, systems saw other data, or one system has two configurations.
        """
        trees = sorted(open_kind(recordings, "network", purpose="a recording"), key=_place)
        if not trees:
            raise StatisticError("no recording was given", valid="recordings of trained networks")
        placed = _arranged(trees)
        keys = keys_of(SCORED if statistics is None else statistics)
        systems = sorted({place[0] for place in placed}, key=lambda name: (rank_of(name), name))
        layers = {name: _layers([tree for place, tree in placed.items() if place[0] == name]) for name in systems}
        deepest = max(len(found) - (_READOUT in found) for found in layers.values())
        depths = [*map(str, range(1, deepest + 1)), _READOUT, HIDDEN]
        seeds = sorted({place[2] for place in placed})
        values = np.full((len(seeds), len(_SETTINGS), len(systems), len(depths), len(keys)), np.nan)
        notes = np.full(values.shape[1:], "", dtype=object)
        cautions = np.full(values.shape[1:], "", dtype=object)
        correct = np.full((len(seeds), len(_SETTINGS), len(systems)), np.nan)
        for i, setting in enumerate(_SETTINGS):
            for j, name in enumerate(systems):
                here = {number: placed[name, setting, number] for number in seeds if (name, setting, number) in placed}
                found = layers[name]
                absent = [depth not in found for depth in depths[:-1]] + [False]
                notes[i, j] = f"no {setting} recording of this system" if not here else ""
                notes[i, j, absent] = "the system has no such layer"
                if not here:
                    continue
                names = list(found.values())
                table = summarise_seeds(list(here.values()), keys, n_bootstrap=0, populations=names)
                rows = [seeds.index(number) for number in here]
                for depth, layer in found.items():
                    one = table.sel(population=layer)
                    k = depths.index(depth)
                    values[rows, i, j, k] = one["seed_value"].transpose("seed", "statistic").values
                    notes[i, j, k] = one["note"].transpose("statistic").values
                    cautions[i, j, k] = one["caution"].transpose("statistic").values
                hidden = [depths.index(depth) for depth in found if depth != _READOUT]
                # A layer without a number leaves the mean without one: it would be that of other layers.
                values[:, i, j, -1] = values[:, i, j, hidden].mean(axis=1)
                cautions[i, j, -1] = [over_layers(of_statistic) for of_statistic in cautions[i, j, hidden].T]
                lost = ~np.isfinite(values[rows, i, j, -1]).all(axis=0)
                notes[i, j, -1, lost] = "a hidden layer has no value in some seed"
                correct[rows, i, j] = [_accuracy(tree) for tree in here.values()]
        dims = ("setting", "system", "depth", "statistic")
        ends = seed_values("value", values, dims, 0.95) | seed_values("accuracy", correct, dims[:2], 0.95)
        result = xr.Dataset(
            {
                **{name.removeprefix("value_"): found for name, found in ends.items()},
                "n_seeds": (dims, np.isfinite(values).sum(axis=0)),
                "note": (dims, notes.astype(str)),
                "value_caution": (dims, cautions.astype(str)),
                "seed_value": (("seed", *dims), values),
                "seed_accuracy": (("seed", *dims[:2]), correct),
                "layer": (dims[1:3], [[layers[name].get(depth, "") for depth in depths] for name in systems]),
            },
            coords={
                "seed": seeds,
                "setting": list(_SETTINGS),
                "system": systems,
                "depth": depths,
                "statistic": keys,
                "label": ("statistic", [STATISTICS[key].label for key in keys]),
            },
        )
        files = [reference_file(name) for name in SHIPPED] if references is None else list(references)
        result = result.merge(_references(files, keys), compat="no_conflicts")
        result = result.merge(_regimes(placed, layers, depths, n_bootstrap, seed))
        return self.result(
            result,
            trees,
            level=0.95,
            n_seeds=len(seeds),
            n_bootstrap=n_bootstrap,
            dataset=_data_of(trees[0]),
            n_samples=[
                max((len(samples_of(tree)) for place, tree in placed.items() if place[1] == setting), default=0)
                for setting in _SETTINGS
            ],
        )

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Yield one scorecard per setting with the circuits beneath, the regimes, and what has no number and why."""
        systems = [str(name) for name in result["system"].values]
        for setting in map(str, result["setting"].values):
            one = result.sel(setting=setting, depth="hidden")
            keys = _held(result, setting)
            rows = []
            for name in systems:
                own = one.sel(system=name)
                accuracy = interval_text(*(100 * float(own[f"accuracy{end}"]) for end in ("", "_low", "_high")))
                cells = [own.sel(statistic=key) for key in keys]
                values = [interval_text(*(float(cell[end]) for end in ("value", "low", "high"))) for cell in cells]
                rows.append((name, accuracy, *values))
            for reference in result["reference"].values:
                cells = [result.sel(reference=reference, statistic=key) for key in keys]
                values = [number_text(float(cell["reference_value"])) for cell in cells]
                values = [
                    text if bool(cell["comparable"]) or text == "–" else f"({text})"
                    for text, cell in zip(values, cells, strict=True)
                ]
                rows.append((str(reference), "–", *values))
            note = (
                f"Mean over hidden layers and {int(result.attrs['n_seeds'])} seeds [95 %, Student t over seeds, given "
                "the samples]. Circuits in brackets: defined otherwise than for networks."
            )
            if keys:
                marks, caution = cautioned(cautions_of(one, keys, "system", "value_caution"))
                note += caution
                labels = [str(result["label"].sel(statistic=key).item()) + marks.get(key, "") for key in keys]
                yield Table(f"All systems, {setting} recordings", ("system", "accuracy %", *labels), tuple(rows), note)
        if "share" in result:
            placed = []
            for name in systems:
                own = result.sel(system=name, depth="hidden")
                families = dict.fromkeys(result["family"].values.tolist())
                texts = [
                    largest(own["share"].sel(regime=(result["family"] == family).values), "regime")
                    for family in families
                ]
                texts += [largest(own["tightness"], "residual"), largest(own["tracking"], "in_time")]
                placed.append((name, *texts, str(own["regime_note"].item())))
            columns = ("system", *dict.fromkeys(result["family"].values.tolist()), "residual", "tracking", "not placed")
            note = "Shares of draws, mean over hidden layers and the seeds that could be placed; below 5 % not listed."
            yield Table("Regimes of all systems", columns, tuple(placed), note)
        missing: dict[tuple[str, str], list[str]] = {}
        for setting in map(str, result["setting"].values):
            for name in systems:
                for key in _held(result, setting):
                    cell = result.sel(setting=setting, system=name, statistic=key, depth="1")
                    if not np.isfinite(cell["value"]):
                        reason = str(cell["note"].item())
                        missing.setdefault((f"{name}, {setting}", reason), []).append(str(cell["label"].item()))
        lost = tuple((who, ", ".join(labels), reason) for (who, reason), labels in missing.items())
        if lost:
            yield Table("What some systems lack, and why (first layer)", ("system", "statistics", "reason"), lost)

    def findings(self, result: xr.Dataset) -> Iterable[str]:
        """Say which way systems lean, how they differ, how near they come to cortex, and what limits that."""
        for setting in map(str, result["setting"].values):
            for say in (leaning, against_first, near_cortex, unanswered):
                yield from say(result, setting)


def _held(result: xr.Dataset, setting: str) -> list[str]:
    """Return the statistics that some system has in a setting."""
    return defined(result.sel(setting=setting, depth="hidden"), result["statistic"].values.tolist())


def _data_of(tree: xr.DataTree) -> str:
    """Return the name of the data that were shown; of recordings that do not say, what the network was trained on."""
    shown = tree.attrs["source"].get("data", {})
    return str(shown.get("name") or tree.attrs["config"].get("dataset", {}).get("name", ""))


def _place(tree: xr.DataTree) -> tuple[str, str, int]:
    """Return system, setting and seed of a recording."""
    source, config = tree.attrs["source"], tree.attrs["config"]
    steps = int(source["steps"]) - int(source["spec"]["warmup"])
    return system_of(config), _SETTINGS[steps >= MIN_INTERVALS], int(config["seed"])


def _arranged(trees: Sequence[xr.DataTree]) -> dict[tuple[str, str, int], xr.DataTree]:
    """Return recordings by system, setting and seed, once it is known that they can be compared."""
    found: dict[tuple[str, str, int], xr.DataTree] = {}
    settings: dict[str, str] = {}
    data: set[str] = set()
    for tree in trees:
        system, setting, number = place = _place(tree)
        where = tree.attrs["path"]
        if tree.attrs["source"].get("lesions"):
            raise ConfigError("a lesioned network is not the trained system", where=where, valid="intact networks")
        if place in found:
            raise ConfigError(f"{system}, seed {number}, {setting} is given twice", where=where)
        rest = {key: value for key, value in tree.attrs["config"].items() if key != "seed"}
        text = json.dumps(rest, sort_keys=True)
        if settings.setdefault(system, text) != text:
            raise StatisticError(
                f"two configurations of {system}",
                where=where,
                remedy="one configuration per system; seeds may differ",
            )
        data.add(_data_of(tree))
        found[place] = tree
    if len(data) > 1:
        raise StatisticError(f"systems trained on different data: {', '.join(sorted(data))}", valid="one data set")
    return found


def _layers(trees: Sequence[xr.DataTree]) -> dict[str, str]:
    """Return the excitatory populations of a system by depth; recordings must agree in them, but for the readout."""
    hidden = [[name for name in excitatory(tree) if not name.startswith(_READOUT)] for tree in trees]
    for tree, names in zip(trees, hidden, strict=True):
        if names != hidden[0]:
            raise StatisticError(
                f"recordings of one system differ in their layers: {', '.join(names)}",
                where=tree.attrs["path"],
                valid=hidden[0],
            )
    found = {str(index + 1): name for index, name in enumerate(hidden[0])}
    held = [name for name in excitatory(trees[0]) if name.startswith(_READOUT)]
    return found | dict(zip([_READOUT], held, strict=False))


def _accuracy(tree: xr.DataTree) -> float:
    """Return the share of samples classified right; NaN where no readout was recorded."""
    readout = excitatory(tree).get("readout/E")
    return np.nan if readout is None else accuracy(readout)[0]


def _references(files: Sequence[str | Path], keys: Sequence[str]) -> xr.Dataset:
    """Return the summaries' table under names that tell several cases of one circuit apart."""
    parts = []
    for file in files:
        one = reference_table([file], keys)
        names = [f"{Path(file).stem}: {str(name).split(': ', 1)[1]}" for name in one["reference"].values]
        parts.append(one.assign_coords(reference=np.array(names, dtype=str)))
    return xr.concat(parts, "reference", data_vars="minimal") if parts else reference_table([], keys)


def _regimes(
    placed: Mapping[tuple[str, str, int], xr.DataTree],
    layers: Mapping[str, Mapping[str, str]],
    depths: Sequence[str],
    n_bootstrap: int,
    seed: int,
) -> xr.Dataset:
    """Return the shares of regimes of the long recordings, mean over seeds."""
    systems = list(layers)
    taken = {place: tree for place, tree in placed.items() if place[1] == "long" and spiking(tree)}
    if not taken:
        return xr.Dataset()
    scorecard = RegimeScorecard()
    parts = {place: scorecard.run([tree], n_bootstrap=n_bootstrap, seed=seed).data for place, tree in taken.items()}
    first = next(iter(parts.values()))
    shape = (len(systems), len(depths))
    notes = np.full(shape, "no long recording with spikes", dtype=object)
    tables = {name: np.full((*shape, first.sizes[dim]), np.nan) for name, dim in _SHARES.items()}
    counts = np.zeros(shape, dtype=int)
    for i, system in enumerate(systems):
        of_system = {place: part for place, part in parts.items() if place[0] == system}
        for depth, layer in layers[system].items():
            k = depths.index(depth)
            rows = [
                part.isel(population=list(spiking(taken[place])).index(layer))
                for place, part in of_system.items()
                if layer in spiking(taken[place])
            ]
            if not rows:
                continue
            finite = [row for row in rows if np.isfinite(row["share"]).all()]
            counts[i, k] = len(finite)
            reasons = sorted({str(text) for row in rows for text in row["reason"].values.ravel() if text})
            notes[i, k] = "; ".join(reasons)
            for name in _SHARES:
                shares = np.stack([row[name].values for row in rows])
                known = shares[np.isfinite(shares).all(axis=1)]
                tables[name][i, k] = known.mean(axis=0) if len(known) else np.nan
        hidden = [depths.index(depth) for depth in layers[system] if depth != _READOUT]
        for table in tables.values():
            table[i, -1] = table[i, hidden].mean(axis=0)
        counts[i, -1] = counts[i, hidden].min()
        notes[i, -1] = "; ".join(dict.fromkeys(str(text) for text in notes[i, hidden] if text))
        for depth in set(depths[:-1]) - set(layers[system]):
            notes[i, depths.index(depth)] = "the system has no such layer"
    return xr.Dataset(
        {
            **{name: (("system", "depth", dim), tables[name]) for name, dim in _SHARES.items()},
            "regime_n": (("system", "depth"), counts),
            "regime_note": (("system", "depth"), notes.astype(str)),
        },
        coords={dim: first[dim].values for dim in _SHARES.values()} | {"family": ("regime", first["family"].values)},
    )
