"""The kinds of nodes that NIR has, each as a torch module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from eiplatform.errors import StoreError, choose
from eiplatform.foreign.nir.graph import Node
from eiplatform.foreign.nir.neurons import NIRDelay, NIRNeurons, Stepping, field
from eiplatform.untrusted import reading

__all__ = ["KINDS", "build"]

Values = Mapping[str, Any]


def build(name: str, node: Node, stepping: Stepping) -> nn.Module:
    """Return a node as a module.

    Raises
    ------
    UnknownNameError
        If it is of a kind that is not known.
    StoreError
        If a field is missing, or its values are not possible.
    """
    where = f"node '{name}'"
    make = KINDS[choose(node.kind, KINDS, "kind of NIR node", where=where)]
    try:
        with reading(where, what="its fields do not fit together"):
            return make(node.values, stepping, name)
    except MemoryError:
        raise StoreError("its fields do not fit into memory", where=where) from None


def _set(parameter: Tensor, values: np.ndarray) -> None:
    parameter.data = torch.tensor(values, dtype=torch.get_default_dtype())


def _linear(values: Values, stepping: Stepping, name: str, *, affine: bool) -> nn.Module:
    del stepping
    weight = field(values, "weight", name)
    if weight.ndim != 2:
        raise StoreError(f"its weight has the shape {weight.shape}", where=f"node '{name}'", valid="(outputs, inputs)")
    module = nn.Linear(weight.shape[1], weight.shape[0], bias=affine)
    _set(module.weight, weight)
    if affine:
        _set(module.bias, field(values, "bias", name).reshape(weight.shape[0]))
    return module


def _numbers(values: Values, key: str, name: str, axes: int) -> tuple[int, ...]:
    """Return one whole number per axis of a map."""
    size = np.size(values.get(key, 0))
    if size not in (1, axes):
        raise StoreError(f"its '{key}' has {size} numbers", where=f"node '{name}'", valid=f"1 or {axes}")
    found = field(values, key, name).reshape(-1).astype(int).tolist()
    return tuple(found * axes if size == 1 else found)


def _convolution(values: Values, stepping: Stepping, name: str, *, axes: int) -> nn.Module:
    del stepping
    weight = field(values, "weight", name)
    if weight.ndim != axes + 2:
        raise StoreError(f"its weight has the shape {weight.shape}", where=f"node '{name}'", valid=f"{axes + 2} axes")
    groups = int(field({"groups": 1, **values}, "groups", name))
    padding = values.get("padding")
    if not isinstance(padding, str):
        padding = _numbers(values, "padding", name, axes)
    elif padding not in ("same", "valid"):
        raise StoreError(f"its padding is '{padding}'", where=f"node '{name}'", valid="same, valid, numbers")
    stride, dilation = (_numbers(values, key, name, axes) for key in ("stride", "dilation"))
    if padding == "same" and set(stride) != {1}:
        raise StoreError(f"padding 'same' with a stride of {stride}", where=f"node '{name}'", valid="a stride of 1")
    made: Callable[..., nn.Module] = nn.Conv1d if axes == 1 else nn.Conv2d
    module = made(
        weight.shape[1] * groups,
        weight.shape[0],
        weight.shape[2:],
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )
    _set(module.get_parameter("weight"), weight)
    _set(module.get_parameter("bias"), field(values, "bias", name).reshape(weight.shape[0]))
    return module


class _SumPool(nn.Module):
    """The sum over patches of maps."""

    def __init__(self, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """Return the sums of maps (B, channels, rows, columns)."""
        return functional.avg_pool2d(x, self.kernel, self.stride, self.padding, divisor_override=1)


def _pool(values: Values, stepping: Stepping, name: str, *, made: Callable[..., nn.Module]) -> nn.Module:
    del stepping
    return made(*(_numbers(values, key, name, 2) for key in ("kernel_size", "stride", "padding")))


def _flatten(values: Values, stepping: Stepping, name: str) -> nn.Module:
    """Return a flattening of axes that NIR counts without the batch."""
    del stepping
    start, end = (int(field(values, key, name)) for key in ("start_dim", "end_dim"))
    return nn.Flatten(start + (start >= 0), end + (end >= 0))


class _Scale(nn.Module):
    """A factor for every value."""

    scale: Tensor

    def __init__(self, scale: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.get_default_dtype()))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled values."""
        return x * self.scale


def _scale(values: Values, stepping: Stepping, name: str) -> nn.Module:
    del stepping
    return _Scale(field(values, "scale", name))


def _delay(values: Values, stepping: Stepping, name: str) -> nn.Module:
    steps = field(values, "delay", name) / stepping.dt
    if (steps < 0).any() or (np.abs(steps - np.round(steps)) > 1e-6 * np.maximum(steps, 1)).any():
        worst = (
            float(steps[np.abs(steps - np.round(steps)) > 1e-6].flat[0]) if (steps >= 0).all() else float(steps.min())
        )
        raise StoreError(
            f"a delay of {worst:g} steps of {stepping.dt:g}", where=f"node '{name}'", valid="a whole number of steps"
        )
    return NIRDelay(np.round(steps))


def _neurons(kind: str) -> Callable[[Values, Stepping, str], nn.Module]:
    return lambda values, stepping, name: NIRNeurons(kind, values, stepping, name)


def _affine(values: Values, stepping: Stepping, name: str) -> nn.Module:
    return _linear(values, stepping, name, affine=True)


KINDS: dict[str, Callable[[Values, Stepping, str], nn.Module]] = {
    "Affine": _affine,
    "Linear": lambda values, stepping, name: _linear(values, stepping, name, affine=False),
    "Conv1d": lambda values, stepping, name: _convolution(values, stepping, name, axes=1),
    "Conv2d": lambda values, stepping, name: _convolution(values, stepping, name, axes=2),
    "SumPool2d": lambda values, stepping, name: _pool(values, stepping, name, made=_SumPool),
    "AvgPool2d": lambda values, stepping, name: _pool(values, stepping, name, made=nn.AvgPool2d),
    "Flatten": _flatten,
    "Scale": _scale,
    "Delay": _delay,
    **{kind: _neurons(kind) for kind in ("Threshold", "I", "IF", "LI", "LIF", "CubaLI", "CubaLIF")},
}
"""What builds each kind of node; ``Input``, ``Output`` and ``NIRGraph`` are the graph's own."""
