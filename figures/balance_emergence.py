"""Balance of every layer over training, with models of cortex."""

from __future__ import annotations

from textwrap import fill

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from eiplatform.analyses import defined
from eiplatform.figures.parts.page import AnyFigure, Drawable, Drawn, numbers_of, page
from eiplatform.figures.parts.style import COLOURS, layer_name, letters, setting_shown, study_sources

ANALYSIS = "balance_emergence"
PANELS = (
    "ei_ratio",
    "balance_index",
    "ei_correlation_time",
    "ei_correlation_time_partial",
    "ei_correlation_samples",
    "ei_correlation_samples_partial",
    "rate",
    "gain",
)
_OF_SEVERAL = ("ei_ratio", "ei_correlation_time_partial", "ei_correlation_samples_partial", "rate")
_COLOURS = (COLOURS["exc"], COLOURS["inh"], COLOURS["gain"], COLOURS["net"], COLOURS["accent"], COLOURS["trained"])
_MARKERS = "oD^svP"


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, intervals, settings and references."""
    settings, references = study_sources(result)
    return (
        f"Layers over training (epoch 0: untrained; the axis is linear up to the first moment recorded and logarithmic "
        f"beyond), mean over n = {int(result.attrs['n_seeds'])} seeds; bands: {100 * result.attrs['level']:.0f} % "
        f"intervals (Student t over seeds, given the samples). {references}"
        "Statistics over time are of the longer recordings. "
        f"Accuracy: of the recorded validation samples, mean of seeds. {settings}."
    )


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per type of layer, statistic, layer and moment, and one per reference."""
    parts = []
    for key in defined(result, PANELS if result.sizes["layer_type"] == 1 else _OF_SEVERAL):
        setting = setting_shown(result, key)
        one = result.sel(statistic=key, setting=setting)
        about = {"statistic": key, "label": str(one["label"].item()), "setting": setting}
        for layer_type in one["layer_type"].values:
            for layer in one["population"].values:
                cell = one.sel(layer_type=layer_type, population=layer)
                numbers = {
                    "value": cell["value"].values,
                    "low": cell["value_low"].values,
                    "high": cell["value_high"].values,
                }
                where = {"layer_type": str(layer_type), "layer": str(layer), "epoch": cell["epoch"].values}
                parts.append(pd.DataFrame({**about, **where, **numbers}))
        if bool(one["comparable"]):
            numbers = {end: one[f"reference_{end}"].values for end in ("value", "low", "high")}
            names = one["reference"].values.astype(str)
            parts.append(
                pd.DataFrame({**about, "layer_type": "reference", "layer": names, **numbers}).assign(epoch=np.nan)
            )
    for layer_type in result["layer_type"].values:
        for setting in result["setting"].values:
            accuracy = result["accuracy"].sel(layer_type=layer_type, setting=setting)
            about = {
                "statistic": "accuracy",
                "label": "accuracy",
                "setting": str(setting),
                "layer_type": str(layer_type),
            }
            where = {"layer": "all", "epoch": result["epoch"].values}
            parts.append(pd.DataFrame({**about, **where, "value": accuracy.values, "low": np.nan, "high": np.nan}))
    return pd.concat(parts, ignore_index=True).dropna(subset="value").reset_index(drop=True)


def draw(result: Drawable, *, ax: Axes | None = None, figure: AnyFigure | None = None) -> Drawn:
    """Draw the panels of one type of layer in rows of three, of several types in a row each."""
    numbers = numbers_of(result, ANALYSIS, table)
    with page(ax, figure) as sheet:
        statistics = list(dict.fromkeys(numbers["statistic"]))
        layer_types = [name for name in dict.fromkeys(numbers["layer_type"]) if name != "reference"]
        shown = numbers[(numbers["layer_type"] != "reference") & (numbers["layer"] != "all")]
        layers = list(dict.fromkeys(shown["layer"]))
        columns = 3 if len(layer_types) == 1 else len(statistics)
        rows_each = -(-len(statistics) // columns)
        axes = sheet.panels(rows_each * len(layer_types), columns, height_mm=18 + 38 * rows_each * len(layer_types))
        used = []
        first = float(numbers.loc[numbers["epoch"] > 0, "epoch"].min())
        for row, layer_type in enumerate(layer_types):
            for index, statistic in enumerate(statistics):
                ax = axes[row * rows_each * columns + index]
                used.append(ax)
                rows = numbers[numbers["statistic"] == statistic]
                for value in rows.loc[rows["layer_type"] == "reference", "value"]:
                    ax.axhline(value, color=COLOURS["null"], linewidth=0.6, linestyle=":", zorder=1)
                _lines(ax, rows[rows["layer_type"] == layer_type], layers)
                ax.set_xscale("symlog", linthresh=first, linscale=0.4)
                ends = sorted({0.0, first, 1.0, float(numbers["epoch"].max())})
                ax.set_xticks(ends, [f"{end:.2g}" for end in ends])
                ax.minorticks_off()
                ax.set_xlim(left=0.0)
                name = f"{layer_type}: {rows['label'].iloc[0]} ({rows['setting'].iloc[0]})"
                ax.set_title(fill(name, 36 if columns == 3 else 24), fontsize=6 if columns == 3 else 5)
                if index + columns >= len(statistics):
                    ax.set_xlabel("epoch")
        for ax in axes:
            ax.set_visible(ax in used)
        marks = [
            Line2D([], [], color=_COLOURS[index % 6], marker=_MARKERS[index % 6], label=layer_name(layer))
            for index, layer in enumerate(layers)
        ]
        if (numbers["layer_type"] == "reference").any():
            marks.append(Line2D([], [], color=COLOURS["null"], linestyle=":", label="models of cortex"))
        sheet.legend(handles=marks, loc="outside lower center", ncols=len(marks), frameon=False)
        letters(used)
    return sheet.drawn


def _lines(ax: Axes, rows: pd.DataFrame, layers: list[str]) -> None:
    for layer, one in rows.groupby("layer", sort=False):
        index = layers.index(str(layer)) if layer in layers else 3
        colour, marker = _COLOURS[index % 6], _MARKERS[index % 6]
        ax.fill_between(one["epoch"], one["low"], one["high"], color=colour, alpha=0.2, linewidth=0)
        ax.plot(one["epoch"], one["value"], color=colour, marker=marker, markersize=2.5)
