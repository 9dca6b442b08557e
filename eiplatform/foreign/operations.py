"""What torch's operations do to currents: which pass them on, add, scale, join or end them.

The names are those of the dispatcher (``torch.ops.aten``), where every way of writing an
operation looks alike: methods, functions, operators, ``einsum``, modules, scripted code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "ACTIVATIONS",
    "ADDING",
    "AVERAGING",
    "ELEMENTWISE",
    "IGNORED",
    "INDEXED",
    "JOINING",
    "NORMALISING",
    "PASSING",
    "POOLING",
    "SAME",
    "SCALING",
    "name_of",
    "tensors_in",
    "written",
]

AVERAGING = frozenset(
    "mean sum avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d _adaptive_avg_pool2d adaptive_avg_pool2d "
    "_adaptive_avg_pool3d adaptive_avg_pool3d".split()
)

PASSING = AVERAGING | frozenset(
    "view _unsafe_view reshape _reshape_alias t transpose permute numpy_T unsqueeze squeeze expand slice select unbind "
    "split split_with_sizes unsafe_split unsafe_split_with_sizes unsafe_chunk chunk narrow diagonal unfold alias "
    "detach clone contiguous _to_copy lift_fresh flip roll index index_select constant_pad_nd reflection_pad1d "
    "reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d repeat "
    "repeat_interleave upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_bilinear2d movedim "
    "im2col pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle view_as expand_as".split()
)
"""Linear in their first argument with non-negative coefficients: they act on each part alike."""

INDEXED = frozenset({"select", "unbind"})
"""They take one step out of many; which one does not tell apart what they are used for."""

SAME = frozenset("clone contiguous detach alias _to_copy lift_fresh".split())
"""They give the same numbers in the same places."""

POOLING = frozenset(
    f"{kind}max_pool{n}d{end}" for kind in ("", "adaptive_") for n in (1, 2, 3) for end in ("", "_with_indices")
)
"""Of spikes and rates they give spikes and rates again; currents they end."""

JOINING = frozenset({"cat", "stack", "concat"})
ADDING = {"add": 1, "sub": -1, "rsub": 0}
"""Sign of the second operand; 0: the first is subtracted from the second."""
SCALING = {"mul": 1, "neg": 1, "div": -1}
NORMALISING = frozenset(
    {
        "native_batch_norm",
        "_native_batch_norm_legit",
        "_native_batch_norm_legit_no_training",
        "cudnn_batch_norm",
        "miopen_batch_norm",
        "_batch_norm_no_update",
    }
)

ACTIVATIONS = frozenset(
    "relu leaky_relu rrelu_with_noise elu gelu silu mish sigmoid log_sigmoid_forward hardsigmoid hardswish hardtanh "
    "tanh softplus softshrink hardshrink threshold _prelu_kernel prelu clamp clamp_min clamp_max".split()
)
"""Element by element: the output of a graded neuron, from its current."""

ELEMENTWISE = frozenset(
    "add sub rsub mul div pow exp log sqrt rsqrt where lerp addcmul addcdiv maximum minimum gt ge lt le eq ne "
    "heaviside sign copy fill masked_fill logical_and logical_or logical_not floor trunc remainder sub_scalar".split()
)
"""They combine numbers in the same place: a decay or a threshold for each neuron, no weights between neurons."""

IGNORED = frozenset(
    "zeros_like ones_like empty_like full_like rand_like randn_like randint_like new_zeros new_ones new_empty new_full "
    "new_empty_strided isnan isfinite isinf is_nonzero sym_size sym_stride sym_numel sym_storage_offset size stride "
    "is_same_size _local_scalar_dense".split()
)
"""They look at a tensor's form, or say whether it is finite, and take no current from it."""


def name_of(function: Any) -> tuple[str, bool]:
    """Return the plain name of an operation, and whether it writes into its first argument.

    Examples
    --------
    >>> name_of(torch.ops.aten.add_.Tensor)
    ('add', True)
    """
    name = str(function._schema.name).partition("::")[2]
    writes = name.endswith("_") and not name.endswith("__") and bool(function._schema.is_mutable)
    return (name[:-1] if writes else name), writes


def written(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
    """Return the arguments that an operation changes."""
    if not function._schema.is_mutable:
        return []
    found = []
    for k, argument in enumerate(function._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[k] if k < len(args) else kwargs.get(argument.name)
            found += list(tensors_in(value))
    return found


def tensors_in(values: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists, mappings and data classes, in order."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from tensors_in(value)
    elif isinstance(values, Sequence) and not isinstance(values, str | bytes):
        for value in values:
            yield from tensors_in(value)
    elif is_dataclass(values) and not isinstance(values, type):
        for field in fields(values):
            yield from tensors_in(getattr(values, field.name, None))
    elif isinstance(values, torch.nn.utils.rnn.PackedSequence):
        yield values.data
