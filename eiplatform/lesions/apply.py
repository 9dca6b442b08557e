"""Applying lesions to a network, and taking them back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from eiplatform.errors import UnknownNameError, match_names, suggest
from eiplatform.lesions.spec import Lesion
from eiplatform.networks.network import Network
from eiplatform.networks.pathways import PathwayScale

__all__ = ["layers_with", "lesioned"]


def layers_with(network: Network, pathway: str) -> dict[str, str]:
    """Return the factor that scales a pathway (see :mod:`eiplatform.networks.pathways`), by layer that has it.

    Raises
    ------
    UnknownNameError
        If no layer has it.
    """
    having = {found.layer: found.factor for found in network.pathways() if found.name == pathway}
    if not having:
        names = dict.fromkeys(found.name for found in network.pathways())
        near = suggest(pathway, names)
        raise UnknownNameError(f"this network has no pathway '{pathway}'{near}", where="lesion", valid=names)
    return having


@contextmanager
def lesioned(network: Network, lesions: Sequence[Lesion]) -> Iterator[Network]:
    """Run a network with some pathways weakened; on exit it is as it was, to the last bit.

    Parameters
    ----------
    network : Network
    lesions : sequence of Lesion
        Lesions of one pathway multiply; a dose of 0 changes nothing at all.

    Yields
    ------
    Network
        The same object.

    Raises
    ------
    UnknownNameError
        If the network does not have the pathway, or no layer that matches.

    Examples
    --------
    >>> from eiplatform.config import load_config
    >>> from eiplatform.networks import build_network
    >>> network = build_network(load_config(None, ["network.hidden=[8]"]), (4,), 2)
    >>> with lesioned(network, [Lesion(pathway="I->E subtractive", dose=0.25)]):
    ...     network.named_layers()["fc1"].lesion.subtractive
    0.75
    >>> network.named_layers()["fc1"].lesion is None
    True
    """
    circuits = network.named_layers()
    scales: dict[str, dict[str, float]] = {}
    for lesion in lesions:
        having = layers_with(network, lesion.pathway)
        for layer in match_names([lesion.layers], having, f"layer with the pathway '{lesion.pathway}'"):
            if lesion.dose > 0:
                factors = scales.setdefault(layer, {})
                factors[having[layer]] = factors.get(having[layer], 1.0) * lesion.remaining
    before = {layer: circuits[layer].lesion for layer in scales}
    try:
        for layer, factors in scales.items():
            circuits[layer].lesion = PathwayScale(**factors)  # type: ignore[arg-type]  # mask_inh is no pathway
        yield network
    finally:
        for layer, scale in before.items():
            circuits[layer].lesion = scale
