"""Torch's fused simple recurrent networks (Elman), layer by layer and direction by direction.

    h[t] = act(W_ih x[t] + b_ih + W_hh h[t-1] + b_hh)

The fused kernel returns the last layer only; the layers below are computed again with the same
formula, and the last one is compared with what the kernel returned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from eiplatform.errors import SumRuleError
from eiplatform.foreign.current import Term, split

__all__ = ["RNN_OPERATIONS", "Layer", "unroll"]

RNN_OPERATIONS = {
    "rnn_tanh": torch.tanh,
    "rnn_relu": torch.relu,
    "rnn_tanh_cell": torch.tanh,
    "rnn_relu_cell": torch.relu,
}
"""Activation of each fused operation."""

TOLERANCE = 1e-4


class Layer(NamedTuple):
    """One layer in one direction.

    Attributes
    ----------
    population : str
    terms : dict of str to Term or None
        Feed-forward weights, then recurrent.
    bias, drive, activity : Tensor
    weights : tuple of Tensor
    ends : frozenset of str
        Populations that the next layer sees; empty until all directions of a layer are done.
    """

    population: str
    terms: dict[str, Term | None]
    bias: Tensor
    drive: Tensor
    activity: Tensor
    weights: tuple[Tensor, Tensor]
    ends: frozenset[str]


def unroll(
    name: str,
    args: tuple[Any, ...],
    result: Any,
    rule: str,
    prefix: str,
    needs: Callable[[str], bool],
) -> list[Layer] | None:
    """Return the layers of a fused operation that has run, None where it cannot be followed.

    Parameters
    ----------
    name, args, result
        The operation; packed sequences are not followed.
    rule : str
        Sign rule.
    prefix : str
        Name of the module.
    needs : callable
        Whether the parts of weights of that name are asked for.

    Raises
    ------
    SumRuleError
        If the recomputed layers do not give what the kernel returned.
    """
    act = RNN_OPERATIONS[name]
    if name.endswith("cell"):
        x, hidden, w_in, w_rec, b_in, b_rec = (*args, None, None)[:6]
        return [
            _layer(prefix, "", x, hidden, (w_in, w_rec), (b_in, b_rec), act, rule, needs, result, frozenset({prefix}))
        ]
    if isinstance(args[2], Tensor):  # packed: (data, batch sizes, hidden, ...)
        return None
    x, hidden, flat, has_bias, n_layers, dropout, training, both, batch_first = args
    if dropout and training:
        return None
    if batch_first:
        x = x.transpose(0, 1)
    directions = 2 if both else 1
    per = 4 if has_bias else 2
    layers: list[Layer] = []
    for level in range(n_layers):
        outputs, names = [], []
        for direction in range(directions):
            k = level * directions + direction
            weights = flat[k * per : (k + 1) * per]
            suffix = f"_l{level}" + ("_reverse" if direction else "")
            population = prefix if n_layers * directions == 1 else f"{prefix}.{suffix[1:]}"
            names.append(population)
            seen = x.flip(0) if direction else x
            states = _run(seen, hidden[k], weights, act)
            before = torch.cat([hidden[k][None], states[:-1]])
            biases = tuple(weights[2:]) or (None, None)
            found = _layer(
                population,
                suffix,
                seen,
                before,
                weights[:2],
                biases,
                act,
                rule,
                needs,
                states,
                frozenset(),
                prefix=prefix,
            )
            if direction:
                found = _turned(found)
            layers.append(found)
            outputs.append(found.activity)
        layers[-1] = layers[-1]._replace(ends=frozenset(names))
        x = torch.cat(outputs, -1)
    whole = result[0].transpose(0, 1) if batch_first else result[0]
    if not torch.allclose(x, whole, rtol=TOLERANCE, atol=TOLERANCE):
        raise SumRuleError(
            f"the layers computed one by one differ from the module's output by {float((x - whole).abs().max()):.2g}",
            where=prefix,
        )
    return [_batch_first(layer) for layer in layers] if batch_first else layers


def _run(x: Tensor, hidden: Tensor, weights: list[Tensor], act: Callable[[Tensor], Tensor]) -> Tensor:
    b_in, b_rec = (*weights[2:], None, None)[:2]
    ahead = functional.linear(x, weights[0], b_in)
    states = []
    for current in ahead:
        hidden = act(current + functional.linear(hidden, weights[1], b_rec))
        states.append(hidden)
    return torch.stack(states)


def _layer(
    population: str,
    suffix: str,
    x: Tensor,
    before: Tensor,
    weights: Any,
    biases: Any,
    act: Callable[[Tensor], Tensor],
    rule: str,
    needs: Callable[[str], bool],
    activity: Tensor,
    ends: frozenset[str],
    *,
    prefix: str | None = None,
) -> Layer:
    names = [f"{prefix or population}.weight_{kind}{suffix}" for kind in ("ih", "hh")]
    terms: dict[str, Term | None] = {}
    drive = torch.zeros_like(activity)
    bias = activity.new_zeros(activity.shape[-1])
    for name, values, weight, offset in zip(names, (x, before), weights, biases, strict=True):
        terms[name] = split(functional.linear, values, weight, rule, name) if needs(name) else None
        drive = drive + functional.linear(values, weight, offset)
        bias = bias if offset is None else bias + offset
    if not torch.allclose(act(drive), activity, rtol=TOLERANCE, atol=TOLERANCE):
        raise SumRuleError("its output is not the activation of its current", where=population)
    return Layer(population, terms, bias, drive, activity, tuple(weights), ends)


def _mapped(layer: Layer, function: Callable[[Tensor], Tensor]) -> Layer:
    terms = {name: term and term.map(function) for name, term in layer.terms.items()}
    return layer._replace(terms=terms, drive=function(layer.drive), activity=function(layer.activity))


def _turned(layer: Layer) -> Layer:
    return _mapped(layer, lambda values: values.flip(0))


def _batch_first(layer: Layer) -> Layer:
    return _mapped(layer, lambda values: values.transpose(0, 1))
