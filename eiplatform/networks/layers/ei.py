"""E-I layers (DeepEISNN, arXiv 2509.23253): parameters, constants, and a thin call of the functional core."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from eiplatform.errors import EIPlatformError
from eiplatform.networks.description import Route
from eiplatform.networks.kernels.ei import (
    EXC_SIGNALS,
    INH_SIGNALS,
    NOTHING,
    READOUT_SIGNALS,
    EIParameters,
    ReadoutParameters,
    ei_layer,
    ei_readout,
)
from eiplatform.networks.kernels.kernel import FusedKernel, Kernel, StepwiseKernel
from eiplatform.networks.kernels.lif import LIF, PAPER_LIF, Membrane
from eiplatform.networks.kernels.moments import Moments
from eiplatform.networks.kernels.prop import FULL_PROP, EIProp
from eiplatform.networks.layer import SETTINGS, Design, Layer, LayerType, n_inhibitory
from eiplatform.networks.neuron import StepwiseNeuron
from eiplatform.networks.transform import Conv2d, Linear, Transform
from eiplatform.networks.weights import InputMoments, draw_exponential, ei_init_scales

__all__ = [
    "EIBase",
    "EIConv2d",
    "EILayer",
    "EILinear",
    "EILinearReadout",
    "EIReadout",
]

_INPUT_ROUTES = (
    Route("input->E", "input", "E", "+", "additive", "input_exc", "current_exc"),
    Route("input->I", "input", "I", "+", "additive", "input_inh", "activity"),
    Route("I->E subtractive", "I", "E", "-", "subtractive", "subtractive", "current_inh"),
)


class EIBase(Layer):
    """What a hidden layer and the readout share: the pathways from the input and from I to E.

    A new layer has weights of NaN: :func:`eiplatform.networks.initialise_ei` or a checkpoint
    fills them, and forgetting both cannot be overlooked.
    """

    from_input = True

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

    def synapses(self, site: str) -> Tensor:
        """Return the weights of a pathway; both effects of I->E have the same."""
        names = {"input_exc": "weight_exc", "input_inh": "weight_inh_in"}
        return self.get_parameter(names.get(site, "weight_inh_out"))

    def signed_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters that Dale's law keeps >= 0, by name."""
        return {name: p for name, p in self.named_parameters(recurse=False) if name != "bias"}

    def init_(self, generator: torch.Generator) -> None:
        """Fill the layer with exponential weights of scale ``1 / sqrt(d)`` and gains of 1, whatever its input."""
        self.draw(1 / math.sqrt(self.transform.fan_in), 1.0, generator)

    def init_from_input_(self, moments: InputMoments, generator: torch.Generator) -> None:
        """Fill the layer from the moments of its input (Eq. 53, 54)."""
        self.draw(*ei_init_scales(moments, self.transform.fan_in), generator)

    def draw(self, scale: float, gain_inh: float, generator: torch.Generator) -> None:
        """Fill the layer with exponential weights of a scale, and its gains."""
        draw_exponential((self.weight_exc, self.weight_inh_in), scale, generator)
        self.weight_inh_out.fill_(1.0 / self.n_inh)
        signed = self.signed_parameters()
        if "gain_inh" in signed:
            signed["gain_inh"].fill_(gain_inh)
            signed["gain_exc"].fill_(1.0)
            self.get_parameter("bias").zero_()


class EILayer(EIBase):
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
    selects = True
    floor: ClassVar[float] = 0.0
    signals = {"E": EXC_SIGNALS, "I": INH_SIGNALS}
    routes = (*_INPUT_ROUTES, Route("I->E divisive", "I", "E", "/", "divisive", "divisive", "inhibition_div"))

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
            edits=self.edits,
            select=select,
        )

    def fire(self, drive: Tensor) -> Tensor:
        """Return what the neurons send on (T, B, ...) for a drive, from rest."""
        return self._kernel(None).fire(drive, None, None, keep_voltage=False)[1]

    def _kernel(self, moments: Moments | None) -> Kernel:
        """Return what its E neurons are run by."""
        if self.stepwise is None:
            return FusedKernel(self.neuron, moments)
        if moments is not None:
            raise EIPlatformError("neurons that run step by step form no moments", where="moments", valid="none")
        return StepwiseKernel(self.stepwise, self.floor)


class EIReadout(EIBase):
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
            parameters,
            x,
            record,
            transform=self.transform,
            steps=steps,
            prop=self.prop,
            lesion=self.lesion,
            edits=self.edits,
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
        As in :class:`~eiplatform.networks.transform.Conv2d`.
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


def hidden(design: Design, transform: Transform, n: int, source: str, normalise: bool) -> EILayer:
    """Return a hidden layer with ``n / ei_ratio`` I neurons."""
    del source, normalise
    n_inh, own = n_inhibitory(n, design.ei_ratio), design.stepwise(transform.output_shape(n))
    return EILayer(transform, n, n_inh, design.neuron, design.prop, own)


def readout(design: Design, transform: Transform, n_classes: int, source: str) -> EIReadout:
    """Return a readout with E and I neurons."""
    del source
    return EIReadout(transform, n_classes, n_inhibitory(n_classes, design.ei_ratio), design.prop)


TYPE = LayerType(hidden, readout, dale=True, settings=tuple(name for name in SETTINGS if name != "readout_bias"))
