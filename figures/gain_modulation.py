"""What the gain varies with, and how it falls with the activity of the population."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.figures.parts.page import AnyFigure, Drawable, Drawn, numbers_of, page
from eiplatform.figures.parts.style import COLOURS, letters, points_with_intervals

ANALYSIS = "gain_modulation"
MARKS = "osD^vP"
_PART_COLOURS = {"neurons": "exc", "samples": "inh", "time": "gain", "rest": "null"}


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, intervals and what has no gain."""
    without = np.atleast_1d(result.attrs.get("without_gain", [])).tolist()
    rest = f" Without a gain: {', '.join(map(str, without))}." if without else ""
    return (
        f"Gain of E neurons (n = {int(result['n_samples'].max())} samples, up to {int(result['n_neurons'].max())} "
        "neurons a layer). a: variance of ln(gain), main effects of neuron, sample and time, and the rest. b: "
        "normalisation index, d ln(1/gain) / d ln(mean excitation of the population) over samples: 0 not at all, 1 in "
        "proportion. c: geometric mean gain against mean excitation, tenths of the samples. Bars: "
        f"{100 * result.attrs['level']:.0f} % bootstrap over samples.{rest}"
    )


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per number drawn: shares, indices and points of the curves."""
    parts = []
    share = result[["share", "share_low", "share_high"]].to_dataframe().reset_index()
    parts.append(share.set_axis(["layer", "what", "value", "low", "high"], axis=1).assign(panel="share"))
    index = result[["normalisation", "normalisation_low", "normalisation_high"]].to_dataframe().reset_index()
    index = index[["layer", "normalisation", "normalisation_low", "normalisation_high"]]
    parts.append(index.set_axis(["layer", "value", "low", "high"], axis=1).assign(panel="normalisation", what="index"))
    curve = result[["activity", "gain"]].to_dataframe().reset_index()[["layer", "point", "activity", "gain"]]
    curve = curve.rename(columns={"gain": "value"}).assign(panel="curve", what="gain")
    parts.append(curve.dropna(subset=["value"]))
    return pd.concat(parts, ignore_index=True)[["panel", "layer", "what", "point", "activity", "value", "low", "high"]]


def draw(result: Drawable, *, ax: Axes | None = None, figure: AnyFigure | None = None) -> Drawn:
    """Draw the shares, the indices and the curves."""
    numbers = numbers_of(result, ANALYSIS, table)
    with page(ax, figure) as sheet:
        layers = list(dict.fromkeys(numbers["layer"]))
        axes = sheet.panels(1, 3, height_mm=40 + 5 * len(layers))
        at = -np.arange(len(layers), dtype=float)
        names = [fill(layer, 24) for layer in layers]
        shares = numbers[numbers["panel"] == "share"]
        for offset, (part, colour) in zip((0.27, 0.09, -0.09, -0.27), _PART_COLOURS.items(), strict=True):
            rows = shares[shares["what"] == part].set_index("layer").loc[layers].reset_index()
            style: dict[str, Any] = {"marker": "o", "color": COLOURS[colour], "label": part}
            points_with_intervals(axes[0], at + offset, rows, horizontal=True, **style)
        axes[0].set_xlim(-0.02, 1.02)
        axes[0].set_xlabel("share of the variance\nof ln(gain)")
        axes[0].legend(loc="best")
        rows = numbers[numbers["panel"] == "normalisation"].set_index("layer").loc[layers].reset_index()
        points_with_intervals(axes[1], at, rows, horizontal=True, marker="o", color=COLOURS["gain"])
        axes[1].axvline(0, color=COLOURS["net"], linewidth=0.5, linestyle=":")
        axes[1].set_xlabel("normalisation index")
        for ax, labels in ((axes[0], names), (axes[1], [""] * len(names))):
            ax.set_yticks(at, labels)
            ax.set_ylim(at.min() - 0.6, 0.6)
        curves = numbers[numbers["panel"] == "curve"]
        colours = [COLOURS[name] for name in ("trained", "inh", "gain", "accent", "exc", "net")]
        for index, layer in enumerate(layers):
            rows = curves[curves["layer"] == layer]
            style = {
                "marker": MARKS[index % len(MARKS)],
                "color": colours[index % len(colours)],
                "label": fill(layer, 22),
            }
            axes[2].plot(rows["activity"], rows["value"], linestyle="-", **style)
        axes[2].set_xlabel("mean excitation\nof the population")
        axes[2].set_ylabel("mean gain")
        axes[2].legend(loc="best")
        letters(axes)
    return sheet.drawn
