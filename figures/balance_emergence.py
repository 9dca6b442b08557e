"""Balance of every layer over training, with models of cortex."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.analyses import defined
from eiplatform.figures.grammar import baseline, colour, count, layer_colours, named, reference_band, wrapped
from eiplatform.figures.parts.page import Page, drawing
from eiplatform.figures.parts.studies import setting_shown, settings_told, study_sources

ANALYSIS = "balance_emergence"
QUESTION = "When in training does balance emerge?"
PANELS = (
    "ei_ratio",
    "ei_correlation_time",
    "ei_correlation_time_partial",
    "ei_correlation_samples",
    "ei_correlation_samples_partial",
    "rate",
    "gain",
)
_OF_SEVERAL = ("ei_ratio", "ei_correlation_time_partial", "ei_correlation_samples_partial", "rate")
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


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    return (
        f"Statistics of balance of {result.sizes['population']} layers over {result.sizes['epoch']} moments of "
        f"training, up to epoch {float(result['epoch'].max()):g}."
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


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw the panels of one type of layer in rows of four, of several types in a row each."""
    statistics = list(dict.fromkeys(numbers["statistic"]))
    layer_types = [name for name in dict.fromkeys(numbers["layer_type"]) if name != "reference"]
    shown = numbers[(numbers["layer_type"] != "reference") & (numbers["layer"] != "all")]
    layers = list(dict.fromkeys(shown["layer"]))
    columns = min(4, len(statistics)) if len(layer_types) == 1 else len(statistics)
    rows_each = -(-len(statistics) // columns)
    axes = sheet.panels(rows_each * len(layer_types), columns, height_mm=16 + 38 * rows_each * len(layer_types))
    first = float(numbers.loc[numbers["epoch"] > 0, "epoch"].min())
    used = []
    shared, settings = settings_told(numbers)
    for row, layer_type in enumerate(layer_types):
        for index, statistic in enumerate(statistics):
            ax = axes[row * rows_each * columns + index]
            used.append(ax)
            rows = numbers[numbers["statistic"] == statistic]
            held = rows[rows["layer_type"] == "reference"]
            if len(held):
                reference_band(ax, held["value"].min(), held["value"].max(), label="range of models of cortex")
            _lines(ax, rows[rows["layer_type"] == layer_type], layers)
            if statistic == "ei_ratio":
                baseline(ax, 1, "E = I")
            if statistic == "accuracy":
                ax.set_ylim(0, 1.02)
            ax.set_xscale("symlog", linthresh=first, linscale=0.4)
            ends = sorted({0.0, first, 1.0, float(numbers["epoch"].max())})
            ax.set_xticks(ends, [f"{end:.2g}" for end in ends])
            ax.minorticks_off()
            ax.set_xlim(left=0.0)
            kind = f"{layer_type}: " if len(layer_types) > 1 else ""
            ax.set_title(wrapped(f"{kind}{rows['label'].iloc[0]}{settings[statistic]}", 28), fontsize=6)
            if index + columns >= len(statistics):
                ax.set_xlabel("epoch")
    for ax in axes:
        ax.set_visible(ax in used)
    count(used[0], f"{shared}{int(result.attrs['n_seeds'])} seeds")
    sheet.letters(used)
    sheet.legend(columns=6)


def _lines(ax: Axes, rows: pd.DataFrame, layers: list[str]) -> None:
    shades = dict(zip(layers, layer_colours(len(layers)), strict=True))
    for layer, one in rows.groupby("layer", sort=False):
        known = str(layer) in shades
        ink = shades[str(layer)] if known else colour("trained")
        marker = _MARKERS[layers.index(str(layer)) % 6] if known else "o"
        ax.fill_between(one["epoch"], one["low"], one["high"], color=ink, alpha=0.2, linewidth=0)
        label = named(str(layer)) if known else "accuracy"
        ax.plot(one["epoch"], one["value"], color=ink, marker=marker, markersize=2.5, label=label)
