"""A running average of the weights on their way, which is validated and kept in their place."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from eiplatform.networks import Network

__all__ = ["WeightAverage"]


class WeightAverage:
    """The exponential average of a network's weights over the steps of its optimiser.

    After step n it is d a + (1 - d) w with d = min(decay, (1 + n) / (10 + n)), so that it forgets the start
    fast: Polyak & Juditsky 1992, SIAM J Control Optim 30:838, with the weights of recent practice.  An average of
    weights >= 0 is >= 0: Dale's law holds.

    Parameters
    ----------
    network : Network
        As it is before the first step.
    decay : float
        In (0, 1); about 1 / (1 - decay) steps are averaged.

    Attributes
    ----------
    network : Network
        With the averaged weights.  Real buffers (what batch normalisation has seen) are averaged too.

    Examples
    --------
    >>> from eiplatform.networks import MLP
    >>> network = MLP((2,), 2, (4,))
    >>> _ = torch.nn.init.zeros_(network.layers["fc1"].bias)
    >>> average = WeightAverage(network, 0.9)
    >>> _ = torch.nn.init.ones_(network.layers["fc1"].bias)
    >>> average.update(network, 1)  # d = 2/11
    >>> round(average.network.layers["fc1"].bias[0].item(), 6)
    0.818182
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: Network, step: int) -> None:
        """Take in the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        mine, theirs = self.network.state_dict(), network.state_dict()
        real = [name for name, values in mine.items() if values.is_floating_point()]
        moved: list[Tensor] = [mine[name] for name in real]
        torch._foreach_lerp_(moved, [theirs[name] for name in real], 1 - decay)
        for name in mine.keys() - set(real):
            mine[name].copy_(theirs[name])
