"""What turns the currents of an E-I layer's input into what its E neurons send on.

A layer owns one of these and hands it to :func:`eiplatform.networks.kernels.ei.ei_layer`: plain neurons
run all steps in one operation (:class:`FusedKernel`), all others step by step through automatic
differentiation (:class:`StepwiseKernel`).  Both say the same of plain neurons, bit for bit.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from eiplatform.networks.kernels.fused import ei_spikes
from eiplatform.networks.kernels.fused_parts import Fused, Weights, weights_of
from eiplatform.networks.kernels.lif import LIF, Membrane, lif_sequence
from eiplatform.networks.kernels.moments import Moments
from eiplatform.networks.kernels.prop import EIProp, stabilise
from eiplatform.networks.neuron import StepwiseNeuron
from eiplatform.networks.transform import with_axis_moved

__all__ = ["Drive", "FusedKernel", "Kernel", "StepwiseKernel", "driven", "mixed"]


class Drive(NamedTuple):
    """What a kernel starts from; channels are the last axis.

    Attributes
    ----------
    currents : Tensor, shape (T, B, places..., n_E + n_I), or (1, B, ...) if `steps` is given
        Excitation of the E neurons (or, without `weight_sub`, their net current) and activity of I.
    weight_sub : Tensor, shape (n_E, n_I), or None
    weight_div : Tensor, shape (n_E, n_I)
    gain_exc, bias : Tensor, shape (n_E,)
    steps : int or None
        The one pattern is held for this many steps.
    """

    currents: Tensor
    weight_sub: Tensor | None
    weight_div: Tensor
    gain_exc: Tensor
    bias: Tensor
    steps: int | None


class Kernel(Protocol):
    """From currents to what is sent on; see the module."""

    @property
    def fires(self) -> bool:
        """Whether spikes are sent on, not rates."""

    @property
    def floor(self) -> float:
        """What is part of the divisive inhibition, whatever the activity."""

    def fire(
        self, drive: Tensor, state: Membrane | None, steps: int | None, *, keep_voltage: bool
    ) -> tuple[Membrane, Tensor, Tensor | None]:
        """Run the neurons on a drive (T, B, ...); return their state, what they send, and the voltage if asked for."""

    def __call__(
        self, drive: Drive, state: Membrane | None, axis: int, prop: EIProp, keep: frozenset[str], select: Tensor | None
    ) -> Fused:
        """Run the neurons.

        Parameters
        ----------
        drive : Drive
        state : Membrane or None
            Of the E neurons, whose channels lie along `axis` (negative); None: at rest.
        axis : int
        prop : EIProp
        keep : frozenset of str
            Further fields of :class:`~eiplatform.networks.kernels.fused_parts.Fused` to return.
        select : Tensor of int, shape (k,), or None
            Neurons of which those fields are returned; counts places, then channels.
        """


class FusedKernel(NamedTuple):
    """Plain leaky integrate-and-fire neurons in one operation (:func:`eiplatform.networks.kernels.fused.ei_spikes`).

    Attributes
    ----------
    neuron : LIF
    moments : Moments or None
        What the signals of all neurons are added to; only without gradients.
    """

    neuron: LIF
    moments: Moments | None = None

    @property
    def fires(self) -> bool:
        """Spikes are sent on."""
        return True

    @property
    def floor(self) -> float:
        """Nothing."""
        return 0.0

    def fire(
        self, drive: Tensor, state: Membrane | None, steps: int | None, *, keep_voltage: bool
    ) -> tuple[Membrane, Tensor, Tensor | None]:
        """Run the neurons on a drive; see :class:`Kernel`."""
        return lif_sequence(drive, state, self.neuron, steps=steps, keep_voltage=keep_voltage)

    def __call__(
        self, drive: Drive, state: Membrane | None, axis: int, prop: EIProp, keep: frozenset[str], select: Tensor | None
    ) -> Fused:
        """Run the neurons; see :class:`Kernel`."""
        return ei_spikes(
            *drive[:5],
            None if state is None else with_axis_moved(state.membrane, axis, -1),
            neuron=self.neuron,
            steps=drive.steps,
            stabilised=prop.stabilise,
            straight_through=prop.straight_through,
            keep=keep,
            select=select,
            moments=self.moments,
        )


class StepwiseKernel(NamedTuple):
    """Neurons that can do more, or have rates, step by step.

    Attributes
    ----------
    neuron : StepwiseNeuron
    floor : float
        Is part of the divisive inhibition, whatever the activity.
    """

    neuron: StepwiseNeuron
    floor: float = 0.0

    @property
    def fires(self) -> bool:
        """Whether spikes are sent on, not rates."""
        return self.neuron.fires

    def fire(
        self, drive: Tensor, state: Membrane | None, steps: int | None, *, keep_voltage: bool
    ) -> tuple[Membrane, Tensor, Tensor | None]:
        """Run the neurons on a drive; see :class:`Kernel`."""
        found: tuple[Membrane, Tensor, Tensor | None] = self.neuron(
            drive, state, steps=steps, keep_voltage=keep_voltage
        )
        return found

    def __call__(
        self, drive: Drive, state: Membrane | None, axis: int, prop: EIProp, keep: frozenset[str], select: Tensor | None
    ) -> Fused:
        """Run the neurons; see :class:`Kernel`."""
        currents = drive.currents
        w = weights_of(currents, *drive[1:5])
        values = currents.to(w.bias.dtype)
        n_exc = len(w.bias)
        exc, activity = values[..., :n_exc], values[..., n_exc:]
        inh = None if w.sub is None else mixed(activity, w.sub)
        net = exc if inh is None else exc - inh
        div, gain, total = driven(net, mixed(activity, w.div), w, prop, self.floor)
        wants = "voltage" in keep
        state, sent, voltage = self.fire(total.movedim(-1, axis), state, drive.steps, keep_voltage=wants)
        known = {"inh": inh, "net": net, "div": div, "gain": gain, "drive": total}
        if voltage is not None:
            known["voltage"] = voltage.movedim(axis, -1)
        kept: dict[str, Tensor | None] = dict.fromkeys(Fused._fields[2:])
        for name in keep:
            signal = known[name]
            assert signal is not None
            kept[name] = signal if select is None else signal.flatten(2).index_select(2, select)
        assert state is not None
        return Fused(sent.movedim(axis, -1).to(currents.dtype), state.membrane.movedim(axis, -1), **kept)


def driven(net: Tensor, div: Tensor, w: Weights, prop: EIProp, floor: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return divisive inhibition with its floor, gain and drive; channels are the last axis."""
    div = div + floor if floor else div
    gain = w.gain_exc / (stabilise(div, prop) if prop.stabilise else div)
    return div, gain, gain * net + w.bias


def mixed(activity: Tensor, weight: Tensor) -> Tensor:
    """Mix the last axis, step by step: the same products as in the fused operation."""
    return torch.stack([(step.flatten(0, -2) @ weight.T).view(*step.shape[:-1], -1) for step in activity])
