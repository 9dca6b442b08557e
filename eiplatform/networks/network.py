"""What all networks share: how they run, what can be recorded, and which pathways exist."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, NamedTuple, TypedDict, Unpack

from torch import Tensor, nn

from eiplatform.config import Config
from eiplatform.errors import ConfigError, EIPlatformError, choose
from eiplatform.networks.description import Pathway, PopulationInfo
from eiplatform.networks.intervening import Intervention, intervened
from eiplatform.networks.kernels.ei import NOTHING, take
from eiplatform.networks.kernels.lif import LIF, PAPER_LIF, Membrane
from eiplatform.networks.kernels.moments import Moments
from eiplatform.networks.kernels.prop import FULL_PROP, EIProp
from eiplatform.networks.layer import Layer, layer_type, layer_types
from eiplatform.networks.neuron import Firing, StepwiseNeuron, neuron_model
from eiplatform.networks.transform import Linear, Transform

__all__ = ["Call", "Network", "Options", "Output", "Pathway", "PopulationInfo"]

Record = Mapping[str, frozenset[str]]
Call = Callable[[str, Tensor, int | None], Tensor]
"""Runs a layer by name on a pattern, shown for this many steps (None: a sequence)."""


class Output(NamedTuple):
    """What a run returns.

    Attributes
    ----------
    logits : Tensor, shape (B, classes)
        Mean over time of the readout's net current, plus its bias if it has one.
    signals : dict of str to dict of str to Tensor
        Per population and signal, shape (T, B, neurons...).
    state : dict of str to Membrane
        Membranes per hidden layer after the last step; pass them on to continue.
    """

    logits: Tensor
    signals: dict[str, dict[str, Tensor]]
    state: dict[str, Membrane]


class Options(TypedDict, total=False):
    """What every architecture can be built with.

    Attributes
    ----------
    layer : str
        Type of the layers, a file in ``layers/``: "ei"; "bn" and "none", signed weights with batch normalisation
        or with a bias; "dann".
    ei_ratio : float
        E neurons (channels) per I neuron, > 0; of E-I layers and DANN.
    readout_bias : bool
        Whether a readout of signed weights adds a bias to the logits.
    steps : int
        Time steps of a static input when none are asked for.
    neuron : LIF
    prop : EIProp
        Of E-I layers.
    model : str
        A file in ``neurons/``: "lif", "stl", "backei" or "relu".
    firing : Firing or None
        What the neurons can do beyond those of ``lif``; None: nothing.
    feedback_kernel : int
        Of ``backei``.
    encoding : {"constant", "bernoulli"}
        How images are shown in training, and are to be shown afterwards.
    votes : int
        Spiking neurons per class whose mean rate is the logit; 0: a readout of currents.
    """

    layer: str
    ei_ratio: float
    readout_bias: bool
    steps: int
    neuron: LIF
    prop: EIProp
    model: str
    firing: Firing | None
    feedback_kernel: int
    encoding: str
    votes: int


class Network(nn.Module):
    """Base of all networks; a subclass adds layers and says in `_flow` how they connect.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one input, without batch and time.
    **options
        See :class:`Options`.

    Attributes
    ----------
    config : Config or None
        What it was built from; None of a network that was put together by hand.
    interventions : tuple of dict
        What is being done to it, see :meth:`intervene`.
    prepare : callable or None
        Called with the network, the input and `steps` before every run under interventions that refer to the intact
        network.
    """

    config: Config | None = None
    joins: ClassVar[bool] = False
    """Whether outputs of several layers are added on the way."""
    interventions: tuple[Mapping[str, Any], ...] = ()
    prepare: Callable[[Network, Tensor, int | None], None] | None = None

    def __init__(self, input_shape: tuple[int, ...], **options: Unpack[Options]) -> None:
        super().__init__()
        self.input_shape = tuple(input_shape)
        self.layer = options.get("layer", "ei")
        self.steps = options.get("steps", 4)
        self.ei_ratio = options.get("ei_ratio", 4)
        self.readout_bias = options.get("readout_bias", False)
        self.neuron = options.get("neuron", PAPER_LIF)
        self.prop = options.get("prop", FULL_PROP)
        self.model = options.get("model", "lif")
        self.firing = options.get("firing")
        self.feedback_kernel = options.get("feedback_kernel", 3)
        self.encoding = options.get("encoding", "constant")
        self.votes = options.get("votes", 0)
        kind = layer_type(self.layer)
        if kind.models and self.model not in kind.models:
            raise ConfigError(
                f"layers of type {self.layer} are not built with neurons of model {self.model}",
                where="network",
                valid=kind.models,
            )
        neuron_model(self.model)
        if kind.dale and self.signed_spikes:
            valid = [name for name, other in layer_types().items() if not other.dale]
            raise ConfigError(
                f"negative spikes of E neurons would break Dale's law, which layers of type {self.layer} keep",
                where="network.layer",
                valid=valid,
            )
        self.noise = 0  # seed of dropout; the training loop sets another one for every batch
        self.layers = nn.ModuleDict()
        self._inputs: dict[str, str] = {}

    def _add(
        self, name: str, transform: Transform, n_exc: int, source: str, *, normalise: bool = True
    ) -> tuple[int, ...]:
        """Add a hidden layer that sees the populations `source`; return the shape of its spikes.

        Without `normalise`, a layer of type ``bn`` has a bias instead.
        """
        self.layers[name] = layer_type(self.layer).hidden(self, transform, n_exc, source, normalise)
        self._inputs[name] = source
        return transform.output_shape(n_exc)

    def stepwise(self, shape: tuple[int, ...]) -> StepwiseNeuron | None:
        """Return neurons that can do more than plain ones, None for plain ones."""
        return neuron_model(self.model).neurons(self.neuron, shape, self.firing)

    @property
    def signed_spikes(self) -> bool:
        """Whether hidden neurons may send negative spikes."""
        return neuron_model(self.model).signed_spikes or (self.firing is not None and self.firing.negative)

    @property
    def max_spikes(self) -> int:
        """Most spikes of one sign that a neuron fires in one step."""
        return 1 if self.firing is None else self.firing.max_spikes

    def _add_readout(self, n_inputs: int, n_classes: int, source: str) -> None:
        if n_classes < 1:
            raise ConfigError(f"a network for {n_classes} classes", valid="at least 1")
        transform = Linear(n_inputs)
        if self.votes:
            self._add("readout", transform, n_classes * self.votes, source, normalise=False)
            self.named_layers()["readout"].votes = self.votes
        else:
            self.layers["readout"] = layer_type(self.layer).readout(self, transform, n_classes, source)
        self._inputs["readout"] = source

    def intervene(self, *interventions: Intervention) -> AbstractContextManager[Network]:
        """Run this network with some pathways changed; afterwards it is as it was, bit for bit.

        Parameters
        ----------
        *interventions : Intervention
            E.g. ``ei.Scale("I->E subtractive", 0.8, layers="fc*")``, ``ei.Silence("fc1/I", [3, 7])``.

        Returns
        -------
        context manager
            Gives this network.
        """
        return intervened(self, interventions)

    @abstractmethod
    def _flow(self, x: Tensor, steps: int | None, call: Call) -> Tensor:
        """Return the readout's output; ``call(name, x, steps)`` runs a layer."""

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
        keep: Callable[[str, str, Tensor], Tensor] | None = None,
        select: Mapping[str, Tensor] | None = None,
        moments: Mapping[str, Moments] | None = None,
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
        keep : callable, optional
            Called with a population, a signal and its values (T, B, neurons...) as soon as the
            layer has run; what it returns is kept, so that the whole need not be.
        select : mapping of str to Tensor of int, optional
            Neurons (indices) of a population whose signals are wanted, then of shape (T, B, k);
            without gradients only.
        moments : mapping of str to Moments, optional
            By hidden E-I layer: what the signals of all its neurons are added to, formed while
            they are in the cache; without gradients only.

        Raises
        ------
        EIPlatformError
            If the shape of `x` or `steps` does not fit.
        UnknownNameError
            For a population, signal or layer that does not exist.
        """
        repeats = self._check_input(x, steps)
        wanted = self._check_record(record or {})
        carried = self._check_names(select, state, self._inputs)
        if self.prepare is not None:
            self.prepare(self, x, steps)
        summed = self._check_moments(moments)
        signals: dict[str, dict[str, Tensor]] = {name: {} for name in record or {}}
        final: dict[str, Membrane] = {}
        layers = self.named_layers()

        def call(name: str, values: Tensor, steps: int | None) -> Tensor:
            layer = layers[name]
            asked = wanted.get(name, NOTHING)
            chosen = {role: (select or {})[f"{name}/{role}"] for role in "EI" if f"{name}/{role}" in (select or {})}
            if layer.selects:
                final[name], result, recorded = layer(
                    values,
                    carried.get(name),
                    steps=steps,
                    record=asked,
                    select=chosen,
                    moments=summed.get(name),
                )
            elif layer.spiking:
                final[name], result, recorded = layer(values, carried.get(name), steps=steps, record=asked)
            else:
                result, recorded = layer(values, steps=steps, record=asked)
            if not layer.selects:
                recorded = {k: take(v, chosen[k[0]]) if k[0] in chosen else v for k, v in recorded.items()}
            for key, tensor in recorded.items():
                role, _, signal = key.partition("/")
                population = f"{name}/{role}"
                signals[population][signal] = tensor if keep is None else keep(population, signal, tensor)
            assert isinstance(result, Tensor)
            return result

        logits = self._flow(x, repeats, call).mean(0)
        if self.votes:
            logits = logits.view(len(logits), -1, self.votes).mean(2)
        return Output(logits, signals, final)

    def named_layers(self) -> dict[str, Layer]:
        """Return the layers by name, in order; the last one is the readout."""
        found = {}
        for name, layer in self.layers.items():
            assert isinstance(layer, Layer)
            found[name] = layer
        return found

    @property
    def n_classes(self) -> int:
        """Number of logits."""
        return self.named_layers()["readout"].n_exc // (self.votes or 1)

    def populations(self) -> dict[str, PopulationInfo]:
        """Return all populations by name (``fc1/E``, ``fc1/I``, ... ``readout/E``), in order."""
        return {
            f"{name}/{role}": info
            for name, layer in self.named_layers().items()
            for role, info in layer.populations().items()
        }

    def pathways(self) -> tuple[Pathway, ...]:
        """Return all pathways, layer by layer."""
        found = []
        for name, layer in self.named_layers().items():
            for route in layer.routes:
                source = self._inputs[name] if route.source == "input" else f"{name}/{route.source}"
                target = f"{name}/{route.target}"
                found.append(Pathway(name, route.name, source, target, *route[3:]))
        return tuple(found)

    def _check_names(
        self, select: Mapping[str, Any] | None, state: Mapping[str, Membrane] | None, layers: Iterable[str]
    ) -> dict[str, Membrane]:
        """Return the state to begin with; names of populations and of layers with a state must exist."""
        for population in select or {}:
            choose(population, self.populations(), "population", where="select")
        for name in state or {}:
            choose(name, layers, "layer", where="state")
        return dict(state or {})

    def _check_moments(self, moments: Mapping[str, Moments] | None) -> dict[str, Moments]:
        """Return the moments to form by layer; only fused layers form them."""
        if not moments:
            return {}
        fused = [name for name, layer in self.named_layers().items() if layer.forms_moments]
        return {choose(name, fused, "layer that forms moments", where="moments"): m for name, m in moments.items()}

    def convergence(self) -> dict[str, float]:
        """Return what training says of equilibria since the last call; nothing where there are none."""
        return {}

    def _check_input(self, x: Tensor, steps: int | None) -> int | None:
        """Return the number of steps of a static input, None for a sequence."""
        if steps is not None and steps < 1:
            raise EIPlatformError(f"a run of {steps} steps was requested", where="steps", valid="at least 1")
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
            raise EIPlatformError(f"{steps} steps were requested of a sequence of {x.shape[0]}", where="steps")
        return None

    def _check_record(self, record: Record) -> dict[str, frozenset[str]]:
        if not record:
            return {}
        known = {
            f"{name}/{role}": s for name, layer in self.named_layers().items() for role, s in layer.signals.items()
        }
        wanted: dict[str, frozenset[str]] = {}
        for population, names in record.items():
            signals = known[choose(population, known, "population", where="record")]
            for name in names:
                choose(name, signals, "signal", where=population)
            layer, _, role = population.rpartition("/")
            wanted[layer] = wanted.get(layer, NOTHING) | {f"{role}/{name}" for name in names}
        return wanted
