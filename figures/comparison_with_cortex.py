"""Every layer beside the cortical circuits, statistic by statistic."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from eiplatform.errors import StatisticError
from figures.style import COLOURS, LABELS, MARKERS, figure, layer_name, letters, points_with_intervals

ANALYSIS = "comparison"


def _shown(result: xr.Dataset) -> list[str]:
    """Return the comparable statistics that have a value on both sides somewhere."""
    found = np.isfinite(result["difference"].transpose("statistic", ...).values).any(axis=(1, 2))
    return [str(name) for name in result["statistic"].values[found]]


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, intervals, matched time and what is not shown."""
    left_out = [str(name) for name in result["label"].values[~np.isin(result["statistic"].values, _shown(result))]]
    matched = ", ".join(
        f"{name}: {interval:g} ms"
        for name, interval in zip(result["reference"].values, result["interval_ms"].values, strict=True)
    )
    return (
        f"Layers of the network ({result.attrs['label']}, n = {int(result['n_samples'].max())} samples) and excitatory "
        f"populations of cortical circuits (n = {int(result['reference_n_samples'].max())} seeds), mean over neurons. "
        f"Bars: {100 * result.attrs['level']:.0f} % percentile bootstrap over samples (seeds) and neurons; with "
        "few seeds "
        "the circuit's bar is too narrow, the grey band is the range over its seeds. Currents of the circuit are "
        f"averaged over the length of a network step ({matched}), by the stated assumption that the membranes forget "
        f"equally. Not comparable or undefined, hence not shown: {'; '.join(left_out)} (reasons in the table)."
    )


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per layer and per circuit for every statistic shown.

    Raises
    ------
    StatisticError
        If no comparable statistic has a value on both sides.
    """
    parts = []
    if not _shown(result):
        raise StatisticError(
            "no comparable statistic has a value in both network and circuit",
            remedy="record the network for some hundred steps: most of them are over time",
        )
    shown = result.sel(statistic=_shown(result))
    for statistic in shown["statistic"].values:
        one = shown.sel(statistic=statistic)
        about = {"statistic": str(statistic), "label": str(one["label"].item())}
        for name in one["population"].values:
            row = one.sel(population=name)
            numbers = {key: float(row[key]) for key in ("value", "low", "high")}
            parts.append({**about, "kind": "trained", "name": str(name), **numbers, "ceiling": np.nan})
        for name in one["reference"].values:
            row = one.sel(reference=name)
            numbers = {key: float(row[f"reference_{key}"]) for key in ("value", "low", "high")}
            parts.append({**about, "kind": "reference", "name": str(name), **numbers, "ceiling": float(row["ceiling"])})
    return pd.DataFrame(parts)


def draw(table: pd.DataFrame) -> Figure:
    """Draw one panel per statistic, layers above circuits."""
    statistics = list(dict.fromkeys(table["statistic"]))
    columns = min(3, len(statistics))
    rows_of_panels = -(-len(statistics) // columns)
    made, axes = figure(rows_of_panels, columns, height_mm=12 + 40 * rows_of_panels)
    for ax, statistic in zip(axes, statistics, strict=False):
        rows = table[table["statistic"] == statistic].reset_index(drop=True)
        position = -np.arange(len(rows), dtype=float)
        for kind in ("trained", "reference"):
            chosen = (rows["kind"] == kind).to_numpy()
            part, at = rows[chosen], position[chosen]
            style: dict[str, Any] = {"marker": MARKERS[kind], "color": COLOURS[kind], "label": LABELS[kind]}
            points_with_intervals(ax, at, part, horizontal=True, **style)
            for value, half in zip(part["value"], part["ceiling"] / 2, strict=True):
                if np.isfinite(half):
                    ax.axvspan(value - half, value + half, color=COLOURS["null"], alpha=0.25, linewidth=0)
        ax.set_yticks(position, [fill(layer_name(name), 14) for name in rows["name"]])
        ax.set_ylim(position.min() - 0.6, 0.6)
        ax.set_xlabel(fill(str(rows["label"].iloc[0]), 26))
        ax.margins(x=0.1)
    for ax in axes[len(statistics) :]:
        ax.set_visible(False)
    letters(axes[: len(statistics)])
    return made
