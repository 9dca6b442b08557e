"""Spikes of excitatory and inhibitory neurons, sorted by their rate, with the rate of the population beneath."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from eiplatform.figures.grammar import colour, count, named, spread, time_axis, wrapped
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "traces"
QUESTION = "How do the layers of a network fire, beside cortex?"
MOST = 5
"""Populations in a row; of more evenly spaced ones."""


def caption(result: xr.Dataset) -> str:
    """Return the caption with n and the order of the neurons."""
    shown = int((result["spike_neuron"] >= 0).sum())
    graded = bool(((result["spike_role"] == "I").sum() == 0) & result["rate_inh"].notnull().any())
    inh = " I neurons are graded: only their mean activity is drawn." if graded else ""
    n = result.sizes["panel"]
    some = f" {MOST} of {n} populations, evenly spaced." if n > MOST else ""
    return (
        f"Spikes of single neurons in one sample (n = {shown} spikes): rows are evenly chosen neurons, those that fire "
        "most on top; I neurons, where they spike, above the E neurons. Beneath: spikes per neuron and recorded "
        f"interval, mean over all neurons whose spikes were recorded.{inh} Silent neurons keep their rows.{some}"
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    names = ", ".join(named(str(name)) for name in result["population"].values)
    return f"Raster plots of the populations {names}, each with its population rate over time."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per population, role and moment: the population's rate."""
    if "rate_exc" not in result:
        return pd.DataFrame(columns=["value"])
    parts = []
    for index in spread(result.sizes["panel"], MOST):
        one = result.isel(panel=index)
        about = {"panel": index, **{name: one[name].item() for name in ("recording", "population", "time_units")}}
        for role, name in (("E", "rate_exc"), ("I", "rate_inh")):
            parts.append(pd.DataFrame({**about, "role": role, "time": one["time"].values, "value": one[name].values}))
    return pd.concat(parts, ignore_index=True).dropna(subset=["value"])


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one column per population: raster above, rate below."""
    panels = spread(result.sizes["panel"], MOST)
    n = len(panels)
    axes = sheet.panels(2, n, height_mm=62, height_ratios=[2.4, 1], sharex="col")
    panel, row, role = (result[f"spike_{name}"].values for name in ("panel", "neuron", "role"))
    for place, index in enumerate(panels):
        above, below = axes[place], axes[n + place]
        one = result.isel(panel=index)
        for kind, ink in (("E", "exc"), ("I", "inh")):
            mine = (panel == index) & (role == kind) & (row >= 0)
            style: dict[str, Any] = {
                "color": colour(ink),
                "linestyle": "",
                "marker": "|" if kind == "E" else ".",
                "markersize": 1.5,
            }
            above.plot(result["spike_time"].values[mine], row[mine], rasterized=True, markeredgewidth=0.5, **style)
            rate = numbers[(numbers["panel"] == index) & (numbers["role"] == kind)]
            if len(rate):
                label = {"E": "excitatory neurons", "I": "inhibitory neurons"}[kind]
                line = {"E": "-", "I": (0, (4, 1.2))}[kind]
                below.plot(rate["time"], rate["value"], color=colour(ink), linestyle=line, linewidth=0.7, label=label)
        unit = str(one["time_units"].item())
        first, last = np.nanmin(one["time"]), np.nanmax(one["time"])
        above.set_ylim(-1, int(one["raster_rows"]))
        above.set_xlim(first, last)
        above.set_title(wrapped(named(f"{one['recording'].item()}: {one['population'].item()}"), 22), fontsize=6)
        rows_of_e = np.unique(row[(panel == index) & (role == "E") & (row >= 0)])
        n_rows = int(one["raster_rows"]) - len(np.unique(row[(panel == index) & (role == "I")]))
        count(below, f"{n_rows} E neurons, {n_rows - len(rows_of_e)} silent here")
        below.set_ylim(bottom=0)
        below.set_xlabel(time_axis(unit))
    axes[0].set_ylabel("neuron, sorted by rate")
    axes[n].set_ylabel("rate (spikes\nper interval)")
    sheet.letters(axes[:n])
    sheet.legend()
