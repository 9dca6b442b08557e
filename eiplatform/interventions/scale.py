"""Weaken or strengthen a pathway."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from eiplatform.errors import ConfigError
from eiplatform.interventions.intervention import At, Kind, Seen
from eiplatform.microcircuits.changes import Rates, scaled
from eiplatform.microcircuits.circuit import Circuit
from eiplatform.networks.intervening import Place
from eiplatform.networks.network import Network
from eiplatform.networks.pathways import PathwayScale

__all__ = ["Scale"]


@dataclass(frozen=True, repr=False)
class Scale(Kind):
    """Multiply the contribution of a pathway, wherever it arrives; all that follows obeys the network's dynamics.

    Biases stay as they are.  The dose of a lesion is ``1 - factor``; below 0 the pathway is strengthened.

    Parameters
    ----------
    target : str
        Pathway, e.g. ``"I->E subtractive"``, ``"I->E divisive"``, ``"input->E"``, ``"input->I"``, or populations,
        e.g. ``"fc1/I"``, whose output is then multiplied.
    factor : float
        0 removes the pathway, 0.8 leaves 80 % of it, 1.2 strengthens it by a fifth, 1 changes nothing.
    layers, neurons, fraction, steps, samples, seed
        Where and when; see :class:`~eiplatform.interventions.intervention.Kind`.

    Examples
    --------
    >>> import eiplatform as ei
    >>> from eiplatform.config import load_config
    >>> from eiplatform.networks import build_network
    >>> network = build_network(load_config(None, ["network.hidden=[8]"]), (4,), 2)
    >>> with network.intervene(ei.Scale("I->E subtractive", 0.8, layers="fc*")):
    ...     network.named_layers()["fc1"].lesion.subtractive
    0.8
    """

    target: str
    factor: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.factor, int | float) and math.isfinite(self.factor) and self.factor >= 0):
            raise ConfigError(f"a factor of {self.factor!r} is not possible", where="Scale", valid="0 or more")
        if self.factor == 0 and self.target == "I->E divisive":
            raise ConfigError(
                "all of divisive inhibition cannot be removed: the gain would have no denominator",
                where="Scale",
                valid="a factor above 0 for 'I->E divisive', a dose below 1",
            )

    @property
    def dose(self) -> float:
        """Fraction that is removed; below 0 where the pathway is strengthened."""
        return round(1.0 - self.factor, 12)  # 0.1, not 1 - 0.9

    def factors(self, network: Network) -> Mapping[str, PathwayScale] | None:
        """Return the factor of every layer that matches."""
        places = self.places(network)
        layers = network.named_layers()
        if all(not layers[place.layer].reaches(place.site) for place in places):
            raise ConfigError("this changes nothing: the weights of the pathway are all 0", where=repr(self))
        if not self.everywhere or any(place.site.startswith("output/") for place in places):
            return None
        scales: dict[str, PathwayScale] = {}
        for place in places:
            factor: dict[str, Any] = {place.site: float(self.factor)}
            scales[place.layer] = PathwayScale(**factor)
        return scales

    def change(self, values: Tensor, at: At) -> Tensor:
        """Multiply."""
        del at
        return values * self.factor

    def about(self, network: Network) -> Mapping[str, Any]:
        """Return what the manifest of a recording says: the fraction that is removed, below 0 where it is added."""
        return {**super().about(network), "dose": self.dose, "factor": self.factor}

    def on_circuit(self, circuit: Circuit, rates: Rates) -> Mapping[str, float]:
        """Multiply the strength of the synapses, e.g. of ``"I->E"``, ``"I->E+I"``, ``"L4I->*"``."""
        del rates
        return scaled(circuit, self.target, self.factor, self.fraction)

    def on_weights(self, weights: Tensor, place: Place) -> Tensor:
        """Multiply."""
        del place
        return weights * self.factor

    def predict(self, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        """Predict ``<A> - f <X>`` and ``V_A + f^2 V_X - 2 f C``."""
        return changed(seen, self.factor * seen.values.mean((0, 1)), self.factor**2, self.factor)


def changed(seen: Seen, mean: np.ndarray, of_variance: float, of_covariance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of ``other - values`` where the values' mean and second moments are multiplied."""
    other = seen.other.mean((0, 1))
    covariance = ((seen.other - other) * (seen.values - seen.values.mean((0, 1)))).mean((0, 1))
    variance = seen.other.var((0, 1)) + of_variance * seen.values.var((0, 1)) - 2 * of_covariance * covariance
    return other - mean, variance
