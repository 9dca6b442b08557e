"""Every layer compared with cortical circuits or other networks, statistic by statistic."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.errors import StatisticError
from eiplatform.figures.parts.page import AnyFigure, Drawable, Drawn, numbers_of, page
from eiplatform.figures.parts.style import COLOURS, LABELS, MARKERS, layer_name, letters, points_with_intervals

ANALYSIS = "comparison"


MAIN = (
    *("ei_correlation_time", "ei_correlation_time_excess", "ei_correlation_time_partial"),
    *("residual_variance_time", "ei_peak", "fluctuation_index"),
    *("driven_above_threshold", "rate", "rate_cv"),
)
"""Drawn where at least one of them can be compared; further ones stand in the table."""


def _compared(result: xr.Dataset) -> list[str]:
    """Return the comparable statistics that have a value on both sides somewhere."""
    found = np.isfinite(result["difference"].transpose("statistic", ...).values).any(axis=(1, 2))
    return [str(name) for name in result["statistic"].values[found]]


def _shown(result: xr.Dataset) -> list[str]:
    """Return those of them that are drawn."""
    compared = _compared(result)
    return [name for name in compared if name in MAIN] or compared


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, intervals, matched time and what is not shown."""
    compared = np.isin(result["statistic"].values, _compared(result))
    left_out = [str(name) for name in result["label"].values[~compared]]
    further = int(compared.sum()) - len(_shown(result))
    kinds = result["kind"].values.astype(str)
    matched = ", ".join(
        f"{name}: {interval:g} ms"
        for name, interval in zip(
            result["reference"].values[kinds == "circuit"],
            result["interval_ms"].values[kinds == "circuit"],
            strict=True,
        )
    )
    timed = (
        f"Currents of a circuit are averaged over the length of a network step ({matched}), by the stated assumption "
        "that the membranes forget equally. "
        if matched
        else ""
    )
    rest = (
        f"Not comparable or undefined, hence not shown: {'; '.join(left_out)} (reasons in the table)."
        if left_out
        else ""
    )
    more = f"{further} further comparable ones are in the table. " if further else ""
    return (
        f"Layers of the network ({result.attrs['label']}, n = {int(result['n_samples'].max())} samples) and those "
        "populations of the references to which a statistic can be compared, mean over neurons. Bars: "
        f"{100 * result.attrs['level']:.0f} % interval (bootstrap over samples and neurons of one network; Student t "
        "over seeds of circuits, summaries and several networks); the grey band is the range over a circuit's "
        f"seeds. {timed}{more}{rest}"
    )


def _factors(one: xr.Dataset) -> list[float]:
    """Return the different factors from the network's unit to those of the references, of one statistic."""
    ratio = (one["converted"] / one["value"]).transpose("population", "reference").values
    found = sorted({round(float(factor), 9) for factor in ratio[np.isfinite(ratio)]})
    return found or [1.0]


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per layer and comparable reference for every statistic shown, in the reference's unit.

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
        every = shown.sel(statistic=statistic)
        every = every.sel(reference=every["difference"].notnull().any("population"))
        for unit in dict.fromkeys(every["reference_units"].values.astype(str)):
            one = every.sel(reference=every["reference_units"] == unit)
            label = str(one["label"].item()) + ("" if unit == "1" else f" ({unit})")
            about = {"statistic": f"{statistic} {unit}", "label": label}
            factors = _factors(one)
            for factor in factors:
                step = f" (step {1e3 / factor:.3g} ms)" if len(factors) > 1 else ""
                for name in one["population"].values.astype(str):
                    row = one.sel(population=name)
                    numbers = {key: factor * float(row[key]) for key in ("value", "low", "high")}
                    about |= {"kind": "trained", "name": f"{layer_name(name)}{step}"}
                    parts.append({**about, **numbers, "ceiling": np.nan})
            for name in one["reference"].values.astype(str):
                row = one.sel(reference=name)
                numbers = {key: float(row[f"reference_{key}"]) for key in ("value", "low", "high")}
                about |= {"kind": "reference", "name": name}
                parts.append({**about, **numbers, "ceiling": float(row["ceiling"])})
    return pd.DataFrame(parts)


def draw(result: Drawable, *, ax: Axes | None = None, figure: AnyFigure | None = None) -> Drawn:
    """Draw one panel per statistic, layers above circuits."""
    numbers = numbers_of(result, ANALYSIS, table)
    with page(ax, figure) as sheet:
        statistics = list(dict.fromkeys(numbers["statistic"]))
        columns = min(2 if numbers["name"].str.len().max() > 24 else 3, len(statistics))
        rows_of_panels = -(-len(statistics) // columns)
        longest = max(numbers.groupby("statistic").size())
        axes = sheet.panels(rows_of_panels, columns, height_mm=12 + (22 + max(18, 4.5 * longest)) * rows_of_panels)
        for ax, statistic in zip(axes, statistics, strict=False):
            rows = numbers[numbers["statistic"] == statistic].reset_index(drop=True)
            position = -np.arange(len(rows), dtype=float)
            for kind in ("trained", "reference"):
                chosen = (rows["kind"] == kind).to_numpy()
                part, at = rows[chosen], position[chosen]
                style: dict[str, Any] = {"marker": MARKERS[kind], "color": COLOURS[kind], "label": LABELS[kind]}
                points_with_intervals(ax, at, part, horizontal=True, **style)
                for value, half in zip(part["value"], part["ceiling"] / 2, strict=True):
                    if np.isfinite(half):
                        ax.axvspan(value - half, value + half, color=COLOURS["null"], alpha=0.25, linewidth=0)
            ax.set_yticks(position, [fill(str(name), 30) for name in rows["name"]], fontsize=5)
            ax.set_ylim(position.min() - 0.6, 0.6)
            ax.set_xlabel(fill(str(rows["label"].iloc[0]), 26))
            ax.margins(x=0.1)
        for ax in axes[len(statistics) :]:
            ax.set_visible(False)
        letters(axes[: len(statistics)])
    return sheet.drawn
