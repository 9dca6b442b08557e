"""One question of a report: its sentence, figures, tables, and what can be looked at interactively."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import xarray as xr

from eiplatform.analyses import Result, Table
from eiplatform.analyses.parts.analysis import read_with_care
from eiplatform.analyses.parts.cells import VERDICTS
from eiplatform.analyses.parts.headlines import plain
from eiplatform.figures import SavedFigure, find_figure, origin_of_picture
from eiplatform.figures.grammar.colours import THEMES, layer_colours, theme
from eiplatform.report.interactive import widget_of
from eiplatform.report.widgets import Widget
from eiplatform.store.identity import result_hash
from eiplatform.svg import inline_svg

__all__ = ["Cell", "Picture", "Section", "Shown", "cells_of", "colours_of", "drawn", "section_of"]

MOST_LAYERS = 40
"""Layers whose colours follow the theme."""


@dataclass(frozen=True)
class Picture:
    """A figure of a page.

    Attributes
    ----------
    id, name, svg, alt, caption, question : str
    csv : str
        Where the numbers drawn are, from the page; empty if nowhere.
    numbers : str
        The same as CSV, to stand within the page.
    code : str
        What draws it again.
    """

    id: str
    name: str
    svg: str
    alt: str
    caption: str
    question: str
    csv: str
    numbers: str
    code: str


@dataclass(frozen=True)
class Cell:
    """A cell of a table: lines of text, and the verdict among them."""

    lines: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Shown:
    """A table of a page.

    Attributes
    ----------
    title, note : str
    columns : sequence of str
    rows : sequence of sequence of Cell
    groups : dict of str to list of int
        Rows by what they have in common, where each gets one line, e.g. a reason.
    """

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    groups: Mapping[str, Sequence[int]]

    def at(self, places: Sequence[int]) -> list[Sequence[Cell]]:
        """Return some of the rows."""
        return [self.rows[place] for place in places]

    def names(self, places: Sequence[int]) -> str:
        """Return what stands first in some of the rows."""
        return ", ".join(row[0].lines[0][0] for row in self.at(places))


@dataclass(frozen=True)
class Section:
    """What a page says of one result.

    Attributes
    ----------
    id, title, of : str
        The question, and what was analysed where several results answer it.
    findings : list of (sentence, how it was found)
    pictures : list of Picture
    tables : list of Shown
    widget : Widget or None
    """

    id: str
    title: str
    of: str
    findings: Sequence[tuple[str, str]]
    pictures: Sequence[Picture]
    tables: Sequence[Shown]
    widget: Widget | None


def section_of(key: str, result: Result, figures: Mapping[str, SavedFigure], base: Path, *, file: str = "") -> Section:
    """Return the section of a result.

    Parameters
    ----------
    key : str
        Name of the result.
    result : Result
    figures : mapping of str to SavedFigure
        What to show of it, by the name of the figure.
    base : Path
        Folder of the page.
    file : str
        Of the result, from the page, if it is there.
    """
    found = [plain(finding) for finding in result.findings()]
    with read_with_care(result.data):
        widget = widget_of(key, result)
    return Section(
        id=key,
        title=result.analysis.question,
        of=str(result.data.attrs.get("label", "")),
        findings=[(headline.text, headline.how) for headline in found],
        pictures=[_picture(key, name, result, saved, base, file) for name, saved in figures.items()],
        tables=[_table(table) for table in result.tables()],
        widget=widget,
    )


def _picture(key: str, name: str, result: Result, saved: SavedFigure, base: Path, file: str) -> Picture:
    where = saved.csv.resolve()
    csv = where.relative_to(base.resolve()).as_posix() if where.is_relative_to(base.resolve()) else ""
    code = f'import eiplatform as ei\n\nresult = ei.open("{file or f"{key}.nc"}")\nfigure = result.plot("{name}")\n'
    code += f'figure.savefig("{name}.pdf")'
    id = f"{key}-{name}"
    module, title = find_figure(name), name.replace("_", " ")
    with read_with_care(result.data):
        alt = module.alt(result.data) if hasattr(module, "alt") else title
        caption = module.caption(result.data)
        numbers = str(module.table(result.data).to_csv(index=False))
    return Picture(
        id,
        title,
        drawn(name, result, id, alt=alt, file=saved.png.with_suffix(".svg")),
        alt,
        caption,
        getattr(module, "QUESTION", ""),
        csv,
        numbers,
        code,
    )


def drawn(
    name: str, result: Result, id: str, *, alt: str = "", statistics: Sequence[str] = (), file: Path | None = None
) -> str:
    """Return a figure as SVG in the colours of the page.

    Parameters
    ----------
    name : str
        Of the figure.
    result : Result
    id : str
        Of the picture on the page.
    alt : str
    statistics : sequence of str
        Draw these alone.
    file : Path, optional
        An SVG of the figure, taken if it is of this very result, and on white paper.
    """
    data = result.data.sel(statistic=list(statistics)) if statistics else result.data
    figure: Any = _read(file, data) if file else None
    if figure is None:
        with read_with_care(result.data):
            figure = find_figure(name).draw(data)
    return inline_svg(figure, id, alt=alt, described_by=f"{id}-caption", colours=colours_of())


def _read(file: Path, data: xr.Dataset) -> str | None:
    """Return an SVG if it says that it is of this result, and is on white paper."""
    if not file.is_file() or result_hash(data) not in origin_of_picture(file).get("result", ""):
        return None
    text = file.read_text(encoding="utf-8")
    return None if THEMES["slide"]["paper"].lower() in text else text


@cache
def colours_of(name: str = "") -> dict[str, str]:
    """Return what stands for the colours of figures: variables of the page, or their values in a theme.

    Parameters
    ----------
    name : {"", "paper", "slide"}

    Examples
    --------
    >>> colours_of()["#d55e00"], colours_of("slide")["#d55e00"]
    ('var(--d55e00)', '#FF9248')
    """
    pairs = [(THEMES["paper"][key], THEMES[name or "paper"][key]) for key in THEMES["paper"]]
    for n in range(1, MOST_LAYERS):
        with theme("paper"):
            light = layer_colours(n)
        with theme(name or "paper"):
            pairs += zip(light, layer_colours(n), strict=True)
    return {light.lower(): there if name else f"var(--{light[1:].lower()})" for light, there in pairs}


def _table(table: Table) -> Shown:
    groups: dict[str, list[int]] = {}
    kept = [place for place, column in enumerate(table.columns) if column != "reason"]
    if len(kept) < len(table.columns):
        for index, row in enumerate(table.rows):
            groups.setdefault(row[table.columns.index("reason")], []).append(index)
    rows = [[cells_of(str(row[place])) for place in kept] for row in table.rows]
    return Shown(table.title, table.note, [str(table.columns[place]) for place in kept], rows, groups)


def cells_of(text: str) -> Cell:
    r"""Return the lines of a cell, each with the class of its verdict if it is one.

    Examples
    --------
    >>> cells_of("0.5 [0.4, 0.6]\nsmall difference (distribution, not mean)").lines
    [('0.5 [0.4, 0.6]', ''), ('small difference (distribution, not mean)', 'small-difference')]
    """
    return Cell([(line, _verdict(line)) for line in text.split("\n")])


def _verdict(line: str) -> str:
    word = line.split(" (")[0]
    return word.replace(" ", "-") if word in VERDICTS else ""


def used_colours(texts: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return the colours that texts name as variables, each on paper and on a slide."""
    light, dark = colours_of("paper"), colours_of("slide")
    whole = "".join(texts)
    return {name[1:]: (light[name], dark[name]) for name in light if f"var(--{name[1:]})" in whole}
