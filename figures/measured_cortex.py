"""Firing of every population beside what was measured in cortex: rates, their spread, synchrony."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.figures.grammar import (
    colour,
    condition_style,
    count,
    intervals,
    layer_colours,
    left_out,
    log_axis,
    named,
    wrapped,
)
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "measured_cortex"
QUESTION = "Does it fire as measured cortex does?"
MOST = 8
_MARKS = "os^vDpX*"
_PANELS = {"rate": "median rate (Hz)", "rate_log_sd": "sd of ln rate over neurons"}


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, exclusions, the assumption about time and the source."""
    step = "" if (result["kind"] != "network").all() else f" (a step: {result.attrs['membrane_ms']:g} ms membrane)"
    counted = "; right: variance over mean of the count of 70 neurons (hatched: 5, 50 and 95 % of sessions)"
    counted = counted if _counts(result) else ""
    few, many = int(result["n_reference"].min()), int(result["n_reference"].max())
    all_of = result["n_below_floor"] + result["n"]
    left = float((100 * result["n_below_floor"] / all_of.where(all_of > 0)).max())
    return (
        f"Populations of {_recordings(result)} (filled) beside {result.attrs['title']} (triangles; bars: 5 to 95 % of "
        f"single units; Allen Visual Coding Neuropixels). Rates: medians over neurons{step}; spread: sd of the natural "
        f"logarithm{counted}. Lines: 95 % intervals. Neurons below {result.attrs['floor_hz']:g} Hz are left out on "
        f"both sides (at most {left:.0f} % of a population). n = {few} to {many} units or sessions."
        f"{left_out(len(dict.fromkeys(_names(result))), MOST, 'populations')}"
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    rows = table(result)
    own = rows[(rows["panel"] == "rate") & (rows["kind"] != "cortex")]
    told = ", ".join(f"{one['who']} {one['value']:.1f} Hz" for _, one in own.iterrows())
    there = rows.loc[(rows["panel"] == "rate") & (rows["kind"] == "cortex"), "value"]
    return f"Median rates: {told or 'none known'}; measured medians from {there.min():.1f} to {there.max():.1f} Hz."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per population or measured class and panel; of synchrony one per bin width."""
    frame = result.to_dataframe().assign(who=_names(result))
    frame = frame[(frame["verdict"] != "not compared") & (frame["statistic"] != "rate_ratio")]
    frame = frame[frame["who"].isin(list(dict.fromkeys(frame["who"]))[:MOST])]
    own = frame.drop_duplicates(["who", "statistic", "bin_ms"]).assign(band_low=np.nan, band_high=np.nan)
    there = frame.drop_duplicates(["reference", "statistic", "bin_ms"])
    there = there.assign(
        who=there["reference"],
        kind="cortex",
        value=there["reference_value"],
        low=there["reference_low"],
        high=there["reference_high"],
    )
    both = pd.concat([own, there], ignore_index=True).rename(columns={"statistic": "panel"})
    columns = ["panel", "who", "kind", "role", "condition", "bin_ms", "value", "low", "high", "band_low", "band_high"]
    return both[columns]


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw rows of populations and classes for rates and spread, and a panel over bin widths for synchrony."""
    shown = [panel for panel in _PANELS if (numbers["panel"] == panel).any()]
    curves = numbers[numbers["panel"] == "synchrony"]
    own = list(dict.fromkeys(numbers.loc[numbers["kind"] != "cortex", "who"]))
    classes = list(dict.fromkeys(numbers.loc[(numbers["kind"] == "cortex") & numbers["panel"].isin(shown), "who"]))
    inks = dict(zip(own, layer_colours(len(own)), strict=True))
    exc = set(numbers.loc[numbers["role"] != "I", "who"])
    rows = [name for one in (True, False) for part in (own, classes) for name in part if (name in exc) is one]
    axes = sheet.panels(1, len(shown) + bool(len(curves)), width="double", height_mm=20 + 4.0 * max(len(rows), 10))
    for ax, panel in zip(axes, shown, strict=False):
        _rows(ax, numbers[numbers["panel"] == panel], rows, inks)
        ax.set_xlabel(_PANELS[panel])
        if panel == "rate":
            log_axis(ax)
    count(axes[0], wrapped(_recordings(result), 40))
    for ax in axes[1 : len(shown)]:
        ax.set_yticklabels([])
    if len(curves):
        _curves(axes[-1], curves, inks)
    sheet.letters(axes)
    sheet.legend()


def _rows(ax: Axes, part: pd.DataFrame, rows: list[str], inks: dict[str, str]) -> None:
    cortex = condition_style("cortex")
    for place, who in enumerate(rows):
        one = part[part["who"] == who]
        if one.empty:
            continue
        mine = who in inks
        if not mine and np.isfinite(one["band_low"].iloc[0]):
            ax.plot(one[["band_low", "band_high"]].iloc[0], [-place] * 2, color=colour("band"), linewidth=4, zorder=1)
        style = {"color": inks[who], "marker": _MARKS[list(inks).index(who)]} if mine else dict(cortex)
        if not mine:
            style |= {
                "label": None if ax.get_legend_handles_labels()[1] else "measured",
                "mec": colour("ink"),
                "mew": 0.4,
            }
        intervals(ax, [-place], one, horizontal=True, **style)
    ax.set_yticks([-place for place in range(len(rows))], [wrapped(named(who), 30) for who in rows])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-len(rows) + 0.4, 0.6)


def _curves(ax: Axes, curves: pd.DataFrame, inks: dict[str, str]) -> None:
    for index, (condition, part) in enumerate(curves[curves["kind"] == "cortex"].groupby("condition", sort=False)):
        part = part.sort_values("bin_ms")
        hatch = ("////", "\\\\\\\\")[index % 2]
        look: dict[str, Any] = {"facecolor": "none", "edgecolor": colour("cortex"), "alpha": 0.55, "linewidth": 0.0}
        ax.fill_between(
            part["bin_ms"], part["band_low"], part["band_high"], hatch=hatch, label=f"sessions, {condition}", **look
        )
        for line, width in (("band_low", 0.9), ("value", 0.5), ("band_high", 0.9)):
            ax.plot(part["bin_ms"], part[line], color=colour("cortex"), linestyle=("-", "--")[index % 2], lw=width)
    for who, ink in inks.items():
        part = curves[curves["who"] == who].sort_values("bin_ms")
        if len(part):
            ax.plot(part["bin_ms"], part["value"], color=ink, marker=_MARKS[list(inks).index(who)], label=named(who))
            ax.fill_between(part["bin_ms"], part["low"], part["high"], color=ink, alpha=0.25, linewidth=0)
    log_axis(ax)
    ax.set_xlabel("bin width (ms)")
    ax.set_ylabel("Fano factor of the population")
    count(ax, "70 neurons, windows of 1.8 s")


def _recordings(result: xr.Dataset) -> str:
    """Return the names of the recordings."""
    return " and ".join(named(name) for name in dict.fromkeys(result["recording"].values.astype(str)))


def _counts(result: xr.Dataset) -> bool:
    return bool(((result["statistic"] == "synchrony") & (result["verdict"] != "not compared")).any())


def _names(result: xr.Dataset) -> list[str]:
    """Return the names of populations, without that of the recording where there is one."""
    recordings = result["recording"].values.astype(str)
    populations = result["population"].values.astype(str)
    if len(set(recordings)) == 1:
        return list(populations)
    return [f"{recording}: {name}" for recording, name in zip(recordings, populations, strict=True)]
