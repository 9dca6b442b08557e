"""E-I layers as modules: parameters, constants, and a thin call of the functional core."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eiplatform.errors import ConfigError
from eiplatform.snn.circuit import (
    FULL_PROP,
    NOTHING,
    EIParameters,
    EIProp,
    PathwayScale,
    ReadoutParameters,
    ei_layer,
    ei_readout,
)
from eiplatform.snn.neuron import LIF, PAPER_LIF, Membrane
from eiplatform.snn.transform import Linear, Transform

__all__ = ["EICircuit", "EILayer", "EILinear", "EILinearReadout", "EIReadout", "n_inhibitory"]


def n_inhibitory(n_exc: int, ei_ratio: int) -> int:
    """Return the number of I neurons beside `n_exc` E neurons, at least 1.

    Examples
    --------
    >>> n_inhibitory(256, 4), n_inhibitory(10, 4), n_inhibitory(2, 4)
    (64, 2, 1)
    """
    if n_exc < 1 or ei_ratio < 1:
        raise ConfigError(f"{n_exc} E neurons at a ratio of {ei_ratio}", valid="both at least 1")
    return max(1, n_exc // ei_ratio)


class EICircuit(nn.Module):
    """What a hidden layer and the readout share: the pathways from the input and from I to E.

    A new circuit has weights of NaN: :func:`eiplatform.snn.initialise_ei` or a checkpoint
    fills them, and forgetting both cannot be overlooked.

    Attributes
    ----------
    lesion : PathwayScale or None
        What every forward pass applies; None: intact.
    """

    lesion: PathwayScale | None

    def __init__(self, transform: Transform, n_exc: int, n_inh: int, prop: EIProp = FULL_PROP) -> None:
        super().__init__()
        self.transform = transform
        self.n_exc = n_exc
        self.n_inh = n_inh
        self.prop = prop
        self.lesion = None
        self.weight_exc = nn.Parameter(torch.full(transform.weight_shape(n_exc), torch.nan))
        self.weight_inh_in = nn.Parameter(torch.full(transform.weight_shape(n_inh), torch.nan))
        self.weight_inh_out = nn.Parameter(torch.full((n_exc, n_inh), 1.0 / n_inh))

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
    """

    def __init__(
        self, transform: Transform, n_exc: int, n_inh: int, neuron: LIF = PAPER_LIF, prop: EIProp = FULL_PROP
    ) -> None:
        super().__init__(transform, n_exc, n_inh, prop)
        self.neuron = neuron
        self.gain_inh = nn.Parameter(torch.full((n_inh,), torch.nan))
        self.gain_exc = nn.Parameter(torch.ones(n_exc))
        self.bias = nn.Parameter(torch.zeros(n_exc))

    def forward(
        self,
        x: Tensor,
        state: Membrane | None = None,
        steps: int | None = None,
        record: frozenset[str] = NOTHING,
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
            neuron=self.neuron,
            steps=steps,
            prop=self.prop,
            lesion=self.lesion,
        )


class EIReadout(EICircuit):
    """Readout: E and I as in a hidden layer, subtractive inhibition only, no spikes."""

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


class EILinearReadout(EIReadout):
    """Fully connected readout."""

    def __init__(self, n_inputs: int, n_exc: int, n_inh: int, prop: EIProp = FULL_PROP) -> None:
        super().__init__(Linear(n_inputs), n_exc, n_inh, prop)
