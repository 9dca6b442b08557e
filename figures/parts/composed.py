"""Several figures on one page of a journal: panel letters, one legend, one width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import Any

import xarray as xr

from eiplatform.analyses import Result
from eiplatform.errors import ConfigError, choose
from eiplatform.figures.grammar import current_theme, look, style
from eiplatform.figures.parts.finding import figure_names, find_figure
from eiplatform.figures.parts.origin import told
from eiplatform.figures.parts.page import WIDTHS_MM, PaperFigure, dataset_of, legend_below
from eiplatform.store.identity import origin

__all__ = ["MOST_MM", "Composed", "compose"]

MOST_MM = 240.0
"""Height of a journal's page; what is higher is made lower."""


class Composed(PaperFigure):
    """A composed figure.

    Attributes
    ----------
    parts : dict of str to (str, xarray.Dataset)
        By panel letter: the figure's name and the result that it draws.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.parts: dict[str, tuple[str, xr.Dataset]] = {}

    def origin(self, kind: str, title: str, how: str) -> dict[str, str | None]:
        """Return the metadata with which the picture names all its results and recordings."""
        held = {about["result_sha256"]: about for about in (origin(data) for _, data in self.parts.values())}
        made = "; ".join(f"{about['result']}, sha256 {digest}" for digest, about in held.items())
        named = [one for about in held.values() for one in about.get("recordings", "not stated").split("; ")]
        return told(kind, title, made, "; ".join(dict.fromkeys(named)), how)

    def captions(self) -> dict[str, str]:
        """Return the caption of every panel by its letter."""
        return {letter: find_figure(name).caption(data) for letter, (name, data) in self.parts.items()}

    def tables(self) -> dict[str, Any]:
        """Return the numbers of every panel by its letter."""
        return {letter: find_figure(name).table(data) for letter, (name, data) in self.parts.items()}


def compose(
    layout: Sequence[Any],
    results: Any = None,
    *,
    width: str = "double",
    height_mm: float | None = None,
    labels: Mapping[str, str] | None = None,
    theme: str | None = None,
) -> Composed:
    """Put figures together on one page, with panel letters, one legend and the width of a journal.

    Parameters
    ----------
    layout : sequence
        Figures from left to right and from top to bottom.  Each is a name (``"raster"``), which draws the one result of
        its analysis; ``"raster@noisy"``, which draws the result of that name; or a pair of name and result.  A sequence
        within the sequence is a row; names that stand alone are put into rows by their own widths.
    results : Result, or mapping or sequence of them, optional
        What the names draw.
    width : {"single", "middle", "double"}
        89, 120 or 183 mm.
    height_mm : float, optional
        Default: as the figures need, at most :data:`MOST_MM`.
    labels : mapping of str to str, optional
        Names to put in the place of those of the results, e.g. ``{"fc1/E": "Layer 1"}``.
    theme : {"paper", "slide"}, optional
        White paper (default) or dark slides.

    Returns
    -------
    Composed
        A matplotlib Figure; ``parts`` says which letter is which figure.

    Raises
    ------
    UnknownNameError
        If no figure has a name of the layout.
    ConfigError
        If no result, or several, fit a name, or the layout is empty.

    Examples
    --------
    >>> import eiplatform as ei, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> own = ei.from_arrays(1 + rng.random((30, 80, 5)), rng.random((30, 80, 5)), rng.random((30, 80, 5)) < 0.2, dt=1)
    >>> results = [ei.analyse("correlogram", own, lags=5, n_bootstrap=20), ei.analyse("neurons", own, n_bootstrap=20)]
    >>> list(compose([["ei_correlogram"], ["ei_scatter"]], results).parts)
    ['a', 'b']
    """
    choose(width, WIDTHS_MM, "width", where="compose")
    held = _by_name(results)
    given = [[_cell(cell, held) for cell in _row(row)] for row in layout]
    if not any(given):
        raise ConfigError("the layout is empty", where="compose", valid="names of figures, in rows")
    with style(theme), look(labels=labels):
        sizes = {id(cell): _natural(cell) for row in given for cell in row}
        rows = _packed(layout, given, sizes, WIDTHS_MM[width])
        heights = [max(sizes[id(cell)][1] for cell in row) for row in rows]
        height = height_mm or min(sum(heights) + 4.0 * len(rows), MOST_MM)
        page = Composed(figsize=(WIDTHS_MM[width] / 25.4, height / 25.4), layout="constrained")
        page.theme = current_theme()
        _fill(page, rows, heights, sizes)
    names = [[name for name, _ in row] for row in rows]
    page.about = lambda kind: page.origin(kind, "composed", f"ei.figures.compose({names}, results)")
    return page


Cell = tuple[str, xr.Dataset]


def _fill(page: Composed, rows: list[list[Cell]], heights: list[float], sizes: dict[int, tuple[float, float]]) -> None:
    letters = iter(ascii_lowercase)
    lines = page.subfigures(len(rows), 1, height_ratios=heights, squeeze=False)[:, 0]
    handles: list[Any] = []
    for line, row in zip(lines, rows, strict=True):
        ratios = [sizes[id(cell)][0] for cell in row]
        places = line.subfigures(1, len(row), width_ratios=ratios, squeeze=False)[0]
        for place, (name, data) in zip(places, row, strict=True):
            letter = next(letters)
            page.parts[letter] = (name, data)
            place.suptitle(letter, x=0.0, ha="left", fontsize=8, fontweight="bold")
            with look(part=True, handles=[]) as now:
                find_figure(name).draw(data, figure=place)
                handles += now.handles
    unique = list({str(handle.get_label()): handle for handle in handles}.values())
    if unique:
        legend_below(page, unique)


def _row(row: Any) -> list[Any]:
    one = isinstance(row, str) or (isinstance(row, tuple) and len(row) == 2 and not isinstance(row[1], str))
    return [row] if one else list(row)


def _by_name(results: Any) -> dict[str, xr.Dataset]:
    if results is None:
        return {}
    if isinstance(results, Mapping):
        found = dict(results)
    else:
        several = results if isinstance(results, list | tuple) else [results]
        found = {f"{index}": result for index, result in enumerate(several)}
    return {name: result.data if isinstance(result, Result) else result for name, result in found.items()}


def _cell(cell: Any, results: Mapping[str, xr.Dataset]) -> Cell:
    """Return the name of a figure and what it draws."""
    if not isinstance(cell, str):
        name, result = cell
        module = find_figure(choose(name, figure_names(), "figure", where="compose"))
        return name, dataset_of(result, module.ANALYSIS)
    name, _, which = cell.partition("@")
    analysis = find_figure(choose(name, figure_names(), "figure", where="compose")).ANALYSIS
    fitting = {key: data for key, data in results.items() if data.attrs.get("analysis") == analysis}
    if which:
        return name, fitting[choose(which, fitting, f"result of '{analysis}'", where="compose")]
    if len(fitting) != 1:
        what = f"'{name}' draws the analysis '{analysis}', and {len(fitting)} of the results are of it"
        raise ConfigError(what, where="compose", valid="one result", remedy=f"name it: '{name}@RESULT'")
    return name, next(iter(fitting.values()))


def _natural(cell: Cell) -> tuple[float, float]:
    """Return width and height in mm that a figure takes by itself."""
    name, data = cell
    alone = find_figure(name).draw(data)
    return alone.get_figwidth() * 25.4, alone.get_figheight() * 25.4


def _packed(
    layout: Sequence[Any], given: list[list[Cell]], sizes: dict[int, tuple[float, float]], width: float
) -> list[list[Cell]]:
    """Return the rows: as given, or of names that stand alone as many as fit beside each other."""
    if any(len(_row(row)) > 1 or not isinstance(row, str | tuple) for row in layout):
        return [row for row in given if row]
    rows: list[list[Cell]] = []
    for (cell,) in given:
        used = sum(sizes[id(one)][0] for one in rows[-1]) if rows else width
        if used + sizes[id(cell)][0] <= width + 1:
            rows[-1].append(cell)
        else:
            rows.append([cell])
    return rows
