"""Where a figure is drawn: a page of its own, somebody's figure, or the place of somebody's axes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.style
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from eiplatform.analyses import Result
from eiplatform.analyses.parts.analysis import read_with_care
from eiplatform.errors import ConfigError, NotApplicableError

__all__ = ["AnyFigure", "Drawable", "Drawn", "Page", "dataset_of", "numbers_of", "page", "paper_style"]

AnyFigure = Figure | SubFigure
Drawn = Axes | Figure | SubFigure
"""What a figure returns: the axes that it was given, or the figure with its panels."""
Drawable = Result | xr.Dataset
"""What a figure draws: a result, or its Dataset."""

_WIDTHS_MM = {"single": 89.0, "double": 183.0}
_STYLE = Path(__file__).with_name("ei-paper.mplstyle")


def dataset_of(result: Drawable, analysis: str) -> xr.Dataset:
    """Return the Dataset of a result, once it is known to be of the analysis that a figure draws.

    Raises
    ------
    ConfigError
        If the result is of another analysis.
    """
    data = result.data if isinstance(result, Result) else result
    if data.attrs.get("analysis") != analysis:
        raise ConfigError(
            f"this figure draws the analysis '{analysis}', the result is of '{data.attrs.get('analysis')}'",
            remedy=f"make it with 'eiplatform analyse {analysis}'",
        )
    return data


def numbers_of(result: Drawable, analysis: str, table: Callable[[xr.Dataset], pd.DataFrame]) -> pd.DataFrame:
    """Return the numbers that a figure draws.

    Parameters
    ----------
    result : Result or Dataset
    analysis : str
        That the figure draws.
    table : callable
        Of the figure.

    Raises
    ------
    ConfigError
        If the result is of another analysis.
    NotApplicableError
        If the result holds nothing that the figure draws.
    """
    data = dataset_of(result, analysis)
    with read_with_care(data):
        numbers = table(data)
    if numbers.empty:
        raise NotApplicableError("this result holds nothing that the figure draws", where=analysis)
    return numbers


@contextmanager
def paper_style() -> Iterator[None]:
    """Let matplotlib use the paper style for a while."""
    with mpl.style.context(str(_STYLE)):
        yield


class Page:
    """What a figure is drawn on; :func:`page` gives one.

    Attributes
    ----------
    drawn : Axes, Figure or SubFigure
        What was drawn on.
    """

    def __init__(self, ax: Axes | None, figure: AnyFigure | None) -> None:
        if ax is not None and figure is not None:
            raise ConfigError("both axes and a figure were given", where="ax, figure", valid="one of them, or neither")
        for name, given, kind in (("ax", ax, Axes), ("figure", figure, Figure | SubFigure)):
            if given is not None and not isinstance(given, kind):
                what = f"an object of the type {type(given).__name__} cannot be drawn on"
                raise ConfigError(what, where=name, valid=f"a matplotlib {name}, or none for a new one")
        self._ax, self._figure, self._axes = ax, figure, list[Axes]()

    @property
    def drawn(self) -> Drawn:
        """Return what was drawn on."""
        drawn = self._ax or self._figure
        assert drawn is not None
        return drawn

    def panels(self, rows: int, columns: int, *, width: str = "double", height_mm: float = 60.0) -> list[Axes]:
        """Make a grid of panels and return them row by row.

        Parameters
        ----------
        rows, columns : int
        width : {"single", "double"}
            Of a page of its own: one or two columns of a journal (89 or 183 mm).
        height_mm : float
            Of a page of its own.

        Raises
        ------
        ConfigError
            If several panels have to stand in the place of axes that belong to no grid.
        """
        if self._ax is not None:
            if rows * columns == 1:
                self._axes = [self._ax]
                return self._axes
            place, parent = self._ax.get_subplotspec(), self._ax.figure
            if place is None or parent is None:
                raise ConfigError(
                    f"{rows * columns} panels do not fit into these axes, which belong to no grid",
                    where="ax",
                    remedy=("give axes made by plt.subplots", "give figure=..."),
                )
            self._ax.remove()
            self._ax, self._figure = None, parent.add_subfigure(place)
        elif self._figure is None:
            size = (_WIDTHS_MM[width] / 25.4, height_mm / 25.4)
            self._figure = Figure(figsize=size, layout="constrained")
        self._axes = list(self._figure.subplots(rows, columns, squeeze=False).flat)
        return self._axes

    def legend(self, *args: Any, **options: Any) -> None:
        """Put a legend next to the panels; of a single panel that was given, into it."""
        if self._figure is None:
            options = {name: value for name, value in options.items() if name != "loc"}
            self._axes[0].legend(*args, **options)
        else:
            self._figure.legend(*args, **options)

    def keep(self) -> None:
        """Let the ticks keep the style: matplotlib makes them when it draws, with what holds then."""
        for ax in self._axes:
            for axis in (ax.xaxis, ax.yaxis):
                axis.get_major_ticks(1)
                axis.get_minor_ticks(1)


@contextmanager
def page(ax: Axes | None = None, figure: AnyFigure | None = None) -> Iterator[Page]:
    """Give a page in the paper style, which is undone afterwards.

    Parameters
    ----------
    ax : Axes, optional
        A figure of one panel is drawn into them; several panels take their place.
    figure : Figure or SubFigure, optional
        Gets the panels; default: a figure of its own, in a journal's width.

    Examples
    --------
    >>> with page() as sheet:
    ...     (panel,) = sheet.panels(1, 1, width="single")
    ...     _ = panel.plot([1, 2], [3, 4])
    >>> round(sheet.drawn.get_figwidth() * 25.4)
    89
    """
    if "IPython" in sys.modules:  # only then a notebook knows how to show a figure
        import matplotlib.pyplot  # noqa: F401
    with paper_style():
        sheet = Page(ax, figure)
        yield sheet
        sheet.keep()
