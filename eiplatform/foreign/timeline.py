"""Which axes are time and samples: found by running with other numbers of steps and samples.

| layout | tensor | events of a run |
|---|---|---|
| ``call`` | one axis of samples | one per step, in a loop |
| ``whole`` | axes of time and samples | one |
| ``flat TB``, ``flat BT`` | one axis holds both, time or samples first | one |
| ``held`` | one axis of samples | one: what does not change in time is computed once |
"""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from eiplatform.errors import EIPlatformError

__all__ = ["Layout", "Sizes", "arrange", "layout_of", "neuron_shape"]


class Layout(NamedTuple):
    """Axes of a tensor.

    Attributes
    ----------
    kind : {"call", "whole", "flat TB", "flat BT", "held"}
    samples : int
        Axis of samples (of both, where it is flat).
    time : int
        Axis of time, of ``whole``.
    """

    kind: str
    samples: int = 0
    time: int = -1

    @property
    def has_time(self) -> bool:
        """Whether all steps are in one tensor."""
        return self.kind == "whole" or self.kind.startswith("flat")


class Sizes(NamedTuple):
    """Numbers of samples and steps of two runs; equal where the module takes no other number."""

    samples: tuple[int, int]
    steps: tuple[int, int]


def layout_of(
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    sizes: Sizes,
    *,
    repeated: bool,
    order: str,
    time_axis: int | None = None,
    flat: bool = False,
) -> Layout | None:
    """Return the layout of a tensor from its shapes in two runs, None if its axes fit none.

    Parameters
    ----------
    shapes : tuple of two tuples of int
    sizes : Sizes
    repeated : bool
        Whether such a tensor comes once per step.
    order : {"TB", "BT"}
        Of an axis that holds time and samples.
    time_axis : int, optional
        What a module of neurons says of its input.
    flat : bool
        Whether a module of neurons says that one axis holds both.

    Examples
    --------
    >>> layout_of(((4, 3, 10), (5, 7, 10)), Sizes((3, 7), (4, 5)), repeated=False, order="TB")
    Layout(kind='whole', samples=1, time=0)
    """
    first, second = shapes
    if len(first) != len(second):
        return None
    pairs = list(zip(first, second, strict=True))
    samples = [axis for axis, pair in enumerate(pairs) if pair == sizes.samples]
    both = tuple(a * b for a, b in zip(sizes.samples, sizes.steps, strict=True))
    merged = [axis for axis, pair in enumerate(pairs) if pair == both and both != sizes.samples]
    known = sizes.samples[0] != sizes.samples[1]
    if repeated:
        return Layout("call", samples[0]) if len(samples) == 1 else None
    if sizes.steps[0] == 1:
        if time_axis is not None and len(samples) == 1 and pairs[time_axis] == (1, 1) and samples[0] != time_axis:
            return Layout("whole", samples[0], time_axis)
        return Layout("call", samples[0]) if len(samples) == 1 else None
    if flat or (len(merged) == 1 and not samples):
        return Layout(f"flat {'BT' if flat else order}", merged[0]) if len(merged) == 1 else None
    if len(samples) != 1 or (merged and not known):
        return None
    at = samples[0]
    if sizes.steps[0] != sizes.steps[1]:
        times = [axis for axis, pair in enumerate(pairs) if pair == sizes.steps]
        if len(times) > 1:
            return None
        return Layout("whole", at, times[0]) if times else Layout("held", at)
    if time_axis is not None:
        fits = time_axis < len(pairs) and pairs[time_axis] == sizes.steps and time_axis != at
        return Layout("whole", at, time_axis) if fits else None
    if at == 1 and pairs[0] == sizes.steps:
        return Layout("whole", 1, 0)
    if at == 0 and order == "BT" and len(pairs) > 2 and pairs[1] == sizes.steps:
        return Layout("whole", 0, 1)
    return Layout("held", at)


def neuron_shape(shape: tuple[int, ...], layout: Layout) -> tuple[int, ...]:
    """Return the shape of a population, without time and samples."""
    left_out = {layout.samples} | ({layout.time} if layout.kind == "whole" else set())
    return tuple(length for axis, length in enumerate(shape) if axis not in left_out)


def arrange(values: Tensor, layout: Layout, steps: int, batch: int, shape: tuple[int, ...]) -> Tensor:
    """Return a tensor as (T, B, *shape); of the layout ``call`` as (B, *shape).

    Raises
    ------
    EIPlatformError
        If its axes are not those that the example showed.
    """
    plain = _plain(values, layout, steps, batch, shape)
    if plain is None:
        raise EIPlatformError(
            f"a tensor of shape {tuple(values.shape)} came in a run of {steps} steps and {batch} samples",
            where="foreign network",
            remedy="the module takes another way for this input; give an example of the same kind",
        )
    return plain


def _plain(values: Tensor, layout: Layout, steps: int, batch: int, shape: tuple[int, ...]) -> Tensor | None:
    size = math.prod(shape)
    if layout.kind in ("call", "held"):
        if values.numel() != batch * size:
            return None
        if values.ndim == len(shape) + 1:
            values = values.movedim(layout.samples, 0)
        if values.shape[0] != batch:
            return None
        values = values.reshape(batch, *shape)
        return values if layout.kind == "call" else values.unsqueeze(0).expand(steps, batch, *shape)
    if values.numel() != steps * batch * size:
        return None
    if layout.kind == "whole":
        if values.ndim == len(shape) + 2:
            values = values.movedim((layout.time, layout.samples), (0, 1))
        elif layout.time > layout.samples:
            values = values.transpose(0, 1)
        return values.reshape(steps, batch, *shape) if values.shape[:2] == (steps, batch) else None
    if values.ndim == len(shape) + 1:
        values = values.movedim(layout.samples, 0)
    elif values.ndim == len(shape) + 2 and layout.kind == "flat BT":
        values = values.flatten(0, 1) if values.shape[:2] == (batch, steps) else values
    if layout.kind == "flat BT":
        return values.reshape(batch, steps, *shape).transpose(0, 1)
    return values.reshape(steps, batch, *shape)
