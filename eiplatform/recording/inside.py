"""Which moments are formed inside the layers, and what they become in a recording.

Where all neurons are reduced to moments and nothing else, the layers form them while the signals
are in the cache (:mod:`eiplatform.networks.kernels.moments`); of the signals themselves only some neurons are
returned, for the sum rules.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from eiplatform.networks.kernels.moments import Moments
from eiplatform.networks.layers.ei import EILayer
from eiplatform.networks.network import Network
from eiplatform.recording.plan import Plan, Recordable

__all__ = ["CHECKED_NEURONS", "LayerMoments", "formed_inside"]

CHECKED_NEURONS = 64
"""On which the sum rules are checked before signals are reduced."""

_FIELDS = {
    "E/current_exc": "exc",
    "E/current_inh": "inh",
    "E/current_net": "net",
    "E/inhibition_div": "div",
    "E/gain": "gain",
    "E/drive": "drive",
    "E/voltage": "voltage",
    "E/spikes": "spikes",
    "I/current_exc": "activity",
    "I/activity": "activity",
}

State = tuple[int, np.ndarray, np.ndarray]


def formed_inside(network: Recordable, plan: Plan, device: str) -> dict[str, frozenset[str]]:
    """Return the signals, by population, whose moments the layers form themselves.

    Parameters
    ----------
    network : Recordable
        Only a :class:`~eiplatform.networks.Network` has such layers: its hidden E-I layers.
    plan : Plan
    device : str
        Its type; under autocast the layers have no currents that could be summed.
    """
    network = getattr(network, "module", network)
    if plan.reductions != {"moments"} or not isinstance(network, Network) or torch.is_autocast_enabled(device):
        return {}
    found = {}
    for name, circuit in network.named_layers().items():
        if not isinstance(circuit, EILayer) or circuit.stepwise is not None or circuit.edits is not None:
            continue
        for role in "EI":
            population = f"{name}/{role}"
            if population not in plan.signals or len(plan.neurons[population]) < plan.infos[population].n_neurons:
                continue
            signals = plan.signals[population] - set(plan.stored(population))
            if role == "I" and circuit.lesion is not None and circuit.lesion.mask_inh is not None:
                signals -= {"activity"}  # masked after the layer's own
            found[population] = frozenset(signals)
    return {population: signals for population, signals in found.items() if signals}


class LayerMoments:
    """The moments that the layers form of one shard.

    Parameters
    ----------
    plan : Plan
    signals : mapping of str to frozenset of str
        As of :func:`formed_inside`.
    """

    def __init__(self, plan: Plan, signals: Mapping[str, frozenset[str]]) -> None:
        self.signals = dict(signals)
        self._infos = plan.infos
        fields: dict[str, set[str]] = {}
        for population, names in self.signals.items():
            layer, _, role = population.rpartition("/")
            fields.setdefault(layer, set()).update(_FIELDS[f"{role}/{name}"] for name in names)
        spec = plan.spec
        self.moments = {
            layer: Moments(sorted(names), warmup=spec.warmup, every=spec.every) for layer, names in fields.items()
        }

    def result(self, population: str) -> dict[str, State]:
        """Return n, mean and sum of squared deviations (neuron,) of every signal of a population."""
        layer, _, role = population.rpartition("/")
        shape = self._infos[population].shape
        found: dict[str, State] = {}
        for name in sorted(self.signals.get(population, ())):
            n, *values = self.moments[layer].result(_FIELDS[f"{role}/{name}"])
            mean, squares = (_in_order(x, shape) for x in values)
            found[name] = (n, mean, squares)
        return found


def _in_order(x: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """Return values (places, channels) in the order of the neurons."""
    assert x.shape[1] == shape[0]
    ordered: np.ndarray = x.T.flatten().cpu().numpy()
    return ordered
