"""Leaky integrate-and-fire neurons: all time steps in one operation, or one step at a time.

    u[t] = decay * m[t-1] + drive[t],   decay = 1 - 1/tau
    s[t] = 1 where u[t] >= threshold
    m[t] = u[t] - threshold * s[t]      (soft reset)
    m[t] = u[t] * (1 - s[t])            (hard reset, to 0)

The input is not scaled by ``1/tau``.  ``u`` is the *voltage* that is compared with the
threshold, ``m`` the *membrane* that is carried to the next step; at rest ``m = 0``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from eiplatform.networks.kernels.surrogate import Surrogate, make_surrogate

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
    """State of a population: the membrane after the reset, shape (B, ...).

    Attributes
    ----------
    membrane : Tensor
    output : Tensor or None
        What was last sent on, of neurons that feel it themselves (BackEISNN).
    """

    membrane: Tensor
    output: Tensor | None = None


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
    drive: Tensor, state: Membrane | None, neuron: LIF, *, steps: int | None = None, keep_voltage: bool = False
) -> tuple[Membrane, Tensor, Tensor | None]:
    """Advance by all steps of `drive` in one operation with its own backward pass.

    Only the drive is kept for the backward pass, which computes voltages and spikes again.
    The work is cut into blocks of samples that stay in a CPU's cache.

    Parameters
    ----------
    drive : Tensor, shape (T, B, ...), or (1, B, ...) if `steps` is given
    state : Membrane or None
        None: at rest.
    neuron : LIF
    steps : int, optional
        The one drive is held for this many steps.
    keep_voltage : bool
        Whether the voltage is wanted; otherwise it is not stored at all.

    Returns
    -------
    state : Membrane
        In float32 at least, as all that is computed on the way.
    spikes : Tensor, shape (T, B, ...)
    voltage : Tensor of the same shape, or None

    Examples
    --------
    >>> state, spikes, _ = lif_sequence(torch.full((1, 1), 0.75), None, LIF(), steps=4)
    >>> spikes.flatten().tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    membrane = None if state is None else state.membrane
    spikes, last, voltage = _Sequence.apply(drive, membrane, neuron, steps or len(drive), keep_voltage)  # type: ignore[no-untyped-call]
    return Membrane(last), spikes, voltage


BLOCK = 65536
"""Neurons per thread that are advanced together: a few buffers of them fit into the cache of a core."""


def batch_blocks(x: Tensor) -> list[slice]:
    """Cut the samples of `x` (T, B, ...) into blocks to be worked on one after the other; one on a GPU."""
    n_samples = x.shape[1]
    if x.device.type != "cpu":
        return [slice(0, n_samples)]
    size = max(1, BLOCK * torch.get_num_threads() // max(1, math.prod(x.shape[2:])))
    return [slice(start, min(start + size, n_samples)) for start in range(0, n_samples, size)]


def real_type(x: Tensor) -> torch.dtype:
    """Return the type to compute in: that of `x`, but float32 at least."""
    return torch.promote_types(x.dtype, torch.float32)


def advance_block(
    drives: Sequence[Tensor],
    membrane: Tensor | None,
    neuron: LIF,
    voltages: Sequence[Tensor],
    after: Tensor,
    spikes: Sequence[Tensor] | None = None,
) -> None:
    """Advance by all steps, into the buffers `voltages`, `after` (the membrane) and `spikes`.

    A voltage's buffer may be its drive, and all voltages may share one buffer.
    """
    direct = spikes is not None and spikes[0].dtype == after.dtype
    buffer = torch.empty_like(after)
    for t, (drive, voltage) in enumerate(zip(drives, voltages, strict=True)):
        if membrane is not None:
            torch.add(drive, membrane, alpha=neuron.decay, out=voltage)
        elif voltage is not drive:
            voltage.copy_(drive)
        fired = spikes[t] if spikes is not None and direct else buffer
        torch.ge(voltage, neuron.threshold, out=fired)
        if spikes is not None and not direct:
            spikes[t].copy_(fired)
        if neuron.reset == "soft":
            torch.sub(voltage, fired, alpha=neuron.threshold, out=after)
        else:
            torch.mul(voltage, 1 - fired, out=after)
        membrane = after


def rewind_block(
    voltages: Sequence[Tensor],
    grad_spikes: Sequence[Tensor] | None,
    grad_voltages: Sequence[Tensor] | None,
    grad_after: Tensor | None,
    neuron: LIF,
) -> None:
    """Go back through all steps; every voltage is overwritten by its gradient, which is that of the drive."""
    scratch = torch.empty_like(voltages[0])
    # The gradient of the membrane after the reset is factor * later.
    later, factor = grad_after, 1.0
    for t in range(len(voltages) - 1, -1, -1):
        voltage = voltages[t]
        into_spike = None if grad_spikes is None else grad_spikes[t].to(voltage.dtype)
        if later is not None and not neuron.detach_reset:
            # d(membrane)/d(spike) is -threshold (soft) or -voltage (hard).
            drop = later * factor * (neuron.threshold if neuron.reset == "soft" else voltage)
            into_spike = -drop if into_spike is None else into_spike - drop
        if later is not None and neuron.reset == "hard":
            later = later * (voltage < neuron.threshold)
        if into_spike is not None:
            neuron.surrogate.chain_(into_spike, torch.sub(voltage, neuron.threshold, out=scratch))
        if into_spike is None:
            voltage.zero_() if later is None else torch.mul(later, factor, out=voltage)
        elif later is None:
            voltage.copy_(scratch)
        else:
            torch.add(scratch, later, alpha=factor, out=voltage)
        if grad_voltages is not None:
            voltage += grad_voltages[t]
        later, factor = voltage, neuron.decay


def steps_of(x: Tensor | None, block: slice, dtype: torch.dtype) -> list[Tensor] | None:
    """Return a block of samples of `x` (T, B, ...) step by step."""
    return None if x is None else [step[block].to(dtype) for step in x]


class _Sequence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, drive: Tensor, membrane: Tensor | None, neuron: LIF, steps: int, keep_voltage: bool
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        ctx.save_for_backward(drive, membrane)
        ctx.neuron, ctx.steps = neuron, steps
        ctx.set_materialize_grads(False)
        real = real_type(drive)
        last = torch.empty_like(drive[0], dtype=real)
        spikes = _steps_like(drive, steps, drive.dtype)
        kept = _steps_like(drive, steps, real) if keep_voltage else None
        for block in batch_blocks(drive):
            after = last[block]
            drives = _drives(drive, block, steps, real)
            voltages = [torch.empty_like(after)] * steps if kept is None else [v[block] for v in kept]
            before = None if membrane is None else membrane[block]
            advance_block(drives, before, neuron, voltages, after, [s[block] for s in spikes])
        return spikes, last, kept

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor, Tensor | None, None, None, None]:
        drive, membrane = ctx.saved_tensors
        neuron, steps, real = ctx.neuron, ctx.steps, real_type(drive)
        grad_spikes, grad_last, grad_voltages = grads
        grad_drive = torch.empty_like(drive)
        grad_membrane = None if membrane is None else torch.empty_like(membrane)
        for block in batch_blocks(drive):
            drives = _drives(drive, block, steps, real)
            in_place = len(drive) == steps and drive.dtype == real
            if in_place:
                voltages = [step[block] for step in grad_drive]
            else:
                voltages = [torch.empty_like(drives[0]) for _ in range(steps)]
            before = None if membrane is None else membrane[block]
            advance_block(drives, before, neuron, voltages, torch.empty_like(drives[0]))
            rewind_block(
                voltages,
                steps_of(grad_spikes, block, real),
                steps_of(grad_voltages, block, real),
                None if grad_last is None else grad_last[block],
                neuron,
            )
            if grad_membrane is not None:
                torch.mul(voltages[0], neuron.decay, out=grad_membrane[block])
            if len(drive) < steps:
                for later in voltages[1:]:
                    voltages[0] += later
            if not in_place:
                for target, values in zip(grad_drive, voltages[: len(drive)], strict=True):
                    target[block] = values
        return grad_drive, grad_membrane, None, None, None


def _drives(drive: Tensor, block: slice, steps: int, dtype: torch.dtype) -> list[Tensor]:
    values = [step[block].to(dtype) for step in drive]
    return values * steps if len(values) < steps else values


def _steps_like(x: Tensor, steps: int, dtype: torch.dtype) -> Tensor:
    """Return an empty tensor for this many steps, each ordered in memory as those of `x`."""
    order = torch.empty_like(x[0], device="meta").stride()
    return torch.empty_strided((steps, *x.shape[1:]), (x[0].numel(), *order), dtype=dtype, device=x.device)
