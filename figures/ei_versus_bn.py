"""Balance of every layer with E-I layers, batch normalisation and neither, trained and untrained."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from eiplatform.analyses import defined
from eiplatform.analyses.parts.seed_tables import type_name
from eiplatform.figures.parts.page import AnyFigure, Drawable, Drawn, numbers_of, page
from eiplatform.figures.parts.style import (
    COLOURS,
    layer_name,
    letters,
    points_with_intervals,
    setting_shown,
    study_sources,
)

ANALYSIS = "ei_versus_bn"
PANELS = (
    "ei_ratio",
    "balance_index",
    "ei_correlation_time",
    "ei_correlation_time_partial",
    "ei_correlation_samples",
    "ei_correlation_samples_partial",
    "rate",
    "gain",
    "cv_isi",
)
_COLOURS = {"ei": COLOURS["exc"], "bn": COLOURS["inh"], "none": COLOURS["gain"]}
_MARKERS = {"ei": "o", "bn": "D", "none": "^"}


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, intervals, settings and references."""
    settings, references = study_sources(result)
    return (
        f"Layers of trained (filled) and untrained (open) networks, mean over n = {int(result.attrs['n_seeds'])} seeds "
        f"with {100 * result.attrs['level']:.0f} % intervals (Student t over seeds, given the samples). {references}"
        f"Statistics over time are of the longer recordings. {settings}."
    )


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


def draw(result: Drawable, *, ax: Axes | None = None, figure: AnyFigure | None = None) -> Drawn:
    """Draw one panel per statistic, layers from input to readout."""
    numbers = numbers_of(result, ANALYSIS, table)
    with page(ax, figure) as sheet:
        statistics = list(dict.fromkeys(numbers["statistic"]))
        columns = min(3, len(statistics))
        rows_of_panels = -(-len(statistics) // columns)
        axes = sheet.panels(rows_of_panels, columns, height_mm=18 + 42 * rows_of_panels)
        layer_types = [name for name in dict.fromkeys(numbers["layer_type"]) if name]
        for ax, statistic in zip(axes, statistics, strict=False):
            rows = numbers[numbers["statistic"] == statistic]
            layers = list(dict.fromkeys(rows.loc[rows["state"] != "reference", "layer"]))
            for value in rows.loc[rows["state"] == "reference", "value"]:
                ax.axhline(value, color=COLOURS["null"], linewidth=0.6, linestyle=":", zorder=1)
            for index, layer_type in enumerate(layer_types):
                shift = 0.24 * (index - (len(layer_types) - 1) / 2)
                for state in ("untrained", "trained"):
                    one = rows[(rows["layer_type"] == layer_type) & (rows["state"] == state)]
                    place = np.array([layers.index(layer) for layer in one["layer"]]) + shift
                    colour = _COLOURS.get(layer_type, COLOURS["net"])
                    style: dict[str, Any] = {
                        "marker": _MARKERS.get(layer_type, "s"),
                        "color": colour,
                        "markersize": 3.5,
                    }
                    if state == "untrained":
                        style |= {"markerfacecolor": "white", "alpha": 0.65}
                    points_with_intervals(ax, place - 0.05 + 0.1 * (state == "trained"), one, **style)
            ax.set_xticks(range(len(layers)), [layer_name(layer) for layer in layers])
            ax.set_xlim(-0.5, len(layers) - 0.5)
            ax.set_title(fill(f"{rows['label'].iloc[0]} ({rows['setting'].iloc[0]})", 34), fontsize=6)
            ax.margins(y=0.1)
            if statistic == "balance_index":
                ax.axhline(0, color=COLOURS["net"], linewidth=0.5)
            if statistic == "ei_ratio":
                ax.axhline(1, color=COLOURS["net"], linewidth=0.5)
        for ax in axes[len(statistics) :]:
            ax.set_visible(False)
        marks = [
            Line2D(
                [],
                [],
                color=_COLOURS.get(name, COLOURS["net"]),
                marker=_MARKERS.get(name, "s"),
                linestyle="",
                label=type_name(name),
            )
            for name in layer_types
        ]
        grey: dict[str, Any] = {"color": COLOURS["net"], "marker": "o", "linestyle": ""}
        marks += [
            Line2D([], [], label="trained", **grey),
            Line2D([], [], markerfacecolor="white", label="untrained", **grey),
        ]
        if (numbers["state"] == "reference").any():
            marks.append(Line2D([], [], color=COLOURS["null"], linestyle=":", label="models of cortex"))
        sheet.legend(handles=marks, loc="outside lower center", ncols=len(marks), frameon=False)
        letters(axes[: len(statistics)])
    return sheet.drawn
