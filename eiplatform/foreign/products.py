"""Operations of an input and weights: what a layer contributes per call.

All of them are matrix products, convolutions or look-ups for the dispatcher: ``Linear``,
``einsum``, ``x @ w.T``, ``addmm`` and a scripted layer end up here alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["PRODUCTS", "Weighted", "understand"]

aten = torch.ops.aten

PRODUCTS = frozenset(
    "mm bmm addmm baddbmm mv addmv dot vdot linear matmul _addmm_activation convolution _convolution embedding "
    "_trilinear mkldnn_linear".split()
)


class Weighted(NamedTuple):
    """An operation of an input and weights, understood.

    Attributes
    ----------
    x, weight : Tensor
    added : Tensor or None
        What is added to the product: a bias, or a state.
    product : callable
        (input, weight) -> product, linear in both.
    factor, added_factor : float
        Of the product and of what is added.
    looked_up : Tensor or None
        What a look-up takes.
    """

    x: Tensor
    weight: Tensor
    added: Tensor | None
    product: Callable[[Tensor, Tensor], Tensor]
    factor: float = 1.0
    added_factor: float = 1.0
    looked_up: Tensor | None = None


_PLAIN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mm": torch.mm,
    "bmm": torch.bmm,
    "mv": torch.mv,
    "dot": torch.dot,
    "vdot": torch.dot,
    "matmul": torch.matmul,
}
_ADDING: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"addmm": torch.mm, "baddbmm": torch.bmm, "addmv": torch.mv}


def understand(
    name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], is_weight: Callable[[Tensor], bool]
) -> Weighted | None:
    """Return the input and weights of a product, None if it is none of an input and weights.

    Parameters
    ----------
    name : str
        Of an operation in `PRODUCTS`.
    args, kwargs
        The call.
    is_weight : callable
        Whether a tensor is made of parameters and buffers alone.
    """
    if name in _PLAIN or name in _ADDING:
        plain = name in _PLAIN
        first, second = (args[0], args[1]) if plain else (args[1], args[2])
        product = (_PLAIN if plain else _ADDING)[name]
        if is_weight(first) == is_weight(second):
            return None
        weight_first = is_weight(first)
        x, weight = (second, first) if weight_first else (first, second)

        def ordered(x: Tensor, weight: Tensor) -> Tensor:
            return product(weight, x) if weight_first else product(x, weight)

        if plain:
            return Weighted(x, weight, None, ordered)
        return Weighted(x, weight, args[0], ordered, float(kwargs.get("alpha", 1)), float(kwargs.get("beta", 1)))
    if name in ("convolution", "_convolution", "linear"):
        x, weight, bias = args[0], args[1], args[2] if len(args) > 2 else None
        if is_weight(x) or not is_weight(weight):
            return None
        rest = args[3:]
        if name == "linear":
            return Weighted(x, weight, bias, torch.nn.functional.linear)
        if bias is not None:
            bias = bias.view(-1, *[1] * (x.ndim - 2))
        call = getattr(aten, name)
        return Weighted(x, weight, bias, lambda x, w: call(x, w, None, *rest, **kwargs))
    if name == "embedding":
        weight, index = args[0], args[1]
        rest = args[2:]
        if not is_weight(weight):
            return None
        one = torch.ones((), dtype=weight.dtype, device=weight.device)
        return Weighted(one, weight, None, lambda x, w: aten.embedding(w, index, *rest) * x, looked_up=index)
    if name == "_trilinear":  # bilinear layers: (pairs of inputs) x weights
        first, weight, second = args[0], args[1], args[2]
        rest = args[3:]
        if not is_weight(weight) or is_weight(first) or is_weight(second):
            return None
        if tuple(map(tuple, rest[:4])) != ((1, 3), (0,), (1, 2), (2, 3)):
            return None
        pairs = (first.unsqueeze(-1) * second.unsqueeze(-2)).flatten(-2)
        return Weighted(pairs, weight, None, lambda x, w: torch.nn.functional.linear(x, w.flatten(1)))
    return None
