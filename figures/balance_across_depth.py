"""Balance from the first layer to the last: one panel per independent fact, with untrained networks and cortex."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.analyses import defined
from eiplatform.figures.grammar import (
    baseline,
    colour,
    condition_style,
    count,
    finite,
    intervals,
    layer_axis,
    log_axis,
    named,
    null_band,
    reference_band,
    strip,
)
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "balance_across_depth"
QUESTION = "Is each layer balanced, and does that tighten or loosen from layer to layer?"
FACTS = {
    "ei_ratio": ("E/I ratio", 1.0, "E = I"),
    "ei_correlation_time": ("correlation of E with I,\nover time", 0.0, ""),
    "ei_correlation_time_excess": ("own minus other neurons' I,\nover time", 0.0, "global"),
    "residual_variance_time": ("variance left by inhibition,\nover time", 1.0, "none cancelled"),
    "ei_correlation_samples": ("correlation of E with I,\nover samples", 0.0, ""),
    "ei_correlation_samples_excess": ("own minus other neurons' I,\nover samples", 0.0, "global"),
    "gain": ("gain", 1.0, "no division"),
    "rate": ("spikes per neuron and step", None, ""),
    "silent_share": ("share of silent pairs of\nneuron and sample", None, ""),
}
"""Statistics drawn: label, the value of no effect, and what it means."""
HERO = ("ei_ratio", "ei_correlation_time_excess", "ei_correlation_time", "rate", "ei_correlation_samples", "gain", *FACTS)
"""What the first screen of a report shows of it, the most telling first."""
MOST = 8
_LOG = ("ei_ratio", "gain")


def _shown(result: xr.Dataset) -> list[str]:
    found = defined(result, FACTS)
    over_samples = [key for key in found if "_samples" in key and key.replace("_samples", "_time") in found]
    kept = [key for key in found if key not in over_samples or len(found) <= MOST]
    return kept[:MOST] or defined(result, result["statistic"].values.tolist())[:MOST]


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, interval, null, reference and exclusions."""
    nulls = int(result.attrs["n_nulls"])
    null = f"Grey boxes: range and mean of {nulls} untrained networks. " if nulls else ""
    held = "reference_value" in result and finite(result["reference_value"].sel(statistic=_shown(result)))
    reference = "Bands: circuits, where they may be compared, in the network's unit. " if held else ""
    excluded = int(result["n_excluded"].sel(statistic=_shown(result)).max()) if "n_excluded" in result else 0
    return (
        f"Every layer (n = {result.attrs['n_samples']} samples; mean over neurons, {100 * result.attrs['level']:.0f} % "
        f"bootstrap over samples and neurons). Small points: single neurons, at most 40, evenly over their ranks. {null}"
        f"{reference}E is the excitatory, I the inhibitory current; global: a neuron's E goes with its own I no more "
        f"than with that of others. At most {excluded} neurons of a layer are excluded as undefined."
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    if "ei_ratio" not in result["statistic"].values:
        return "Statistics of balance in every layer."
    one = result["value"].isel(recording=0).sel(statistic="ei_ratio").values
    return f"Statistics of balance in every layer; the E/I ratio is {', '.join(f'{v:.2f}' for v in one[np.isfinite(one)])}."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return rows: statistic, kind (layer, neuron, null, reference), who, depth, value, low, high."""
    parts: list[pd.DataFrame] = []
    keys = _shown(result)
    for key in keys:
        one = result.sel(statistic=key)
        for recording in result["recording"].values.astype(str):
            mine = one.sel(recording=recording)
            about = {"statistic": key, "label": FACTS.get(key, (str(one["label"].item()),))[0], "who": recording}
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
    keys = list(dict.fromkeys(numbers["statistic"]))
    columns = min(4, len(keys))
    lines = -(-len(keys) // columns)
    axes = sheet.panels(lines, columns, height_mm=14 + 42 * lines)
    for ax in axes[len(keys) :]:
        ax.set_axis_off()
    for ax, key in zip(axes, keys, strict=False):
        _panel(ax, key, numbers[numbers["statistic"] == key])
    used = axes[: len(keys)]
    if "n_excluded" in result:
        for ax, key in zip(used, keys, strict=True):
            most = int(result["n_excluded"].sel(statistic=key).max())
            count(ax, f"≤ {most} neurons undefined" if most else "")
    sheet.letters(used)
    sheet.legend()


def _panel(ax: Axes, key: str, rows: pd.DataFrame) -> None:
    layers = rows[rows["kind"] == "layer"].drop_duplicates("depth").sort_values("depth")
    recordings = list(dict.fromkeys(rows.loc[rows["kind"] == "layer", "who"]))
    null = rows[rows["kind"] == "null"].sort_values("depth")
    null_band(ax, null["depth"], null["low"], null["high"], null["value"])
    for row in rows[rows["kind"] == "reference"].itertuples():
        reference_band(ax, row.low, row.high, label=named(row.who))
    for index, who in enumerate(recordings):
        mine = rows[(rows["who"] == who) & (rows["kind"] == "layer")].sort_values("depth")
        shift = 0.24 * (index - (len(recordings) - 1) / 2)
        points = rows[(rows["who"] == who) & (rows["kind"] == "neuron")]
        for depth, values in points.groupby("depth"):
            strip(ax, depth + shift + 0.22, values["value"], width=0.16, color=colour("trained"), alpha=0.6)
        style: dict[str, Any] = condition_style("trained") | {"label": named(who), "linewidth": 0.6}
        if index:
            style |= {"marker": "v^<>pX"[(index - 1) % 6]}
        intervals(ax, mine["depth"] + shift, mine, joined=True, **style)
    _, base, text = FACTS.get(key, ("", None, ""))
    if key in _LOG and (rows["value"] > 0).all():
        log_axis(ax, "y")
    if base is not None:
        baseline(ax, base, text)
    layer_axis(ax, [named(str(name)) for name in layers["population"]])
    ax.set_ylabel(str(rows["label"].iloc[0]))
    ax.margins(y=0.08)
