"""Workers of simulations without their start: forked from one process that has imported everything.

A new interpreter pays some three seconds for its imports, several times what a simulation of a test takes.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver, reduction
from typing import IO, Any

import pytest

__all__ = ["Forked", "start"]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["pytest", "tests.forked", "tests.preloaded"])


def _start_server() -> None:
    """Start the process to fork from, unless it runs; wherever the test is, it finds the same packages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        for name in _THREADS:
            patch.setenv(name, "1")
        forkserver.ensure_running()


class Forked:
    """A forked process; what :mod:`eiplatform.microcircuits.processes` uses of :class:`subprocess.Popen`."""

    def __init__(self, module: str, arguments: Sequence[str], environment: Mapping[str, str], stderr: IO[str]) -> None:
        _start_server()
        read_in, write_in = os.pipe()
        read_out, write_out = os.pipe()
        streams = [_Stream(read_in), _Stream(write_out), _Stream(stderr.fileno())]
        what = (module, list(arguments), dict(environment), os.getcwd(), streams)
        self._process = _context.Process(target=_run, args=what)
        self._process.start()
        os.close(read_in)
        os.close(write_out)
        self.stdin, self.stdout = open(write_in, "w"), open(read_out)
        assert self._process.pid is not None
        self.pid = self._process.pid

    def __enter__(self) -> Forked:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stdout.close()
        self.stdin.close()
        self._process.join()

    @property
    def returncode(self) -> int | None:
        """The exit status, below 0 after a signal; None while it runs."""
        return self._process.exitcode


def start(command: Sequence[str], environment: Mapping[str, str], stderr: IO[str]) -> Forked:
    """Start ``python -m module arguments``, in a session of its own."""
    python, option, module, *arguments = command
    assert (python, option) == (sys.executable, "-m"), command
    return Forked(module, arguments, environment, stderr)


class _Stream:
    """A file handle that goes to the new process with its arguments."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def __reduce__(self) -> tuple[Any, ...]:
        return _receive, (reduction.DupFd(self.handle),)


def _receive(handle: Any) -> int:
    return int(handle.detach())


def _run(module: str, arguments: list[str], environment: dict[str, str], folder: str, streams: Sequence[int]) -> None:
    """Become what a new interpreter would be."""
    os.setsid()
    for target, handle in enumerate(streams):
        os.dup2(handle, target)
        os.close(handle)
    sys.stdin, sys.stdout, sys.stderr = (open(target, mode) for target, mode in enumerate("rww"))
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = list(dict.fromkeys([*environment["PYTHONPATH"].split(os.pathsep), *sys.path]))
    sys.argv = [module, *arguments]
    tempfile.tempdir = None
    _unlike_each_other()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the module was imported before, on purpose
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def _unlike_each_other() -> None:
    """Draw new states of the global generators: forked ones would all be the same, and hide a missing seed."""
    import numpy as np

    np.random.seed()  # noqa: NPY002
