"""Figures: one module per figure; each draws a result and computes nothing.

A figure module has

``ANALYSIS``
    name of the analysis whose result it draws;
``caption(result)``
    what is shown: n, interval, exclusions;
``table(result)``
    the numbers drawn, as a tidy :class:`pandas.DataFrame` (stored with the figure);
``draw(result, *, ax=None, figure=None)``
    draws that table, in the paper style, and returns the Axes or the Figure.

It is found by the name of its module; nothing else has to name it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from eiplatform.analyses import Result
from eiplatform.analyses.parts.analysis import read_with_care
from eiplatform.callable import make_callable
from eiplatform.discovery import discovered
from eiplatform.errors import choose
from eiplatform.store.identity import origin

__all__ = ["SavedFigure", "embedded", "figure_names", "find_figure", "save"]


@dataclass(frozen=True)
class SavedFigure:
    """Files of one figure.

    Attributes
    ----------
    name : str
    png, pdf, csv : Path
        The picture twice, and the numbers drawn.
    caption : str
    """

    name: str
    png: Path
    pdf: Path
    csv: Path
    caption: str


def figure_names() -> list[str]:
    """Return the names of all figures: those that ship, the project's, those of installed packages."""
    return list(dict.fromkeys(found.name for found in discovered("figures")))


def find_figure(name: str) -> Any:
    """Return the module of a figure.

    Raises
    ------
    UnknownNameError
        If no figure has that name.

    Examples
    --------
    >>> find_figure("learning_curve").ANALYSIS
    'learning'
    """
    from eiplatform.drawing import import_matplotlib

    choose(name, figure_names(), "figure")
    import_matplotlib()
    return next(found for found in discovered("figures") if found.name == name).load()


def embedded(name: str, result: xr.Dataset, kind: str) -> dict[str, str | None]:
    """Return the metadata with which a figure names its result and recordings, for matplotlib's ``savefig``.

    Parameters
    ----------
    name : str
        Of the figure.
    result : xarray.Dataset
        What it draws.
    kind : {"png", "pdf", "svg"}
        Each format has its own keys: text chunks, the information dictionary, Dublin Core.

    Returns
    -------
    dict
        Without a date, so that the same figure is the same file.
    """
    about = origin(result)
    made = f"{about['result']}, sha256 {about['result_sha256']}"
    source = about.get("recordings", "not stated")
    if kind == "png":
        return {"Title": name, "Result": made, "Source": source}
    if kind == "pdf":
        return {"Title": name, "Subject": f"result: {made}", "Keywords": f"recordings: {source}", "CreationDate": None}
    return {"Title": name, "Identifier": made, "Source": source, "Date": None}


def save(
    name: str, result: Result | xr.Dataset, directory: Path, *, stem: str | None = None, svg: bool = False
) -> SavedFigure:
    """Draw one figure and write PNG, PDF and the numbers as CSV; each names the result and the recordings.

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
    from eiplatform.figures.parts.page import dataset_of, numbers_of, paper_style

    data = dataset_of(result, module.ANALYSIS)
    numbers = numbers_of(data, module.ANALYSIS, module.table)
    with paper_style(), read_with_care(data):  # it decides on the files too, e.g. on the resolution
        drawn = module.draw(data)
        caption = module.caption(data)
        directory.mkdir(parents=True, exist_ok=True)
        files = {suffix: directory / f"{stem or name}.{suffix}" for suffix in ("png", "pdf", "csv")}

        def write(kind: str, path: Path) -> None:
            about = embedded(stem or name, data, kind)
            atomic_write(path, lambda temporary: drawn.savefig(temporary, format=kind, metadata=about))

        write("png", files["png"])
        write("pdf", files["pdf"])
        if svg:
            write("svg", directory / f"{stem or name}.svg")
    atomic_write(files["csv"], lambda path: numbers.to_csv(path, index=False))
    write_sidecar(files["csv"], numbers.columns, stem or name, origin(data))
    return SavedFigure(stem or name, **files, caption=caption)


make_callable(__name__, "eiplatform.front.results")
