"""Excitation and mirrored inhibition of one neuron per population, with a zoom, its voltage and its spikes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.figures.grammar import (
    baseline,
    colour,
    count,
    finite,
    named,
    num,
    signal_style,
    spread,
    time_axis,
    units,
)
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "traces"
QUESTION = "Does inhibition follow excitation from moment to moment?"
ZOOM = 50
MOST = 6
"""Rows; of more populations evenly spaced ones."""


def caption(result: xr.Dataset) -> str:
    """Return the caption with the rule by which neurons are chosen."""
    panels = spread(result.sizes["panel"], MOST)
    numbers = ", ".join(str(int(result["neuron"].values[panel])) for panel in panels)
    some = f" {len(panels)} of {result.sizes['panel']} populations." if len(panels) < result.sizes["panel"] else ""
    right = "Right: voltage and threshold (dotted). " if _with_voltage(result) else ""
    zoomed = "Middle" if right else "Right"
    return (
        "Excitation (up), inhibition (down) and their sum of one neuron per population (n = 1 sample): the one "
        f"with the median mean net current. {zoomed}: the first "
        f"{ZOOM} intervals, inhibition mirrored onto excitation; ticks: its spikes. {right}"
        "r: correlation of its excitation and inhibition over all samples; lag: of the peak of their correlogram, "
        f"above 0 if inhibition comes later. Neurons {numbers}.{some}"
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    found = _complete(result)["correlation"].values
    return (
        f"Traces of excitation and inhibition of {result.sizes['panel']} neurons; their correlations over time are "
        f"{', '.join(f'{value:.2f}' for value in found)}."
    )


def _complete(result: xr.Dataset) -> xr.Dataset:
    """Return a result with what those of earlier versions lack, undefined."""
    lacking = [name for name in ("correlation", "lag", "threshold") if name not in result]
    return result.assign({name: ("panel", np.full(result.sizes["panel"], np.nan)) for name in lacking})


def _with_voltage(result: xr.Dataset) -> bool:
    """Whether the voltage is drawn: where half of the neurons have one, else most of its column would be empty."""
    return "voltage" in result and 2 * int(result["voltage"].notnull().any("point").sum()) >= result.sizes["panel"]


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per population, signal and moment."""
    names = result["signal"].values.tolist()
    with_voltage = _with_voltage(result)
    parts = []
    for index in spread(result.sizes["panel"], MOST):
        one = result.isel(panel=index)
        about = {
            name: one[name].item() for name in ("recording", "population", "neuron", "sample", "units", "time_units")
        }
        parts += [
            pd.DataFrame({**about, "signal": name, "time": one["time"], "value": one["current"].sel(signal=name)})
            for name in names
        ]
        if with_voltage and finite(one["voltage"]):
            held = {"time": one["time"][:ZOOM], "value": one["voltage"][:ZOOM]}
            parts.append(pd.DataFrame({**about, "signal": "voltage", **held}))
    return pd.concat(parts, ignore_index=True).dropna(subset=["value"])


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one row per population: the whole trace, a zoom, the voltage."""
    result = _complete(result)
    panels = spread(result.sizes["panel"], MOST)
    n = len(panels)
    voltage = (numbers["signal"] == "voltage").any()
    widths = [2.2, 1.2, 1.2] if voltage else [2.2, 1.2]
    axes = sheet.panels(n, len(widths), width="double", height_mm=14 + 27 * n, width_ratios=widths)
    for place, index in enumerate(panels):
        one = result.isel(panel=index)
        keys = {name: one[name].item() for name in ("recording", "population")}
        rows = numbers[(numbers["recording"] == keys["recording"]) & (numbers["population"] == keys["population"])]
        held = {str(name): part for name, part in rows.groupby("signal")}
        whole, zoom, *rest = axes[place * len(widths) : (place + 1) * len(widths)]
        _mirrored(whole, held)
        _zoomed(zoom, held)
        time = str(one["time_units"].item())
        whole.set_ylabel(units("current", str(one["units"].item())))
        _ticks(zoom, result, index)
        zoom.set_title("" if place else "zoom, inhibition mirrored", fontsize=6)
        whole.set_title(named(f"{keys['recording']}: {keys['population']}"))
        r, lag = float(one["correlation"]), float(one["lag"])
        if np.isfinite(r):
            count(
                zoom,
                f"r = {num(r)}" + (f", lag {num(lag, 1)} {time}s".replace("mss", "ms") if np.isfinite(lag) else ""),
            )
        if rest and "voltage" in held:
            _voltage(rest[0], held["voltage"], one)
        elif rest:
            rest[0].set_axis_off()
        if place == n - 1 or time != str(result["time_units"].values[panels[place + 1]]):
            for ax in (ax for ax in (whole, zoom, *rest) if ax.axison):
                ax.set_xlabel(time_axis(time))
    sheet.letters([axes[index * len(widths)] for index in range(n)])
    sheet.legend()


def _mirrored(ax: Axes, held: dict[str, pd.DataFrame]) -> None:
    for signal, sign in (("current_exc", 1), ("current_inh", -1), ("current_net", 1)):
        style = signal_style(signal)
        time, value = held[signal]["time"], sign * held[signal]["value"]
        if signal != "current_net":
            ax.fill_between(time, 0, value, color=style["color"], alpha=0.25, linewidth=0)
        ax.plot(time, value, **{**style, "linewidth": 0.7 if signal != "current_net" else 0.9})
    baseline(ax, 0)
    ax.margins(x=0)


def _zoomed(ax: Axes, held: dict[str, pd.DataFrame]) -> None:
    for signal in ("current_exc", "current_inh"):
        style = signal_style(signal) | {"label": None}
        ax.plot(held[signal]["time"][:ZOOM], held[signal]["value"][:ZOOM], **style)
    ax.margins(x=0)


def _ticks(ax: Axes, result: xr.Dataset, index: int) -> None:
    """Draw the spikes of the neuron as ticks at the top, above the currents."""
    own = (result["spike_panel"].values == index) & (result["spike_neuron"].values == -1)
    spikes = result["spike_time"].values[own]
    first, last = ax.get_xlim()
    ax.set_ylim(top=ax.get_ylim()[1] + 0.15 * np.ptp(ax.get_ylim()))
    spikes = spikes[(spikes >= first) & (spikes <= last)]
    style: dict[str, Any] = {"color": colour("ink"), "markersize": 4, "markeredgewidth": 0.6}
    style["label"] = "spikes of this neuron"
    if len(spikes):
        ax.plot(spikes, np.full(len(spikes), 0.97), "|", transform=ax.get_xaxis_transform(), **style)


def _voltage(ax: Axes, rows: pd.DataFrame, one: xr.Dataset) -> None:
    time, value = rows["time"].to_numpy(), rows["value"].to_numpy()
    ax.plot(time, value, color=colour("ink"), linewidth=0.7)
    if np.isfinite(one["threshold"]):
        baseline(ax, float(one["threshold"]))
    ax.set_ylabel("voltage")
    ax.margins(x=0)
