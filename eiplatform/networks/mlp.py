"""Fully connected networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor

from eiplatform.networks.network import Call, Network, Options
from eiplatform.networks.transform import Linear, dropped

__all__ = ["MLP"]


class MLP(Network):
    """Fully connected layers ``fc1`` .. ``fcN`` and a ``readout``.

    Parameters
    ----------
    input_shape : tuple of int
    n_classes : int
    hidden : sequence of int
        E neurons per hidden layer.
    dropout : float
        In training, this part of the spikes that reach ``fc2`` .. and the readout is set to zero,
        anew at every step, and the others are scaled up.
    **options
        See :class:`~eiplatform.networks.network.Options`.

    Examples
    --------
    >>> list(MLP((28, 28), 10, (50, 30)).named_layers())
    ['fc1', 'fc2', 'readout']
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        hidden: Sequence[int],
        dropout: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(input_shape, **options)
        self.dropout = dropout
        n_inputs = math.prod(input_shape)
        source = "input"
        for number, n_exc in enumerate(hidden, 1):
            (n_inputs,) = self._add(f"fc{number}", Linear(n_inputs), n_exc, source)
            source = f"fc{number}/E"
        self._add_readout(n_inputs, n_classes, source)

    def _flow(self, x: Tensor, steps: int | None, call: Call) -> Tensor:
        x = x.flatten(-len(self.input_shape))
        generator = torch.Generator().manual_seed(self.noise)
        first, *others = self.layers
        x = call(first, x, steps)
        for name in others:
            x = call(name, dropped(x, self.dropout if self.training else 0.0, generator), None)
        return x
