"""Balance from the first layer to the last: one panel per independent fact, with untrained networks and cortex."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from eiplatform.figures.grammar import finite
from eiplatform.figures.grammar.words import excluded
from eiplatform.figures.parts.facts import draw_facts, label_of_fact, shown_facts
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "balance_across_depth"
QUESTION = "Is each layer balanced, and does that tighten or loosen from layer to layer?"
HERO = ("ei_ratio", "ei_correlation_time_excess", "ei_correlation_time", "rate", "ei_correlation_samples", "gain")
"""What the first screen of a report shows of it, the most telling first."""


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, interval, null, reference and exclusions."""
    nulls = int(result.attrs["n_nulls"])
    null = f"Grey boxes: range and mean of {nulls} untrained networks. " if nulls else ""
    held = "reference_value" in result and finite(result["reference_value"].sel(statistic=shown_facts(result)))
    reference = "Bands: circuits, where they may be compared, in the network's unit. " if held else ""
    undefined = int(result["n_excluded"].sel(statistic=shown_facts(result)).max()) if "n_excluded" in result else 0
    return (
        f"Every layer (n = {result.attrs['n_samples']} samples; mean over neurons, {100 * result.attrs['level']:.0f} % "
        "bootstrap over samples and neurons). Small points: single neurons, at most 40, evenly over their ranks. "
        f"{null}{reference}E is the excitatory, I the inhibitory current; global: a neuron's E goes with its own I no "
        f"more than with that of others. {excluded(undefined).capitalize()}."
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    if "ei_ratio" not in result["statistic"].values:
        return "Statistics of balance in every layer."
    one = result["value"].isel(recording=0).sel(statistic="ei_ratio").values
    told = ", ".join(f"{value:.2f}" for value in one[np.isfinite(one)])
    return f"Statistics of balance in every layer; the E/I ratio is {told}."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return rows: statistic, kind (layer, neuron, null, reference), who, depth, value, low, high."""
    parts: list[pd.DataFrame] = []
    keys = shown_facts(result)
    for key in keys:
        one = result.sel(statistic=key)
        for recording in result["recording"].values.astype(str):
            mine = one.sel(recording=recording)
            about = {"statistic": key, "label": label_of_fact(result, key), "who": recording}
            layers = {"population": mine["population"].values, "depth": result["depth"].values}
            ends = {name: mine[name].values for name in ("value", "low", "high")}
            parts.append(pd.DataFrame({**about, "kind": "layer", **layers, **ends}))
            if "points" in result:
                for depth in result["depth"].values:
                    at = {"population": mine["population"].sel(depth=depth).item(), "depth": depth}
                    parts.append(
                        pd.DataFrame({**about, "kind": "neuron", **at, "value": mine["points"].sel(depth=depth).values})
                    )
        if "null" in result:
            ends = {"value": one["null"].values, "low": one["null_minimum"].values, "high": one["null_maximum"].values}
            layers = {"population": one["population"].isel(recording=0).values, "depth": result["depth"].values}
            parts.append(pd.DataFrame({**about, "who": "untrained", "kind": "null", **layers, **ends}))
        if "reference_value" in result:
            ends = {name: one[f"reference_{name}"].values for name in ("value", "low", "high")}
            who = result["reference"].values.astype(str)
            parts.append(pd.DataFrame({**about, "who": who, "kind": "reference", **ends}))
    return pd.concat([part.astype({"value": float}) for part in parts], ignore_index=True).dropna(subset=["value"])


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one panel per fact, layers from left to right."""
    excluded = {}
    if "n_excluded" in result:
        excluded = {str(k): int(result["n_excluded"].sel(statistic=k).max()) for k in result["statistic"].values}
    draw_facts(sheet, numbers, excluded)
