"""Silence neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from eiplatform.errors import ConfigError, choose
from eiplatform.interventions.intervention import At, Kind, output_place, populations_of
from eiplatform.microcircuits.changes import Rates, silenced
from eiplatform.microcircuits.circuit import Circuit
from eiplatform.networks.intervening import Place
from eiplatform.networks.layers.ei import EIBase
from eiplatform.networks.network import Network
from eiplatform.networks.pathways import PathwayScale

__all__ = ["Silence"]


@dataclass(frozen=True, repr=False)
class Silence(Kind):
    """Silence neurons: cut what they send, what they receive, or both.

    Without their outgoing synapses they still fire, if they receive enough, and are recorded, but nobody notices.
    Without their incoming synapses a bias may still make them fire.

    Parameters
    ----------
    population : str
        E.g. ``"fc1/I"``; several by wildcard, ``"fc*/I"``.
    ids : sequence of int or array of bool, optional
        The same as `neurons`: which neurons; of a convolution's I neurons its channels.  Default: all.
    cuts : {"outgoing", "incoming", "both"}
        Which of their synapses.
    neurons, fraction, steps, samples, seed
        Which, a part of them, when; see :class:`~eiplatform.interventions.intervention.Kind`.

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
    ids: InitVar[Sequence[int] | None] = None
    cuts: Literal["outgoing", "incoming", "both"] = field(default="outgoing", kw_only=True)

    def __post_init__(self, ids: Sequence[int] | None = None) -> None:
        if ids is not None:
            if self.neurons is not None:
                raise ConfigError("neurons are named twice", where="Silence", remedy="name them once")
            object.__setattr__(self, "neurons", ids)
        super().__post_init__()
        if self.cuts not in ("outgoing", "incoming", "both"):
            raise ConfigError(f"cuts={self.cuts!r}", where="Silence", valid="outgoing, incoming, both")

    @classmethod
    def tuned(cls, recording: xr.DataTree, population: str, label: int, part: float = 0.1, **where: Any) -> Silence:
        """Silence the neurons that prefer a class most: their mean response to it, over that to the others.

        Parameters
        ----------
        recording : DataTree
            Of the intact network, with labels and all neurons of the population.
        population : str
        label : int
        part : float
            Of the population; neurons that never respond prefer nothing, and stay.
        **where
            ``cuts``, ``steps``, ``samples``.

        Raises
        ------
        ConfigError
            If neurons or the class were not recorded, or no neuron prefers it.

        Examples
        --------
        >>> import eiplatform as ei
        >>> short = {"training": {"epochs": 1, "warmup_epochs": 0}, "network": {"hidden": [20]}}
        >>> run = ei.train("digits-mlp", quiet=True, **short)
        >>> found = ei.Silence.tuned(ei.record(run.network, samples=60, quiet=True), "fc1/E", 3)
        >>> found.population, len(found.neurons)
        ('fc1/E', 2)
        """
        place = f"Silence.tuned: {population}"
        names = [str(name).strip("/") for name in recording.groups]
        data = recording[choose(population, names, "population", where=place)].to_dataset()
        n = int(data.attrs["n_neurons"])
        if data.sizes["neuron"] < n:
            raise ConfigError(f"{data.sizes['neuron']} of {n} neurons were recorded", where=place, valid="all of them")
        labels = data["label"].values
        choose(str(label), [str(one) for one in np.unique(labels)], "class", where=place)
        if not 0 < part <= 1:
            raise ConfigError(f"a part of {part}", where=place, valid="above 0, at most 1")
        signal = next(name for name in ("output", "spikes", "activity") if name in data)
        mean = abs(data[signal]).mean("time").transpose("sample", "neuron").values
        own, other = mean[labels == label].mean(0), mean[labels != label].mean(0)
        preference = np.divide(own - other, own + other, out=np.full(n, -1.0), where=own + other > 0)
        order = np.argsort(-preference, kind="stable")[: max(1, round(part * n))]
        chosen = np.sort(data["neuron"].values[order[preference[order] > 0]])
        if not chosen.size:
            raise ConfigError(f"no neuron prefers class {label}", where=place)
        return cls(population, chosen.tolist(), **where)

    def places(self, network: Network) -> tuple[Place, ...]:
        """Return what the neurons send and receive."""
        found = []
        infos, layers = network.populations(), network.named_layers()
        for name in populations_of(network, self.population, self.layers, "Silence"):
            layer, _, role = name.rpartition("/")
            if self.cuts != "incoming":
                found.append(output_place(network, name))
            if self.cuts != "outgoing":
                routes = [route for route in layers[layer].routes if route.target == role and route.mode != "divisive"]
                found += [Place(layer, route.factor, role, route.signal, infos[name].shape) for route in routes]
            self._check(network, layer, role)
        return tuple(found)

    def _check(self, network: Network, name: str, role: str) -> None:
        """Refuse what leaves the gain without a denominator, or changes nothing."""
        layer = network.named_layers()[name]
        where = f"Silence: {name}/{role}"
        if not isinstance(layer, EIBase) or role != "I":
            return
        n_inh = layer.channels["I"]
        channels = self._channels(layer, where)
        if len(channels) == n_inh and layer.spiking:
            raise ConfigError(
                "all neurons of this population cannot be silenced: the gain would have no denominator",
                where=where,
                valid=f"up to {n_inh - 1} of its {n_inh} neurons",
                remedy="use Scale('I->E subtractive', 0)",
            )
        already = 1.0 if layer.lesion is None or layer.lesion.mask_inh is None else layer.lesion.mask_inh
        if not bool((layer.weight_inh_out * already)[:, channels].any()):
            raise ConfigError("this changes nothing: these neurons inhibit nobody", where=where)

    def _channels(self, layer: EIBase, where: str) -> list[int]:
        n_inh = layer.channels["I"]
        if self.fraction is not None:
            place = Place(where.rpartition("/")[0].removeprefix("Silence: "), "output/I", "I", "activity", (n_inh,))
            chosen = self.chosen(place)
            assert chosen is not None
            return [int(channel) for channel in chosen]
        chosen_ids = list(range(n_inh)) if self.neurons is None else list(self.neurons)
        wrong = [neuron for neuron in chosen_ids if not 0 <= neuron < n_inh]
        if wrong or not chosen_ids:
            what = f"neurons {wrong[:5]} do not exist" if wrong else "no neurons are named, so that nothing changes"
            raise ConfigError(what, where=where, valid=f"0 to {n_inh - 1}")
        return chosen_ids

    def chosen(self, place: Place) -> np.ndarray | None:
        """Return the neurons at a place; of I neurons on maps all of the channels."""
        if place.role == "I" and len(place.shape) == 3:
            channels = super().chosen(place._replace(shape=place.shape[:1]))
            size = int(np.prod(place.shape[1:]))
            return None if channels is None else (channels[:, None] * size + np.arange(size)).ravel()
        return super().chosen(place)

    def factors(self, network: Network) -> Mapping[str, PathwayScale] | None:
        """Return the mask of a layer's I neurons, where their outgoing synapses are cut in all steps and samples."""
        names = populations_of(network, self.population, self.layers, "Silence")
        layers = {name: network.named_layers()[name.rpartition("/")[0]] for name in names}
        plain = all(isinstance(layer, EIBase) and name.endswith("/I") for name, layer in layers.items())
        if not plain or self.cuts != "outgoing" or self.steps is not None or self.samples is not None:
            return None
        found = {}
        for name, layer in layers.items():
            assert isinstance(layer, EIBase)
            mask = torch.ones(layer.channels["I"])
            mask[self._channels(layer, f"Silence: {name}")] = 0
            found[name.rpartition("/")[0]] = PathwayScale(mask_inh=mask)
        return found

    def change(self, values: Tensor, at: At) -> Tensor:
        """Send, or receive, nothing."""
        del at
        return torch.zeros_like(values)

    def on_circuit(self, circuit: Circuit, rates: Rates) -> Mapping[str, float]:
        """Cut the outgoing synapses."""
        del rates
        return silenced(circuit, self.population, self.cuts, self.fraction)

    def on_weights(self, weights: Tensor, place: Place) -> Tensor:
        """Cut the incoming synapses: who receives what a foreign module sends is not known."""
        if self.cuts != "incoming":
            raise ConfigError(
                f"cuts='{self.cuts}' is not possible in a foreign module", where="Silence", valid="cuts='incoming'"
            )
        return torch.zeros_like(weights)

    def about(self, network: Network) -> Mapping[str, Any]:
        """Return what the manifest of a recording says; the dose is the fraction of neurons."""
        name = populations_of(network, self.population, self.layers, "Silence")[0]
        layer, _, role = name.rpartition("/")
        shape = network.populations()[name].shape
        if role == "I":  # of maps the channels
            shape = shape[:1]
        chosen = super().chosen(Place(layer or name, "", role, "", shape))
        n = int(np.prod(shape))
        ids = list(range(n)) if chosen is None else [int(neuron) for neuron in chosen]
        about = {**super().about(network), "pathway": f"silence {self.population}", "dose": len(ids) / n}
        return about | {"layers": layer or name, "neurons": ids}
