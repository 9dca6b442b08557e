"""Inject a current: the perturbation of E or I cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from torch import Tensor

from eiplatform.errors import ConfigError
from eiplatform.interventions.intervention import At, Kind, Seen, on_pathway, populations_of
from eiplatform.microcircuits.changes import Rates, driven
from eiplatform.microcircuits.circuit import Circuit
from eiplatform.networks.intervening import Place
from eiplatform.networks.network import Network

__all__ = ["Add"]


@dataclass(frozen=True, repr=False)
class Add(Kind):
    """Add a constant current to what neurons receive, as light or an electrode would.

    A positive current adds to a population's excitation, a negative one to its inhibition; neurons without
    inhibition (the graded I neurons of E-I layers) receive it directly and do not fall below 0.

    Parameters
    ----------
    target : str
        Populations that receive it, e.g. ``"fc1/I"``, ``"fc*/E"``, or a pathway, to whose contribution it is added.
    amount : float
        In the unit of the current, or in means.
    unit : {"current", "mean"}
        ``"mean"``: in units of the mean of that contribution over neurons, samples and steps of the intact network.
    layers, neurons, fraction, steps, samples, seed
        Where and when; see :class:`~eiplatform.interventions.intervention.Kind`.  ``fraction=0.2`` stimulates a fifth
        of the cells.

    Examples
    --------
    >>> import eiplatform as ei
    >>> ei.Add("fc1/I", 0.1, fraction=0.2)
    Add(target='fc1/I', amount=0.1, fraction=0.2)
    """

    target: str
    amount: float
    unit: Literal["current", "mean"] = "current"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not math.isfinite(self.amount) or self.amount == 0:
            raise ConfigError(f"an amount of {self.amount}", where="Add", valid="a number, not 0")
        if self.unit not in ("current", "mean"):
            raise ConfigError(f"unit={self.unit!r}", where="Add", valid="current, mean")
        if self.amount < 0 and "->" in self.target:
            raise ConfigError(
                "a pathway cannot contribute less than nothing", where="Add", remedy="use Scale, or name a population"
            )

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        """The moments, if the amount is relative."""
        return frozenset({"moments"} if self.unit == "mean" else ())

    def places(self, network: Network) -> tuple[Place, ...]:
        """Return where the current arrives."""
        if "->" in self.target or "/" not in self.target:
            return on_pathway(self, self.target, network, "none")
        found = []
        infos, layers = network.populations(), network.named_layers()
        for population in populations_of(network, self.target, self.layers, "Add"):
            layer, _, role = population.rpartition("/")
            routes = [route for route in layers[layer].routes if route.target == role and route.mode != "divisive"]
            signs = {route.sign: route for route in reversed(routes)}
            route: Any = signs.get("-" if self.amount < 0 else "+", routes[0])
            found.append(Place(layer, route.factor, role, route.signal, infos[population].shape))
        return tuple(found)

    def change(self, values: Tensor, at: At) -> Tensor:
        """Add."""
        amount = self.amount
        if self.unit == "mean":
            amount *= float(at.reference.mean[at.place].mean())
        if amount < 0 and at.place.signal != "activity":
            amount = -amount  # more inhibition
        return (values + amount).clamp(min=0)

    def on_circuit(self, circuit: Circuit, rates: Rates) -> Mapping[str, float]:
        """Add to the external drive; in ``"mean"`` of it where the circuit's drive is a multiple of one."""
        del rates
        return driven(circuit, self.target, self.amount, self.unit, self.fraction)

    def predict(self, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        """Move the mean, keep the variance."""
        amount = abs(self.amount) * (float(seen.mean.mean()) if self.unit == "mean" else 1.0)
        net = seen.other - seen.values
        return net.mean((0, 1)) - amount, net.var((0, 1))
