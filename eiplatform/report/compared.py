"""Tables of a comparison: raw values beside scores, verdicts, and what was not compared."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr

from eiplatform.analyses.comparison import VERDICTS
from eiplatform.report.cautioned import cautioned, cautions_of
from eiplatform.report.tables import Table, cell_text, number_text

__all__ = ["comparison_tables"]

_DELTA = "\N{GREEK CAPITAL LETTER DELTA}"


def comparison_tables(result: xr.Dataset) -> Iterable[Table]:
    """Give one table per reference, and one of what was not compared.

    Parameters
    ----------
    result : xarray.Dataset
        Of :func:`eiplatform.analyses.comparison.run`.
    """
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
        yield Table("Not compared, and why", columns, tuple(left_out), f"Raw values, each in its own unit.{caution}")


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
