"""Cross-correlograms of excitation and inhibition, with the shift predictor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from eiplatform.figures.grammar import baseline, colour, count, grouped, left_out, named, num, row_names
from eiplatform.figures.parts.page import Page, columns_of, drawing

ANALYSIS = "correlogram"
QUESTION = "Which comes first, excitation or inhibition?"
MOST = 8
_KINDS = {
    "own": ("own inhibition", "trained", "-", 2.4, 0.5),
    "cross": ("inhibition of other neurons", "ink", (0, (4, 1.2)), 0.8, 1.0),
    "shift": ("own inhibition, another sample (shift predictor)", "null", "-", 0.8, 1.0),
}


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, the sign of the lag and the control."""
    sizes = [f"{n} × {s}" for n, s in zip(result["n_neurons"].values, result["n_samples"].values, strict=True)]
    skipped = [str(text) for text in np.atleast_1d(result.attrs.get("skipped", [])) if str(text)]
    rest = f" Not measured: {len(skipped)} populations." if skipped else ""
    return (
        "Correlation of a neuron's excitation with inhibition at a lag, mean over neurons; above 0, inhibition comes "
        "later. Other neurons: what a global rhythm gives. Shift predictor: inhibition of the same neuron in another "
        f"sample. Mark: peak with its {100 * result.attrs['level']:.0f} % interval (bootstrap over samples and "
        f"neurons). n = neurons × samples: {grouped(row_names(result), sizes)}. Neurons excluded because a current is "
        f"constant: {int(result['n_excluded'].sum())}.{rest}{left_out(result.sizes['row'], MOST, 'populations')}"
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    peaks = ", ".join(
        f"{named(str(p))} {v:.2f}" for p, v in zip(result["population"].values, result["peak"].values, strict=True)
    )
    return f"Cross-correlograms of excitation and inhibition; heights of their peaks: {peaks}."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per population, kind of pair and lag."""
    parts = []
    for index in range(result.sizes["row"]):
        one = result.isel(row=index)
        about = {"row": index, **{name: one[name].item() for name in ("recording", "population", "time_units")}}
        curves = {str(kind): one["correlation"].sel(kind=kind).values for kind in result["kind"].values}
        parts += [
            pd.DataFrame({**about, "kind": kind, "lag": one["time"].values, "value": curve})
            for kind, curve in curves.items()
        ]
    return pd.concat(parts, ignore_index=True).dropna(subset=["value"])


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one panel per population."""
    rows = list(dict.fromkeys(numbers["row"]))[:MOST]
    axes = sheet.wrapped(len(rows), head_mm=14, panel_mm=40, sharey=True)
    columns = columns_of(len(rows))
    for place, (ax, row) in enumerate(zip(axes, rows, strict=False)):
        part, one = numbers[numbers["row"] == row], result.isel(row=row)
        for kind, (label, ink, line, width, alpha) in _KINDS.items():
            mine = part[part["kind"] == kind]
            style: dict[str, Any] = {"color": colour(ink), "linestyle": line, "label": label, "alpha": alpha}
            ax.plot(mine["lag"], mine["value"], **style, linewidth=width)
        baseline(ax, 0)
        baseline(ax, 0, axis="x")
        peak, unit = float(one["peak"]), str(one["time_units"].item())
        ends = [float(one["peak_lag_low"]), float(one["peak_lag_high"])]
        ax.plot(ends, [peak * 1.08] * 2, color=colour("ink"), linewidth=1.2, solid_capstyle="butt")
        mark: dict[str, Any] = {"marker": "v", "markersize": 3, "color": colour("ink"), "linestyle": ""}
        ax.plot(float(one["peak_lag"]), peak * 1.08, label="peak", **mark)
        lag = (
            f"lag {num(float(one['peak_lag']))} [{num(ends[0])}, {num(ends[1])}] {'steps' if unit == 'step' else unit}"
        )
        count(ax, lag)
        ax.set_title(named(row_names(result)[row]), fontsize=6, pad=12)
        ax.set_xlabel(f"lag of inhibition ({'steps' if unit == 'step' else unit})")
        if place % columns == 0:
            ax.set_ylabel("correlation of E with I")
        ax.margins(x=0)
    sheet.letters(axes[: len(rows)])
    sheet.legend()
