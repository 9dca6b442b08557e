"""Make a contribution noisy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from eiplatform.errors import ConfigError
from eiplatform.interventions.intervention import At, Kind, Seen

__all__ = ["Noise"]


@dataclass(frozen=True, repr=False)
class Noise(Kind):
    """Multiply a contribution by independent gamma noise of mean 1: the mean stays, precision goes, no sign changes.

    The variance of the noise is the same fraction of the value's square everywhere, so that over samples and steps
    it adds ``(sd * s)**2``, with ``s`` the standard deviation of the neuron's intact contribution.  Noise differs
    between neurons, steps and samples; that of a sample does not depend on which others are shown with it.

    Parameters
    ----------
    target : str
        Pathway, e.g. ``"I->E subtractive"``, or populations, e.g. ``"fc1/I"``, whose output is made noisy.
    sd : float
        Of the noise, in units of the neuron's own standard deviation over samples and steps.
    layers, neurons, fraction, steps, samples, seed
        Where and when; see :class:`~eiplatform.interventions.intervention.Kind`.

    Examples
    --------
    >>> import eiplatform as ei
    >>> ei.Noise("I->E subtractive", 0.5)
    Noise(target='I->E subtractive', sd=0.5)
    """

    target: str
    sd: float
    needs: ClassVar[frozenset[str]] = frozenset({"moments"})
    timed: ClassVar[bool] = True
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.sd) and self.sd > 0):
            raise ConfigError(f"noise of {self.sd}", where="Noise", valid="above 0")

    def change(self, values: Tensor, at: At) -> Tensor:
        """Multiply."""
        sd = at.reference.sd[at.place]
        square = at.reference.mean[at.place].mean(0) ** 2 + sd**2
        variance = torch.where(square > 0, (self.sd * sd) ** 2 / square, 0.0).cpu().numpy()
        shape = 1 / np.maximum(variance, 1e-12)
        factor = np.empty((len(values), *values.shape[1:]), dtype=np.float32)
        for step in range(len(values)):
            for index, sample in enumerate(at.reference.samples.tolist()):
                random = np.random.default_rng([self.seed, at.first + step, sample, *at.place.layer.encode()])
                factor[step, index] = np.where(variance > 0, random.standard_gamma(shape) / shape, 1.0)
        return values * torch.from_numpy(factor).to(values.device, values.dtype)

    def predict(self, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        """Predict ``V_A + V_X - 2 C + (sd s)^2``, which holds on average over draws."""
        net = seen.other - seen.values
        return net.mean((0, 1)), net.var((0, 1)) + (self.sd * seen.sd) ** 2
