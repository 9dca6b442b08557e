"""Taking the steps of a study: in order, at the same time where they allow, and never twice."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from multiprocessing.connection import Connection, wait
from pathlib import Path

from eiplatform.ending import Terminated, end_with_parent
from eiplatform.errors import EIPlatformError
from eiplatform.files import write_bytes
from eiplatform.progress import stage
from eiplatform.study.actions import Job, perform
from eiplatform.study.checks import check_steps
from eiplatform.study.graph import Graph
from eiplatform.study.status import LEDGER, Ledger, Status, claim_study, jobs_of, status_of, take_over

__all__ = ["Outcome", "run_study"]

Perform = Callable[..., None]


@dataclass
class Outcome:
    """What became of every step.

    Attributes
    ----------
    done : dict of str to float
        Seconds of each step that was taken now.
    skipped : list of str
        Up to date before.
    failed : dict of str to str
        Why.
    blocked : list of str
        Not taken, because a step before failed.
    """

    done: dict[str, float] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)


def run_study(
    graph: Graph,
    out: str | Path,
    *,
    jobs: int = 1,
    any_code: bool = False,
    data_root: str | None = None,
    reuse: Sequence[Path] = (),
    quiet: bool = False,
    act: Perform = perform,
) -> Outcome:
    """Take all steps that are not up to date.

    A step that fails stops those that need it; the others are taken.  Interrupted, the study goes on
    where it was when it is run again.

    Parameters
    ----------
    graph : Graph
        All of the study, or :meth:`Graph.only` some of it.
    out : str or Path
        Directory of the study.
    jobs : int
        Steps taken at the same time, each in a process of its own and on one thread.
    any_code : bool
        Take what another version of the code made.
    data_root : str, optional
        Folder with the data sets' files.
    reuse : sequence of Path
        Directories of other studies whose trainings, recordings and simulations are taken where they are
        the very same.
    quiet : bool
        Say nothing on the way.
    act : callable
        Takes one step; :func:`~eiplatform.study.actions.perform`.

    Raises
    ------
    EIPlatformError
        Before anything runs: if a step cannot be taken as it is declared, or a data set is missing.
    OutputExistsError
        If the directory is another study's or another process runs it.
    """
    out = Path(out)
    status = status_of(graph, out, any_code=any_code)
    planned = jobs_of(graph, out, data_root)
    todo = [name for name, state in status.items() if not state.up_to_date]
    if not reuse:
        check_steps([graph.steps[name] for name in todo], graph, data_root)
    with claim_study(out, graph.study.name):
        for other in reuse:
            missing = {name: status[name] for name in todo}
            taken = take_over(missing, planned, out, other, any_code=any_code)
            todo = [name for name in todo if name not in taken]
        if reuse:
            check_steps([graph.steps[name] for name in todo], graph, data_root)
        run = _Run(graph, status, planned, out, quiet, act)
        run.outcome.skipped = [name for name in graph.steps if name not in todo]
        run.go(todo, jobs)
        return run.outcome


class _Run:
    def __init__(
        self,
        graph: Graph,
        status: Mapping[str, Status],
        planned: Mapping[str, Job],
        out: Path,
        quiet: bool,
        act: Perform,
    ) -> None:
        self.graph, self.status, self.planned, self.out = graph, status, planned, out
        self.quiet, self.act = quiet, act
        self.ledger, self.outcome = Ledger(out), Outcome()

    def go(self, todo: list[str], jobs: int) -> None:
        """Take the steps, ready ones in the study's order."""
        wanted = set(todo)
        order = TopologicalSorter({name: set(self.graph.steps[name].needs) & wanted for name in todo})
        order.prepare()
        place = {name: index for index, name in enumerate(todo)}
        ready = list(order.get_ready())
        running: dict[str, _Child] = {}
        begun = 0
        try:
            while ready or running:
                ready.sort(key=place.__getitem__)
                while ready and len(running) < jobs:
                    name = ready.pop(0)
                    self._note(name, "started")
                    begun += 1
                    if jobs > 1:
                        running[name] = _Child(self.act, self.planned[name], self.status[name].resume)
                    elif self._here(name, f"[{begun}/{len(todo)}] {name}"):
                        order.done(name)
                for name in _ended(running):
                    seconds, error, details = running.pop(name).ended()
                    if self._close(name, seconds, error, details):
                        order.done(name)
                        self._say(f"{name}: {seconds:.1f} s")
                ready += order.get_ready()
        except BaseException:
            for name, child in running.items():
                child.stop()
                self._note(name, "interrupted")
            raise
        ended = self.outcome.done.keys() | self.outcome.failed.keys()
        self.outcome.blocked = [name for name in todo if name not in ended]

    def _note(self, name: str, state: str, **facts: object) -> None:
        status = self.status[name]
        place = self.planned[name].out.relative_to(self.out).as_posix()
        self.ledger.write(name, state=state, inputs=status.inputs, code=status.code, place=place, **facts)

    def _here(self, name: str, title: str) -> bool:
        """Take a step in this process."""
        started, error, details = time.monotonic(), "", ""
        try:
            with stage(title, quiet=self.quiet) as update:
                self.act(self.planned[name], resume=self.status[name].resume, progress=update)
        except KeyboardInterrupt:
            self._note(name, "interrupted")
            raise
        except Exception as problem:
            error, details = _failure(problem)
        return self._close(name, time.monotonic() - started, error, details)

    def _close(self, name: str, seconds: float, error: str, details: str) -> bool:
        """Write down how a step ended; return whether it was done."""
        if not error:
            self._note(name, "done", seconds=round(seconds, 1), finished=time.strftime("%Y-%m-%dT%H:%M:%S%z"))
            self.outcome.done[name] = seconds
            return True
        if details:
            log = self.out / LEDGER / f"{name.replace('/', '--')}.log"
            write_bytes(log, details.encode())
            error += f" (see {log})"
        self._note(name, "failed", error=error)
        self.outcome.failed[name] = error
        self._say(f"{name}: FAILED: {error}")
        return False

    def _say(self, line: str) -> None:
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)  # noqa: T201


def _failure(problem: BaseException) -> tuple[str, str]:
    """Return what failed in a line and, where it is our fault, the traceback."""
    if isinstance(problem, EIPlatformError):
        return str(problem), ""
    return f"{type(problem).__name__}: {problem}", "".join(traceback.format_exception(problem))


class _Child:
    """A step in a process of its own: whatever happens to it fails this step alone."""

    def __init__(self, act: Perform, job: Job, resume: bool) -> None:
        context = multiprocessing.get_context("spawn")
        self.results, there = context.Pipe(duplex=False)
        with _environment(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1"):
            self.process = context.Process(target=_work, args=(there, act, job, resume))
            self._started = time.monotonic()
            self.process.start()
        there.close()

    def ended(self) -> tuple[float, str, str]:
        """Return how long it took, what failed (empty: nothing) and the traceback of it."""
        try:
            sent = self.results.recv()
        except EOFError:
            sent = None
        self.process.join()
        seconds = time.monotonic() - self._started
        if sent is None:
            return seconds, f"its process ended with status {self.process.exitcode} (killed, or out of memory)", ""
        error, details = sent
        return seconds, error, details

    def stop(self) -> None:
        """End it; what it has completed stays."""
        self.process.terminate()
        self.process.join()


def _work(results: Connection, act: Perform, job: Job, resume: bool) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends this one
    end_with_parent()
    try:
        act(job, resume=resume, progress=lambda done, total, message: None)
        results.send(("", ""))
    except Terminated as asked:
        sys.exit(128 + asked.number)
    except Exception as problem:
        results.send(_failure(problem))


def _ended(running: Mapping[str, _Child]) -> list[str]:
    """Wait until some child has said how it ended, or has died, and return which."""
    if not running:
        return []
    ended = wait([child.results for child in running.values()])
    return [name for name, child in running.items() if child.results in ended]


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
