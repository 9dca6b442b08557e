"""Weakening or strengthening the positive or negative weights of any torch module for a while.

A foreign module exposes its weights, not its currents: scaling the negative ones scales inhibition only where what
comes in is 0 or more, as spikes are.  That is verified on the example before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from eiplatform.errors import ConfigError, UnknownNameError, match_names, suggest
from eiplatform.foreign.network import ForeignNetwork
from eiplatform.networks.description import Pathway
from eiplatform.recording.plan import evaluation

__all__ = ["foreign_intervened"]

_GENERAL = {"input->E": "+", "input->E subtractive": "-"}
"""Names that stand for all weights of a layer of one sign."""
_TOLERANCE = 1e-3


@contextmanager
def foreign_intervened(network: ForeignNetwork, interventions: Sequence[Any]) -> Iterator[ForeignNetwork]:
    """Run a foreign network with some of its weights scaled; afterwards they are as they were, bit for bit.

    Parameters
    ----------
    network : ForeignNetwork
    interventions : sequence of Scale
        Of ``"input->E"`` (all positive weights of a layer), ``"input->E subtractive"`` (all negative ones), or of one
        of ``network.pathways()`` by name.

    Raises
    ------
    ConfigError
        For another intervention, weights that other layers share, or inputs of both signs.
    UnknownNameError
        If a pathway or layer does not exist.
    """
    parameters = dict(network.module.named_parameters())
    asked = [(one, _paths(network, one)) for one in interventions]  # all are checked before anything changes
    before = {_parameter(parameters, path) for _, paths in asked for path in paths}
    saved = {name: parameters[name].detach().clone() for name in before}
    outer = getattr(network, "interventions", ())
    intact = _currents(network)
    told = []
    try:
        for one, paths in asked:
            for path in paths:
                _scale(parameters[_parameter(parameters, path)], path.sign, one.factor)
            told.append({**one.about(network), "check": {"changed": True}})
        if len(asked) == 1:
            _verify(network, *asked[0], intact)
        network.interventions = (*outer, *told)
        yield network
    finally:
        network.interventions = outer
        with torch.no_grad():
            for name, values in saved.items():
                parameters[name].copy_(values)


def _paths(network: ForeignNetwork, one: Any) -> list[Pathway]:
    target = getattr(one, "target", None)
    if type(one).__name__ != "Scale" or not one.everywhere or not isinstance(target, str):
        raise ConfigError(
            f"{one!r} is not possible: a foreign module exposes its weights alone",
            where=type(network.module).__name__,
            valid="Scale of whole pathways, e.g. ei.Scale('input->E subtractive', 0.5, layers='...')",
        )
    paths = network.pathways()
    having = [p for p in paths if p.name == target or _GENERAL.get(target) == p.sign]
    if not having:
        names = (*_GENERAL, *dict.fromkeys(path.name for path in paths))
        raise UnknownNameError(
            f"this network has no pathway '{target}'{suggest(target, names)}",
            where=type(network.module).__name__,
            valid=names,
        )
    layers = match_names([one.layers], dict.fromkeys(path.layer for path in having), f"layer with '{target}'")
    chosen = [path for path in having if path.layer in layers]
    known = dict(network.module.named_parameters())
    for path in chosen:
        term = _parameter(known, path)
        users = {other.layer for other in paths if other.name == path.name}
        if users - set(layers):
            raise ConfigError(
                f"'{term}' is shared with {', '.join(sorted(users - set(layers)))}",
                where=path.layer,
                remedy="name all of these layers by a wildcard",
            )
    return list({path.name: path for path in chosen}.values())


def _parameter(known: Mapping[str, Tensor], path: Pathway) -> str:
    """Return the parameter whose contribution a pathway is."""
    term = path.name.removesuffix(" subtractive")
    found = next((name for name in (term, f"{term}.weight") if name in known), None)
    if found is None:
        raise ConfigError(f"'{term}' is not a parameter of the module", where=path.layer, valid=tuple(known))
    return found


def _scale(weight: Tensor, sign: str, factor: float) -> None:
    with torch.no_grad():
        scaled = torch.where(weight > 0 if sign == "+" else weight < 0, weight * factor, weight)
        weight.copy_(scaled)


def _currents(network: ForeignNetwork) -> dict[str, dict[str, Tensor]]:
    record = {name: frozenset({"current_exc", "current_inh"}) for name in network.populations()}
    with evaluation(network):
        found: dict[str, dict[str, Tensor]] = network.run(network.example(), record=record).signals
    return found


def _verify(network: ForeignNetwork, one: Any, paths: Sequence[Pathway], intact: dict[str, dict[str, Tensor]]) -> None:
    """Refuse where scaling weights of one sign did not scale the current of one sign."""
    names = list(intact)
    first = min((path.layer for path in paths), key=names.index)
    terms = {path.name.removesuffix(" subtractive") for path in network.pathways() if path.layer == first}
    if terms != {path.name.removesuffix(" subtractive") for path in paths if path.layer == first}:
        return  # other weights contribute too
    sign = next(path.sign for path in paths if path.layer == first)
    after = _currents(network)[first]
    for signal, factor in (
        ("current_exc", one.factor if sign == "+" else 1.0),
        ("current_inh", one.factor if sign == "-" else 1.0),
    ):
        expected = factor * intact[first][signal]
        if not torch.allclose(
            after[signal], expected, rtol=_TOLERANCE, atol=_TOLERANCE * float(expected.abs().max() + 1e-9)
        ):
            raise ConfigError(
                f"what '{first}' receives has both signs: scaling its weights of one sign does not scale one current",
                where=f"{one!r}",
                valid="a layer whose inputs are 0 or more, e.g. spikes",
            )
