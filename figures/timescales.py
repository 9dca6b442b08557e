"""Autocorrelation of excitation, inhibition, net current and spikes, and the lag of inhibition."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.figures.parts.page import AnyFigure, Drawable, Drawn, numbers_of, page
from eiplatform.figures.parts.style import COLOURS, letters, points_with_intervals

ANALYSIS = "timescales"
SHOWN = 8.0
"""Longest lag drawn, in membrane time constants."""
SIGNALS = {
    "current_exc": ("excitation", "exc", "o"),
    "current_inh": ("inhibition", "inh", "s"),
    "current_net": ("net current", "net", "D"),
    "spikes": ("spikes", "gain", "^"),
}


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, units, and what is missing."""
    notes = sorted(
        {
            f"{signal}: {note}"
            for signal in result["signal"].values
            for note in result["note"].sel(signal=signal).values.astype(str).tolist()
            if note
        }
    )
    missing = f" Missing: {'; '.join(notes)}." if notes else ""
    return (
        f"Time scales (n = up to {int(result['n_samples'].max())} samples, mean over neurons). First row: "
        f"autocorrelation over time, lags up to {SHOWN:g} membrane time constants of each population. Below, left: "
        "integral of the autocorrelation to its first zero, in membrane time constants, with "
        f"{100 * result.attrs['level']:.0f} % bootstrap over samples; right: cross-correlation of the population's "
        "mean excitation and inhibition (a positive lag: inhibition follows)."
        f"{missing}"
    )


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per point drawn."""
    tau = result["tau_membrane"]
    scales = xr.Dataset(
        {
            "value": result["timescale"] / tau,
            "low": result["timescale_low"] / tau,
            "high": result["timescale_high"] / tau,
        }
    )
    parts = [scales.to_dataframe().reset_index().assign(panel="timescale", at=np.nan)]
    curve = xr.Dataset(
        {"value": result["autocorrelation"], "at": (result["lag_time"] / tau).broadcast_like(result["autocorrelation"])}
    )
    rows = curve.to_dataframe().reset_index().drop(columns="lag").assign(panel="autocorrelation")
    parts.append(rows[rows["at"] <= SHOWN])
    cross = xr.Dataset({"value": result["cross_correlation"], "at": result["cross_lag"] * result["dt"] / tau})
    rows = cross.to_dataframe().reset_index().drop(columns="cross_lag").assign(panel="cross", signal="E to I")
    parts.append(rows[rows["at"].abs() <= SHOWN])
    names = ["panel", "layer", "signal", "at", "value", "low", "high"]
    return pd.concat(parts, ignore_index=True)[names].dropna(subset=["value"])


def draw(result: Drawable, *, ax: Axes | None = None, figure: AnyFigure | None = None) -> Drawn:
    """Draw one autocorrelation panel per layer, then time scales and cross-correlations."""
    numbers = numbers_of(result, ANALYSIS, table)
    with page(ax, figure) as sheet:
        layers = list(dict.fromkeys(numbers["layer"]))
        columns = 3
        lines = -(-len(layers) // columns)
        axes = sheet.panels(lines + 1, columns, height_mm=20 + 45 * (lines + 1))
        for ax, layer in zip(axes, layers, strict=False):
            for signal, (word, colour, _) in SIGNALS.items():
                rows = numbers[
                    (numbers["panel"] == "autocorrelation")
                    & (numbers["layer"] == layer)
                    & (numbers["signal"] == signal)
                ]
                ax.plot(rows["at"], rows["value"], color=COLOURS[colour], label=word)
            ax.axhline(0, color=COLOURS["net"], linewidth=0.5, linestyle=":")
            ax.set_xlabel("lag\n(membrane time constants)")
            ax.set_title(fill(layer, 22))
        axes[0].set_ylabel("autocorrelation")
        axes[0].legend(loc="best")
        for ax in axes[len(layers) : lines * columns]:
            ax.set_visible(False)
        last = axes[lines * columns :]
        at = -np.arange(len(layers), dtype=float)
        for offset, (signal, (word, colour, mark)) in zip((0.24, 0.08, -0.08, -0.24), SIGNALS.items(), strict=True):
            rows = (
                numbers[(numbers["panel"] == "timescale") & (numbers["signal"] == signal)]
                .set_index("layer")
                .reindex(layers)
            )
            style: dict[str, Any] = {"marker": mark, "color": COLOURS[colour], "label": word}
            points_with_intervals(last[0], at + offset, rows.reset_index(), horizontal=True, **style)
        last[0].set_yticks(at, [fill(layer, 22) for layer in layers])
        last[0].set_ylim(at.min() - 0.6, 0.6)
        last[0].set_xlabel("time scale\n(membrane time constants)")
        marks = [COLOURS[name] for name in ("trained", "inh", "gain", "accent", "exc", "net")]
        for index, layer in enumerate(layers):
            rows = numbers[(numbers["panel"] == "cross") & (numbers["layer"] == layer)].sort_values("at")
            last[1].plot(rows["at"], rows["value"], color=marks[index % len(marks)], label=fill(layer, 22))
        last[1].axvline(0, color=COLOURS["net"], linewidth=0.5, linestyle=":")
        last[1].set_xlabel("lag of inhibition\n(membrane time constants)")
        last[1].set_ylabel("E-I correlation")
        last[2].legend(*last[1].get_legend_handles_labels(), loc="center left")
        last[2].set_axis_off()
        letters([*axes[: len(layers)], *last[:2]])
    return sheet.drawn
