"""The command ``study``: a whole question from one file."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from eiplatform.cli.options import Flag, Many, Set

if TYPE_CHECKING:
    from eiplatform.study import Graph, Outcome, Status

__all__ = ["study"]


def study(
    name: str,
    *,
    out: Path | None = None,
    variant: str | None = None,
    set_: Annotated[list[str] | None, Set] = None,
    only: Annotated[list[str] | None, Many] = None,
    jobs: int = 1,
    dry_run: Annotated[bool, Flag] = False,
    any_code: Annotated[bool, Flag] = False,
    reuse: Annotated[list[Path] | None, Many] = None,
    data_root: Path | None = None,
    json: Annotated[bool, Flag] = False,
) -> int:
    """Answer a whole question: trainings, recordings, simulations, analyses, figures, tables.

    Run again, it goes on where it was: steps that are up to date are skipped. Exit status 3: some
    step failed, the others are kept.

    Parameters
    ----------
    name : str
        Of a study that ships (analyses/studies), or the path of a YAML file.
    out : Path
        Directory (default: runs/studies/NAME).
    variant : str
        One of the study's variants, e.g. small for demo.
    set_ : list[str]
        Changes to the study, e.g. --set axes.seed=[1,2].
    only : list[str]
        Steps by name, or instances by wildcard, e.g. 'train/ei-*'; with what they need.
    jobs : int
        Steps taken at the same time, each on one thread.
    dry_run : bool
        Print the plan, and stop.
    any_code : bool
        Keep what an earlier version of the code made.
    reuse : list[Path]
        Directories of other studies: what is the very same there is taken over.
    data_root : Path
        Folder with the data sets' files.
    json : bool
        Print JSON.
    """
    from eiplatform.cli.output import print_json, say
    from eiplatform.errors import ConfigError
    from eiplatform.study import expand, find_study, load_study, run_study, status_of
    from eiplatform.study.closing import write_closing

    if jobs < 1:
        raise ConfigError(f"{jobs} jobs", where="--jobs", valid="1 or more")
    declared = load_study(find_study(name), set_ or (), variant)
    graph = expand(declared)
    chosen = graph if only is None else graph.only(only)
    place = Path("runs/studies") / declared.name if out is None else out
    if dry_run:
        _print_plan(chosen, status_of(chosen, place, any_code=any_code), place, json)
        return 0
    root = None if data_root is None else str(data_root)
    outcome = run_study(chosen, place, jobs=jobs, any_code=any_code, data_root=root, reuse=reuse or (), quiet=json)
    closing = write_closing(graph, place, any_code=any_code)
    if json:
        tables = [asdict(table) for table in closing.tables]
        print_json({"out": str(place), **asdict(outcome), "findings": closing.findings, "tables": tables})
    else:
        _print_outcome(outcome)
        for finding in closing.findings:
            say(f"- {finding}")
        for path in closing.files:
            say(str(path))
    return 3 if outcome.failed else 0


def _print_plan(graph: Graph, status: dict[str, Status], place: Path, json: bool) -> None:
    """Print every step, whether it is up to date, and how long it may take."""
    from eiplatform.cli.output import print_json, print_table, say

    todo = {name: state for name, state in status.items() if not state.up_to_date}
    known = [state.seconds for state in todo.values() if state.seconds is not None]
    if json:
        print_json({"out": str(place), "steps": {name: asdict(state) for name, state in status.items()}})
        return
    rows = [
        [
            name,
            graph.steps[name].task.kind,
            "up to date" if state.up_to_date else state.why,
            "–" if state.seconds is None else f"{state.seconds:.0f} s",
        ]
        for name, state in status.items()
    ]
    print_table(f"{graph.study.title}: {place}", ["step", "kind", "status", "time"], rows)
    unknown = len(todo) - len(known)
    say(
        f"{len(todo)} of {len(status)} steps to do"
        + (f", about {sum(known) / 60:.0f} min" if known else "")
        + (f" and {unknown} of unknown length" if unknown else "")
    )


def _print_outcome(outcome: Outcome) -> None:
    from eiplatform.cli.output import say

    say(f"{len(outcome.done)} steps done ({sum(outcome.done.values()):.0f} s), {len(outcome.skipped)} were up to date")
    for name, error in outcome.failed.items():
        print(f"eiplatform: FAILED {name}: {error}", file=sys.stderr)  # noqa: T201
    if outcome.blocked:
        print(f"eiplatform: not taken: {', '.join(outcome.blocked)}", file=sys.stderr)  # noqa: T201
