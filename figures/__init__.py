"""Figures: one module per figure; each draws a result and computes nothing.

A figure module has

``ANALYSIS``
    name of the analysis whose result it draws;
``QUESTION``
    what it answers, as a sentence;
``caption(result)``
    what is shown, in at most 100 words: n, interval, exclusions;
``alt(result)``
    a sentence for those who do not see it;
``table(result)``
    the numbers drawn, as a tidy :class:`pandas.DataFrame` (stored with the figure); empty: nothing to draw;
``draw(result, *, ax=None, figure=None, labels=None, theme=None)``
    draws that table, in the style of print, and returns the Axes or the Figure;
    :func:`~eiplatform.figures.parts.page.drawing` makes it.

It is found by the name of its module; nothing else has to name it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from eiplatform.analyses import Result
from eiplatform.analyses.parts.analysis import read_with_care
from eiplatform.callable import make_callable
from eiplatform.figures.parts.finding import figure_names, find_figure
from eiplatform.figures.parts.origin import embedded, origin_of_picture
from eiplatform.store.identity import origin

__all__ = ["SavedFigure", "compose", "embedded", "figure_names", "find_figure", "origin_of_picture", "save"]


@dataclass(frozen=True)
class SavedFigure:
    """Files of one figure.

    Attributes
    ----------
    name : str
    png, pdf, csv : Path
        The picture twice, and the numbers drawn.
    caption : str
        In at most 100 words: what is shown, n, intervals, exclusions.
    question : str
        What the figure answers.
    alt : str
        A sentence for those who do not see it.
    """

    name: str
    png: Path
    pdf: Path
    csv: Path
    caption: str
    question: str = ""
    alt: str = ""


def save(
    name: str,
    result: Result | xr.Dataset,
    directory: Path,
    *,
    stem: str | None = None,
    svg: bool = False,
    labels: Mapping[str, str] | None = None,
    theme: str | None = None,
) -> SavedFigure:
    """Draw one figure and write PNG, PDF and the numbers as CSV; each names the result, the recordings and the command.

    Beside the CSV lies ``<name>.csv-metadata.json``, which says where its numbers came from.

    Parameters
    ----------
    name : str
        One of :func:`figure_names`.
    result : Result or xarray.Dataset
        Of the analysis that the figure draws.
    directory : Path
        Created if needed.
    stem : str, optional
        Name of the files; default: `name`.
    svg : bool
        Write an SVG too.
    labels : mapping of str to str, optional
        Names to put in the place of those of the result.
    theme : {"paper", "slide"}, optional
        White paper (default) or dark slides.

    Raises
    ------
    UnknownNameError
        If no figure has that name.
    ConfigError
        If the result is of another analysis.
    NotApplicableError
        If the result holds nothing that the figure draws.
    """
    from eiplatform.files import atomic_write
    from eiplatform.store.csvw import write_sidecar

    module = find_figure(name)
    from eiplatform.figures.grammar import look, style
    from eiplatform.figures.parts.page import dataset_of, numbers_of
    from eiplatform.figures.parts.printing import write_files

    data = dataset_of(result, module.ANALYSIS)
    numbers = numbers_of(data, module.ANALYSIS, module.table)
    with style(theme), look(labels=labels), read_with_care(data):  # it decides on the files too, e.g. on the resolution
        drawn = module.draw(data)
        caption = module.caption(data)
        alt = module.alt(data) if hasattr(module, "alt") else ""
        directory.mkdir(parents=True, exist_ok=True)
        files = {suffix: directory / f"{stem or name}.{suffix}" for suffix in ("png", "pdf", "csv", "svg")}
        pictures = {kind: files[kind] for kind in ("png", "pdf", *(["svg"] if svg else []))}
        write_files(drawn, pictures, lambda kind: embedded(name, data, kind, stem=stem, directory=directory))
    atomic_write(files["csv"], lambda path: numbers.to_csv(path, index=False))
    write_sidecar(files["csv"], numbers.columns, stem or name, origin(data))
    told: dict[str, str] = {"caption": caption, "alt": alt, "question": getattr(module, "QUESTION", "")}
    return SavedFigure(stem or name, files["png"], files["pdf"], files["csv"], **told)


def compose(layout: Any, results: Any = None, **options: Any) -> Any:
    """Put figures together on one page; see :func:`eiplatform.figures.parts.composed.compose`."""
    from eiplatform.drawing import import_matplotlib

    import_matplotlib()
    from eiplatform.figures.parts.composed import compose as composed

    return composed(layout, results, **options)


make_callable(__name__, "eiplatform.front.results")
