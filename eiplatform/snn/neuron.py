"""Leaky integrate-and-fire neurons: all time steps in one operation, or one step at a time.

    u[t] = decay * m[t-1] + drive[t],   decay = 1 - 1/tau
    s[t] = 1 where u[t] >= threshold
    m[t] = u[t] - threshold * s[t]      (soft reset)
    m[t] = u[t] * (1 - s[t])            (hard reset, to 0)

The input is not scaled by ``1/tau``.  ``u`` is the *voltage* that is compared with the
threshold, ``m`` the *membrane* that is carried to the next step; at rest ``m = 0``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from eiplatform.snn.surrogate import Surrogate, make_surrogate

__all__ = ["LIF", "Membrane", "lif_sequence", "lif_step"]


class LIF(NamedTuple):
    """Constants of a population of leaky integrate-and-fire neurons.

    Attributes
    ----------
    tau : float
        Membrane constant in steps, >= 1.
    threshold : float
        Voltage at which a spike occurs.
    reset : {"soft", "hard"}
        Subtract the threshold, or return to 0.
    detach_reset : bool
        Whether the gradient ignores the reset (as in arXiv 2509.23253).
    surrogate : Surrogate
        What stands in for the derivative of the spike.
    """

    tau: float = 2.0
    threshold: float = 1.0
    reset: str = "soft"
    detach_reset: bool = True
    surrogate: Surrogate = make_surrogate("sigmoid")

    @property
    def decay(self) -> float:
        """Part of the membrane that is left after one step, ``1 - 1/tau``."""
        return 1.0 - 1.0 / self.tau


PAPER_LIF = LIF()
"""Defaults of arXiv 2509.23253."""


class Membrane(NamedTuple):
    """State of a population: the membrane after the reset, shape (B, ...)."""

    membrane: Tensor


def _reset(voltage: Tensor, spikes: Tensor, neuron: LIF) -> Tensor:
    if neuron.reset == "soft":
        return voltage - neuron.threshold * spikes
    return voltage * (1 - spikes)


def _integrate(drive: Tensor, membrane: Tensor | None, neuron: LIF) -> Tensor:
    return drive if membrane is None else torch.add(drive, membrane, alpha=neuron.decay)


def lif_step(drive: Tensor, state: Membrane | None, neuron: LIF) -> tuple[Membrane, Tensor, Tensor]:
    """Advance by one step.

    Parameters
    ----------
    drive : Tensor, shape (B, ...)
    state : Membrane or None
        None: at rest.
    neuron : LIF

    Returns
    -------
    state : Membrane
    spikes, voltage : Tensor, shape (B, ...)

    Examples
    --------
    >>> state, spikes, voltage = lif_step(torch.tensor([0.5, 1.25]), None, LIF())
    >>> spikes.tolist(), state.membrane.tolist()
    ([0.0, 1.0], [0.5, 0.25])
    """
    voltage = _integrate(drive, None if state is None else state.membrane, neuron)
    spikes = neuron.surrogate.spike(voltage - neuron.threshold)
    membrane = _reset(voltage, spikes.detach() if neuron.detach_reset else spikes, neuron)
    return Membrane(membrane), spikes, voltage


def lif_sequence(
    drive: Tensor, state: Membrane | None, neuron: LIF, *, keep_voltage: bool = False
) -> tuple[Membrane, Tensor, Tensor | None]:
    """Advance by all steps of `drive` in one operation with its own backward pass.

    Parameters
    ----------
    drive : Tensor, shape (T, B, ...)
    state : Membrane or None
        None: at rest.
    neuron : LIF
    keep_voltage : bool
        Whether the voltage is wanted.  Without a gradient it is otherwise not stored at all.

    Returns
    -------
    state : Membrane
    spikes : Tensor, shape (T, B, ...)
    voltage : Tensor of the same shape, or None

    Examples
    --------
    >>> state, spikes, _ = lif_sequence(torch.full((4, 1), 0.75), None, LIF())
    >>> spikes.flatten().tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    membrane = None if state is None else state.membrane
    wants_gradient = drive.requires_grad or (membrane is not None and membrane.requires_grad)
    voltage: Tensor | None
    if torch.is_grad_enabled() and wants_gradient:
        spikes, voltage, last = _Sequence.apply(drive, membrane, neuron)  # type: ignore[no-untyped-call]
    else:
        spikes, voltage, last = _forward(drive, membrane, neuron, keep_voltage)
    return Membrane(last), spikes, voltage if keep_voltage else None


def _forward(
    drive: Tensor, membrane: Tensor | None, neuron: LIF, keep_voltage: bool
) -> tuple[Tensor, Tensor | None, Tensor]:
    spikes = torch.empty_like(drive, memory_format=torch.contiguous_format)
    voltages = torch.empty_like(spikes) if keep_voltage else None
    for t in range(drive.shape[0]):
        voltage = _integrate(drive[t], membrane, neuron)
        torch.ge(voltage, neuron.threshold, out=spikes[t])
        if voltages is not None:
            voltages[t] = voltage
        membrane = _reset(voltage, spikes[t], neuron)
    assert membrane is not None
    return spikes, voltages, membrane


class _Sequence(torch.autograd.Function):
    """Keeps the voltage only; spikes and resets follow from it in the backward pass."""

    @staticmethod
    def forward(ctx: Any, drive: Tensor, membrane: Tensor | None, neuron: LIF) -> tuple[Tensor, Tensor | None, Tensor]:
        spikes, voltages, last = _forward(drive, membrane, neuron, keep_voltage=True)
        ctx.save_for_backward(voltages)
        ctx.neuron = neuron
        ctx.had_state = membrane is not None
        ctx.set_materialize_grads(False)
        return spikes, voltages, last

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor, Tensor | None, None]:
        (voltages,) = ctx.saved_tensors
        neuron: LIF = ctx.neuron
        grad_spikes, grad_voltages, grad_membrane = grads
        grad_drive = torch.empty_like(voltages)
        for t in range(voltages.shape[0] - 1, -1, -1):
            distance = voltages[t] - neuron.threshold
            into_spike = grad_spikes[t] if grad_spikes is not None else None
            if grad_membrane is not None and not neuron.detach_reset:
                # d(membrane)/d(spike) is -threshold (soft) or -voltage (hard).
                drop = grad_membrane * (neuron.threshold if neuron.reset == "soft" else voltages[t])
                into_spike = -drop if into_spike is None else into_spike - drop
            total = grad_drive[t]
            if into_spike is None:
                total.zero_()
            else:
                torch.mul(into_spike, neuron.surrogate.derivative(distance), out=total)
            if grad_voltages is not None:
                total += grad_voltages[t]
            if grad_membrane is not None:
                total += grad_membrane if neuron.reset == "soft" else grad_membrane * (distance < 0)
            grad_membrane = neuron.decay * total
        return grad_drive, grad_membrane if ctx.had_state else None, None
