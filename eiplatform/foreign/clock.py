"""How time enters a module: found by showing it one more step, along each axis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from eiplatform.errors import EIPlatformError
from eiplatform.foreign.neurons import Neuron
from eiplatform.foreign.plan import Structure, has_loop

__all__ = ["TIMES", "Asked", "Time", "infer_time", "sequence_length", "settle_time"]

TIMES = ("static", "steps", "sequence", "inside")


class Time(NamedTuple):
    """How time enters a module."""

    kind: str
    axis: int = 0
    steps: int = 1


class Asked(NamedTuple):
    """What the user says of time; None: to be found out."""

    kind: str | None
    axis: int | None
    steps: int


class _Look(NamedTuple):
    """What one call of a module showed: how often its neurons ran, and how long their inputs are."""

    counts: dict[str, int]
    lengths: dict[str, int]


def settle_time(example: Tensor, asked: Asked, infer: Callable[[], Time]) -> Time:
    """Return how time enters a module: as the user says, or as the module shows.

    Parameters
    ----------
    example : Tensor
    asked : Asked
    infer : callable
        Returns what the module shows, see :func:`infer_time`.

    Raises
    ------
    EIPlatformError
        If what the user says does not fit the module, or the module does not show it.
    """
    kind, axis, steps = asked
    found: Time | None = None
    if kind in (None, "inside"):
        try:
            found = infer()
        except EIPlatformError:
            if kind is None:
                raise
    if kind is None:
        assert found is not None
        if axis is not None and (found.kind, found.axis) != ("sequence", axis):
            what = f"axis {found.axis}" if found.kind == "sequence" else f"no axis of the input ({found.kind})"
            raise EIPlatformError(
                f"time_axis is {axis}, but the module takes time from {what}",
                where="time_axis",
                remedy="leave out time_axis, or say time='sequence' too",
            )
        kind, axis = found.kind, found.axis
        if kind != "steps":
            steps = found.steps
    elif found is not None and found.kind == "inside":
        steps = found.steps
    axis = axis or 0
    if kind == "sequence":
        steps = sequence_length(example, axis)
    elif kind == "static":
        steps = 1
    if steps < 1:
        raise EIPlatformError(f"a run of {steps} steps was requested", where="steps", valid="at least 1")
    return Time(kind, axis, steps)


def infer_time(
    example: Tensor, neurons: Mapping[str, Neuron], look: Callable[[Tensor], Structure | None], named: str
) -> Time:
    """Return how time enters a module: found by showing it one more step, along each axis.

    Parameters
    ----------
    example : Tensor
    neurons : mapping of str to Neuron
    look : callable
        Runs the module once and returns what happened; None if it does not take such an input.
    named : str
        Of the module, for the message.

    Raises
    ------
    EIPlatformError
        If the time axis cannot be found.
    """
    first = look(example)
    assert first is not None
    seen = _looked(first, neurons)
    loops = {count for count in seen.counts.values()}
    if seen.lengths:
        lengths = set(seen.lengths.values())
        if len(lengths) == 1:
            length = lengths.pop()
            axis = _growing(example, look, lambda again: set(_looked(again, neurons).lengths.values()) == {length + 1})
            if axis is not None:
                return Time("sequence", axis, length)
            return Time("inside", 0, length)
    elif seen.counts and len(loops) == 1:
        length = loops.pop()
        axis = _growing(example, look, lambda again: set(_looked(again, neurons).counts.values()) == {length + 1})
        if axis is not None:
            return Time("sequence", axis, length)
        return Time("steps") if length == 1 else Time("inside", 0, length)
    elif not seen.counts:
        repeated = repeats(first)
        if not repeated or not (has_loop(first) or first.random):
            return Time("static")
        if len(set(repeated.values())) == 1:
            length = next(iter(repeated.values()))
            longer = dict.fromkeys(repeated, length + 1)
            axis = _growing(example, look, lambda again: longer.items() <= repeats(again).items())
            if axis is not None:
                return Time("sequence", axis, length)
            return Time("inside", 0, length)
        loops = set(repeated.values())
    raise EIPlatformError(
        f"how time enters the module cannot be found from an example of shape {tuple(example.shape)} "
        f"(modules of neurons and weights ran {', '.join(map(str, sorted(loops)))} times)",
        where=named,
        valid=TIMES,
        remedy="say it with time=",
    )


def _looked(structure: Structure, neurons: Mapping[str, Neuron]) -> _Look:
    counts: dict[str, int] = {}
    lengths: dict[str, int] = {}
    for name, shape in structure.given:
        counts[name] = counts.get(name, 0) + 1
        axis = neurons[name].time_axis
        if axis is not None and not neurons[name].flat and len(shape) > axis:
            lengths[name] = shape[axis]
    return _Look(counts, lengths)


def repeats(structure: Structure) -> dict[str, int]:
    """Return the weights that a loop uses, and how often: what they contribute is added up, or they see the same."""
    sources: dict[str, Counter[frozenset[str]]] = {}
    for call in structure.calls:
        if call.kind == "product":
            sources.setdefault(call.name, Counter())[call.sources] += 1
    found = {}
    for name, seen in sources.items():
        count, groups = seen.total(), set(seen.values())
        if count == 2 and len(seen) == 2:
            continue  # one after the other
        if count > 1 and (name in structure.added_up or (count > 2 and len(seen) == 1)):
            found[name] = groups.pop() if len(groups) == 1 and groups != {1} else count
    return found


def _growing(
    example: Tensor, look: Callable[[Tensor], Structure | None], grew: Callable[[Structure], bool]
) -> int | None:
    """Return the axis along which one more step makes a module run one step more."""
    for axis in (0, 1):
        if example.ndim <= max(axis, 1):
            continue
        again = look(lengthened(example, axis))
        if again is not None and grew(again):
            return axis
    return None


def lengthened(example: Tensor, axis: int) -> Tensor:
    """Return an example with its last entry along an axis repeated once."""
    return torch.cat([example, example.narrow(axis, example.shape[axis] - 1, 1)], axis)


def sequence_length(example: Tensor, axis: int) -> int:
    """Return the number of steps of an example sequence."""
    if example.ndim < 3 or axis not in (0, 1):
        raise EIPlatformError(
            f"an example of shape {tuple(example.shape)} with time on axis {axis}",
            where="example_input",
            valid="(time, batch, ...) with time_axis 0 or (batch, time, ...) with time_axis 1",
        )
    if example.shape[axis] < 2:
        raise EIPlatformError(
            "a sequence of one step does not show which axis is time", where="example_input", valid="at least 2 steps"
        )
    return example.shape[axis]
