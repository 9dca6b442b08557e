"""Autocorrelation of excitation, inhibition, net current and spikes, and their time scales."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from eiplatform.figures.grammar import baseline, colour, intervals, log_axis, named, signal_style, wrapped
from eiplatform.figures.parts.page import Page, columns_of, drawing

ANALYSIS = "timescales"
QUESTION = "How long do currents and spikes remember?"
SHOWN = 8.0
"""Longest lag drawn, in membrane time constants."""
SIGNALS = {
    "current_exc": ("excitation", "o"),
    "current_inh": ("inhibition", "s"),
    "current_net": ("net current", "D"),
    "spikes": ("spikes", "^"),
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
    halves = np.unique(np.round(0.5 * (result["dt"] / result["tau_membrane"]).values.astype(float), 3))
    floor = " or ".join(f"{half:g}" for half in halves[np.isfinite(halves)])
    missing = f" Missing: {'; '.join(notes)}." if notes else ""
    return (
        f"Autocorrelation over time (n = up to {int(result['n_samples'].max())} samples, mean over neurons), lags up "
        f"to {SHOWN:g} membrane time constants of each population. Last panel: integral of the autocorrelation to its "
        f"first zero, in membrane constants, with {100 * result.attrs['level']:.0f} % bootstrap over samples; white "
        f"noise has half an interval ({floor}), and values there are only upper limits. Membrane constants compare "
        f"steps with ms.{missing}"
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    longest = result["timescale"].where(result["signal"] == "spikes").max()
    told = f"longest time scale of spikes {float(longest):.2g}"
    return f"Autocorrelations of currents and spikes of {result.sizes['layer']} populations; {told}."


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
    names = ["panel", "layer", "signal", "at", "value", "low", "high"]
    return pd.concat(parts, ignore_index=True)[names].dropna(subset=["value"])


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one autocorrelation panel per layer, then the time scales."""
    layers = list(dict.fromkeys(numbers["layer"]))
    columns = columns_of(len(layers) + 1)
    axes = sheet.wrapped(len(layers) + 1, head_mm=14, panel_mm=44)
    for ax, layer in zip(axes, layers, strict=False):
        for signal in SIGNALS:
            rows = numbers[(numbers["panel"] == "autocorrelation") & (numbers["layer"] == layer)]
            rows = rows[rows["signal"] == signal]
            ax.plot(rows["at"], rows["value"], **_style(signal) | {"marker": ""})
        baseline(ax, 0)
        ax.set_xlabel("lag (membrane constants)")
        ax.set_title(wrapped(named(layer), 26), fontsize=6)
    for place in range(0, len(layers), columns):
        axes[place].set_ylabel("autocorrelation")
    last = axes[len(layers)]
    at = -np.arange(len(layers), dtype=float)
    for offset, signal in zip((0.24, 0.08, -0.08, -0.24), SIGNALS, strict=True):
        rows = numbers[(numbers["panel"] == "timescale") & (numbers["signal"] == signal)]
        rows = rows.set_index("layer").reindex(layers).reset_index()
        intervals(last, at + offset, rows, horizontal=True, **_style(signal) | {"linestyle": "", "label": None})
    last.set_yticks(at, [wrapped(named(layer), 22) for layer in layers])
    last.tick_params(axis="y", length=0)
    last.set_ylim(at.min() - 0.6, 0.6)
    last.margins(x=0.08)
    log_axis(last)
    last.set_xlabel("time scale (membrane constants)")
    sheet.letters(axes)
    sheet.legend()


def _style(signal: str) -> dict[str, Any]:
    word, marker = SIGNALS[signal]
    if signal == "spikes":
        return {"color": colour("trained"), "linestyle": (0, (1, 1)), "label": word, "marker": marker}
    return signal_style(signal) | {"label": word, "marker": marker}
