"""What figures are made of: raw points beneath a mean with its interval, bands of nulls and references, baselines."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import ArrayLike

from eiplatform.figures.grammar.colours import colour
from eiplatform.figures.grammar.look import named
from eiplatform.svg import hover_id

__all__ = [
    "baseline",
    "cloud",
    "count",
    "intervals",
    "key",
    "layer_axis",
    "letters",
    "log_axis",
    "null_band",
    "percent_points",
    "reference_band",
    "strip",
    "thinned",
]

SMALL = 5
"""Size in points of counts and notes."""


def letters(axes: Sequence[Axes]) -> None:
    """Put bold panel letters a, b, c ... at the upper left of the axes."""
    for letter, ax in zip(ascii_lowercase[: len(axes)], axes, strict=True):
        ax.annotate(
            letter,
            (0, 1),
            xytext=(-24, 4),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=8,
            fontweight="bold",
            va="bottom",
        )


def count(ax: Axes, text: str) -> None:
    """Say n and what was left out, small, above the axes on the right."""
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "right", "va": "bottom"}
    ax.annotate(text, (1, 1), xytext=(0, 2), fontsize=SMALL, color=colour("faint"), linespacing=1.1, **place)


def key(label: str, **style: Any) -> Line2D:
    """Return an entry of a legend for a mark that several panels share."""
    return Line2D([], [], label=label, **{"color": colour("ink"), "linestyle": "", **style})


def intervals(
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
    bar = {"color": style.get("color"), "zorder": style.get("zorder", 3), "linewidth": 1.0}
    ax.plot(*((ends, at) if horizontal else (at, ends)), **bar)
    values = rows["value"].to_numpy()
    points = (values, position) if horizontal else (position, values)
    (drawn,) = ax.plot(*points, **{"linestyle": "-" if joined else "", "zorder": 3, **style})
    drawn.set_gid(hover_id(_told(rows, str(style.get("label") or ""))))


def _told(rows: pd.DataFrame, of: str) -> list[str]:
    """Return what a value says when a pointer rests on it: whose it is, the value and its interval."""
    who = rows["population"].astype(str) if "population" in rows else [""] * len(rows)
    cells = zip(who, rows["value"], rows["low"], rows["high"], strict=True)
    return [
        f"{', '.join(filter(None, (of, named(name))))}: {value:.3g}".removeprefix(": ")
        + (f" [{low:.3g}, {high:.3g}]" if np.isfinite([low, high]).all() else "")
        for name, value, low, high in cells
        if np.isfinite(value)
    ]


def thinned(values: ArrayLike, most: int) -> np.ndarray:
    """Thin finite values to a largest number, evenly over their ranks: the extremes stay.

    Examples
    --------
    >>> thinned([5.0, 1.0, 4.0, 2.0, 3.0], 3).tolist()
    [1.0, 3.0, 5.0]
    """
    finite: np.ndarray = np.sort(np.ravel(values)[np.isfinite(np.ravel(values).astype(float))])
    places = np.linspace(0, len(finite) - 1, most).round().astype(int) if len(finite) > most else slice(None)
    shown: np.ndarray = finite[places]
    return shown


def strip(
    ax: Axes,
    at: float,
    values: ArrayLike,
    *,
    horizontal: bool = False,
    most: int = 120,
    width: float = 0.3,
    **style: Any,
) -> int:
    """Draw raw values as small points beside each other, and return how many are drawn.

    Parameters
    ----------
    ax : Axes
    at : float
        Where on the other axis.
    values : array
    horizontal : bool
        Values on the x axis.
    most : int
        More are thinned evenly over their ranks, which the caller says in the caption.
    width : float
        Over which points are spread.
    **style
        Of the points.
    """
    shown = thinned(values, most)
    golden = (np.arange(len(shown)) * 0.6180339887) % 1.0  # spreads evenly, the same each time
    place = at + width * (golden - 0.5)
    look: dict[str, Any] = {"marker": ".", "linestyle": "", "markersize": 1.6, "markeredgewidth": 0, "zorder": 1.5}
    ax.plot(*((shown, place) if horizontal else (place, shown)), **{**look, **style})
    return len(shown)


def cloud(ax: Axes, at: float, values: ArrayLike, *, height: float = 0.4, log: bool = False, **style: Any) -> None:
    """Draw the density of values as a half violin that stands on `at`; values on the x axis.

    Parameters
    ----------
    ax : Axes
    at : float
    values : array
    height : float
        Of its highest point.
    log : bool
        The density is of the logarithm, for a logarithmic axis.
    **style
        Of the area.
    """
    held = np.ravel(values)[np.isfinite(np.ravel(values))]
    held = np.log10(held[held > 0]) if log else held
    if len(held) < 5 or np.ptp(held) == 0:
        return
    width = 1.06 * held.std() * len(held) ** -0.2
    grid = np.linspace(held.min(), held.max(), 120)  # not beyond the data: a rate is never below zero
    density = np.exp(-0.5 * ((grid[:, None] - held[None]) / width) ** 2).sum(axis=1)
    where = 10**grid if log else grid
    ax.fill_between(where, at, at + height * density / density.max(), **{"linewidth": 0, "zorder": 1, **style})


def null_band(ax: Axes, at: ArrayLike, low: ArrayLike, high: ArrayLike, mean: ArrayLike, *, width: float = 0.7) -> None:
    """Draw the range of a null as a grey box at each position, with its mean as a line.

    Parameters
    ----------
    ax : Axes
    at, low, high, mean : array
    width : float
        Of a box.
    """
    rows = zip(np.ravel(at), np.ravel(low), np.ravel(high), np.ravel(mean), strict=True)
    for index, (place, bottom, top, middle) in enumerate(rows):
        if not np.isfinite(bottom):
            continue
        label: dict[str, Any] = {"label": "untrained (null): range and mean"} if index == 0 else {}
        box = Rectangle((place - width / 2, bottom), width, top - bottom, facecolor=colour("band"), zorder=0.8, **label)
        ax.add_patch(box)
        ax.plot([place - width / 2, place + width / 2], [middle] * 2, color=colour("null"), linewidth=0.8, zorder=0.9)
        ax.update_datalim([(place, bottom), (place, top)])


def reference_band(
    ax: Axes,
    low: float,
    high: float,
    *,
    value: float = np.nan,
    kind: str = "circuit",
    label: str = "",
    axis: str = "y",
) -> None:
    """Draw a reference as a band across the axes; measured cortex is hatched, a model circuit plain.

    Parameters
    ----------
    ax : Axes
    low, high : float
    value : float
        Drawn as a line in the band.
    kind : {"circuit", "cortex"}
    label : str
    axis : {"y", "x"}
        Along which its values lie.
    """
    ink = colour(kind)
    style: dict[str, Any] = {"facecolor": ink, "alpha": 0.3, "edgecolor": "none", "zorder": 0.5, "label": label or None}
    if kind == "cortex":
        style |= {"alpha": 0.55, "hatch": "////", "edgecolor": colour("paper"), "linewidth": 0}
    (ax.axhspan if axis == "y" else ax.axvspan)(low, high, **style)
    if np.isfinite(value):
        (ax.axhline if axis == "y" else ax.axvline)(value, color=ink, linewidth=0.6, zorder=0.55)


def baseline(ax: Axes, value: float, text: str = "", *, axis: str = "y") -> None:
    """Draw a line of comparison, e.g. E/I = 1 or chance, named outside the data.

    Parameters
    ----------
    ax : Axes
    value : float
    text : str
        At the end of the line.
    axis : {"y", "x"}
        Along which its value lies.
    """
    style: dict[str, Any] = {"color": colour("faint"), "linewidth": 0.6, "linestyle": (0, (1, 1.5)), "zorder": 0.7}
    (ax.axhline if axis == "y" else ax.axvline)(value, **style)
    if text:
        side: dict[str, Any] = {"ha": "left", "va": "center", "xytext": (2, 0), "xycoords": ("axes fraction", "data")}
        if axis == "x":
            side = {"ha": "center", "va": "bottom", "xytext": (0, 1), "xycoords": ("data", "axes fraction")}
        place = (1.0, value) if axis == "y" else (value, 1.0)
        ax.annotate(text, place, textcoords="offset points", fontsize=SMALL, color=colour("faint"), **side)


def layer_axis(ax: Axes, names: Sequence[str]) -> None:
    """Name the layers below the x axis, the first at 0; a readout stands apart behind a line."""
    ax.set_xticks(range(len(names)), [fill(name, 9, break_long_words=False) for name in names])
    ax.set_xlim(-0.6, len(names) - 0.4)
    ax.tick_params(axis="x", length=0)
    if len(names) > 7:  # a deep network
        ax.tick_params(axis="x", rotation=90, labelsize=SMALL)
    if len(names) > 1 and names[-1].casefold().startswith("readout"):
        ax.axvline(len(names) - 1.5, color=colour("faint"), linewidth=0.4, zorder=0.6)


def percent_points(axis: Axis) -> None:
    """Write shares on an axis as points of per cent."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}".replace("-", "\N{MINUS SIGN}")))


def log_axis(ax: Axes, axis: str = "x") -> None:
    """Make an axis logarithmic, with plain numbers: at decades, at 1, 2 and 5 of each, or evenly over a short range.

    Parameters
    ----------
    ax : Axes
        With the data drawn, whose range decides.
    axis : {"x", "y"}
    """
    (ax.set_xscale if axis == "x" else ax.set_yscale)("log")
    own = ax.xaxis if axis == "x" else ax.yaxis
    low, high = ax.get_xlim() if axis == "x" else ax.get_ylim()
    span = high / max(low, 1e-300)
    subs = (1.0,) if span > 200 else (1.0, 2.0, 5.0)
    own.set_major_locator(MaxNLocator(4) if span < 8 else LogLocator(subs=subs, numticks=12))
    own.set_major_formatter(FuncFormatter(lambda value, _: np.format_float_positional(value, precision=12, trim="-")))
    own.set_minor_locator(NullLocator() if span < 8 else LogLocator(subs="auto", numticks=12))
    own.set_minor_formatter(NullFormatter())
