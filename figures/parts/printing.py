"""Writing a figure to several files: laid out once, drawn once for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib import rcParams
from matplotlib.backend_bases import get_registered_canvas_class
from matplotlib.figure import Figure

from eiplatform.files import atomic_write

__all__ = ["write_files"]


def write_files(figure: Figure, files: Mapping[str, Path], about: Callable[[str], Mapping[str, str | None]]) -> None:
    """Write a figure in several formats, each whole or not at all, in the style that holds.

    ``savefig`` draws twice, the first time for the layout alone; here one layout serves all files, which so agree.

    Parameters
    ----------
    figure : Figure
        Its layout stays as it is printed.
    files : mapping of str to Path
        By format: ``"png"``, ``"pdf"``, ``"svg"``.
    about : callable
        Gives the metadata of a format.

    Examples
    --------
    >>> import tempfile
    >>> from eiplatform.figures.parts.page import page
    >>> with page() as sheet:
    ...     (panel,) = sheet.panels(1, 1)
    ...     file = Path(tempfile.mkdtemp()) / "a.svg"
    ...     write_files(sheet.drawn, {"svg": file}, lambda kind: {"Title": "a"})
    >>> "<title>a</title>" in file.read_text().replace("dc:", "")
    True
    """
    before, canvas = figure.dpi, figure.canvas
    dpi = rcParams["savefig.dpi"]
    figure.set_dpi(before if dpi == "figure" else dpi)
    try:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for kind, file in files.items():
            printed: Any = get_registered_canvas_class(kind)(figure)
            write = getattr(printed, f"print_{kind}")
            metadata = about(kind)
            atomic_write(file, lambda temporary: write(temporary, metadata=metadata))  # noqa: B023  # called at once
    finally:
        figure.set_dpi(before)
        figure.set_canvas(canvas)
