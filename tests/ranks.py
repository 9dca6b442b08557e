"""Several processes with the environment that torchrun gives them, forked from one that has loaded torch."""

from __future__ import annotations

import os
import socket
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import torch

__all__ = ["together"]


def together(place: Path, program: Callable[[int], object], processes: int = 2) -> list[tuple[int, str]]:
    """Run a function of the rank in several processes at once; return exit status and standard error of each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(processes):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on threads, which a rank does not use
            child = os.fork()
        if child == 0:
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
            _be_rank(rank, program, place / f"rank{rank}.txt")
        children.append(child)
    states = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return [(state, (place / f"rank{rank}.txt").read_text()) for rank, state in enumerate(states)]


def _be_rank(rank: int, program: Callable[[int], object], errors: Path) -> NoReturn:
    """Run the function and end this process as Python would; the threads of the parent are not here."""
    status = 0
    sys.stderr = errors.open("w", buffering=1)
    os.dup2(sys.stderr.fileno(), 2)
    warnings.simplefilter("default")
    try:
        torch.set_num_threads(1)
        program(rank)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stderr.flush()
    os._exit(status)
