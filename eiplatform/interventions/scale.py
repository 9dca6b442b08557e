"""Weaken or strengthen a pathway."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eiplatform.errors import ConfigError, match_names
from eiplatform.lesions.apply import layers_with
from eiplatform.networks.network import Network
from eiplatform.networks.pathways import PathwayScale

__all__ = ["Scale"]

_WEIGHTS = {
    "input_exc": "weight_exc",
    "input_inh": "weight_inh_in",
    "subtractive": "weight_inh_out",
    "divisive": "weight_inh_out",
}
"""Weights of an E-I layer that a factor acts on."""


@dataclass(frozen=True)
class Scale:
    """Multiply the contribution of a pathway, wherever it arrives; all that follows obeys the network's dynamics.

    Parameters
    ----------
    pathway : str
        E.g. ``"I->E subtractive"``, ``"I->E divisive"``, ``"input->E"``, ``"input->I"``.
    factor : float
        0 removes the pathway, 0.8 leaves 80 % of it, 1.2 strengthens it by a fifth.
    layers : str
        Layer name or wildcard, e.g. ``"fc2"`` or ``"fc*"``.

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

    pathway: str
    factor: float
    layers: str = "*"

    def __post_init__(self) -> None:
        if not (isinstance(self.factor, int | float) and math.isfinite(self.factor) and self.factor >= 0):
            raise ConfigError(f"a factor of {self.factor!r} is not possible", where="Scale", valid="0 or more")
        if self.factor == 1:
            raise ConfigError("a factor of 1 changes nothing", where="Scale", valid="0 or more, not 1")
        if self.factor == 0 and self.pathway == "I->E divisive":
            raise ConfigError(
                "all of divisive inhibition cannot be removed: the gain would have no denominator",
                where="Scale",
                valid="a factor above 0 for 'I->E divisive'",
            )

    def factors(self, network: Network) -> Mapping[str, PathwayScale]:
        """Return the factor of every layer that matches."""
        having = layers_with(network, self.pathway)
        names = match_names([self.layers], having, f"layer with the pathway '{self.pathway}'")
        layers = network.named_layers()
        weights = [getattr(layers[name], _WEIGHTS.get(having[name], ""), None) for name in names]
        if all(values is not None and not bool(values.any()) for values in weights):
            raise ConfigError("this changes nothing: the weights of the pathway are all 0", where=str(self))
        scales: dict[str, PathwayScale] = {}
        for name in names:
            factor: dict[str, Any] = {having[name]: float(self.factor)}
            scales[name] = PathwayScale(**factor)
        return scales

    def about(self, network: Network) -> Mapping[str, Any]:
        """Return what the manifest of a recording says: the fraction that is removed, below 0 where it is added."""
        del network
        return {"pathway": self.pathway, "dose": 1.0 - self.factor, "layers": self.layers, "factor": self.factor}
