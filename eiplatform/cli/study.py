"""The command ``study``: a whole question from one file."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from eiplatform.cli.options import DataRoot, Flag, Json, Many, Set, assignments

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
    data_root: DataRoot = None,
    json: Json = False,
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
    """
    from eiplatform.cli.output import print_json, say
    from eiplatform.front.studies import plan, study

    about: dict[str, Any] = {"variant": variant, "changes": assignments(set_), "only": only, "any_code": any_code}
    if dry_run:
        _print_plan(*plan(name, out, **about), json)
        return 0
    made = study(name, out, **about, jobs=jobs, reuse=reuse or (), data_root=data_root, quiet=json)
    if json:
        told = {key: value for key, value in asdict(made).items() if key not in ("path", "files")}
        print_json({"out": str(made.path), **told})
    else:
        _print_outcome(made)
        for finding in made.findings:
            say(f"- {finding}")
        for path in made.files:
            say(str(path))
    return 3 if made.failed else 0


def _print_plan(graph: Graph, place: Path, status: dict[str, Status], json: bool) -> None:
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
