"""Torch's simple recurrent networks (Elman), layer by layer and direction by direction.

    h[t] = act(W_ih x[t] + b_ih + W_hh h[t-1] + b_hh)

The fused kernel returns the last layer only; the layers below are computed again with the same
formula, and the last one is compared with what the kernel returned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from eiplatform.errors import SumRuleError
from eiplatform.foreign.current import Term, split
from eiplatform.foreign.witness import confirm

__all__ = ["Layer", "unroll"]

TOLERANCE = 1e-4

_ACTS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu}


class Layer(NamedTuple):
    """One layer in one direction.

    Attributes
    ----------
    population : str
    terms : dict of str to Term or None
        Feed-forward weights, then recurrent.
    bias, drive, activity : Tensor
    weights : tuple of str
        Names of the parameters in the module.
    ends : frozenset of str
        Populations that the next layer sees; empty until all directions of a layer are done.
    """

    population: str
    terms: dict[str, Term | None]
    bias: Tensor
    drive: Tensor
    activity: Tensor
    weights: tuple[str, str]
    ends: frozenset[str]


def unroll(
    part: nn.RNN | nn.RNNCell,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    output: Any,
    rule: str,
    label: str,
    needs: Callable[[str], bool],
) -> list[Layer] | None:
    """Return the layers of a module that has run, None where it cannot be followed.

    Parameters
    ----------
    part : nn.RNN or nn.RNNCell
    args, kwargs, output
        Its call; packed and unbatched sequences are not followed.
    rule : str
        Sign rule.
    label : str
        Name of the module.
    needs : callable
        Whether the parts of weights of that name are asked for.

    Raises
    ------
    SumRuleError
        If the recomputed layers do not give what the module returned.
    """
    x = args[0] if args else kwargs.get("input")
    given = args[1] if len(args) > 1 else kwargs.get("hx")
    act = _ACTS[part.nonlinearity]
    make = _Maker(part, act, rule, needs, label)
    if isinstance(part, nn.RNNCell):
        if not isinstance(x, Tensor) or x.ndim != 2 or not isinstance(output, Tensor):
            return None
        hidden = torch.zeros_like(output) if given is None else given
        return [make.layer(label, "", x, hidden, output, frozenset({label}))]
    if not isinstance(x, Tensor) or x.ndim != 3 or (part.dropout and part.training):
        return None
    if part.batch_first:
        x = x.transpose(0, 1)
    directions = 2 if part.bidirectional else 1
    if given is None:
        given = x.new_zeros(part.num_layers * directions, x.shape[1], part.hidden_size)
    layers: list[Layer] = []
    for level in range(part.num_layers):
        outputs, names = [], []
        for direction in range(directions):
            suffix = f"_l{level}" + ("_reverse" if direction else "")
            population = label if part.num_layers * directions == 1 else f"{label}.{suffix[1:]}"
            names.append(population)
            seen = x.flip(0) if direction else x
            hidden = given[level * directions + direction]
            states = _run(seen, hidden, make.weights(suffix), act)
            before = torch.cat([hidden[None], states[:-1]])
            found = make.layer(population, suffix, seen, before, states, frozenset())
            layers.append(_turned(found) if direction else found)
            outputs.append(layers[-1].activity)
        layers[-1] = layers[-1]._replace(ends=frozenset(names))
        x = torch.cat(outputs, -1)
    whole = output[0].transpose(0, 1) if part.batch_first else output[0]
    if not torch.allclose(x, whole, rtol=TOLERANCE, atol=TOLERANCE):
        raise SumRuleError(
            f"the layers computed one by one differ from the module's output by {float((x - whole).abs().max()):.2g}",
            where=label,
        )
    return [_batch_first(layer) for layer in layers] if part.batch_first else layers


def _run(x: Tensor, hidden: Tensor, weights: list[Tensor], act: Callable[[Tensor], Tensor]) -> Tensor:
    b_in, b_rec = (*weights[2:], None, None)[:2]
    ahead = functional.linear(x, weights[0], b_in)
    states = []
    for current in ahead:
        hidden = act(current + functional.linear(hidden, weights[1], b_rec))
        states.append(hidden)
    return torch.stack(states)


class _Maker:
    def __init__(
        self, part: nn.Module, act: Callable[[Tensor], Tensor], rule: str, needs: Callable[[str], bool], label: str
    ) -> None:
        self.part, self.act, self.rule, self.needs, self.label = part, act, rule, needs, label

    def weights(self, suffix: str) -> list[Tensor]:
        names = [f"{kind}{suffix}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        return [getattr(self.part, name) for name in names if getattr(self.part, name, None) is not None]

    def layer(
        self, population: str, suffix: str, x: Tensor, before: Tensor, activity: Tensor, ends: frozenset[str]
    ) -> Layer:
        found = self.weights(suffix)
        own = (f"weight_ih{suffix}", f"weight_hh{suffix}")
        biases = [*found[2:], None, None][:2]
        terms: dict[str, Term | None] = {}
        drive = torch.zeros_like(activity)
        bias = activity.new_zeros(activity.shape[-1])
        for name, values, weight, offset in zip(own, (x, before), found[:2], biases, strict=True):
            full = f"{self.label}.{name}"
            term = split(functional.linear, values, weight, self.rule, full) if self.needs(full) else None
            if term is not None:
                confirm(term, functional.linear, values, weight, full)
            terms[full] = term
            drive = drive + functional.linear(values, weight, offset)
            bias = bias if offset is None else bias + offset
        if not torch.allclose(self.act(drive), activity, rtol=TOLERANCE, atol=TOLERANCE):
            raise SumRuleError("its output is not the activation of its current", where=population)
        return Layer(population, terms, bias, drive, activity, own, ends)


def _mapped(layer: Layer, function: Callable[[Tensor], Tensor]) -> Layer:
    terms = {name: term and term.map(function) for name, term in layer.terms.items()}
    return layer._replace(terms=terms, drive=function(layer.drive), activity=function(layer.activity))


def _turned(layer: Layer) -> Layer:
    return _mapped(layer, lambda values: values.flip(0))


def _batch_first(layer: Layer) -> Layer:
    return _mapped(layer, lambda values: values.transpose(0, 1))
