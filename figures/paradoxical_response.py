"""The response of a circuit to drive of its inhibitory neurons: rates and currents, free and with E frozen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from eiplatform.figures.grammar import baseline, colour, count, finite, intervals, named, num
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "paradox"
QUESTION = "Do inhibitory neurons fire less when they are driven more?"
_ROLES: dict[str, tuple[str, str, Any]] = {"E": ("exc", "o", "-"), "I": ("inh", "s", (0, (4, 1.2)))}
_SIGNALS = {"current_exc": ("excitation", "exc", "-"), "current_inh": ("inhibition", "inh", (0, (4, 1.2)))}


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, intervals and the definition."""
    frozen = [str(name) for name in result["freezing"].values if name != "free"]
    also = f" {frozen[0]}: the rate of that population is held." if frozen else ""
    n = result.sizes["seed"]
    level = 100 * float(result.attrs["level"])
    interval = f"bars: {level:.0f} % Student intervals" if n > 1 else "one seed, hence no interval"
    return (
        f"Change of the rates of {result.attrs['circuit']} against a change of {result.attrs['parameter']}, which "
        f"drives {result.attrs['target']} (n = {n} seeds; {interval}). Paradoxical: the driven population falls when "
        f"its drive rises.{also} Last panel: change of the currents onto {result.attrs['target']}. Small points: "
        "seeds. No exclusions."
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    slope = float(result["slope"].sel(freezing="free", population=result.attrs["target"]))
    return f"Rates against drive of {result.attrs['target']}; its initial slope is {slope:.3g} Hz per unit of drive."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return rows: panel (a condition, or currents), population or signal, level, seed, value, low, high."""
    parts = []
    for freezing in result["freezing"].values.astype(str):
        for population in result["population"].values.astype(str):
            one = result.sel(freezing=freezing, population=population)
            about = {"panel": freezing, "line": population, "change": result["level"].values}
            parts.append(pd.DataFrame({**about, **{name: one[name].values for name in ("value", "low", "high")}}))
            if result.sizes["seed"] > 1:
                parts += [
                    pd.DataFrame({**about, "seed": seed, "value": one["seed_value"].sel(seed=seed).values})
                    for seed in result["seed"].values
                ]
    onto = result.sel(freezing="free", population=result.attrs["target"])
    for name in _SIGNALS:
        if name in result and finite(onto[name]):
            about = {"panel": "currents", "line": name, "change": result["level"].values}
            parts.append(pd.DataFrame({**about, "value": onto[name].values}))
    columns = ["panel", "line", "change", "seed", "value", "low", "high"]
    return pd.concat(parts, ignore_index=True).reindex(columns=columns)


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one panel per condition, and one of the currents onto the driven population."""
    panels = list(dict.fromkeys(numbers["panel"]))
    axes = sheet.panels(1, len(panels), width="middle" if len(panels) < 3 else "double", height_mm=58)
    for ax, panel in zip(axes, panels, strict=True):
        part = numbers[numbers["panel"] == panel]
        baseline(ax, 0)
        baseline(ax, 0, axis="x")
        for line, rows in part.groupby("line", sort=False):
            if panel == "currents":
                label, ink, dashes = _SIGNALS[str(line)]
                ax.plot(rows["change"], rows["value"], color=colour(ink), linestyle=dashes, label=label)
                continue
            ink, marker, dashes = _ROLES.get(str(line)[-1], ("ink", "^", "-"))
            seeds = rows[rows["seed"].notna()]
            ax.plot(seeds["change"], seeds["value"], ".", color=colour(ink), markersize=2, alpha=0.6)
            style: dict[str, Any] = {"color": colour(ink), "marker": marker, "linestyle": dashes}
            style |= {"label": f"rate of {named(str(line))}"}
            mean = rows[rows["seed"].isna()]
            intervals(ax, mean["change"], mean, joined=True, **style | {"markersize": 2.8})
        if panel != "currents":
            slope = float(result["slope"].sel(freezing=panel, population=result.attrs["target"]))
            count(ax, f"initial slope of {result.attrs['target']}: {num(slope)} Hz per unit")
        target = result.attrs["target"]
        titles = {"currents": f"currents onto {target}", "free": "rates, all populations free"}
        ax.set_title(titles.get(str(panel), f"rates, {panel}"), fontsize=6, pad=10)
        ax.set_xlabel(f"change of the drive of {target} ({result.attrs['parameter']})")
        ax.set_ylabel("change of current" if panel == "currents" else "change of rate (Hz)")
    held = np.unique(numbers.loc[numbers["panel"] != "currents", "panel"])
    if len(held) > 1:
        limits = [ax.get_ylim() for ax in axes[: len(held)]]
        for ax in axes[: len(held)]:
            ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    sheet.letters(axes)
    sheet.legend()
