"""What the gain does: rate against excitation, gain against the activity of the population, and what it varies with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from eiplatform.figures.grammar import baseline, colour, finite, intervals, layer_colours, log_axis, named, rows_of
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "gain_modulation"
QUESTION = "Does inhibition divide, and does the gain normalise the activity of the population?"
_MARKS = "os^vDpX"
_LINES: tuple[Any, ...] = ("-", (0, (4, 1.2)), (0, (1, 1)), "-.")
_HATCHES = ("", "////", "....", "xxxx")


def caption(result: xr.Dataset) -> str:
    """Return the caption with n and the intervals."""
    without = np.atleast_1d(result.attrs.get("without_gain", [])).astype(str)
    rest = f" Without gain: {', '.join(map(named, without))}." if without.size and without[0] else ""
    rates = (
        "Rate against excitation, tenths of all pairs of neuron and sample. "
        if "fi_rate" in result and finite(result["fi_rate"])
        else ""
    )
    n, few, many = (int(result["n_samples"].max()), int(result["n_neurons"].min()), int(result["n_neurons"].max()))
    return (
        f"{rates}Geometric mean gain against the mean excitation of the population, tenths of the samples; index: "
        "d ln(1/gain) / d ln(excitation), 0 not at all, 1 in proportion, 95 % bootstrap over samples. Bars: shares of "
        "the variance of the logarithm of the gain, main effects and the rest. "
        f"n = {n} samples, {few} to {many} neurons; none excluded.{rest}"
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    told = ", ".join(
        f"{named(str(name))} {value:.2f}"
        for name, value in zip(result["layer"].values, result["normalisation"].values, strict=True)
        if np.isfinite(value)
    )
    return f"Curves of gain and shares of its variance; index of normalisation: {told or 'none'}."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return rows: panel (f-I, curve, index, share), layer, part, position, value, low, high."""
    parts = []
    for layer in result["layer"].values.astype(str):
        one = result.sel(layer=layer)
        about = {"layer": layer, "population": str(one["population"].item())}
        if "fi_rate" in result:
            parts.append(
                pd.DataFrame(
                    {"panel": "f-I", **about, "position": one["fi_drive"].values, "value": one["fi_rate"].values}
                )
            )
        parts.append(
            pd.DataFrame({"panel": "curve", **about, "position": one["activity"].values, "value": one["gain"].values})
        )
        index = {
            name: [float(one[f"normalisation{end}"])]
            for name, end in (("value", ""), ("low", "_low"), ("high", "_high"))
        }
        parts.append(pd.DataFrame({"panel": "index", **about, **index}))
        ends = {name: one[f"share{end}"].values for name, end in (("value", ""), ("low", "_low"), ("high", "_high"))}
        parts.append(pd.DataFrame({"panel": "share", **about, "part": one["part"].values.astype(str), **ends}))
    return pd.concat(parts, ignore_index=True).dropna(subset=["value"])


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw f-I curves, gain curves, the index, and the shares."""
    panels = [name for name in ("f-I", "curve", "index", "share") if (numbers["panel"] == name).any()]
    axes = sheet.panels(1, len(panels), height_mm=60, width_ratios=[1.0 if name != "index" else 0.7 for name in panels])
    layers = list(dict.fromkeys(numbers["layer"]))
    recordings = list(dict.fromkeys(layer.rpartition(": ")[0] for layer in layers))
    populations = list(dict.fromkeys(numbers["population"]))
    inks = dict(zip(populations, layer_colours(len(populations)), strict=True))
    for ax, panel in zip(axes, panels, strict=True):
        part = numbers[numbers["panel"] == panel]
        if panel in ("f-I", "curve"):
            for layer, line in part.groupby("layer", sort=False):
                _curve(ax, str(layer), line, inks, populations, recordings)
            log_axis(ax, "y") if panel == "curve" else ax.set_ylim(bottom=0)
            ax.set_xlabel("excitation of the neuron" if panel == "f-I" else "mean excitation of the population")
            ax.set_ylabel("spikes per neuron and step" if panel == "f-I" else "gain")
        elif panel == "index":
            _index(ax, part, inks, populations, recordings)
        else:
            _shares(ax, part, [str(name) for name in result["part"].values])
    handles: list[Any] = [
        Line2D([], [], color=ink, marker=_MARKS[index % 7], label=named(name))
        for index, (name, ink) in enumerate(inks.items())
    ]
    if len(recordings) > 1:
        look: dict[str, Any] = {"color": colour("faint"), "marker": "o"}
        for k, name in enumerate(recordings):
            face = colour("paper" if k else "faint")
            handles.append(Line2D([], [], linestyle=_LINES[k % 4], label=named(name), markerfacecolor=face, **look))
    shares = axes[panels.index("share")] if "share" in panels else None
    sheet.letters(axes)
    sheet.legend([*handles, *(shares.get_legend_handles_labels()[0] if shares else [])], columns=5)


def _curve(
    ax: Axes, layer: str, line: pd.DataFrame, inks: dict[str, str], populations: list[str], recordings: list[str]
) -> None:
    population = str(line["population"].iloc[0])
    which = recordings.index(layer.rpartition(": ")[0])
    style: dict[str, Any] = {"color": inks[population], "linestyle": _LINES[which % 4], "markersize": 2.4}
    style |= {
        "marker": _MARKS[populations.index(population) % 7],
        "markerfacecolor": inks[population] if not which else colour("paper"),
    }
    ax.plot(line["position"], line["value"], label=named(layer), **style)


def _index(ax: Axes, part: pd.DataFrame, inks: dict[str, str], populations: list[str], recordings: list[str]) -> None:
    for row in rows_of(part):
        which, layer = recordings.index(row.layer.rpartition(": ")[0]), populations.index(row.population)
        one = pd.DataFrame({"value": [row.value], "low": [row.low], "high": [row.high]})
        ink = inks[row.population]
        style: dict[str, Any] = {
            "color": ink,
            "marker": _MARKS[layer % 7],
            "markerfacecolor": ink if not which else colour("paper"),
        }
        intervals(ax, [layer + 0.2 * (which - (len(recordings) - 1) / 2)], one, **style)
    baseline(ax, 0, "none")
    baseline(ax, 1, "full")
    ax.set_xticks(range(len(populations)), [named(name) for name in populations])
    ax.set_xlim(-0.5, len(populations) - 0.5)
    ax.set_ylabel("index of normalisation")


def _shares(ax: Axes, part: pd.DataFrame, kinds: list[str]) -> None:
    layers = list(dict.fromkeys(part["layer"]))
    left = np.zeros(len(layers))
    greys = [colour(name) for name in ("band", "null", "faint", "ink")]
    for index, kind in enumerate(kinds):
        share = np.array(
            [part.loc[(part["layer"] == layer) & (part["part"] == kind), "value"].sum() for layer in layers]
        )
        style: dict[str, Any] = {
            "color": greys[index % 4],
            "hatch": _HATCHES[index % 4],
            "edgecolor": colour("paper"),
            "linewidth": 0,
        }
        ax.barh(range(len(layers)), share, left=left, height=0.7, label=f"variance: {kind}", **style)
        left += share
    ax.set_yticks(range(len(layers)), [named(layer) for layer in layers])
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(0, 1)
    ax.set_xlabel("share of the variance of ln gain")
