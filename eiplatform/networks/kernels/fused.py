"""From the currents of the input to spikes: the element-wise part of an E-I layer in one operation.

For the excitation ``e`` of the E neurons and the activity ``a`` of the I neurons

    net = e - W_sub a        q = net / stabilised(W_div a)        drive = g_E q + b

and then leaky integrate-and-fire.  Written as single operations this reads and writes the
memory some thirty times; here blocks of samples pass through all of it while they are in the
cache.  Kept for the backward pass are ``e`` and ``a`` alone; all the rest is computed again.

:mod:`eiplatform.networks.kernels.backend` says by which of two implementations.

Tensors have the channels last, (T, B, places..., channels).
"""

from __future__ import annotations

import torch
from torch import Tensor

from eiplatform.errors import EIPlatformError
from eiplatform.networks.kernels.backend import current
from eiplatform.networks.kernels.fused_compiled import CompiledSpikes
from eiplatform.networks.kernels.fused_eager import EagerSpikes
from eiplatform.networks.kernels.fused_parts import SIGNALS, Fused, Options, replace_zeros
from eiplatform.networks.kernels.lif import LIF
from eiplatform.networks.kernels.moments import Moments

__all__ = ["SIGNALS", "Fused", "ei_spikes", "replace_zeros"]


def ei_spikes(
    currents: Tensor,
    weight_sub: Tensor | None,
    weight_div: Tensor,
    gain_exc: Tensor,
    bias: Tensor,
    membrane: Tensor | None,
    *,
    neuron: LIF,
    steps: int | None = None,
    stabilised: bool = True,
    straight_through: bool = True,
    keep: frozenset[str] = frozenset(),
    select: Tensor | None = None,
    moments: Moments | None = None,
) -> Fused:
    """Turn the currents of the input into spikes.

    Parameters
    ----------
    currents : Tensor, shape (T, B, places..., n_E + n_I), or (1, B, ...) if `steps` is given
        Excitation of the E neurons and activity of the I neurons.
    weight_sub : Tensor, shape (n_E, n_I), or None
        None: the first n_E channels are the net current already.
    weight_div : Tensor, shape (n_E, n_I)
    gain_exc, bias : Tensor, shape (n_E,)
    membrane : Tensor, shape (B, places..., n_E), or None
        None: at rest.
    neuron : LIF
    steps : int, optional
        The one pattern is held for this many steps.
    stabilised, straight_through : bool
        As in :class:`~eiplatform.networks.kernels.ei.EIProp`.
    keep : frozenset of str
        Further fields of :class:`Fused` to return, differentiable as well.
    select : Tensor of int, shape (k,), optional
        Only where no gradients are asked for: return those fields of these neurons alone, shape
        (T, B, k); an index counts places, then channels.  What is not selected never leaves the cache.
    moments : Moments, optional
        Only where no gradients are asked for: the signals are added to it, whatever is returned.

    Examples
    --------
    >>> import torch
    >>> currents = torch.tensor([[[3.0, 1.0]]])  # one E and one I neuron
    >>> half, one = torch.full((1, 1), 0.5), torch.ones(1)
    >>> fused = ei_spikes(currents, half, half, one, -one, None, neuron=LIF(), keep=frozenset({"drive"}))
    >>> fused.drive.item()  # (3 - 0.5) / 0.5 - 1
    4.0
    """
    if torch.is_grad_enabled():
        for what, given in (("neurons can be selected", select), ("moments can be formed", moments)):
            if given is not None:
                raise EIPlatformError(f"{what} only without gradients", where="ei_spikes")
    if moments is not None and weight_sub is None and {"exc", "inh"}.intersection(moments.fields):
        raise EIPlatformError(
            "excitation and subtractive inhibition are not apart here",
            where="ei_spikes",
            remedy="form their moments outside of autocast",
        )
    options = Options(neuron, steps or len(currents), stabilised, straight_through, keep, select, moments)
    function = CompiledSpikes if current() == "compiled" else EagerSpikes
    outputs = function.apply(currents.contiguous(), weight_sub, weight_div, gain_exc, bias, membrane, options)  # type: ignore[no-untyped-call]
    return Fused(*outputs)
