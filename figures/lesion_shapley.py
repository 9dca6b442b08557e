"""How the loss of performance is shared out among layers and pathways: Shapley values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from eiplatform.analyses.parts.lesion_values import shapley_of
from eiplatform.figures.grammar import baseline, colour, condition_style, count, intervals, num, pathway, percent_points
from eiplatform.figures.parts.lesions import change_limits
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "lesion_study"
QUESTION = "Which layer's which pathway carries the performance, alone and together?"


def caption(result: xr.Dataset) -> str:
    """Return the caption with n and the sum."""
    total = 100 * table(result)["value"].sum()
    return (
        "Shapley values: the change of accuracy that is due to a player (a pathway of a layer), averaged over all "
        f"orders in which lesions can be added; they sum to the change by all lesions together, {total:.1f} points. "
        "Small points: networks; bars: 95 % interval over networks (Student t); players in the order of their share. "
        f"n = {result.attrs['n_samples']} images, {result.attrs['n_networks']} networks, none excluded."
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    first = table(result).iloc[0]
    return f"Bars of Shapley values; the largest share, {100 * first['value']:.1f} points, is of {first['player']}."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per player; the values of single networks are in the columns ``network 1``, ..."""
    if "coalition" not in result:
        return pd.DataFrame(columns=["player", "value", "low", "high"])
    found = shapley_of(result)
    return found.sort_values("value", kind="stable").reset_index(drop=True) if len(found) else found


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one bar per player."""
    (ax,) = sheet.panels(1, 1, width="single", height_mm=18 + 5 * len(numbers))
    places = -np.arange(len(numbers), dtype=float)
    ax.barh(places, numbers["value"], height=0.62, color=colour("band"), zorder=1)
    for name in numbers.columns[numbers.columns.str.startswith("network ")]:
        ax.plot(numbers[name], places + 0.12, ".", color=colour("trained"), markersize=2.4, alpha=0.7)
    intervals(ax, places, numbers, horizontal=True, **condition_style("trained") | {"label": None})
    baseline(ax, 0, axis="x")
    ax.set_yticks(places, [pathway(str(name)) for name in numbers["player"]])
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(change_limits(numbers))
    percent_points(ax.xaxis)
    ax.set_xlabel("Shapley value (change of accuracy, points)")
    count(ax, f"sum {num(100 * numbers['value'].sum(), 1)} points")
