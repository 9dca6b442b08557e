"""What every layer is, and how a type of layer is declared.

A type of layer is one file in ``layers/`` (or in the folder ``layers/`` of a project) with a :class:`LayerType`
called ``TYPE``; its name is the file's, and a configuration chooses it with ``network.layer``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

from eiplatform.discovery import gather
from eiplatform.errors import ConfigError, choose
from eiplatform.networks.description import PopulationInfo, Route
from eiplatform.networks.edits import Edits
from eiplatform.networks.kernels.lif import LIF
from eiplatform.networks.kernels.prop import EIProp
from eiplatform.networks.neuron import StepwiseNeuron
from eiplatform.networks.pathways import PathwayScale
from eiplatform.networks.transform import Transform
from eiplatform.networks.weights import Initialised
from eiplatform.project import project_folder

__all__ = ["SETTINGS", "Design", "Layer", "LayerType", "layer_type", "layer_types", "n_inhibitory"]

SETTINGS = (
    *("ei_ratio", "initialise", "readout_bias"),
    *("prop.stabilise", "prop.straight_through", "prop.scale_gradient"),
)
"""Settings of ``network`` that some types of layers use and others do not."""


def n_inhibitory(n_exc: int, ei_ratio: float) -> int:
    """Return the number of I neurons (channels) beside `n_exc` E neurons, at least 1.

    Examples
    --------
    >>> n_inhibitory(256, 4), n_inhibitory(10, 4), n_inhibitory(2, 4)
    (64, 2, 1)
    >>> n_inhibitory(10, 2.5), n_inhibitory(10, 1 / 3)
    (4, 30)
    """
    if n_exc < 1 or not (math.isfinite(ei_ratio) and ei_ratio > 0):
        raise ConfigError(f"{n_exc} E neurons at a ratio of {ei_ratio}", valid="at least 1 neuron, a ratio > 0")
    # 7 / 0.14 and 1 / (1 / 93) must not lose a neuron to rounding.
    return max(1, math.floor(n_exc / ei_ratio * (1 + 1e-12)))


class Layer(Initialised):
    """What a network needs of any of its layers.

    Parameters
    ----------
    transform : Transform
        Geometry of the input.
    channels : dict of str to int
        Channels of each population, by role.

    Attributes
    ----------
    lesion : PathwayScale or None
        Factors on the weights of its pathways in every forward pass; None: intact.
    edits : Edits or None
        Changes of what reaches its neurons in every forward pass; None: none.
    spiking : bool
        Whether it is a hidden layer, called as ``layer(x, state, steps, record)``, or a
        readout, called as ``layer(x, steps, record)``.
    signals : dict of str to tuple of str
        What each population can record, by role.
    stepwise : StepwiseNeuron or None
        What its E neurons are if they can do more than plain leaky integrate-and-fire.
    votes : int
        Neurons per class of a readout that votes, else 0.
    routes : tuple of Route
        The pathways.
    selects : bool
        Whether it is called with ``select`` and ``moments`` too, and leaves neurons that are not selected in
        the cache.
    """

    spiking: ClassVar[bool]
    selects: ClassVar[bool] = False
    signals: dict[str, tuple[str, ...]]
    routes: ClassVar[tuple[Route, ...]]
    lesion: PathwayScale | None
    edits: Edits | None
    stepwise: StepwiseNeuron | None

    def __init__(self, transform: Transform, channels: dict[str, int]) -> None:
        super().__init__()
        self.transform = transform
        self.channels = dict(channels)
        self.lesion = None
        self.edits = None
        self.stepwise = None
        self.votes = 0

    @property
    def n_exc(self) -> int:
        """Number of E neurons (channels)."""
        return self.channels["E"]

    @property
    def fires(self) -> bool:
        """Whether its E neurons spike."""
        return self.spiking and (self.stepwise is None or self.stepwise.fires)

    def populations(self) -> dict[str, PopulationInfo]:
        """Return the populations by role, with the present values of their parameters."""
        neuron = getattr(self, "neuron", None) if self.fires else None
        found = {}
        for role, signals in self.signals.items():
            shape = self.transform.output_shape(self.channels[role])
            spikes = neuron if role == "E" else None
            more = self.stepwise if role == "E" else None
            of_channels = dict(self.neuron_parameters()) if role == "E" else {}
            own = {} if more is None else more.neuron_parameters()
            parameters = {
                name: values.detach().cpu().repeat_interleave(math.prod(shape[1:])).numpy()
                for name, values in of_channels.items()
            }
            parameters |= {name: values.detach().cpu().flatten().numpy() for name, values in own.items()}
            found[role] = PopulationInfo(
                role,
                shape,
                signals,
                parameters,
                spikes.threshold if spikes and "threshold" not in own else None,
                spikes.decay if spikes else None,
                spikes.reset if spikes else None,
                self.attrs() if role == "E" else {},
            )
        return found

    def synapses(self, site: str) -> Tensor:
        """Return the weights of a pathway, by its factor, as they are before lesions."""
        raise ConfigError("the weights of this pathway are not separate", where=site, valid="pathways of E-I layers")

    def fire(self, drive: Tensor) -> Tensor:
        """Return what the neurons send on (T, B, ...) for a drive, from rest."""
        raise ConfigError("these neurons cannot be run by themselves", where=type(self).__name__)

    def reaches(self, site: str) -> bool:
        """Whether anything can come through a pathway, as far as its weights say."""
        try:
            return bool(self.synapses(site).any())
        except ConfigError:
            return True

    def neuron_parameters(self) -> dict[str, Tensor]:
        """Return the parameters (channels,) of the E neurons that the sum rules need."""
        return {}

    @property
    def forms_moments(self) -> bool:
        """Whether moments of its signals can be formed while it runs."""
        return self.selects and self.stepwise is None

    def signed_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters that Dale's law keeps >= 0, by name."""
        return {}

    def attrs(self) -> dict[str, Any]:
        """Return further attributes of the E neurons for the store."""
        votes = {"votes": self.votes} if self.votes else {}
        return votes if self.stepwise is None else votes | self.stepwise.attrs()


class Design(Protocol):
    """What a network says of itself to the types of its layers."""

    ei_ratio: float
    neuron: LIF
    prop: EIProp
    model: str
    feedback_kernel: int
    readout_bias: bool

    @property
    def signed_spikes(self) -> bool:
        """Whether hidden neurons may send negative spikes."""

    def stepwise(self, shape: tuple[int, ...]) -> StepwiseNeuron | None:
        """Return neurons that can do more than plain ones, None for plain ones."""


@dataclass(frozen=True)
class LayerType:
    """A type of layer; every architecture can be built of it.

    Attributes
    ----------
    hidden : callable
        ``hidden(design, transform, n, source, normalise)`` returns a hidden layer of `n` neurons (channels) that
        sees `source` ("input" or populations); `normalise` is False for the layer of a vote.
    readout : callable
        ``readout(design, transform, n_classes, source)`` returns the readout.
    dale : bool
        Whether a neuron's outgoing weights have one sign; then no spike may be negative.
    models : tuple of str
        Neuron models that it is built with; empty: any.
    settings : tuple of str
        Those of :data:`SETTINGS` that it uses; the others must keep their defaults.
    """

    hidden: Callable[[Design, Transform, int, str, bool], Layer]
    readout: Callable[[Design, Transform, int, str], Layer]
    dale: bool
    models: tuple[str, ...] = ()
    settings: tuple[str, ...] = SETTINGS


def _declared(module: ModuleType) -> list[tuple[str, LayerType]]:
    found = getattr(module, "TYPE", None)
    return [] if found is None else [(module.__name__.rpartition(".")[2], found)]


def layer_types() -> dict[str, LayerType]:
    """Return all types of layers by name: the package's, the project's, those of installed packages."""
    return _gathered(project_folder())


@cache
def _gathered(project: Path | None) -> dict[str, LayerType]:
    return gather("layers", _declared)


def layer_type(name: str) -> LayerType:
    """Return a type of layer.

    Raises
    ------
    UnknownNameError
        If there is none of this name.
    """
    return layer_types()[choose(name, layer_types(), "type of layer")]
