"""Many interventions in one pass: worlds side by side along the batch, with what they share computed once.

Worlds whose interventions begin in the same layer run together.  The layers before it are those of the intact
network, and so are the products of that layer's input with its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import torch
from torch import Tensor

from eiplatform.errors import ConfigError
from eiplatform.networks.edits import Edit, Edits
from eiplatform.networks.equilibrium.network import FeedbackNetwork
from eiplatform.networks.intervening import Applied, Intervention, intact
from eiplatform.networks.kernels.ei import NOTHING
from eiplatform.networks.network import Network

__all__ = ["Seen", "Worlds"]

_Sites = dict[str, dict[str, tuple[Edit, ...]]]


class Seen(NamedTuple):
    """What one layer of some worlds gives.

    Attributes
    ----------
    worlds : tuple of int
        Whose samples lie one after another along the batch; :data:`Worlds.INTACT` is the intact network.
    layer : str
    output : Tensor, shape (T, worlds * B, ...)
        What it sends on.
    signals : dict of str to Tensor
        ``E/<signal>`` and ``I/<signal>`` of what was asked for, with the same first axes.
    """

    worlds: tuple[int, ...]
    layer: str
    output: Tensor
    signals: dict[str, Tensor]


class _ReachedError(Exception):
    """The intact network has run as far as it is shared."""


class Worlds:
    """A network under many alternative sets of interventions.

    Parameters
    ----------
    network : Network
        A feed-forward network, in evaluation mode.
    worlds : sequence of sequence of Intervention
        One without any is the intact network.

    Raises
    ------
    ConfigError
        For a feedback network, whose first layer sees its last: it is slower along one batch than run by run.
    """

    INTACT = -1

    def __init__(self, network: Network, worlds: Sequence[Sequence[Intervention]]) -> None:
        if isinstance(network, FeedbackNetwork):
            raise ConfigError("worlds of a feedback network share nothing", where="worlds", remedy="run one by one")
        self.network = network
        self.order = list(network.named_layers())
        self.applied = Applied(network, [one for world in worlds for one in world], edits_only=True)
        self._edits: list[_Sites] = []
        for world in worlds:
            sites: _Sites = {}
            for one in world:
                for place in one.places(network):
                    own = sites.setdefault(place.layer, {})
                    own[place.site] = (*own.get(place.site, ()), one.edit(place, self.applied.reference))
            self._edits.append(sites)

    def groups(self, size: int) -> list[tuple[str, list[int]]]:
        """Return worlds that begin in the same layer, at most `size` together."""
        by_layer: dict[str, list[int]] = {}
        for index, sites in enumerate(self._edits):
            first = min(sites, key=self.order.index, default=self.order[-1])
            by_layer.setdefault(first, []).append(index)
        found = []
        for first in sorted(by_layer, key=self.order.index):
            members = by_layer[first]
            found += [(first, members[start : start + size]) for start in range(0, len(members), size)]
        return found

    def run(
        self,
        x: Tensor,
        steps: int | None,
        size: int,
        record: Mapping[str, frozenset[str]],
        see: Callable[[Seen], None],
    ) -> dict[int, Tensor]:
        """Run all worlds on a batch.

        Parameters
        ----------
        x : Tensor, shape (B, ...) or (T, B, ...)
        steps : int or None
            Of a static input.
        size : int
            Worlds that run together.
        record : mapping of str to frozenset of str
            By layer: ``E/<signal>``, ``I/<signal>``.
        see : callable
            Is called with every layer of every group as soon as it has run; of layers before the first that differs,
            once for the intact network.

        Returns
        -------
        dict of int to Tensor, shape (B, classes)
            Logits by world.
        """
        network, layers = self.network, self.network.named_layers()
        repeats = network._check_input(x, steps)
        n = x.shape[0] if repeats is not None else x.shape[1]
        inputs: dict[str, tuple[Tensor, int | None]] = {}
        outputs: dict[str, Tensor] = {}

        def layer_of(name: str, values: Tensor, held: int | None, worlds: tuple[int, ...]) -> Tensor:
            layer, asked = layers[name], record.get(name, NOTHING)
            if layer.spiking:
                _, output, signals = layer(values, steps=held, record=asked)
            else:
                output, signals = layer(values, steps=held, record=asked)
            see(Seen(worlds, name, output, signals))
            assert isinstance(output, Tensor)
            return output

        groups = self.groups(size)
        last = groups[-1][0]

        def first_call(name: str, values: Tensor, held: int | None) -> Tensor:
            inputs[name] = values, held
            if name == last:
                raise _ReachedError  # what follows differs in every world
            outputs[name] = layer_of(name, values, held, (self.INTACT,))
            return outputs[name]

        by_world: dict[int, Tensor] = {}
        with intact(network), torch.no_grad():
            if self.applied.refers:
                self.applied(network, x, steps)
            with suppress(_ReachedError):
                network._flow(x, repeats, first_call)
            for first, members in groups:
                begins = self.order.index(first)

                def call(
                    name: str,
                    values: Tensor,
                    held: int | None,
                    first: str = first,
                    members: tuple[int, ...] = tuple(members),
                    begins: int = begins,
                ) -> Tensor:
                    if self.order.index(name) < begins:
                        before = outputs[name]
                        return before.repeat(1, len(members), *(1,) * (before.ndim - 2)) if network.joins else before
                    if name == first:
                        values, held = inputs[name]
                    sites = tuple(self._edits[world].get(name, {}) for world in members)
                    layers[name].edits = Edits(sites, n) if any(sites) else None
                    try:
                        return layer_of(name, values, held, members)
                    finally:
                        layers[name].edits = None

                found = self._logits(network._flow(x, repeats, call))
                by_world |= dict(zip(members, torch.split(found, n), strict=True))
        return by_world

    def _logits(self, output: Tensor) -> Tensor:
        mean = output.mean(0)
        votes = self.network.votes
        return mean.view(len(mean), -1, votes).mean(2) if votes else mean
