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
from eiplatform.analyses.parts.cautioned import cautioned, cautions_of
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
from eiplatform.analyses.parts.findings import ways
from eiplatform.analyses.parts.inputs import (
    Recording,
    Reference,
    References,
    Role,
    active,
    describe_inputs,
    label_of,
    open_kind,
    opened,
    spiking,
)
from eiplatform.analyses.parts.matching import BY_SIZE, comparability
from eiplatform.analyses.parts.measured import Side
from eiplatform.analyses.parts.sides import sides_of, sides_of_summary
from eiplatform.analyses.parts.tables import Table, cell_text, number_text
from eiplatform.errors import StatisticError, choose
from eiplatform.reference import CASES
from eiplatform.statistics import STATISTICS
from eiplatform.statistics.kernels.multiple import benjamini_hochberg

__all__ = ["Comparison"]

LEVEL, FDR = 0.95, 0.05


_DELTA = "\N{GREEK CAPITAL LETTER DELTA}"


class Comparison(Analysis):
    """Every firing layer against the excitatory populations of references."""

    question = "How close is every layer to a cortical circuit or another network, where they can be compared?"
    place = 90

    def run(
        self,
        recording: Annotated[Reference, Role("recordings", "a network, or a directory of its seeds")],
        references: References,
        *,
        statistics: Iterable[str] | None = None,
        margin: float = 0.5,
        n_bootstrap: int = 1000,
        seed: int = 0,
    ) -> Result:
        """Set every firing layer beside the excitatory populations of references.

        Parameters
        ----------
        recording : str, Path, DataTree, or a sequence of them
            Of a network that ran long enough for temporal statistics (some hundred steps); several
            are its seeds.
        references : sequence
            Each a recording (str, Path, DataTree) of a circuit, whose samples are its seeds, or of
            another network; a list of recordings, the seeds of one network; or the name of a shipped
            summary (:data:`eiplatform.reference.CASES`).
        statistics : iterable of str, optional
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
        keys = [choose(key, STATISTICS, "statistic") for key in (STATISTICS if statistics is None else statistics)]
        seeds = open_kind(_several(recording), "network", purpose="the recording")
        groups = [_opened(reference) for reference in references]
        trees = [*seeds, *(found for group in groups if not isinstance(group, str) for found in group)]
        where = seeds[0].attrs["path"]
        if len({found.attrs["id"] for found in trees}) < len(trees):
            raise StatisticError("a recording stands for its own reference, or is given twice", where=where)
        options: dict[str, Any] = {"n_bootstrap": n_bootstrap, "seed": seed, "level": LEVEL}
        own = sides_of(seeds, keys, None, **options)
        layers = active(seeds[0])
        layer = layers[own[0].population]
        timed = any(isinstance(group, str) or group[0].attrs["source"]["kind"] == "circuit" for group in groups)
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
        result["role"] = ("population", [str(layers[side.population].attrs["role"]) for side in own])
        return self.result(
            result.set_coords("role").assign_attrs(
                label=label_of(seeds[0]) if len(seeds) == 1 else f"{label_of(seeds[0])} and {len(seeds) - 1} more",
                margin=margin,
                fdr=FDR,
                **options,
                **describe_inputs(trees),
            )
        )

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give one table per reference, and one of what was not compared."""
        populations = [str(name) for name in result["population"].values]
        for reference in result["reference"].values.astype(str):
            one = result.sel(reference=reference)
            held = np.isfinite(one["difference"].transpose("statistic", "population").values).any(axis=1)
            shown = one["statistic"].values[held].astype(str).tolist()
            marks, caution = cautioned(*_cautions(result, [reference], shown))
            rows = [_row(one.sel(statistic=statistic), populations, marks.get(statistic, "")) for statistic in shown]
            if rows:
                title = f"'{result.attrs['label']}' against {reference}"
                yield Table(title, ("statistic", *populations, reference), tuple(rows), _note(result, one) + caution)
        marks, caution = cautioned(*_cautions(result, result["reference"].values.astype(str), _not_compared(result)))
        left_out = _left_out(result, populations, marks)
        if left_out:
            columns = ("statistic", "reason", "network", "reference")
            yield Table(
                "Not compared, and why", columns, tuple(left_out), f"Raw values, each in its own unit.{caution}"
            )

    def findings(self, result: xr.Dataset) -> Iterable[str]:
        """Say what came out."""
        sentences = []
        for reference in result["reference"].values:
            parts = []
            for statistic in defined(result, ("ei_correlation_time",), "difference"):
                one = result.sel(statistic=statistic, reference=reference)
                names = one["population"].values.astype(str)
                differs = (one["q"] <= result.attrs["fdr"]).values
                up = names[differs & (one["difference"] > 0).values].tolist()
                down = names[differs & (one["difference"] < 0).values].tolist()
                if up or down:
                    parts.append(f"{one['label'].item()} {ways(up, down)}")
                else:
                    tested = np.isfinite(one["q"]).any()
                    parts.append(f"{one['label'].item()}: {'no difference found' if tested else 'no test is possible'}")
            verdicts, counts = np.unique(result["verdict"].sel(reference=reference).values, return_counts=True)
            told = {str(verdict): int(count) for verdict, count in zip(verdicts, counts, strict=True)}
            told.pop("not compared", None)
            parts.append(", ".join(f"{count} {verdict}" for verdict, count in told.items()) or "nothing is comparable")
            parts += _weak(result.sel(reference=reference))
            rate = f"{100 * result.attrs['fdr']:g} %"
            sentences.append(
                f"Against {reference} (false discovery rate {rate}; layers x statistics): {'; '.join(parts)}."
            )
        return sentences


def _cautions(result: xr.Dataset, references: Iterable[str], shown: list[str]) -> list[dict[str, dict[str, str]]]:
    """Return what limits the meaning of the network's values, and of those of some references."""
    others = result.sel(reference=list(references))
    return [cautions_of(result, shown), cautions_of(others, shown, "reference", "reference_caution")]


def _not_compared(result: xr.Dataset) -> list[str]:
    """Return the statistics that are not compared with some reference."""
    compared = (result["verdict"] != "not compared").any("population").all("reference")
    left: list[str] = result["statistic"].values[~compared.values].astype(str).tolist()
    return left


def _row(one: xr.Dataset, populations: list[str], mark: str) -> tuple[str, ...]:
    """Return a statistic of all layers and of a reference: value, difference, effect, distance, verdict."""
    row = [str(one["label"].item()) + mark]
    units = str(one["reference_units"].item())
    for population in populations:
        data = one.sel(population=population)
        lines = [cell_text(data) + ("" if str(data["units"].item()) == units else f" {data['units'].item()}")]
        if np.isfinite(data["difference"]):
            lines.append(f"{_DELTA} {cell_text(data, '', ('difference', 'difference_low', 'difference_high'))}")
            if np.isfinite(data["effect"]):
                lines.append(f"effect {cell_text(data, '', ('effect', 'effect_low', 'effect_high'))}")
            if np.isfinite(data["distance"]):
                floor = f" (floor {number_text(float(data['distance_floor']))})"
                lines.append(f"distance {cell_text(data, '', ('distance', 'distance_low', 'distance_high'))}{floor}")
            lines.append(_verdict(data, float(one.attrs["fdr"])))
        row.append("\n".join(lines))
    lines = [cell_text(one, "reference_") + ("" if units == "1" else f" {units}")]
    for name, words in (
        ("spread", "sd over neurons"),
        ("ceiling", "seed range"),
        ("ceiling_effect", "seeds: effect"),
        ("ceiling_distance", "seeds: distance"),
    ):
        if np.isfinite(one[name]):
            lines.append(f"{words} {number_text(float(one[name]))}")
    return (*row, "\n".join(lines))


def _verdict(data: xr.Dataset, fdr: float) -> str:
    """Return the verdict, and of which test it is if the means themselves do not differ."""
    verdict = str(data["verdict"].item())
    mean, distribution = bool(data["q"] <= fdr), bool(data["q_distance"] <= fdr)
    return f"{verdict} (distribution, not mean)" if distribution and not mean else verdict


def _note(result: xr.Dataset, one: xr.Dataset) -> str:
    margin, fdr = float(result.attrs["margin"]), 100 * float(result.attrs["fdr"])
    kind, seeds = str(one["kind"].item()), int(one["reference_n_samples"].max())
    held = [
        str(verdict) for verdict in VERDICTS if bool((one["verdict"] == verdict).any()) and verdict != "not compared"
    ]
    note = (
        f"Value [95 % interval]; {_DELTA}: network minus reference; effect: {_DELTA} over the reference's standard "
        "deviation over neurons; distance: Wasserstein over neurons, in the same unit (floor: what two samples of "
        "these sizes from the reference's distribution show). Verdicts: "
        + "; ".join(f"{verdict} = {VERDICTS[verdict]}" for verdict in held)
        + f". Margin {margin:g} of that standard deviation; false discovery rate {fdr:g} % over the whole comparison. "
    )
    if kind == "network":
        return note + f"n = {int(result['n_samples'].max())} against {seeds} images."
    note += (
        f"Network: n = {int(result['n_samples'].max())} images; circuit: n = {seeds} seed{'s' if seeds != 1 else ''}. "
    )
    note += f"A step of the network is taken as {number_text(float(one['step_ms']))} ms: both membranes forget equally"
    if kind == "circuit":
        note += f"; the circuit's currents are averaged over {float(one['interval_ms']):g} ms"
    return note + (
        ". E/I ratio and balance index depend on in-degree and on how constant drive is counted: read them beside "
        "both, not as a distance."
    )


def _left_out(result: xr.Dataset, populations: list[str], marks: dict[str, str]) -> list[tuple[str, ...]]:
    """Return one row per statistic and reason; references that share a reason share a row."""
    rows: list[tuple[str, ...]] = []
    compared = (result["verdict"] != "not compared").any("population").transpose("reference", "statistic").values
    for column, statistic in enumerate(result["statistic"].values.astype(str)):
        one = result.sel(statistic=statistic)
        reasons: dict[str, list[str]] = {}
        for index, reference in enumerate(result["reference"].values.astype(str)):
            if compared[index, column]:
                continue
            here = one.sel(reference=reference)
            told = sorted({str(note) for note in here["note"].values.ravel() if note})
            reason = "; ".join(told) if bool(here["comparable"]) else str(here["reason"].item())
            reasons.setdefault(reason, []).append(f"{reference}: {number_text(float(here['reference_value']))}")
        network = ", ".join(f"{name}: {number_text(float(one['value'].sel(population=name)))}" for name in populations)
        label = str(one["label"].item()) + marks.get(statistic, "")
        rows += [(label, reason, network, ", ".join(who)) for reason, who in reasons.items()]
    return rows


def _weak(one: xr.Dataset) -> list[str]:
    """Say how many verdicts rest on values with a caution."""
    if "caution" not in one:  # of an earlier version
        return []
    reached = one["verdict"] != "not compared"
    n = int((reached & ((one["caution"] != "") | (one["reference_caution"] != ""))).sum())
    return [f"{n} of {int(reached.sum())} with a caution: see the table"] if n else []


def _several(recording: Reference) -> list[Recording]:
    return list(recording) if isinstance(recording, Sequence) and not isinstance(recording, str) else [recording]


def _opened(reference: Reference) -> str | list[xr.DataTree]:
    if isinstance(reference, str) and reference in CASES:
        return reference
    several = _several(reference)
    return opened(several) if len(several) == 1 else open_kind(several, "network", purpose="a seed of the reference")


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
        told = [f"network: {mine.note}"] if mine.note else []
        told += [f"reference: {other.note}"] if other.note else []
        comparable, _, factor = allowed[j][k]
        if comparable and keys[k] in BY_SIZE and own[i].population != others[j].population:
            comparable = False
            told.append("another layer: it depends on the in-degree")
        if comparable and np.isfinite([mine.value, other.value]).all():
            cell, unit, note = compare_cell(
                mine, other, factor=factor, same_samples=same_samples(own[i], others[j]), **options
            )
            for name, number in cell.items():
                scores[name][i, j, k] = number
            units[i, j, k] = unit
            told += [note] if note else []
        notes[i, j, k] = "; ".join(told)
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
