"""What a reference circuit has to offer the runner, and the small types it does so with.

A circuit is one module with one subclass of :class:`Circuit`, bound to the module-level name
``CIRCUIT``.  The base class separates what is *compiled* (:meth:`Circuit.structure` and
:meth:`Circuit.build`) from what a run *reads* (:meth:`Circuit.scalars`, :meth:`Circuit.initial`,
:meth:`Circuit.connectivity`), so that another seed, duration or parameter value needs no rebuild:
`build` sees the structure only and cannot compile a parameter value in by mistake.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal, get_type_hints

import numpy as np
from numpy.typing import NDArray

from eiplatform.errors import ConfigError, choose
from eiplatform.microcircuits.parameters import Parameters
from eiplatform.store.schema import EXCITATORY_PARTS

__all__ = [
    "Circuit",
    "Drive",
    "Edges",
    "Model",
    "Population",
    "Pulse",
    "Recorded",
    "exc_and_inh",
    "generator",
]

Structure = Mapping[str, int | float]


def generator(seed: int, purpose: str) -> np.random.Generator:
    """Return the random generator of one purpose (connectivity, initial state, ...) of one seed.

    Each purpose has a stream of its own, so that drawing more for one leaves the others as they were.

    Examples
    --------
    >>> bool(generator(1, "initial").random() == generator(1, "initial").random())
    True
    >>> bool(generator(1, "initial").random() == generator(1, "recorded").random())
    False
    """
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


@dataclass(frozen=True)
class Population:
    """Neurons ``start`` to ``start + size - 1`` of a Brian2 group.

    Attributes
    ----------
    name : str
        Name in the recording, e.g. ``"E"``.
    role : {"E", "I"}
    size : int
        Number of neurons.
    start : int
        Index of the first neuron in its group.
    attrs : mapping
        Attributes for the recording, e.g. threshold and reset in the circuit's unit.
    group : str
        Name of the Brian2 group.
    """

    name: str
    role: Literal["E", "I"]
    size: int
    start: int
    attrs: Mapping[str, Any]
    group: str = "neurons"


def exc_and_inh(parameters: Any, **attrs: Any) -> tuple[Population, Population]:
    """Return populations E and I of one Brian2 group, as many neurons as ``n_exc`` and ``n_inh`` say.

    Parameters
    ----------
    parameters : Parameters
        With ``n_exc``, ``n_inh``, ``threshold_mv``, ``reset_mv`` and ``refractory_ms``.
    **attrs
        Further attributes for the recording.
    """
    p = parameters
    cell = {"threshold": p.threshold_mv, "reset": p.reset_mv, "refractory": p.refractory_ms, **attrs}
    return (Population("E", "E", p.n_exc, 0, cell), Population("I", "I", p.n_inh, p.n_exc, cell))


@dataclass(frozen=True)
class Recorded:
    """One signal and the state variable it is recorded from.

    Attributes
    ----------
    signal : str
        Name in :data:`eiplatform.store.schema.SIGNALS`.
    variable : str
        State variable or subexpression of the group.
    kind : {"integral", "start"}
        ``"integral"``: the variable is the time integral of the signal; its increment over an interval,
        divided by the length of the interval, is the exact mean.  ``"start"``: the value at the start.
    scale : float
        From the SI unit to the recording's unit.
    """

    signal: str
    variable: str
    kind: Literal["integral", "start"]
    scale: float


@dataclass(frozen=True)
class Drive:
    """The parameter that sets the external drive of a population, for the protocols.

    Attributes
    ----------
    parameter : str
        Field of the circuit's parameters.
    step : float
        Small change that a perturbation makes by default.
    relative : bool
        Whether changes are fractions of the parameter's value (``value * (1 + change)``) or are
        added to it (``value + change``, in the parameter's unit: a drive that is zero by default).
    partial : tuple of str, optional
        Fields of the circuit's parameters: what a part of the population gets besides, and the fraction that it is.
    """

    parameter: str
    step: float
    relative: bool = True
    partial: tuple[str, str] | None = None

    def changed(self, value: float, change: float) -> float:
        """Return the parameter's value after a change."""
        return value * (1 + change) if self.relative else value + change


@dataclass(frozen=True)
class Pulse:
    """The parameters of a short input from outside, for the protocol ``pulse``.

    Attributes
    ----------
    start : str
        Field of the circuit's parameters: when it begins, in ms after the start of the simulation.
    length : str
        Field of the circuit's parameters: how long it lasts, in ms; 0: there is none.
    length_ms : float
        Published length.
    """

    start: str
    length: str
    length_ms: float


@dataclass(frozen=True)
class Edges:
    """Synapses of one Brian2 ``Synapses`` object, sorted by source (twice as fast as unsorted).

    Attributes
    ----------
    degree : array of int32, shape (source,)
        Number of synapses of each source.
    post : array of int32, shape (synapse,)
        Target of each synapse; the first ``degree[0]`` belong to source 0, and so on.
    delay : array of uint8 or uint16, shape (synapse,), optional
        Delay of each synapse in steps, ascending within a source.  Without it the Synapses object has
        one delay for all, given among :meth:`Circuit.scalars`.
    values : mapping of str to array, shape (synapse,)
        Further variables of the Synapses object, e.g. weights, in the type declared there.
    """

    degree: NDArray[np.int32]
    post: NDArray[np.int32]
    delay: NDArray[Any] | None = None
    values: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def pre(self) -> NDArray[np.int32]:
        """Return the source of each synapse."""
        return np.repeat(np.arange(len(self.degree), dtype=np.int32), self.degree)

    def fanout(self) -> tuple[int, NDArray[np.uint32]]:
        """Return the shortest delay, and the number of synapses of each source at this and each longer one.

        Returns
        -------
        first : int
            Shortest delay in steps; -1 if all synapses share one delay.
        counts : array of uint32, shape (source, delay)
        """
        if self.delay is None or not len(self.delay):
            return -1, self.degree.astype(np.uint32)[:, None]
        first, width = int(self.delay.min()), int(np.ptp(self.delay)) + 1
        counts = np.empty((len(self.degree), width), np.uint32)
        ends = np.concatenate([[0], np.cumsum(self.degree, dtype=np.int64)])
        for start in range(0, len(counts), 4096):  # in blocks: 8 bytes per synapse of scratch
            stop = min(start + 4096, len(counts))
            source = np.repeat(np.arange(stop - start), self.degree[start:stop])
            place = source * width + (self.delay[ends[start] : ends[stop]].astype(np.int64) - first)
            counts[start:stop] = np.bincount(place, minlength=(stop - start) * width).reshape(-1, width)
        return first, counts

    def advanced(self, steps: int) -> Edges:
        """Return the edges with each delay shorter by `steps`."""
        assert self.delay is not None
        return Edges(self.degree, self.post, self.delay - self.delay.dtype.type(steps), self.values)

    def keep(self, kept: NDArray[np.bool_]) -> Edges:
        """Return the edges without those where `kept`, shape (synapse,), is false."""
        degree = np.bincount(self.pre()[kept], minlength=len(self.degree)).astype(np.int32)
        delay = None if self.delay is None else self.delay[kept]
        return Edges(degree, self.post[kept], delay, {name: array[kept] for name, array in self.values.items()})


@dataclass(frozen=True)
class Model:
    """Brian2 objects of a circuit, not yet connected.

    Attributes
    ----------
    groups : mapping of str to brian2.NeuronGroup
    synapses : mapping of str to brian2.Synapses
        Keys as in :meth:`Circuit.connectivity`; the Brian2 objects carry the same names.
    """

    groups: Mapping[str, Any]
    synapses: Mapping[str, Any]

    def variable(self, key: str) -> Any:
        """Return the Brian2 variable ``"owner.variable"``; an owner is a group, a Synapses or one of its pathways."""
        owner, name = key.split(".")
        pathways = {p.name: p for synapses in self.synapses.values() for p in synapses._pathways}
        return {**self.groups, **self.synapses, **pathways}[owner].variables[name]


class Circuit(ABC):
    """A published circuit with one set of parameters.

    Parameters
    ----------
    parameters : Parameters
        The circuit's own dataclass.
    """

    name: ClassVar[str]
    """Name on the command line, e.g. ``"brunel-2000"``."""
    reference: ClassVar[str]
    """The paper."""
    current_units: ClassVar[str]
    """Unit of the recorded currents."""
    potential_units: ClassVar[str | None] = None
    """Unit of the recorded potentials, if it is another one."""
    shortcuts: ClassVar[tuple[str, ...]] = ()
    """Keys that :meth:`from_parameters` accepts beside the fields of the parameters."""
    drives: ClassVar[Mapping[str, Drive]] = {}
    """External drive of each population (``"E"``), or of several together (``"E+I"``)."""
    pulses: ClassVar[Mapping[str, Pulse]] = {}
    """Short inputs from outside, by their source (``"thalamus"``)."""
    pathways: ClassVar[Mapping[str, str]] = {}
    """Parameter that the strength of each synaptic pathway (``"I->E"``) is proportional to."""
    single_pathways: ClassVar[Mapping[str, str]] = {}
    """The same between single populations (``"L4I->L4E"``), where `pathways` has those of several together."""
    silent_parts: ClassVar[Mapping[str, str]] = {}
    """Parameter that says which fraction of a population (``"I"``) has no outgoing synapses."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters

    @classmethod
    def from_parameters(cls, values: Mapping[str, Any]) -> Circuit:
        """Return the circuit with the published parameters, overridden by `values` (fields of its parameters)."""
        kind = get_type_hints(cls)["parameters"]
        return cls(kind(**cls.checked_names(values, kind)))

    @property
    def dt_ms(self) -> float:
        """Time step of the simulation in ms: the parameter of that name."""
        return float(vars(self.parameters)["dt_ms"])

    @property
    @abstractmethod
    def populations(self) -> tuple[Population, ...]:
        """All populations, in the order of their neurons."""

    @property
    @abstractmethod
    def signals(self) -> tuple[Recorded, ...]:
        """Signals recorded from each population."""

    @property
    @abstractmethod
    def n_synapses(self) -> int:
        """Number of synapses, for the estimate of memory."""

    def structure(self) -> Structure:
        """Return everything that is compiled in; default: the numbers of E and I neurons, and the time step."""
        return {name: vars(self.parameters)[name] for name in ("n_exc", "n_inh", "dt_ms")}

    @staticmethod
    @abstractmethod
    def build(structure: Structure) -> Model:
        """Return the Brian2 objects for a structure; the only place that imports brian2."""

    @abstractmethod
    def scalars(self) -> dict[str, float]:
        """Return the values (SI units) of the shared variables, ``{"owner.variable": value}``."""

    @abstractmethod
    def initial(self, seed: int) -> dict[str, NDArray[Any]]:
        """Return initial values (SI units, in the variable's type) per neuron, ``{"owner.variable": values}``."""

    @abstractmethod
    def connectivity(self, seed: int) -> Iterator[tuple[str, Edges]]:
        """Yield the synapses one object at a time, so that only one needs to be in memory."""

    def theory(self) -> dict[str, float]:
        """Return closed-form values for these parameters: ``rate`` in Hz, mean currents, and what else is known.

        Values of one population are named ``"population/quantity"``, those of all of them ``"quantity"``.
        Default: none.
        """
        return {}

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return sum(population.size for population in self.populations)

    def values(self, seed: int) -> dict[str, NDArray[Any]]:
        """Return the values of all variables that a run sets: :meth:`scalars` and :meth:`initial`."""
        return {**{name: np.array([value]) for name, value in self.scalars().items()}, **self.initial(seed)}

    def value(self, parameter: str) -> float:
        """Return the value of a parameter that a drive or pathway names."""
        return float(getattr(self.parameters, parameter))

    def to_mapping(self) -> dict[str, Any]:
        """Return all parameters by name, as :meth:`from_parameters` takes them.

        Those that only interventions change (metadata :data:`RARE`) are left out while they have their default.
        """
        rare = {entry.name: entry.default for entry in fields(self.parameters) if entry.metadata.get("rare")}
        values = asdict(self.parameters)
        return {name: value for name, value in values.items() if name not in rare or value != rare[name]}

    @classmethod
    def checked_names(cls, values: Mapping[str, Any], parameters: type[Parameters]) -> dict[str, Any]:
        """Return `values` as a dict, or raise for a name that is neither a field nor a shortcut."""
        valid = [*cls.shortcuts, *(field.name for field in fields(parameters))]
        return {choose(name, valid, "parameter", where=cls.name): value for name, value in values.items()}

    def derived(self, signals: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Return the signals that follow from those recorded: the sums; a circuit may add its own.

        Parameters
        ----------
        signals : mapping of str to array, shape (sample, time, neuron)
            The entries of :attr:`signals` of one population.
        """
        parts = [signals[name] for name in EXCITATORY_PARTS if name in signals]
        exc = sum(parts[1:], start=parts[0])
        return {"current_exc": exc, "current_net": exc - signals["current_inh"]}

    def frozen(self, population: str, rate_hz: float) -> dict[str, float]:
        """Return the parameters under which a population's targets get Poisson spikes instead of its own.

        Parameters
        ----------
        population : str
        rate_hz : float
            Rate of each of the Poisson spike trains: the population's mean rate, measured before.

        Raises
        ------
        ConfigError
            If the circuit has no such switch.
        """
        raise ConfigError(f"population '{population}' of this circuit cannot be frozen", where=self.name)

    def changed(self, changes: Mapping[str, Any]) -> Circuit:
        """Return the same circuit with some parameters changed."""
        return type(self).from_parameters({**self.to_mapping(), **changes})
