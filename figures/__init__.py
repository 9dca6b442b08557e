"""Figures: one module per figure; each draws a result and computes nothing.

A figure module has

``ANALYSIS``
    name of the analysis whose result it draws;
``caption(result)``
    what is shown: n, interval, exclusions;
``table(result)``
    the numbers drawn, as a tidy :class:`pandas.DataFrame` (stored beside the figure);
``draw(table)``
    the :class:`matplotlib.figure.Figure`, from that table alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import xarray as xr

from eiplatform.analyses import read_with_care
from eiplatform.errors import ConfigError, EIPlatformError, NotApplicableError, choose
from eiplatform.store.identity import origin

__all__ = ["FIGURES", "SavedFigure", "embedded", "figures_of", "save"]

FIGURES: dict[str, str] = {
    "learning_curve": "learning",
    "current_distributions": "distributions",
    "gain_distributions": "distributions",
    "balance_across_layers": "balance",
    "balance_across_depth": "balance_across_depth",
    "gain_modulation": "gain_modulation",
    "timescales": "timescales",
    "current_traces": "traces",
    "comparison_with_cortex": "comparison",
    "regime_scorecard": "regime_scorecard",
    "lesion_dose_response": "lesions",
    "ei_versus_bn": "ei_versus_bn",
    "balance_emergence": "balance_emergence",
    "systems": "systems",
}
"""Every figure and the analysis whose result it draws."""


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


def figures_of(result: xr.Dataset) -> list[str]:
    """Return the names of the figures that can be drawn from a result."""
    analysis = result.attrs.get("analysis")
    return [name for name, wanted in FIGURES.items() if wanted == analysis and not _is_empty(name, result)]


def _is_empty(name: str, result: xr.Dataset) -> bool:
    """Whether a result holds nothing that a figure draws, e.g. no gain."""
    try:
        with read_with_care(result):
            return bool(import_module(f"eiplatform.figures.{name}").table(result).empty)
    except EIPlatformError:  # said when it is drawn
        return False


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


def save(name: str, result: xr.Dataset, directory: Path, *, stem: str | None = None, svg: bool = False) -> SavedFigure:
    """Draw one figure and write PNG, PDF and the numbers as CSV; each names the result and the recordings.

    Beside the CSV lies ``<name>.csv-metadata.json``, which says where its numbers came from.

    Parameters
    ----------
    name : str
        A key of :data:`FIGURES`.
    result : xarray.Dataset
        Result of the analysis that the figure draws.
    directory : Path
        Created if needed.
    stem : str, optional
        Name of the files; default: `name`.
    svg : bool
        Write an SVG too.

    Raises
    ------
    UnknownNameError
        If there is no such figure.
    ConfigError
        If the result is of another analysis.
    """
    from eiplatform.drawing import import_matplotlib
    from eiplatform.files import atomic_write
    from eiplatform.store.csvw import write_sidecar

    import_matplotlib()
    from eiplatform.figures.style import paper_style

    wanted = FIGURES[choose(name, FIGURES, "figure")]
    if result.attrs.get("analysis") != wanted:
        raise ConfigError(
            f"figure '{name}' draws the analysis '{wanted}', this is '{result.attrs.get('analysis')}'",
            remedy=f"make it with 'eiplatform analyse {wanted}'",
        )
    module: Any = import_module(f"eiplatform.figures.{name}")
    with read_with_care(result):
        table = module.table(result)
    if table.empty:
        raise NotApplicableError(f"this result holds nothing that the figure '{name}' draws", where=wanted)
    directory.mkdir(parents=True, exist_ok=True)
    files = {suffix: directory / f"{stem or name}.{suffix}" for suffix in ("png", "pdf", "csv")}
    with paper_style(), read_with_care(result):
        drawn = module.draw(table)

        def write(kind: str, path: Path) -> None:
            about = embedded(stem or name, result, kind)
            atomic_write(path, lambda temporary: drawn.savefig(temporary, format=kind, metadata=about))

        write("png", files["png"])
        write("pdf", files["pdf"])
        if svg:
            write("svg", directory / f"{stem or name}.svg")
    atomic_write(files["csv"], lambda path: table.to_csv(path, index=False))
    write_sidecar(files["csv"], table.columns, stem or name, origin(result))
    with read_with_care(result):
        return SavedFigure(stem or name, **files, caption=module.caption(result))
