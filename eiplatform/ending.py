"""How a process of the platform ends when it is asked to: like after Ctrl-C, with everything cleared away."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["Terminated", "end_with_parent", "end_with_starter", "graceful", "orderly"]

_ASKED = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Terminated(KeyboardInterrupt):
    """The process was asked to end by a signal (``kill``, a batch system, a closed terminal).

    Attributes
    ----------
    number : int
        Of the signal; the exit status is 128 more.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def _raise(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once: clearing away is not to be interrupted by the same signal
    raise Terminated(number)


def graceful() -> dict[int, Any]:
    """Let SIGTERM and SIGHUP raise :class:`Terminated`; return the handlers that were there.

    What is ignored (``nohup``) or handled by the program already stays, and so does everything in a thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {}
    for number in _ASKED:
        if signal.getsignal(number) is signal.SIG_DFL:
            before[int(number)] = signal.signal(number, _raise)
    return before


@contextmanager
def orderly() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end what runs here like Ctrl-C does."""
    before = graceful()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_starter(folder: Path) -> None:
    """End this process, its group and what it wrote as soon as the process that started it is gone.

    The starter holds the other end of standard input; the system closes it when the starter dies, even by ``kill -9``.

    Parameters
    ----------
    folder : Path
        Temporary folder, removed then.  This process must lead a group of its own.
    """

    def watch() -> None:
        while os.read(0, 1):
            pass
        _end_group(os.getpid(), folder)

    threading.Thread(target=watch, daemon=True).start()


def _end_group(group: int, folder: Path) -> None:
    """Kill a process group, this process included, and remove a folder: from a child outside the group."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forking with threads: the child calls the system and nothing else
        child = os.fork()
    if child:
        return
    try:
        os.setsid()
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
            for _ in range(500):  # the dead are listed until init has taken note of them
                time.sleep(0.01)
                os.killpg(group, 0)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os._exit(0)


def end_with_parent() -> None:
    """End a process of :mod:`multiprocessing` in an orderly way as soon as its parent is gone."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    graceful()

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
