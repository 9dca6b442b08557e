"""Every comparable statistic as a difference from cortex and from untrained networks, with interval and verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.patches import Patch

from eiplatform.analyses.comparison import TELLING
from eiplatform.errors import StatisticError
from eiplatform.figures.grammar import (
    baseline,
    colour,
    condition_style,
    count,
    excluded,
    intervals,
    key,
    layer_colours,
    named,
    num,
    rows_of,
    wrapped,
)
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "comparison"
QUESTION = "How far is each layer from cortex and from untrained networks, and how sure is that?"
NULL = "untrained networks (null)"
HERO = ()
"""The first screen of a report shows all of it, if nothing more telling is there."""
LIMIT = 10.0
"""Effects beyond are drawn at the edge, as arrows."""
_MARKS = "os^vDpX"


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, the scale, the verdicts and what is not shown."""
    keys = _keys(result)
    beyond = int((np.abs(result["effect"].sel(statistic=keys).values) > LIMIT).sum())
    nulls = int(result.attrs.get("n_nulls", 0))
    null = (
        f" Last panel: from {nulls} untrained networks, in sd over these; filled: its own q and interval agree."
        if nulls
        else ""
    )
    if nulls:
        beyond += int((np.abs(result["null_z"].sel(statistic=keys).values) > LIMIT).sum())
    arrows = f" Arrows: {beyond} effects beyond {LIMIT:g}." if beyond else ""
    compared = int(np.isfinite(result["difference"].values).any(axis=_others(result)).sum())
    return (
        "Difference of each layer from a reference, in units of the reference's spread over neurons (Glass's delta), "
        f"with {100 * result.attrs['level']:.0f} % interval. Filled: different at a false discovery rate of "
        f"{100 * result.attrs['fdr']:g} % over the whole table; open: not. Band: differences of at most "
        f"{result.attrs['margin']:g}, too small to count. Axis: linear within 1, logarithmic beyond. n = "
        f"{int(result['n_samples'].max())} samples; {excluded(int(result['n_excluded'].max()))}. {len(keys)} of "
        f"{compared} statistics are drawn.{null}{arrows}"
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    verdicts = result["verdict"].sel(statistic=_keys(result)).values.astype(str).ravel()
    return (
        "Forest plot of the differences of layers from "
        f"{', '.join(named(str(name)) for name in result['reference'].values)}: {int((verdicts == 'different').sum())} "
        f"of {int((verdicts != 'not compared').sum())} comparisons are different."
    )


def _others(result: xr.Dataset) -> tuple[int, ...]:
    return tuple(k for k, dim in enumerate(result["difference"].dims) if dim != "statistic")


def _keys(result: xr.Dataset) -> list[str]:
    held = np.isfinite(result["effect"].transpose("statistic", ...).values).any(axis=(1, 2))
    if "null_z" in result:
        held |= np.isfinite(result["null_z"].transpose("statistic", ...).values).any(axis=1)
    found = [str(key) for key in result["statistic"].values[held]]
    return [key for key in TELLING if key in found] or found[:10]


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per reference, statistic and layer, the effect with its interval, q and verdict.

    Raises
    ------
    StatisticError
        If no comparable statistic has a value on both sides.
    """
    keys = _keys(result)
    if not keys:
        raise StatisticError(
            "no comparable statistic has a value in both network and circuit",
            remedy="record the network for some hundred steps: most of them are over time",
        )
    shown = result.sel(statistic=keys)
    names = {"effect": "value", "effect_low": "low", "effect_high": "high"}
    more = ["difference", "converted", "q", "verdict"]
    rows = shown[[*names, *more]].to_dataframe().reset_index().rename(columns=names)
    rows["label"] = [str(result["label"].sel(statistic=key).item()) for key in rows["statistic"]]
    rows["reference_value"] = [
        float(result["reference_value"].sel(reference=r, statistic=k))
        for r, k in zip(rows["reference"], rows["statistic"], strict=True)
    ]
    own = np.array(
        [
            _of_layer(str(reference), str(layer), result)
            for reference, layer in zip(rows["reference"], rows["population"], strict=True)
        ]
    )
    rows = rows[own]
    if "null_z" in shown:
        names = {"null_z": "value", "null_z_low": "low", "null_z_high": "high", "null_q": "q"}
        null = shown[list(names)].to_dataframe().reset_index().rename(columns=names).assign(reference=NULL)
        # Among the nulls or not is one question, how sure this network's value is another: both must agree.
        clear = (null["q"] <= float(result.attrs["fdr"])) & ((null["low"] > 0) | (null["high"] < 0))
        null["label"] = [str(result["label"].sel(statistic=key).item()) for key in null["statistic"]]
        rows = pd.concat([rows, null.assign(verdict=np.where(clear, "different", "undecided"))], ignore_index=True)
    rows = rows.assign(order=rows["statistic"].map(keys.index)).sort_values(["order", "population"], kind="stable")
    columns = ["reference", "statistic", "label", "population", "value", "low", "high", *more, "reference_value"]
    return rows.loc[rows["value"].notna(), columns].reset_index(drop=True)


def _of_layer(reference: str, layer: str, result: xr.Dataset) -> bool:
    """Whether a pair is drawn: a layer with the same layer of another network, and with every circuit."""
    kind = str(result["kind"].sel(reference=reference).item())
    return kind != "network" or reference.rpartition(": ")[2] == layer


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one column per reference (of a network: all its layers), one block of rows per statistic."""
    kinds = dict(zip(result["reference"].values.astype(str), result["kind"].values.astype(str), strict=True))
    numbers["column"] = [
        name.rpartition(": ")[0] if kinds.get(name) == "network" else name for name in numbers["reference"]
    ]
    columns = list(dict.fromkeys(numbers["column"]))
    columns = [*[name for name in columns if name != NULL][: 4 - (NULL in columns)], *({NULL} & set(columns))]
    keys, layers = list(dict.fromkeys(numbers["statistic"])), list(dict.fromkeys(numbers["population"]))
    shades = dict(zip(layers, layer_colours(len(layers)), strict=True))
    height = 26 + 3.2 * len(keys) * (len(layers) + 1)
    width = "middle" if len(columns) == 1 else "double"
    axes = sheet.panels(1, len(columns), width=width, height_mm=height, sharey=True)
    step = len(layers) + 1
    margin = float(result.attrs["margin"])
    for ax, column in zip(axes, columns, strict=True):
        rows = numbers[numbers["column"] == column]
        if column != NULL:
            ax.axvspan(-margin, margin, color=colour("band"), zorder=0)
        baseline(ax, 0, axis="x")
        for k, name in enumerate(keys):
            if not (rows["statistic"] == name).any():
                where: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 5, "color": colour("faint")}
                ax.text(0, -(k * step + (len(layers) - 1) / 2), "not compared", **where)
        for row in rows_of(rows):
            place = -(keys.index(row.statistic) * step + layers.index(row.population))
            _row(ax, place, row, shades[row.population], _MARKS[layers.index(row.population) % len(_MARKS)])
        ax.set_xscale("symlog", linthresh=1, linscale=0.7)
        ax.set_xlim(-1.25 * LIMIT, 1.25 * LIMIT)
        ticks = [-LIMIT, -3, -1, 0, 1, 3, LIMIT]
        ax.set_xticks(ticks, [num(tick, 0) for tick in ticks])
        ax.minorticks_off()
        ax.set_title(wrapped(named(column), 34), fontsize=6)
        clear = (rows["verdict"] == "different").sum()
        count(ax, f"{clear} of {len(rows)} different")
        of = "over untrained networks" if column == NULL else "of the reference's neurons"
        ax.set_xlabel(f"difference (in sd {of})")
    middles = [-(k * step + (len(layers) - 1) / 2) for k in range(len(keys))]
    labels = [wrapped(str(numbers.loc[numbers["statistic"] == key, "label"].iloc[0]), 26) for key in keys]
    axes[0].set_yticks(middles, labels)
    axes[0].set_ylim(-len(keys) * step + 0.5, 1)
    for ax in axes:
        ax.tick_params(axis="y", length=0)
        for k in range(1, len(keys)):
            ax.axhline(-k * step + 1, color=colour("band"), linewidth=0.5, zorder=0)
    marks: list[Any] = [
        key(named(layer), color=shades[layer], marker=_MARKS[index % len(_MARKS)]) for index, layer in enumerate(layers)
    ]
    rate = f"{100 * float(result.attrs['fdr']):g} %"
    marks += [
        key(f"filled: different (q \N{LESS-THAN OR EQUAL TO} {rate})", color=colour("faint"), marker="o"),
        key("open: no difference shown", color=colour("faint"), marker="o", markerfacecolor=colour("paper")),
        Patch(facecolor=colour("band"), label=f"within {margin:g} sd: none that counts"),
    ]
    sheet.letters(axes)
    sheet.legend(marks, columns=3 if len(columns) == 1 else None)


def _row(ax: Any, place: float, row: Any, ink: str, marker: str) -> None:
    text = "q < 0.001" if row.q < 0.001 else f"q = {row.q:.3f}" if np.isfinite(row.q) else ""
    where: dict[str, Any] = {
        "xycoords": ax.get_yaxis_transform(),
        "va": "center",
        "fontsize": 5,
        "color": colour("faint"),
    }
    ax.annotate(text, (1.01, place), **where)
    low, high = np.clip([row.low, row.high], -1.2 * LIMIT, 1.2 * LIMIT)
    face = ink if row.verdict == "different" else colour("paper")
    if abs(row.value) > LIMIT:
        arrow = "\N{LEFTWARDS ARROW}" if row.value < 0 else "\N{RIGHTWARDS ARROW}"
        ax.text(np.sign(row.value) * LIMIT, place, arrow, color=ink, fontsize=7, ha="center", va="center")
        return
    ends = pd.DataFrame({"population": [row.population], "value": [row.value], "low": [low], "high": [high]})
    style = condition_style("trained") | {"color": ink, "markerfacecolor": face, "marker": marker, "label": None}
    intervals(ax, [place], ends, horizontal=True, **style)
