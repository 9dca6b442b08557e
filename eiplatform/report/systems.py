"""Tables of the analysis ``systems``."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr

from eiplatform.analyses import defined
from eiplatform.report.profiles import largest
from eiplatform.report.tables import Table, interval_text, number_text

__all__ = ["system_tables"]


def system_tables(result: xr.Dataset) -> Iterable[Table]:
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
            f"Mean over hidden layers and {int(result.attrs['n_seeds'])} seeds [95 %, Student t over seeds, given the "
            "samples]. Circuits in brackets: defined otherwise than for networks."
        )
        if keys:
            labels = [str(result["label"].sel(statistic=key).item()) for key in keys]
            yield Table(f"All systems, {setting} recordings", ("system", "accuracy %", *labels), tuple(rows), note)
    if "share" in result:
        placed = []
        for name in systems:
            own = result.sel(system=name, depth="hidden")
            families = dict.fromkeys(result["family"].values.tolist())
            texts = [
                largest(own["share"].sel(regime=(result["family"] == family).values), "regime") for family in families
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
        yield Table(
            "What other systems have, and why one has not (first layer)", ("system", "statistics", "reason"), lost
        )


def _held(result: xr.Dataset, setting: str) -> list[str]:
    """Return the statistics that some system has in a setting."""
    return defined(result.sel(setting=setting, depth="hidden"), result["statistic"].values.tolist())
