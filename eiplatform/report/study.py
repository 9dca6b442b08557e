"""From results to figures and the report that holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from eiplatform.figures import SavedFigure, figures_of, save
from eiplatform.report.findings import findings_of
from eiplatform.report.html import write_report
from eiplatform.report.tables import scorecard
from eiplatform.store.provenance import provenance

__all__ = ["draw_all", "write_study_report"]


def draw_all(
    results: Mapping[str, xr.Dataset], directory: Path, *, progress: Callable[[int, int, str], None] | None = None
) -> list[SavedFigure]:
    """Draw every figure that the results allow.

    Parameters
    ----------
    results : mapping of str to xarray.Dataset
        Results by name.  A second result of one analysis gives figures with its name added.
    directory : Path
        Where PNG, PDF and CSV go.
    progress : callable, optional
        Called with (done, total, message).
    """
    wanted = [(name, key, result) for key, result in results.items() for name in figures_of(result)]
    drawn: list[SavedFigure] = []
    for index, (name, key, result) in enumerate(wanted):
        taken = any(figure.name == name for figure in drawn)
        drawn.append(save(name, result, directory, stem=f"{name}_{key}" if taken else name))
        if progress:
            progress(index + 1, len(wanted), name)
    return drawn


def write_study_report(
    path: str | Path,
    *,
    title: str,
    question: str,
    results: Mapping[str, xr.Dataset],
    figures: Sequence[SavedFigure],
    facts: Mapping[str, Any],
) -> Path:
    """Write the report of a study: scorecard, figures, provenance.

    Parameters
    ----------
    path, title, question
        As in :func:`~eiplatform.report.html.write_report`.
    results : mapping of str to xarray.Dataset
    figures : sequence of SavedFigure
    facts : mapping
        What else identifies the study: seeds, hashes.
    """
    about = provenance()
    git = about.pop("git")
    about["git"] = "not a checkout" if git is None else f"{git['revision']}{' (with changes)' if git['dirty'] else ''}"
    ids = {name: result.attrs["recording_ids"] for name, result in results.items() if "recording_ids" in result.attrs}
    about["recordings"] = {
        name: ", ".join(identifier[:12] for identifier in ([found] if isinstance(found, str) else found))
        for name, found in ids.items()
    }
    return write_report(
        path,
        title=title,
        question=question,
        findings=findings_of(results),
        tables=scorecard(results),
        figures=figures,
        provenance={**facts, **about},
    )
