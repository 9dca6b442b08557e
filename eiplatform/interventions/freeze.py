"""Open a loop: a contribution keeps the trace of the intact run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from eiplatform.interventions.intervention import At, Kind, Seen
from eiplatform.microcircuits.changes import Rates, frozen
from eiplatform.microcircuits.circuit import Circuit

__all__ = ["Freeze"]


@dataclass(frozen=True, repr=False)
class Freeze(Kind):
    """Give every neuron what the intact network gives it in the same sample, whatever else is changed.

    Alone it changes nothing: it shows what other interventions do without this pathway's answer (open loop).

    Parameters
    ----------
    target : str
        Pathway, e.g. ``"I->E subtractive"``, or populations, e.g. ``"fc1/I"``, whose output is replaced.
    layers, neurons, fraction, steps, samples, seed
        Where and when; see :class:`~eiplatform.interventions.intervention.Kind`.

    Examples
    --------
    >>> import eiplatform as ei
    >>> ei.Freeze("fc1/I", steps=slice(2, 4))
    Freeze(target='fc1/I', steps=[2, 4])
    """

    target: str
    alone: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset({"own"})

    def change(self, values: Tensor, at: At) -> Tensor:
        """Replace."""
        own = at.reference.own[at.place].to(values.device, values.dtype)
        return own[at.first : at.first + len(values)] if len(values) < len(own) else own

    def on_circuit(self, circuit: Circuit, rates: Rates) -> Mapping[str, float]:
        """Replace a population's spikes by Poisson spikes of its mean rate in the intact circuit."""
        return frozen(circuit, self.target, rates, self.fraction)

    def predict(self, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        """Predict what the intact network has."""
        net = seen.other - seen.values
        return net.mean((0, 1)), net.var((0, 1))
