"""Tuning of excitation, inhibition and their ratio over classes of stimuli, and over the strength of the input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.figures.grammar import baseline, condition_style, count, finite, left_out, log_axis, named, signal_style
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "tuning"
QUESTION = "How do excitation, inhibition and their ratio change with the stimulus?"
MOST = 4
_PARTS = {"exc": "current_exc", "inh": "current_inh"}


def caption(result: xr.Dataset) -> str:
    """Return the caption with n and how circularity is avoided."""
    classes = int(result["n_classes"].max())
    by_class = (
        f"Top: excitation and inhibition, each over its mean, over {classes} classes in the order of the neuron's "
        "excitation (order from one half of the samples, values from the other). Middle: their ratio. "
        if classes
        else ""
    )
    more = left_out(len(dict.fromkeys(result["population"].values.tolist())), MOST, "layers")
    return (
        f"{by_class}Bottom: the ratio over groups of samples by the mean excitation of the population (groups from one "
        "half of the neurons, values from the other). Mean over neurons (of ratios geometric); bands: "
        f"{100 * result.attrs['level']:.0f} % bootstrap over neurons; n = {int(result['n_samples'].max())} samples, "
        f"{int(result['n_neurons'].min())} to {int(result['n_neurons'].max())} neurons; neurons that lack a current "
        f"are excluded. Dashed: untrained.{more}"
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    if not finite(result["by_class"]):
        return "The ratio of excitation to inhibition over the strength of the input, layer by layer."
    one = result["by_class"].isel(row=0).sel(part="ratio").values
    one = one[np.isfinite(one)]
    return (
        "Tuning of excitation, inhibition and their ratio, layer by layer; in the first the ratio goes from "
        f"{one[0]:.2f} at the preferred class to {one[-1]:.2f} at the least preferred."
    )


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return rows: recording, population, axis (class or strength), part, position, value, low, high."""
    parts = []
    for index in range(result.sizes["row"]):
        one = result.isel(row=index)
        about = {"row": index, "recording": one["recording"].item(), "population": one["population"].item()}
        for axis, name in (("class", "by_class"), ("strength", "by_strength")):
            place = result["rank"].values if axis == "class" else one["strength"].values
            for part in result["part"].values.astype(str) if axis == "class" else ("ratio",):
                ends = {
                    key: one[f"{name}{end}"].sel(part=part).values
                    for key, end in (("value", ""), ("low", "_low"), ("high", "_high"))
                }
                parts.append(pd.DataFrame({**about, "axis": axis, "part": part, "position": place, **ends}))
    return pd.concat(parts, ignore_index=True).dropna(subset=["value"])


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one column per layer: currents over classes, ratio over classes, ratio over strength."""
    layers = list(dict.fromkeys(numbers["population"]))[:MOST]
    classes = (numbers["axis"] == "class").any()
    lines = 3 if classes else 1
    axes = sheet.panels(lines, len(layers), height_mm=14 + 34 * lines, sharey="row")
    for column, layer in enumerate(layers):
        mine = numbers[numbers["population"] == layer]
        recordings = list(dict.fromkeys(mine["recording"]))
        if classes:
            top, middle = axes[column], axes[len(layers) + column]
            first = mine[(mine["recording"] == recordings[0]) & (mine["axis"] == "class")]
            for part, signal in _PARTS.items():
                _line(top, first[first["part"] == part], signal_style(signal))
            baseline(top, 1)
            top.set_title(named(layer))
            count(top, f"{int(result['n_neurons'].values[mine['row'].iloc[0]])} neurons")
            for ax in (top, middle):
                ax.set_xlabel("class, preferred first")
            _ratios(middle, mine[mine["axis"] == "class"], recordings)
        bottom = axes[(lines - 1) * len(layers) + column]
        _ratios(bottom, mine[mine["axis"] == "strength"], recordings)
        bottom.set_xlabel("mean excitation of the population")
        if not classes:
            bottom.set_title(named(layer))
    labels = ["current over its mean", "E/I ratio", "E/I ratio"] if classes else ["E/I ratio"]
    for line, label in enumerate(labels):
        axes[line * len(layers)].set_ylabel(label)
    sheet.letters([axes[line * len(layers)] for line in range(lines)])
    sheet.legend()


def _ratios(ax: Axes, rows: pd.DataFrame, recordings: list[str]) -> None:
    for index, recording in enumerate(recordings):
        kind = "null" if "untrained" in recording else "trained"
        style: dict[str, Any] = condition_style(kind) | {"label": named(recording), "markersize": 2.6}
        style["linestyle"] = ["-", (0, (4, 1.2)), (0, (1, 1)), "-."][index % 4]
        _line(ax, rows[(rows["part"] == "ratio") & (rows["recording"] == recording)], style)
    log_axis(ax, "y")
    baseline(ax, 1, "E = I")


def _line(ax: Axes, rows: pd.DataFrame, style: dict[str, Any]) -> None:
    ax.fill_between(rows["position"], rows["low"], rows["high"], color=style["color"], alpha=0.25, linewidth=0)
    ax.plot(rows["position"], rows["value"], **style)
