"""Which axis is time: decided once, from an example in which no two sizes coincide, and then fixed.

| layout | tensor | events of a run |
|---|---|---|
| ``call`` | (B, ...) | one per step, in a loop |
| ``TB`` | (T, B, ...) | one |
| ``BT`` | (B, T, ...) | one |
| ``flat TB``, ``flat BT`` | (T B, ...), (B T, ...) | one |
| ``held`` | (B, ...) | one: what does not change in time is computed once |
"""

from __future__ import annotations

import math

from torch import Tensor

from eiplatform.errors import EIPlatformError
from eiplatform.foreign.neurons import Neuron

__all__ = ["arrange", "layout_of", "neuron_shape"]


def layout_of(
    shape: tuple[int, ...], steps: int, batch: int, calls: int, neuron: Neuron | None, order: str
) -> str | None:
    """Return the layout of a tensor, None if its axes fit none.

    Parameters
    ----------
    shape : tuple of int
    steps, batch : int
        Of the run; they differ where ``steps > 1``.
    calls : int
        How often such a tensor came.
    neuron : Neuron or None
        What is known of the module it belongs to.
    order : {"TB", "BT"}
        Of the input's own axes: the order of a merged axis.

    Examples
    --------
    >>> layout_of((4, 3, 10), steps=4, batch=3, calls=1, neuron=None, order="TB")
    'TB'
    """
    if neuron is not None and neuron.framework != "torch" and neuron.flat:
        return "flat BT" if shape[0] == steps * batch else None
    if len(shape) >= 3 and shape[:2] == (steps, batch) and (steps > 1 or _has_time(neuron)):
        return "TB"
    if len(shape) >= 3 and shape[:2] == (batch, steps) and (steps > 1 or _has_time(neuron)):
        return "BT"
    if len(shape) < 2:
        return None
    if shape[0] == batch:
        return "held" if steps > 1 and calls == 1 else "call"
    return f"flat {order}" if shape[0] == steps * batch else None


def _has_time(neuron: Neuron | None) -> bool:
    return neuron is not None and neuron.time_axis is not None


def neuron_shape(shape: tuple[int, ...], layout: str) -> tuple[int, ...]:
    """Return the shape of a population, without time and batch."""
    return shape[2:] if layout in ("TB", "BT") else shape[1:]


def arrange(values: Tensor, layout: str, steps: int, batch: int, shape: tuple[int, ...]) -> Tensor:
    """Return a tensor as (T, B, *shape); of the layout ``call`` as (B, *shape).

    Raises
    ------
    EIPlatformError
        If its axes are not those that the example showed.
    """
    leading = {"TB": (steps, batch), "BT": (batch, steps), "call": (batch,), "held": (batch,)}.get(layout)
    fits = values.numel() == steps ** (layout not in ("call", "held")) * batch * math.prod(shape)
    if not fits or (leading is not None and tuple(values.shape[: len(leading)]) != leading):
        raise EIPlatformError(
            f"a tensor of shape {tuple(values.shape)} came in a run of {steps} steps and {batch} samples",
            where="foreign network",
            remedy="the module takes another way for this input; give an example of the same kind",
        )
    if layout == "call":
        return values.reshape(batch, *shape)
    if layout == "held":
        return values.reshape(1, batch, *shape).expand(steps, batch, *shape)
    if layout.endswith("BT"):
        return values.reshape(batch, steps, *shape).transpose(0, 1)
    return values.reshape(steps, batch, *shape)
