"""Where every layer sits among the regimes: shares of bootstrap draws."""

from __future__ import annotations

from textwrap import fill

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.figures.parts.page import AnyFigure, Drawable, Drawn, numbers_of, page
from eiplatform.figures.parts.style import letters

ANALYSIS = "regime_scorecard"


def caption(result: xr.Dataset) -> str:
    """Return the caption with what the placing rests on, n, and what is excluded."""
    features = "; ".join(
        f"{label} (tolerance {tolerance:.2g})"
        for label, tolerance in zip(result["feature_label"].values, result["tolerance"].values, strict=True)
    )
    reasons = sorted({str(text) for text in result["reason"].values.ravel() if text})
    missing = f" Not placed: {'; '.join(reasons)}." if reasons else ""
    return (
        f"Share of draws (n = {result.attrs['n_bootstrap']}) nearest to each regime; none: within tolerance of "
        f"no regime; Poisson: like independent random spiking. Rests on {features}. Tight and loose in the sense of "
        f"the residual (|beta| < {result.attrs['cut_tight_residual']:g}) and tracking in time (correlation from "
        f"{result.attrs['cut_tracking']:g}, detailed from {result.attrs['cut_detailed']:g} own minus other). "
        f"Not used: {result.attrs['excluded']}.{missing}"
    )


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per population and kind."""
    parts = []
    for name, dim, group in (
        ("share", "regime", None),
        ("tightness", "residual", "balance: residual"),
        ("tracking", "in_time", "balance: tracking in time"),
    ):
        rows = result[name].to_dataframe().reset_index().rename(columns={name: "value", dim: "kind_of"})
        if group is None:
            rows["group"] = rows["family"]
            rows["kind_of"] = [text.split(": ", 1)[1] for text in rows["kind_of"]]
        else:
            rows["group"] = group
        parts.append(rows[["group", "population", "kind_of", "value"]])
    return pd.concat(parts, ignore_index=True)


def draw(result: Drawable, *, ax: Axes | None = None, figure: AnyFigure | None = None) -> Drawn:
    """Draw one panel per family: populations in rows, regimes in columns, shares as shades and numbers."""
    numbers = numbers_of(result, ANALYSIS, table)
    with page(ax, figure) as sheet:
        groups = list(dict.fromkeys(numbers["group"]))
        populations = list(dict.fromkeys(numbers["population"]))
        axes = sheet.panels(2, 2, height_mm=50 + 14 * len(populations))
        for ax, group in zip(axes, groups, strict=False):
            rows = numbers[numbers["group"] == group]
            kinds = list(dict.fromkeys(rows["kind_of"]))
            grid = rows.pivot(index="population", columns="kind_of", values="value").loc[populations, kinds].to_numpy()
            ax.imshow(np.nan_to_num(grid), cmap="Greys", vmin=0, vmax=1, aspect="auto")
            for i, j in np.ndindex(*grid.shape):
                missing = not np.isfinite(grid[i, j])
                text = "?" if missing else "0" if grid[i, j] == 0 else f"{grid[i, j]:.2f}"
                ax.text(
                    j, i, text, ha="center", va="center", color="white" if grid[i, j] > 0.6 else "black", fontsize=5
                )
            ax.set_xticks(range(len(kinds)), [fill(kind, 12) for kind in kinds], rotation=90)
            ax.set_yticks(range(len(populations)), [fill(name, 24) for name in populations])
            ax.set_title(group)
        letters(axes[: len(groups)])
    return sheet.drawn
