"""How the loss of performance is shared out among layers and pathways: Shapley values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from eiplatform.analyses.parts.lesion_values import shapley_of
from eiplatform.figures.grammar import baseline, colour, condition_style, count, intervals, num, pathway, percent_points
from eiplatform.figures.parts.lesions import change_limits, done
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "lesion_study"
QUESTION = "Which layer's which pathway carries the performance, alone and together?"


def caption(result: xr.Dataset) -> str:
    """Return the caption with n and the sum."""
    total = 100 * table(result)["value"].sum()
    return (
        f"Shapley values: the change of accuracy that is due to the loss of {done(result)} in a layer, averaged over "
        f"all orders in which lesions can be added; they sum to the change by all together, {total:.1f} points. "
        "Small points: networks; lines: 95 % intervals over networks (Student t). Largest share first. "
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
    networks = numbers.filter(like="network ")
    ax.set_xlim(change_limits(numbers.assign(low=np.minimum(numbers["low"], networks.min(axis=1)))))
    percent_points(ax.xaxis)
    ax.set_xlabel("Shapley value (change of accuracy, points)")
    count(ax, f"sum {num(100 * numbers['value'].sum(), 1)} points")
