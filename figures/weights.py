"""Distributions of the weights of every pathway, trained and untrained, against log-normal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from eiplatform.figures.grammar import colour, count, left_out, log_axis, named, num, pathway
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "weights"
QUESTION = "Are weights distributed log-normally, as synapses in cortex are?"
MOST = 12


def caption(result: xr.Dataset) -> str:
    """Return the caption with n and what is left out."""
    left = _single(result)
    more = left_out(len(_drawn(result)), MOST, "pathways")
    same = f" Not drawn, because all weights are alike: {', '.join(left)}." if left else ""
    return (
        "Density of the logarithm of the weights above zero, after (filled) and before training (line); dotted: "
        "log-normal weights of the same mean and sd. sd(ln): of the natural logarithm; KS: largest difference of the "
        "distribution from log-normal; zeros are not on this axis, their share is given. n = "
        f"{int(np.nansum(result['n'].sel(state='trained')))} weights.{same}{more}"
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    held = result.isel(row=_drawn(result)).sel(state="trained")
    names = zip(held["layer"].values, held["pathway"].values, held["sd"].values, strict=True)
    told = [f"{named(str(layer))} {pathway(str(route))} {sd:.2f}" for layer, route, sd in names]
    return f"Histograms of log weights; standard deviations: {', '.join(told)}."


def _drawn(result: xr.Dataset) -> list[int]:
    return [k for k, sd in enumerate(result["sd"].sel(state="trained").values) if sd > 0.2]


def _single(result: xr.Dataset) -> list[str]:
    rest = sorted(set(range(result.sizes["row"])) - set(_drawn(result)))
    return [f"{named(str(result['layer'].values[k]))} {pathway(str(result['pathway'].values[k]))}" for k in rest]


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per layer, pathway, state and bin."""
    parts = []
    for index in _drawn(result)[:MOST]:
        one = result.isel(row=index)
        for state in result["state"].values.astype(str):
            held = one.sel(state=state)
            about = {"row": index, "layer": one["layer"].item(), "pathway": one["pathway"].item(), "state": state}
            about |= {name: float(held[name]) for name in ("mean", "sd", "n", "zeros", "distance")}
            bins = {"left": one["left"].values, "right": one["right"].values, "density": held["density"].values}
            parts.append(pd.DataFrame({**about, **bins}))
    return pd.concat(parts, ignore_index=True).dropna(subset=["density"]) if parts else pd.DataFrame()


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one row per pathway, one column per layer."""
    pathways, layers = (list(dict.fromkeys(numbers[name])) for name in ("pathway", "layer"))
    axes = sheet.panels(len(pathways), len(layers), height_mm=14 + 34 * len(pathways))
    for place, ax in enumerate(axes):
        route, layer = pathways[place // len(layers)], layers[place % len(layers)]
        mine = numbers[(numbers["pathway"] == route) & (numbers["layer"] == layer)]
        if mine.empty:
            ax.set_axis_off()
            continue
        for state in ("trained", "untrained"):
            part = mine[mine["state"] == state]
            if part.empty:
                continue
            edges = np.exp(np.append(part["left"], part["right"].iloc[-1]))
            ink = colour("trained" if state == "trained" else "null")
            style: dict[str, Any] = {"fill": state == "trained", "alpha": 0.35 if state == "trained" else 1.0}
            ax.stairs(part["density"], edges, color=ink, label=state, **style, linewidth=0.8)
        first = mine[mine["state"] == "trained"].iloc[0]
        grid = np.linspace(first["mean"] - 3.5 * first["sd"], first["mean"] + 3.5 * first["sd"], 200)
        bell = np.exp(-0.5 * ((grid - first["mean"]) / first["sd"]) ** 2) / (first["sd"] * np.sqrt(2 * np.pi))
        ax.plot(np.exp(grid), bell, color=colour("ink"), linestyle=(0, (1, 1)), linewidth=0.8, label="log-normal")
        ax.set_xlim(np.exp(mine["left"].min()), np.exp(mine["right"].max()) * 1.5)
        log_axis(ax)
        ax.set_ylim(bottom=0)
        zeros = f", {100 * first['zeros']:.0f} % zero" if first["zeros"] >= 0.005 else ""
        count(ax, f"sd(ln) {num(first['sd'])}, KS {num(first['distance'])}{zeros}")
        if place < len(layers):
            ax.set_title(named(layer), pad=10)
        if place % len(layers) == 0:
            ax.set_ylabel(f"{pathway(route)}\ndensity")
        if place // len(layers) == len(pathways) - 1:
            ax.set_xlabel("weight")
    sheet.letters([axes[row * len(layers)] for row in range(len(pathways))])
    sheet.legend()
