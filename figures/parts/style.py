"""One look for all figures: colours with fixed meaning, sizes in millimetres, panel letters."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import ArrayLike

__all__ = [
    "COLOURS",
    "LABELS",
    "MARKERS",
    "layer_name",
    "letters",
    "log_ticks",
    "points_with_intervals",
    "setting_shown",
    "study_sources",
]

COLOURS = {
    "exc": "#D55E00",  # excitation is warm
    "inh": "#0072B2",  # inhibition is cool
    "net": "#333333",
    "gain": "#009E73",
    "null": "#999999",  # untrained networks
    "trained": "#CC3311",
    "reference": "#0072B2",  # cortical circuits
    "accent": "#E69F00",
}
"""Okabe-Ito colours (safe for colour-blind readers); markers and line styles repeat what they say."""

MARKERS = {"trained": "o", "null": "s", "reference": "D"}

LABELS = {"trained": "trained", "null": "untrained (null)", "reference": "cortical circuit"}


def letters(axes: Sequence[Axes]) -> None:
    """Put bold panel letters a, b, c ... at the upper left of the axes."""
    for letter, ax in zip(ascii_lowercase[: len(axes)], axes, strict=True):
        ax.annotate(
            letter,
            (0, 1),
            xytext=(-22, 8),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=8,
            fontweight="bold",
            va="bottom",
        )


def points_with_intervals(
    ax: Axes, position: ArrayLike, rows: pd.DataFrame, *, horizontal: bool = False, joined: bool = False, **style: Any
) -> None:
    """Draw values with their intervals as the ends say, not as offsets.

    Parameters
    ----------
    ax : Axes
    position : array
        Where on the other axis.
    rows : DataFrame
        Columns ``value``, ``low``, ``high``.
    horizontal : bool
        Values on the x axis.
    joined : bool
        Join the values by a line.
    **style
        ``color``, ``marker``, ``label``, ... of the points.
    """
    position = np.asarray(position, dtype=float)
    # A percentile interval need not contain its estimate, so ends are drawn as they are.
    ends = np.stack([rows["low"], rows["high"], np.full(len(rows), np.nan)], axis=1).ravel()
    at = np.repeat(position, 3)
    bar = {"color": style.get("color"), "zorder": style.get("zorder", 2)}
    ax.plot(*((ends, at) if horizontal else (at, ends)), **bar)
    values = rows["value"].to_numpy()
    points = (values, position) if horizontal else (position, values)
    ax.plot(*points, **{"linestyle": "-" if joined else "", **style})


def log_ticks(ax: Axes) -> None:
    """Make the x axis logarithmic, with plain numbers at 1, 2 and 5 of each decade."""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def layer_name(population: str) -> str:
    """Return the short name of a population for an axis, e.g. ``fc1`` for ``fc1/E``."""
    return population.removesuffix("/E")


def setting_shown(result: xr.Dataset, key: str) -> str | None:
    """Return the setting in which a study draws a statistic: images as trained, unless it needs a long recording."""
    value = result["value"].sel(statistic=key)
    held = value.notnull().any([dim for dim in value.dims if dim != "setting"])
    names = [str(name) for name in result["setting"].values[held.values]]
    return next((name for name in names if name.startswith("constant")), names[0] if names else None)


def study_sources(result: xr.Dataset) -> tuple[str, str]:
    """Return, for the caption of a study's figure, the samples of every setting and the references."""
    settings = "; ".join(
        f"{name}: {n} samples"
        for name, n in zip(result["setting"].values, np.ravel(result.attrs["n_samples"]), strict=True)
    )
    references = (
        "Dotted lines: excitatory populations of models of cortex, where the statistic can be compared "
        f"({', '.join(map(str, result['reference'].values))}). "
        if result.sizes["reference"]
        else ""
    )
    return settings, references
