"""What systems are called, and in which order they stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["rank_of", "system_of"]

_ORDER = ("E-I", "BN", "plain", "STL", "circulate-firing", "IDE", "SPIDE", "feedback through time", "BackEISNN", "DANN")


def system_of(config: Mapping[str, Any]) -> str:
    """Return the name of the system that a configuration describes.

    Parameters
    ----------
    config : mapping
        As a recording of a network stores it.

    Examples
    --------
    >>> system_of({"network": {"layer": "bn"}}), system_of({"network": {"layer": "ei", "neuron": {"model": "stl"}}})
    ('BN', 'STL, E-I')
    """
    network = config["network"]
    neuron = network.get("neuron", {})
    layer: str = {"ei": "E-I", "bn": "BN", "none": "plain", "dann": "DANN"}.get(network["layer"], network["layer"])
    model = {"stl": "STL", "backei": "BackEISNN", "relu": "rates"}.get(neuron.get("model", "lif"), "")
    if network.get("architecture") == "feedback":
        ways = {"ide": "IDE", "spide": "SPIDE", "bptt": "feedback through time"}
        model = ways[network["feedback"]["gradient"]]
    elif neuron.get("max_spikes", 1) > 1 or neuron.get("negative_spikes") or neuron.get("learn_surrogate"):
        model = ", ".join(filter(None, [model, "circulate-firing"]))
    if not model or layer == "DANN":
        return layer
    # Those that are published with one type of layer are called by their own name alone.
    return model if layer == ("BN" if model in ("IDE", "SPIDE") else "plain") else f"{model}, {layer}"


def rank_of(name: str) -> int:
    """Return where a system stands: well-known kinds first."""
    first = name.split(",")[0]
    return _ORDER.index(first) if first in _ORDER else len(_ORDER)
