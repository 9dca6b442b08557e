"""What torch's operations do to currents: which have weights, which pass currents on, which end them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["ACTIVATIONS", "ADDING", "IGNORED", "JOINING", "PASSING", "POOLING", "SCALING", "Weighted", "name_of"]

PASSING = frozenset(
    "reshape view flatten unflatten squeeze unsqueeze permute transpose swapaxes swapdims movedim moveaxis t "
    "adjoint T mT H data contiguous clone detach to float double cpu cuda __getitem__ select narrow unbind split "
    "tensor_split chunk expand expand_as reshape_as view_as repeat repeat_interleave tile broadcast_to flip roll "
    "index_select pad avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d "
    "adaptive_avg_pool3d dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout "
    "alias positive".split()
)
"""Linear in their first argument with non-negative coefficients: they act on each part alike."""

POOLING = frozenset(
    "max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d "
    "lp_pool1d lp_pool2d lp_pool3d".split()
)
"""Of spikes and rates they give spikes and rates again; currents they end."""

JOINING = frozenset("cat concat concatenate stack".split())
ADDING = {
    name: sign
    for names, sign in (
        ("add add_ __add__ __radd__ __iadd__", 1),
        ("sub sub_ subtract __sub__ __isub__", -1),
        ("rsub __rsub__", 0),
    )
    for name in names.split()
}
"""Sign of the second operand; 0: the first is subtracted from the second."""
SCALING = {
    name: power
    for names, power in (
        ("mul mul_ multiply __mul__ __rmul__ __imul__ neg negative __neg__", 1),
        ("div div_ true_divide divide __truediv__ __itruediv__", -1),
    )
    for name in names.split()
}

ACTIVATIONS = frozenset(
    name + suffix
    for name in (
        "relu relu6 leaky_relu rrelu elu selu celu gelu silu mish sigmoid logsigmoid hardsigmoid hardswish hardtanh "
        "tanh tanhshrink softplus softsign softshrink hardshrink threshold prelu clamp clamp_min clip"
    ).split()
    for suffix in ("", "_")
)
"""Element by element: the output of a graded neuron, from its current."""

IGNORED = frozenset(
    "__get__ __set__ __len__ __hash__ __repr__ __format__ dim ndimension size stride numel nelement element_size "
    "is_contiguous is_floating_point is_complex is_same_size get_device data_ptr type item tolist numpy "
    "requires_grad_ retain_grad storage_offset untyped_storage is_inference zeros_like ones_like empty_like "
    "full_like rand_like randn_like new_zeros new_ones new_empty new_full new_tensor isnan isfinite isinf "
    "register_hook __contains__ __bool__ __reduce_ex__".split()
)
"""They look at a tensor's form, or say whether it is finite, and take no current from it."""


def name_of(function: Callable[..., Any]) -> str:
    """Return the plain name of what torch calls; of a property, the property's."""
    name = getattr(function, "__name__", type(function).__name__)
    if name == "__get__":
        inner = getattr(getattr(function, "__self__", None), "__name__", name)
        return inner if inner in PASSING else name
    return str(name)


def tensors_in(values: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and mappings, in order."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from tensors_in(value)
    elif isinstance(values, Sequence) and not isinstance(values, str):
        for value in values:
            yield from tensors_in(value)


class Weighted(NamedTuple):
    """An operation of an input and weights, understood.

    Attributes
    ----------
    x, weight : Tensor
    bias : Tensor or None
        Of a shape that broadcasts with the output.
    product : callable
        (input, weight) -> output without bias.
    """

    x: Tensor
    weight: Tensor
    bias: Tensor | None
    product: Callable[[Tensor, Tensor], Tensor]


def understand(
    name: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    is_weight: Callable[[Any], bool],
) -> Weighted | None:
    """Return the input, weights and bias of an operation, None if it has no weights.

    Parameters
    ----------
    name : str
        From :func:`name_of`.
    function, args, kwargs
        The call.
    is_weight : callable
        Whether a tensor is a parameter or buffer of the module (or a view of one): tells the
        weights of a matrix product.
    """
    if name in _GEOMETRY:
        (x, weight, bias), rest, named = _arguments(args, kwargs, ("input", "weight", "bias"))
        if name != "linear" and bias is not None:
            bias = bias.view(-1, *[1] * int(name[-2]))
        return Weighted(x, weight, bias, lambda x, w: function(x, w, None, *rest, **named))
    if name == "bilinear":
        (first, second, weight, bias), _, _ = _arguments(args, kwargs, ("input1", "input2", "weight", "bias"))
        pairs = (first.unsqueeze(-1) * second.unsqueeze(-2)).flatten(-2)
        return Weighted(pairs, weight, bias, lambda x, w: functional.linear(x, w.flatten(1)))
    if name in ("matmul", "mm", "__matmul__", "__rmatmul__", "bmm") and len(args) == 2:
        left, right = reversed(args) if name == "__rmatmul__" else args
        if is_weight(right) and not is_weight(left) and right.ndim == 2:
            return Weighted(left, right, None, torch.matmul)
        if is_weight(left) and not is_weight(right) and left.ndim == 2:
            return Weighted(right, left, None, lambda x, w: torch.matmul(w, x))
    return None


_GEOMETRY = frozenset(
    ["linear", *(f"conv{n}d" for n in (1, 2, 3)), *(f"conv_transpose{n}d" for n in (1, 2, 3))],
)


def _arguments(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], names: tuple[str, ...]
) -> tuple[list[Any], tuple[Any, ...], dict[str, Any]]:
    """Return the named arguments (None where left out), the positional and the keyword rest."""
    found = [args[k] if k < len(args) else kwargs.get(name) for k, name in enumerate(names)]
    return found, args[len(names) :], {key: value for key, value in kwargs.items() if key not in names}
