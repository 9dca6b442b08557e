"""The E-I layer as pure functions with declared recording (DeepEISNN, arXiv 2509.23253).

For presynaptic spikes ``s``, with all weights and gains >= 0 and only the bias free:

    current_exc    = W(input->E) s
    activity_I     = W(input->I) s                       (graded I neurons)
    current_inh    = W(I->E) activity_I                  (subtractive)
    inhibition_div = W(I->E) (g_I * activity_I)          (divisive, through the same synapses)
    current_net    = current_exc - current_inh
    gain           = g_E / stabilised(inhibition_div)
    drive          = gain * current_net + bias           -> leaky integrate-and-fire

What is to be recorded is an argument and comes back as values; nothing is hooked.  Signals are
named ``E/<signal>`` and ``I/<signal>`` here; their meaning is in :mod:`eiplatform.store.schema`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from eiplatform.errors import UnknownNameError, choose
from eiplatform.networks.edits import Edits, output_site
from eiplatform.networks.kernels import products
from eiplatform.networks.kernels.edited import Synapses, edited_currents, edited_layer
from eiplatform.networks.kernels.kernel import Drive, Kernel
from eiplatform.networks.kernels.lif import Membrane
from eiplatform.networks.kernels.prop import FULL_PROP, EIProp, scale_gradient
from eiplatform.networks.pathways import PathwayScale, scale_rows, without_feedback
from eiplatform.networks.transform import Transform, with_axis_moved

__all__ = [
    "EXC_SIGNALS",
    "INH_SIGNALS",
    "READOUT_SIGNALS",
    "EIParameters",
    "EIProp",
    "PathwayScale",
    "ReadoutParameters",
    "ei_layer",
    "ei_readout",
    "take",
]

EXC_SIGNALS = ("current_exc", "current_inh", "current_net", "inhibition_div", "gain", "drive", "voltage", "spikes")
"""Signals of the E neurons of a hidden layer."""
READOUT_SIGNALS = ("current_exc", "current_inh", "current_net")
"""Signals of the E neurons of the readout."""
INH_SIGNALS = ("current_exc", "activity")
"""Signals of the graded I neurons."""

NOTHING: frozenset[str] = frozenset()
_KEPT = {
    "inh": "E/current_inh",
    "net": "E/current_net",
    "div": "E/inhibition_div",
    "gain": "E/gain",
    "drive": "E/drive",
    "voltage": "E/voltage",
}
_LAYER_RECORD = tuple(f"E/{name}" for name in EXC_SIGNALS) + tuple(f"I/{name}" for name in INH_SIGNALS)
_RATE_RECORD = (*_LAYER_RECORD[:6], "E/activity", *_LAYER_RECORD[8:])
_READOUT_RECORD = tuple(f"E/{name}" for name in READOUT_SIGNALS) + tuple(f"I/{name}" for name in INH_SIGNALS)


class EIParameters(NamedTuple):
    """Parameters of one layer; all but `bias` are >= 0."""

    weight_exc: Tensor
    """input->E, shape (n_E, ...fan-in)."""
    weight_inh_in: Tensor
    """input->I, shape (n_I, ...fan-in)."""
    weight_inh_out: Tensor
    """I->E, shape (n_E, n_I)."""
    gain_inh: Tensor
    """g_I, shape (n_I,)."""
    gain_exc: Tensor
    """g_E, shape (n_E,)."""
    bias: Tensor
    """b_E, shape (n_E,)."""


class ReadoutParameters(NamedTuple):
    """Parameters of the readout (no division, gain or bias); all are >= 0."""

    weight_exc: Tensor
    weight_inh_in: Tensor
    weight_inh_out: Tensor


class _Currents(NamedTuple):
    both: Tensor
    """What the input drives, channels last: excitation (or the net current) of E, then activity of I."""
    weight_exc: Tensor
    weight_sub: Tensor
    weight_div: Tensor | None
    folded: bool
    """Whether the subtractive inhibition is in the input's weights already, and `both` has the net current."""

    def parts(self, transform: Transform) -> tuple[Tensor, Tensor]:
        """Return what reaches E and the activity of I, in the usual order of axes."""
        axis = transform.channel_axis
        first, second = torch.split(with_axis_moved(self.both, -1, axis), list(self.weight_sub.shape), axis)
        return first, second


def ei_layer(
    parameters: EIParameters,
    state: Membrane | None,
    x: Tensor,
    record: frozenset[str] = NOTHING,
    *,
    transform: Transform,
    kernel: Kernel,
    steps: int | None = None,
    prop: EIProp = FULL_PROP,
    lesion: PathwayScale | None = None,
    edits: Edits | None = None,
    select: Mapping[str, Tensor] | None = None,
) -> tuple[Membrane, Tensor, dict[str, Tensor]]:
    """Run one hidden E-I layer.

    Parameters
    ----------
    parameters : EIParameters
    state : Membrane or None
        Membrane of the E neurons; None: at rest.
    x : Tensor, shape (T, B, ...) or, if `steps` is given, (B, ...)
        Presynaptic spikes, or a pattern that does not change in time: its currents are
        computed once and held for `steps` steps.  Values >= 0.
    record : frozenset of str
        ``E/<signal>`` and ``I/<signal>`` to return; see :data:`EXC_SIGNALS`, :data:`INH_SIGNALS`.
    transform : Transform
        Geometry of the input.
    kernel : Kernel
        The E neurons.
    steps : int, optional
    prop : EIProp
    lesion : PathwayScale, optional
    edits : Edits, optional
        Changes of what reaches the neurons; see :mod:`eiplatform.networks.edits`.
    select : mapping of str to Tensor of int, optional
        Neurons (indices) of ``E`` and ``I`` whose signals are returned; without gradients only.

    Returns
    -------
    state : Membrane
        After the last step.
    spikes : Tensor, shape (T, B, n_E...)
    signals : dict of str to Tensor, shape (T, B, n_E...) or (T, B, n_I...), or (T, B, k) of `select`
        Exactly the names in `record`.

    Raises
    ------
    UnknownNameError
        For a signal that the layer does not have.

    Examples
    --------
    >>> from eiplatform.networks import LIF, FusedKernel
    >>> from eiplatform.networks.transform import Linear
    >>> one = torch.ones
    >>> parameters = EIParameters(one(2, 3), one(1, 3), one(2, 1) / 2, one(1), one(2), torch.zeros(2))
    >>> _, spikes, signals = ei_layer(
    ...     parameters, None, one(1, 3), frozenset({"E/drive"}),
    ...     transform=Linear(3), kernel=FusedKernel(LIF()), steps=2)
    >>> signals["E/drive"][0].tolist()  # (3 - 1.5) * 1 / 1.5
    [[1.0, 1.0]]
    """
    check_record(record, _LAYER_RECORD if kernel.fires else _RATE_RECORD)
    if steps is not None:
        x = x[None]
    cut = without_feedback(lesion)
    if edits is not None:
        synapses, gain, bias = _synapses(parameters, parameters.gain_inh, prop, transform, cut), *parameters[4:]
        state, sent, signals, steps = edited_layer(
            synapses, gain, bias, state, x, transform=transform, kernel=kernel, steps=steps, prop=prop, edits=edits
        )
        for role, neurons in (select or {}).items():
            signals |= {
                k: take(v, neurons) for k, v in signals.items() if v is not None and k in record and k[0] == role
            }
        return state, sent, recorded(record, signals, steps)
    currents = _currents(parameters, parameters.gain_inh, x, transform, prop, cut)
    assert currents.weight_div is not None
    axis = transform.channel_axis
    chosen = (select or {}).get("E")
    if chosen is not None:  # its place in the order of the memory, channels last
        places = math.prod(transform.output_shape(1)[1:])
        chosen = chosen % places * len(parameters.bias) + chosen // places
    weight_sub = None if currents.folded else currents.weight_sub
    keep = frozenset(field for field, name in _KEPT.items() if name in record) if record else NOTHING
    drive = Drive(currents.both, weight_sub, currents.weight_div, parameters.gain_exc, parameters.bias, steps)
    fused = kernel(drive, state, axis, prop, keep, chosen)
    known = _common(currents, x, transform, cut, record) if record else {}
    known["E/spikes" if kernel.fires else "E/activity"] = spikes = with_axis_moved(fused.spikes, -1, axis)
    for role, neurons in (select or {}).items():
        known |= {k: take(v, neurons) for k, v in known.items() if v is not None and k in record and k[0] == role}
    for field, name in _KEPT.items():
        values = getattr(fused, field)
        if values is not None:
            known[name] = values if chosen is not None else with_axis_moved(values, -1, axis)
    return Membrane(with_axis_moved(fused.membrane, -1, axis)), spikes, recorded(record, known, steps)


def ei_readout(
    parameters: ReadoutParameters,
    x: Tensor,
    record: frozenset[str] = NOTHING,
    *,
    transform: Transform,
    steps: int | None = None,
    prop: EIProp = FULL_PROP,
    lesion: PathwayScale | None = None,
    edits: Edits | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Run the readout, which has subtractive inhibition only and does not spike.

    Parameters
    ----------
    parameters : ReadoutParameters
    x, record, transform, steps, prop, lesion, edits
        As in :func:`ei_layer`; signals are :data:`READOUT_SIGNALS` and :data:`INH_SIGNALS`.

    Returns
    -------
    current_net : Tensor, shape (T, B, n_E)
        Its mean over T are the logits.
    signals : dict of str to Tensor

    Raises
    ------
    UnknownNameError
        For a signal that the readout does not have, or a lesion of its divisive inhibition.
    """
    check_record(record, _READOUT_RECORD)
    if lesion is not None and lesion.divisive is not None:
        raise UnknownNameError(
            "the readout has no divisive inhibition", where="lesion", valid="input_exc, input_inh, subtractive"
        )
    if steps is not None:
        x = x[None]
    cut = without_feedback(lesion)
    if edits is not None:
        found, held = edited_currents(_synapses(parameters, None, prop, transform, cut), x, transform, edits, steps)
        net = found["E/current_exc"] - found["E/current_inh"]
        signals = recorded(record, {**found, "E/current_net": net}, held)
        return edits(output_site("E"), net if held is None else net.expand(held, *net.shape[1:])), signals
    currents = _currents(parameters, None, x, transform, prop, cut)
    known = _common(currents, x, transform, cut, record) if record else {}
    net, activity = currents.parts(transform)
    if not currents.folded:
        with torch.autocast(x.device.type, enabled=False):
            inh = known["E/current_inh"] = transform.mix(currents.weight_sub, activity)
        net = net - inh
    known["E/current_net"] = net
    signals = recorded(record, known, steps)
    return net if steps is None else net.expand(steps, *net.shape[1:]), signals


def _synapses(
    parameters: EIParameters | ReadoutParameters,
    gain_inh: Tensor | None,
    prop: EIProp,
    transform: Transform,
    cut: PathwayScale,
) -> Synapses:
    weight_exc = scale_rows(parameters.weight_exc, cut.input_exc)
    weight_inh_in = scale_rows(parameters.weight_inh_in, cut.input_inh)
    weight_inh_out = parameters.weight_inh_out
    if prop.scale_gradient:
        weight_inh_out = scale_gradient(weight_inh_out, 1.0 / transform.fan_in)
    if cut.mask_inh is not None:
        weight_inh_out = weight_inh_out * cut.mask_inh.to(weight_inh_out)
    weight_sub = scale_rows(weight_inh_out, cut.subtractive)
    weight_div = None if gain_inh is None else scale_rows(weight_inh_out * gain_inh, cut.divisive)
    return Synapses(weight_exc, weight_inh_in, weight_sub, weight_div, cut.mask_inh)


def _currents(
    parameters: EIParameters | ReadoutParameters,
    gain_inh: Tensor | None,
    x: Tensor,
    transform: Transform,
    prop: EIProp,
    cut: PathwayScale,
) -> _Currents:
    weight_exc, weight_inh_in, weight_sub, weight_div, _ = _synapses(parameters, gain_inh, prop, transform, cut)
    # Excitation and inhibition nearly cancel: bfloat16 would round them before their difference,
    # so under autocast the difference is taken between the weights, in their own precision, unless currents are exact.
    autocast = torch.is_autocast_enabled(x.device.type)
    folded = autocast and transform.mixes_all and not products.takes(x, weight_exc, weight_inh_in)
    first = weight_exc
    if folded:
        with torch.autocast(x.device.type, enabled=False):
            first = weight_exc - (weight_sub @ weight_inh_in.flatten(1)).view_as(weight_exc)
    # The input is >= 0 and so are the weights: the paper's rectification of I changes nothing.
    both = with_axis_moved(transform.apply_pair(first, weight_inh_in, x), transform.channel_axis, -1)
    return _Currents(both, weight_exc, weight_sub, weight_div, folded)


def _common(
    currents: _Currents, x: Tensor, transform: Transform, cut: PathwayScale, record: frozenset[str]
) -> dict[str, Tensor | None]:
    """Return the recorded currents that hidden layer and readout share."""
    exc, inh_exc = currents.parts(transform)
    known: dict[str, Tensor | None] = {"E/current_exc": exc, "I/current_exc": inh_exc, "I/activity": inh_exc}
    if "E/current_exc" in record and currents.folded:
        known["E/current_exc"] = transform.apply(currents.weight_exc, x)
    if "E/current_inh" in record and currents.folded:
        known["E/current_inh"] = transform.mix(currents.weight_sub, inh_exc)
    if "I/activity" in record and cut.mask_inh is not None:
        known["I/activity"] = inh_exc * transform.per_channel(cut.mask_inh.to(inh_exc))
    return known


def take(values: Tensor, neurons: Tensor) -> Tensor:
    """Return the signals of some neurons, shape (T, B, k), from (T, B, n) or (T, B, channels, rows, columns).

    Examples
    --------
    >>> take(torch.arange(8).view(1, 1, 2, 2, 2), torch.tensor([1, 6])).tolist()
    [[[1, 6]]]
    """
    place = torch.unravel_index(neurons, values.shape[2:])
    offsets = torch.stack([index * stride for index, stride in zip(place, values.stride()[2:], strict=True)]).sum(0)
    # Memory as it lies: a tenth of the time of an index per axis.
    frames = values.as_strided((*values.shape[:2], int(offsets.max()) + 1), (*values.stride()[:2], 1))
    return frames.gather(2, offsets.expand(*values.shape[:2], -1))


def check_record(record: frozenset[str], known: tuple[str, ...]) -> None:
    """Raise unless all names are known."""
    for name in sorted(record):
        choose(name, known, "signal")


def recorded(record: frozenset[str], known: dict[str, Tensor | None], steps: int | None) -> dict[str, Tensor]:
    """Return the signals asked for; what is computed once for a static input is held for all steps."""
    signals = {}
    for name in sorted(record):
        values = known[name]
        assert values is not None
        signals[name] = values if steps is None else values.expand(steps, *values.shape[1:])
    return signals
