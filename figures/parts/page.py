"""Where a figure is drawn: a page of its own, somebody's figure, or the place of somebody's axes.

:func:`drawing` makes the ``draw(result, *, ax, figure, labels, theme)`` of a figure out of what fills a page.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from eiplatform.analyses import Result
from eiplatform.analyses.parts.analysis import read_with_care
from eiplatform.errors import ConfigError, NotApplicableError
from eiplatform.figures.grammar import current_theme, letters, look, now, style
from eiplatform.figures.parts.origin import embedded

__all__ = [
    "WIDTHS_MM",
    "AnyFigure",
    "Draw",
    "Drawable",
    "Drawn",
    "Page",
    "PaperFigure",
    "columns_of",
    "dataset_of",
    "drawing",
    "legend_below",
    "numbers_of",
    "page",
]

AnyFigure = Figure | SubFigure
Drawn = Axes | Figure | SubFigure
"""What a figure returns: the axes that it was given, or the figure with its panels."""
Drawable = Result | xr.Dataset
"""What a figure draws: a result, or its Dataset."""

WIDTHS_MM = {"single": 89.0, "middle": 120.0, "double": 183.0}
"""Widths of figures in journals: one column, one and a half, two."""


class Draw(Protocol):
    """What draws a figure."""

    def __call__(
        self,
        result: Drawable,
        *,
        ax: Axes | None = None,
        figure: AnyFigure | None = None,
        labels: Mapping[str, str] | None = None,
        theme: str | None = None,
    ) -> Drawn:
        """Draw a result."""


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


def columns_of(n: int, most: int = 4) -> int:
    """Return in how many columns `n` panels stand, so that rows are about equally long.

    Examples
    --------
    >>> [columns_of(n) for n in (1, 4, 5, 7, 9)]
    [1, 4, 3, 4, 3]
    """
    return -(-n // -(-n // most))


def legend_below(figure: AnyFigure, handles: Sequence[Any], columns: int | None = None) -> None:
    """Put a legend below the panels, which reads row by row."""
    columns = columns or columns_of(len(handles), 5)
    read = [handle for place in range(columns) for handle in handles[place::columns]]  # matplotlib fills columns
    figure.legend(handles=read, loc="outside lower center", ncols=columns)


class PaperFigure(Figure):
    """A figure that keeps the style of print, its theme and what it was made from when it is saved."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.theme = current_theme()
        self.about: Callable[[str], dict[str, str | None]] | None = None

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save the figure; see :meth:`matplotlib.figure.Figure.savefig`."""
        kind = str(options.get("format") or str(fname).rpartition(".")[2]).lower()
        if self.about is not None and "metadata" not in options and kind in ("png", "pdf", "svg"):
            options["metadata"] = self.about(kind)
        with style(self.theme):
            super().savefig(fname, **options)


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

    def panels(
        self, rows: int, columns: int, *, width: str | None = None, height_mm: float = 60.0, **grid: Any
    ) -> list[Axes]:
        """Make a grid of panels and return them row by row.

        Parameters
        ----------
        rows, columns : int
        width : {"single", "middle", "double"}, optional
            Of a page of its own: a width of journals (89, 120 or 183 mm); default: by the number of columns.
        height_mm : float
            Of a page of its own.
        **grid
            As of :meth:`matplotlib.figure.Figure.subplots`, e.g. ``sharey`` or ``width_ratios``.

        Raises
        ------
        ConfigError
            If several panels have to stand in the place of axes that belong to no grid.
        """
        if self._ax is not None and rows * columns == 1:
            self._axes = [self._ax]
            return self._axes
        width = width or {1: "single", 2: "middle"}.get(columns, "double")
        self._axes = list(
            self.sheet(width, height_mm, rows * columns).subplots(rows, columns, squeeze=False, **grid).flat
        )
        return self._axes

    def wrapped(self, n: int, *, head_mm: float, panel_mm: float, columns: int = 4, **grid: Any) -> list[Axes]:
        """Make `n` panels in rows of equal length, and return them row by row.

        Parameters
        ----------
        n : int
        columns : int
            At most; see :func:`columns_of`.
        head_mm, panel_mm : float
            Height of a page of its own: what it needs once, and every row of panels.
        **grid
            As of :meth:`panels`.
        """
        columns = columns_of(n, columns)
        rows = -(-n // columns)
        axes = self.panels(rows, columns, height_mm=head_mm + panel_mm * rows, **grid)
        for empty in axes[n:]:
            empty.set_axis_off()
        return axes[:n]

    def sheet(self, width: str, height_mm: float, panels: int = 2) -> AnyFigure:
        """Return the figure to draw on: that which was given, a new one, or one in the place of the axes given."""
        if self._ax is not None:
            place, parent = self._ax.get_subplotspec(), self._ax.figure
            if place is None or parent is None:
                raise ConfigError(
                    f"{panels} panels do not fit into these axes, which belong to no grid",
                    where="ax",
                    remedy=("give axes made by plt.subplots", "give figure=..."),
                )
            self._ax.remove()
            self._ax, self._figure = None, parent.add_subfigure(place)
        elif self._figure is None:
            size = (WIDTHS_MM[width] / 25.4, height_mm / 25.4)
            self._figure = PaperFigure(figsize=size, layout="constrained")
        return self._figure

    def letters(self, axes: Sequence[Axes]) -> None:
        """Letter the panels, unless there is one, or the figure is part of a composed one."""
        if len(axes) > 1 and not now().part:
            letters(axes)

    def legend(
        self, handles: Sequence[Any] | None = None, *, also: Sequence[Any] = (), columns: int | None = None
    ) -> None:
        """Put the one legend outside the data: below the panels; of axes that were given, above them.

        Parameters
        ----------
        handles : sequence of artist, optional
            Default: what is labelled in the panels, each label once.
        also : sequence of artist
            Further entries.
        columns : int, optional
        """
        if handles is None:
            found = [handle for ax in self._axes for handle in ax.get_legend_handles_labels()[0]]
            handles = list({str(handle.get_label()): handle for handle in found}.values())
        handles = [*handles, *also]
        if now().part:
            now().handles.extend(handles)
        elif handles and self._figure is not None:
            legend_below(self._figure, handles, columns)
        elif handles:
            where: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1.06), "borderaxespad": 0}
            self._axes[0].legend(handles=handles, ncols=columns or min(len(handles), 3), **where)

    def keep(self) -> None:
        """Let the ticks keep the style: matplotlib makes them when it draws, with what holds then."""
        for ax in self._axes:
            for axis in (ax.xaxis, ax.yaxis):
                axis.get_major_ticks(1)
                axis.get_minor_ticks(1)


@contextmanager
def page(
    ax: Axes | None = None,
    figure: AnyFigure | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    theme: str | None = None,
) -> Iterator[Page]:
    """Give a page in the style of print, which is undone afterwards.

    Parameters
    ----------
    ax : Axes, optional
        A figure of one panel is drawn into them; several panels take their place.
    figure : Figure or SubFigure, optional
        Gets the panels; default: a figure of its own, in a journal's width.
    labels : mapping of str to str, optional
        Names to put in the place of those of the result, e.g. ``{"fc1/E": "Layer 1"}``.
    theme : {"paper", "slide"}, optional
        White paper (default) or dark slides.

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
    with style(theme), look(labels=labels):
        sheet = Page(ax, figure)
        yield sheet
        sheet.keep()


def drawing(fill: Callable[[Page, pd.DataFrame, xr.Dataset], None]) -> Draw:
    """Make the ``draw`` of a figure out of a function that fills a page with the numbers of its table.

    Parameters
    ----------
    fill : callable
        Called with the page, the numbers that ``table`` of its module gives, and the Dataset of the result.
    """
    home = sys.modules[fill.__module__]

    def draw(
        result: Drawable,
        *,
        ax: Axes | None = None,
        figure: AnyFigure | None = None,
        labels: Mapping[str, str] | None = None,
        theme: str | None = None,
    ) -> Drawn:
        numbers = numbers_of(result, home.ANALYSIS, home.table)
        with page(ax, figure, labels=labels, theme=theme) as sheet:
            fill(sheet, numbers, dataset_of(result, home.ANALYSIS))
        name = home.__name__.rpartition(".")[2]
        if isinstance(sheet.drawn, PaperFigure) and sheet.drawn.about is None:
            sheet.drawn.about = lambda kind: embedded(name, dataset_of(result, home.ANALYSIS), kind)
        return sheet.drawn

    draw.__doc__ = f"{fill.__doc__}\n\n{_OPTIONS}"
    draw.__module__, draw.__qualname__ = fill.__module__, "draw"
    return draw


_OPTIONS = """Parameters
----------
result : Result or xarray.Dataset
    Of the analysis that the figure draws.
ax : matplotlib.axes.Axes, optional
    A figure of one panel is drawn into them; several panels take their place.
figure : Figure or SubFigure, optional
    Gets the panels; default: a figure of its own, in a journal's width.
labels : mapping of str to str, optional
    Names to put in the place of those of the result, e.g. ``{"fc1/E": "Layer 1"}``.
theme : {"paper", "slide"}, optional
    White paper (default) or dark slides.

Returns
-------
matplotlib.axes.Axes or matplotlib.figure.Figure
"""
