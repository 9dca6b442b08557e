"""Networks of E-I layers: what runs, what can be recorded, and which pathways exist."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from torch import Tensor, nn

from eiplatform.config import Config
from eiplatform.errors import EIPlatformError, choose
from eiplatform.snn.circuit import EXC_SIGNALS, FULL_PROP, INH_SIGNALS, NOTHING, READOUT_SIGNALS, EIProp
from eiplatform.snn.layers import EICircuit, EILayer, EILinear, EILinearReadout, EIReadout, n_inhibitory
from eiplatform.snn.neuron import LIF, PAPER_LIF, Membrane
from eiplatform.snn.surrogate import make_surrogate

__all__ = ["MLP", "Network", "Output", "Pathway", "PopulationInfo", "build_network"]

Record = Mapping[str, frozenset[str]]


class Output(NamedTuple):
    """What a run returns.

    Attributes
    ----------
    logits : Tensor, shape (B, classes)
        Mean over time of the readout's net current.
    signals : dict of str to dict of str to Tensor
        Per population and signal, shape (T, B, neurons...).
    state : dict of str to Membrane
        Membranes per hidden layer after the last step; pass them on to continue.
    """

    logits: Tensor
    signals: dict[str, dict[str, Tensor]]
    state: dict[str, Membrane]


class PopulationInfo(NamedTuple):
    """One population of a network.

    Attributes
    ----------
    role : {"E", "I"}
    n_neurons : int
    signals : tuple of str
        What can be recorded.
    parameters : dict of str to array, shape (n_neurons,)
        ``bias`` and ``gain_exc`` of the E neurons of hidden layers.
    threshold, decay : float or None
        Of spiking neurons; ``decay`` is ``1 - 1/tau``.
    reset : {"soft", "hard"} or None
    """

    role: str
    n_neurons: int
    signals: tuple[str, ...]
    parameters: dict[str, np.ndarray]
    threshold: float | None
    decay: float | None
    reset: str | None


class Pathway(NamedTuple):
    """One pathway of a network.

    Attributes
    ----------
    layer : str
    name : str
        ``input->E``, ``input->I``, ``I->E subtractive`` or ``I->E divisive``.
    source, target : str
        Populations; the source of the first layer is ``input``.
    sign : {"+", "-", "/"}
    mode : {"additive", "subtractive", "divisive"}
    factor : str
        Field of :class:`~eiplatform.snn.circuit.PathwayScale` that scales it.
    """

    layer: str
    name: str
    source: str
    target: str
    sign: str
    mode: str
    factor: str


class Network(nn.Module):
    """Base of all E-I networks; a subclass fills `layers` and says in `_flow` how they connect.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one input, without batch and time.
    steps : int
        Time steps of a static input when none are asked for.
    """

    def __init__(self, input_shape: tuple[int, ...], steps: int) -> None:
        super().__init__()
        self.input_shape = tuple(input_shape)
        self.steps = steps
        self.layers = nn.ModuleDict()

    @abstractmethod
    def _flow(self, x: Tensor, steps: int | None, call: Callable[[str, Tensor, int | None], Tensor]) -> Tensor:
        """Return the readout's net current; ``call(name, x, steps)`` runs a layer."""

    @abstractmethod
    def _sources(self) -> dict[str, str]:
        """Return the presynaptic population of every layer."""

    def forward(
        self, x: Tensor, steps: int | None = None, record: Record | None = None
    ) -> Tensor | tuple[Tensor, dict[str, dict[str, Tensor]]]:
        """Return the logits, or with `record` the logits and the recorded signals; see :meth:`run`."""
        output = self.run(x, steps, record)
        return output.logits if record is None else (output.logits, output.signals)

    def run(
        self,
        x: Tensor,
        steps: int | None = None,
        record: Record | None = None,
        state: Mapping[str, Membrane] | None = None,
    ) -> Output:
        """Run the network from rest, or from `state`.

        Parameters
        ----------
        x : Tensor, shape (B, *input_shape) or (T, B, *input_shape)
            Static images, whose first-layer currents are computed once, or a sequence.
        steps : int, optional
            Time steps of a static input (default: those of training); of a sequence its
            length, if given at all.
        record : mapping of str to frozenset of str, optional
            Signals to return per population, e.g. ``{"fc1/E": frozenset({"spikes"})}``.
            Recording changes no result, not even in the last bit.
        state : mapping of str to Membrane, optional
            ``Output.state`` of an earlier run.

        Returns
        -------
        Output

        Raises
        ------
        EIPlatformError
            If the shape of `x` or `steps` does not fit.
        UnknownNameError
            For a population, signal or layer that does not exist.
        """
        repeats = self._check_input(x, steps)
        wanted = self._check_record(record or {})
        carried = dict(state or {})
        for name in carried:
            choose(name, self.layers, "layer", where="state")
        signals: dict[str, dict[str, Tensor]] = {name: {} for name in record or {}}
        final: dict[str, Membrane] = {}

        def call(name: str, values: Tensor, steps: int | None) -> Tensor:
            layer = self.layers[name]
            asked = wanted.get(name, NOTHING)
            if isinstance(layer, EIReadout):
                result, recorded = layer(values, steps=steps, record=asked)
            else:
                final[name], result, recorded = layer(values, carried.get(name), steps=steps, record=asked)
            for key, tensor in recorded.items():
                role, _, signal = key.partition("/")
                signals[f"{name}/{role}"][signal] = tensor
            assert isinstance(result, Tensor)
            return result

        return Output(self._flow(x, repeats, call).mean(0), signals, final)

    def circuits(self) -> dict[str, EICircuit]:
        """Return the E-I layers by name, in order."""
        found = {}
        for name, layer in self.layers.items():
            assert isinstance(layer, EICircuit)
            found[name] = layer
        return found

    def populations(self) -> dict[str, PopulationInfo]:
        """Return all populations by name (``fc1/E``, ``fc1/I``, ... ``readout/E``), in order."""
        found = {}
        for name, layer in self.circuits().items():
            if isinstance(layer, EILayer):
                neuron = layer.neuron
                parameters = {
                    "bias": layer.bias.detach().cpu().numpy().copy(),
                    "gain_exc": layer.gain_exc.detach().cpu().numpy().copy(),
                }
                found[f"{name}/E"] = PopulationInfo(
                    "E", layer.n_exc, EXC_SIGNALS, parameters, neuron.threshold, neuron.decay, neuron.reset
                )
            else:
                found[f"{name}/E"] = PopulationInfo("E", layer.n_exc, READOUT_SIGNALS, {}, None, None, None)
            found[f"{name}/I"] = PopulationInfo("I", layer.n_inh, INH_SIGNALS, {}, None, None, None)
        return found

    def pathways(self) -> tuple[Pathway, ...]:
        """Return all pathways, layer by layer."""
        found = []
        for name, source in self._sources().items():
            exc, inh = f"{name}/E", f"{name}/I"
            found += [
                Pathway(name, "input->E", source, exc, "+", "additive", "input_exc"),
                Pathway(name, "input->I", source, inh, "+", "additive", "input_inh"),
                Pathway(name, "I->E subtractive", inh, exc, "-", "subtractive", "subtractive"),
            ]
            if isinstance(self.layers[name], EILayer):
                found.append(Pathway(name, "I->E divisive", inh, exc, "/", "divisive", "divisive"))
        return tuple(found)

    def _check_input(self, x: Tensor, steps: int | None) -> int | None:
        """Return the number of steps of a static input, None for a sequence."""
        if steps is not None and steps < 1:
            raise EIPlatformError(f"a run of {steps} steps was asked for", where="steps", valid="at least 1")
        n_dims = len(self.input_shape)
        if tuple(x.shape[-n_dims:]) != self.input_shape or x.ndim not in (n_dims + 1, n_dims + 2):
            shape = ", ".join(map(str, self.input_shape))
            raise EIPlatformError(
                f"the input has shape {tuple(x.shape)}",
                where="network",
                valid=f"(batch, {shape}) or (time, batch, {shape})",
            )
        if x.ndim == n_dims + 1:
            return self.steps if steps is None else steps
        if steps not in (None, x.shape[0]):
            raise EIPlatformError(f"{steps} steps were asked for of a sequence of {x.shape[0]}", where="steps")
        return None

    def _check_record(self, record: Record) -> dict[str, frozenset[str]]:
        known = self.populations() if record else {}
        wanted: dict[str, frozenset[str]] = {}
        for population, names in record.items():
            info = known[choose(population, known, "population", where="record")]
            for name in names:
                choose(name, info.signals, "signal", where=population)
            layer, _, role = population.rpartition("/")
            wanted[layer] = wanted.get(layer, NOTHING) | {f"{role}/{name}" for name in names}
        return wanted


class MLP(Network):
    """Fully connected E-I layers ``fc1`` .. ``fcN`` and a ``readout``.

    Parameters
    ----------
    input_shape : tuple of int
    n_classes : int
    hidden : sequence of int
        E neurons per hidden layer.
    ei_ratio : int
        E neurons per I neuron.
    steps : int
    neuron : LIF
    prop : EIProp
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        hidden: tuple[int, ...],
        *,
        ei_ratio: int = 4,
        steps: int = 4,
        neuron: LIF = PAPER_LIF,
        prop: EIProp = FULL_PROP,
    ) -> None:
        super().__init__(input_shape, steps)
        n_inputs = math.prod(input_shape)
        for number, n_exc in enumerate(hidden, 1):
            self.layers[f"fc{number}"] = EILinear(n_inputs, n_exc, n_inhibitory(n_exc, ei_ratio), neuron, prop)
            n_inputs = n_exc
        self.layers["readout"] = EILinearReadout(n_inputs, n_classes, n_inhibitory(n_classes, ei_ratio), prop)

    def _flow(self, x: Tensor, steps: int | None, call: Callable[[str, Tensor, int | None], Tensor]) -> Tensor:
        x = x.flatten(-len(self.input_shape))
        for name in self.layers:
            x = call(name, x, steps)
            steps = None
        return x

    def _sources(self) -> dict[str, str]:
        names = list(self.layers)
        return dict(zip(names, ["input", *(f"{name}/E" for name in names[:-1])], strict=True))


def build_network(config: Config, input_shape: tuple[int, ...], n_classes: int) -> Network:
    """Build the network that `config` describes; E-I Init or a checkpoint fills its weights.

    Parameters
    ----------
    config : Config
    input_shape : tuple of int
        Shape of one input, e.g. ``(1, 8, 8)``.
    n_classes : int

    Returns
    -------
    Network

    Examples
    --------
    >>> network = build_network(Config(), (1, 8, 8), 10)
    >>> list(network.populations())[:2]
    ['fc1/E', 'fc1/I']
    """
    part = config.network
    neuron = LIF(
        tau=part.neuron.tau,
        threshold=part.neuron.threshold,
        reset=part.neuron.reset,
        detach_reset=part.neuron.detach_reset,
        surrogate=make_surrogate(part.neuron.surrogate, part.neuron.alpha),
    )
    prop = EIProp(part.prop.stabilise, part.prop.straight_through, part.prop.scale_gradient)
    return MLP(input_shape, n_classes, part.hidden, ei_ratio=part.ei_ratio, steps=part.steps, neuron=neuron, prop=prop)
