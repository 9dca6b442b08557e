"""Power spectra of the spiking of populations, over those of as many Poisson neurons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from eiplatform.figures.grammar import (
    baseline,
    condition_style,
    count,
    grouped,
    key,
    layer_colours,
    log_axis,
    named,
    num,
    row_names,
)
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "spectra"
QUESTION = "Does the spiking of a population have a rhythm?"
_MARKS = "os^vDpX*"


def caption(result: xr.Dataset) -> str:
    """Return the caption with n and what is compared."""
    sizes = [f"{n} × {s}" for n, s in zip(result["n_neurons"].values, result["n_samples"].values, strict=True)]
    skipped = [str(text) for text in np.atleast_1d(result.attrs.get("skipped", [])) if str(text)]
    rest = f" Too short, hence not drawn: {len(skipped)} populations." if skipped else ""
    return (
        "Power spectrum of the population's spike count over that of as many independent Poisson neurons (1: no common "
        "rhythm). Triangle: its highest peak, where white noise would not give it. What neurons share grows with their "
        f"number, so that heights of populations of other sizes do not compare. "
        f"n = neurons × samples: {grouped(row_names(result), sizes)}.{rest}"
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    peaks = [
        f"{named(str(p))} at {v:.2g} {u}"
        for p, v, u in zip(*(result[k].values for k in ("population", "peak", "units")), strict=True)
        if np.isfinite(v)
    ]
    return f"Power spectra of populations; peaks beyond chance: {', '.join(peaks) or 'none'}."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per population and frequency."""
    parts = []
    for index in range(result.sizes["row"]):
        one = result.isel(row=index)
        about = {"row": index, **{name: one[name].item() for name in ("recording", "population", "units", "peak")}}
        parts.append(pd.DataFrame({**about, "frequency": one["frequency"].values, "value": one["power"].values}))
    return pd.concat(parts, ignore_index=True).dropna(subset=["value"])


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one panel per unit of time, one line per population."""
    kinds = list(dict.fromkeys(numbers["units"]))
    axes = sheet.panels(1, len(kinds), width="single" if len(kinds) == 1 else "middle", height_mm=58)
    for ax, unit in zip(axes, kinds, strict=True):
        rows = list(dict.fromkeys(numbers.loc[numbers["units"] == unit, "row"]))
        for index, (row, ink) in enumerate(zip(rows, layer_colours(len(rows)), strict=True)):
            part = numbers[(numbers["row"] == row) & (numbers["frequency"] > 0)]
            name = named(row_names(result)[row])
            style: dict[str, Any] = {"color": ink, "marker": _MARKS[index % 8]}
            if unit != "1/step" and len(rows) == 1:  # not a layer
                style = condition_style("circuit")
            style |= {"label": name, "markevery": max(1, len(part) // 6), "markersize": 2.4}
            ax.plot(part["frequency"], part["value"], **style)
            peak = float(part["peak"].iloc[0])
            if np.isfinite(peak):
                ax.plot(peak, 1.35 * part["value"].max(), "v", color=style["color"], markersize=4)
        log_axis(ax)
        log_axis(ax, "y")
        baseline(ax, 1, "Poisson")
        ax.set_xlabel(f"frequency ({'1/step' if unit == '1/step' else unit})")
        found = result["peak"].values[rows]
        count(
            ax,
            f"{int(np.isfinite(found).sum())} of {len(rows)} with a peak"
            if len(rows) > 1
            else (f"peak at {num(found[0], 0 if found[0] > 10 else 2)} {unit}" if np.isfinite(found[0]) else "no peak"),
        )
    axes[0].set_ylabel("power over Poisson")
    sheet.letters(axes)
    found = np.isfinite(result["peak"].values).any()
    sheet.legend(also=[key("peak beyond chance", marker="v", markersize=4)] if found else [])
