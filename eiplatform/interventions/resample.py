"""Replace a contribution by that of another sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from eiplatform.errors import ConfigError
from eiplatform.interventions.intervention import At, Kind, Seen

__all__ = ["Resample"]


@dataclass(frozen=True, repr=False)
class Resample(Kind):
    """Give every neuron what the intact network gives it in another sample: level and variance stay.

    Every sample has one other as its partner, and none itself; recordings and lesion studies draw the partners from
    all their samples with `seed`, a call of the network takes the next one of its batch.

    Parameters
    ----------
    target : str
        Pathway, e.g. ``"I->E subtractive"``, or populations, e.g. ``"fc1/I"``, whose output is replaced.
    layers, neurons, fraction, steps, samples, seed
        Where and when; see :class:`~eiplatform.interventions.intervention.Kind`.

    Examples
    --------
    >>> import eiplatform as ei
    >>> ei.Resample("I->E subtractive", layers="fc2")
    Resample(target='I->E subtractive', layers='fc2')
    """

    target: str
    needs: ClassVar[frozenset[str]] = frozenset({"partner"})

    def change(self, values: Tensor, at: At) -> Tensor:
        """Replace."""
        if len(at.reference.samples) < 2:
            raise ConfigError("one sample has no other", where="Resample", valid="at least 2 samples")
        partner = at.reference.partner[at.place].to(values.device, values.dtype)
        return partner[at.first : at.first + len(values)] if len(values) < len(partner) else partner

    def predict(self, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        """Predict ``<A> - <X>`` and ``V_A + V_X - 2 C`` with X of the partner: on average over partners C is 0."""
        net = seen.other - seen.partner
        return net.mean((0, 1)), net.var((0, 1))
