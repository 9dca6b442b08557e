"""Hold a contribution at a value."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from eiplatform.errors import ConfigError
from eiplatform.interventions.intervention import At, Kind, Seen

__all__ = ["Clamp"]


@dataclass(frozen=True, repr=False)
class Clamp(Kind):
    """Hold a contribution at a constant value, e.g. a population at a rate.

    Parameters
    ----------
    target : str
        Pathway, e.g. ``"I->E subtractive"``, or populations, e.g. ``"fc1/I"``, whose output is held.
    value : float
        In the unit of the contribution; 0 or more.
    layers, neurons, fraction, steps, samples, seed
        Where and when; see :class:`~eiplatform.interventions.intervention.Kind`.

    Examples
    --------
    >>> import eiplatform as ei
    >>> ei.Clamp("fc1/I", 0.2)
    Clamp(target='fc1/I', value=0.2)
    """

    target: str
    value: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.value) and self.value >= 0):
            raise ConfigError(f"a value of {self.value}", where="Clamp", valid="0 or more")
        if self.value == 0 and self.target == "I->E divisive":
            raise ConfigError("divisive inhibition of 0: the gain has no denominator", where="Clamp", valid="above 0")

    def change(self, values: Tensor, at: At) -> Tensor:
        """Replace."""
        del at
        return torch.full_like(values, self.value)

    def predict(self, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        """Predict ``<A> - value`` and ``V_A``."""
        return seen.other.mean((0, 1)) - self.value, seen.other.var((0, 1))
