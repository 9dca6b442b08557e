"""Replace a contribution by its mean over samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from eiplatform.errors import ConfigError
from eiplatform.interventions.intervention import At, Kind, Seen

__all__ = ["Mean"]


@dataclass(frozen=True, repr=False)
class Mean(Kind):
    """Give every neuron the mean of what the intact network gives it: the level stays, what samples say goes.

    The mean is over all samples that are shown (recorded, evaluated, or of the batch that the network is called with).

    Parameters
    ----------
    target : str
        Pathway, e.g. ``"I->E subtractive"``, or populations, e.g. ``"fc1/I"``, whose output is replaced.
    part : float
        0 to 1: how much of what differs from the mean is taken.  A lesion of dose d without its effect on the level
        has ``part=d``.
    per_step : bool
        Keep the mean of every step (the time course); otherwise the mean over samples and steps.
    layers, neurons, fraction, steps, samples, seed
        Where and when; see :class:`~eiplatform.interventions.intervention.Kind`.

    Examples
    --------
    >>> import eiplatform as ei
    >>> ei.Mean("I->E subtractive", layers="fc2")
    Mean(target='I->E subtractive', layers='fc2')
    """

    target: str
    part: float = 1.0
    per_step: bool = False
    needs: ClassVar[frozenset[str]] = frozenset({"moments"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.part <= 1:
            raise ConfigError(f"a part of {self.part}", where="Mean", valid="above 0, at most 1")

    @property
    def timed(self) -> bool:  # type: ignore[override]  # of the time course alone
        """Whether it needs every step."""
        return self.per_step

    def change(self, values: Tensor, at: At) -> Tensor:
        """Replace."""
        mean = at.reference.mean[at.place].to(values.device)
        if self.per_step:
            mean = mean[at.first : at.first + len(values)][:, None]
        else:
            mean = mean.mean(0)[None, None]
        mean = mean.to(values.dtype).expand_as(values)
        return mean if self.part == 1 else self.part * mean + (1 - self.part) * values

    def predict(self, seen: Seen) -> tuple[np.ndarray, np.ndarray]:
        """Predict ``<A> - <X>`` and ``V_A``; with the time course, V and C of the means over samples too."""
        mean = seen.mean if self.per_step else np.broadcast_to(seen.mean.mean(0), seen.mean.shape)
        net = seen.other - self.part * mean[:, None] - (1 - self.part) * seen.values
        return net.mean((0, 1)), net.var((0, 1))
