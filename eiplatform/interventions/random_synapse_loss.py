"""Lose synapses at random, whatever their sign: the control of a lesion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eiplatform.errors import ConfigError, match_names
from eiplatform.interventions.intervention import At, Kind
from eiplatform.networks.edits import NoWeights
from eiplatform.networks.intervening import Place
from eiplatform.networks.network import Network
from eiplatform.networks.pathways import PathwayScale

__all__ = ["RandomSynapseLoss"]

_LOST = ("input_exc", "subtractive")


@dataclass(frozen=True, repr=False)
class RandomSynapseLoss(Kind):
    """Every synapse onto E neurons (excitatory and subtractive) is lost with the same probability.

    A loss of a larger part includes those of a smaller one with the same seed.  A synapse of a convolution is an
    entry of its kernel, lost at all places.

    Parameters
    ----------
    part : float
        Probability, 0 to 1.
    layers, steps, samples, seed
        Where, when, and which synapses; see :class:`~eiplatform.interventions.intervention.Kind`.

    Examples
    --------
    >>> import eiplatform as ei
    >>> from eiplatform.config import load_config
    >>> from eiplatform.networks import build_network
    >>> network = build_network(load_config(None, ["network.hidden=[8]"]), (4,), 2)
    >>> with network.intervene(ei.RandomSynapseLoss(0.5, layers="fc1")):
    ...     network.named_layers()["fc1"].lesion.input_exc.shape
    torch.Size([8, 4])
    """

    part: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.part <= 1:
            raise ConfigError(f"a loss of {self.part}", where="RandomSynapseLoss", valid="0 to 1")

    def places(self, network: Network) -> tuple[Place, ...]:
        """Return excitation and subtractive inhibition of every layer that matches."""
        layers, infos = network.named_layers(), network.populations()
        found = []
        for name in match_names([self.layers], layers, "layer"):
            routes = [route for route in layers[name].routes if route.factor in _LOST and route.target == "E"]
            found += [Place(name, route.factor, "E", route.signal, infos[f"{name}/E"].shape) for route in routes]
        return tuple(found)

    def factors(self, network: Network) -> Mapping[str, PathwayScale] | None:
        """Return the masks, where they are lost in all neurons, steps and samples."""
        if not self.everywhere:
            return None
        layers = network.named_layers()
        found: dict[str, dict[str, Any]] = {}
        for place in self.places(network):
            found.setdefault(place.layer, {})[place.site] = self._kept(place, layers[place.layer].synapses(place.site))
        return {name: PathwayScale(**masks) for name, masks in found.items()}

    def change(self, values: Tensor, at: At) -> Tensor:
        """Recompute without the lost synapses."""
        try:
            return at.again(lambda weight: self._kept(at.place, weight).to(weight))
        except NoWeights:
            raise ConfigError(
                "its spikes have signs: a synapse both excites and inhibits",
                where=f"RandomSynapseLoss: {at.place.layer}",
                valid="a layer whose inputs are 0 or more",
            ) from None

    def on_weights(self, weights: Tensor, place: Place) -> Tensor:
        """Lose the same synapses, whatever their sign."""
        return weights * self._kept(place, weights).to(weights)

    def _kept(self, place: Place, weight: Tensor) -> Tensor:
        """Return which synapses are left."""
        return _mask(self.part, self.seed, f"{place.layer}/{place.site}", tuple(weight.shape))


@lru_cache(maxsize=64)
def _mask(part: float, seed: int, where: str, shape: tuple[int, ...]) -> Tensor:
    random = np.random.default_rng([seed, *where.encode()])
    return torch.from_numpy(random.random(shape) >= part)
