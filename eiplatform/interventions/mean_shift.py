"""Shift the net input as a lesion would on average, and remove nothing: a control."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from eiplatform.errors import ConfigError
from eiplatform.interventions.intervention import At, Kind, Seen, on_pathway
from eiplatform.networks.intervening import Place
from eiplatform.networks.network import Network

__all__ = ["MeanShift"]


@dataclass(frozen=True, repr=False)
class MeanShift(Kind):
    """Add to every neuron's opposite current what a lesion of a dose takes on average over samples and steps.

    The mean of the net input becomes that of the lesion, the inhibition stays whole: what a lesion does beyond
    this is not a matter of the operating point.

    Parameters
    ----------
    target : str
        Pathway of excitation or of subtractive inhibition onto E, e.g. ``"I->E subtractive"``.
    dose : float
        Of the lesion; below 0 the shift is that of a strengthened pathway.
    layers, neurons, fraction, steps, samples, seed
        Where and when; see :class:`~eiplatform.interventions.intervention.Kind`.

    Examples
    --------
    >>> import eiplatform as ei
    >>> ei.MeanShift("I->E subtractive", 0.2, layers="fc1")
    MeanShift(target='I->E subtractive', dose=0.2, layers='fc1')
    """

    target: str
    dose: float
    needs: ClassVar[frozenset[str]] = frozenset({"moments"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.dose) and self.dose <= 1 and self.dose != 0):
            raise ConfigError(f"a dose of {self.dose}", where="MeanShift", valid="at most 1, not 0")

    def referred(self, network: Network) -> tuple[Place, ...]:
        """Return the pathway in every layer that matches."""
        return on_pathway(self, self.target, network, "none")

    def places(self, network: Network) -> tuple[Place, ...]:
        """Return the current that grows: of a positive dose the opposite one, else the pathway itself."""
        found = []
        layers = network.named_layers()
        for place in self.referred(network):
            routes = {route.factor: route for route in layers[place.layer].routes if route.target == place.role}
            own = routes[place.site]
            signs = {route.sign: route for route in reversed(list(routes.values()))}
            other = signs.get("+" if own.sign == "-" else "-")
            if own.mode == "divisive" or other is None:
                raise ConfigError(
                    f"'{self.target}' adds nothing to the net input that could be shifted",
                    where="MeanShift",
                    valid=[route.name for route in routes.values() if route.mode != "divisive"],
                )
            grows = other if self.dose > 0 else own
            found.append(Place(place.layer, grows.factor, place.role, grows.signal, place.shape, place.site))
        return tuple(found)

    def change(self, values: Tensor, at: At) -> Tensor:
        """Add the mean that the lesion takes."""
        grows = at.place
        where = (grows.layer, grows.source, grows.role)
        source = next(place for place in at.reference.mean if (place.layer, place.site, place.role) == where)
        return values + abs(self.dose) * at.reference.mean[source].mean(0).to(values.device, values.dtype)

    def predict(self, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        """Move the mean as the lesion does, keep the variance."""
        mean = (seen.values if self.dose < 0 else seen.other).mean((0, 1))
        net = seen.other - seen.values
        return net.mean((0, 1)) - abs(self.dose) * mean, net.var((0, 1))
