"""What a pass tells: a current has arrived."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from eiplatform.foreign.current import Current
from eiplatform.foreign.neurons import Neuron

__all__ = ["Event"]


class Event(NamedTuple):
    """A current has arrived.

    Attributes
    ----------
    population : str
    drive : Tensor
        All that arrives.
    current : Current or None
        Its parts; None where it was not followed so far.
    state : dict of str to Tensor or None
        ``voltage``, ``spikes``, ``activity``.
    neuron : Neuron or None
        Of a module of neurons.
    reason : str
        Why the parts are not known.
    complete : bool
        Whether `drive` is all that arrives.
    """

    population: str
    drive: Tensor
    current: Current | None
    state: dict[str, Tensor | None]
    neuron: Neuron | None
    reason: str = ""
    complete: bool = True
