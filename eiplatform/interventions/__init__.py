"""Interventions as data: what is changed in a network while it is recorded."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eiplatform.foreign.intervening import foreign_intervened
from eiplatform.foreign.network import ForeignNetwork
from eiplatform.interventions.add import Add
from eiplatform.interventions.bias import Bias
from eiplatform.interventions.clamp import Clamp
from eiplatform.interventions.delay import Delay
from eiplatform.interventions.freeze import Freeze
from eiplatform.interventions.mean import Mean
from eiplatform.interventions.mean_shift import MeanShift
from eiplatform.interventions.noise import Noise
from eiplatform.interventions.random_synapse_loss import RandomSynapseLoss
from eiplatform.interventions.resample import Resample
from eiplatform.interventions.scale import Scale
from eiplatform.interventions.shuffle_neurons import ShuffleNeurons
from eiplatform.interventions.silence import Silence
from eiplatform.networks.intervening import Intervention, intervened

__all__ = [
    "Add",
    "Bias",
    "Clamp",
    "Delay",
    "Freeze",
    "Intervention",
    "Mean",
    "MeanShift",
    "Noise",
    "RandomSynapseLoss",
    "Resample",
    "Scale",
    "ShuffleNeurons",
    "Silence",
    "intervene",
]


def intervene(network: Any, *interventions: Intervention) -> AbstractContextManager[Any]:
    """Run a network with some pathways changed; afterwards it is as it was, bit for bit.

    Parameters
    ----------
    network : Network, Run or adapted module
        Of a training it is the best network.  Of a module of another framework (:func:`eiplatform.adapt`,
        :func:`eiplatform.read_nir`) positive and negative weights can be scaled.
    *interventions : Intervention
        E.g. ``ei.Scale("I->E subtractive", 0.8, layers="fc*")``, ``ei.Silence("fc1/I", [3, 7])``; those on the
        same pathway multiply.

    Returns
    -------
    context manager
        Gives the network; what is recorded inside says under which interventions.

    Raises
    ------
    ConfigError
        If an intervention changes nothing, or is not possible.
    UnknownNameError
        If it names a pathway, layer or population that this network does not have.

    Examples
    --------
    >>> import eiplatform as ei
    >>> from eiplatform.config import load_config
    >>> from eiplatform.networks import build_network
    >>> network = build_network(load_config(None, ["network.hidden=[8]"]), (4,), 2)
    >>> with ei.intervene(network, ei.Scale("input->E", 0.5)) as changed:
    ...     changed.interventions[0]["dose"]
    0.5
    """
    found = getattr(network, "network", network)
    if isinstance(found, ForeignNetwork):
        return foreign_intervened(found, interventions)
    return intervened(found, interventions)
