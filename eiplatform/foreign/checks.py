"""What has to be known of a module before it can be followed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from eiplatform.errors import EIPlatformError, UnknownNameError, suggest
from eiplatform.foreign.neurons import Neuron, describe
from eiplatform.foreign.operations import tensors_in
from eiplatform.foreign.plan import Structure, has_loop

__all__ = [
    "TIMES",
    "Time",
    "check_finite",
    "check_module",
    "check_same",
    "check_weights",
    "find_neurons",
    "infer_time",
    "lengthened",
    "repeats",
    "returns_state",
    "sequence_length",
    "unwrapped",
]

TIMES = ("static", "steps", "sequence", "inside")

_WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the module inside compiled and data-parallel wrappers: it shares their weights.

    Examples
    --------
    >>> unwrapped(nn.DataParallel(nn.Linear(2, 3)))
    Linear(in_features=2, out_features=3, bias=True)
    """
    while isinstance(module, nn.Module):
        names = [_WRAPPERS[cls.__name__] for cls in type(module).__mro__ if cls.__name__ in _WRAPPERS]
        if not names:
            break
        module = getattr(module, names[0])
    return module


def check_module(module: nn.Module, example: Tensor) -> None:
    """Raise unless a module and its example can be followed."""
    if not isinstance(module, nn.Module):
        raise EIPlatformError(f"{type(module).__name__} is no torch module", where="module", valid="a torch.nn.Module")
    if isinstance(module, torch.jit.ScriptModule):
        raise EIPlatformError(
            "it is a scripted module as a whole, whose parts have no names",
            where="module",
            remedy="give the module it was made of",
        )
    if not isinstance(example, Tensor):
        raise EIPlatformError(f"{type(example).__name__} is no tensor", where="example_input", valid="a torch.Tensor")
    if example.ndim < 2 or 0 in example.shape:
        raise EIPlatformError(
            f"an example of shape {tuple(example.shape)}",
            where="example_input",
            valid="(batch, ...) with at least one sample",
        )
    check_finite(example, "example_input")
    for name, parameter in module.named_parameters():
        if isinstance(parameter, nn.UninitializedParameter):
            continue
        if parameter.dtype not in (torch.float32, torch.float64):
            raise EIPlatformError(
                f"its numbers are {str(parameter.dtype).removeprefix('torch.')}, too rough for a sum of many terms",
                where=name,
                valid="float32, float64",
                remedy="give module.float()",
            )
    check_weights(module)


def check_weights(module: nn.Module) -> None:
    """Raise if a parameter or a buffer of numbers holds NaN or infinity."""
    for name, tensor in module.named_parameters():
        if not isinstance(tensor, nn.UninitializedParameter):
            check_finite(tensor, name)


def check_finite(tensor: Tensor, where: str) -> None:
    """Raise if a tensor holds NaN or infinity."""
    if tensor.is_floating_point() and not bool(tensor.detach().isfinite().all()):
        count = int((~tensor.detach().isfinite()).sum())
        raise EIPlatformError(
            f"{count} of its {tensor.numel()} numbers are NaN or infinite", where=where, valid="finite numbers"
        )


def find_neurons(module: nn.Module, declared: Mapping[str, Neuron]) -> dict[str, Neuron]:
    """Return the modules of neurons by name, declared or known."""
    parts = dict(module.named_modules())
    for pattern in declared:
        if not any(fnmatchcase(name, pattern) for name in parts):
            raise UnknownNameError(
                f"no module matches '{pattern}'{suggest(pattern, parts)}", where="neurons", valid=list(parts)
            )
    found: dict[str, Neuron] = {}
    for name, part in parts.items():
        if any(name.startswith(f"{outer}.") or (outer == "" and name) for outer in found):
            continue  # what a module of neurons is made of
        chosen = next((neuron for pattern, neuron in declared.items() if fnmatchcase(name, pattern)), None) or describe(
            part
        )
        if chosen is not None:
            found[name] = chosen
    return found


def returns_state(module: nn.Module) -> bool:
    """Whether a module is one of Norse's that take and return their state."""
    names = {f"{cls.__module__.partition('.')[0]}:{cls.__name__}" for cls in type(module).__mro__}
    return not names.isdisjoint(
        {"norse:SequentialState", "norse:RecurrentSequential", "norse:SNNCell", "norse:SNNRecurrentCell"}
    )


class Time(NamedTuple):
    """How time enters a module."""

    kind: str
    axis: int = 0
    steps: int = 1


class _Look(NamedTuple):
    """What one call of a module showed: how often its neurons ran, and how long their inputs are."""

    counts: dict[str, int]
    lengths: dict[str, int]


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
        If the time cannot be told.
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
        f"how time enters cannot be told from an example of shape {tuple(example.shape)} "
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
            "a sequence of one step does not tell time from other axes", where="example_input", valid="at least 2 steps"
        )
    return example.shape[axis]


def check_same(plain: list[Any], followed: list[Any]) -> None:
    """Raise unless following changed nothing, not even in the last bit."""
    first, second = list(tensors_in(plain)), list(tensors_in(followed))
    equal = len(first) == len(second) and all(
        a.shape == b.shape and torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))
        for a, b in zip(first, second, strict=True)
    )
    if not equal:
        raise EIPlatformError(
            "the module gives other numbers while it is followed",
            where="probe",
            remedy="it keeps a state that no adapter knows (reset=...), or takes a fused path in evaluation "
            "(torch.backends.mha.set_fastpath_enabled(False))",
        )
