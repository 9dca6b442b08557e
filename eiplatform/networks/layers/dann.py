"""Deep artificial neural networks that obey Dale's law (DANN; Cornford et al., ICLR 2021).

The E-I layer of DeepEISNN comes from here; its neurons have rates.  With all weights and ``g``
>= 0 and ``alpha`` free:

    z = g / gamma * (W_ex x - W_ei W_ix x) + b,    gamma = W_ei (exp(alpha) * W_ix x) + 1e-8

and the rate is z where it is positive.  In the platform's words ``gamma`` is ``inhibition_div``,
``g / gamma`` the gain and z the drive.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from eiplatform.networks.kernels.ei import NOTHING, EIParameters, ei_layer
from eiplatform.networks.kernels.lif import Membrane
from eiplatform.networks.kernels.moments import Moments
from eiplatform.networks.kernels.prop import FULL_PROP, EIProp, scale_gradient
from eiplatform.networks.layer import Design, LayerType, n_inhibitory
from eiplatform.networks.layers.ei import EILayer, EIReadout
from eiplatform.networks.neurons.relu import RateNeuron
from eiplatform.networks.transform import Transform
from eiplatform.networks.weights import InputMoments, draw_exponential, ei_init_scales

__all__ = ["FLOOR", "DANNLayer", "DANNReadout", "dann_scales"]

FLOOR = 1e-8
"""Is added to the divisive inhibition, so that there is something to divide by."""


def dann_scales(fan_in: int) -> tuple[float, float]:
    """Return the scale of the exponential weights and ``exp(alpha)`` of a layer that sees rates.

    Of inputs that are normal numbers of variance 1, rectified, it makes drives of variance 1.

    Examples
    --------
    >>> scale, gain = dann_scales(100)
    >>> mean, spread = 1 / math.sqrt(2 * math.pi), 1 - 1 / (2 * math.pi)  # E x, and E x^2 + Var x
    >>> math.isclose(100 * scale**2 * spread, 1), math.isclose(100 * scale * gain * mean, 1)
    (True, True)
    """
    spread = 2 * math.pi - 1
    return math.sqrt(2 * math.pi / (fan_in * spread)), math.sqrt(spread / fan_in)


class DANNLayer(EILayer):
    """Hidden E-I layer of rates.

    With ``prop.scale_gradient`` gradients are corrected as published: that of ``W_ix`` is divided
    by ``sqrt(n_E)``, that of ``W_ei`` by d, that of ``alpha`` by ``sqrt(n_E) d``.

    Parameters
    ----------
    transform : Transform
    n_exc, n_inh : int
    prop : EIProp
        Of it, ``scale_gradient``.
    sees_input : bool
        Whether it is the first layer, whose inputs are images, not rates.
    """

    floor = FLOOR

    def __init__(
        self, transform: Transform, n_exc: int, n_inh: int, prop: EIProp = FULL_PROP, *, sees_input: bool = False
    ) -> None:
        super().__init__(transform, n_exc, n_inh, prop=prop, stepwise=RateNeuron())
        del self.gain_inh
        self.sees_input = sees_input
        self.log_gain_inh = nn.Parameter(torch.full((n_inh,), torch.nan))

    def signed_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters that Dale's law keeps >= 0, by name; alpha is free."""
        return {name: p for name, p in super().signed_parameters().items() if name != "log_gain_inh"}

    def init_from_input_(self, moments: InputMoments, generator: torch.Generator) -> None:
        """Fill the layer; the first one has ``exp(alpha)`` from the moments of the images."""
        scale, gain = dann_scales(self.transform.fan_in)
        if self.sees_input:
            scale, gain = math.sqrt(1 / (2 * self.transform.fan_in)), ei_init_scales(moments, self.transform.fan_in)[1]
        draw_exponential((self.weight_exc, self.weight_inh_in), scale, generator)
        self.weight_inh_out.fill_(1.0 / self.n_inh)
        self.log_gain_inh.fill_(math.log(gain))
        self.gain_exc.fill_(1.0)
        self.bias.zero_()

    def forward(
        self,
        x: Tensor,
        state: Membrane | None = None,
        steps: int | None = None,
        record: frozenset[str] = NOTHING,
        select: Mapping[str, Tensor] | None = None,
        moments: Moments | None = None,
    ) -> tuple[Membrane, Tensor, dict[str, Tensor]]:
        """Return a state without meaning, the rates (T, B, ...) and the recorded signals."""
        inh_in: Tensor = self.weight_inh_in
        alpha: Tensor = self.log_gain_inh
        if self.prop.scale_gradient:
            factor = 1 / math.sqrt(self.n_exc)
            inh_in, alpha = scale_gradient(inh_in, factor), scale_gradient(alpha, factor / self.transform.fan_in)
        return ei_layer(
            EIParameters(self.weight_exc, inh_in, self.weight_inh_out, alpha.exp(), self.gain_exc, self.bias),
            state,
            x,
            record,
            transform=self.transform,
            kernel=self._kernel(moments),
            steps=steps,
            prop=self.prop._replace(stabilise=False),
            lesion=self.lesion,
            edits=self.edits,
            select=select,
        )


class DANNReadout(EIReadout):
    """Readout with a single I neuron, which starts with the mean weights of all E neurons."""

    def init_from_input_(self, moments: InputMoments, generator: torch.Generator) -> None:
        """Fill the readout, whatever its input."""
        del moments
        draw_exponential((self.weight_exc,), dann_scales(self.transform.fan_in)[0], generator)
        self.weight_inh_in.copy_(self.weight_exc.mean(0, keepdim=True).expand_as(self.weight_inh_in))
        self.weight_inh_out.fill_(1.0 / self.n_inh)


def hidden(design: Design, transform: Transform, n: int, source: str, normalise: bool) -> DANNLayer:
    """Return a hidden layer of rates with ``n / ei_ratio`` I neurons."""
    del normalise
    return DANNLayer(transform, n, n_inhibitory(n, design.ei_ratio), design.prop, sees_input=source == "input")


def readout(design: Design, transform: Transform, n_classes: int, source: str) -> DANNReadout:
    """Return a readout with one I neuron."""
    del source
    return DANNReadout(transform, n_classes, 1, design.prop)


TYPE = LayerType(hidden, readout, dale=True, models=("relu",), settings=("ei_ratio", "prop.scale_gradient"))
