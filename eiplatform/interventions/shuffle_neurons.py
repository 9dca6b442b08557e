"""Give every neuron another neuron's contribution: the direct test of detailed balance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from eiplatform.errors import ConfigError
from eiplatform.interventions.intervention import At, Kind, Seen, on_pathway
from eiplatform.networks.intervening import Place
from eiplatform.networks.network import Network

__all__ = ["ShuffleNeurons"]


@dataclass(frozen=True, repr=False)
class ShuffleNeurons(Kind):
    """Give every neuron what another neuron receives in the same sample and step.

    What the population receives stays; what is matched to the single neuron goes.  Where own and cross correlation
    are equal it changes the variance of no net input on average: then the balance is not detailed.

    Parameters
    ----------
    target : str
        Pathway, e.g. ``"I->E subtractive"``, or populations, e.g. ``"fc1/I"``, whose outputs change places.
    within : {"layer", "place"}
        Of a convolution: exchange among all neurons, or among the channels at each place.
    layers, neurons, fraction, steps, samples, seed
        Where and when; see :class:`~eiplatform.interventions.intervention.Kind`.  Neurons that are named change
        places among themselves.

    Examples
    --------
    >>> import eiplatform as ei
    >>> ei.ShuffleNeurons("I->E subtractive", seed=2)
    ShuffleNeurons(target='I->E subtractive', seed=2)
    """

    target: str
    within: Literal["layer", "place"] = "layer"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.within not in ("layer", "place"):
            raise ConfigError(f"within={self.within!r}", where="ShuffleNeurons", valid="layer, place")
        if self.within == "place" and not (self.neurons is None and self.fraction is None):
            raise ConfigError("neurons change places within the layer", where="ShuffleNeurons", valid="within='layer'")

    def places(self, network: Network) -> tuple[Place, ...]:
        """Return the pathway in every layer that matches, or the output of the populations."""
        found = on_pathway(self, self.target, network)
        for place in found:
            self.order(place)
        return found

    def order(self, place: Place) -> np.ndarray:
        """Return whose contribution every neuron receives."""
        n = int(np.prod(place.shape))
        random = np.random.default_rng([self.seed, *place.layer.encode()])
        if self.within == "place":
            places = n // place.shape[0]
            return np.ravel(_cycle(place.shape[0], place, random)[:, None] * places + np.arange(places))
        order, chosen = np.arange(n), self.chosen(place)
        chosen = order if chosen is None else chosen
        order[chosen] = chosen[_cycle(len(chosen), place, random)]
        return order

    def change(self, values: Tensor, at: At) -> Tensor:
        """Exchange."""
        order = torch.from_numpy(self.order(at.place)).to(values.device)
        return values.flatten(2).index_select(2, order).view_as(values)

    def predict(self, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        """Predict ``<A> - <X>`` and ``V_A + V_X - 2 C`` with X of the other neuron."""
        net = seen.other - seen.values[..., self.order(seen.place)]
        return net.mean((0, 1)), net.var((0, 1))


def _cycle(n: int, place: Place, random: np.random.Generator) -> np.ndarray:
    """Return a permutation that leaves nobody in place: one cycle through all."""
    if n < 2:
        raise ConfigError(f"{n} neuron has nobody to change places with", where=f"ShuffleNeurons: {place.population}")
    drawn, order = random.permutation(n), np.empty(n, dtype=int)
    order[drawn] = np.roll(drawn, -1)
    return order
