"""Double dissociation: one pathway's loss costs more under some images, the other's more under others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.lesion_measures import over_networks_and_images
from eiplatform.analyses.parts.tables import Table, interval_text, number_text

__all__ = ["DISSOCIATION", "dissociation_findings", "dissociation_table"]

DISSOCIATION = "dissociation"
"""Design whose two pathways are compared under several kinds of images."""

_ROLES = {"lesion": "lesion", "restored": "lesion, rates restored"}


_Numbers = tuple[float, float, float]
"""Value and its interval."""


class _Row(NamedTuple):
    """Changes by either loss under one kind of images, their difference, and that on plain images minus this one."""

    role: str
    images: str
    first: _Numbers
    second: _Numbers
    difference: _Numbers
    interaction: _Numbers


def _rows(result: xr.Dataset) -> tuple[list[str], list[_Row]]:
    roles, images, pathways = (result[name].values.tolist() for name in ("role", "images", "pathway"))
    correct = result["correct"].transpose("network", "cell", "sample").values.astype(float)
    first, second = dict.fromkeys(name for name in pathways if name)
    found = []
    for role in _ROLES:
        own = {(pathways[i], images[i]): correct[:, i] for i, one in enumerate(roles) if one == role}
        whole = {images[i]: correct[:, i] for i, one in enumerate(roles) if one == "intact"}
        kinds = [kind for kind in whole if (first, kind) in own and (second, kind) in own]
        if not kinds:
            continue
        losses = [np.stack([own[name, kind] - whole[kind] for kind in kinds], 1) for name in (first, second)]
        apart = losses[0] - losses[1]
        several = (*losses, apart, apart[:, [0]] - apart)
        ends = [over_networks_and_images(values, 0) for values in several]
        for index, kind in enumerate(kinds):
            numbers = [
                (float(values[:, index].mean()), float(low[index]), float(high[index]))
                for values, (low, high) in zip(several, ends, strict=True)
            ]
            found.append(_Row(role, kind, *numbers))
    return [first, second], found


def dissociation_table(result: xr.Dataset) -> Table:
    """Give what each pathway's loss costs under every kind of images, and how the two differ."""
    names, rows = _rows(result)
    cells = []
    for row in rows:
        against = "–" if row.images == "plain" else interval_text(*(100 * part for part in row.interaction))
        changes = [number_text(100 * change[0]) for change in (row.first, row.second)]
        cells.append(
            (_ROLES[row.role], row.images, *changes, interval_text(*(100 * p for p in row.difference)), against)
        )
    note = (
        f"{result.attrs['n_networks']} networks, n = {result.attrs['n_samples']} images; points of accuracy. "
        f"Difference: accuracy without {names[0]} minus accuracy without {names[1]}. Interaction: that difference on "
        "plain images minus the one on these. Intervals: bootstrap of networks and images. A double dissociation needs "
        "differences of both signs, each apart from 0, where the larger loss is one; an interaction alone may come "
        "from a floor."
    )
    columns = (
        "cells",
        "images",
        f"without {names[0]}",
        f"without {names[1]}",
        "difference [95 %]",
        "interaction [95 %]",
    )
    return Table("Dissociation of two pathways", columns, tuple(cells), note)


def dissociation_findings(result: xr.Dataset) -> Iterable[str]:
    """Say whether the two pathways are doubly dissociated."""
    names, rows = _rows(result)
    for role in dict.fromkeys(row.role for row in rows):
        own = [row for row in rows if row.role == role]
        lower = [row.images for row in own if row.difference[2] < 0 and row.first[2] < 0]
        higher = [row.images for row in own if row.difference[1] > 0 and row.second[2] < 0]
        words = "" if role == "lesion" else "With the rates restored, "
        if lower and higher:
            yield (
                f"{words}{names[0]} and {names[1]} are doubly dissociated: the loss of the first costs more on "
                f"{', '.join(lower)} images, that of the second on {', '.join(higher)} ones."
            )
        else:
            apart = [
                row.images for row in own if row.images != "plain" and not row.interaction[1] <= 0 <= row.interaction[2]
            ]
            single = f"; their difference changes with the images ({', '.join(apart)})" if apart else ""
            text = f"{words}no double dissociation of {names[0]} and {names[1]} was found{single}."
            yield text[0].upper() + text[1:]
