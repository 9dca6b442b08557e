"""The scorecard of all systems: every statistic with the range of cortical circuits, and shares of regimes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.figures.grammar import baseline, colour, intervals, named, shades, wrapped
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "systems"
QUESTION = "How balanced are trained systems of every kind, and how far is each from cortex?"
REPEATS = ("balance_index", "imbalance_index")
"""Statistics that are another form of the E/I ratio, and are not drawn a second time."""
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


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    best = result["accuracy"].sel(setting="short").idxmax("system").item()
    return f"Scorecard of the systems {', '.join(map(str, result['system'].values))}; the most accurate is {best}."


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
        if key in REPEATS and "ei_ratio" in result["statistic"].values:
            continue
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


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one panel per statistic, systems from top to bottom, and one grid per family of regimes."""
    systems = list(dict.fromkeys(numbers.loc[numbers["group"] == "accuracy", "system"]))
    panels = list(dict.fromkeys(numbers["group"]))
    columns = min(_COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    axes = sheet.panels(lines, columns, height_mm=14 + lines * (22 + 4.2 * len(systems)))
    for index, (ax, group) in enumerate(zip(axes, panels, strict=False)):
        rows = numbers[numbers["group"] == group]
        if rows["label"].iloc[0] == "share":
            _grid(ax, rows, systems)
            ax.set_title(group, fontsize=6)
        else:
            _strip(ax, rows, systems)
            ax.set_title(wrapped(rows["label"].iloc[0], 26), fontsize=6)
            if group == "ei_ratio":
                baseline(ax, 1, axis="x")
        names = [named(name) for name in systems] if index % columns == 0 else [""] * len(systems)
        ax.set_yticks(range(len(systems)), names)
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(systems) - 0.5, -0.5)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    sheet.letters(axes[: len(panels)])
    sheet.legend()


def _strip(ax: Axes, rows: pd.DataFrame, systems: list[str]) -> None:
    """Draw the values of one statistic and the band of the circuits."""
    circuits = rows[~rows["system"].isin(systems)]
    looks: dict[str, dict[str, Any]] = {
        "comparable": {"alpha": 0.3, "label": "range of models of cortex"},
        "defined otherwise": {"fill": False, "linestyle": ":", "label": "models of cortex, defined otherwise"},
    }
    for kind, look in looks.items():
        band = circuits.loc[circuits["depth"] == kind, "value"]
        if len(band):
            ax.axvspan(band.min(), band.max(), color=colour("circuit"), linewidth=0.6, **look)
        for value in band:
            ax.axvline(value, color=colour("circuit"), linewidth=0.4, linestyle=":", zorder=1)
    own = rows[rows["system"].isin(systems)].dropna(subset="value")
    means = own["depth"] == "hidden"
    for one, size, ink in ((own[~means], 1.8, colour("faint")), (own[means], 3.5, colour("trained"))):
        place = np.array([systems.index(name) for name in one["system"]], dtype=float)
        style: dict[str, Any] = {"marker": "o", "color": ink, "markersize": size}
        if size < 2:
            ax.plot(one["value"].to_numpy(), place + 0.22, linestyle="", **style, label="single layer")
        else:
            intervals(ax, place, one, horizontal=True, **style, label="mean over hidden layers")
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
    ax.imshow(np.nan_to_num(grid), cmap=shades(), vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(*grid.shape):
        rounded = f"{grid[i, j]:.2f}"
        text = {"nan": "?", "0.00": "0", "1.00": "1"}.get(rounded, rounded.removeprefix("0"))
        ax.text(j, i, text, ha="center", va="center", color=colour("paper" if grid[i, j] > 0.6 else "ink"), fontsize=5)
    ax.set_xticks(range(len(kinds)), [wrapped(kind, 12) for kind in kinds], rotation=90)
