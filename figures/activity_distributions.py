"""Distributions over neurons of rate, irregularity and variability, with the bands of measured cortex."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.figures.grammar import (
    baseline,
    cloud,
    colour,
    condition_style,
    count,
    key,
    left_out,
    log_axis,
    named,
    reference_band,
    row_names,
    strip,
    wrapped,
)
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "neurons"
QUESTION = "Do single neurons fire as in cortex, and how many are silent or always on?"
PANELS = {
    "rate": ("firing rate (Hz)", None, ""),
    "cv_isi": ("CV of inter-spike intervals", 1.0, "Poisson"),
    "fano_factor": ("Fano factor of counts", 1.0, "Poisson"),
}
MOST = 9


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, exclusions, the assumption about time and the source of the band."""
    silent, always = (result[name] / result["n_neurons"] for name in ("n_silent", "n_always"))
    few, many = int(result["n_neurons"].min()), int(result["n_neurons"].max())
    in_steps = bool((result["time_units"] == "step").any())
    in_hz = result["hz"].values[result["time_units"].values == "step"]
    length = " or ".join(f"{1e3 / hz:.3g}" for hz in np.unique(in_hz[np.isfinite(in_hz)]))
    steps = f" A network's step counts as {length} ms (a 20 ms membrane)." if in_steps and length else ""
    on = f"at most {100 * float(always.max()):.0f} %" if always.max() >= 0.005 else "none"
    return (
        "Single neurons (points, at most 120, evenly over their ranks), their density and median. Hatched: from the "
        "lowest 5 to the highest 95 % quantile of E units of the layers of mouse V1, triangles their medians "
        f"(spontaneous; Allen Visual Coding Neuropixels).{steps} Not on the logarithmic axis: silent neurons "
        f"({100 * float(silent.min()):.0f} to {100 * float(silent.max()):.0f} % of a population; always on: {on}). "
        f"Neurons with too few spikes have no CV or Fano factor. n = {few} to "
        f"{many} neurons a population.{left_out(result.sizes['row'], MOST, 'populations')}"
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    rates = np.nanmedian(result["rate"] * result["hz"], axis=1)
    told = ", ".join(f"{named(name)} {rate:.1f} Hz" for name, rate in zip(row_names(result), rates, strict=True))
    return f"Distributions over neurons of rate, CV and Fano factor; median rates: {told}."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per population, measure and neuron, and per band of cortex."""
    names, parts = row_names(result), []
    for index in range(result.sizes["row"]):
        one = result.isel(row=index)
        kind = "null" if str(one["null"].item()) else str(one["kind"].item())
        for panel in PANELS:
            values = one[panel].values * (float(one["hz"]) if panel == "rate" else 1.0)
            about = {"panel": panel, "row": index, "who": names[index], "kind": kind}
            parts.append(pd.DataFrame({**about, "value": values[np.isfinite(values)]}))
    if "cortex_low" in result and any(len(part) for part in parts):
        ends = {"value": "cortex_median", "low": "cortex_low", "high": "cortex_high"}
        who = {"who": result["cortex"].values.astype(str), "kind": "cortex", "panel": "rate", "row": -1}
        parts.append(pd.DataFrame({**who, **{name: result[source].values for name, source in ends.items()}}))
    held = [part for part in parts if len(part)]
    return (
        pd.concat(held, ignore_index=True) if held else pd.DataFrame(columns=["panel", "row", "who", "kind", "value"])
    )


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one panel per measure, one row of points and density per population."""
    rows = [row for row in dict.fromkeys(numbers["row"]) if row >= 0][:MOST]
    panels = [name for name in PANELS if ((numbers["panel"] == name) & (numbers["row"] >= 0)).any()]
    axes = sheet.panels(1, len(panels), height_mm=22 + 8.5 * len(rows), sharey=True)
    names = row_names(result)
    for ax, panel in zip(axes, panels, strict=True):
        part = numbers[numbers["panel"] == panel]
        for place, row in enumerate(rows):
            _population(ax, -place, part[part["row"] == row])
        if panel == "rate":
            _cortex(ax, part[part["kind"] == "cortex"])
            log_axis(ax)
        label, base, text = PANELS[panel]
        if base is not None:
            baseline(ax, base, text, axis="x")
        ax.set_xlabel(label)
        ax.set_ylim(-len(rows) + 0.6, 0.75)
    silent = sum(int(result["n_silent"].values[row]) for row in rows)
    count(axes[0], f"{silent} silent neurons not on this axis")
    axes[0].set_yticks([-place for place in range(len(rows))], [wrapped(named(names[row]), 22) for row in rows])
    for ax in axes:
        ax.tick_params(axis="y", length=0)
    sheet.letters(axes)
    sheet.legend(also=[key("median over neurons", marker="|", markersize=6, markeredgewidth=1.1)])


def _cortex(ax: Axes, bands: pd.DataFrame) -> None:
    if len(bands):
        label = "measured: E units of mouse V1"
        reference_band(ax, bands["low"].min(), bands["high"].max(), kind="cortex", label=label, axis="x")
        style = condition_style("cortex") | {"label": "medians of its layers"}
        top = np.full(len(bands), 0.68)
        ax.plot(bands["value"], top, linestyle="", **style, markeredgecolor=colour("ink"), markeredgewidth=0.4)


def _population(ax: Axes, place: float, part: pd.DataFrame) -> None:
    kinds = {"null": "null", "network": "trained", "circuit": "circuit"}
    values = part["value"].to_numpy()
    rates = bool(part["panel"].eq("rate").any())
    values = values[values > 0] if rates else values
    if not len(values):
        return
    style: dict[str, Any] = condition_style(kinds.get(str(part["kind"].iloc[0]), "own"))
    cloud(ax, place + 0.06, values, height=0.55, log=rates, color=style["color"], alpha=0.35)
    strip(ax, place - 0.12, values, horizontal=True, width=0.2, color=style["color"])
    middle = np.median(values)
    ax.plot([middle] * 2, [place - 0.24, place + 0.45], color=colour("ink"), linewidth=1.1, zorder=3)
    ax.plot(middle, place + 0.06, linestyle="", **style, zorder=3.5, markersize=3)
