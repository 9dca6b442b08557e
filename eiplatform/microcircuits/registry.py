"""Circuits by name: every module of this package that defines ``CIRCUIT``."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from eiplatform.errors import choose
from eiplatform.microcircuits.circuit import Circuit

__all__ = ["load", "names"]


@lru_cache(maxsize=1)
def _circuits() -> dict[str, type[Circuit]]:
    found: dict[str, type[Circuit]] = {}
    for info in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if info.name != "worker":  # the worker is a program
            circuit = getattr(import_module(f"eiplatform.microcircuits.{info.name}"), "CIRCUIT", None)
            if circuit is not None:
                found[circuit.name] = circuit
    return dict(sorted(found.items()))


def names() -> tuple[str, ...]:
    """Return the names of all circuits."""
    return tuple(_circuits())


def load(name: str, parameters: Mapping[str, Any] | None = None) -> Circuit:
    """Return a circuit with its published parameters, overridden by `parameters`.

    Parameters
    ----------
    name : str
        One of :func:`names`.
    parameters : mapping, optional
        As the circuit's ``from_parameters`` takes them.

    Raises
    ------
    UnknownNameError
        For an unknown circuit or parameter; the nearest name is suggested.
    ConfigError
        For an impossible value.

    Examples
    --------
    >>> load("brunel-2000", {"state": "D"}).parameters.eta
    0.9
    """
    return _circuits()[choose(name, names(), "circuit")].from_parameters(parameters or {})
