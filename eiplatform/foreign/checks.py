"""What has to be known of a module before it can be followed."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from eiplatform.errors import EIPlatformError, UnknownNameError, suggest
from eiplatform.foreign.neurons import Neuron, describe
from eiplatform.foreign.operations import tensors_in

__all__ = [
    "check_finite",
    "check_module",
    "check_same",
    "check_weights",
    "find_neurons",
    "returns_state",
    "unwrapped",
]

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
        raise EIPlatformError(
            f"{type(module).__name__} is not a torch module", where="module", valid="a torch.nn.Module"
        )
    if isinstance(module, torch.jit.ScriptModule):
        raise EIPlatformError(
            "it is a scripted module as a whole, whose parts have no names",
            where="module",
            remedy="give the module it was made of",
        )
    if not isinstance(example, Tensor):
        raise EIPlatformError(
            f"{type(example).__name__} is not a tensor", where="example_input", valid="a torch.Tensor"
        )
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
                f"its numbers are {str(parameter.dtype).removeprefix('torch.')}, too imprecise for a sum of many terms",
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


def check_same(plain: list[Any], followed: list[Any]) -> None:
    """Raise unless following changed nothing, not even in the last bit."""
    first, second = list(tensors_in(plain)), list(tensors_in(followed))
    equal = len(first) == len(second) and all(
        a.shape == b.shape and torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))
        for a, b in zip(first, second, strict=True)
    )
    if not equal:
        raise EIPlatformError(
            "the module's output changes while its currents are traced",
            where="probe",
            remedy="it keeps a state that no adapter can read (reset=...), or takes a fused path in evaluation "
            "(torch.backends.mha.set_fastpath_enabled(False))",
        )
