"""Whole questions in Python: ``study``, and what a study would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eiplatform.analyses import Table
from eiplatform.errors import ConfigError
from eiplatform.study import Graph, Outcome, Status, expand, find_study, load_study, run_study, status_of
from eiplatform.study.closing import write_closing
from eiplatform.study.status import clear_study

__all__ = ["Answer", "plan", "study"]


@dataclass
class Answer(Outcome):
    """What became of every task of a study, and what came out.

    Attributes
    ----------
    path : Path
        Directory of the study.
    tables : list of Table
    findings : list of str
    files : list of Path
        Tables and report.
    """

    path: Path = Path()
    tables: list[Table] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)


def study(
    name: str | Path,
    path: str | Path | None = None,
    *,
    variant: str | None = None,
    changes: Mapping[str, Any] | None = None,
    only: Sequence[str] | None = None,
    jobs: int = 1,
    any_code: bool = False,
    reuse: Sequence[str | Path] = (),
    data_root: str | Path | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> Answer:
    """Answer a whole question: trainings, recordings, simulations, analyses, figures, tables.

    Run again, it goes on where it was: what is up to date is not done again.

    Parameters
    ----------
    name : str or Path
        Name (``ei.list("studies")``), or a YAML file.
    path : str or Path, optional
        Directory; default: ``runs/studies/NAME``.
    variant : str, optional
        One of the study's variants, e.g. ``"small"`` of ``"demo"``.
    changes : mapping, optional
        Changes to the study, e.g. ``{"axes.seed": [1, 2]}``.
    only : sequence of str, optional
        Tasks by name or wildcard, with what they need.
    jobs : int
        Tasks done at the same time, each on one thread.
    any_code : bool
        Keep what an earlier version of the code made.
    reuse : sequence of path
        Directories of other studies: what is the very same there is taken over.
    data_root : path, optional
        Folder with the data sets' files.
    overwrite : bool
        Delete an earlier result of eiplatform at `path` first.
    quiet : bool
        Show no progress.

    Returns
    -------
    Answer
        What was done, skipped, and failed; tables and findings.
    """
    if jobs < 1:
        raise ConfigError(f"{jobs} jobs", where="jobs", valid="1 or more")
    graph, chosen, place = _declared(name, path, variant, changes, only)
    if overwrite:
        clear_study(place)
    root, others = None if data_root is None else str(data_root), [Path(one) for one in reuse]
    outcome = run_study(chosen, place, jobs=jobs, any_code=any_code, data_root=root, reuse=others, quiet=quiet)
    return Answer(**vars(outcome), path=place, **vars(write_closing(graph, place, any_code=any_code)))


def plan(
    name: str | Path,
    path: str | Path | None = None,
    *,
    variant: str | None = None,
    changes: Mapping[str, Any] | None = None,
    only: Sequence[str] | None = None,
    any_code: bool = False,
) -> tuple[Graph, Path, dict[str, Status]]:
    """Return the tasks of a study, its directory, and which tasks are up to date; do nothing.

    Parameters
    ----------
    name, path, variant, changes, only, any_code
        As of :func:`study`.
    """
    _, chosen, place = _declared(name, path, variant, changes, only)
    return chosen, place, status_of(chosen, place, any_code=any_code)


def _declared(
    name: str | Path,
    path: str | Path | None,
    variant: str | None,
    changes: Mapping[str, Any] | None,
    only: Sequence[str] | None,
) -> tuple[Graph, Graph, Path]:
    """Return the tasks of a study, those that were chosen, and its directory."""
    graph = expand(load_study(find_study(str(name)), changes, variant))
    place = Path("runs/studies") / graph.study.name if path is None else Path(path)
    return graph, graph if only is None else graph.only(only), place
