"""Silence single inhibitory neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from eiplatform.errors import ConfigError, choose
from eiplatform.networks.layers.ei import EIBase
from eiplatform.networks.network import Network
from eiplatform.networks.pathways import PathwayScale

__all__ = ["Silence"]


@dataclass(frozen=True)
class Silence:
    """Silence inhibitory neurons: they inhibit nobody, neither subtractively nor divisively.

    Parameters
    ----------
    population : str
        E.g. ``"fc1/I"``.
    neurons : sequence of int, optional
        Which neurons (channels of a convolution); default: all.

    Examples
    --------
    >>> import eiplatform as ei
    >>> from eiplatform.config import load_config
    >>> from eiplatform.networks import build_network
    >>> network = build_network(load_config(None, ["network.hidden=[8]"]), (4,), 2)
    >>> with network.intervene(ei.Silence("fc1/I", [1])):
    ...     network.named_layers()["fc1"].lesion.mask_inh.tolist()
    [1.0, 0.0]
    """

    population: str
    neurons: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if self.neurons is not None:
            object.__setattr__(self, "neurons", tuple(int(neuron) for neuron in self.neurons))

    def factors(self, network: Network) -> Mapping[str, PathwayScale]:
        """Return the mask of the layer's I neurons."""
        layers = {name: layer for name, layer in network.named_layers().items() if isinstance(layer, EIBase)}
        populations = [f"{name}/I" for name in layers]
        if not populations:
            raise ConfigError(
                "this network has no layers of excitatory and inhibitory neurons", where="Silence", remedy="use Scale"
            )
        name = choose(self.population, populations, "inhibitory population", where="Silence").rpartition("/")[0]
        layer = layers[name]
        n_inh = layer.channels["I"]
        chosen = list(range(n_inh) if self.neurons is None else self.neurons)
        wrong = [neuron for neuron in chosen if not 0 <= neuron < n_inh]
        if wrong or not chosen:
            what = f"neurons {wrong[:5]} do not exist" if wrong else "no neurons are named, so that nothing changes"
            raise ConfigError(what, where=f"Silence: {self.population}", valid=f"0 to {n_inh - 1}")
        if len(chosen) == n_inh and layer.spiking:
            raise ConfigError(
                "all neurons of this population cannot be silenced: the gain would have no denominator",
                where=f"Silence: {self.population}",
                valid=f"up to {n_inh - 1} of its {n_inh} neurons",
                remedy="use Scale('I->E subtractive', 0)",
            )
        already = 1.0 if layer.lesion is None or layer.lesion.mask_inh is None else layer.lesion.mask_inh
        if not bool((layer.weight_inh_out * already)[:, chosen].any()):
            raise ConfigError("this changes nothing: these neurons inhibit nobody", where=f"Silence: {self.population}")
        mask = torch.ones(n_inh)
        mask[chosen] = 0
        return {name: PathwayScale(mask_inh=mask)}

    def about(self, network: Network) -> Mapping[str, Any]:
        """Return what the manifest of a recording says; the dose is the fraction of neurons."""
        layer = self.population.rpartition("/")[0]
        n_inh = network.named_layers()[layer].channels["I"]
        chosen = list(range(n_inh) if self.neurons is None else dict.fromkeys(self.neurons))
        told = {"pathway": f"silence {self.population}", "dose": len(chosen) / n_inh, "layers": layer}
        return told | {"neurons": chosen}
