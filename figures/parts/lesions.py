"""What the figures of lesion studies share: the cells as rows, and how lesions and controls look."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from eiplatform.figures.grammar import condition_style, named, pathway

__all__ = [
    "ROLES",
    "about",
    "cells_of",
    "change_limits",
    "done",
    "intact_of",
    "many_doses",
    "role_style",
    "told",
    "where",
]

ROLES: dict[str, tuple[str, str, str, Any]] = {
    "lesion": ("lesion", "trained", "o", "-"),
    "random": ("random losses of equal current", "null", "s", "-"),
    "mean": ("level of inhibition kept", "circuit", "^", (0, (4, 1.2))),
    "shift": ("mean shifted, nothing removed", "faint", "v", (0, (1, 1))),
    "restored": ("lesion, rates restored", "cortex", "D", "-."),
    "tuned": ("intact, fine-tuned as long", "null", "P", (0, (4, 1.2))),
}
"""Role of a cell: label, colour, marker, line."""
_COORDS = ("role", "pathway", "layers", "dose", "kind", "neuron", "first", "last", "iteration", "images", "coalition")


def cells_of(result: xr.Dataset, values: str = "change") -> pd.DataFrame:
    """Return one row per cell of a lesion study: what was done, and a measure with its interval.

    Parameters
    ----------
    result : xarray.Dataset
        Of the analysis ``lesion_study``.
    values : {"change", "accuracy_mean"}
    """
    frame = pd.DataFrame({name: result[name].values for name in _COORDS if name in result})
    ends = {"value": values, "low": f"{values}_low", "high": f"{values}_high"}
    frame = frame.assign(**{name: result[source].values for name, source in ends.items()})
    if "p_holm" in result:
        frame["p"] = result["p_holm"].values
    keys = [name for name in frame if name not in ("value", "low", "high", "p")]
    return frame.groupby(keys, sort=False, dropna=False, as_index=False).mean()  # draws of a control are averaged


def change_limits(numbers: pd.DataFrame, least: float = 0.02) -> tuple[float, float]:
    """Return limits that hold changes of accuracy with their intervals, within what accuracy can change by.

    Examples
    --------
    >>> change_limits(pd.DataFrame({"value": [-0.5, 0.0], "low": [-7.0, -0.1], "high": [6.0, 0.1]}))
    (-1.0, 1.0)
    """
    low = max(np.nanmin([*numbers["value"], *numbers["low"], -least]), -1.0)
    high = min(np.nanmax([*numbers["value"], *numbers["high"], least]), 1.0)
    pad = 0.04 * (high - low)
    return max(float(low - pad), -1.0), min(float(high + pad), 1.0)


def done(result: xr.Dataset) -> str:
    """Return what is lost, for captions, e.g. ``"10 % of I -> E subtractive in fc1"``."""
    lesions = result.isel(cell=result["role"].values == "lesion")
    doses: dict[str, set[float]] = {}
    pathways = lesions["pathway"].values if "pathway" in lesions.coords else [""] * lesions.sizes["cell"]
    for name, dose in zip(pathways, lesions["dose"].values, strict=True):
        doses.setdefault(str(name), set()).add(100 * float(dose))
    places = sorted(set(map(str, lesions["layers"].values))) if "layers" in lesions.coords else []
    where_ = f" in {where(places[0])}" if len(places) == 1 and places[0] else ""
    shares = [(" or ".join(f"{dose:g}" for dose in sorted(found)), name) for name, found in doses.items()]
    return " or ".join(f"{share} % of {pathway(name) if name else 'a pathway'}" for share, name in shares) + where_


def intact_of(result: xr.Dataset) -> float:
    """Return the accuracy of the intact network on plain images."""
    intact = (result["role"].values == "intact") & (result["images"].values == "plain")
    return float(result["accuracy_mean"].values[intact][0])


def many_doses(result: xr.Dataset) -> bool:
    """Whether anything can be drawn against the dose."""
    lesions = result["role"].values == "lesion"
    doses = np.asarray(result["dose"].values[lesions], dtype=float) if "dose" in result.coords else np.empty(0)
    return len(np.unique(doses[np.isfinite(doses)])) > 1 and "neuron" not in result and "iteration" not in result


def role_style(role: str) -> dict[str, Any]:
    """Return colour, marker, line and label of a role."""
    from eiplatform.figures.grammar import colour

    label, ink, marker, line = ROLES.get(role, (role, "ink", "x", "-"))
    style = condition_style("trained") | {"color": colour(ink), "marker": marker, "linestyle": line, "label": label}
    return style | {"markerfacecolor": colour(ink) if role == "lesion" else colour("paper")}


def where(layers: str) -> str:
    """Return the name of a set of layers."""
    return "all layers" if layers == "*" else named(layers)


def told(row: Any) -> str:
    """Return what was done in a cell, in words."""
    layers = str(getattr(row, "layers", ""))
    named_already = str(row.pathway).startswith(f"{layers}/")  # a population names its layer
    parts = [pathway(str(row.pathway)), where(layers) if layers and not named_already else ""]
    if str(getattr(row, "kind", "")) not in ("", "nan"):
        parts.append(str(row.kind))
    if hasattr(row, "neuron") and np.isfinite(float(row.neuron)):
        parts.append(f"neuron {int(row.neuron)}")
    if hasattr(row, "first") and np.isfinite(row.first):
        parts.append(f"steps {int(row.first) + 1} to {int(row.last)}")
    return ", ".join(part for part in parts if part)


def about(result: xr.Dataset) -> str:
    """Return n and the interval, for captions."""
    return (
        f"n = {result.attrs['n_samples']} images, {result.attrs['n_networks']} networks; intervals: 95 % over networks "
        "and images"
    )
