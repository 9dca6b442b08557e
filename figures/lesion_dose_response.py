"""Accuracy, firing, balance and gain under rising doses of a lesion."""

from __future__ import annotations

from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.figures.parts.page import AnyFigure, Drawable, Drawn, numbers_of, page
from eiplatform.figures.parts.style import COLOURS, layer_name, letters, points_with_intervals

ANALYSIS = "lesions"
PANELS = {
    "accuracy": "test accuracy",
    "rate": "spikes per neuron and step",
    "ei_ratio": "E/I ratio",
    "gain": "mean gain",
}


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, intervals and exclusions."""
    shown = result.sel(statistic=[name for name in PANELS if name != "accuracy"])
    panels = _defined(table(result))
    absent = ", ".join(label for name, label in PANELS.items() if name not in panels)
    controls = (
        f"thin lines, {result.attrs['n_controls']} random losses of synapses onto the E neurons, excitatory or "
        "inhibitory, that take as much current from them (by its mean) as the lesion does"
        if result.attrs["n_controls"]
        else "no random losses of the same size were made"
    )
    return (
        f"Lesion of the pathway {result.attrs['pathway']} in the layers '{result.attrs['layers']}': the fraction on "
        f"the axis was removed, everything downstream followed. Dose 0 is the intact network on the same n = "
        f"{result.attrs['n_samples']} test images. a, accuracy with 95 % Wilson intervals over images; "
        f"b to {'abcd'[len(panels) - 1]}, mean over the recorded neurons ({result.attrs['neurons']}) with 95 % "
        f"percentile bootstrap intervals over images and neurons ({result.attrs['n_bootstrap']} draws). "
        "The E/I ratio is undefined where no inhibition is left. "
        + (f"This network has no {absent}. " if absent else "")
        + f"Neurons excluded: at most {int(shown['n_excluded'].max())} a layer. One network; {controls}."
    )


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return rows: panel, population, control (0: the lesion itself), dose, value, low, high."""
    accuracy = pd.DataFrame(
        {
            "panel": "accuracy",
            "population": "readout",
            "control": 0,
            "dose": result["dose"].values,
            "value": result["accuracy"].values,
            "low": result["accuracy_low"].values,
            "high": result["accuracy_high"].values,
        }
    )
    shown = result[["value", "low", "high"]].sel(statistic=[name for name in PANELS if name != "accuracy"])
    rows = shown.to_dataframe().reset_index().rename(columns={"statistic": "panel"}).assign(control=0)
    parts = [accuracy, rows]
    if result.attrs["n_controls"]:
        controls = result["control_accuracy"].dropna("dose", how="all").to_dataframe("value").reset_index()
        parts.append(controls.assign(panel="accuracy", population="readout"))
        others = result["control_value"].sel(statistic=shown["statistic"]).dropna("dose", how="all")
        parts.append(others.to_dataframe("value").reset_index().rename(columns={"statistic": "panel"}))
    joined = pd.concat([part.reindex(columns=accuracy.columns) for part in parts], ignore_index=True)
    return joined.astype({"control": int, "low": float, "high": float})


def draw(result: Drawable, *, ax: Axes | None = None, figure: AnyFigure | None = None) -> Drawn:
    """Draw one panel per measure."""
    numbers = numbers_of(result, ANALYSIS, table)
    with page(ax, figure) as sheet:
        panels = _defined(numbers)
        axes = sheet.panels(1, len(panels), height_mm=52)
        shades = [COLOURS["exc"], COLOURS["accent"], COLOURS["inh"], COLOURS["gain"], COLOURS["net"]]
        for ax, panel in zip(axes, panels, strict=True):
            rows = numbers[numbers["panel"] == panel]
            for index, (population, lines) in enumerate(rows.groupby("population", sort=False)):
                colour = COLOURS["trained"] if panel == "accuracy" else shades[index % len(shades)]
                line = lines[lines["control"] == 0]
                intact = line[line["dose"] == 0]
                for control in sorted(set(lines["control"]) - {0}):
                    thin = pd.concat([intact, lines[lines["control"] == control]])
                    label = "random losses" if panel == "accuracy" and control == 1 else None
                    ax.plot(thin["dose"], thin["value"], color=colour, alpha=0.45, linewidth=0.5, zorder=1, label=label)
                style: dict[str, Any] = {
                    "marker": "osD^v<>"[index % 7],
                    "color": colour,
                    "label": "lesion" if panel == "accuracy" else layer_name(str(population)),
                }
                points_with_intervals(ax, line["dose"], line, joined=True, **style)
            ax.set_xlabel("fraction removed")
            ax.set_ylabel(PANELS[panel])
            if panel == "ei_ratio":
                ax.axhline(1, color=COLOURS["net"], linewidth=0.5, linestyle=":")
            largest = float(numbers["dose"].max())
            ax.set_xlim(-0.05 * largest, 1.05 * largest)
        axes[0].set_ylim(0, 1.02)
        axes[1].legend()
        if (numbers["control"] > 0).any():
            axes[0].legend(loc="lower center", bbox_to_anchor=(0.55, 0.97), ncols=2)
        letters(axes)
    return sheet.drawn


def _defined(table: pd.DataFrame) -> list[str]:
    """Return the panels that show something: a network of rates has no spikes, many have no gain."""
    return [panel for panel in PANELS if table.loc[table["panel"] == panel, "value"].notna().any()]
