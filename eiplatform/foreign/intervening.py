"""Changing the positive or negative weights of any torch module for a while.

A foreign module exposes its weights, not its currents: scaling the negative ones scales inhibition only where what
comes in is 0 or more, as spikes are.  That is verified on the example before anything runs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from eiplatform.errors import ConfigError, UnknownNameError, match_names, suggest
from eiplatform.foreign.network import ForeignNetwork
from eiplatform.networks.description import Pathway
from eiplatform.networks.intervening import Place, UnchangedWarning
from eiplatform.recording.plan import evaluation

__all__ = ["foreign_intervened"]

_GENERAL = {"input->E": "+", "input->E subtractive": "-"}
"""Names that stand for all weights of a layer of one sign."""
_BY_NEURON = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Modules whose weights begin with the neuron or channel that they reach."""
_TOLERANCE = 1e-3


@contextmanager
def foreign_intervened(network: ForeignNetwork, interventions: Sequence[Any]) -> Iterator[ForeignNetwork]:
    """Run a foreign network with some of its weights changed; afterwards they are as they were, bit for bit.

    Parameters
    ----------
    network : ForeignNetwork
    interventions : sequence of Kind
        Those with ``on_weights``.  A target is ``"input->E"`` (all positive weights of a layer),
        ``"input->E subtractive"`` (all negative ones), or one of ``network.pathways()`` by name; a population is a
        layer by name; without either it is all weights.

    Raises
    ------
    ConfigError
        For another intervention, weights that other layers share, or inputs of both signs.
    UnknownNameError
        If a pathway or layer does not exist.
    """
    parameters = dict(network.module.named_parameters())
    asked = [(one, _paths(network, one)) for one in interventions]
    before = {_parameter(parameters, path) for _, paths in asked for path in paths}
    saved = {name: parameters[name].detach().clone() for name in before}
    outer = getattr(network, "interventions", ())
    intact = _currents(network)
    said = []
    try:
        for one, paths in asked:
            for path in paths:
                _change(network, parameters, path, one)
            after = _currents(network)
            if len(asked) == 1 and hasattr(one, "factor") and one.everywhere:
                _verify(network, one, paths, intact, after)
            changed = any(not torch.equal(v, after[n][s]) for n, data in intact.items() for s, v in data.items())
            if not changed:
                warnings.warn(f"{one!r} changed nothing", UnchangedWarning, stacklevel=4)
            said.append({**one.about(network), "check": {"changed": changed}})
        network.interventions = (*outer, *said)
        yield network
    finally:
        network.interventions = outer
        with torch.no_grad():
            for name, values in saved.items():
                parameters[name].copy_(values)


def _paths(network: ForeignNetwork, one: Any) -> list[Pathway]:
    """Return the pathways on whose weights an intervention acts."""
    where, paths = type(network.module).__name__, network.pathways()
    if one.steps is not None or one.samples is not None:
        what = f"{one!r} is not possible: weights are the same in all steps and samples"
        raise ConfigError(what, where=where, valid="all steps and samples")
    first = paths[0]
    one.on_weights(torch.zeros(1, 1), Place(first.layer, first.name, "E", "current_exc", (1,)))  # or why it cannot
    if hasattr(one, "population"):
        layers = match_names([one.population], dict.fromkeys(path.layer for path in paths), "population")
        having = [path for path in paths if path.layer in layers]
    else:
        target = getattr(one, "target", None)
        having = [p for p in paths if target is None or p.name == target or _GENERAL.get(target) == p.sign]
        if not having:
            names = (*_GENERAL, *dict.fromkeys(path.name for path in paths))
            raise UnknownNameError(
                f"this network has no pathway '{target}'{suggest(str(target), names)}", where=where, valid=names
            )
        what = "layer" if target is None else f"layer with '{target}'"
        layers = match_names([one.layers], dict.fromkeys(path.layer for path in having), what)
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


def _change(network: ForeignNetwork, parameters: Mapping[str, Tensor], path: Pathway, one: Any) -> None:
    """Change the weights of a pathway's sign, of the neurons that are chosen."""
    name = _parameter(parameters, path)
    weight = parameters[name]
    signal = "current_exc" if path.sign == "+" else "current_inh"
    place = Place(path.layer, name, "E", signal, tuple(weight.shape[:1]))
    acts = weight > 0 if path.sign == "+" else weight < 0
    if one.neurons is not None or one.fraction is not None:
        owner = network.module.get_submodule(name.rpartition(".")[0])
        if not isinstance(owner, _BY_NEURON):
            raise ConfigError(
                f"the weights of a {type(owner).__name__} are not sorted by neuron",
                where=path.layer,
                valid=f"all neurons, or a layer of {', '.join(kind.__name__ for kind in _BY_NEURON)}",
            )
        rows = torch.zeros(len(weight), dtype=torch.bool)
        rows[torch.from_numpy(one.chosen(place))] = True
        acts &= rows.to(weight.device).view(-1, *(1,) * (weight.ndim - 1))
    with torch.no_grad():
        weight.copy_(torch.where(acts, one.on_weights(weight, place), weight))


def _currents(network: ForeignNetwork) -> dict[str, dict[str, Tensor]]:
    record = {name: frozenset({"current_exc", "current_inh"}) for name in network.populations()}
    with evaluation(network):
        found: dict[str, dict[str, Tensor]] = network.run(network.example(), record=record).signals
    return found


def _verify(
    network: ForeignNetwork,
    one: Any,
    paths: Sequence[Pathway],
    intact: Mapping[str, Mapping[str, Tensor]],
    changed: Mapping[str, Mapping[str, Tensor]],
) -> None:
    """Refuse where scaling weights of one sign did not scale the current of one sign."""
    names = list(intact)
    first = min((path.layer for path in paths), key=names.index)
    terms = {path.name.removesuffix(" subtractive") for path in network.pathways() if path.layer == first}
    if terms != {path.name.removesuffix(" subtractive") for path in paths if path.layer == first}:
        return  # other weights contribute too
    sign = next(path.sign for path in paths if path.layer == first)
    after = changed[first]
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
