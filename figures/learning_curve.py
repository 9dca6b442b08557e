"""Loss, accuracy and firing rates over training."""

from __future__ import annotations

from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.figures.parts.page import AnyFigure, Drawable, Drawn, numbers_of, page
from eiplatform.figures.parts.style import COLOURS, letters, points_with_intervals

ANALYSIS = "learning"


def caption(result: xr.Dataset) -> str:
    """Return the caption with the test accuracy, its interval and n."""
    accuracy, low, high = (100 * float(result[name]) for name in ("test_accuracy", "test_low", "test_high"))
    return (
        f"Training on {result.attrs['dataset']}. a, accuracy on training and validation images; the diamond is the "
        f"test accuracy of the epoch that was best on validation, {accuracy:.1f} % "
        f"({100 * result.attrs['level']:.0f} % Wilson interval {low:.1f} to {high:.1f} %, n = {int(result['n_test'])} "
        "images, read once). b, cross entropy. c, mean firing rate of every hidden layer on the validation images, "
        "all neurons included. Epoch 0 is the untrained network. One training run."
    )


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return rows: panel, series, epoch, value, low, high."""
    parts = []
    for panel, names in (
        ("accuracy", ("train_accuracy", "validation_accuracy")),
        ("loss", ("loss", "validation_loss")),
    ):
        for name in names:
            series = "training" if name in ("train_accuracy", "loss") else "validation"
            values = {"epoch": result["epoch"].values, "value": result[name].values}
            parts.append(pd.DataFrame({"panel": panel, "series": series, **values}).dropna())
    for layer in result["layer"].values:
        values = {"epoch": result["epoch"].values, "value": result["rate"].sel(layer=layer).values}
        parts.append(pd.DataFrame({"panel": "rate", "series": str(layer), **values}))
    test = {"epoch": [int(result["best_epoch"])], "value": [float(result["test_accuracy"])]}
    ends = {"low": [float(result["test_low"])], "high": [float(result["test_high"])]}
    parts.append(pd.DataFrame({"panel": "accuracy", "series": "test", **test, **ends}))
    return pd.concat(parts, ignore_index=True)


def draw(result: Drawable, *, ax: Axes | None = None, figure: AnyFigure | None = None) -> Drawn:
    """Draw accuracy, loss and rates."""
    numbers = numbers_of(result, ANALYSIS, table)
    with page(ax, figure) as sheet:
        axes = sheet.panels(1, 3, height_mm=52)
        styles = {"training": (COLOURS["null"], "-"), "validation": (COLOURS["net"], "-")}
        for ax, panel, label in zip(axes, ("accuracy", "loss", "rate"), ("accuracy", "cross entropy", ""), strict=True):
            rows = numbers[numbers["panel"] == panel]
            for index, (series, line) in enumerate(rows.groupby("series", sort=False)):
                if series == "test":
                    point: dict[str, Any] = {"marker": "D", "color": COLOURS["trained"], "label": "test", "zorder": 3}
                    points_with_intervals(ax, line["epoch"], line, **point)
                else:
                    colour, style = styles.get(str(series), (COLOURS["exc"], ["-", "--", "-.", ":"][index % 4]))
                    ax.plot(line["epoch"], line["value"], style, color=colour, label=str(series))
            ax.set_xlabel("epoch")
            ax.set_ylabel(label or "spikes per neuron and step")
            ax.legend()
        axes[0].set_ylim(top=1.02)
        axes[2].set_ylim(bottom=0.0)
        letters(axes)
    return sheet.drawn
