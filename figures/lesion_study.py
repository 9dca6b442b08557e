"""Accuracy under lesions and their controls: dose-response curves by pathway and layer, or lesions by their cost."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.figures.grammar import (
    baseline,
    colour,
    count,
    intervals,
    key,
    num,
    pathway,
    percent_points,
    reference_band,
    rows_of,
)
from eiplatform.figures.parts.lesions import (
    ROLES,
    about,
    cells_of,
    change_limits,
    intact_of,
    many_doses,
    role_style,
    told,
    where,
)
from eiplatform.figures.parts.page import Page, columns_of, drawing

ANALYSIS = "lesion_study"
QUESTION = "Which lesions cost performance, and more than their controls?"
BAND = (0.1, 0.2)
MOST = 30
_COLUMNS = ["panel", "role", "dose", "name", "value", "low", "high", "p"]


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, intervals and controls."""
    roles = [role for role in ROLES if role in result["role"].values]
    controls = ", ".join(ROLES[role][0] for role in roles if role != "lesion") or "none"
    if many_doses(result):
        what = "Accuracy against the fraction of a pathway removed (below 0: added); dotted: intact"
        band = " Hatched: loss of GABA-A function at which slices of rat cortex become epileptiform (10 to 20 %)."
    else:
        first = f" (the first {MOST})" if len(table(result)) > MOST else ""
        what = f"Change of accuracy, largest losses first{first}; filled: p < 0.05 (Holm)"
        band = ""
    rest = f"random losses averaged over draws. Controls: {controls}.{band}"
    return f"{what}, design '{result.attrs['design']}'. {about(result)}; {rest}"


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    numbers = table(result)
    lesions = numbers[numbers["role"] == "lesion"]
    worst = lesions.sort_values("value").iloc[0]
    lowest = f"{worst['value']:.2f}, is of {worst['panel']} {worst['name']}".strip()
    return f"Accuracy under {len(lesions)} lesions; the lowest value, {lowest}."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return rows: panel, role, dose, name, value, low, high (accuracy, or its change where there are no doses)."""
    if "coalition" in result or "iteration" in result or "pathway" not in result:
        return pd.DataFrame(columns=_COLUMNS)
    curves = many_doses(result)
    rows = cells_of(result, "accuracy_mean" if curves else "change")
    rows = rows[(rows["role"] != "intact") & (rows["images"] == "plain")]
    names = [(pathway(str(row.pathway)), where(str(row.layers)), told(row)) for row in rows_of(rows)]
    rows = rows.assign(
        panel=[f"{path}, {place}" if curves else path for path, place, _ in names],
        name=[name if not curves else "" for *_, name in names],
    )
    rows = rows.reindex(columns=_COLUMNS)
    return rows if curves else rows.sort_values("value", kind="stable").reset_index(drop=True)


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one panel per pathway and set of layers, or lesions ranked by their cost."""
    if not many_doses(result):
        shown = numbers[:MOST]
        (only,) = sheet.panels(1, 1, width="middle", height_mm=max(34.0, 16 + 3.6 * len(shown)))
        _ranked(only, shown)
        return
    intact = intact_of(result)
    panels = list(dict.fromkeys(numbers["panel"]))
    axes = sheet.wrapped(len(panels), head_mm=16, panel_mm=38, sharey=True)
    columns = columns_of(len(panels))
    for index, (own, panel) in enumerate(zip(axes, panels, strict=False)):
        _curves(own, numbers[numbers["panel"] == panel], intact, panel)
        own.set_title(panel, fontsize=6)
        own.set_xlabel("fraction removed" if index + columns >= len(panels) else "")
        own.set_ylabel("accuracy" if index % columns == 0 else "")
    count(axes[0], f"{result.attrs['n_networks']} networks")
    dotted = key("intact network", color=colour("faint"), linestyle=(0, (1, 1.5)), linewidth=0.6)
    sheet.letters(axes[: len(panels)])
    sheet.legend(also=[dotted])


def _curves(ax: Axes, numbers: pd.DataFrame, intact: float, panel: str) -> None:
    baseline(ax, intact)
    if panel.startswith("I "):
        reference_band(ax, *BAND, kind="cortex", axis="x", label="slices of rat cortex: epileptiform")
    whole = {"dose": 0.0, "value": intact, "low": np.nan, "high": np.nan}
    for role in ROLES:
        own = numbers[numbers["role"] == role].sort_values("dose")
        if len(own):
            own = pd.concat([own.dropna(axis=1, how="all"), pd.DataFrame([whole])]).sort_values(
                "dose"
            )  # no dose: intact
            style = role_style(role) | {"markersize": 2.6}
            intervals(ax, own["dose"], own.reindex(columns=["value", "low", "high"]), joined=True, **style)
    ax.set_ylim(0, 1.02)


def _ranked(ax: Axes, numbers: pd.DataFrame) -> None:
    places = -np.arange(len(numbers), dtype=float)
    baseline(ax, 0, "intact", axis="x")
    ink = colour("trained")
    for place, row in zip(places, rows_of(numbers), strict=True):
        face = ink if row.p < 0.05 else colour("paper")
        one = pd.DataFrame({"value": [row.value], "low": [row.low], "high": [row.high]})
        style = role_style(row.role) | {"linestyle": "", "markerfacecolor": face}
        intervals(ax, [place], one, horizontal=True, **style)
    ax.set_yticks(places, [row.name_ for row in rows_of(numbers.rename(columns={"name": "name_"}))], fontsize=5)
    ax.set_ylim(places.min() - 0.7, 0.7)
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(change_limits(numbers, 0.002))
    percent_points(ax.xaxis)
    ax.set_xlabel("change of accuracy (points)")
    clear, low = int((numbers["p"] < 0.05).sum()), numbers["value"].min()
    count(ax, f"{clear} of {len(numbers)} clear; largest loss {num(100 * low, 1)} points")
