"""How close is every layer to a cortical circuit (or another network), where the two can be compared?

Only comparable things are compared; what is not is listed with the reason.  Time is matched
first: a network's step lasts ``-tau_m ln(decay)`` of a circuit with membrane constant ``tau_m``
(the stated assumption of the platform), and the circuit's currents are averaged over that long.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result, defined
from eiplatform.analyses.parts.cautioned import cautioned
from eiplatform.analyses.parts.cells import (
    CELL,
    DESCRIPTIONS,
    OF_REFERENCE,
    VERDICTS,
    ceiling,
    compare_cell,
    same_samples,
    verdict_of,
)
from eiplatform.analyses.parts.comparison_tables import cautions_between, left_out, not_compared, note_of, row_of
from eiplatform.analyses.parts.findings import layers, span, strongest
from eiplatform.analyses.parts.headlines import Headline
from eiplatform.analyses.parts.inputs import (
    Nulls,
    Recording,
    Reference,
    References,
    Role,
    active,
    label_of,
    open_kind,
    opened,
    samples_of,
    spiking,
)
from eiplatform.analyses.parts.matching import BY_SIZE, comparability
from eiplatform.analyses.parts.measured import Side
from eiplatform.analyses.parts.sides import sides_of, sides_of_summary
from eiplatform.analyses.parts.tables import Table
from eiplatform.errors import ConfigError, StatisticError
from eiplatform.reference import CASES
from eiplatform.statistics import STATISTICS, against_null, summarise_seeds
from eiplatform.statistics.kernels.multiple import benjamini_hochberg
from eiplatform.statistics.summary import keys_of

__all__ = ["TELLING", "Comparison"]

LEVEL, FDR = 0.95, 0.05
TELLING = (
    "ei_correlation_time",
    "ei_correlation_time_excess",
    "residual_variance_time",
    "ei_correlation_samples",
    "ei_correlation_samples_excess",
    "ei_ratio",
    "fluctuation_index",
    "rate",
    "rate_log_sd",
    "gain",
)
"""Statistics that do not follow from each other, in their order."""

_MOST = 3
"""Statistics that a finding names."""
_TRACKING = "ei_correlation_time"
"""The statistic that a finding names in any case."""


class Comparison(Analysis):
    """Every firing layer against the excitatory populations of references."""

    question = "How close is every layer to a cortical circuit or another network, where they can be compared?"
    place = 90

    def run(
        self,
        recording: Annotated[Reference, Role("recordings", "a network, or a directory of its seeds")],
        references: References,
        nulls: Nulls = (),
        *,
        statistics: str | Iterable[str] | None = None,
        margin: float = 0.5,
        n_bootstrap: int = 1000,
        seed: int = 0,
    ) -> Result:
        """Compare every firing layer with the excitatory populations of references.

        Parameters
        ----------
        recording : str, Path, DataTree, or a sequence of them
            Of a network that ran long enough for temporal statistics (some hundred steps); several
            are its seeds.
        references : sequence
            Each a recording (str, Path, DataTree) of a circuit, whose samples are its seeds, or of
            another network; a list of recordings, the seeds of one network; or the name of a shipped
            summary (:data:`eiplatform.reference.CASES`).
        nulls : sequence of str, Path or DataTree
            Untrained networks that saw the same samples: the distance from them in units of their spread, as in the
            analysis ``balance``, of the statistics in :data:`TELLING`.  The tests against references stay as they are.
        statistics : str or iterable of str, optional
            Keys of :data:`~eiplatform.statistics.STATISTICS`; default: all.
        margin : float
            Largest difference that counts as none, in units of the reference's spread over neurons.
        n_bootstrap, seed : int
            Of the intervals and permutations.

        Returns
        -------
        xarray.Dataset, dims (population, reference, statistic)
            Raw values: ``value``, ``low``, ``high`` (population, statistic) of the network;
            ``reference_value``, ``reference_low``, ``reference_high`` (reference, statistic).
            ``caution`` and ``reference_caution``: what limits the meaning of these values.
            Scores, NaN where not comparable: ``converted`` (the network's value in the reference's
            unit); ``difference`` with Student's interval; ``effect``
            with interval (Glass's delta: over the reference's spread over neurons),
            ``effect_seeds`` (over its spread over seeds), ``dominance`` (Cliff's delta);
            ``distance`` with interval (Wasserstein over the reference's spread) and
            ``distance_floor``; ``p``, ``p_distance``, ``p_equivalence`` and their ``q``
            (Benjamini & Hochberg over the whole table: ``p`` and ``p_distance`` together, since either
            makes a difference; ``p_equivalence`` alone); ``verdict``, one of :data:`VERDICTS`;
            ``unit``: what the test takes as independent
            (:mod:`eiplatform.statistics.kernels.difference`); ``p_smallest``.
            Of the reference: ``spread``, ``ceiling`` (range over its seeds), ``ceiling_effect``,
            ``ceiling_distance`` and ``ceiling_distance_maximum`` (between pairs of its seeds).
            ``comparable`` and ``reason`` (reference, statistic), ``note`` (population, reference,
            statistic).
            With nulls, (population, statistic): ``null_z`` with ``null_z_low`` and ``null_z_high``, and ``null_q``
            (:func:`~eiplatform.statistics.against_null`; Benjamini & Hochberg over these alone).

        Raises
        ------
        ConfigError
            If `recording` is not of a network.
        StatisticError
            If nothing fires or has a rate, the layers' membranes have different time constants, the recording is
            its own reference, or the margin is not positive.
        """
        if not margin > 0:
            raise StatisticError(f"the margin is {margin}", valid="a positive number of the reference's spreads")
        keys = keys_of(statistics)
        seeds = open_kind(_several(recording), "network", purpose="the recording")
        groups = [_opened(reference) for reference in references]
        if not groups:
            raise ConfigError("nothing was given to compare with", valid="recordings, or names of shipped summaries")
        trees = [*seeds, *(found for group in groups if not isinstance(group, str) for found in group)]
        where = seeds[0].attrs["path"]
        if len({found.attrs["id"] for found in trees}) < len(trees):
            raise StatisticError("a recording stands for its own reference, or is given twice", where=where)
        options: dict[str, Any] = {"n_bootstrap": n_bootstrap, "seed": seed, "level": LEVEL}
        own = sides_of(seeds, keys, None, **options)
        layers = active(seeds[0])
        layer = layers[own[0].population]
        timed = any(isinstance(group, str) or group[0].attrs["source"]["kind"] != "network" for group in groups)
        if timed and not spiking(seeds[0]):
            raise StatisticError(
                "rates have no membrane, so that no time of a circuit can be matched to their steps",
                where=where,
                remedy="compare them with other networks",
            )
        if timed and len({float(one.attrs.get("membrane_decay", np.nan)) for one in layers.values()}) > 1:
            raise StatisticError("the layers differ in their membrane constant", where=where)
        others: list[Side] = []
        for group in groups:
            if isinstance(group, str):
                others += sides_of_summary(group, keys, layer)
            else:
                others += sides_of(group, keys, layer, **options)
        result = _assembled(own, others, keys, margin, n_bootstrap, seed)
        null_trees = open_kind(nulls, "network", purpose="a null")
        if null_trees:
            result = result.merge(_distances(result, seeds[0], null_trees, keys))
        result["role"] = ("population", [str(layers[side.population].attrs["role"]) for side in own])
        return self.result(
            result.set_coords("role"),
            [*trees, *null_trees],
            label=label_of(seeds[0]) if len(seeds) == 1 else f"{label_of(seeds[0])} and {len(seeds) - 1} more",
            margin=margin,
            fdr=FDR,
            **({"n_nulls": len(null_trees)} if null_trees else {}),
            **options,
        )

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give one table per reference, and one of what was not compared."""
        populations = [str(name) for name in result["population"].values]
        for reference in result["reference"].values.astype(str):
            one = result.sel(reference=reference)
            held = np.isfinite(one["difference"].transpose("statistic", "population").values).any(axis=1)
            shown = one["statistic"].values[held].astype(str).tolist()
            marks, caution = cautioned(*cautions_between(result, [reference], shown))
            rows = [row_of(one.sel(statistic=statistic), populations, marks.get(statistic, "")) for statistic in shown]
            if rows:
                title = f"'{result.attrs['label']}' against {reference}"
                yield Table(title, ("statistic", *populations, reference), tuple(rows), note_of(result, one) + caution)
        marks, caution = cautioned(
            *cautions_between(result, result["reference"].values.astype(str), not_compared(result))
        )
        if rows := left_out(result, populations, marks):
            columns = ("statistic", "reason", "network", "reference")
            yield Table("Not compared, and why", columns, tuple(rows), f"Raw values, each in its own unit.{caution}")

    def findings(self, result: xr.Dataset) -> Iterable[str]:
        """Say of every reference how much differs, what differs most, and what rests on weak values."""
        for reference in result["reference"].values:
            one = result.sel(reference=reference)
            parts = [_counted(one, 100 * result.attrs["fdr"]), *_largest(one), *_weak(one)]
            yield f"Compared with {reference}: {'; '.join(parts)}."

    def headlines(self, result: xr.Dataset) -> Iterable[Headline]:
        """Say of every reference how many comparisons differ, and which differ most."""
        rate = f"{100 * result.attrs['fdr']:g} %"
        for reference in result["reference"].values.astype(str):
            one = result.sel(reference=reference)
            verdicts = one["verdict"].values.astype(str)
            n = int((verdicts != "not compared").sum())
            if not n:
                continue
            counts = [
                f"{number} {words}"
                for verdict, words in (
                    ("small difference", "differ little"),
                    ("equivalent", "are equivalent"),
                    ("undecided", "are undecided"),
                )
                if (number := int((verdicts == verdict).sum()))
            ]
            passed = (one["q"] <= float(result.attrs["fdr"])).values
            clear = np.abs(one["effect"].values[passed])
            different = int((verdicts == "different").sum())
            text = f"{different} of {n} comparisons with {reference} show a difference" + "".join(
                f", {part}" for part in counts
            )
            most = "; ".join(_largest(one)[:2])
            yield Headline(
                f"{text}." + (f" Largest: {most}." if different and most else ""),
                "cortex" if str(one["kind"].item()) != "network" else "null",
                f"effects in spreads of the reference's neurons; false discovery rate {rate}"
                + "".join(f"; {part.removesuffix(' (see the table)')}" for part in _weak(one)),
                float(clear[np.isfinite(clear)].max(initial=0)) or float("nan"),
                float(one["q"].values[passed].min()) if passed.any() else float("nan"),
            )


def _counted(one: xr.Dataset, rate: float) -> str:
    """Return how many tests gave which verdict."""
    verdicts = one["verdict"].values.astype(str).ravel()
    counts = {verdict: int((verdicts == verdict).sum()) for verdict in VERDICTS if verdict != "not compared"}
    reached = {verdict: count for verdict, count in counts.items() if count}
    if not reached:
        return "nothing is comparable"
    listed = ", ".join(f"{count} {verdict}" for verdict, count in reached.items())
    return f"{listed} (of {sum(reached.values())} pairs of layer and statistic; false discovery rate {rate:g} %)"


def _largest(one: xr.Dataset) -> list[str]:
    """Return the statistics whose means differ most, and in any case whether inhibition tracks excitation alike."""
    names = one["population"].values.astype(str)
    found: dict[str, tuple[float, str]] = {}
    for key in defined(one, one["statistic"].values.tolist(), "effect"):
        cells = one.sel(statistic=key)
        effects, clear = cells["effect"].values, (cells["q"] <= float(one.attrs["fdr"])).values
        ways = [(word, strongest(effects, clear, sign)) for word, sign in (("higher", 1), ("lower", -1))]
        texts = [f"{word} in {layers(names[way])} (effect {span(effects[way])})" for word, way in ways if way]
        if texts:
            size = float(np.abs(effects[clear & np.isfinite(effects)]).max())
            found[key] = (size, f"{cells['label'].item()} {' and '.join(texts)}")
        elif key == _TRACKING:
            found[key] = (0.0, f"no difference found in {cells['label'].item()}")
    order = sorted(found, key=lambda key: -found[key][0])
    chosen = [key for index, key in enumerate(order) if index < _MOST or key == _TRACKING]
    return [found[key][1] for key in chosen]


def _weak(one: xr.Dataset) -> list[str]:
    """Say how many verdicts rest on values with a caution."""
    if "caution" not in one:  # of an earlier version
        return []
    reached = one["verdict"] != "not compared"
    n = int((reached & ((one["caution"] != "") | (one["reference_caution"] != ""))).sum())
    return [f"{n} of these {int(reached.sum())} rest on values with a caution (see the table)"] if n else []


def _several(recording: Reference) -> list[Recording]:
    return list(recording) if isinstance(recording, Sequence) and not isinstance(recording, str) else [recording]


def _opened(reference: Reference) -> str | list[xr.DataTree]:
    if isinstance(reference, str) and reference in CASES:
        return reference
    several = _several(reference)
    return opened(several) if len(several) == 1 else open_kind(several, "network", purpose="a seed of the reference")


def _distances(result: xr.Dataset, tree: xr.DataTree, nulls: Sequence[xr.DataTree], keys: Sequence[str]) -> xr.Dataset:
    """Return how far the network is from untrained ones, in units of their spread over networks."""
    for null in nulls:
        if not np.array_equal(samples_of(null), samples_of(tree)):
            what, remedy = "the null saw other samples", "record it with the same spec"
            raise StatisticError(what, where=null.attrs["path"], remedy=remedy)
    shown = [key for key in TELLING if key in keys] or list(keys)
    names = result["population"].values.astype(str).tolist()
    table = summarise_seeds(nulls, shown, n_bootstrap=0, populations=names)
    own = result[["value", "low", "high", "caution"]].sel(statistic=shown)
    own = own.assign(note=xr.full_like(own["caution"], "")).assign_coords(role=table["role"])
    found = against_null(own.assign_coords(comparable=table["comparable"]), table)
    spread = (table["sd"] * np.sqrt(1 + 1 / table["n_seeds"])).where(found["z"].notnull())
    ends = {f"null_z_{end}": (own[end] - found["null"]) / spread for end in ("low", "high")}
    made = xr.Dataset({"null_z": found["z"], **ends, "null_q": found["q"]}).reset_coords(drop=True)
    return made.reindex(population=names, statistic=result["statistic"].values)


def _assembled(
    own: Sequence[Side], others: Sequence[Side], keys: list[str], margin: float, n_bootstrap: int, seed: int
) -> xr.Dataset:
    """Compare every cell and put all into one Dataset."""
    dims = ("population", "reference", "statistic")
    shape = (len(own), len(others), len(keys))
    scores = {name: np.full(shape, np.nan) for name in CELL}
    notes, verdicts = np.full(shape, "", dtype=object), np.full(shape, "not compared", dtype=object)
    units = np.full(shape, "", dtype=object)
    options: dict[str, Any] = {"margin": margin, "n_bootstrap": n_bootstrap, "seed": seed}
    allowed = [[comparability(STATISTICS[key], own[0], other) for key in keys] for other in others]
    for i, j, k in np.ndindex(*shape):
        mine, other = own[i].cells[keys[k]], others[j].cells[keys[k]]
        remarks = [f"network: {mine.note}"] if mine.note else []
        remarks += [f"reference: {other.note}"] if other.note else []
        comparable, _, factor = allowed[j][k]
        if comparable and keys[k] in BY_SIZE and own[i].population != others[j].population:
            comparable = False
            remarks.append("another layer: it depends on the in-degree")
        if comparable and np.isfinite([mine.value, other.value]).all():
            cell, unit, note = compare_cell(
                mine, other, factor=factor, same_samples=same_samples(own[i], others[j]), **options
            )
            for name, number in cell.items():
                scores[name][i, j, k] = number
            units[i, j, k] = unit
            remarks += [note] if note else []
        notes[i, j, k] = "; ".join(remarks)
    ceilings = [[ceiling(side.cells[key]) for key in keys] for side in others]
    scores["q"], scores["q_distance"] = benjamini_hochberg(np.stack([scores["p"], scores["p_distance"]]))
    scores["q_equivalence"] = benjamini_hochberg(scores["p_equivalence"])
    for i, j, k in np.ndindex(*shape):
        if np.isfinite(scores["difference"][i, j, k]):
            largest = ceilings[j][k][OF_REFERENCE.index("ceiling_distance_maximum")]
            found = {name: float(scores[name][i, j, k]) for name in ("q", "q_distance", "q_equivalence")}
            verdicts[i, j, k] = verdict_of(**found, within=bool(scores["distance"][i, j, k] <= largest))
    result = xr.Dataset(
        {
            name: (dims, values, {"long_name": DESCRIPTIONS[name]} if name in DESCRIPTIONS else {})
            for name, values in scores.items()
        },
        coords={
            "population": [side.population for side in own],
            "reference": [side.name for side in others],
            "statistic": keys,
            "label": ("statistic", [STATISTICS[key].label for key in keys]),
            "over": ("statistic", [STATISTICS[key].over for key in keys]),
        },
    )
    for name, texts in (("note", notes), ("verdict", verdicts), ("unit", units)):
        result[name] = (dims, texts.astype(str))
    for prefix, dim, sides in (("", "population", own), ("reference_", "reference", others)):
        for name in ("value", "low", "high", "n_samples", "n_neurons", "n_excluded", "units", "caution"):
            rows = [[getattr(side.cells[key], name) for key in keys] for side in sides]
            result[f"{prefix}{name}"] = ((dim, "statistic"), np.array(rows))
    for index, name in enumerate(OF_REFERENCE):
        values = np.array([[cell[index] for cell in row] for row in ceilings])
        result[name] = (("reference", "statistic"), values, {"long_name": DESCRIPTIONS[name]})
    counted = [[group.n if (group := side.cells[key].group) else 0 for key in keys] for side in others]
    result["n_seeds"] = (("reference", "statistic"), counted)
    result["interval_ms"] = ("reference", [side.interval_ms for side in others])
    result["step_ms"] = ("reference", [side.step_ms for side in others])
    result["kind"] = ("reference", [side.kind for side in others])
    result["comparable"] = (("reference", "statistic"), [[found[0] for found in row] for row in allowed])
    result["reason"] = (("reference", "statistic"), [[found[1] for found in row] for row in allowed])
    return result
