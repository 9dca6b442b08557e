"""The network and the circuits as they are: populations with their sizes, and the signed pathways between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyArrowPatch, RegularPolygon

from eiplatform.figures.grammar import colour, named, rows_of, wrapped
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "architecture"
QUESTION = "What is connected to what?"
_STEP, _R = 2.1, 0.34


def caption(result: xr.Dataset) -> str:
    """Return the caption with what the marks mean and n."""
    hidden = int((~result["recorded"]).sum())
    rest = f" Dashed: {hidden} populations that are in the model, but not in the recording." if hidden else ""
    total = int(result["size"].sum())
    return (
        "Populations (triangles excitatory, circles inhibitory) with their numbers of neurons (n = "
        f"{total} altogether) and the pathways whose currents were recorded, or which the configuration states: arrows "
        "excite, bars subtract, discs divide; where a population both excites and subtracts, its weights have both "
        "signs. Drawn from the recordings' own descriptions; sizes of marks have no "
        f"meaning.{rest}"
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    told = [
        f"{role} of {place or 'the circuit'}, {int(size)}"
        for role, place, size in zip(*(result[name].values for name in ("role", "place", "size")), strict=True)
        if size > 0
    ]
    return f"Diagram of {', '.join(dict.fromkeys(result['recording'].values.astype(str)))}: {'; '.join(told)} neurons."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per population: recording, place, role and size, and what it receives."""
    names = ("recording", "kind", "place", "role", "recorded")
    frame = pd.DataFrame({name: result[name].values for name in names} | {"value": result["size"].values})
    inputs: list[str] = []
    for index in range(len(frame)):
        edges = np.flatnonzero(result["target"].values == index)
        sources = [
            f"{frame['place'][s]}/{frame['role'][s]} ({sign})"
            for s, sign in zip(result["source"].values[edges], result["sign"].values[edges], strict=True)
        ]
        inputs.append("; ".join(sources))
    return frame.assign(receives=inputs)


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one panel per recording."""
    recordings = list(dict.fromkeys(numbers["recording"]))
    bottom = -1.3 if (numbers["role"] == "I").any() else 0.3
    places = [_places(numbers[numbers["recording"] == name]) for name in recordings]
    widths = [max(x for x, _ in found.values()) + 1.4 for found in places]
    axes = sheet.panels(1, len(recordings), width="double", height_mm=52 if bottom < 0 else 36, width_ratios=widths)
    for ax, name, found in zip(axes, recordings, places, strict=True):
        _edges(ax, result, found)
        for index, (x, y) in found.items():
            _node(ax, numbers.iloc[index], x, y)
        ax.set_xlim(-0.7, max(x for x, _ in found.values()) + 0.7)
        ax.set_ylim(bottom, 2.3)
        ax.set_aspect("equal")
        ax.set_axis_off()
        ax.set_title(wrapped(named(name), 40))
    sheet.letters(axes)
    sheet.legend(_key())


def _places(rows: pd.DataFrame) -> dict[int, tuple[float, float]]:
    """Return where the populations stand: places from left to right, E above I."""
    order = list(dict.fromkeys(rows["place"]))
    height = {"input": 0.75, "E": 1.3, "mixed": 1.3, "I": 0.0}
    return {row.Index: (_STEP * order.index(row.place), height.get(row.role, 1.3)) for row in rows_of(rows)}


def _node(ax: Axes, row: pd.Series, x: float, y: float) -> None:
    style: dict[str, Any] = {"edgecolor": colour("ink"), "linewidth": 0.6, "zorder": 3}
    if not row["recorded"]:
        style |= {"linestyle": "--"}
    if row["role"] == "input":
        ax.text(x, y, "input", ha="center", va="center", fontsize=7)
        return
    if row["role"] == "I":
        ax.add_patch(Circle((x, y), _R, facecolor=colour("inh"), **style))
    else:
        ax.add_patch(RegularPolygon((x, y), 3, radius=1.2 * _R, facecolor=colour("exc"), **style))
    below = -0.62 if row["role"] == "I" else 0.74
    name = f"{row['place']} {row['role']}" if row["role"] != "mixed" else str(row["place"])
    labelled = named(f"{row['place']}/{row['role']}")
    name = labelled if labelled not in (row["place"], f"{row['place']}/{row['role']}") else name.strip()
    ax.text(x, y + below, f"{name}\n{int(row['value'])}", ha="center", va="center", fontsize=6, linespacing=1.1)


def _edges(ax: Axes, result: xr.Dataset, places: dict[int, tuple[float, float]]) -> None:
    pairs_signed = list(zip(result["source"].values.tolist(), result["target"].values.tolist(), strict=True))
    pairs = set(pairs_signed)
    for source, target, sign in zip(*(result[name].values for name in ("source", "target", "sign")), strict=True):
        if int(source) not in places or int(target) not in places:
            continue
        start, end = (np.array(places[int(node)]) for node in (source, target))
        role = str(result["role"].values[int(source)])
        ink = colour("inh" if role == "I" or sign != "+" else "exc" if role != "input" else "faint")
        if source == target:
            _loop(ax, start, ink, str(sign))
            continue
        direction = (end - start) / np.hypot(*(end - start))
        aside = np.array([-direction[1], direction[0]])
        both = (int(target), int(source)) in pairs
        signed = pairs_signed.count((int(source), int(target))) > 1  # of one population both halves
        shift = {"+": 0.09 if both or signed else 0.0, "-": 0.1, "/": -0.1}[str(sign)] * aside
        shift = -shift if signed and sign == "-" and role != "I" else shift
        first = start + shift + direction * (_R + 0.14 if role != "input" else 0.42)
        last = end + shift - direction * (_R + 0.14)
        _arrow(ax, first, last, ink, str(sign), direction)


def _arrow(ax: Axes, first: np.ndarray, last: np.ndarray, ink: str, sign: str, direction: np.ndarray) -> None:
    line: dict[str, Any] = {"color": ink, "linewidth": 0.9, "zorder": 2}
    if sign == "+":
        ax.add_patch(
            FancyArrowPatch(
                (first[0], first[1]),
                (last[0], last[1]),
                arrowstyle="-|>",
                mutation_scale=6,
                shrinkA=0,
                shrinkB=0,
                **line,
            )
        )
        return
    ax.plot(*zip(first, last, strict=True), linestyle=(0, (4, 1.2)) if sign == "-" else (0, (1, 0.8)), **line)
    if sign == "-":
        across = 0.1 * np.array([-direction[1], direction[0]])
        ax.plot(*zip(last - across, last + across, strict=True), color=ink, linewidth=1.4, zorder=2)
    else:
        ax.plot(*last, marker="o", markersize=3, color=ink, zorder=2)


def _loop(ax: Axes, where: np.ndarray, ink: str, sign: str) -> None:
    """Draw a population's pathway onto itself, to the left of it."""
    first, last = ((float(where[0] - _R), float(where[1] + dy)) for dy in (0.16, -0.16))
    style = {
        "+": "-|>,head_width=0.2,head_length=0.35",
        "-": "|-|,widthA=0,widthB=0.25",
        "/": "|-|,widthA=0,widthB=0.25",
    }[sign]
    line: dict[str, Any] = {"color": ink, "linewidth": 0.9, "zorder": 2, "mutation_scale": 6}
    ax.add_patch(
        FancyArrowPatch(first, last, connectionstyle="arc3,rad=1.6", arrowstyle=style, shrinkA=0, shrinkB=0, **line)
    )


def _key() -> list[Any]:
    exc: dict[str, Any] = {"color": colour("exc"), "linewidth": 0.9}
    inh: dict[str, Any] = {"color": colour("inh"), "linewidth": 0.9}
    return [
        Line2D([], [], marker="^", label="excitatory neurons", **exc | {"linestyle": ""}),
        Line2D([], [], marker="o", label="inhibitory neurons", **inh | {"linestyle": ""}),
        Line2D([], [], marker=">", markevery=[-1], label="excites", **exc),
        Line2D([0, 1], [0, 0], marker="|", markevery=[-1], linestyle=(0, (4, 1.2)), label="subtracts", **inh),
        Line2D([0, 1], [0, 0], marker="o", markevery=[-1], linestyle=(0, (1, 0.8)), label="divides", **inh),
    ]
