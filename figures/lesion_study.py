"""Accuracy under lesions and their controls, by pathway and layer: dose-response curves, or one bar per lesion."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.figures.parts.page import AnyFigure, Drawable, Drawn, numbers_of, page
from eiplatform.figures.parts.style import COLOURS, letters, points_with_intervals

ANALYSIS = "lesion_study"
_ROLES = {
    "lesion": ("lesion", COLOURS["trained"], "o", "-"),
    "random": ("random synapse losses", COLOURS["null"], "s", "-"),
    "mean": ("level of inhibition kept", COLOURS["gain"], "^", "--"),
    "shift": ("mean shifted, nothing removed", COLOURS["accent"], "v", "--"),
    "restored": ("rates restored", COLOURS["inh"], "D", "-"),
}


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, intervals and controls."""
    roles = [role for role in _ROLES if role in result["role"].values]
    controls = ", ".join(_ROLES[role][0] for role in roles if role != "lesion") or "none"
    what = "Bars: change of accuracy" if _single(result) else "Accuracy against the fraction removed (below 0: added)"
    return (
        f"{what} under lesions, design '{result.attrs['design']}'. Dotted line: intact network on the same "
        f"n = {result.attrs['n_samples']} images, {result.attrs['n_networks']} networks. Intervals: 95 %, bootstrap "
        f"over networks and images. Controls: {controls}. Random losses are averaged over draws."
    )


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return rows: panel, role, dose, name, value, low, high (accuracy, or its change where there are no doses)."""
    if "coalition" in result:
        return pd.DataFrame(columns=["panel", "role", "dose", "name", "value", "low", "high"])
    single = _single(result)
    values = "change" if single else "accuracy_mean"
    rows = []
    for index in range(result.sizes["cell"]):
        cell = result.isel(cell=index)
        role = str(cell["role"].values)
        if role == "intact" or str(cell["images"].values) != "plain":
            continue
        told = [
            str(cell[key].values) for key in ("pathway", "layers", "kind", "neuron", "first", "last") if key in cell
        ]
        where = "all layers" if told[1:2] == ["*"] else told[1] if told[1:] else ""
        panel = told[0] if single else f"{told[0]}, {where}"
        rows.append(
            {
                "panel": panel,
                "role": role,
                "dose": float(cell["dose"]) if "dose" in cell else np.nan,
                "name": " ".join(part.removesuffix(".0") for part in told[1:] if part not in ("", "nan")),
                "value": float(cell[values]),
                "low": float(cell[f"{values}_low"]),
                "high": float(cell[f"{values}_high"]),
            }
        )
    frame = pd.DataFrame(rows)
    keys = ["panel", "role", "dose", "name"]
    return frame.groupby(keys, sort=False, dropna=False, as_index=False).mean() if len(frame) else frame


def draw(result: Drawable, *, ax: Axes | None = None, figure: AnyFigure | None = None) -> Drawn:
    """Draw one panel per pathway and set of layers, or bars."""
    numbers = numbers_of(result, ANALYSIS, table)
    data = result if isinstance(result, xr.Dataset) else result.data
    intact = float(data["accuracy_mean"].values[data["role"].values == "intact"][0])
    with page(ax, figure) as sheet:
        if _single(data):
            (only,) = sheet.panels(1, 1, height_mm=max(30.0, 12 + 4 * len(numbers)))
            _bars(only, numbers)
            return sheet.drawn
        panels = list(dict.fromkeys(numbers["panel"]))
        columns = min(4, len(panels))
        rows = -(-len(panels) // columns)
        axes = sheet.panels(rows, columns, height_mm=20 + 38 * rows)
        for own in axes[len(panels) :]:
            own.set_axis_off()
        for index, (own, panel) in enumerate(zip(axes, panels, strict=False)):
            _curves(own, numbers[numbers["panel"] == panel], intact)
            own.set_title(panel, fontsize=6)
            own.set_xlabel("fraction removed" if index // columns == rows - 1 else "")
            own.set_ylabel("accuracy" if index % columns == 0 else "")
        handles, labels = axes[0].get_legend_handles_labels()
        axes[0].figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
        letters(axes[: len(panels)])
    return sheet.drawn


def _single(result: xr.Dataset) -> bool:
    """Return whether there is one dose only, so that nothing can be drawn against it."""
    lesions = result["role"].values == "lesion"
    doses = np.asarray(result["dose"].values[lesions], dtype=float) if "dose" in result.coords else np.empty(0)
    return len(np.unique(doses[np.isfinite(doses)])) < 2 or "neuron" in result


def _curves(ax: Axes, numbers: pd.DataFrame, intact: float) -> None:
    ax.axhline(intact, color=COLOURS["net"], linewidth=0.5, linestyle=":")
    for role, (label, colour, marker, line) in _ROLES.items():
        own = numbers[numbers["role"] == role].sort_values("dose")
        if len(own):
            whole = {"dose": 0.0, "value": intact, "low": np.nan, "high": np.nan}
            own = pd.concat([own, pd.DataFrame([whole])]).sort_values("dose")  # no dose is the intact network
            style: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": line, "label": label}
            points_with_intervals(ax, own["dose"], own, joined=True, zorder=3 if role == "lesion" else 2, **style)
    ax.set_ylim(0, 1.02)


def _bars(ax: Axes, numbers: pd.DataFrame) -> None:
    names = [f"{row.panel} {row.name_}" for row in numbers.rename(columns={"name": "name_"}).itertuples()]
    place = np.arange(len(numbers))[::-1]
    points_with_intervals(ax, place, numbers, horizontal=True, color=COLOURS["trained"], marker="o")
    ax.axvline(0, color=COLOURS["net"], linewidth=0.5, linestyle=":")
    ax.set_yticks(place, names)
    ax.set_xlabel("change of accuracy")
