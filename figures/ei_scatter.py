"""Excitation against inhibition of single neurons, with the line of balance, the slope and a shuffled control."""

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
    grouped,
    key,
    left_out,
    named,
    num,
    rows_of,
    units,
)
from eiplatform.figures.parts.page import Page, columns_of, drawing

ANALYSIS = "neurons"
QUESTION = "Do neurons that receive more excitation receive more inhibition?"
MOST = 8


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, the slope and the control."""
    sizes = [f"{n} × {s}" for n, s in zip(result["n_neurons"].values, result["n_samples"].values, strict=True)]
    about = zip(*(result[name].values for name in ("recording", "population", "kind")), strict=True)
    names = [str(population) if kind == "network" else f"{label}: {population}" for label, population, kind in about]
    n = grouped(names, sizes)
    return (
        "Mean excitatory and inhibitory current of pairs of neuron and sample (at most "
        f"{int(result.attrs['most'])} of a population, evenly chosen). Dotted: E = I. Line: reduced major axis. "
        f"r: correlation over all pairs [{100 * result.attrs['level']:.0f} % bootstrap over samples, or neurons where "
        "samples are few]; shuffled: 95 % of r when samples exchange their inhibition. "
        f"n = neurons × samples: {n}.{left_out(len(dict.fromkeys(names)), MOST, 'panels')}"
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    values = ", ".join(
        f"{named(str(p))} {r:.2f}"
        for p, r in zip(result["population"].values, result["correlation"].values, strict=True)
    )
    return f"Scatter plots of excitation against inhibition; correlations: {values}."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per pair of neuron and sample."""
    parts = []
    names = ["recording", "population", "kind", "null", "units", "slope", "correlation", "correlation_low"]
    names += ["correlation_high", "shuffled_low", "shuffled_high"]
    for index in range(result.sizes["row"]):
        one = result.isel(row=index)
        about = {"row": index, **{name: one[name].item() for name in names}}
        parts.append(pd.DataFrame({**about, "inhibition": one["inh"].values, "value": one["exc"].values}))
    return pd.concat(parts, ignore_index=True).dropna(subset=["value", "inhibition"])


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one panel per layer, trained over untrained, and one per circuit or own recording."""
    rows = numbers.drop_duplicates("row")
    network = (rows["kind"] == "network").to_numpy()
    keys = np.where(network, rows["population"], rows["recording"] + ": " + rows["population"])
    panels = list(dict.fromkeys(keys))[:MOST]
    axes = sheet.wrapped(len(panels), head_mm=22, panel_mm=44)
    columns = columns_of(len(panels))
    for place, (ax, panel) in enumerate(zip(axes, panels, strict=False)):
        mine = rows[keys == panel].sort_values("null", ascending=False)  # the null lies beneath
        for row in rows_of(mine):
            _points(ax, numbers[numbers["row"] == row.row], row)
        ends = _square(numbers[numbers["row"].isin(mine["row"])])
        ax.set(xlim=ends, ylim=ends)
        ax.plot(ends, ends, color=colour("faint"), linestyle=(0, (1, 1.5)), linewidth=0.7, zorder=0.5)
        ax.set_title(named(panel), fontsize=6, pad=17)
        count(ax, _said(mine))
        unit = str(mine["units"].iloc[0])
        ax.set_xlabel(units("inhibition", unit))
        if place % columns == 0:
            ax.set_ylabel(units("excitation", unit))
        ax.set_aspect("equal")
    lines = [key("E = I", color=colour("faint"), linestyle=(0, (1, 1.5)), linewidth=0.7)]
    lines += [key("slope", linestyle="-", linewidth=0.9)]
    lines += [key("slope, untrained", linestyle="--", linewidth=0.9)] if (rows["null"] != "").any() else []
    sheet.letters(axes[: len(panels)])
    sheet.legend(also=lines)


def _square(part: pd.DataFrame) -> tuple[float, float]:
    """Return limits that hold all points and the line of balance; from 0 where that does not waste the panel."""
    both = part[["inhibition", "value"]].to_numpy(dtype=float)
    low, high = float(both.min()), float(both.max())
    return (0.0, 1.05 * high) if low < 0.6 * high else (low - 0.15 * (high - low), high + 0.15 * (high - low))


def _kind(row: Any) -> str:
    return "null" if row.null else {"network": "trained", "circuit": "circuit"}.get(row.kind, "own")


def _points(ax: Axes, part: pd.DataFrame, row: Any) -> None:
    kind = _kind(row)
    size: dict[str, Any] = {"linestyle": "", "markersize": 1.6, "markeredgewidth": 0.4, "rasterized": len(part) > 2000}
    ax.plot(part["inhibition"], part["value"], **condition_style(kind), **size)
    if np.isfinite(row.slope):
        ends = np.array([part["inhibition"].min(), part["inhibition"].max()])
        middle = part["inhibition"].mean(), part["value"].mean()
        line: dict[str, Any] = {"color": colour("ink"), "linewidth": 0.9, "linestyle": "--" if kind == "null" else "-"}
        ax.plot(ends, middle[1] + row.slope * (ends - middle[0]), **line)


def _said(mine: pd.DataFrame) -> str:
    """Return correlation with interval, slope and control of what lies on top, and the correlation of the null."""
    top = mine.iloc[-1]
    if not np.isfinite(top["slope"]):
        return "inhibition does not vary"
    first = f"r = {num(top['correlation'])} [{num(top['correlation_low'])}, {num(top['correlation_high'])}]"
    second = f"shuffled {num(top['shuffled_low'])} to {num(top['shuffled_high'])}"
    null = mine.loc[mine["null"] != "", "correlation"]
    third = f"; untrained r = {num(null.mean())}" if len(null) and not top["null"] else ""
    return f"{first}, slope {num(top['slope'])}\n{second}{third}"
