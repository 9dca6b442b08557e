"""Whether two pathways are doubly dissociated: what the loss of each costs on several kinds of images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from eiplatform.figures.grammar import baseline, colour, count, intervals, pathway, percent_points
from eiplatform.figures.parts.lesions import about, cells_of, change_limits, done
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "lesion_study"
QUESTION = "Do two pathways matter for different things?"
_TITLES = {"lesion": "lesion", "restored": "lesion, rates restored"}


def caption(result: xr.Dataset) -> str:
    """Return the caption with n and what a double dissociation needs."""
    return (
        f"Change of accuracy when {done(result)} is lost, against the intact network on the same images. A double "
        "dissociation needs lines that cross, with clear differences of both signs; lines that converge may come from "
        f"chance level. b: the same with the rates of the intact network restored by biases. {about(result)}."
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    numbers = table(result)
    names = " and ".join(dict.fromkeys(numbers["pathway"]))
    return f"Change of accuracy by the loss of {names} on {numbers['images'].nunique()} kinds of images."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per role, pathway and kind of images."""
    columns = ["role", "pathway", "images", "value", "low", "high"]
    if len(set(result["images"].values)) < 2 or "pathway" not in result:
        return pd.DataFrame(columns=columns)
    rows = cells_of(result)
    rows = rows[rows["role"].isin(list(_TITLES))]
    return (
        rows.assign(pathway=[pathway(str(name)) for name in rows["pathway"]])
        .reindex(columns=columns)
        .reset_index(drop=True)
    )


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one panel per role, one line per pathway, kinds of images from left to right."""
    roles = [role for role in _TITLES if (numbers["role"] == role).any()]
    images, pathways = (list(dict.fromkeys(numbers[name])) for name in ("images", "pathway"))
    axes = sheet.panels(1, len(roles), width="double" if len(roles) > 1 else "single", height_mm=58, sharey=True)
    looks: list[tuple[str, str, Any]] = [("trained", "o", "-"), ("circuit", "D", (0, (4, 1.2)))]
    for ax, role in zip(axes, roles, strict=True):
        baseline(ax, 0)
        for index, name in enumerate(pathways):
            mine = numbers[(numbers["role"] == role) & (numbers["pathway"] == name)]
            place = np.array([images.index(kind) for kind in mine["images"]]) + 0.14 * (index - 0.5)
            ink, marker, line = looks[index % 2]
            style: dict[str, Any] = {
                "color": colour(ink),
                "marker": marker,
                "linestyle": line,
                "label": f"without {name}",
            }
            intervals(ax, place, mine, joined=True, **style)
        ax.set_xticks(range(len(images)), images, rotation=30, ha="right", rotation_mode="anchor")
        ax.set_ylim(change_limits(numbers))
        percent_points(ax.yaxis)
        ax.set_title(_TITLES[role])
    axes[0].set_ylabel("change of accuracy (points)")
    count(axes[-1], f"{result.attrs['n_networks']} networks")
    sheet.letters(axes)
    sheet.legend()
