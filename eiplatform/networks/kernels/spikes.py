"""Dense layers of spikes while training, for the compiled backend: weights are added where there is a spike.

Most of a pattern of spikes is zero.  Where no more than :data:`MOST` of it is not, the currents and the
weights' gradient are sums of the rows that a spike names (``spikes.cpp``), in place of products with
zeros: the same numbers up to rounding, in a fraction of the time.  Evaluation and recording, whose bits must
not depend on how samples are batched, keep to products.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from eiplatform.networks.kernels import compiled
from eiplatform.networks.kernels.backend import current

__all__ = ["MOST", "spike_product"]

MOST = 0.3
"""Largest part of a pattern that may be spikes."""
SMALLEST, NARROWEST = 2**14, 64
"""Patterns of fewer values, or that reach fewer neurons, are multiplied: there is nothing to gain."""


def spike_product(x: Tensor, weight: Tensor) -> Tensor | None:
    """Return what a pattern of few spikes drives through weights; None if it is to be multiplied.

    Parameters
    ----------
    x : Tensor, shape (..., n_inputs)
        Any values; zeros cost nothing.
    weight : Tensor, shape (neurons, n_inputs)

    Returns
    -------
    Tensor, shape (..., neurons), or None

    Examples
    --------
    >>> spike_product(torch.eye(2), torch.eye(2)) is None  # the eager backend
    True
    """
    if current() != "compiled" or not torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return None
    if not weight.requires_grad or x.numel() < SMALLEST or len(weight) < NARROWEST:
        return None
    if any(v.dtype != torch.float32 or v.device.type != "cpu" for v in (x, weight)):
        return None
    x = x.contiguous()
    count = compiled.library().count_spikes
    count.restype = ctypes.c_int64
    n_spikes = int(count(ctypes.c_void_p(x.data_ptr()), ctypes.c_int64(x.numel())))
    if n_spikes > MOST * x.numel():
        return None
    found: Tensor = _SpikeProduct.apply(x, weight, n_spikes)  # type: ignore[no-untyped-call]
    return found


class _SpikeProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, n_spikes: int) -> Tensor:
        weight = weight.contiguous()
        ctx.save_for_backward(x, weight)
        ctx.n_spikes = n_spikes
        out = x.new_empty((*x.shape[:-1], len(weight)))
        _call("spikes_forward", x, weight, out, len(weight), n_spikes)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        grad = grads[0].contiguous()
        grad_x = grad @ weight if ctx.needs_input_grad[0] else None
        grad_weight = None
        if ctx.needs_input_grad[1]:
            grad_weight = torch.empty_like(weight)
            _call("spikes_backward", x, grad, grad_weight, len(weight), ctx.n_spikes)
        return grad_x, grad_weight, None


def _call(name: str, x: Tensor, given: Tensor, out: Tensor, n_out: int, n_spikes: int) -> None:
    """Call a function of spikes.cpp."""
    place, number = ctypes.c_void_p, ctypes.c_int64
    rows = x.numel() // x.shape[-1]
    getattr(compiled.library(), name)(
        place(x.data_ptr()),
        number(rows),
        number(x.shape[-1]),
        place(given.data_ptr()),
        number(n_out),
        place(out.data_ptr()),
        number(n_spikes),
        number(torch.get_num_threads()),
    )
