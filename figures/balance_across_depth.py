"""Balance statistics from the first layer to the last, with the slope per layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.analyses import defined
from eiplatform.figures.parts.page import AnyFigure, Drawable, Drawn, numbers_of, page
from eiplatform.figures.parts.style import COLOURS, layer_name, letters, points_with_intervals

ANALYSIS = "balance_across_depth"
MOST = 9
MARKS = "osD^vP"


def _panels(result: xr.Dataset) -> list[str]:
    """Return the statistics drawn: the first nine with values in at least two layers, few-layer ones last."""
    keys = defined(result, result["statistic"].values.tolist())
    held = {key: int(result["value"].sel(statistic=key).notnull().any("recording").sum()) for key in keys}
    return [key for key in keys if held[key] > 1][:MOST]


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, interval, null and what is not shown."""
    shown = _panels(result)
    left = [str(name) for name in result["label"].values[~np.isin(result["statistic"].values, shown)]]
    null = f"Grey: mean and range of {result.attrs['n_nulls']} untrained networks. " if result.attrs["n_nulls"] else ""
    rest = f" Not shown (undefined, or beyond {MOST} panels): {'; '.join(left)}." if left else ""
    return (
        f"Balance from layer to layer (n = {result.attrs['n_samples']} samples, mean over neurons). Bars: "
        f"{100 * result.attrs['level']:.0f} % bootstrap over samples and neurons. {null}Slopes per layer with interval "
        f"are in the numbers stored with this figure.{rest}"
    )


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per recording, layer and statistic."""
    names = ["value", "low", "high", "slope", "slope_low", "slope_high", "note"]
    names += [name for name in ("null", "null_minimum", "null_maximum") if name in result]
    rows = result[names].sel(statistic=_panels(result)).to_dataframe().reset_index()
    rows = rows[rows["population"] != ""]
    order = _panels(result)
    rows = rows.sort_values("statistic", key=lambda keys: keys.map(order.index), kind="stable")
    return rows[["recording", "population", "depth", "statistic", "label", *names]]


def draw(result: Drawable, *, ax: Axes | None = None, figure: AnyFigure | None = None) -> Drawn:
    """Draw one panel per statistic, layers from left to right."""
    numbers = numbers_of(result, ANALYSIS, table)
    with page(ax, figure) as sheet:
        statistics = list(dict.fromkeys(numbers["statistic"]))
        columns = min(3, len(statistics))
        lines = -(-len(statistics) // columns)
        axes = sheet.panels(lines, columns, height_mm=18 + 42 * lines)
        recordings = list(dict.fromkeys(numbers["recording"]))
        colours = [COLOURS[name] for name in ("trained", "inh", "gain", "accent", "exc", "net")]
        for ax, statistic in zip(axes, statistics, strict=False):
            rows = numbers[numbers["statistic"] == statistic]
            for index, recording in enumerate(recordings):
                part = rows[rows["recording"] == recording].sort_values("depth").reset_index(drop=True)
                at = part["depth"].to_numpy() + 0.12 * (index - (len(recordings) - 1) / 2)
                if index == 0 and "null" in part:
                    null = part[["null", "null_minimum", "null_maximum"]].set_axis(["value", "low", "high"], axis=1)
                    grey: dict[str, Any] = {"marker": "s", "color": COLOURS["null"], "label": "untrained (null)"}
                    points_with_intervals(ax, part["depth"].to_numpy() + 0.3, null, joined=True, **grey)
                style: dict[str, Any] = {
                    "marker": MARKS[index % len(MARKS)],
                    "color": colours[index % len(colours)],
                    "label": recording,
                }
                points_with_intervals(ax, at, part, joined=True, **style)
            layers = rows.drop_duplicates("depth").sort_values("depth")
            ax.set_xticks(layers["depth"], [layer_name(name) for name in layers["population"]])
            ax.set_xlim(layers["depth"].min() - 0.5, layers["depth"].max() + 0.6)
            ax.set_ylabel(_wrapped(str(rows["label"].iloc[0])))
            ax.margins(y=0.15)
        for ax in axes[len(statistics) :]:
            ax.set_visible(False)
        axes[0].legend(loc="best")
        letters(axes[: len(statistics)])
    return sheet.drawn


def _wrapped(label: str) -> str:
    from textwrap import fill

    return fill(label, 26)
