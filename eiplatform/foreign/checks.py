"""What has to be known of a module before it can be followed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from eiplatform.errors import EIPlatformError, UnknownNameError, suggest
from eiplatform.foreign.neurons import Neuron, at_rest, describe
from eiplatform.foreign.operations import tensors_in

__all__ = ["TIMES", "check_module", "check_same", "find_neurons", "infer_time", "returns_state", "sequence_length"]

TIMES = ("static", "steps", "sequence", "inside")

_REFUSED = {
    "ScriptModule": "a scripted module cannot be followed; give the module it was made of",
    "OptimizedModule": "a compiled module cannot be followed; give the module it was made of (module._orig_mod)",
    "DataParallel": "give the module inside (module.module)",
    "DistributedDataParallel": "give the module inside (module.module)",
}


def check_module(module: nn.Module, example: Tensor) -> None:
    """Raise unless a module and its example can be followed."""
    if not isinstance(module, nn.Module):
        raise EIPlatformError(f"{type(module).__name__} is no torch module", where="module", valid="a torch.nn.Module")
    for cls in type(module).__mro__:
        if cls.__name__ in _REFUSED:
            raise EIPlatformError(f"it is a {cls.__name__}", where="module", remedy=_REFUSED[cls.__name__])
    if not isinstance(example, Tensor):
        raise EIPlatformError(f"{type(example).__name__} is no tensor", where="example_input", valid="a torch.Tensor")
    if example.ndim < 2 or 0 in example.shape:
        raise EIPlatformError(
            f"an example of shape {tuple(example.shape)}",
            where="example_input",
            valid="(batch, ...) with at least one sample",
        )
    for name, parameter in module.named_parameters():
        if parameter.dtype not in (torch.float32, torch.float64):
            raise EIPlatformError(
                f"its numbers are {str(parameter.dtype).removeprefix('torch.')}, too rough for a sum of many terms",
                where=name,
                valid="float32, float64",
                remedy="give module.float()",
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


def infer_time(
    module: nn.Module,
    example: Tensor,
    neurons: Mapping[str, Neuron],
    *,
    forward: Callable[[nn.Module, Tensor], Any] | None,
    reset: Callable[[nn.Module], None] | None,
) -> tuple[str, int, int | None]:
    """Return the kind of time, the input's time axis, and the steps of a loop inside.

    The example is shown once, and the calls of modules of neurons are counted.

    Raises
    ------
    EIPlatformError
        If the module does not run, or its time cannot be told.
    """
    counts: dict[str, int] = {}
    lengths: set[tuple[int, int]] = set()
    handles = []
    for name, neuron in neurons.items():

        def count(part: nn.Module, args: tuple[Any, ...], name: str = name, neuron: Neuron = neuron) -> None:
            counts[name] = counts.get(name, 0) + 1
            given = next(tensors_in(args), None)
            if given is not None and neuron.time_axis is not None and given.ndim > neuron.time_axis:
                lengths.add((neuron.time_axis, given.shape[neuron.time_axis]))

        handles.append(module.get_submodule(name).register_forward_pre_hook(count))
    training = module.training
    module.eval()
    try:
        with torch.inference_mode(), torch.random.fork_rng(), at_rest(module):
            if reset is not None:
                reset(module)
            try:
                _ = module(example) if forward is None else forward(module, example)
            except (TypeError, RuntimeError, AttributeError, IndexError) as error:
                raise EIPlatformError(
                    f"the module does not run on the example of shape {tuple(example.shape)}: {error}",
                    where=type(module).__name__,
                    remedy="forward=lambda module, x: ... says how it is called",
                ) from error
    finally:
        for handle in handles:
            handle.remove()
        module.train(training)
    loops = set(counts.values())
    if not loops:
        return "static", 0, None
    if lengths:
        axis, length = next(iter(lengths))
        if len(lengths) == 1 and example.ndim > axis + 1 and example.shape[axis] == length:
            return "sequence", axis, None
        if len({length for _, length in lengths}) == 1:
            return "inside", 0, length
    elif loops == {1}:
        return "steps", 0, None
    elif len(loops) == 1:
        length = loops.pop()
        if example.ndim > 2 and example.shape[0] == length != example.shape[1]:
            return "sequence", 0, None
        if example.shape[0] != length:
            return "inside", 0, length
    raise EIPlatformError(
        f"how time enters cannot be told from an example of shape {tuple(example.shape)} "
        f"(modules of neurons ran {', '.join(map(str, sorted(loops)))} times)",
        where="time",
        valid=TIMES,
        remedy="say it with time=",
    )


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
