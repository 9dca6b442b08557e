"""Distributions of excitatory, inhibitory and net currents, layer by layer, trained and untrained."""

from __future__ import annotations

import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.figures.parts.page import AnyFigure, Drawable, Drawn, numbers_of, page
from eiplatform.figures.parts.style import COLOURS, layer_name, letters

ANALYSIS = "distributions"
QUANTITIES = {
    "current_exc": ("excitatory", COLOURS["exc"]),
    "current_inh": ("inhibitory", COLOURS["inh"]),
    "current_net": ("net", COLOURS["net"]),
}


def caption(result: xr.Dataset) -> str:
    """Return the caption with n and what lies outside the axes."""
    n = int(result["n"].sel(quantity="current_exc").max())
    outside = float(result["outside"].sel(quantity=list(QUANTITIES)).max())
    recordings = " and ".join(map(str, result["recording"].values))
    return (
        f"Distributions of the input currents (in units of the threshold) of the excitatory neurons of every layer, "
        f"over neurons, samples and steps (up to n = {n:,} values a histogram), for {recordings}. "
        f"Filled: {result['recording'].values[0]}; lines: the others. The axes span the 0.1 to 99.9 percentiles of "
        f"all recordings together; at most {100 * outside:.1f} % of a recording's values lie outside. No exclusions."
    )


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return the histograms as rows: recording, population, quantity, left, right, density."""
    return histogram_rows(result, list(QUANTITIES))


def histogram_rows(result: xr.Dataset, quantities: list[str]) -> pd.DataFrame:
    """Return tidy rows of the chosen quantities' histograms, without undefined ones."""
    chosen = result[["density", "left", "right"]].sel(quantity=quantities)
    rows = chosen.to_dataframe().reset_index().dropna(subset=["density"])
    return rows[["recording", "population", "quantity", "bin", "left", "right", "density"]]


def draw(result: Drawable, *, ax: Axes | None = None, figure: AnyFigure | None = None) -> Drawn:
    """Draw one panel per population."""
    numbers = numbers_of(result, ANALYSIS, table)
    with page(ax, figure) as sheet:
        populations = list(dict.fromkeys(numbers["population"]))
        axes = sheet.panels(1, len(populations), height_mm=52)
        for ax, population in zip(axes, populations, strict=True):
            for quantity, (name, colour) in QUANTITIES.items():
                panel = numbers[(numbers["population"] == population) & (numbers["quantity"] == quantity)]
                for index, (recording, rows) in enumerate(panel.groupby("recording", sort=False)):
                    edges = [*rows["left"], rows["right"].iloc[-1]]
                    if index == 0:
                        ax.stairs(
                            rows["density"], edges, fill=True, color=colour, alpha=0.45, label=f"{name}, {recording}"
                        )
                    else:
                        line = ["-", "--", ":"][index % 3]
                        label = f"{name}, {recording}"
                        ax.stairs(rows["density"], edges, color=colour, linewidth=0.9, linestyle=line, label=label)
            ax.set_title(layer_name(population))
            ax.set_xlabel("current (threshold = 1)")
            ax.set_yticks([])
            ax.spines["left"].set_visible(False)
        axes[0].set_ylabel("density")
        handles, labels = axes[0].get_legend_handles_labels()
        sheet.legend(handles, labels, loc="outside upper right", ncols=len(labels))
        letters(axes)
    return sheet.drawn
