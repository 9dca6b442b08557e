"""The E-I circuit where what arrives is edited: every contribution by itself, then net current, gain and drive.

Without any edit it gives what :func:`eiplatform.networks.kernels.ei.ei_layer` gives.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from eiplatform.networks.edits import Again, Edits, output_site
from eiplatform.networks.kernels.fused_parts import weights_of
from eiplatform.networks.kernels.kernel import Kernel, driven, mixed
from eiplatform.networks.kernels.lif import Membrane, real_type
from eiplatform.networks.kernels.prop import EIProp
from eiplatform.networks.transform import Transform, with_axis_moved

__all__ = ["Synapses", "edited_currents", "edited_layer"]


class Synapses(NamedTuple):
    """The weights of a layer after factors on its pathways.

    Attributes
    ----------
    exc, inh_in : Tensor
        From the input, in the shape of the transform's weights.
    sub : Tensor, shape (n_E, n_I)
    div : Tensor, shape (n_E, n_I), or None of a readout
    mask : Tensor, shape (n_I,), or None
        What lesions leave of the activity that is recorded of I neurons.
    """

    exc: Tensor
    inh_in: Tensor
    sub: Tensor
    div: Tensor | None
    mask: Tensor | None


def edited_currents(
    synapses: Synapses, x: Tensor, transform: Transform, edits: Edits, steps: int | None
) -> tuple[dict[str, Tensor], int | None]:
    """Return the currents of E and I after edits.

    Parameters
    ----------
    synapses : Synapses
    x : Tensor, shape (T, B, ...)
    transform : Transform
    edits : Edits
    steps : int or None
        For how long the one pattern of `x` is held.

    Returns
    -------
    signals : dict of str to Tensor
        ``E/current_exc``, ``E/current_inh``, ``I/current_exc``, ``I/activity`` and, with `synapses.div`, the
        divisive inhibition without its floor; of all worlds.
    steps : int or None
        None if every step is there.
    """
    axis = transform.channel_axis
    with torch.autocast(x.device.type, enabled=False):
        x = x.to(real_type(synapses.exc))
        both = transform.apply_pair(synapses.exc, synapses.inh_in, x)
        exc, inh_exc = torch.split(both, [len(synapses.exc), len(synapses.inh_in)], axis)
        if steps is not None and edits.timed:
            exc, inh_exc = (values.expand(steps, *values.shape[1:]) for values in (exc, inh_exc))
            steps = None

        def from_input(weight: Tensor) -> Again:
            return lambda mask, rows: transform.apply(weight * mask(weight), x[:, rows])

        def mix(values: Tensor, weight: Tensor) -> Tensor:
            return with_axis_moved(mixed(with_axis_moved(values, axis, -1), weight), -1, axis)

        exc = edits("input_exc", exc, from_input(synapses.exc))
        inh_exc = edits("input_inh", inh_exc, from_input(synapses.inh_in))
        activity = edits(output_site("I"), inh_exc)

        def from_inh(site: str, weight: Tensor) -> Tensor:
            return edits(site, mix(activity, weight), lambda mask, rows: mix(activity[:, rows], weight * mask(weight)))

        kept = activity if synapses.mask is None else activity * transform.per_channel(synapses.mask.to(activity))
        found = {"E/current_exc": exc, "E/current_inh": from_inh("subtractive", synapses.sub)}
        found |= {"I/current_exc": inh_exc, "I/activity": kept}
        if synapses.div is not None:
            found["E/inhibition_div"] = from_inh("divisive", synapses.div)
        return {name: edits.spread(values) for name, values in found.items()}, steps


def edited_layer(
    synapses: Synapses,
    gain_exc: Tensor,
    bias: Tensor,
    state: Membrane | None,
    x: Tensor,
    *,
    transform: Transform,
    kernel: Kernel,
    steps: int | None,
    prop: EIProp,
    edits: Edits,
) -> tuple[Membrane, Tensor, dict[str, Tensor | None], int | None]:
    """Run a hidden layer; return its state, what it sends (T, B, n_E...), all its signals, and `steps`."""
    axis = transform.channel_axis
    signals, steps = edited_currents(synapses, x, transform, edits, steps)
    with torch.autocast(x.device.type, enabled=False):
        exc, inh, div = (signals[f"E/{name}"] for name in ("current_exc", "current_inh", "inhibition_div"))
        w = weights_of(exc, None, synapses.div, gain_exc, bias)
        net = exc - inh
        parts = driven(with_axis_moved(net, axis, -1), with_axis_moved(div, axis, -1), w, prop, kernel.floor)
        div, gain, drive = (with_axis_moved(values, -1, axis) for values in parts)
        drive = edits("drive", drive)
        state, sent, voltage = kernel.fire(drive, state, steps, keep_voltage=True)
        known: dict[str, Tensor | None] = {**signals, "E/current_net": net, "E/inhibition_div": div, "E/gain": gain}
        known |= {"E/drive": drive, "E/voltage": voltage, "E/spikes" if kernel.fires else "E/activity": sent}
        return state, edits(output_site("E"), sent), known, steps
