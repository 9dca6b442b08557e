"""The operation of :mod:`eiplatform.networks.kernels.fused` by operations of PyTorch, on any device."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from eiplatform.networks.kernels.fused_parts import SIGNALS, Options, Weights, replace_zeros, weights_of
from eiplatform.networks.kernels.lif import advance_block, batch_blocks, rewind_block, steps_of
from eiplatform.networks.kernels.moments import Moments

__all__ = ["EagerSpikes"]


class _Scratch:
    """Buffers that the blocks use one after the other; fresh memory for each would cost more than the arithmetic."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._buffers: dict[str, Tensor] = {}

    def __call__(self, name: str, rows: int, columns: int) -> Tensor:
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < rows:
            buffer = self._buffers[name] = self._like.new_empty((rows, columns))
        return buffer[:rows]


class _Step(NamedTuple):
    """One step of a block of samples up to the drive, as matrices (rows, channels)."""

    activity: Tensor
    inh: Tensor | None
    net: Tensor
    div: Tensor
    denominator: Tensor
    gain: Tensor
    drive: Tensor


def _drive(block: Tensor, w: Weights, options: Options, scratch: _Scratch, t: int) -> _Step:
    """Compute the drive from the currents (samples, places..., channels) of a block."""
    n_exc = len(w.bias)
    rows = block.flatten(0, -2).to(w.bias.dtype)
    exc, activity = rows[:, :n_exc], rows[:, n_exc:]

    def buffer(name: str) -> Tensor:
        return scratch(f"{name} {t}", len(rows), n_exc)

    inh = None
    net = exc
    if w.sub is not None:
        # The inhibition's buffer is free again where it is not wanted.
        wanted = "inh" in options.keep or (options.moments is not None and "inh" in options.moments.fields)
        inh = torch.mm(activity, w.sub.T, out=buffer("inh" if wanted else "net"))
        net = torch.sub(exc, inh, out=buffer("net"))
    div = torch.mm(activity, w.div.T, out=buffer("div"))
    denominator = div
    if options.stabilised:
        denominator = replace_zeros(div.view(len(block), -1)).view_as(div)
    gain = torch.div(w.gain_exc, denominator, out=buffer("gain"))
    drive = torch.mul(gain, net, out=buffer("drive")).add_(w.bias)
    return _Step(activity, inh, net, div, denominator, gain, drive)


def _add_drive(moments: Moments, block: Tensor, step: _Step, scratch: _Scratch) -> None:
    """Add all signals up to the drive of one step of a block (samples, places..., channels)."""
    rows = block.flatten(0, -2)
    n_exc = step.drive.shape[1]
    values = {"exc": rows[:, :n_exc], "activity": rows[:, n_exc:], "inh": step.inh}
    values |= {name: getattr(step, name) for name in ("net", "div", "gain", "drive")}
    for name in moments.fields:
        signal = values.get(name)
        if signal is not None:
            kind = "activity deviation" if name == "activity" else "deviation"
            moments.add(name, signal, len(block), scratch(kind, *signal.shape))


def _keep(values: Tensor, target: Tensor, select: Tensor | None) -> None:
    """Copy values (rows, channels) of a block, or of them the selected neurons, to `target` (samples, ...)."""
    if select is None:
        _rows(target).copy_(values)
    else:
        torch.index_select(values.view(len(target), -1), 1, select, out=target)


class EagerSpikes(torch.autograd.Function):
    """The function behind :func:`~eiplatform.networks.kernels.fused.ei_spikes`."""

    @staticmethod
    def forward(
        ctx: Any,
        currents: Tensor,
        weight_sub: Tensor | None,
        weight_div: Tensor,
        gain_exc: Tensor,
        bias: Tensor,
        membrane: Tensor | None,
        options: Options,
    ) -> tuple[Tensor | None, ...]:
        """Return the fields of ``Fused``."""
        ctx.save_for_backward(currents, weight_sub, weight_div, gain_exc, bias, membrane)
        ctx.options = options
        ctx.set_materialize_grads(False)
        w = weights_of(currents, weight_sub, weight_div, gain_exc, bias)
        shape = (*currents.shape[1:-1], len(bias))
        spikes = currents.new_empty((options.steps, *shape))
        last = w.bias.new_empty(shape)
        steps = {name: options.steps if name == "voltage" else len(currents) for name in options.keep}
        select = options.select
        kept_shape = shape if select is None else (shape[0], len(select))
        kept = {name: w.bias.new_empty((n, *kept_shape)) for name, n in steps.items()}
        scratch = _Scratch(w.bias)
        moments = options.moments
        if moments is not None:
            moments.begin(currents, len(bias), options.steps, w.bias.dtype)
        for block in batch_blocks(spikes):
            drives = []
            for t, currents_t in enumerate(currents):
                # The buffers of a step are free for the next one, but for the drive.
                step = _drive(currents_t[block], w, options, scratch, t)
                for name in options.keep - {"voltage"}:
                    _keep(getattr(step, name), kept[name][t, block], select)
                if moments is not None and (len(currents) < options.steps or moments.takes(t)):
                    _add_drive(moments, currents_t[block], step, scratch)
                drives.append(step.drive)
            if "voltage" in kept and select is None:
                voltages = [_rows(v[block]) for v in kept["voltage"]]
            elif "voltage" in kept or (moments is not None and "voltage" in moments.fields):
                voltages = [scratch(f"voltage {t}", *drives[0].shape) for t in range(options.steps)]
            else:
                voltages = [scratch("voltage", *drives[0].shape)] * options.steps
            before = None if membrane is None else membrane[block].flatten(0, -2)
            drives *= options.steps // len(drives)
            fired = [_rows(s[block]) for s in spikes]
            advance_block(drives, before, options.neuron, voltages, _rows(last[block]), fired)
            if moments is not None:
                for t in filter(moments.takes, range(options.steps)):
                    for name, values in (("voltage", voltages[t]), ("spikes", fired[t])):
                        moments.add(name, values, block.stop - block.start, scratch("deviation", *values.shape))
            if "voltage" in kept and select is not None:
                for t, voltage in enumerate(voltages):
                    _keep(voltage, kept["voltage"][t, block], select)
        if moments is not None:
            moments.end()
        return spikes, last, *(kept.get(name) for name in SIGNALS)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients of the arguments of `forward`."""
        currents, weight_sub, weight_div, gain_exc, bias, membrane = ctx.saved_tensors
        options: Options = ctx.options
        w = weights_of(currents, weight_sub, weight_div, gain_exc, bias)
        real = w.bias.dtype
        grad_w = Weights(*(None if v is None else torch.zeros_like(v) for v in w))  # type: ignore[arg-type]
        grad_currents = torch.empty_like(currents)
        grad_membrane = None if membrane is None else torch.empty_like(membrane)
        grad_spikes, grad_last, grad_voltage, *grad_kept = grads
        scratch = _Scratch(w.bias)
        for block in batch_blocks(currents[..., : len(bias)]):
            parts = [_drive(step[block], w, options, scratch, t) for t, step in enumerate(currents)]
            drives = [part.drive for part in parts]
            if len(drives) == options.steps:
                voltages = drives
            else:
                drives *= options.steps
                voltages = [scratch(f"voltage {t}", *drives[0].shape) for t in range(options.steps)]
            before = None if membrane is None else membrane[block].flatten(0, -2)
            advance_block(drives, before, options.neuron, voltages, scratch("after", *drives[0].shape))
            rewind_block(
                voltages,
                _block_steps(grad_spikes, block, real),
                _block_steps(grad_voltage, block, real),
                None if grad_last is None else grad_last[block].flatten(0, -2),
                options.neuron,
            )
            if grad_membrane is not None:
                _rows(grad_membrane[block]).copy_(voltages[0] * options.neuron.decay)
            if len(parts) < options.steps:
                for later in voltages[1:]:
                    voltages[0] += later
            for t, part in enumerate(parts):
                rows = (None if g is None else g[t, block].flatten(0, -2) for g in grad_kept)
                into = dict(zip(SIGNALS[1:], rows, strict=True))
                target = grad_currents[t, block]
                _rewind_drive(voltages[t], part, into, w, grad_w, options, scratch, target)
        found = (None if g is None else g.to(v.dtype) for g, v in zip(grad_w, ctx.saved_tensors[1:5], strict=True))
        return grad_currents, *found, grad_membrane, None


def _rewind_drive(
    grad_drive: Tensor,
    step: _Step,
    kept: dict[str, Tensor | None],
    w: Weights,
    grad_w: Weights,
    options: Options,
    scratch: _Scratch,
    out: Tensor,
) -> None:
    """Write the gradient of the currents into `out` and add to those of the weights; buffers are overwritten."""
    n_exc = len(w.bias)
    if kept["drive"] is not None:
        grad_drive += kept["drive"]
    grad_w.bias.add_(grad_drive.sum(0))
    # gain = g_E / denominator and drive = gain * net + b.
    grad_gain = torch.mul(grad_drive, step.net, out=scratch("grad gain", *grad_drive.shape))
    grad_net = grad_drive.mul_(step.gain)
    if kept["gain"] is not None:
        grad_gain += kept["gain"]
    if kept["net"] is not None:
        grad_net += kept["net"]
    grad_gain.div_(step.denominator)
    grad_w.gain_exc.add_(grad_gain.sum(0))
    # From here on with the opposite sign: more inhibition, of either kind, means less.
    shrink = grad_gain.mul_(step.gain)
    if options.stabilised and not options.straight_through:
        with torch.enable_grad():
            leaf = step.div.view(len(out), -1).detach().requires_grad_()
            (shrink,) = torch.autograd.grad(replace_zeros(leaf), leaf, shrink.view(len(out), -1))
        shrink = shrink.view_as(step.div)
    if kept["div"] is not None:
        shrink -= kept["div"]
    target = _rows(out)
    target[:, :n_exc] = grad_net
    grad_activity = torch.mm(shrink, w.div, out=scratch("grad activity", *step.activity.shape))
    grad_w.div.addmm_(shrink.T, step.activity, alpha=-1)
    if w.sub is not None and grad_w.sub is not None:
        if kept["inh"] is not None:
            grad_net -= kept["inh"]
        grad_activity.addmm_(grad_net, w.sub)
        grad_w.sub.addmm_(grad_net.T, step.activity, alpha=-1)
    target[:, n_exc:] = grad_activity.neg_()


def _rows(x: Tensor) -> Tensor:
    """View (..., channels) as a matrix."""
    return x.view(-1, x.shape[-1])


def _block_steps(x: Tensor | None, block: slice, dtype: torch.dtype) -> list[Tensor] | None:
    parts = steps_of(x, block, dtype)
    return None if parts is None else [part.flatten(0, -2) for part in parts]
