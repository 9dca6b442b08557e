"""Fully connected networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Unpack

from torch import Tensor

from eiplatform.snn.network import Call, Network, Options
from eiplatform.snn.transform import Linear

__all__ = ["MLP"]


class MLP(Network):
    """Fully connected layers ``fc1`` .. ``fcN`` and a ``readout``.

    Parameters
    ----------
    input_shape : tuple of int
    n_classes : int
    hidden : sequence of int
        E neurons per hidden layer.
    **options
        See :class:`~eiplatform.snn.network.Options`.

    Examples
    --------
    >>> list(MLP((28, 28), 10, (50, 30)).circuits())
    ['fc1', 'fc2', 'readout']
    """

    def __init__(
        self, input_shape: tuple[int, ...], n_classes: int, hidden: Sequence[int], **options: Unpack[Options]
    ) -> None:
        super().__init__(input_shape, **options)
        n_inputs = math.prod(input_shape)
        source = "input"
        for number, n_exc in enumerate(hidden, 1):
            (n_inputs,) = self._add(f"fc{number}", Linear(n_inputs), n_exc, source)
            source = f"fc{number}/E"
        self._add_readout(n_inputs, n_classes, source)

    def _flow(self, x: Tensor, steps: int | None, call: Call) -> Tensor:
        x = x.flatten(-len(self.input_shape))
        for name in self.layers:
            x = call(name, x, steps)
            steps = None
        return x
