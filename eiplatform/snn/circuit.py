"""The E-I circuit as pure functions with declared recording (DeepEISNN, arXiv 2509.23253).

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
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from eiplatform.errors import EIPlatformError, UnknownNameError, choose
from eiplatform.snn import products
from eiplatform.snn.fused import ei_spikes, replace_zeros
from eiplatform.snn.moments import Moments
from eiplatform.snn.neuron import LIF, Membrane
from eiplatform.snn.stepwise import StepwiseNeuron, stepwise_ei_spikes
from eiplatform.snn.transform import Transform

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
    "scale_gradient",
    "stabilise",
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


class EIProp(NamedTuple):
    """The parts of E-I Prop, each of which can be switched off for an ablation.

    Attributes
    ----------
    stabilise : bool
        Replace a divisive inhibition of exactly 0 by the smallest one of the same sample.
    straight_through : bool
        Let the gradient pass that replacement as if it were the identity.
    scale_gradient : bool
        Divide the gradient of I->E by the fan-in ``d``.
    """

    stabilise: bool = True
    straight_through: bool = True
    scale_gradient: bool = True


FULL_PROP = EIProp()

Factor = float | Tensor | None


class PathwayScale(NamedTuple):
    """Factors on the pathways of one layer; None leaves a pathway intact, bit for bit.

    A factor is a number or one number per *target* neuron (channel), >= 0.

    Attributes
    ----------
    input_exc, input_inh : float, Tensor (n_E,) or (n_I,), or None
        On input->E and on input->I.
    subtractive, divisive : float, Tensor (n_E,), or None
        On the two effects of I->E.  Division by ``x * factor`` raises the gain as
        ``1/factor``; a factor of exactly 0 leaves nothing to divide by, and the layer is then
        driven by its bias alone (the rule of E-I Prop for a sample without inhibition).
    mask_inh : Tensor (n_I,) or None
        Multiplies the activity of the I neurons: 0 silences one.
    recurrent_exc, recurrent_inh : float, Tensor (n_E,), or None
        On positive and negative feedback weights, of feedback networks alone.
    recurrent_to_inh, inh_to_inh : float, Tensor (n_I,), or None
        On E->I and I->I, of feedback networks with E and I populations alone.
    """

    input_exc: Factor = None
    input_inh: Factor = None
    subtractive: Factor = None
    divisive: Factor = None
    mask_inh: Tensor | None = None
    recurrent_exc: Factor = None
    recurrent_inh: Factor = None
    recurrent_to_inh: Factor = None
    inh_to_inh: Factor = None


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
        first, second = torch.split(self.both.movedim(-1, axis), list(self.weight_sub.shape), axis)
        return first, second


def ei_layer(
    parameters: EIParameters,
    state: Membrane | None,
    x: Tensor,
    record: frozenset[str] = NOTHING,
    *,
    transform: Transform,
    neuron: LIF,
    steps: int | None = None,
    prop: EIProp = FULL_PROP,
    lesion: PathwayScale | None = None,
    select: Mapping[str, Tensor] | None = None,
    stepwise: StepwiseNeuron | None = None,
    floor: float = 0.0,
    moments: Moments | None = None,
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
    neuron : LIF
    steps : int, optional
    prop : EIProp
    lesion : PathwayScale, optional
    select : mapping of str to Tensor of int, optional
        Neurons (indices) of ``E`` and ``I`` whose signals are returned; without gradients only.
    stepwise : StepwiseNeuron, optional
        Fires in place of `neuron`, whose constants are its own.
    floor : float
        Constant part of the divisive inhibition, with `stepwise` only.
    moments : Moments, optional
        The signals of all neurons are added to it; only without gradients and without `stepwise`.

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
    >>> from eiplatform.snn.transform import Linear
    >>> one = torch.ones
    >>> parameters = EIParameters(one(2, 3), one(1, 3), one(2, 1) / 2, one(1), one(2), torch.zeros(2))
    >>> _, spikes, signals = ei_layer(
    ...     parameters, None, one(1, 3), frozenset({"E/drive"}), transform=Linear(3), neuron=LIF(), steps=2)
    >>> signals["E/drive"][0].tolist()  # (3 - 1.5) * 1 / 1.5
    [[1.0, 1.0]]
    """
    fires = stepwise is None or stepwise.fires
    check_record(record, _LAYER_RECORD if fires else _RATE_RECORD)
    if steps is not None:
        x = x[None]
    if stepwise is not None and moments is not None:
        raise EIPlatformError("neurons that run step by step form no moments", where="moments", valid="none")
    cut = _without_feedback(lesion)
    currents = _currents(parameters, parameters.gain_inh, x, transform, prop, cut)
    assert currents.weight_div is not None
    axis = transform.channel_axis
    chosen = (select or {}).get("E")
    if chosen is not None:  # its place in the order of the memory, channels last
        places = math.prod(transform.output_shape(1)[1:])
        chosen = chosen % places * len(parameters.bias) + chosen // places
    weight_sub = None if currents.folded else currents.weight_sub
    keep = frozenset(field for field, name in _KEPT.items() if name in record)
    if stepwise is None:
        fused = ei_spikes(
            currents.both,
            weight_sub,
            currents.weight_div,
            parameters.gain_exc,
            parameters.bias,
            None if state is None else state.membrane.movedim(axis, -1),
            neuron=neuron,
            steps=steps,
            stabilised=prop.stabilise,
            straight_through=prop.straight_through,
            keep=keep,
            select=chosen,
            moments=moments,
        )
    else:
        fused = stepwise_ei_spikes(
            currents.both,
            weight_sub,
            currents.weight_div,
            parameters.gain_exc,
            parameters.bias,
            state,
            neuron=stepwise,
            axis=axis,
            divisor=partial(stabilise, prop=prop) if prop.stabilise else lambda div: div,
            floor=floor,
            steps=steps,
            keep=keep,
            select=chosen,
        )
    known = _common(currents, x, transform, cut, record)
    known["E/spikes" if fires else "E/activity"] = spikes = fused.spikes.movedim(-1, axis)
    for role, neurons in (select or {}).items():
        known |= {k: take(v, neurons) for k, v in known.items() if v is not None and k in record and k[0] == role}
    for field, name in _KEPT.items():
        values = getattr(fused, field)
        if values is not None:
            known[name] = values if chosen is not None else values.movedim(-1, axis)
    return Membrane(fused.membrane.movedim(-1, axis)), spikes, recorded(record, known, steps)


def ei_readout(
    parameters: ReadoutParameters,
    x: Tensor,
    record: frozenset[str] = NOTHING,
    *,
    transform: Transform,
    steps: int | None = None,
    prop: EIProp = FULL_PROP,
    lesion: PathwayScale | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Run the readout, which has subtractive inhibition only and does not spike.

    Parameters
    ----------
    parameters : ReadoutParameters
    x, record, transform, steps, prop, lesion
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
    cut = _without_feedback(lesion)
    currents = _currents(parameters, None, x, transform, prop, cut)
    known = _common(currents, x, transform, cut, record)
    net, activity = currents.parts(transform)
    if not currents.folded:
        with torch.autocast(x.device.type, enabled=False):
            inh = known["E/current_inh"] = transform.mix(currents.weight_sub, activity)
        net = net - inh
    known["E/current_net"] = net
    signals = recorded(record, known, steps)
    return net if steps is None else net.expand(steps, *net.shape[1:]), signals


def _without_feedback(lesion: PathwayScale | None) -> PathwayScale:
    """Return the lesion, all of it intact if there is none."""
    if lesion is not None and any(factor is not None for factor in lesion[5:]):
        raise UnknownNameError("this layer has no feedback", where="lesion", valid=PathwayScale._fields[:5])
    return PathwayScale() if lesion is None else lesion


def stabilise(inhibition_div: Tensor, prop: EIProp = FULL_PROP) -> Tensor:
    """Replace zeros by the smallest non-zero value of the same (time, sample).

    Parameters
    ----------
    inhibition_div : Tensor, shape (T, B, ...), >= 0
    prop : EIProp
        With ``straight_through`` the gradient is that of the identity.

    Returns
    -------
    Tensor
        Same shape; infinite where a sample has no divisive inhibition at all, so that its
        gain is 0.

    Examples
    --------
    >>> stabilise(torch.tensor([[[0.0, 2.0, 4.0], [0.0, 0.0, 0.0]]])).tolist()
    [[[2.0, 2.0, 4.0], [inf, inf, inf]]]
    """
    rows = inhibition_div.flatten(2).flatten(0, 1) if inhibition_div.ndim > 2 else inhibition_div
    if prop.straight_through:
        replaced: Tensor = _StraightThrough.apply(replace_zeros, rows)  # type: ignore[no-untyped-call]
        return replaced.view_as(inhibition_div)
    return replace_zeros(rows).view_as(inhibition_div)


def _currents(
    parameters: EIParameters | ReadoutParameters,
    gain_inh: Tensor | None,
    x: Tensor,
    transform: Transform,
    prop: EIProp,
    cut: PathwayScale,
) -> _Currents:
    weight_exc = _scale_rows(parameters.weight_exc, cut.input_exc)
    weight_inh_in = _scale_rows(parameters.weight_inh_in, cut.input_inh)
    weight_inh_out = parameters.weight_inh_out
    if prop.scale_gradient:
        weight_inh_out = scale_gradient(weight_inh_out, 1.0 / transform.fan_in)
    if cut.mask_inh is not None:
        weight_inh_out = weight_inh_out * cut.mask_inh.to(weight_inh_out)
    weight_sub = _scale_rows(weight_inh_out, cut.subtractive)
    weight_div = None if gain_inh is None else _scale_rows(weight_inh_out * gain_inh, cut.divisive)
    # Excitation and inhibition nearly cancel: bfloat16 would round them before their difference,
    # so under autocast the difference is taken between the weights, in their own precision, unless currents are exact.
    autocast = torch.is_autocast_enabled(x.device.type)
    folded = autocast and transform.mixes_all and not products.takes(x, weight_exc, weight_inh_in)
    first = weight_exc
    if folded:
        with torch.autocast(x.device.type, enabled=False):
            first = weight_exc - (weight_sub @ weight_inh_in.flatten(1)).view_as(weight_exc)
    # The input is >= 0 and so are the weights: the paper's rectification of I changes nothing.
    both = transform.apply_pair(first, weight_inh_in, x).movedim(transform.channel_axis, -1)
    return _Currents(both, weight_exc, weight_sub, weight_div, folded)


def _scale_rows(weight: Tensor, factor: Factor) -> Tensor:
    """Scale the synapses onto each neuron."""
    if factor is None:
        return weight
    if isinstance(factor, Tensor) and factor.ndim:
        factor = factor.to(weight).reshape(-1, *(1,) * (weight.ndim - 1))
    return weight * factor


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
    at: tuple[slice | Tensor, ...] = (slice(None), slice(None), *place)
    return values[at]


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


class _StraightThrough(torch.autograd.Function):
    """Apply a function; its gradient is the identity."""

    @staticmethod
    def forward(ctx: Any, function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
        return function(values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        return None, grads[0]


def scale_gradient(values: Tensor, factor: float) -> Tensor:
    """Return the values themselves; their gradient is multiplied by a factor."""
    scaled: Tensor = _ScaleGradient.apply(values, factor)  # type: ignore[no-untyped-call]
    return scaled


class _ScaleGradient(torch.autograd.Function):
    """The identity; its gradient is multiplied by a factor."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0] * ctx.factor, None
