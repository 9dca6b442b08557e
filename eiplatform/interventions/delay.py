"""Let a contribution come late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from eiplatform.errors import ConfigError
from eiplatform.interventions.intervention import At, Kind, Seen

__all__ = ["Delay"]


@dataclass(frozen=True, repr=False)
class Delay(Kind):
    """Let a contribution arrive some steps late; before that nothing arrives.

    Of a static input's first layer, whose currents are constant, only these first steps change.

    Parameters
    ----------
    target : str
        Pathway, e.g. ``"I->E subtractive"``, or populations, e.g. ``"fc1/I"``, whose output comes late.
    by : int
        Steps.
    layers, neurons, fraction, steps, samples, seed
        Where and when; see :class:`~eiplatform.interventions.intervention.Kind`.

    Examples
    --------
    >>> import eiplatform as ei
    >>> ei.Delay("I->E subtractive", 2)
    Delay(target='I->E subtractive', by=2)
    """

    target: str
    by: int = 1
    timed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.by, int) and self.by > 0):
            raise ConfigError(f"a delay of {self.by!r}", where="Delay", valid="1 step or more")

    def change(self, values: Tensor, at: At) -> Tensor:
        """Shift; where the network runs step by step, what came before is remembered."""
        before = at.reference.memory.setdefault((self, at.place), [])
        if at.first == 0:
            before.clear()
        before.extend(values)
        late = before[-len(values) - self.by : -self.by] if len(before) > self.by else []
        nothing = [torch.zeros_like(values[0])] * (len(values) - len(late))
        return torch.stack([*nothing, *late])

    def predict(self, seen: Seen) -> tuple[np.ndarray, np.ndarray] | None:
        """Predict ``V_A + V_X - 2 C(k)``, with the first steps empty."""
        if self.steps is not None:
            return None
        late = np.zeros_like(seen.values)
        late[self.by :] = seen.values[: -self.by]
        net = seen.other - late
        return net.mean((0, 1)), net.var((0, 1))
