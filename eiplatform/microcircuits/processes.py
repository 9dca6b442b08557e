"""Worker processes: one per simulation, several at a time, none left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from eiplatform import errors
from eiplatform.caches import CACHE_VARIABLE, cache_directory
from eiplatform.errors import DeviceError, EIPlatformError
from eiplatform.locks import private_directory
from eiplatform.project import VARIABLE as PROJECT_VARIABLE
from eiplatform.project import project_folder

__all__ = ["Progress", "run_all"]

Progress = Callable[[float, str], None]
"""Takes the completed fraction (0 to 1) and a message."""


def run_all(
    job: Mapping[str, Any], seeds: Sequence[int], *, jobs: int, name: str, progress: Progress | None
) -> Iterator[tuple[int, Path]]:
    """Run a job for all seeds, `jobs` at a time.

    Parameters
    ----------
    job : mapping
        What :mod:`eiplatform.microcircuits.worker` reads, without the seed.
    seeds : sequence of int
    jobs : int
        Processes at the same time.
    name : str
        Starts the progress messages.
    progress : callable, optional

    Yields
    ------
    seed : int
        In the order of `seeds`.
    result : Path
        Folder that exists until the next seed is asked for.

    Raises
    ------
    EIPlatformError
        As raised in the worker; all other simulations are stopped, as they are when the caller
        does not ask for the next seed.
    """
    done = dict.fromkeys(seeds, 0.0)
    lock = threading.Lock()
    workers = _Workers()

    def report(seed: int, fraction: float, stage: str) -> None:
        with lock:
            done[seed] = fraction
            if progress is not None:
                progress(sum(done.values()) / len(done), f"{name}, seed {seed}: {stage}")

    with private_directory(Path(tempfile.gettempdir()), "eiplatform-") as base:

        def run(seed: int) -> Path:
            folder = base / str(seed)
            folder.mkdir()
            (folder / "job.json").write_text(json.dumps({**job, "seed": seed}))
            _run_worker(folder, workers, lambda fraction, stage: report(seed, fraction, stage))
            return folder

        pool = ThreadPoolExecutor(jobs)
        try:
            futures = {seed: pool.submit(run, seed) for seed in seeds}
            for seed, future in futures.items():
                folder = future.result()
                yield seed, folder / "result"
                shutil.rmtree(folder)
        finally:
            workers.stop()
            pool.shutdown(cancel_futures=True)


class _Workers:
    """The running processes; once stopped, new ones are ended at once."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def add(self, process: subprocess.Popen[str]) -> None:
        with self._lock:
            self._running.add(process)
            if self._stopped:
                _stop(process)

    def remove(self, process: subprocess.Popen[str]) -> None:
        with self._lock:
            self._running.discard(process)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._running:
                _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    """End a worker and the program that it started; they form a process group of their own."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        return


def _start(command: Sequence[str], environment: Mapping[str, str], stderr: IO[str]) -> subprocess.Popen[str]:
    """Start a worker that leads a group of its own."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,  # closed when this process ends, however it ends: the worker then ends too
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env=environment,
        start_new_session=True,
    )


def _run_worker(folder: Path, workers: _Workers, report: Progress) -> None:
    """Run one job to its end, passing on its progress, and raise its error."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment |= {CACHE_VARIABLE: str(cache_directory())}
    project = project_folder()
    environment |= {} if project is None else {PROJECT_VARIABLE: str(project)}  # the circuit may be one of its own
    command = [sys.executable, "-m", "eiplatform.microcircuits.worker", str(folder)]
    failure: dict[str, Any] | None = None
    with (folder / "stderr.txt").open("w") as stderr:
        process = _start(command, environment, stderr)
    workers.add(process)
    try:
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                message = json.loads(line)
                if "error" in message:
                    failure = message
                else:
                    # Building and drawing connectivity have no known length; the simulation is nearly all.
                    fraction = {"simulate": 0.98 * message["fraction"], "collect": 0.99}.get(message["stage"], 0.0)
                    report(fraction, message["stage"])
    finally:
        workers.remove(process)
    if failure is not None and failure["error"]:
        kind: type[EIPlatformError] = getattr(errors, failure.pop("error"))
        raise kind(**failure)
    if failure is not None or process.returncode:
        text = failure["what"] if failure else (folder / "stderr.txt").read_text()[-2000:]
        if process.returncode == -signal.SIGKILL:
            raise DeviceError("the simulation was killed, most likely for lack of memory", remedy="run fewer jobs")
        raise RuntimeError(f"the simulation failed (status {process.returncode}):\n{text}")
    report(1.0, "done")
