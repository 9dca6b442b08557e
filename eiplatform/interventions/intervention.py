"""What every intervention is: a frozen value that says what is changed, where, in which neurons, steps and samples.

A kind of intervention is one file with a subclass of :class:`Kind`; its name is found, nothing is registered.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from eiplatform.config.reading import read_yaml_list
from eiplatform.discovery import gather
from eiplatform.errors import ConfigError, UnknownNameError, choose, match_names, suggest
from eiplatform.microcircuits.changes import Rates
from eiplatform.microcircuits.circuit import Circuit
from eiplatform.networks.edits import Again, output_site
from eiplatform.networks.intervening import Place, Reference
from eiplatform.networks.network import Network
from eiplatform.networks.pathways import PathwayScale
from eiplatform.project import project_folder

__all__ = ["At", "Kind", "Seen", "intervention_from", "interventions_in", "kinds", "on_pathway"]


class At(NamedTuple):
    """Where and when values are changed.

    Attributes
    ----------
    place : Place
    reference : Reference
        What the intact network does.
    again : callable
        ``again(factor)`` recomputes the values with the weights times `factor`.
    first : int
        Step of the first of the values.
    """

    place: Place
    reference: Reference
    again: Again
    first: int


class Seen(NamedTuple):
    """What the intact network shows at a place, for the prediction of an intervention.

    Attributes
    ----------
    place : Place
    values, other : array, shape (T, B, neurons)
        The contribution that is changed, and the other one to the same neurons' net current; float64.
    partner : array, shape (T, B, neurons)
        The first of other samples.
    sd, mean : array, shape (neurons,) and (T, neurons)
        Of the first over all samples, and steps.
    """

    place: Place
    values: np.ndarray
    other: np.ndarray
    partner: np.ndarray
    sd: np.ndarray
    mean: np.ndarray


@dataclass(frozen=True, repr=False)
class Kind:
    """An intervention; subclasses say what it does with the values at a place.

    Parameters
    ----------
    layers : str
        Layer name or wildcard, e.g. ``"fc2"`` or ``"fc*"``.
    neurons : sequence of int, optional
        Target neurons (of a population: its neurons), counted over channels, rows, columns; default: all.
    fraction : float, optional
        That part of the neurons, drawn with `seed`; instead of `neurons`.
    steps : slice or (int, int), optional
        Time steps in which it acts, e.g. ``slice(2, 4)``; default: all.
    samples : sequence of int, optional
        Ids of the samples in which it acts; default: all.
    seed : int
        Of everything that is drawn.
    """

    _: KW_ONLY
    layers: str = "*"
    neurons: tuple[int, ...] | None = None
    fraction: float | None = None
    steps: tuple[int, int | None] | None = None
    samples: tuple[int, ...] | None = None
    seed: int = 1

    needs: ClassVar[frozenset[str]] = frozenset()
    timed: ClassVar[bool] = False
    """Whether it always needs every step of a static input."""
    exact: ClassVar[bool] = True
    """Whether its prediction holds to rounding, not on average."""
    alone: ClassVar[bool] = True
    """Whether it changes something without other interventions."""

    def __post_init__(self) -> None:
        where = type(self).__name__
        for name in ("neurons", "samples"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _indices(value, where, name))
        if self.neurons is not None and self.fraction is not None:
            raise ConfigError("neurons and fraction say the same", where=where, remedy="give one of them")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise ConfigError(f"a fraction of {self.fraction} of the neurons", where=where, valid="above 0, at most 1")
        if self.steps is not None:
            object.__setattr__(self, "steps", _window(self.steps, where))

    # What a kind brings.

    def change(self, values: Tensor, at: At) -> Tensor:
        """Return new values (T, B, ...) of all neurons, steps and samples; where it does not act they are not used."""
        raise NotImplementedError

    def places(self, network: Network) -> tuple[Place, ...]:
        """Return where it acts, checked against this network: the pathway, or the output of the populations."""
        return on_pathway(self, str(getattr(self, "target", "")), network)

    def referred(self, network: Network) -> tuple[Place, ...]:
        """Return the places of the intact network that it refers to."""
        return self.places(network)

    def factors(self, network: Network) -> Mapping[str, PathwayScale] | None:
        """Return the factors on weights that do the same, by layer; None if there are none."""
        del network
        return None

    def predict(self, seen: Seen) -> tuple[np.ndarray, np.ndarray] | None:
        """Return mean and variance (neurons,) of ``other - values`` under the intervention; None: not known.

        Over the steps and samples of `seen`, where it acts, from the intact network alone.
        """
        del seen
        return None

    def on_circuit(self, circuit: Circuit, rates: Rates) -> Mapping[str, float]:
        """Return the parameters of a published circuit that it changes, with their new values."""
        del rates
        able = [name for name, kind in kinds().items() if kind.on_circuit is not Kind.on_circuit]
        raise ConfigError(f"a circuit has no {type(self).__name__}", where=circuit.name, valid=able)

    def on_weights(self, weights: Tensor, place: Place) -> Tensor:
        """Return new weights (neuron or channel, ...) of one sign of a module of another framework."""
        del weights, place
        able = [name for name, kind in kinds().items() if kind.on_weights is not Kind.on_weights]
        raise ConfigError(
            f"{type(self).__name__} is not possible: a foreign module exposes its weights alone",
            where=type(self).__name__,
            valid=able,
        )

    # What they share.

    def edit(self, place: Place, reference: Reference) -> _KindEdit:
        """Return what it does at one place."""
        return _KindEdit(self, place, reference)

    def about(self, network: Network) -> Mapping[str, Any]:
        """Return what the manifest of a recording says."""
        del network
        target = getattr(self, "target", getattr(self, "population", ""))
        return {"pathway": target, "layers": self.layers, "kind": type(self).__name__, "spec": self.to_dict()}

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data; :func:`intervention_from` reads it.

        Examples
        --------
        >>> import eiplatform as ei
        >>> ei.Scale("I->E subtractive", 0.5, layers="fc1").to_dict()
        {'kind': 'Scale', 'target': 'I->E subtractive', 'factor': 0.5, 'layers': 'fc1'}
        """
        own = {}
        shared = {field.name for field in dataclasses.fields(Kind)}
        for field in sorted(dataclasses.fields(self), key=lambda field: field.name in shared):
            value = getattr(self, field.name)
            if value != field.default:
                own[field.name] = list(value) if isinstance(value, tuple) else value
        return {"kind": type(self).__name__, **own}

    def __repr__(self) -> str:
        told = ", ".join(f"{k}={v!r}" for k, v in self.to_dict().items() if k != "kind")
        return f"{type(self).__name__}({told})"

    def chosen(self, place: Place) -> np.ndarray | None:
        """Return the neurons in which it acts at a place; None: all.

        Raises
        ------
        ConfigError
            If one does not exist, or none is left.
        """
        n = int(np.prod(place.shape))
        where = f"{type(self).__name__}: {place.population}"
        if self.fraction is not None:
            count = round(self.fraction * n)
            if not count:
                raise ConfigError(f"a fraction of {self.fraction} of {n} neurons is none", where=where)
            drawn = np.random.default_rng([self.seed, *place.layer.encode()]).permutation(n)
            return np.sort(drawn[:count])
        if self.neurons is None:
            return None
        wrong = [neuron for neuron in self.neurons if not 0 <= neuron < n]
        if wrong or not self.neurons:
            what = f"neurons {wrong[:5]} do not exist" if wrong else "no neurons are named, so that nothing changes"
            raise ConfigError(what, where=where, valid=f"0 to {n - 1}")
        return np.array(self.neurons)

    @property
    def everywhere(self) -> bool:
        """Whether it acts in all neurons, steps and samples."""
        return self.neurons is None and self.fraction is None and self.steps is None and self.samples is None


class _KindEdit:
    """What an intervention does at one place."""

    def __init__(self, kind: Kind, place: Place, reference: Reference) -> None:
        self.kind, self.place, self.reference = kind, place, reference
        self.timed = kind.timed or kind.steps is not None
        chosen = kind.chosen(place)
        self._neurons = None
        if chosen is not None:
            self._neurons = torch.zeros(int(np.prod(place.shape)), dtype=torch.bool)
            self._neurons[torch.from_numpy(chosen)] = True
            self._neurons = self._neurons.view(place.shape)

    def __call__(self, values: Tensor, again: Again, first: int) -> Tensor:
        """Return the new values (T, B, ...)."""
        new = self.kind.change(values, At(self.place, self.reference, again, first)).to(values.dtype)
        mask = self._mask(values, first)
        return new if mask is None else torch.where(mask, new, values)

    def _mask(self, values: Tensor, first: int) -> Tensor | None:
        """Return where it acts, broadcastable to the values; None: everywhere."""
        device, axes = values.device, (1,) * (values.ndim - 2)
        mask = None if self._neurons is None else self._neurons.to(device)[None, None]
        if self.kind.steps is not None:
            start, stop = self.kind.steps
            step = torch.arange(first, first + len(values), device=device)
            acts = (step >= start) if stop is None else (step >= start) & (step < stop)
            acts = acts.view(-1, 1, *axes)
            mask = acts if mask is None else mask & acts
        if self.kind.samples is not None:
            ids = self.reference.samples.to(device)
            acts = torch.isin(ids, torch.tensor(self.kind.samples, device=device)).view(1, -1, *axes)
            mask = acts if mask is None else mask & acts
        return mask


def on_pathway(kind: Kind, target: str, network: Network, populations: str = "output") -> tuple[Place, ...]:
    """Return the places of a pathway in the layers of an intervention, or of the populations that `target` names.

    Parameters
    ----------
    kind : Kind
    target : str
        A pathway, e.g. ``"I->E subtractive"``, or populations, e.g. ``"fc1/I"``, ``"fc*/E"``.
    network : Network
    populations : {"output", "none"}
        Where an intervention on a population acts: on what it sends on, or not at all.

    Raises
    ------
    UnknownNameError
        If the network does not have it.
    """
    where = type(kind).__name__
    if "->" not in target and "/" in target and populations == "output":
        return tuple(output_place(network, name) for name in populations_of(network, target, kind.layers, where))
    having = {path.layer: path for path in network.pathways() if path.name == target}
    if not having:
        names = tuple(dict.fromkeys(path.name for path in network.pathways()))
        near = suggest(target, names)
        raise UnknownNameError(f"this network has no pathway '{target}'{near}", where=where, valid=names)
    layers, infos = network.named_layers(), network.populations()
    found = []
    for name in match_names([kind.layers], having, f"layer with the pathway '{target}'"):
        path = having[name]
        role = _target_role(layers[name].routes, target)
        found.append(Place(name, path.factor, role, path.signal, infos[f"{name}/{role}"].shape))
    return tuple(found)


def populations_of(network: Network, target: str, layers: str, where: str) -> list[str]:
    """Return the populations that a name or wildcard stands for."""
    if layers != "*":
        raise ConfigError(
            "a population names its layer itself", where=where, remedy=f"leave out layers, or name '{layers}/E'"
        )
    names = list(network.populations())
    if any(mark in target for mark in "*?["):
        return match_names([target], names, "population")
    return [choose(target, names, "population", where=where)]


def output_place(network: Network, population: str) -> Place:
    """Return the place of what a population sends on."""
    layer, _, role = population.rpartition("/")
    info = network.populations()[population]
    signal = next(name for name in ("output", "spikes", "activity", "current_net") if name in info.signals)
    return Place(layer, output_site(role), role, signal, info.shape)


def _target_role(routes: Iterable[Any], name: str) -> str:
    role: str = next(route.target for route in routes if route.name == name)
    return role


@cache
def _gathered(project: Path | None) -> dict[str, type[Kind]]:
    def declared(module: ModuleType) -> list[tuple[str, type[Kind]]]:
        own = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]
        return [(kind.__name__, kind) for kind in own if issubclass(kind, Kind) and kind is not Kind]

    return gather("interventions", declared)


def kinds() -> dict[str, type[Kind]]:
    """Return all kinds of intervention by name: the package's, the project's, those of installed packages."""
    return _gathered(project_folder())


def intervention_from(data: Mapping[str, Any], where: str = "intervention") -> Kind:
    """Return an intervention from plain data, e.g. from YAML.

    Parameters
    ----------
    data : mapping
        ``kind`` and the parameters of that kind.
    where : str
        Named in errors.

    Raises
    ------
    UnknownNameError
        For an unknown kind or parameter.
    ConfigError
        For an impossible value.

    Examples
    --------
    >>> intervention_from({"kind": "Scale", "target": "I->E subtractive", "factor": 0.5})
    Scale(target='I->E subtractive', factor=0.5)
    """
    if not isinstance(data, Mapping) or "kind" not in data:
        raise ConfigError(f"{data!r} names no kind", where=where, valid=tuple(kinds()), remedy="e.g. kind: Scale")
    kind = kinds()[choose(str(data["kind"]), kinds(), "kind of intervention", where=where)]
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in data.items() if name != "kind"}
    names = [field.name for field in dataclasses.fields(kind)]
    for name in given:
        choose(name, names, f"parameter of {kind.__name__}", where=where)
    try:
        return TypeAdapter(kind).validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or kind.__name__
        raise ConfigError(f"{key}: {first['msg']}", where=f"{where}: {kind.__name__}") from None


def interventions_in(file: Path) -> list[Kind]:
    """Read a YAML list of interventions.

    Raises
    ------
    ConfigError
        If the file is missing or holds something else.
    """
    return [intervention_from(one, where=str(file)) for one in read_yaml_list(file)]


def _indices(values: Sequence[int] | np.ndarray, where: str, name: str) -> tuple[int, ...]:
    """Return indices, also from an array of booleans."""
    array = np.asarray(values)
    if array.dtype == bool:
        array = np.flatnonzero(array)
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise ConfigError(f"{name} are not whole numbers", where=where, valid="indices, or an array of booleans")
    return tuple(dict.fromkeys(int(value) for value in array))


def _window(steps: Any, where: str) -> tuple[int, int | None]:
    if isinstance(steps, slice):
        if steps.step not in (None, 1):
            raise ConfigError("steps with gaps", where=where, valid="e.g. slice(2, 4)")
        steps = (steps.start or 0, steps.stop)
    start, stop = steps
    if not (isinstance(start, int) and start >= 0 and (stop is None or (isinstance(stop, int) and stop > start))):
        raise ConfigError(f"steps {start} to {stop}", where=where, valid="0 <= first < last, e.g. slice(2, 4)")
    return start, stop
