"""Rates and accuracy of many systems against the share of inhibition that they lose, and where they run away."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from eiplatform.figures.grammar import (
    baseline,
    colour,
    grouped,
    intervals,
    layer_colours,
    named,
    pathway,
    reference_band,
    wrapped,
)
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "disinhibition"
QUESTION = "How much inhibition may be lost before a network runs away?"
_MARKS = "osD^vP*X"


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, intervals, definitions and the source of the band."""
    seeds = grouped([str(name) for name in result["system"].values], [int(n) for n in result["n_seeds"].values])
    source = str(result.attrs["band_source"]).split(",")[0]
    low, high = np.ravel(result.attrs["band"])
    times, level = float(result.attrs["times"]), 100 * float(result.attrs["level"])
    most = 2 ** float(result.attrs["octaves"])
    networks = result["accuracy"].notnull().any("dose")
    accuracy = "c, test accuracy. " if bool(networks.any()) else ""
    return (
        "Dose: the removed fraction of the pathway's strength. a, rate of all E neurons over the intact one "
        f"(geometric mean over seeds; {level:.0f} % Student intervals; at most {most:g} times). Solid: synapses from I "
        f"to E; dashed: also those onto I. b, dose at which the rate exceeds {times:g} times the intact one (thick: "
        "interval over seeds; thin: the doses tried on both sides; cross: loss of the stable state in closed form). "
        f"{accuracy}Hatched: {100 * low:g} to {100 * high:g} % loss of GABA-A function, epileptiform in slices "
        f"({source}). n = seeds: {seeds}."
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    found = result["critical"].sel(multiple=float(result.attrs["times"]))
    told = ", ".join(f"{name} {float(found.sel(system=name)):.2f}" for name in result["system"].values)
    return f"Rate against the fraction of inhibition lost; critical fractions: {told}."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return rows: panel, system, kind, removed, dose, value, low, high, and the doses tried on both sides."""
    rows: list[dict[str, Any]] = []
    times = float(result.attrs["times"])
    for name in result["system"].values:
        one = result.sel(system=name)
        about = {"system": str(name), "kind": one["kind"].item(), "removed": one["removed"].item()}
        for panel, key in (("rate", "relative"), ("accuracy", "accuracy")):
            for dose in result["dose"].values:
                cell = one.sel(dose=dose)
                if np.isfinite(cell[key]):
                    ends = {end: float(cell[f"{key}_{end}"]) for end in ("low", "high")}
                    rows.append(about | {"panel": panel, "dose": float(dose), "value": float(cell[key]), **ends})
        cell = one.sel(multiple=times)
        ends = {end: float(cell[f"critical_{end}"]) for end in ("low", "high")}
        tried = {end: float(cell[end]) for end in ("tried_below", "tried_above")}
        rows.append(about | {"panel": "critical", "value": float(cell["critical"]), **ends, **tried})
        rows.append(about | {"panel": "closed form", "value": float(cell["closed_form"])})
    low, high = np.ravel(result.attrs["band"])
    rows.append({"panel": "band", "system": "", "low": low, "high": high})
    rows.append({"panel": "times", "system": "", "value": times})
    columns = ["panel", "system", "kind", "removed", "dose", "value", "low", "high", "tried_below", "tried_above"]
    return pd.DataFrame(rows).reindex(columns=columns)


def _looks(numbers: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return colour, marker and line of every system: networks in one colour, circuits in shades of another."""
    looks: dict[str, dict[str, Any]] = {}
    systems = [str(name) for name in dict.fromkeys(numbers.loc[numbers["system"] != "", "system"])]
    bases = list(dict.fromkeys(name.rpartition(", ")[0] for name in systems))
    inks = dict(zip(bases, layer_colours(len(bases)), strict=True))
    for name in systems:
        rows = numbers[numbers["system"] == name]
        base = name.rpartition(", ")[0]
        network = rows["kind"].iloc[0] == "network"
        looks[name] = {
            "color": colour("trained") if network else inks[base],
            "marker": _MARKS[bases.index(base) % len(_MARKS)],
            "linestyle": (0, (4, 1.2)) if "+" in str(rows["removed"].iloc[0]) else "-",
            "label": pathway(named(name)),
        }
    return looks


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw the curves, the critical doses, and the accuracy of networks."""
    looks = _looks(numbers)
    accurate = numbers[numbers["panel"] == "accuracy"]
    (band,) = numbers[numbers["panel"] == "band"][["low", "high"]].to_numpy()
    times = float(numbers.loc[numbers["panel"] == "times", "value"].iloc[0])
    axes = sheet.panels(1, 2 + (not accurate.empty), width="double", height_mm=66 + 2.4 * len(looks))
    for index, ax in enumerate(axes):
        reference_band(ax, *band, kind="cortex", axis="x", label="" if index else "slices of rat cortex")
        at = f"\nat which the rate is {times:g} times as high" if index == 1 else ""
        ax.set_xlabel(f"fraction of inhibition lost{at}")
    for name, look in looks.items():
        own = numbers[numbers["system"] == name]
        for ax, key in zip([axes[0], *axes[2:]], ("rate", "accuracy"), strict=False):
            rows = own[own["panel"] == key].sort_values("dose")
            if not rows.empty:
                intervals(ax, rows["dose"], rows, joined=True, **look | {"markersize": 2.5, "linewidth": 0.8})
    baseline(axes[0], times, f"{times:g} times")
    axes[0].set_yscale("log", base=2)
    axes[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes[0].set_ylabel("rate / intact rate")
    axes[0].set_ylim(2**-2, 2**6.5)
    _critical(axes[1], numbers, looks)
    if not accurate.empty:
        axes[2].set_ylabel("test accuracy")
        axes[2].set_ylim(0, 1.02)
    sheet.letters(axes)
    sheet.legend(columns=2)


def _critical(panel: Axes, numbers: pd.DataFrame, looks: dict[str, dict[str, Any]]) -> None:
    """Draw the critical dose of every system on a line of its own."""
    for row, (name, look) in enumerate(looks.items()):
        own = numbers[numbers["system"] == name]
        one = own[own["panel"] == "critical"]
        ends = [one["tried_below"].iloc[0], one["tried_above"].iloc[0]]
        panel.plot(ends, [row, row], color=look["color"], linewidth=0.5)
        bar = {"color": look["color"], "marker": look["marker"], "markersize": 3.2}
        intervals(panel, [row], one, horizontal=True, **bar)
        if one["value"].isna().all():
            aside: dict[str, Any] = {"xytext": (3, 0), "textcoords": "offset points", "va": "center"}
            panel.annotate("not reached", (0, row), fontsize=5, color=look["color"], **aside)
        closed = own[own["panel"] == "closed form"]["value"].to_numpy()
        panel.plot(closed, [row], linestyle="", marker="x", color=colour("ink"), markersize=4)
    panel.set_yticks(range(len(looks)), [wrapped(pathway(named(name)), 30) for name in looks], fontsize=5)
    panel.tick_params(axis="y", length=0)
    panel.set_ylim(len(looks) - 0.5, -0.5)
    panel.set_xlim(left=0)
