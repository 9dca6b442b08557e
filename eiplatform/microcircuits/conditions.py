"""The conditions of an experiment on a circuit, planned and checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from eiplatform.errors import ConfigError, choose
from eiplatform.microcircuits.changes import described, driven, scaled
from eiplatform.microcircuits.circuit import Circuit

__all__ = ["DOSES", "PROTOCOLS", "Condition", "Protocol", "plan"]

PROTOCOLS = ("spontaneous", "step-input", "perturb-E", "perturb-I", "lesion", "pulse")
"""Names of the protocols."""

DOSES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Fractions of a pathway that a lesion removes by default."""


@dataclass(frozen=True)
class Condition:
    """One condition of a protocol.

    Attributes
    ----------
    name : str
        E.g. ``"drive_inh=1.01"``; also the name of its recording.
    level : float
        Value of the drive, change of it, or fraction removed; 0 for a control.
    changes : mapping
        Parameters that differ from the circuit's own.
    frozen : bool
        Whether a population is frozen at its rate in the control.
    lesions : tuple of mapping
        The changes as interventions (``Scale``, ``Add``), as the manifest of a recording says them.
    """

    name: str
    level: float
    changes: Mapping[str, float]
    frozen: bool = False
    lesions: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Protocol:
    """The conditions of a protocol for one circuit.

    Attributes
    ----------
    name : str
        One of :data:`PROTOCOLS`.
    target : str
        Population or pathway concerned; empty for the spontaneous activity.
    parameter : str
        Parameter that the conditions change; empty for the spontaneous activity.
    level : str
        What the level of a condition means.
    freeze : str
        Population that is frozen in some conditions, or empty.
    conditions : tuple of Condition
        The control first, frozen ones last.
    """

    name: str
    target: str
    parameter: str
    level: str
    freeze: str
    conditions: tuple[Condition, ...]


def plan(
    name: str,
    circuit: Circuit,
    *,
    target: str | None = None,
    levels: Sequence[float] | None = None,
    freeze: str | None = None,
) -> Protocol:
    """Return the conditions of a protocol; run nothing.

    Parameters
    ----------
    name : str
        One of :data:`PROTOCOLS`.
    circuit : Circuit
    target : str, optional
        ``step-input``: population, a key of the circuit's `drives` (default: the first);
        ``lesion``: pathway, a key of its `pathways`; ``pulse``: input, a key of its `pulses` (default:
        the first).  Not for the others.
    levels : sequence of float, optional
        ``step-input``: values of the drive (default: half to one and a half times its value, or six
        steps from zero).  ``perturb-*``: changes of the drive, relative or in its unit as the circuit
        declares (default: one and two of its small steps).  ``lesion``: fractions removed (default:
        quarters).  ``pulse``: lengths in ms (default: the published one).  The control, 0, is added to
        the last three.
    freeze : str, optional
        ``perturb-*``: repeat every condition with this population frozen.

    Raises
    ------
    UnknownNameError
        For a protocol, population or pathway that the circuit does not have.
    ConfigError
        For arguments that the protocol does not take, or impossible levels.

    Examples
    --------
    >>> from eiplatform.microcircuits import load
    >>> [condition.name for condition in plan("perturb-I", load("isn"), levels=[0.01]).conditions]
    ['drive_inh=1', 'drive_inh=1.01']
    """
    choose(name, PROTOCOLS, "protocol")
    kind = "perturb" if name.startswith("perturb-") else name
    given = {"target": target, "levels": levels, "freeze": freeze}
    allowed = {"spontaneous": (), **dict.fromkeys(("step-input", "lesion", "pulse"), ("target", "levels"))}
    taken = allowed.get(kind, ("levels", "freeze"))
    if unused := [key for key, value in given.items() if value is not None and key not in taken]:
        raise ConfigError(
            f"protocol '{name}' takes no {' and no '.join(unused)}", where="protocol", valid=taken or "no argument"
        )
    if kind == "spontaneous":
        return Protocol(name, "", "", "none", "", (Condition("spontaneous", 0.0, {}),))
    if kind == "lesion":
        return _lesion(name, circuit, target, levels)
    if kind == "pulse":
        return _pulse(name, circuit, target, levels)
    if kind == "step-input":
        return _step_input(name, circuit, target, levels)
    return _perturbation(name, circuit, levels, freeze)


def _levels(values: Sequence[float], *, control: bool) -> list[float]:
    """Return different finite levels in ascending order, 0 first if there is a control."""
    numbers = [float(value) for value in values if not isinstance(value, bool)]
    good = len(numbers) == len(values) and bool(np.isfinite(numbers).all())
    if not good or len(set(numbers)) < len(numbers) or not numbers:
        raise ConfigError(f"{list(values)} are not all possible", where="levels", valid="different finite numbers")
    return [0.0, *sorted(set(numbers) - {0.0})] if control else sorted(numbers)


def _named(options: Mapping[str, Any], name: str, kind: str, circuit: Circuit) -> str:
    if not options:
        raise ConfigError(f"this circuit declares no {kind} that a protocol could change", where=circuit.name)
    return choose(name, options, kind, where=circuit.name)


def _conditions(
    circuit: Circuit,
    parameter: str,
    values: Mapping[float, float],
    specs: Mapping[float, Mapping[str, Any]] | None = None,
) -> tuple[Condition, ...]:
    """Return a condition per level; `specs` are those levels that are interventions, as plain data."""
    found = tuple(
        Condition(
            f"{parameter}={value:.6g}",
            level,
            {parameter: value},
            lesions=(described(specs[level], circuit, {parameter: value}),) if specs and level in specs else (),
        )
        for level, value in values.items()
    )
    if len({condition.name for condition in found}) < len(found):
        raise ConfigError(
            f"the levels {list(values)} leave '{parameter}' the same",
            where=circuit.name,
            remedy="choose levels further apart, or another target",
        )
    for condition in found:
        circuit.changed(condition.changes)  # raises for the impossible before anything runs
    return found


def _lesion(name: str, circuit: Circuit, target: str | None, levels: Sequence[float] | None) -> Protocol:
    if target is None:
        raise ConfigError("a lesion needs a pathway", where="target", valid=circuit.pathways or "none in this circuit")
    pathway = _named(circuit.pathways, target, "pathway", circuit)
    parameter = circuit.pathways[pathway]
    doses = _levels(DOSES if levels is None else levels, control=True)
    if not 0 <= min(doses) <= max(doses) <= 1:
        raise ConfigError(f"{doses} are not all fractions", where="levels", valid="from 0 (intact) to 1 (all removed)")
    if circuit.value(parameter) == 0:
        raise ConfigError(f"the levels {doses} leave '{parameter}' the same", where=circuit.name, remedy="it is 0")
    conditions = _conditions(
        circuit,
        parameter,
        {dose: scaled(circuit, pathway, 1 - dose)[parameter] for dose in doses},
        {dose: {"kind": "Scale", "target": pathway, "factor": 1 - dose} for dose in doses},
    )
    return Protocol(name, pathway, parameter, "fraction of the pathway removed", "", conditions)


def _step_input(name: str, circuit: Circuit, target: str | None, levels: Sequence[float] | None) -> Protocol:
    chosen = _named(circuit.drives, target or next(iter(circuit.drives), ""), "driven population", circuit)
    drive = circuit.drives[chosen]
    value = circuit.value(drive.parameter)
    if levels is None:
        levels = [value * part for part in (0.5, 0.75, 1.0, 1.25, 1.5)] if drive.relative else [
            value + step * drive.step for step in range(6)
        ]  # fmt: skip
    conditions = _conditions(circuit, drive.parameter, {level: level for level in _levels(levels, control=False)})
    return Protocol(name, chosen, drive.parameter, f"value of {drive.parameter}", "", conditions)


def _pulse(name: str, circuit: Circuit, target: str | None, levels: Sequence[float] | None) -> Protocol:
    chosen = _named(circuit.pulses, target or next(iter(circuit.pulses), ""), "pulsed input", circuit)
    pulse = circuit.pulses[chosen]
    lengths = _levels([pulse.length_ms] if levels is None else levels, control=True)
    conditions = _conditions(circuit, pulse.length, {length: length for length in lengths})
    return Protocol(name, chosen, pulse.length, "length of the pulse (ms)", "", conditions)


def _perturbation(name: str, circuit: Circuit, levels: Sequence[float] | None, freeze: str | None) -> Protocol:
    target = _named(circuit.drives, name.removeprefix("perturb-"), "driven population", circuit)
    drive = circuit.drives[target]
    unit = "mean" if drive.relative else "current"
    changes = _levels([drive.step, 2 * drive.step] if levels is None else levels, control=True)
    conditions = _conditions(
        circuit,
        drive.parameter,
        {change: driven(circuit, target, change, unit)[drive.parameter] for change in changes},
        {c: {"kind": "Add", "target": target, "amount": c} | ({"unit": unit} if drive.relative else {})
         for c in changes if c},
    )  # fmt: skip
    if freeze is not None:
        circuit.changed(circuit.frozen(freeze, 1.0))
        conditions += tuple(
            replace(
                condition,
                name=f"{freeze}-frozen,{condition.name}",
                frozen=True,
                lesions=(*condition.lesions, described({"kind": "Freeze", "target": freeze}, circuit, {})),
            )
            for condition in conditions
        )
    what = f"{'relative change' if drive.relative else 'change'} of {drive.parameter}"
    return Protocol(name, target, drive.parameter, what, freeze or "", conditions)
