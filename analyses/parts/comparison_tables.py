"""Rows and notes of the tables of a comparison: raw values, scores, verdicts, and what was not compared."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.cautioned import cautions_of
from eiplatform.analyses.parts.cells import VERDICTS
from eiplatform.analyses.parts.tables import cell_text, number_text

__all__ = ["cautions_between", "left_out", "note_of", "not_compared", "row_of"]

_DELTA = "\N{GREEK CAPITAL LETTER DELTA}"


def cautions_between(
    result: xr.Dataset, references: Iterable[str], shown: list[str]
) -> list[dict[str, dict[str, str]]]:
    """Return what limits the meaning of the network's values, and of those of some references."""
    others = result.sel(reference=list(references))
    return [cautions_of(result, shown), cautions_of(others, shown, "reference", "reference_caution")]


def not_compared(result: xr.Dataset) -> list[str]:
    """Return the statistics that are not compared with some reference."""
    compared = (result["verdict"] != "not compared").any("population").all("reference")
    left: list[str] = result["statistic"].values[~compared.values].astype(str).tolist()
    return left


def row_of(one: xr.Dataset, populations: list[str], mark: str) -> tuple[str, ...]:
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
    """Return the verdict, with the test that gave it if the means themselves do not differ."""
    verdict = str(data["verdict"].item())
    mean, distribution = bool(data["q"] <= fdr), bool(data["q_distance"] <= fdr)
    return f"{verdict} (distribution, not mean)" if distribution and not mean else verdict


def note_of(result: xr.Dataset, one: xr.Dataset) -> str:
    """Return what the numbers of a table are, and how the sides were matched."""
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
        ". E/I ratio and balance index depend on in-degree and on how constant drive is counted: read them next to "
        "both, not as a distance."
    )


def left_out(result: xr.Dataset, populations: list[str], marks: dict[str, str]) -> list[tuple[str, ...]]:
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
            remarks = sorted({str(note) for note in here["note"].values.ravel() if note})
            reason = "; ".join(remarks) if bool(here["comparable"]) else str(here["reason"].item())
            reasons.setdefault(reason, []).append(f"{reference}: {number_text(float(here['reference_value']))}")
        network = ", ".join(f"{name}: {number_text(float(one['value'].sel(population=name)))}" for name in populations)
        label = str(one["label"].item()) + marks.get(statistic, "")
        rows += [(label, reason, network, ", ".join(who)) for reason, who in reasons.items()]
    return rows
