"""Experiments on circuits: the same circuit under several conditions, over seeds.

A protocol knows nothing of a particular circuit.  It asks the circuit which parameter drives a
population (:attr:`~eiplatform.microcircuits.circuit.Circuit.drives`), which one a pathway's strength
is proportional to (:attr:`~eiplatform.microcircuits.circuit.Circuit.pathways`), and how to freeze a
population (:meth:`~eiplatform.microcircuits.circuit.Circuit.frozen`).  Every condition is a
simulation of its own from the same seeds, that is with the same connectivity, initial potentials and random
numbers; responses are therefore differences within a seed.

``spontaneous``
    The circuit as it is.
``step-input``
    The drive of a population at several values: f-I (gain) curves.
``perturb-E``, ``perturb-I``
    A little more (or less) drive to one population.  In an inhibition-stabilised network more drive to I
    lowers the rate of I (paradoxical effect); with E frozen it raises it.
``lesion``
    A fraction of one synaptic pathway removed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from eiplatform.errors import ConfigError, choose
from eiplatform.microcircuits.circuit import Circuit
from eiplatform.microcircuits.processes import Progress
from eiplatform.microcircuits.runner import simulate

__all__ = ["PROTOCOLS", "Condition", "Protocol", "Sink", "plan", "run_protocol", "threshold_linear"]

PROTOCOLS = ("spontaneous", "step-input", "perturb-E", "perturb-I", "lesion")
"""Names of the protocols."""

DOSES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Fractions of a pathway that a lesion removes unless told otherwise."""

MEANS = ("current_exc", "current_inh", "current_net", "conductance_exc", "conductance_inh", "gain", "voltage")
"""Signals whose means are kept, where a circuit has them."""

Sink = Callable[[Mapping[str, xr.Dataset]], None]
"""Takes the recordings of one seed."""


@dataclass(frozen=True)
class Condition:
    """One condition of a protocol.

    Attributes
    ----------
    name : str
        E.g. ``"drive_inh=1.01"``; also the name of its recording.
    level : float
        Value of the drive, change of it, or fraction removed; 0 for the control of the last two.
    changes : mapping
        Parameters that differ from the circuit's own.
    frozen : bool
        Whether a population is frozen at its rate in the control.
    """

    name: str
    level: float
    changes: Mapping[str, float]
    frozen: bool = False


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
        ``lesion``: pathway, a key of its `pathways`.  Not for the others.
    levels : sequence of float, optional
        ``step-input``: values of the drive (default: half to one and a half times its value, or six
        steps from zero).  ``perturb-*``: changes of the drive, relative or in its unit as the circuit
        declares (default: one and two of its small steps).  ``lesion``: fractions removed (default:
        quarters).  The control, 0, is added to the last two.
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
    allowed = {"spontaneous": (), "step-input": ("target", "levels"), "lesion": ("target", "levels")}
    taken = allowed.get(kind, ("levels", "freeze"))
    if unused := [key for key, value in given.items() if value is not None and key not in taken]:
        raise ConfigError(
            f"protocol '{name}' takes no {' and no '.join(unused)}", where="protocol", valid=taken or "no argument"
        )
    if kind == "spontaneous":
        return Protocol(name, "", "", "none", "", (Condition("spontaneous", 0.0, {}),))
    if kind == "lesion":
        return _lesion(name, circuit, target, levels)
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


def _conditions(circuit: Circuit, parameter: str, values: Mapping[float, float]) -> tuple[Condition, ...]:
    found = tuple(Condition(f"{parameter}={value:.6g}", level, {parameter: value}) for level, value in values.items())
    if len({condition.name for condition in found}) < len(found):
        raise ConfigError(
            f"the levels {list(values)} leave '{parameter}' the same",
            where=circuit.name,
            remedy="choose levels further apart, or another target",
        )
    for condition in found:
        circuit.changed(condition.changes)  # refuses what is impossible before anything runs
    return found


def _lesion(name: str, circuit: Circuit, target: str | None, levels: Sequence[float] | None) -> Protocol:
    if target is None:
        raise ConfigError("a lesion needs a pathway", where="target", valid=circuit.pathways or "none in this circuit")
    pathway = _named(circuit.pathways, target, "pathway", circuit)
    parameter = circuit.pathways[pathway]
    intact = float(getattr(circuit.parameters, parameter))
    doses = _levels(DOSES if levels is None else levels, control=True)
    if not 0 <= min(doses) <= max(doses) <= 1:
        raise ConfigError(f"{doses} are not all fractions", where="levels", valid="from 0 (intact) to 1 (all removed)")
    conditions = _conditions(circuit, parameter, {dose: intact * (1 - dose) for dose in doses})
    return Protocol(name, pathway, parameter, "fraction of the pathway removed", "", conditions)


def _step_input(name: str, circuit: Circuit, target: str | None, levels: Sequence[float] | None) -> Protocol:
    chosen = _named(circuit.drives, target or next(iter(circuit.drives), ""), "driven population", circuit)
    drive = circuit.drives[chosen]
    value = float(getattr(circuit.parameters, drive.parameter))
    if levels is None:
        levels = [value * part for part in (0.5, 0.75, 1.0, 1.25, 1.5)] if drive.relative else [
            value + step * drive.step for step in range(6)
        ]  # fmt: skip
    conditions = _conditions(circuit, drive.parameter, {level: level for level in _levels(levels, control=False)})
    return Protocol(name, chosen, drive.parameter, f"value of {drive.parameter}", "", conditions)


def _perturbation(name: str, circuit: Circuit, levels: Sequence[float] | None, freeze: str | None) -> Protocol:
    target = _named(circuit.drives, name.removeprefix("perturb-"), "driven population", circuit)
    drive = circuit.drives[target]
    value = float(getattr(circuit.parameters, drive.parameter))
    if drive.relative and value == 0:
        raise ConfigError(f"'{drive.parameter}' is 0: a relative change of it is none", where=circuit.name)
    changes = _levels([drive.step, 2 * drive.step] if levels is None else levels, control=True)
    conditions = _conditions(circuit, drive.parameter, {change: drive.changed(value, change) for change in changes})
    if freeze is not None:
        circuit.changed(circuit.frozen(freeze, 1.0))
        conditions += tuple(
            Condition(f"{freeze}-frozen,{condition.name}", condition.level, condition.changes, frozen=True)
            for condition in conditions
        )
    what = f"{'relative change' if drive.relative else 'change'} of {drive.parameter}"
    return Protocol(name, target, drive.parameter, what, freeze or "", conditions)


def run_protocol(
    protocol: Protocol,
    circuit: Circuit,
    *,
    seeds: Sequence[int] = (0,),
    keep: Callable[[Condition, Circuit], AbstractContextManager[Sink]] | None = None,
    progress: Progress | None = None,
    level: float = 0.95,
    **options: Any,
) -> xr.Dataset:
    """Simulate all conditions of a protocol.

    Parameters
    ----------
    protocol : Protocol
        From :func:`plan`, for the same circuit.
    circuit : Circuit
    seeds : sequence of int
        The same for every condition.
    keep : callable, optional
        Called before each condition; its context gives a function to which the recordings of
        every seed are passed.
    progress : callable, optional
        Takes the completed fraction and a message.
    level : float
        Nominal coverage of the intervals (Student t over seeds; NaN with one seed).
    **options
        As in :func:`~eiplatform.microcircuits.simulate`.

    Returns
    -------
    xarray.Dataset, dims (condition, seed, population)
        ``rate`` (Hz), the means over time and recorded neurons of the circuit's currents, conductances
        and gain; ``response``, the rate minus that of the first condition with the same freezing, and
        over seeds ``response_mean``, ``response_low``, ``response_high``.  Coordinates ``level`` and
        ``frozen``; the rate of the frozen population is the attribute ``frozen_rate``.

    Raises
    ------
    EIPlatformError
        As :func:`~eiplatform.microcircuits.simulate`; arguments are checked before anything runs.
    """
    sink = keep or (lambda condition, changed: nullcontext(lambda populations: None))
    simulate(circuit, seeds=seeds, **options)  # checks at the call, runs when iterated
    count = len(protocol.conditions)
    rows: list[xr.Dataset] = []
    frozen_rate = float("nan")
    for index, condition in enumerate(protocol.conditions):
        changes: dict[str, float] = dict(condition.changes)
        if condition.frozen:
            if np.isnan(frozen_rate):
                position = list(rows[0].population.values).index(protocol.freeze)
                frozen_rate = float(rows[0]["rate"].isel(population=position).mean())
            if frozen_rate == 0:
                raise ConfigError(f"population '{protocol.freeze}' is silent: nothing to freeze", where=circuit.name)
            changes |= circuit.frozen(protocol.freeze, frozen_rate)
        changed = circuit.changed(changes)

        def report(fraction: float, message: str, index: int = index, name: str = condition.name) -> None:
            if progress is not None:
                progress((index + fraction) / count, f"{name}: {message}")

        with sink(condition, changed) as store:
            runs = simulate(changed, seeds=seeds, progress=report, **options)
            rows.append(_summary(runs, store))
    result = xr.concat(rows, dim="condition").assign_coords(
        condition=[condition.name for condition in protocol.conditions],
        level=("condition", [condition.level for condition in protocol.conditions], {"long_name": protocol.level}),
        frozen=("condition", [condition.frozen for condition in protocol.conditions]),
    )
    result.attrs = {
        "protocol": protocol.name,
        "circuit": circuit.name,
        "reference": circuit.reference,
        "parameters": json.dumps(circuit.to_mapping()),
        "target": protocol.target,
        "parameter": protocol.parameter,
        "freeze": protocol.freeze,
        "frozen_rate": frozen_rate,
        "confidence": level,
    }
    return _with_responses(result, level)


def _summary(runs: Iterator[tuple[int, dict[str, xr.Dataset]]], store: Sink) -> xr.Dataset:
    """Return rate and mean signals of every seed and population."""
    rows: list[xr.Dataset] = []
    for seed, populations in runs:
        store(populations)
        per_population: dict[str, list[float]] = {}
        units: dict[str, str] = {"rate": "Hz"}
        for data in populations.values():
            rate = data.sizes["spike"] / (data.attrs["n_neurons"] * data.attrs["duration"] * 1e-3)
            per_population.setdefault("rate", []).append(rate)
            for name in MEANS:
                if name in data:
                    per_population.setdefault(name, []).append(float(data[name].mean(dtype=np.float64)))
                    units[name] = data[name].attrs["units"]
        row = xr.Dataset(
            {key: ("population", values, {"units": units[key]}) for key, values in per_population.items()},
            coords={"population": list(populations), "seed": seed},
        )
        rows.append(row)
    return xr.concat(rows, dim="seed")


def _with_responses(result: xr.Dataset, level: float) -> xr.Dataset:
    """Add the difference to the control of the same freezing, within each seed, and its interval over seeds."""
    rate = result["rate"]
    frozen = result["frozen"].values
    control = rate.isel(condition=np.where(frozen, np.argmax(frozen), 0))
    response = rate - control.assign_coords(condition=rate["condition"])
    n = rate.sizes["seed"]
    mean = response.mean("seed")
    half = response.std("seed", ddof=1) * (stats.t.ppf((1 + level) / 2, n - 1) / np.sqrt(n)) if n > 1 else mean * np.nan
    found = {"response": response, "response_mean": mean, "response_low": mean - half, "response_high": mean + half}
    return result.assign({key: value.assign_attrs(units="Hz") for key, value in found.items()})


def threshold_linear(levels: Sequence[float], rates: Sequence[float], *, floor: float = 0.15) -> tuple[float, float]:
    """Fit ``rate = gain (level - threshold)`` to the rising part of an f-I curve.

    Points below a fraction of the largest rate are left out: the foot of a noisy curve is no part of the
    line, and regressing all rates of one curve on another's reads a pure shift as division.

    Parameters
    ----------
    levels, rates : sequence of float
        Drive and rate (Hz).
    floor : float
        Fraction of the largest rate below which points are left out.

    Returns
    -------
    gain : float
        Hz per unit of drive.
    threshold : float
        In units of the drive.

    Raises
    ------
    ConfigError
        With fewer than two points on the rising part, or a flat one.

    Examples
    --------
    >>> threshold_linear([0, 1, 2, 3], [0, 0, 5, 10])
    (5.0, 1.0)
    """
    x, y = np.asarray(levels, float), np.asarray(rates, float)
    on: NDArray[np.bool_] = (y > 0) & (y >= floor * y.max(initial=0.0))
    if on.sum() < 2 or np.ptp(x[on]) == 0:
        raise ConfigError("too few points on the rising part of the curve", where="levels", valid="two or more")
    slope, intercept = np.polyfit(x[on], y[on], 1)
    if abs(slope) * np.ptp(x[on]) <= 1e-12 * y.max():
        raise ConfigError("the curve does not rise", where="levels")
    return round(float(slope), 9), round(float(-intercept / slope), 9)
