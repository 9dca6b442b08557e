"""Distributions of the divisive gain, layer by layer, trained and untrained."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.figures.current_distributions import histogram_rows
from eiplatform.figures.parts.page import AnyFigure, Drawable, Drawn, numbers_of, page
from eiplatform.figures.parts.style import COLOURS, layer_name, log_ticks

ANALYSIS = "distributions"


def caption(result: xr.Dataset) -> str:
    """Return the caption with n and what lies outside the axes."""
    gain = result.sel(quantity="gain")
    return (
        "Distribution of the gain g_E / I_div by which divisive inhibition multiplies the net current of excitatory "
        f"neurons (logarithmic axis), over neurons, samples and steps (n = {int(gain['n'].max()):,} values per layer), "
        f"for {' and '.join(map(str, result['recording'].values))}. At most {100 * float(gain['outside'].max()):.1f} % "
        "of the values lie outside the axes; a gain of exactly 0 (a sample without any inhibition) is counted there. "
        "The readout has no divisive inhibition and is left out."
    )


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return the histograms of log10 gain as rows."""
    return histogram_rows(result, ["gain"])


def draw(result: Drawable, *, ax: Axes | None = None, figure: AnyFigure | None = None) -> Drawn:
    """Draw one panel per layer, on a common logarithmic axis."""
    numbers = numbers_of(result, ANALYSIS, table)
    with page(ax, figure) as sheet:
        populations = list(dict.fromkeys(numbers["population"]))
        axes = sheet.panels(1, len(populations), height_mm=46)
        for ax, population in zip(axes, populations, strict=True):
            panel = numbers[numbers["population"] == population]
            for index, (recording, rows) in enumerate(panel.groupby("recording", sort=False)):
                edges = 10.0 ** np.append(rows["left"], rows["right"].iloc[-1])
                style = (
                    {"fill": True, "color": COLOURS["gain"], "alpha": 0.5} if index == 0 else {"color": COLOURS["null"]}
                )
                ax.stairs(rows["density"], edges, label=str(recording), **style)
            log_ticks(ax)
            ax.set_title(layer_name(population))
            ax.set_xlabel("gain")
            ax.set_yticks([])
            ax.spines["left"].set_visible(False)
        axes[0].set_ylabel("density (per decade)")
        handles, labels = axes[0].get_legend_handles_labels()
        sheet.legend(handles, labels, loc="outside upper right", ncols=len(labels))
    return sheet.drawn
