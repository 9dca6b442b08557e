"""Running a network with some of its pathways changed, and taking that back bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar

from eiplatform.errors import ConfigError
from eiplatform.networks.layer import Layer
from eiplatform.networks.pathways import Factor, PathwayScale

__all__ = ["Intervention", "combined", "intervened"]


class Changeable(Protocol):
    """A network whose layers can be changed for a while."""

    interventions: tuple[Mapping[str, Any], ...]

    def named_layers(self) -> Mapping[str, Layer]:
        """Return the layers by name."""


_KNOWN = ("Scale(...)", "Silence(...)")
_Network = TypeVar("_Network", bound=Changeable)


class Intervention(Protocol):
    """A change of a network, as data; :mod:`eiplatform.interventions` has them."""

    def factors(self, network: Any) -> Mapping[str, PathwayScale]:
        """Return the factors on the pathways of every layer that changes, checked against this network."""

    def about(self, network: Any) -> Mapping[str, Any]:
        """Return what the manifest of a recording says."""


def intervened(network: _Network, interventions: Sequence[Intervention]) -> AbstractContextManager[_Network]:
    """Run a network under interventions; those on the same pathway multiply.

    Parameters
    ----------
    network : Network
    interventions : sequence of Intervention

    Returns
    -------
    context manager
        Gives the same object, with what is done to it in ``network.interventions``; on exit it is as it was.

    Raises
    ------
    ConfigError
        If no intervention is given, or one changes nothing.
    UnknownNameError
        If one names what this network does not have.
    """
    if not callable(getattr(network, "named_layers", None)):
        raise ConfigError(
            f"a {type(network).__name__} has no pathways to change",
            where="intervene",
            valid="a network of ei.train or ei.load",
        )
    if not interventions:
        raise ConfigError("no intervention is given", where="intervene", valid=_KNOWN)
    for one in interventions:
        if not callable(getattr(one, "factors", None)):
            raise ConfigError(f"{one!r} is not an intervention", where="intervene", valid=_KNOWN)
    return _while_changed(network, interventions)


@contextmanager
def _while_changed(network: _Network, interventions: Sequence[Intervention]) -> Iterator[_Network]:
    layers = network.named_layers()
    asked = [one.factors(network) for one in interventions]  # all are checked before anything changes
    about = tuple(dict(one.about(network)) for one in interventions)
    before = {name: layers[name].lesion for factors in asked for name in factors}
    outer = network.interventions
    try:
        for factors in asked:
            for name, scale in factors.items():
                layers[name].lesion = combined(layers[name].lesion, scale)
        network.interventions = (*outer, *about)
        yield network
    finally:
        network.interventions = outer
        for name, scale_before in before.items():
            layers[name].lesion = scale_before


def combined(first: PathwayScale | None, second: PathwayScale) -> PathwayScale:
    """Return the product of two sets of factors.

    Examples
    --------
    >>> combined(PathwayScale(subtractive=0.5), PathwayScale(subtractive=0.5, input_exc=2.0)).subtractive
    0.25
    """
    if first is None:
        return second

    def product(one: Factor, other: Factor) -> Factor:
        return other if one is None else one if other is None else one * other

    return PathwayScale(*map(product, first, second))  # type: ignore[arg-type]  # a mask times a mask is a mask
