"""Balance in facts that do not follow from each other: one panel each, layers from left to right."""

from __future__ import annotations

from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.analyses import defined
from eiplatform.figures.grammar import (
    baseline,
    colour,
    condition_style,
    count,
    intervals,
    key,
    layer_axis,
    log_axis,
    named,
    null_band,
    reference_band,
    rows_of,
    strip,
)
from eiplatform.figures.parts.page import Page

__all__ = ["FACTS", "MOST", "draw_facts", "label_of_fact", "shown_facts"]

FACTS = {
    "ei_ratio": ("E/I ratio", 1.0, "E = I"),
    "ei_correlation_time": ("correlation of E with I,\nover time", 0.0, ""),
    "ei_correlation_time_excess": ("correlation with own minus\nother neurons' I, over time", 0.0, "global"),
    "residual_variance_time": ("variance left by inhibition,\nover time", 1.0, "none cancelled"),
    "ei_correlation_samples": ("correlation of E with I,\nover samples", 0.0, ""),
    "ei_correlation_samples_excess": ("correlation with own minus\nother neurons' I, over samples", 0.0, "global"),
    "gain": ("gain", 1.0, "no division"),
    "rate": ("spikes per neuron and step", None, ""),
    "silent_share": ("share of silent pairs of\nneuron and sample", None, ""),
}
"""Statistics drawn: label, the value of no effect, and what it means."""
MOST = 8
_LOG = ("ei_ratio", "gain")


def shown_facts(result: xr.Dataset) -> list[str]:
    """Return the statistics of a result that are drawn: facts over time, or over samples where there are none."""
    found = defined(result, FACTS)
    over_samples = [key for key in found if "_samples" in key and key.replace("_samples", "_time") in found]
    kept = [key for key in found if key not in over_samples or len(found) <= MOST]
    return kept[:MOST] or defined(result, result["statistic"].values.tolist())[:MOST]


def label_of_fact(result: xr.Dataset, key: str) -> str:
    """Return the label of the axis of a statistic."""
    return FACTS[key][0] if key in FACTS else str(result["label"].sel(statistic=key).item())


def draw_facts(sheet: Page, numbers: pd.DataFrame, excluded: dict[str, int]) -> None:
    """Draw one panel per fact.

    Parameters
    ----------
    sheet : Page
    numbers : DataFrame
        Columns ``statistic``, ``label``, ``kind`` (layer, neuron, null, reference), ``who``, ``population``, ``depth``,
        ``value``, ``low``, ``high``.
    excluded : dict of str to int
        By statistic, the most neurons of a layer that have no value.
    """
    keys = list(dict.fromkeys(numbers["statistic"]))
    columns = min(4, len(keys))
    lines = -(-len(keys) // columns)
    axes = sheet.panels(lines, columns, height_mm=14 + 42 * lines)
    circuits = bool((numbers["kind"] == "reference").any())
    for ax in axes[len(keys) :]:
        ax.set_axis_off()
    for ax, fact in zip(axes, keys, strict=False):
        _panel(ax, fact, numbers[numbers["statistic"] == fact])
        most = excluded.get(fact, 0)
        told = [f"\N{LESS-THAN OR EQUAL TO} {most} neurons undefined"] if most else []
        kinds = set(numbers.loc[numbers["statistic"] == fact, "kind"])
        told += ["not comparable with the circuit"] if circuits and "reference" not in kinds else []
        count(ax, "\n".join(told))
    points = [key("single neurons", color=colour("trained"), marker=".", markersize=2.5, markeredgewidth=0)]
    sheet.letters(axes[: len(keys)])
    sheet.legend(also=points if (numbers["kind"] == "neuron").any() else [])


def _panel(ax: Axes, key: str, rows: pd.DataFrame) -> None:
    layers = rows[rows["kind"] == "layer"].drop_duplicates("depth").sort_values("depth")
    recordings = list(dict.fromkeys(rows.loc[rows["kind"] == "layer", "who"]))
    null = rows[rows["kind"] == "null"].sort_values("depth")
    null_band(ax, null["depth"], null["low"], null["high"], null["value"])
    for row in rows_of(rows[rows["kind"] == "reference"]):
        reference_band(ax, row.low, row.high, value=row.value, label=named(row.who))
    for index, who in enumerate(recordings):
        mine = rows[(rows["who"] == who) & (rows["kind"] == "layer")].sort_values("depth")
        shift = 0.24 * (index - (len(recordings) - 1) / 2)
        points = rows[(rows["who"] == who) & (rows["kind"] == "neuron")]
        for depth, values in points.groupby("depth"):
            strip(ax, depth + shift + 0.22, values["value"], width=0.16, color=colour("trained"), alpha=0.6)
        style: dict[str, Any] = condition_style("trained") | {"label": named(who), "linewidth": 0.6}
        if index:
            style |= {"marker": "v^<>pX"[(index - 1) % 6]}
        apart = mine["population"].str.startswith("readout")
        intervals(ax, mine["depth"][~apart] + shift, mine[~apart], joined=True, **style)
        if apart.any():
            intervals(ax, mine["depth"][apart] + shift, mine[apart], **style | {"label": None})
    _, base, text = FACTS.get(key, ("", None, ""))
    if key in _LOG and (rows["value"] > 0).all():
        log_axis(ax, "y")
    if base is not None:
        baseline(ax, base, text)
    layer_axis(ax, [named(str(name)) for name in layers["population"]])
    ax.set_ylabel(str(rows["label"].iloc[0]))
    ax.margins(y=0.08)
