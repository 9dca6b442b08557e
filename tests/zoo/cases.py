"""What a case of the zoo is: a network, an input, and the outcome that is expected."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.zoo.oracle import Seen, Signals

__all__ = ["BATCH", "CASES", "Case", "Net", "case", "load_all", "package", "positive"]

BATCH = 3
"""Samples that a network is shown first."""


def positive(*shape: int, scale: float = 2.0) -> Callable[[int], Tensor]:
    """Return what makes inputs (batch, *shape) of rates between 0 and `scale`."""
    return lambda batch: torch.rand(batch, *shape) * scale


@dataclass(frozen=True)
class Net:
    """A network of the zoo.

    Attributes
    ----------
    module : nn.Module
    x : callable
        ``x(batch)`` makes an input with the axes that the module takes.
    wants : mapping of str to callable
        Every population that must be recorded, and what computes its signals from the calls
        that plain hooks saw.
    steps : int
        Time steps.
    axes : {"B", "TB", "BT"}
        Leading axes of the input.
    play : callable
        ``play(module, x)`` runs the module from rest, without the library.
    options : mapping
        For ``adapt``.
    missing : tuple of str
        Weights or populations that the probe must name as not recordable.
    any_batch : bool
        Whether the module takes any number of samples.
    """

    module: nn.Module
    x: Callable[[int], Tensor]
    wants: Mapping[str, Callable[[Seen], Signals]]
    steps: int = 1
    axes: str = "B"
    play: Callable[[nn.Module, Tensor], Any] = lambda module, x: module(x)
    options: Mapping[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    any_batch: bool = True

    def batch(self) -> int:
        """Return the number of samples to run with: another than was shown first, and as many as steps."""
        if not self.any_batch:
            return BATCH
        return self.steps if self.steps not in (1, BATCH) else 4


@dataclass(frozen=True)
class Case:
    """A case: its name, what builds it, and what must come of it.

    Attributes
    ----------
    name : str
    build : callable
    expected : {"right", "refused"}
    names : str
        What the message of a refusal must match (a regular expression).
    """

    name: str
    build: Callable[[], Net]
    expected: str
    names: str

    def made(self, seed: int = 0) -> Net:
        """Return the network, always with the same weights."""
        torch.manual_seed(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of frameworks, and of torch.jit
            return self.build()


CASES: dict[str, Case] = {}


def case(function: Callable[[], Net] | None = None, *, refused: str = "") -> Any:
    """Register a function that builds a :class:`Net` as a case; with `refused`, the message must match it."""
    if function is None:
        return partial(case, refused=refused)
    name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
    CASES[name] = Case(name, function, "refused" if refused else "right", refused)
    return function


def package(name: str) -> Any:
    """Import a framework, whose own warnings do not matter here; skip where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, exc_type=ImportError)


def load_all() -> dict[str, Case]:
    """Import every file of cases beside this one and return all cases."""
    for path in sorted(Path(__file__).parent.glob("*_nets.py")):
        import_module(f"tests.zoo.{path.stem}")
    return CASES
