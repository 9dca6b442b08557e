"""Balance of every layer with E-I layers, batch normalisation and neither, trained and untrained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from eiplatform.analyses import defined
from eiplatform.analyses.parts.seed_tables import type_name
from eiplatform.figures.grammar import (
    baseline,
    colour,
    condition_style,
    count,
    intervals,
    layer_axis,
    log_axis,
    named,
    reference_band,
    wrapped,
)
from eiplatform.figures.parts.page import Page, drawing
from eiplatform.figures.parts.studies import setting_shown, settings_told, study_sources

ANALYSIS = "ei_versus_bn"
QUESTION = "Do E-I layers give another balance than batch normalisation or neither?"
PANELS = (
    "ei_ratio",
    "ei_correlation_time",
    "ei_correlation_time_partial",
    "ei_correlation_samples",
    "ei_correlation_samples_partial",
    "rate",
    "gain",
    "cv_isi",
)
_MARKERS = {"ei": "o", "bn": "D", "none": "^"}


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, intervals, settings and references."""
    settings, references = study_sources(result)
    return (
        f"Layers of trained (filled) and untrained (open) networks, mean over n = {int(result.attrs['n_seeds'])} seeds "
        f"with {100 * result.attrs['level']:.0f} % intervals (Student t over seeds, given the samples). {references}"
        f"Statistics over time are of the longer recordings. {settings}."
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    types = ", ".join(map(str, result["layer_type"].values))
    return f"Statistics of balance of networks with layers of the types {types}, trained and untrained."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per statistic, type of layer, layer and state, and one per reference."""
    parts = []
    for key in defined(result, PANELS):
        setting = setting_shown(result, key)
        one = result.sel(statistic=key, setting=setting)
        about = {"statistic": key, "label": str(one["label"].item()), "setting": setting}
        for layer_type in one["layer_type"].values:
            for layer in one["population"].values:
                cell = one.sel(layer_type=layer_type, population=layer)
                for state, name in (("trained", "value"), ("untrained", "null")):
                    ends = {
                        "value": float(cell[name]),
                        "low": float(cell[f"{name}_low"]),
                        "high": float(cell[f"{name}_high"]),
                    }
                    parts.append({**about, "layer_type": str(layer_type), "layer": str(layer), "state": state, **ends})
        if bool(one["comparable"]):
            for reference in one["reference"].values:
                cell = one.sel(reference=reference)
                ends = {end: float(cell[f"reference_{end}"]) for end in ("value", "low", "high")}
                parts.append({**about, "layer_type": "", "layer": str(reference), "state": "reference", **ends})
    return pd.DataFrame(parts).dropna(subset="value").reset_index(drop=True)


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one panel per statistic, layers from input to readout."""
    statistics = list(dict.fromkeys(numbers["statistic"]))
    columns = min(4, len(statistics))
    lines = -(-len(statistics) // columns)
    axes = sheet.panels(lines, columns, height_mm=16 + 40 * lines)
    layer_types = [name for name in dict.fromkeys(numbers["layer_type"]) if name]
    shared, settings = settings_told(numbers)
    for ax, statistic in zip(axes, statistics, strict=False):
        rows = numbers[numbers["statistic"] == statistic]
        held = rows[rows["state"] == "reference"]
        if len(held):
            reference_band(ax, held["value"].min(), held["value"].max(), label="range of models of cortex")
        layers = list(dict.fromkeys(rows.loc[rows["state"] != "reference", "layer"]))
        for index, layer_type in enumerate(layer_types):
            _states(ax, rows[rows["layer_type"] == layer_type], layers, index, len(layer_types))
        layer_axis(ax, [named(layer) for layer in layers])
        ax.set_title(wrapped(f"{rows['label'].iloc[0]}{settings[statistic]}", 30), fontsize=6)
        ax.margins(y=0.1)
        if statistic == "ei_ratio":
            log_axis(ax, "y")
            baseline(ax, 1, "E = I")
    for ax in axes[len(statistics) :]:
        ax.set_axis_off()
    ink: dict[str, Any] = {"color": colour("trained"), "linestyle": ""}
    marks: list[Any] = [
        Line2D([], [], marker=_MARKERS.get(name, "s"), label=type_name(name), **ink) for name in layer_types
    ]
    null: dict[str, Any] = {"color": colour("null"), "linestyle": "", "marker": "o", "markerfacecolor": colour("paper")}
    marks.append(Line2D([], [], label="untrained (null)", **null))
    if (numbers["state"] == "reference").any():
        marks.append(Patch(facecolor=colour("circuit"), alpha=0.3, label="range of models of cortex"))
    count(axes[0], f"{shared}{int(result.attrs['n_seeds'])} seeds")
    sheet.letters(axes[: len(statistics)])
    sheet.legend(marks)


def _states(ax: Axes, rows: pd.DataFrame, layers: list[str], index: int, n: int) -> None:
    """Draw one type of layer: untrained open and grey, trained filled."""
    shift = 0.24 * (index - (n - 1) / 2)
    marker = _MARKERS.get(str(rows["layer_type"].iloc[0]) if len(rows) else "", "s")
    for state, kind, aside in (("untrained", "null", -0.05), ("trained", "trained", 0.05)):
        one = rows[rows["state"] == state]
        place = np.array([layers.index(layer) for layer in one["layer"]], dtype=float) + shift + aside
        intervals(ax, place, one, **condition_style(kind) | {"marker": marker, "markersize": 3.2, "label": None})
