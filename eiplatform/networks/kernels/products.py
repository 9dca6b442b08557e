"""Dense products of bf16 training on processors with a matrix unit (AMX), for the compiled backend.

Operands and results are float32; ``products.cpp`` rounds the operands on the way into the unit,
which multiplies bfloat16 and adds in float32.  Forward, an operand is the sum of two bfloat16, to
2^-17 of a number (spikes are exact in one), so that excitation and inhibition may cancel;
backward, one.  A number that is not finite may become NaN.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

import torch
from torch import Tensor

from eiplatform.networks.kernels import compiled
from eiplatform.networks.kernels.backend import current

__all__ = ["Rows", "has_matrix_unit", "multiply", "pair_product", "takes"]

Rows = tuple[Tensor, ...]
"""One matrix, or two whose rows follow each other."""


_PRODUCT = struct.Struct("28q")
"""``Product`` of products.cpp; packing takes a tenth of the time of fields of ctypes."""


def _matrix(parts: Rows) -> tuple[int, ...]:
    """Return a ``Matrix`` of products.cpp."""
    upper, lower = parts[0], parts[-1]
    n_rows, n_columns = upper.shape
    place, step, rounded = upper.data_ptr(), upper.stride(0), upper.dtype == torch.bfloat16
    if upper is lower:
        return place, place, step, step, n_rows, n_rows, n_columns, rounded
    return place, lower.data_ptr(), step, lower.stride(0), n_rows, n_rows + lower.shape[0], n_columns, rounded


@cache
def has_matrix_unit() -> bool:
    """Return whether this processor has a matrix unit that the compiled backend can use.

    Raises
    ------
    DeviceError
        If the compiled backend cannot be had.
    """
    library = compiled.library()
    compiled.check_size(library, "product_bytes", _PRODUCT.size)
    return bool(library.has_matrix_unit())


def takes(x: Tensor, *weights: Tensor) -> bool:
    """Return whether bf16 training multiplies these by the matrix unit.

    Examples
    --------
    >>> takes(torch.eye(2), torch.eye(2))  # not within autocast
    False
    """
    if current() != "compiled" or not torch.is_autocast_enabled("cpu"):
        return False
    for values in (x, *weights):
        if values.dtype != torch.float32 or values.device.type != "cpu" or (values is not x and values.ndim != 2):
            return False
    return has_matrix_unit()


def multiply(a: Rows, b: Rows, out: Rows, n_parts: int, *, turn_a: bool = False, turn_b: bool = False) -> None:
    """Write the product of two matrices; there must be a matrix unit.

    Parameters
    ----------
    a, b, out : tuple of one or two Tensor, shape (rows, columns)
        Float32 on a CPU, `a` and `b` also bfloat16; the rows of two follow each other, the columns
        lie side by side.  `out` must share no memory with the others.
    n_parts : {1, 2}
        How many bfloat16 an operand is the sum of.
    turn_a, turn_b : bool
        Transpose first.
    """
    how = (turn_a, turn_b, n_parts, torch.get_num_threads())
    compiled.library().product(_PRODUCT.pack(*_matrix(a), *_matrix(b), *_matrix(out), *how))


def pair_product(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return what a pattern drives through the weights of two populations.

    Parameters
    ----------
    x : Tensor, shape (..., n_inputs)
    first, second : Tensor, shape (neurons, n_inputs)

    Returns
    -------
    Tensor, shape (..., neurons of both)

    """
    found: Tensor = _PairProduct.apply(x, first, second)  # type: ignore[no-untyped-call]
    return found


class _PairProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, first: Tensor, second: Tensor) -> Tensor:
        x, first, second = x.contiguous(), first.contiguous(), second.contiguous()
        ctx.save_for_backward(x, first, second)
        out = x.new_empty((*x.shape[:-1], len(first) + len(second)))
        multiply((_rows(x),), (first, second), (_rows(out),), 2, turn_b=True)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, first, second = ctx.saved_tensors
        grad = _rows(grads[0].contiguous())
        grad_x = grad_first = grad_second = None
        if ctx.needs_input_grad[0]:
            grad_x = torch.empty_like(x)
            multiply((grad,), (first, second), (_rows(grad_x),), 1)
        if any(ctx.needs_input_grad[1:]):
            grad_first, grad_second = torch.empty_like(first), torch.empty_like(second)
            multiply((grad,), (_rows(x),), (grad_first, grad_second), 1, turn_a=True)
        return grad_x, grad_first, grad_second


def _rows(x: Tensor) -> Tensor:
    return x.view(-1, x.shape[-1])
