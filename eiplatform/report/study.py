"""From results to figures and the report that holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eiplatform.analyses import Result, Table
from eiplatform.figures import SavedFigure, save
from eiplatform.report.html import write_report
from eiplatform.store.provenance import provenance

__all__ = ["draw_all", "findings_of", "scorecard", "write_study_report"]


def _in_order(results: Mapping[str, Result]) -> list[Result]:
    """Return results in the order in which a report has them: by the place of their analyses."""
    return sorted(results.values(), key=lambda result: (result.analysis.place, result.analysis.name))


def scorecard(results: Mapping[str, Result]) -> list[Table]:
    """Return the tables of results, in the order of a report."""
    return [table for result in _in_order(results) for table in result.tables()]


def findings_of(results: Mapping[str, Result]) -> list[str]:
    """Return what results show, in sentences that the numbers alone decide, in the order of a report."""
    return [finding for result in _in_order(results) for finding in result.findings()]


def draw_all(
    results: Mapping[str, Result], directory: Path, *, progress: Callable[[int, int, str], None] | None = None
) -> list[SavedFigure]:
    """Draw every figure that the results allow.

    Parameters
    ----------
    results : mapping of str to Result
        Results by name.  A second result of one analysis gives figures with its name added.
    directory : Path
        Where PNG, PDF and CSV go.
    progress : callable, optional
        Called with (done, total, message).
    """
    wanted = [(name, key, result) for key, result in results.items() for name in result.plots]
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
    results: Mapping[str, Result],
    figures: Sequence[SavedFigure],
    facts: Mapping[str, Any],
) -> Path:
    """Write the report of a study: scorecard, figures, provenance.

    Parameters
    ----------
    path, title, question
        As in :func:`~eiplatform.report.html.write_report`.
    results : mapping of str to Result
    figures : sequence of SavedFigure
    facts : mapping
        What else identifies the study: seeds, hashes.
    """
    about = provenance()
    git = about.pop("git")
    about["git"] = "not a checkout" if git is None else f"{git['revision']}{' (with changes)' if git['dirty'] else ''}"
    attrs = {name: result.data.attrs for name, result in results.items()}
    ids = {name: held["recording_ids"] for name, held in attrs.items() if "recording_ids" in held}
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
