"""Factors on the pathways of a layer: what a lesion is, where the network computes."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from eiplatform.errors import UnknownNameError

__all__ = ["Factor", "PathwayScale", "scale_rows", "without_feedback"]

Factor = float | Tensor | None


class PathwayScale(NamedTuple):
    """Factors on the pathways of one layer; None leaves a pathway intact, bit for bit.

    A factor is a number or one number per *target* neuron (channel), >= 0; in E-I layers also one
    per synapse, in the weights' shape.

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


def without_feedback(lesion: PathwayScale | None) -> PathwayScale:
    """Return the lesion, all of it intact if there is none."""
    if lesion is not None and any(factor is not None for factor in lesion[5:]):
        raise UnknownNameError("this layer has no feedback", where="lesion", valid=PathwayScale._fields[:5])
    return PathwayScale() if lesion is None else lesion


def scale_rows(weight: Tensor, factor: Factor) -> Tensor:
    """Scale the synapses onto each neuron, or each synapse."""
    if factor is None:
        return weight
    if isinstance(factor, Tensor):
        factor = factor.to(weight)
        if factor.ndim == 1:
            factor = factor.reshape(-1, *(1,) * (weight.ndim - 1))
    return weight * factor
