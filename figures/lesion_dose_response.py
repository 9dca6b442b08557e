"""Accuracy, firing, balance and gain against the share of a pathway that is removed, with controls and slices' band."""

from __future__ import annotations

from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.figures.grammar import (
    baseline,
    colour,
    condition_style,
    count,
    intervals,
    layer_colours,
    named,
    pathway,
    reference_band,
)
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "lesions"
QUESTION = "How much of a pathway can be lost before the network fails?"
PANELS = {
    "accuracy": "test accuracy",
    "rate": "spikes per neuron and step",
    "ei_ratio": "E/I ratio",
    "gain": "mean gain",
}
BAND = (0.1, 0.2)
"""Loss of GABA-A function at which slices of rat cortex become epileptiform (Chagnac-Amitai & Connors 1989)."""
_MARKS = "os^vDpX"


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, intervals, controls and exclusions."""
    panels = _defined(table(result))
    absent = ", ".join(label for name, label in PANELS.items() if name not in panels)
    shown = result.sel(statistic=[name for name in PANELS if name in result["statistic"].values])
    n = int(result.attrs["n_controls"])
    controls = (
        f"Thin: {n} random losses of synapses that take as much current from E." if n else "No random losses were made."
    )
    band = (
        " Hatched: 10 to 20 % loss of GABA-A function, epileptiform in slices of rat cortex."
        if _inhibitory(result)
        else ""
    )
    return (
        f"Lesion of {pathway(result.attrs['pathway'])} in the layers '{result.attrs['layers']}'; dose 0 is the intact "
        f"network on the same n = {result.attrs['n_samples']} test images. a, 95 % Wilson intervals over images; b to "
        f"{'abcd'[len(panels) - 1]}, mean over recorded neurons, 95 % bootstrap over images and neurons; at most "
        f"{int(shown['n_excluded'].max())} neurons of a layer excluded. E/I is undefined where no inhibition is left. "
        + (f"This network has no {absent}. " if absent else "")
        + f"{controls}{band} One network."
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    accuracy = result["accuracy"].values
    return (
        f"Dose-response curves of a lesion; accuracy goes from {accuracy[0]:.2f} in the intact network to "
        f"{accuracy[-1]:.2f} at a dose of {float(result['dose'][-1]):g}."
    )


def _inhibitory(result: xr.Dataset) -> bool:
    return str(result.attrs["pathway"]).startswith("I->E")


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return rows: panel, population, control (0: the lesion itself), dose, value, low, high."""
    ends = {"value": "accuracy", "low": "accuracy_low", "high": "accuracy_high"}
    about = {"panel": "accuracy", "population": "readout", "control": 0, "dose": result["dose"].values}
    accuracy = pd.DataFrame({**about, **{name: result[source].values for name, source in ends.items()}})
    held = [name for name in PANELS if name in result["statistic"].values]
    shown = result[["value", "low", "high"]].sel(statistic=held)
    parts = [accuracy, shown.to_dataframe().reset_index().rename(columns={"statistic": "panel"}).assign(control=0)]
    if result.attrs["n_controls"]:
        controls = result["control_accuracy"].dropna("dose", how="all").to_dataframe("value").reset_index()
        parts.append(controls.assign(panel="accuracy", population="readout"))
        others = result["control_value"].sel(statistic=shown["statistic"]).dropna("dose", how="all")
        parts.append(others.to_dataframe("value").reset_index().rename(columns={"statistic": "panel"}))
    joined = pd.concat([part.reindex(columns=accuracy.columns) for part in parts], ignore_index=True)
    return joined.astype({"control": int, "low": float, "high": float})


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one panel per measure."""
    panels = _defined(numbers)
    axes = sheet.panels(1, len(panels), height_mm=58)
    for ax, panel in zip(axes, panels, strict=True):
        rows = numbers[numbers["panel"] == panel]
        if _inhibitory(result):
            reference_band(ax, *BAND, kind="cortex", axis="x", label="slices of rat cortex: epileptiform")
        _panel(ax, panel, rows)
        ax.set_xlabel("fraction removed")
        ax.set_ylabel(PANELS[panel])
        if panel == "ei_ratio":
            baseline(ax, 1, "E = I")
        largest = float(numbers["dose"].max())
        ax.set_xlim(-0.05 * largest, 1.05 * largest)
    axes[0].set_ylim(0, 1.02)
    if "n_classes" in result.attrs:
        baseline(axes[0], 1 / float(result.attrs["n_classes"]), "chance")
    count(axes[0], f"n = {result.attrs['n_samples']} images")
    sheet.letters(axes)
    sheet.legend()


def _panel(ax: Axes, panel: str, rows: pd.DataFrame) -> None:
    populations = list(dict.fromkeys(rows["population"]))
    for index, (population, ink) in enumerate(zip(populations, layer_colours(len(populations)), strict=True)):
        lines = rows[rows["population"] == population]
        style: dict[str, Any] = {"color": ink, "marker": _MARKS[index % 7], "label": named(str(population))}
        if panel == "accuracy":
            style = condition_style("trained") | {"label": "lesion"}
        line = lines[lines["control"] == 0]
        intact = line[line["dose"] == 0]
        for control in sorted(set(lines["control"]) - {0}):
            thin = pd.concat([intact, lines[lines["control"] == control]])
            label = "random losses of equal current" if panel == "accuracy" and control == 1 else None
            grey = colour("null") if panel == "accuracy" else ink
            ax.plot(thin["dose"], thin["value"], color=grey, alpha=0.6, linewidth=0.5, zorder=1, label=label)
        intervals(ax, line["dose"], line, joined=True, **style)


def _defined(table: pd.DataFrame) -> list[str]:
    """Return the panels that show something: a network of rates has no spikes, many have no gain."""
    return [panel for panel in PANELS if table.loc[table["panel"] == panel, "value"].notna().any()]
