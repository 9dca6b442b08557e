"""What an intervention does to a circuit: which parameters it changes, and how a recording says so.

The kinds of :mod:`eiplatform.interventions` that can act on a circuit call these functions; so do the protocols, which
need no torch.  A circuit is changed from the first to the last step of a simulation, or in a window of recorded steps
(``steps``), which begins after the warm-up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from eiplatform.errors import ConfigError, UnknownNameError, choose, match_names
from eiplatform.microcircuits.circuit import Circuit

__all__ = [
    "Change",
    "Rates",
    "described",
    "driven",
    "frozen",
    "over_time",
    "pathway_parameters",
    "scaled",
    "silenced",
    "under",
]

Rates = Callable[[str], float]
"""Returns the mean rate (Hz) of a population of the circuit before any change."""
_NOT_HERE = {
    "neurons": "all neurons of a population",
    "samples": "all seeds",
}


class Change(Protocol):
    """An intervention that can act on a circuit."""

    def on_circuit(self, circuit: Circuit, rates: Rates) -> Mapping[str, float]:
        """Return the parameters that it changes, with their new values."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""


def under(circuit: Circuit, changes: Sequence[Change], rates: Rates) -> tuple[Circuit, list[dict[str, Any]]]:
    """Return a circuit under interventions, one after another, and what the manifest says of them.

    Parameters
    ----------
    circuit : Circuit
    changes : sequence of Change
        Of :mod:`eiplatform.interventions`.
    rates : callable
        Returns the mean rate (Hz) of a population of the circuit as it is; called only if one needs it.

    Raises
    ------
    ConfigError
        If this circuit cannot do one of them, or one changes nothing.
    UnknownNameError
        If one names a pathway or population that this circuit does not have.
    """
    said = []
    for one in changes:
        if not callable(getattr(one, "on_circuit", None)) or isinstance(one, type):
            raise ConfigError(f"{one!r} is not an intervention", where="interventions", valid="e.g. Scale('I->E', 0.8)")
        spec = one.to_dict()
        for name, instead in _NOT_HERE.items():
            if name in spec:
                raise ConfigError(
                    f"{spec['kind']} cannot be limited to some {name} of a circuit", where=circuit.name, valid=instead
                )
        if "layers" in spec:
            raise ConfigError(
                "a circuit has no layers",
                where=f"{spec['kind']}: {circuit.name}",
                remedy="leave them out; a pathway names its populations, e.g. 'L4I->L4E'",
            )
        values = dict(one.on_circuit(circuit, rates))
        said.append(described(spec, circuit, values))
        circuit = circuit.changed(values)
    return circuit, said


def over_time(
    circuit: Circuit, changes: Sequence[Change], rates: Rates
) -> tuple[Circuit, list[tuple[int, Circuit]], list[dict[str, Any]]]:
    """Return a circuit as it is at first, what it becomes from which recorded step on, and what the manifest says.

    Parameters
    ----------
    circuit, changes, rates
        As of :func:`under`; a change with ``steps`` acts in that window of recorded steps, others from the start.

    Examples
    --------
    >>> import eiplatform as ei
    >>> from eiplatform.microcircuits import load
    >>> first, later, _ = over_time(load("ssn"), [ei.Scale("I->E", 0.9, steps=slice(100, 200))], lambda _: 1.0)
    >>> [(step, round(one.parameters.w_inh_to_exc / first.parameters.w_inh_to_exc, 3)) for step, one in later]
    [(100, 0.9), (200, 1.0)]
    """
    whole, said = under(circuit, changes, rates)
    windows = [one.to_dict().get("steps") for one in changes]
    if not any(windows):
        return whole, [], said

    def at(step: int) -> Circuit:
        acting = [
            one
            for one, window in zip(changes, windows, strict=True)
            if window is None or (window[0] <= step and (window[1] is None or step < window[1]))
        ]
        return under(circuit, acting, rates)[0]

    bounds = sorted({step for window in windows if window for step in window if step is not None})
    return at(-1), [(step, at(step)) for step in bounds], said


def described(spec: Mapping[str, Any], circuit: Circuit, values: Mapping[str, float]) -> dict[str, Any]:
    """Return what the manifest of a recording says of an intervention, in the words that networks have.

    Parameters
    ----------
    spec : mapping
        The intervention as plain data.
    circuit : Circuit
        As it was before.
    values : mapping
        Parameters with their new values.

    Examples
    --------
    >>> from eiplatform.microcircuits import load
    >>> spec = {"kind": "Scale", "target": "I->E", "factor": 0.75}
    >>> said = described(spec, load("isn"), {"inh_to_exc": 0.75})
    >>> said["pathway"], said["dose"], said["parameters"]
    ('I->E', 0.25, {'inh_to_exc': [1.0, 0.75]})
    """
    about: dict[str, Any] = {"pathway": spec.get("target", spec.get("population")), "layers": "*"}
    about |= {"kind": spec["kind"], "spec": dict(spec)}
    if spec["kind"] == "Scale":
        about |= {"dose": round(1.0 - spec["factor"], 12), "factor": spec["factor"]}
    elif spec["kind"] == "Silence":
        about |= {"pathway": f"silence {spec['population']}", "dose": spec.get("fraction", 1.0)}
    return about | {"parameters": {name: [circuit.value(name), value] for name, value in values.items()}}


def scaled(circuit: Circuit, target: str, factor: float, fraction: float | None = None) -> dict[str, float]:
    """Return the parameters of synaptic pathways, multiplied.

    Parameters
    ----------
    circuit : Circuit
    target : str
        Pathway, see :func:`pathway_parameters`.
    factor : float
        At least 0.
    fraction : float, optional
        Refused: which neurons lose synapses is not a parameter of any circuit.

    Examples
    --------
    >>> from eiplatform.microcircuits import load
    >>> scaled(load("isn"), "I->E+I", 0.5)
    {'inh_to_exc': 0.5, 'inh_to_inh': 0.5}
    """
    _whole(circuit, "Scale", fraction)
    values = {name: circuit.value(name) for name in pathway_parameters(circuit, target)}
    if not any(values.values()):
        raise ConfigError(f"this changes nothing: the strength of '{target}' is 0", where=circuit.name)
    return {name: value * factor for name, value in values.items()}


def pathway_parameters(circuit: Circuit, target: str) -> list[str]:
    """Return the parameters that the strength of a pathway is proportional to.

    Parameters
    ----------
    circuit : Circuit
    target : str
        A pathway of the circuit (``"I->E"``), several targets (``"I->E+I"``), or a wildcard, which stands for pathways
        between single populations where the circuit has them apart (``"L4I->*"``).

    Raises
    ------
    UnknownNameError
        If the circuit does not have it.

    Examples
    --------
    >>> from eiplatform.microcircuits import load
    >>> pathway_parameters(load("isn"), "I->*")
    ['inh_to_exc', 'inh_to_inh']
    """
    known = {**circuit.pathways, **circuit.single_pathways}
    if not known:
        raise ConfigError("this circuit declares no pathway that could be changed", where=circuit.name)
    if any(mark in target for mark in "*?["):
        several: Mapping[str, str] = circuit.single_pathways or circuit.pathways
        return list(dict.fromkeys(several[name] for name in match_names([target], several, "pathway")))
    source, _, ends = target.partition("->")
    if target not in known and all(f"{source}->{end}" in known for end in ends.split("+")):
        return [known[f"{source}->{end}"] for end in ends.split("+")]
    return [known[choose(target, known if target in circuit.single_pathways else circuit.pathways, "pathway",
                         where=circuit.name)]]  # fmt: skip


def driven(
    circuit: Circuit, population: str, amount: float, unit: str, fraction: float | None = None
) -> dict[str, float]:
    """Return the parameters that drive a population, with a current added.

    Parameters
    ----------
    circuit : Circuit
    population : str
        A key of the circuit's `drives`.
    amount : float
    unit : {"current", "mean"}
        ``"mean"``: in means of the external drive, where the circuit's drive is a multiple of it; ``"current"``: in
        the circuit's unit of current, where its drive is a current.
    fraction : float, optional
        That part of the population alone, if the circuit can.

    Examples
    --------
    >>> from eiplatform.microcircuits import load
    >>> {name: round(value, 6) for name, value in driven(load("isn"), "I", 0.01, "mean", 0.2).items()}
    {'extra_inh': 0.01, 'extra_inh_part': 0.2}
    """
    where = f"Add: {circuit.name}"
    if not circuit.drives:
        raise ConfigError("this circuit declares no drive that could be changed", where=where)
    drive = circuit.drives[choose(population, circuit.drives, "driven population", where=where)]
    wanted = "mean" if drive.relative else "current"
    if unit != wanted:
        what = "a multiple of the external input" if drive.relative else f"a current in {circuit.current_units}"
        raise ConfigError(f"the drive of {population} is {what}", where=where, valid=f"unit='{wanted}'")
    value = circuit.value(drive.parameter)
    if drive.relative and value == 0:
        raise ConfigError(f"'{drive.parameter}' is 0: a relative change of it is none", where=circuit.name)
    if fraction is None:
        return {drive.parameter: drive.changed(value, amount)}
    if drive.partial is None:
        able = [name for name, other in circuit.drives.items() if other.partial]
        raise ConfigError(
            f"a part of {population} cannot be driven in this circuit",
            where=where,
            valid=f"fraction for {', '.join(able)}" if able else "all of the population",
        )
    extra, part = drive.partial
    if circuit.value(extra):
        raise ConfigError(f"a part of {population} is driven already", where=where, valid="one such intervention")
    return {extra: drive.changed(value, amount) - value, part: fraction}


def silenced(circuit: Circuit, population: str, cuts: str, fraction: float | None = None) -> dict[str, float]:
    """Return the parameters under which neurons send nothing.

    Parameters
    ----------
    circuit : Circuit
    population : str
    cuts : str
        ``"outgoing"``; other synapses belong to the targets' input, and are refused.
    fraction : float, optional
        That part of the population, if the circuit can.

    Examples
    --------
    >>> from eiplatform.microcircuits import load
    >>> silenced(load("isn"), "I", "outgoing", 0.2), silenced(load("isn"), "I", "outgoing")
    ({'silent_inh': 0.2}, {'inh_to_exc': 0.0, 'inh_to_inh': 0.0})
    """
    where = f"Silence: {circuit.name}"
    choose(population, [one.name for one in circuit.populations], "population", where=where)
    if cuts != "outgoing":
        raise ConfigError(f"cuts={cuts!r} is not possible in a circuit", where=where, valid="cuts='outgoing'")
    if fraction is None or fraction == 1:
        return scaled(circuit, f"{population}->*", 0.0)
    if population not in circuit.silent_parts:
        raise ConfigError(
            f"a part of {population} cannot be silenced in this circuit",
            where=where,
            valid=f"fraction for {', '.join(circuit.silent_parts)}" if circuit.silent_parts else "all of it",
            remedy=f"Scale('{population}->*', {1 - fraction:g}) takes as much current",
        )
    return {circuit.silent_parts[population]: fraction}


def frozen(circuit: Circuit, population: str, rates: Rates, fraction: float | None = None) -> dict[str, float]:
    """Return the parameters that freeze a population at its mean rate.

    Parameters
    ----------
    circuit : Circuit
    population : str
    rates : callable
        Returns its mean rate (Hz) in the intact circuit.
    fraction : float, optional
        Refused.

    Raises
    ------
    ConfigError
        If the circuit has no such switch, or the population is silent.
    """
    _whole(circuit, "Freeze", fraction)
    if "->" in population:
        raise UnknownNameError(
            f"a circuit freezes populations, not pathways ('{population}')",
            where=f"Freeze: {circuit.name}",
            valid=[one.name for one in circuit.populations],
        )
    circuit.frozen(population, 1.0)  # or why it cannot
    rate = rates(population)
    if rate == 0:
        raise ConfigError(f"population '{population}' is silent: nothing to freeze", where=circuit.name)
    return circuit.frozen(population, rate)


def _whole(circuit: Circuit, kind: str, fraction: float | None) -> None:
    if fraction is not None:
        raise ConfigError(
            f"{kind} cannot be limited to a fraction of the neurons of a circuit",
            where=circuit.name,
            valid="all of them; Silence and Add take a fraction where the circuit can",
        )
