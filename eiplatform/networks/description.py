"""What a network says about itself: its populations and its pathways."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Pathway", "PopulationInfo", "Route"]


class PopulationInfo(NamedTuple):
    """One population of a network.

    Attributes
    ----------
    role : {"E", "I", "mixed"}
        The neurons of a network without Dale's law stand as ``E``; those of a foreign network,
        whose outgoing weights have either sign, as ``mixed``.
    shape : tuple of int
        ``(neurons,)``, or ``(channels, rows, columns)`` of a convolutional layer.
    signals : tuple of str
        What can be recorded.
    parameters : dict of str to array, shape (n_neurons,)
        ``bias`` and ``gain_exc`` of the E neurons of hidden layers.
    threshold, decay : float or None
        Of spiking neurons; ``decay`` is ``1 - 1/tau``.
    reset : {"soft", "hard"} or None
    attrs : mapping
        Further attributes for the store, e.g. ``sign_rule`` of a foreign network.
    """

    role: str
    shape: tuple[int, ...]
    signals: tuple[str, ...]
    parameters: dict[str, np.ndarray]
    threshold: float | None
    decay: float | None
    reset: str | None
    attrs: Mapping[str, Any] = MappingProxyType({})

    @property
    def n_neurons(self) -> int:
        """Number of neurons; their index counts channels, then rows, then columns."""
        return int(np.prod(self.shape))


class Route(NamedTuple):
    """A pathway of one kind of layer, before the layer has a name.

    Attributes
    ----------
    name : str
    source, target : str
        ``input`` or a role.
    sign, mode, factor : str
        As in :class:`Pathway`.
    signal : str
        Signal of the target that is this pathway's contribution.
    """

    name: str
    source: str
    target: str
    sign: str
    mode: str
    factor: str
    signal: str


class Pathway(NamedTuple):
    """One pathway of a network.

    Attributes
    ----------
    layer : str
    name : str
        ``input->E``, ``input->I``, ``I->E subtractive`` or ``I->E divisive``; without Dale's
        law ``input->E`` (the positive weights) and ``input->E subtractive`` (the negative).
    source, target : str
        Populations; the source of the first layer is ``input``, and where spikes of several
        populations are added, their names are joined by `` + ``.
    sign : {"+", "-", "/"}
    mode : {"additive", "subtractive", "divisive"}
    factor : str
        Field of :class:`~eiplatform.networks.pathways.PathwayScale` that scales it.
    signal : str
        Signal of the target that is its contribution.
    """

    layer: str
    name: str
    source: str
    target: str
    sign: str
    mode: str
    factor: str
    signal: str
