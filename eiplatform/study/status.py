"""Which steps are up to date, why the others are not, and how long they may take."""

from __future__ import annotations

import json
import os
import shutil
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eiplatform.errors import OutputExistsError, StoreError
from eiplatform.files import OWNED, check_directory, content_hash, read_json, write_bytes
from eiplatform.locks import hold, private_directory
from eiplatform.study.actions import Job, complete, identity, modules, output
from eiplatform.study.code import code_version
from eiplatform.study.graph import Graph, Step
from eiplatform.untrusted import inside

__all__ = ["LEDGER", "Ledger", "Status", "claim_study", "clear_study", "jobs_of", "status_of", "take_over"]

LEDGER = ".steps"


@dataclass(frozen=True)
class Status:
    """Where one step stands.

    Attributes
    ----------
    up_to_date : bool
    why : str
        Why it is not.
    resume : bool
        Whether an interrupted run of the very same step can be gone on with.
    seconds : float or None
        How long it took, or what its like took at the median; None: not known.
    inputs, code : str
        What it was, or will be, made from.
    """

    up_to_date: bool
    why: str
    resume: bool
    seconds: float | None
    inputs: str
    code: str


class Ledger:
    """What is known of the steps taken so far: one small JSON file each, below ``.steps``.

    Parameters
    ----------
    out : Path
        The study's directory.
    """

    def __init__(self, out: Path) -> None:
        self._folder = out / LEDGER

    def read(self, step: str) -> dict[str, Any]:
        """Return what is known of a step; empty if nothing, or nothing readable, is there."""
        try:
            held = read_json(self._file(step))
        except StoreError:
            return {}
        texts = ("step", "state", "inputs", "code", "place")
        sound = all(isinstance(held.get(key, ""), str) for key in texts) and isinstance(
            held.get("seconds", 0), int | float
        )
        return held if sound else {}

    def write(self, name: str, **facts: Any) -> None:
        """Write what is known of a step."""
        write_bytes(self._file(name), (json.dumps({"step": name} | facts, indent=2) + "\n").encode())

    def done(self) -> list[dict[str, Any]]:
        """Return what is known of all steps that were done."""
        held = [self.read(path.stem.replace("--", "/")) for path in sorted(self._folder.glob("*.json"))]
        return [facts for facts in held if facts.get("state") == "done"]

    def _file(self, step: str) -> Path:
        return self._folder / f"{step.replace('/', '--')}.json"


def jobs_of(graph: Graph, out: Path, data_root: str | None = None) -> dict[str, Job]:
    """Return every step with its places."""
    jobs = {}
    for step in graph.steps.values():
        inputs = {
            name: tuple(output(graph.steps[source.step], out, source.part) for source in sources)
            for name, sources in step.sources.items()
        }
        jobs[step.id] = Job(step.id, step.task, graph.study.file.parent, output(step, out), inputs, data_root)
    return jobs


def status_of(graph: Graph, out: Path, *, any_code: bool = False) -> dict[str, Status]:
    """Tell which steps are up to date.

    A step is if its output is whole and was made from the same settings by the same code, and so were,
    in turn, its inputs.

    Parameters
    ----------
    graph : Graph
    out : Path
    any_code : bool
        Take what another version of the code made.

    Raises
    ------
    EIPlatformError
        If a step cannot be taken as it is declared.
    """
    ledger, jobs = Ledger(out), jobs_of(graph, out)
    known = {name: ledger.read(name) for name in graph.steps}
    found: dict[str, Status] = {}
    for name, step in graph.steps.items():
        needs = [(need, found[need]) for need in step.needs]
        inputs = content_hash([identity(step, graph.study.file.parent), _wiring(step), [s.inputs for _, s in needs]])
        code = content_hash([code_version(modules(step.task)), [status.code for _, status in needs]])
        held = known[name]
        same = held.get("inputs") == inputs and (any_code or held.get("code") == code)
        done = held.get("state") == "done"
        if step.task.kind == "reference":
            done, same = True, True
        if done and same and complete(jobs[name]):
            why = ""
        elif not held:
            why = "not done yet"
        elif held.get("inputs") != inputs:
            why = "its settings or inputs changed"
        elif not same:
            why = "the code changed"
        else:
            why = "its output is not whole" if done else f"was {held.get('state', 'damaged')}"
        seconds = held.get("seconds") or _like(step, graph, known)
        found[name] = Status(not why, why, bool(same and not done), seconds, inputs, code)
    return found


def _wiring(step: Step) -> list[Any]:
    """Return which inputs a step takes by which field, apart from what they hold."""
    return [[field, [[source.step, source.part] for source in sources]] for field, sources in step.sources.items()]


def _like(step: Step, graph: Graph, known: Mapping[str, dict[str, Any]]) -> float | None:
    times = [
        known[name]["seconds"]
        for name, other in graph.steps.items()
        if other.name == step.name and "seconds" in known[name]
    ]
    return statistics.median(times) if times else None


def take_over(
    status: Mapping[str, Status], jobs: Mapping[str, Job], out: Path, other: Path, *, any_code: bool = False
) -> list[str]:
    """Take the outputs of steps from another study's directory, where it made the very same.

    Files are linked where the file system can, else copied; whatever replaces them later leaves the other's.

    Parameters
    ----------
    status, jobs : mapping
        Of the steps that are not up to date.
    out, other : Path
        Directories of the two studies.
    any_code : bool
        Take what another version of the code made.

    Returns
    -------
    list of str
        The steps that are up to date now.
    """
    if not (other / LEDGER).is_dir():
        raise StoreError("not the directory of a study", where=str(other), remedy="give the directory of another study")
    ledger, taken = Ledger(out), []
    whole = [facts for facts in Ledger(other).done() if {"step", "inputs", "code"} <= facts.keys()]
    made = {(facts["inputs"], None if any_code else facts["code"]): facts for facts in whole}
    for name, state in status.items():
        facts = made.get((state.inputs, None if any_code else state.code))
        job = jobs[name]
        if facts is None or job.task.kind not in ("train", "record", "lesion", "simulate"):
            continue
        source = replace(job, out=inside(other, facts.get("place", facts["step"]), where=other / LEDGER, deep=True))
        if not complete(source):
            continue
        if job.out.exists():
            shutil.rmtree(job.out)
        job.out.parent.mkdir(parents=True, exist_ok=True)
        with private_directory(job.out.parent, f".{job.out.name}.") as folder:
            shutil.copytree(source.out, folder / job.out.name, copy_function=_link)
            (folder / job.out.name).rename(job.out)
        place = job.out.relative_to(out).as_posix()
        ledger.write(name, **{**facts, "step": name, "place": place, "code": state.code, "taken_from": str(other)})
        taken.append(name)
    return taken


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@contextmanager
def claim_study(out: Path, name: str) -> Iterator[None]:
    """Take a directory for a study, alone.

    Raises
    ------
    OutputExistsError
        If it holds something else or another study, or another process runs the study there.
    """
    mark = out / "study.json"
    if not mark.is_file():
        check_directory(out, overwrite=False)
        try:
            out.mkdir(parents=True, exist_ok=True)
            (out / OWNED).write_text("made by eiplatform; a study\n")
        except OSError as error:
            raise OutputExistsError(
                f"cannot create the output directory ({error.strerror})", where=str(out), remedy="choose another path"
            ) from None
        write_bytes(mark, (json.dumps({"study": name}) + "\n").encode())
    held = read_json(mark).get("study")
    if held != name:
        raise OutputExistsError(f"holds the study '{held}', not '{name}'", where=str(out), remedy="choose another path")
    (out / LEDGER).mkdir(exist_ok=True)
    handle = hold(out / LEDGER / "lock", "another process runs this study there")
    try:
        yield
    finally:
        os.close(handle)


def clear_study(out: Path) -> None:
    """Delete an earlier result of eiplatform, so that a study can begin anew there.

    Raises
    ------
    OutputExistsError
        If eiplatform did not make the directory, or another process runs a study there.
    """
    if not check_directory(out, overwrite=True):
        return
    lock = out / LEDGER / "lock"
    handle = hold(lock, "another process runs this study there") if lock.is_file() else None
    try:
        shutil.rmtree(out)
    finally:
        if handle is not None:
            os.close(handle)
