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

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from eiplatform.errors import UnknownNameError, choose
from eiplatform.snn.neuron import LIF, Membrane, lif_sequence
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
    "stabilise",
]

EXC_SIGNALS = ("current_exc", "current_inh", "current_net", "inhibition_div", "gain", "drive", "voltage", "spikes")
"""Signals of the E neurons of a hidden layer."""
READOUT_SIGNALS = ("current_exc", "current_inh", "current_net")
"""Signals of the E neurons of the readout."""
INH_SIGNALS = ("current_exc", "activity")
"""Signals of the graded I neurons."""

NOTHING: frozenset[str] = frozenset()
_LAYER_RECORD = tuple(f"E/{name}" for name in EXC_SIGNALS) + tuple(f"I/{name}" for name in INH_SIGNALS)
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
    """

    input_exc: Factor = None
    input_inh: Factor = None
    subtractive: Factor = None
    divisive: Factor = None
    mask_inh: Tensor | None = None


class _Currents(NamedTuple):
    exc: Tensor
    inh: Tensor
    div: Tensor | None
    inh_exc: Tensor
    activity: Tensor


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

    Returns
    -------
    state : Membrane
        After the last step.
    spikes : Tensor, shape (T, B, n_E...)
    signals : dict of str to Tensor, shape (T, B, n_E...) or (T, B, n_I...)
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
    _check_record(record, _LAYER_RECORD)
    currents = _currents(parameters, parameters.gain_inh, x, steps, transform, prop, lesion)
    assert currents.div is not None
    net = currents.exc - currents.inh
    denominator = stabilise(currents.div, prop) if prop.stabilise else currents.div
    gain = transform.per_channel(parameters.gain_exc) / denominator
    drive = gain * net + transform.per_channel(parameters.bias)
    if steps is not None:
        drive = drive.expand(steps, *drive.shape[1:])
    state, spikes, voltage = lif_sequence(drive, state, neuron, keep_voltage="E/voltage" in record)
    known = {
        **_common(currents, net),
        "E/inhibition_div": currents.div,
        "E/gain": gain,
        "E/drive": drive,
        "E/voltage": voltage,
        "E/spikes": spikes,
    }
    return state, spikes, _recorded(record, known, steps)


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
    _check_record(record, _READOUT_RECORD)
    if lesion is not None and lesion.divisive is not None:
        raise UnknownNameError(
            "the readout has no divisive inhibition", where="lesion", valid="input_exc, input_inh, subtractive"
        )
    currents = _currents(parameters, None, x, steps, transform, prop, lesion)
    net = currents.exc - currents.inh
    signals = _recorded(record, _common(currents, net), steps)
    return net if steps is None else net.expand(steps, *net.shape[1:]), signals


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
    if prop.straight_through:
        replaced: Tensor = _StraightThrough.apply(_replace_zeros, inhibition_div)  # type: ignore[no-untyped-call]
        return replaced
    return _replace_zeros(inhibition_div)


def _replace_zeros(values: Tensor) -> Tensor:
    silent = values == 0
    axes = tuple(range(2, values.ndim))
    smallest = values.masked_fill(silent, torch.inf).amin(axes, keepdim=True)
    return torch.where(silent, smallest, values)


def _currents(
    parameters: EIParameters | ReadoutParameters,
    gain_inh: Tensor | None,
    x: Tensor,
    steps: int | None,
    transform: Transform,
    prop: EIProp,
    lesion: PathwayScale | None,
) -> _Currents:
    if steps is not None:
        x = x[None]
    cut = PathwayScale() if lesion is None else lesion
    axis = transform.channel_axis
    n_exc, n_inh = parameters.weight_inh_out.shape
    both = transform.apply(torch.cat((parameters.weight_exc, parameters.weight_inh_in)), x)
    exc, inh_exc = torch.split(both, [n_exc, n_inh], axis)
    exc = _scale(exc, cut.input_exc, transform)
    inh_exc = _scale(inh_exc, cut.input_inh, transform)
    # The input is >= 0 and so are the weights: the paper's rectification changes nothing.
    activity = _scale(inh_exc, cut.mask_inh, transform)
    weight = parameters.weight_inh_out
    if prop.scale_gradient:
        weight = _ScaleGradient.apply(weight, 1.0 / transform.fan_in)  # type: ignore[no-untyped-call]
    if gain_inh is None:
        inh, div = transform.mix(weight, activity), None
    else:
        inh, div = torch.chunk(transform.mix(torch.cat((weight, weight * gain_inh)), activity), 2, axis)
        div = _scale(div, cut.divisive, transform)
    return _Currents(exc, _scale(inh, cut.subtractive, transform), div, inh_exc, activity)


def _scale(values: Tensor, factor: Factor, transform: Transform) -> Tensor:
    if factor is None:
        return values
    if isinstance(factor, Tensor) and factor.ndim:
        factor = transform.per_channel(factor.to(values))
    return values * factor


def _common(currents: _Currents, net: Tensor) -> dict[str, Tensor | None]:
    return {
        "E/current_exc": currents.exc,
        "E/current_inh": currents.inh,
        "E/current_net": net,
        "I/current_exc": currents.inh_exc,
        "I/activity": currents.activity,
    }


def _check_record(record: frozenset[str], known: tuple[str, ...]) -> None:
    for name in sorted(record):
        choose(name, known, "signal")


def _recorded(record: frozenset[str], known: dict[str, Tensor | None], steps: int | None) -> dict[str, Tensor]:
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


class _ScaleGradient(torch.autograd.Function):
    """The identity; its gradient is multiplied by a factor."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0] * ctx.factor, None
