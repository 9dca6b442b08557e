"""Distributions of excitation, inhibition, net current and gain, layer by layer, trained and untrained."""

from __future__ import annotations

from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from eiplatform.figures.grammar import SIGNALS, baseline, colour, count, named
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "distributions"
QUESTION = "How large are excitation, inhibition and gain, and how wide are they spread?"
_ROWS = {"currents": ("current_exc", "current_inh", "current_net"), "gain": ("gain",)}
_LINES = ("-", (0, (4, 1.2)), (0, (1, 1)))


def caption(result: xr.Dataset) -> str:
    """Return the caption with n and what lies outside the axes."""
    n = int(result["n"].max())
    outside = float(result["outside"].max())
    first, *rest = map(str, result["recording"].values)
    lines = f"; lines: {', '.join(rest)}" if rest else ""
    return (
        "Densities over neurons, samples and steps of the currents onto E neurons (threshold = 1) and of their gain "
        f"(up to n = {n:,} values each). Filled: {first}{lines}. The axes span the 0.1 to 99.9 percentiles of all "
        f"recordings together; at most {100 * outside:.1f} % of a recording's values lie outside. No exclusions."
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    means = result["mean"].isel(recording=0).sel(quantity="current_net")
    told = ", ".join(f"{named(str(p))} {float(means.sel(population=p)):.2f}" for p in result["population"].values)
    return f"Histograms of currents and gain; mean net current: {told}."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return the histograms as rows: recording, population, quantity, left, right, density."""
    rows = result[["density", "left", "right"]].to_dataframe().reset_index().dropna(subset=["density"])
    return rows[["recording", "population", "quantity", "bin", "left", "right", "density"]]


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one column per population: currents above, gain below."""
    populations = list(dict.fromkeys(numbers["population"]))
    kinds = [kind for kind, names in _ROWS.items() if numbers["quantity"].isin(names).any()]
    axes = sheet.panels(len(kinds), len(populations), height_mm=14 + 36 * len(kinds))
    for place, ax in enumerate(axes):
        kind, population = kinds[place // len(populations)], populations[place % len(populations)]
        mine = numbers[(numbers["population"] == population) & numbers["quantity"].isin(_ROWS[kind])]
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        if place < len(populations):
            ax.set_title(named(population))
        if mine.empty:
            ax.set_axis_off()
            continue
        for quantity in _ROWS[kind]:
            _histograms(ax, mine[mine["quantity"] == quantity], quantity)
        if kind == "currents":
            baseline(ax, 0, axis="x")
            ax.set_xlabel("current (firing threshold = 1)")
        else:
            ax.set_xlabel("log10 of the gain")
    for line in range(len(kinds)):
        axes[line * len(populations)].set_ylabel("density")
    held = float(result["outside"].max())
    count(axes[0], f"≤ {100 * held:.1f} % outside" if held >= 5e-4 else "")
    recordings = [str(name) for name in result["recording"].values]
    ink: dict[str, Any] = {"facecolor": colour("null"), "alpha": 0.5}
    handles = [
        Patch(facecolor=colour(SIGNALS[name].colour), alpha=0.5, label=SIGNALS[name].label)
        for name in (*_ROWS["currents"], "gain")
    ]
    handles += [
        Patch(
            label=f"{named(name)} ({'filled' if not index else 'line'})",
            **ink if not index else {"fill": False, "edgecolor": colour("ink"), "linestyle": "--"},
        )
        for index, name in enumerate(recordings)
    ]
    sheet.letters([axes[line * len(populations)] for line in range(len(kinds))])
    sheet.legend(handles, columns=len(handles))


def _histograms(ax: Axes, rows: pd.DataFrame, quantity: str) -> None:
    ink = colour(SIGNALS[quantity].colour)
    for index, (_, part) in enumerate(rows.groupby("recording", sort=False)):
        edges = [*part["left"], part["right"].iloc[-1]]
        if index == 0:
            ax.stairs(part["density"], edges, fill=True, color=ink, alpha=0.45)
        else:
            ax.stairs(part["density"], edges, color=ink, linewidth=0.9, linestyle=_LINES[index % 3])
