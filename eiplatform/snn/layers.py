"""E-I layers as modules: parameters, constants, and a thin call of the functional core."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from eiplatform.errors import ConfigError, EIPlatformError
from eiplatform.snn.circuit import (
    EXC_SIGNALS,
    INH_SIGNALS,
    NOTHING,
    READOUT_SIGNALS,
    EIParameters,
    ReadoutParameters,
    ei_layer,
    ei_readout,
)
from eiplatform.snn.description import PopulationInfo, Route
from eiplatform.snn.kernels import FusedKernel, Kernel, StepwiseKernel
from eiplatform.snn.moments import Moments
from eiplatform.snn.neuron import LIF, PAPER_LIF, Membrane
from eiplatform.snn.pathways import PathwayScale
from eiplatform.snn.prop import FULL_PROP, EIProp
from eiplatform.snn.stepwise import StepwiseNeuron
from eiplatform.snn.transform import Conv2d, Linear, Transform

__all__ = [
    "Circuit",
    "EICircuit",
    "EIConv2d",
    "EILayer",
    "EILinear",
    "EILinearReadout",
    "EIReadout",
    "n_inhibitory",
]

_INPUT_ROUTES = (
    Route("input->E", "input", "E", "+", "additive", "input_exc"),
    Route("input->I", "input", "I", "+", "additive", "input_inh"),
    Route("I->E subtractive", "I", "E", "-", "subtractive", "subtractive"),
)


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


class Circuit(nn.Module):
    """What a network knows about any of its layers.

    Parameters
    ----------
    transform : Transform
        Geometry of the input.
    channels : dict of str to int
        Channels of each population, by role.

    Attributes
    ----------
    lesion : PathwayScale or None
        What every forward pass applies; None: intact.
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
    """

    spiking: ClassVar[bool]
    signals: dict[str, tuple[str, ...]]
    routes: ClassVar[tuple[Route, ...]]
    lesion: PathwayScale | None
    stepwise: StepwiseNeuron | None

    def __init__(self, transform: Transform, channels: dict[str, int]) -> None:
        super().__init__()
        self.transform = transform
        self.channels = dict(channels)
        self.lesion = None
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
            told = dict(self.neuron_parameters()) if role == "E" else {}
            own = {} if more is None else more.parameters_told()
            parameters = {
                name: values.detach().cpu().repeat_interleave(math.prod(shape[1:])).numpy()
                for name, values in told.items()
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

    def neuron_parameters(self) -> dict[str, Tensor]:
        """Return the parameters (channels,) of the E neurons that the sum rules need."""
        return {}

    def signed_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters that Dale's law keeps >= 0, by name."""
        return {}

    def attrs(self) -> dict[str, Any]:
        """Return further attributes of the E neurons for the store."""
        votes = {"votes": self.votes} if self.votes else {}
        return votes if self.stepwise is None else votes | self.stepwise.attrs()


class EICircuit(Circuit):
    """What a hidden layer and the readout share: the pathways from the input and from I to E.

    A new circuit has weights of NaN: :func:`eiplatform.snn.initialise_ei` or a checkpoint
    fills them, and forgetting both cannot be overlooked.
    """

    def __init__(self, transform: Transform, n_exc: int, n_inh: int, prop: EIProp = FULL_PROP) -> None:
        super().__init__(transform, {"E": n_exc, "I": n_inh})
        self.prop = prop
        self.weight_exc = nn.Parameter(torch.full(transform.weight_shape(n_exc), torch.nan))
        self.weight_inh_in = nn.Parameter(torch.full(transform.weight_shape(n_inh), torch.nan))
        self.weight_inh_out = nn.Parameter(torch.full((n_exc, n_inh), 1.0 / n_inh))

    @property
    def n_inh(self) -> int:
        """Number of I neurons (channels)."""
        return self.channels["I"]

    def signed_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters that Dale's law keeps >= 0, by name."""
        return {name: p for name, p in self.named_parameters(recurse=False) if name != "bias"}


class EILayer(EICircuit):
    """Hidden E-I layer with leaky integrate-and-fire E neurons and graded I neurons.

    Parameters
    ----------
    transform : Transform
        Geometry of the input.
    n_exc, n_inh : int
        Numbers of E and I neurons (channels).
    neuron : LIF
    prop : EIProp
    stepwise : StepwiseNeuron, optional
        Fires in place of `neuron`, whose constants are its own.
    """

    spiking = True
    floor: ClassVar[float] = 0.0
    signals = {"E": EXC_SIGNALS, "I": INH_SIGNALS}
    routes = (*_INPUT_ROUTES, Route("I->E divisive", "I", "E", "/", "divisive", "divisive"))

    def __init__(
        self,
        transform: Transform,
        n_exc: int,
        n_inh: int,
        neuron: LIF = PAPER_LIF,
        prop: EIProp = FULL_PROP,
        stepwise: StepwiseNeuron | None = None,
    ) -> None:
        super().__init__(transform, n_exc, n_inh, prop)
        self.neuron = neuron
        self.stepwise = stepwise
        if not self.fires:
            self.signals = {"E": (*EXC_SIGNALS[:-2], "activity"), "I": INH_SIGNALS}
        self.gain_inh = nn.Parameter(torch.full((n_inh,), torch.nan))
        self.gain_exc = nn.Parameter(torch.ones(n_exc))
        self.bias = nn.Parameter(torch.zeros(n_exc))

    def neuron_parameters(self) -> dict[str, Tensor]:
        """Return the bias and the gain g_E."""
        return {"bias": self.bias, "gain_exc": self.gain_exc}

    def forward(
        self,
        x: Tensor,
        state: Membrane | None = None,
        steps: int | None = None,
        record: frozenset[str] = NOTHING,
        select: Mapping[str, Tensor] | None = None,
        moments: Moments | None = None,
    ) -> tuple[Membrane, Tensor, dict[str, Tensor]]:
        """Return the state, the spikes (T, B, ...) and the recorded signals; see :func:`ei_layer`."""
        parameters = EIParameters(
            self.weight_exc, self.weight_inh_in, self.weight_inh_out, self.gain_inh, self.gain_exc, self.bias
        )
        return ei_layer(
            parameters,
            state,
            x,
            record,
            transform=self.transform,
            kernel=self._kernel(moments),
            steps=steps,
            prop=self.prop,
            lesion=self.lesion,
            select=select,
        )

    def _kernel(self, moments: Moments | None) -> Kernel:
        """Return what its E neurons are run by."""
        if self.stepwise is None:
            return FusedKernel(self.neuron, moments)
        if moments is not None:
            raise EIPlatformError("neurons that run step by step form no moments", where="moments", valid="none")
        return StepwiseKernel(self.stepwise, self.floor)


class EIReadout(EICircuit):
    """Readout: E and I as in a hidden layer, subtractive inhibition only, no spikes."""

    spiking = False
    signals = {"E": READOUT_SIGNALS, "I": INH_SIGNALS}
    routes = _INPUT_ROUTES

    def forward(
        self, x: Tensor, steps: int | None = None, record: frozenset[str] = NOTHING
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the net current (T, B, n_E) and the recorded signals; see :func:`ei_readout`."""
        parameters = ReadoutParameters(self.weight_exc, self.weight_inh_in, self.weight_inh_out)
        return ei_readout(
            parameters, x, record, transform=self.transform, steps=steps, prop=self.prop, lesion=self.lesion
        )


class EILinear(EILayer):
    """Fully connected hidden E-I layer.

    Examples
    --------
    >>> layer = EILinear(64, 16, 4)
    >>> sorted(layer.signed_parameters())
    ['gain_exc', 'gain_inh', 'weight_exc', 'weight_inh_in', 'weight_inh_out']
    """

    def __init__(
        self, n_inputs: int, n_exc: int, n_inh: int, neuron: LIF = PAPER_LIF, prop: EIProp = FULL_PROP
    ) -> None:
        super().__init__(Linear(n_inputs), n_exc, n_inh, neuron, prop)


class EIConv2d(EILayer):
    """Convolutional hidden E-I layer; gains and bias belong to a channel, I->E mixes channels in place.

    Parameters
    ----------
    input_shape : tuple of int
        (channels, rows, columns) of the input.
    n_exc, n_inh : int
        E and I channels.
    kernel, stride, padding, groups
        As in :class:`~eiplatform.snn.transform.Conv2d`.
    neuron : LIF
    prop : EIProp

    Examples
    --------
    >>> layer = EIConv2d((3, 8, 8), 16, 4)
    >>> layer.weight_exc.shape, layer.populations()["I"].shape
    (torch.Size([16, 3, 3, 3]), (4, 8, 8))
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_exc: int,
        n_inh: int,
        kernel: int | tuple[int, int] = 3,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 1,
        groups: int = 1,
        neuron: LIF = PAPER_LIF,
        prop: EIProp = FULL_PROP,
    ) -> None:
        super().__init__(Conv2d(input_shape, kernel, stride, padding, groups), n_exc, n_inh, neuron, prop)


class EILinearReadout(EIReadout):
    """Fully connected readout."""

    def __init__(self, n_inputs: int, n_exc: int, n_inh: int, prop: EIProp = FULL_PROP) -> None:
        super().__init__(Linear(n_inputs), n_exc, n_inh, prop)
