"""Circuits by name: every module that defines ``CIRCUIT``, here, in the project or in an installed package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import ModuleType
from typing import Any

from eiplatform.discovery import gather
from eiplatform.errors import choose
from eiplatform.microcircuits.circuit import Circuit

__all__ = ["load", "names", "parameters_of"]


def _circuits() -> dict[str, type[Circuit]]:
    """Find the classes bound to ``CIRCUIT`` in the modules of this folder, of the project, of installed packages."""

    def declared(module: ModuleType) -> list[tuple[str, type[Circuit]]]:
        circuit = getattr(module, "CIRCUIT", None)
        return [] if circuit is None else [(circuit.name, circuit)]

    return dict(sorted(gather("circuits", declared).items()))


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
    known = _circuits()
    return known[choose(name, known, "circuit")].from_parameters(parameters or {})


def parameters_of(name: str) -> tuple[str, ...]:
    """Return the names of a circuit's parameters, shortcuts first.

    Examples
    --------
    >>> parameters_of("brunel-2000")[:2]
    ('state', 'scale')
    """
    circuit = load(name)
    every = [entry.name for entry in fields(circuit.parameters)]
    return tuple(dict.fromkeys((*circuit.shortcuts, *circuit.to_mapping(), *every, *circuit.single_pathways.values())))
