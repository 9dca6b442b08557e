"""Layers of a network among the states of cortical circuits: rate, irregularity and synchrony."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon

from eiplatform.figures.grammar import baseline, colour, condition_style, count, layer_colours, log_axis, named, num
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "regime_scorecard"
QUESTION = "In which regime of cortical circuits does each layer work?"
_MARKS = "os^vDpX*"
_AXES = {"irregularity": "irregularity (1: as Poisson)", "synchrony": "synchrony (0: independent)"}
_ENDS = ("", "_low", "_high")


def caption(result: xr.Dataset) -> str:
    """Return the caption with what the axes are, n and what is not placed."""
    reasons = sorted({str(text) for text in result["reason"].values.ravel() if text})
    missing = f" Not placed: {'; '.join(reasons)[:120]}." if reasons else ""
    return (
        "Layers (filled, with 95 % intervals, n = "
        f"{result.attrs['n_bootstrap']} bootstrap draws over samples and neurons) and the states or populations of the "
        "model circuits (open diamonds). Irregularity: LV over that of a random train of equal rate; synchrony: signed "
        "root of the mean covariance of two neurons' counts, per spike. A network's step lasts as long as the "
        "circuit's membrane takes to forget as much, so that rates differ between the rows. Ellipse: what counts as "
        f"alike.{missing}"
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    best = result["share"].idxmax("regime").values.astype(str)
    told = ", ".join(f"{named(str(p))}: {r}" for p, r in zip(result["population"].values, best, strict=True))
    return f"Planes of rate against irregularity and synchrony; nearest regimes: {told}."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return rows: family, who, kind, feature, value, low, high."""
    parts = []
    for family in result["family_name"].values.astype(str):
        for feature in result["feature"].values.astype(str):
            one = result.sel(family_name=family, feature=feature)
            about = {"family": family, "feature": feature}
            names = {name: one[f"feature_{name}"].values for name in ("value", "low", "high")}
            kinds = {"who": result["population"].values.astype(str), "kind": result["kind"].values.astype(str)}
            parts.append(pd.DataFrame({**about, **kinds, **names}))
            held = result["template"].sel(feature=feature)[(result["family"] == family).values]
            regimes = {"who": [str(name).split(": ", 1)[1] for name in held["regime"].values], "kind": "template"}
            parts.append(pd.DataFrame({**about, **regimes, "value": held.values}))
    return pd.concat(parts, ignore_index=True).dropna(subset=["value"])


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one row per family of circuits, and two planes."""
    families = list(dict.fromkeys(numbers["family"]))
    axes = sheet.panels(len(families), 2, width="double", height_mm=14 + 50 * len(families))
    own = [str(name) for name in dict.fromkeys(numbers.loc[numbers["kind"] != "template", "who"])]
    circuits = [
        str(n) for n, kind in zip(result["population"].values, result["kind"].values, strict=True) if kind == "circuit"
    ]
    layers = [name for name in own if name not in circuits]
    inks = dict(zip(layers, layer_colours(len(layers)), strict=True)) | dict.fromkeys(circuits, colour("circuit"))
    own = [*layers, *circuits]
    tolerance = dict(zip(result["feature"].values.astype(str), result["tolerance"].values, strict=True))
    for line, family in enumerate(families):
        part = numbers[numbers["family"] == family]
        wide = {
            end: part.pivot_table(index="who", columns="feature", values=end or "value", sort=False, dropna=False)
            for end in ("value", "low", "high")
        }
        for column, feature in enumerate(_AXES):
            ax = axes[2 * line + column]
            _templates(ax, wide["value"], part, feature, tolerance)
            for index, who in enumerate(name for name in own if name in wide["value"].index):
                _own(ax, who, wide, feature, inks[who], _MARKS[index % len(_MARKS)])
            baseline(ax, 1.0 if feature == "irregularity" else 0.0)
            log_axis(ax)
            ax.set_xlabel("rate (Hz)")
            ax.set_ylabel(_AXES[feature])
            step = result["step_ms"].sel(family_name=family).values
            step = step[np.isfinite(step)]
            count(ax, f"one step = {num(step[0], 1)} ms" if len(step) and column else "")
        axes[2 * line].set_title(f"among the regimes of {family}")
    circuit = condition_style("circuit")
    handles: list[Any] = [
        Line2D(
            [], [], color=inks[who], marker=_MARKS[index % len(_MARKS)], linestyle="", label=named(_short(who, layers))
        )
        for index, who in enumerate(own)
    ]
    handles.append(Line2D([], [], linestyle="", **circuit | {"label": "states and populations of circuits"}))
    handles.append(Patch(facecolor=colour("circuit"), alpha=0.2, label="what counts as alike"))
    sheet.letters(axes)
    sheet.legend(handles)


def _short(who: str, layers: list[str]) -> str:
    """Return the name of a layer without its network, if there is one network."""
    head, _, layer = who.rpartition(": ")
    return layer if who in layers and len({name.rpartition(": ")[0] for name in layers}) == 1 and head else who


def _templates(ax: Axes, wide: pd.DataFrame, part: pd.DataFrame, feature: str, tolerance: dict[str, float]) -> None:
    angle = np.linspace(0, 2 * np.pi, 60)
    for who in dict.fromkeys(part.loc[part["kind"] == "template", "who"]):
        rate, value = wide.loc[who, "log_rate"], wide.loc[who, feature]
        if not np.isfinite([rate, value]).all():
            continue
        x = np.exp(rate + tolerance["log_rate"] * np.cos(angle))
        y = value + tolerance[feature] * np.sin(angle)
        ax.add_patch(Polygon(np.column_stack([x, y]), facecolor=colour("circuit"), alpha=0.10, linewidth=0, zorder=0.5))
        ax.plot(np.exp(rate), value, linestyle="", **condition_style("circuit") | {"label": None}, markersize=2.8)
        short = str(who).replace("state ", "").replace("100 %, ", "")
        where: dict[str, Any] = {"textcoords": "offset points", "fontsize": 5, "color": colour("faint")}
        ax.annotate(short, (np.exp(rate), value), xytext=(3, 2), **where)


def _own(ax: Axes, who: str, wide: dict[str, pd.DataFrame], feature: str, ink: str, marker: str) -> None:
    held = {end: wide[end].loc[[who]].to_dict("records")[0] for end in ("value", "low", "high")}
    x, y = (float(held["value"][name]) for name in ("log_rate", feature))
    x_ends = np.exp([float(held[end]["log_rate"]) for end in ("low", "high")])
    y_ends = [float(held[end][feature]) for end in ("low", "high")]
    ax.plot(x_ends, [y, y], color=ink, linewidth=0.9, zorder=3)
    ax.plot([np.exp(x)] * 2, y_ends, color=ink, linewidth=0.9, zorder=3)
    ax.plot(np.exp(x), y, marker=marker, color=ink, markersize=4.2, linestyle="", zorder=4)
