"""The operation of :mod:`eiplatform.networks.kernels.fused` with its element-wise part compiled.

Matrix products stay PyTorch's: one for both kinds of inhibition, and two back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from eiplatform.errors import DeviceError
from eiplatform.networks.kernels import products
from eiplatform.networks.kernels.compiled import SURROGATES, TYPES, Block, call
from eiplatform.networks.kernels.compiled import Sequence as Pointer
from eiplatform.networks.kernels.compiled import Sums as PointerSums
from eiplatform.networks.kernels.fused_parts import SIGNALS, Options, Weights, replace_zeros, weights_of
from eiplatform.networks.kernels.lif import batch_blocks
from eiplatform.networks.kernels.moments import PILOT, Moments

__all__ = ["CompiledSpikes"]

MOST_JOINED = 4
"""Up to this many blocks of samples are worked off as one."""
PER_SUM = 32
"""Values of each neuron that are summed in one go."""


class CompiledSpikes(torch.autograd.Function):
    """As the function behind :func:`~eiplatform.networks.kernels.fused.ei_spikes`."""

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
        if currents.device.type != "cpu" or currents.dtype not in TYPES:
            raise DeviceError(
                f"the compiled backend cannot compute with {currents.dtype} on {currents.device}",
                valid=f"{', '.join(TYPES.values())} on a CPU",
                remedy="choose the eager backend",
            )
        w = weights_of(currents, weight_sub, weight_div, gain_exc, bias)
        start = None if membrane is None else membrane.to(w.bias.dtype).contiguous()
        shape = (*currents.shape[1:-1], len(bias))
        spikes = currents.new_empty((options.steps, *shape))
        last = w.bias.new_empty(shape)
        steps = {name: options.steps if name == "voltage" else len(currents) for name in options.keep}
        kept_shape = shape if options.select is None else (shape[0], len(options.select))
        kept = {name: w.bias.new_empty((n, *kept_shape)) for name, n in steps.items()}
        selection = None if options.select is None else _selection(options.select, math.prod(shape[1:-1]), shape[-1])
        ctx.unit = products.takes(currents, w.div)
        mixing = _mixing(w, ctx.unit)
        blocks = _blocks(spikes)
        groups = _groups(blocks, len(currents), options.moments)
        mixed = w.bias.new_empty(_mixed_shape(currents, max(groups, key=_length), mixing))
        if options.moments is not None:
            options.moments.begin(currents, len(bias), options.steps, w.bias.dtype)
        for group in groups:
            part = currents[:, group]
            b = _describe(part, w, None if start is None else start[group], options)
            b.mixed = Pointer.of(_mix(part, mixing, mixed, ctx.unit, blocks[0].stop))
            b.spikes = Pointer.of(spikes[:, group])
            b.last = last[group].data_ptr()
            for name, values in kept.items():
                setattr(b, name, Pointer.of(values[:, group]))
            if selection is not None:
                b.n_selected = len(selection[1])
                b.first, b.channel, b.slot = (values.data_ptr() for values in selection)
            if options.moments is None:
                call("forward", b, currents.dtype)
            else:
                _point(b, options.moments)
                if options.moments.fresh:  # about zero first, only to know where the values lie
                    call("moments", b, currents.dtype)
                    options.moments.settle(part.shape[1])
                call("moments", b, currents.dtype)
        if options.moments is not None:
            options.moments.end()
        # Of a small batch the mixed currents are kept too, as they need no memory to speak of.
        saved = mixed if len(blocks) == 1 else None
        ctx.save_for_backward(currents, weight_sub, weight_div, gain_exc, bias, membrane, saved)
        ctx.options = options
        ctx.set_materialize_grads(False)
        return spikes, last, *(kept.get(name) for name in SIGNALS)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Return the gradients of the arguments of `forward`."""
        currents, weight_sub, weight_div, gain_exc, bias, membrane, saved = ctx.saved_tensors
        options: Options = ctx.options
        w = weights_of(currents, weight_sub, weight_div, gain_exc, bias)
        real, n_exc = w.bias.dtype, len(bias)
        start = None if membrane is None else membrane.to(real).contiguous()
        grad_spikes, grad_last, *grad_kept = grads
        into = dict(zip(SIGNALS, grad_kept, strict=True))
        mixing = _mixing(w, ctx.unit)
        blocks = _blocks(currents[..., :n_exc]) if saved is None else [slice(0, currents.shape[1])]
        mixed = w.bias.new_empty(_mixed_shape(currents, blocks[0], mixing)) if saved is None else saved
        # The matrix unit would round these gradients; written rounded they are half as long.
        plain = _plain(into, options)
        rounded = ctx.unit and plain
        buffer = torch.empty_like(mixed, dtype=torch.bfloat16 if rounded else None)
        grad_currents = torch.empty_like(currents)
        grad_mixing: products.Rows = ()
        grad_membrane = None if start is None else torch.empty_like(start)
        n_chunks = torch.get_num_threads()
        grad_rows = torch.zeros((2, n_chunks, n_exc), dtype=torch.float64)
        for block in blocks:
            part, target = currents[:, block], grad_currents[:, block]
            b = _describe(part, w, None if start is None else start[block], options)
            activity = _mix(part, mixing, mixed, ctx.unit) if saved is None else mixed
            grad_mixed = buffer[:, : activity.shape[1]]
            read = [_steps(grad_spikes, block, currents.dtype)]
            read += [_steps(into[name], block, real) for name in ("voltage", "net", "gain", "drive")]
            b.mixed, b.grad_currents, b.grad_mixed = map(Pointer.of, (activity, target, grad_mixed))
            b.rounded = rounded
            b.spikes, b.voltage, b.net, b.gain, b.drive = map(Pointer.of, read)
            last = None if grad_last is None else grad_last[block].to(real).contiguous()
            b.last = None if last is None else last.data_ptr()
            if grad_membrane is not None:
                b.grad_membrane = grad_membrane[block].data_ptr()
            b.grad_bias, b.grad_gain_exc = (values.data_ptr() for values in grad_rows)
            call("backward", b, currents.dtype)
            if not plain:
                _complete(grad_mixed, activity, into, block, options, n_exc)
            for read_rows, written, grad in _matrices(part, target, grad_mixed):
                found = tuple(torch.empty_like(m) for m in mixing)
                if ctx.unit:
                    products.multiply((grad,), (read_rows[:, n_exc:],), found, 1, turn_a=True)
                    products.multiply((grad,), mixing, (written[:, n_exc:],), 1)
                else:
                    torch.mm(grad.T, read_rows[:, n_exc:].to(real), out=found[0])
                    if written.dtype == real:
                        torch.mm(grad, mixing[0], out=written[:, n_exc:])
                    else:
                        written[:, n_exc:] = grad @ mixing[0]
                grad_mixing = tuple(map(torch.add, grad_mixing, found)) if grad_mixing else found
        grad_both: tuple[Tensor | None, ...] = grad_mixing
        if len(grad_mixing) == 1:
            grad_both = (None, *grad_mixing) if weight_sub is None else grad_mixing[0].chunk(2)
        grad_bias, grad_gain = grad_rows.sum(1)
        grad_weights = (
            None if g is None else g.to(v.dtype)
            for g, v in zip((*grad_both, grad_gain, grad_bias), ctx.saved_tensors[1:5], strict=True)
        )
        return grad_currents, *grad_weights, grad_membrane, None


def _blocks(x: Tensor) -> list[slice]:
    """Cut the samples into blocks, but a few not: products of few rows cost more than what the cache saves."""
    blocks = batch_blocks(x)
    return blocks if len(blocks) > MOST_JOINED else [slice(0, x.shape[1])]


def _mixing(w: Weights, unit: bool) -> products.Rows:
    """Return the weights of both kinds of inhibition, as one matrix unless they are for the matrix unit."""
    if w.sub is None:
        return (w.div.contiguous(),)
    return (w.sub.contiguous(), w.div.contiguous()) if unit else (torch.cat((w.sub, w.div)),)


def _mixed_shape(currents: Tensor, block: slice, mixing: products.Rows) -> tuple[int, ...]:
    n_rows = (block.stop - block.start) * math.prod(currents.shape[2:-1])
    return len(currents), n_rows, sum(map(len, mixing))


def _matrices(part: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """View the rows of several (T, samples, ..., channels) as matrices; one each if those of `part` lie so."""
    together = part.is_contiguous()
    for values in ((part, *others),) if together else zip(part, *others, strict=True):
        yield tuple(x.view(-1, x.shape[-1]) for x in values)


def _mix(part: Tensor, mixing: products.Rows, out: Tensor, unit: bool, n_samples: int | None = None) -> Tensor:
    """Return both kinds of inhibition (T, rows, channels) in the first rows of `out`.

    The products are of `n_samples` at a time, as the bits of a product can depend on how many rows it has.
    """
    places = math.prod(part.shape[2:-1])
    found = out[:, : part.shape[1] * places]
    size = n_samples or part.shape[1]
    for start in range(0, part.shape[1], size):
        block = found[:, start * places : (start + size) * places]
        for rows, target in _matrices(part[:, start : start + size], block):
            activity = rows[:, -mixing[0].shape[1] :]
            if unit:
                products.multiply((activity,), mixing, (target,), 2, turn_b=True)
            else:
                torch.mm(activity.to(mixing[0].dtype), mixing[0].T, out=target)
    return found


def _groups(blocks: list[slice], n_given: int, moments: Moments | None) -> list[slice]:
    """Join neighbouring blocks where moments are formed: a neuron's sums are fetched once for many of its values.

    What is summed twice, to know where the values lie, is no more than needed for that.
    """
    if moments is None:
        return blocks
    each = blocks[0].stop * n_given
    first = min(-(-PILOT // each), len(blocks)) if moments.fresh else 0
    n = -(-PER_SUM // each)
    parts = [blocks[:first], *(blocks[i : i + n] for i in range(first, len(blocks), n))]
    return [slice(some[0].start, some[-1].stop) for some in parts if some]


def _length(part: slice) -> int:
    return int(part.stop - part.start)


def _selection(select: Tensor, n_places: int, n_exc: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return where the neurons of each place begin, and their channels and slots, ordered by place."""
    slot = torch.argsort(select)
    place, channel = select[slot] // n_exc, select[slot] % n_exc
    first = torch.searchsorted(place.contiguous(), torch.arange(n_places + 1))
    return first, channel.contiguous(), slot.contiguous()


def _point(b: Block, moments: Moments) -> None:
    """Let a block add to moments."""
    b.warmup, b.every = moments.warmup, moments.every
    for name, sums in moments.sums.items():
        setattr(b, f"{name}_sums", PointerSums(*(values.data_ptr() for values in sums)))


def _describe(part: Tensor, w: Weights, membrane: Tensor | None, options: Options) -> Block:
    neuron = options.neuron
    return Block(
        n_samples=part.shape[1],
        n_places=math.prod(part.shape[2:-1]),
        n_exc=len(w.bias),
        n_channels=part.shape[-1],
        n_given=len(part),
        n_steps=options.steps,
        n_chunks=torch.get_num_threads(),
        subtractive=w.sub is not None,
        stabilised=options.stabilised,
        hard=neuron.reset == "hard",
        detach_reset=neuron.detach_reset,
        surrogate=SURROGATES.index(neuron.surrogate.name),
        alpha=neuron.surrogate.alpha,
        threshold=neuron.threshold,
        decay=neuron.decay,
        gain_exc=w.gain_exc.data_ptr(),
        bias=w.bias.data_ptr(),
        membrane=None if membrane is None else membrane.data_ptr(),
        currents=Pointer.of(part),
    )


def _steps(x: Tensor | None, block: slice, dtype: torch.dtype) -> Tensor | None:
    """Return a block of samples of `x` (T, B, ...), whose steps lie contiguous."""
    if x is None:
        return None
    part = x[:, block].to(dtype)
    return part if part[0].is_contiguous() else part.contiguous()


def _plain(into: dict[str, Tensor | None], options: Options) -> bool:
    """Return whether nothing is to be added to the gradient of the inhibitions."""
    return (options.straight_through or not options.stabilised) and into["div"] is None and into["inh"] is None


def _complete(
    grad_mixed: Tensor,
    mixed: Tensor,
    into: dict[str, Tensor | None],
    block: slice,
    options: Options,
    n_exc: int,
) -> None:
    """Add to the gradient of the inhibitions what only ablations and recorded signals have."""
    grad_div = grad_mixed[..., -n_exc:]
    n_samples = block.stop - block.start
    if options.stabilised and not options.straight_through:
        for rows, grad in zip(mixed[..., -n_exc:], grad_div, strict=True):
            with torch.enable_grad():
                leaf = rows.reshape(n_samples, -1).detach().requires_grad_()
                (through,) = torch.autograd.grad(replace_zeros(leaf), leaf, grad.reshape(n_samples, -1))
            grad.copy_(through.view_as(grad))
    for name, target in (("div", grad_div), ("inh", grad_mixed[..., :n_exc])):
        more = into[name]
        if more is not None:
            target += more[:, block].reshape(target.shape)
