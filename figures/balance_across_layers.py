"""E/I ratio, balance index, correlations, rate and gain of every layer, with the untrained null."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.analyses import defined
from eiplatform.figures.parts.page import AnyFigure, Drawable, Drawn, numbers_of, page
from eiplatform.figures.parts.style import COLOURS, LABELS, MARKERS, layer_name, letters, points_with_intervals

ANALYSIS = "balance"
PANELS = {
    "ei_ratio": "E/I ratio",
    "balance_index": "balance index (E - I)/E",
    "ei_correlation_time": "E-I correlation\nover time (own)",
    "ei_correlation_time_excess": "E-I correlation over time\nown minus other neurons",
    "ei_correlation_samples": "E-I correlation\nover samples (own)",
    "ei_correlation_samples_excess": "E-I correlation over samples\nown minus other neurons",
    "rate": "spikes per neuron and step",
    "gain": "mean gain",
    "cv_isi": "CV of inter-spike intervals",
}


def _panels(result: xr.Dataset) -> list[str]:
    """Return the statistics drawn: correlations over time where there are any, else over samples."""
    keys = defined(result, PANELS)
    if "ei_correlation_time" in keys:
        keys = [key for key in keys if "samples" not in key]
    return keys


def caption(result: xr.Dataset) -> str:
    """Return the caption with n, interval, exclusions and the null."""
    shown = result.sel(statistic=_panels(result))
    excluded = int(shown["n_excluded"].max())
    null = (
        f"Grey squares: the same network untrained (E-I Init only) on the same samples, mean and range over "
        f"{result.attrs['n_nulls']} seeds. "
        if result.attrs["n_nulls"]
        else "No null was given. "
    )
    return (
        f"Balance of excitation and inhibition, layer by layer ({result.attrs['label']}, n = "
        f"{int(shown['n_samples'].max())} samples, up to {int(shown['n_neurons'].max())} neurons a layer; mean over "
        f"neurons, E/I ratio: geometric mean). Bars: {100 * result.attrs['level']:.0f} % percentile bootstrap over "
        f"samples and neurons ({result.attrs['n_bootstrap']} draws). {null}"
        f"Neurons excluded because a statistic is undefined for them: at most {excluded} a layer."
    )


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return one row per layer and statistic."""
    names = ["value", "low", "high", "n_samples", "n_neurons", "n_excluded", "note"]
    names += [name for name in ("null", "null_minimum", "null_maximum", "z", "n_seeds") if name in result]
    rows = result[names].sel(statistic=_panels(result)).to_dataframe().reset_index()
    return rows.sort_values("statistic", key=lambda keys: keys.map(list(PANELS).index), kind="stable")[
        ["population", "statistic", *names]
    ]


def draw(result: Drawable, *, ax: Axes | None = None, figure: AnyFigure | None = None) -> Drawn:
    """Draw one panel per statistic, layers from input to readout."""
    numbers = numbers_of(result, ANALYSIS, table)
    with page(ax, figure) as sheet:
        statistics = list(dict.fromkeys(numbers["statistic"]))
        columns = min(4, -(-len(statistics) // 2))
        axes = sheet.panels(-(-len(statistics) // columns), columns, height_mm=95)
        for ax in axes[len(statistics) :]:
            ax.set_visible(False)
        for ax, statistic in zip(axes, statistics, strict=False):
            rows = numbers[numbers["statistic"] == statistic].reset_index(drop=True)
            position = np.arange(len(rows))
            if "null" in rows:
                null = rows[["null", "null_minimum", "null_maximum"]].set_axis(["value", "low", "high"], axis=1)
                style: dict[str, Any] = {"marker": MARKERS["null"], "color": COLOURS["null"], "label": LABELS["null"]}
                points_with_intervals(ax, position + 0.13, null, **style)
            style = {"marker": MARKERS["trained"], "color": COLOURS["trained"], "label": LABELS["trained"]}
            points_with_intervals(ax, position - 0.13, rows, **style)
            ax.set_xticks(position, [layer_name(name) for name in rows["population"]])
            ax.set_xlim(-0.5, len(rows) - 0.5)
            ax.set_ylabel(PANELS[statistic])
            ax.margins(y=0.12)
            if statistic == "ei_ratio":
                ax.axhline(1, color=COLOURS["net"], linewidth=0.5, linestyle=":")
                ax.legend(loc="best")
            elif statistic == "balance_index" or statistic.endswith("_excess"):
                ax.axhline(0, color=COLOURS["net"], linewidth=0.5, linestyle=":")
        letters(axes[: len(statistics)])
    return sheet.drawn
