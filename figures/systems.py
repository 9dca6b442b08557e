"""The scorecard of all systems: every statistic with the range of cortical circuits, and shares of regimes."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.figures.parts.page import AnyFigure, Drawable, Drawn, numbers_of, page
from eiplatform.figures.parts.style import COLOURS, letters, points_with_intervals

ANALYSIS = "systems"
_COLUMNS = 4
_SHARES = {"share": "regime", "tightness": "residual", "tracking": "in_time"}
_TITLES = {"tightness": "balance: residual", "tracking": "balance: tracking in time"}


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, intervals, settings and what is missing."""
    short, long = np.ravel(result.attrs["n_samples"]).tolist()
    of_circuits = ", ".join(map(str, result["reference"].values)) or "none"
    n_seeds, n_draws = int(result.attrs["n_seeds"]), int(result.attrs["n_bootstrap"])
    return (
        f"Mean over hidden layers (point) and each hidden layer (small points), n = {n_seeds} seeds, "
        f"{100 * result.attrs['level']:.0f} % intervals (Student t over seeds, given the samples); short: as trained, "
        f"{short} samples; long: 50 steps or more, {long} samples. Bands: range of models of cortex "
        f"({of_circuits}), open where the circuits' number is defined otherwise than the networks'. none: the system "
        f"has no such number (the table says why). Shares of n = {n_draws} draws that fall to a regime, mean over "
        "layers and seeds; ?: not placed."
    )


def _setting(result: xr.Dataset, key: str) -> str:
    """Return the setting in which a statistic is shown: as trained, unless only long recordings have it."""
    held = result["value"].sel(statistic=key).notnull().any(("system", "depth"))
    names = [str(name) for name in result["setting"].values[held.values]]
    return "short" if "short" in names and "time" not in key else (names or ["short"])[-1]


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per statistic, system and layer, per circuit, and per share of a regime, with notes."""
    rows: list[dict[str, Any]] = []
    accuracy = result.sel(setting="short")
    for system in result["system"].values.astype(str):
        one = accuracy.sel(system=system)
        ends = {end or "_value": float(one[f"accuracy{end}"]) for end in ("", "_low", "_high")}
        about = {"group": "accuracy", "label": "accuracy (short)", "system": system, "depth": "hidden"}
        rows.append(about | {name[1:]: end for name, end in ends.items()} | {"note": ""})
    for key in result["statistic"].values.astype(str):
        setting = _setting(result, key)
        label = f"{result['label'].sel(statistic=key).item()} ({setting})"
        cells = result.sel(statistic=key, setting=setting)
        for system in result["system"].values.astype(str):
            for depth in result["depth"].values.astype(str):
                one = cells.sel(system=system, depth=depth)
                ends = {name: float(one[name]) for name in ("value", "low", "high")}
                about = {"group": key, "label": label, "system": system, "depth": depth}
                if depth != "readout" and (depth == "hidden" or str(one["layer"].item())):
                    rows.append(about | ends | {"note": str(one["note"].item())})
        for reference in result["reference"].values.astype(str):
            one = cells.sel(reference=reference)
            ends = {name: float(one[f"reference_{name}"]) for name in ("value", "low", "high")}
            kind = "comparable" if bool(one["comparable"]) else "defined otherwise"
            about = {"group": key, "label": label, "system": reference, "depth": kind}
            if np.isfinite(ends["value"]):
                rows.append(about | ends | {"note": str(one["caution"].item())})
    for name, dim in _SHARES.items():
        for system in result["system"].values.astype(str) if name in result else []:
            one = result.sel(system=system, depth="hidden")
            for kind in result[dim].values.astype(str):
                group = _TITLES.get(name, kind.split(": ", 1)[0])
                about = {"group": group, "label": "share", "system": system, "depth": kind.split(": ", 1)[-1]}
                rows.append(
                    about | {"value": float(one[name].sel({dim: kind})), "note": str(one["regime_note"].item())}
                )
    return pd.DataFrame(rows)


def draw(result: Drawable, *, ax: Axes | None = None, figure: AnyFigure | None = None) -> Drawn:
    """Draw one panel per statistic, systems from top to bottom, and one grid per family of regimes."""
    numbers = numbers_of(result, ANALYSIS, table)
    with page(ax, figure) as sheet:
        systems = list(dict.fromkeys(numbers.loc[numbers["group"] == "accuracy", "system"]))
        panels = list(dict.fromkeys(numbers["group"]))
        rows_of_panels = -(-len(panels) // _COLUMNS)
        axes = sheet.panels(rows_of_panels, _COLUMNS, height_mm=14 + rows_of_panels * (24 + 3.6 * len(systems)))
        for index, (ax, group) in enumerate(zip(axes, panels, strict=False)):
            rows = numbers[numbers["group"] == group]
            if rows["label"].iloc[0] == "share":
                _grid(ax, rows, systems)
                ax.set_title(group)
            else:
                _strip(ax, rows, systems)
                ax.set_title(fill(rows["label"].iloc[0], 26), fontsize=6)
            ax.set_yticks(range(len(systems)), systems if index % _COLUMNS == 0 else [""] * len(systems))
            ax.set_ylim(len(systems) - 0.5, -0.5)
        for ax in axes[len(panels) :]:
            ax.set_visible(False)
        letters(axes[: len(panels)])
    return sheet.drawn


def _strip(ax: Axes, rows: pd.DataFrame, systems: list[str]) -> None:
    """Draw the values of one statistic and the band of the circuits."""
    circuits = rows[~rows["system"].isin(systems)]
    looks: dict[str, dict[str, Any]] = {
        "comparable": {"alpha": 0.25},
        "defined otherwise": {"fill": False, "linestyle": ":"},
    }
    for kind, look in looks.items():
        band = circuits.loc[circuits["depth"] == kind, "value"]
        if len(band):
            ax.axvspan(band.min(), band.max(), color=COLOURS["reference"], linewidth=0.6, **look)
        for value in band:
            ax.axvline(value, color=COLOURS["reference"], linewidth=0.4, linestyle=":", zorder=1)
    own = rows[rows["system"].isin(systems)].dropna(subset="value")
    means = own["depth"] == "hidden"
    for one, size, colour in ((own[~means], 1.8, COLOURS["null"]), (own[means], 3.5, COLOURS["trained"])):
        place = np.array([systems.index(name) for name in one["system"]], dtype=float)
        style: dict[str, Any] = {"marker": "o", "color": colour, "markersize": size}
        if size < 2:
            ax.plot(one["value"].to_numpy(), place + 0.22, linestyle="", **style)
        else:
            points_with_intervals(ax, place, one, horizontal=True, **style)
    missing = [name for name in systems if name not in set(own.loc[means, "system"])]
    for name in missing:
        ax.annotate(
            "none", (0.98, systems.index(name)), xycoords=("axes fraction", "data"), fontsize=5, ha="right", va="center"
        )
    ax.margins(x=0.1)
    if len(own) and own["value"].abs().max() > 20:  # a ratio of almost nothing would hide all others
        ax.set_xscale("symlog", linthresh=1.0)
        # Few ticks, and none but 0 where the scale is linear: there they would lie upon each other.
        low, high = ax.get_xlim()
        powers = [sign * 10.0**k for sign in (-1, 1) for k in range(1, 7)]
        inside = [power for power in powers if low <= power <= high]
        ax.set_xticks([0.0, *inside], ["0", *(f"{power:g}" for power in inside)])
        ax.minorticks_off()


def _grid(ax: Axes, rows: pd.DataFrame, systems: list[str]) -> None:
    """Draw shares as shades and numbers."""
    kinds = list(dict.fromkeys(rows["depth"]))
    grid = rows.pivot(index="system", columns="depth", values="value").loc[systems, kinds].to_numpy()
    ax.imshow(np.nan_to_num(grid), cmap="Greys", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(*grid.shape):
        rounded = f"{grid[i, j]:.2f}"
        text = {"nan": "?", "0.00": "0", "1.00": "1"}.get(rounded, rounded.removeprefix("0"))
        ax.text(j, i, text, ha="center", va="center", color="white" if grid[i, j] > 0.6 else "black", fontsize=4.5)
    ax.set_xticks(range(len(kinds)), [fill(kind, 12) for kind in kinds], rotation=90)
