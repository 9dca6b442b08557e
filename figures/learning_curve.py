"""Accuracy, loss, rates and silent neurons over training; balance and gain where they were recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
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
    log_axis,
    named,
)
from eiplatform.figures.parts.page import Page, drawing

ANALYSIS = "learning"
QUESTION = "How did training go, and what became of firing and balance?"
LABELS = {
    "accuracy": "accuracy",
    "loss": "cross entropy",
    "rate": "spikes per neuron and step",
    "silent": "share of silent neurons",
    "saturated": "share of neurons always on",
    "ei_ratio": "E/I ratio",
    "gain": "gain",
}
_MARKS = "os^vDpX"


def caption(result: xr.Dataset) -> str:
    """Return the caption with the test accuracy, its interval and n."""
    accuracy, low, high = (100 * float(result[name]) for name in ("test_accuracy", "test_low", "test_high"))
    balance = " E/I and gain: mean over neurons of the recorded samples." if "ei_ratio" in result else ""
    return (
        f"Training on {result.attrs['dataset']}. Diamond: test accuracy of the epoch that was best on validation, "
        f"{accuracy:.1f} % ({100 * result.attrs['level']:.0f} % Wilson interval {low:.1f} to {high:.1f} %, n = "
        f"{int(result['n_test'])} images, read once). Rates and silent neurons: of every hidden layer on the "
        f"validation images, all neurons included.{balance} Epoch 0 is the untrained network. One training run."
    )


def alt(result: xr.Dataset) -> str:
    """Return a short description for those who do not see the figure."""
    silent = result["silent"].isel(epoch=-1)
    told = ", ".join(f"{layer} {100 * float(silent.sel(layer=layer)):.0f} %" for layer in result["layer"].values)
    accuracy = 100 * float(result["test_accuracy"])
    return f"Training curves; test accuracy {accuracy:.1f} %; silent neurons at the end: {told}."


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return rows: panel, series, epoch, value, low, high."""
    parts = []
    epochs = result["epoch"].values
    for panel, names in (
        ("accuracy", ("train_accuracy", "validation_accuracy")),
        ("loss", ("loss", "validation_loss")),
    ):
        for name in names:
            series = "training" if name in ("train_accuracy", "loss") else "validation"
            parts.append(
                pd.DataFrame({"panel": panel, "series": series, "epoch": epochs, "value": result[name].values}).dropna()
            )
    for panel in ("rate", "silent", "saturated", "ei_ratio", "gain"):
        if panel not in result:
            continue
        place = next(dim for dim in result[panel].dims if dim != "layer")
        for layer in result["layer"].values:
            one = result[panel].sel(layer=layer)
            values = {"epoch": result[place].values, "value": one.values}
            for end in ("low", "high"):
                if f"{panel}_{end}" in result:
                    values[end] = result[f"{panel}_{end}"].sel(layer=layer).values
            parts.append(pd.DataFrame({"panel": panel, "series": str(layer), **values}).dropna(subset=["value"]))
    test = {"epoch": [int(result["best_epoch"])], "value": [float(result["test_accuracy"])]}
    ends = {"low": [float(result["test_low"])], "high": [float(result["test_high"])]}
    parts.append(pd.DataFrame({"panel": "accuracy", "series": "test", **test, **ends}))
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


@drawing
def draw(sheet: Page, numbers: pd.DataFrame, result: xr.Dataset) -> None:
    """Draw one panel per measure."""
    panels = [name for name in LABELS if (numbers["panel"] == name).any()]
    axes = sheet.wrapped(len(panels), head_mm=14, panel_mm=40)
    layers = [str(name) for name in result["layer"].values]
    for ax, panel in zip(axes, panels, strict=False):
        rows = numbers[numbers["panel"] == panel]
        (_performance if panel in ("accuracy", "loss") else _layers)(ax, rows, layers)
        ax.set_xlabel("epoch")
        ax.set_ylabel(LABELS[panel])
        if panel in ("rate", "silent", "saturated"):
            ax.set_ylim(bottom=0)
        if panel in ("ei_ratio", "gain"):
            log_axis(ax, "y")
            baseline(ax, 1, "E = I" if panel == "ei_ratio" else "")
    axes[0].set_ylim(top=1.02)
    if "n_classes" in result:
        baseline(axes[0], 1 / float(result["n_classes"]), "chance")
    count(axes[0], f"n = {int(result['n_test'])} test images")
    sheet.letters(axes[: len(panels)])
    sheet.legend(columns=6)


def _performance(ax: Axes, rows: pd.DataFrame, _: list[str]) -> None:
    for series, line in rows.groupby("series", sort=False):
        if series == "test":
            point: dict[str, Any] = condition_style("trained") | {"marker": "D", "zorder": 3}
            point["label"] = "test, at the best epoch"
            intervals(ax, line["epoch"], line, **point)
        else:
            style = {"training": (colour("null"), "-"), "validation": (colour("trained"), (0, (4, 1.2)))}[str(series)]
            ax.plot(line["epoch"], line["value"], color=style[0], linestyle=style[1], label=str(series))


def _layers(ax: Axes, rows: pd.DataFrame, layers: list[str]) -> None:
    for index, (layer, ink) in enumerate(zip(layers, layer_colours(len(layers)), strict=True)):
        line = rows[rows["series"] == layer]
        if "low" in line and np.isfinite(line["low"]).any():
            ax.fill_between(line["epoch"], line["low"], line["high"], color=ink, alpha=0.2, linewidth=0)
        style: dict[str, Any] = {
            "marker": _MARKS[index % len(_MARKS)],
            "markevery": max(1, len(line) // 6),
            "markersize": 2.6,
        }
        ax.plot(line["epoch"], line["value"], color=ink, label=named(layer), **style)
