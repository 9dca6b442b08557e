"""What the loss of every pathway in every layer costs, as a map."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.colors import TwoSlopeNorm

from eiplatform.figures.grammar import colour, count, diverging, num, pathway, percent_points, rows_of
from eiplatform.figures.parts.lesions import about, cells_of, many_doses, where
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "lesion_study"
QUESTION = "In which layer does which pathway matter?"


def caption(result: xr.Dataset) -> str:
    """Return the caption with n and the dose."""
    dose = float(table(result)["dose"].iloc[0])
    return (
        f"Change of accuracy, in points, when {100 * dose:g} % of a pathway is removed in a layer (of the doses tried, "
        f"the one at which the cells differ most); in brackets the 95 % interval; bold: p < 0.05 (Holm). "
        f"{about(result)}."
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    worst = table(result).sort_values("value").iloc[0]
    loss = f"{100 * worst['value']:.1f} points, is of {worst['pathway']} in {worst['layer']}"
    return f"Map of layers by pathways; the largest loss, {loss}."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per layer and pathway at one dose."""
    empty = pd.DataFrame(columns=["layer", "pathway", "dose", "value", "low", "high", "p"])
    if not many_doses(result) or "coalition" in result or "layers" not in result:
        return empty
    rows = cells_of(result)
    rows = rows[(rows["role"] == "lesion") & (rows["images"] == "plain") & (rows["dose"] > 0)]
    if rows.groupby(["layers", "pathway"]).ngroups < 3:
        return empty
    spread = rows.groupby("dose")["value"].std()
    rows = rows[rows["dose"] == spread.idxmax()] if spread.notna().any() else rows[rows["dose"] == rows["dose"].max()]
    names = {
        "layer": [where(str(name)) for name in rows["layers"]],
        "pathway": [pathway(str(p)) for p in rows["pathway"]],
    }
    return rows.assign(**names).reindex(columns=empty.columns).reset_index(drop=True)


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw layers in rows, pathways in columns."""
    layers, pathways = (list(dict.fromkeys(numbers[name])) for name in ("layer", "pathway"))
    (ax,) = sheet.panels(1, 1, width="single" if len(pathways) < 4 else "middle", height_mm=24 + 11 * len(layers))
    grid = numbers.pivot(index="layer", columns="pathway", values="value").loc[layers, pathways].to_numpy()
    limit = max(float(np.nanmax(np.abs(grid))), 0.01)
    image = ax.imshow(grid, cmap=diverging(), norm=TwoSlopeNorm(0, -limit, limit), aspect="auto")
    for row in rows_of(numbers):
        i, j = layers.index(row.layer), pathways.index(row.pathway)
        dark = abs(row.value) > 0.6 * limit
        ink = colour("paper") if dark else colour("ink")
        weight = "bold" if row.p < 0.05 else "normal"
        text = f"{num(100 * row.value, 1)}\n[{num(100 * row.low, 1)}, {num(100 * row.high, 1)}]"
        ax.text(j, i, text, ha="center", va="center", fontsize=5, color=ink, fontweight=weight)
    for i, j in np.argwhere(np.isnan(grid)):
        ax.text(j, i, "not present", ha="center", va="center", fontsize=5, color=colour("faint"))
    ax.set_xticks(range(len(pathways)), pathways)
    ax.set_yticks(range(len(layers)), layers)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    bar = ax.figure.colorbar(image, ax=ax, label="change of accuracy (points)", shrink=0.9, aspect=14)
    percent_points(bar.ax.yaxis)
    bar.outline.set_visible(False)
    count(ax, f"dose {numbers['dose'].iloc[0]:g}, {result.attrs['n_networks']} networks")
