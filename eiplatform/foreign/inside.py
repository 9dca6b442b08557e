"""What happens inside a module of neurons: the recurrent weights that it applies itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from eiplatform.foreign.current import Term
from eiplatform.foreign.neurons import Neuron
from eiplatform.foreign.operations import PASSING, tensors_in

__all__ = ["Inside", "placed"]


class Inside:
    """A module of neurons whose forward is running."""

    def __init__(self, name: str, label: str, neuron: Neuron, given: Tensor | None) -> None:
        self.name = name
        self.label = label
        self.neuron = neuron
        self.given = given
        self.drive = None if given is None else given.clone()  # the module may overwrite its input
        self.inputs: dict[str, list[Tensor]] = {}
        self.terms: dict[str, list[Term | None]] = {}
        self.outputs: dict[str, list[Tensor]] = {}
        self.biases: dict[str, Tensor | None] = {}
        self.replaces_input = False
        self._slices: Any = WeakIdKeyDictionary()
        if given is not None:
            self._slices[given] = True

    def follow(self, name: str, args: tuple[Any, ...], result: Any) -> None:
        """Remember the steps that a module takes out of its input."""
        if name in PASSING and args and self.is_input(args[0]):
            for tensor in tensors_in(result):
                self._slices[tensor] = True

    def is_input(self, value: Any) -> bool:
        """Whether a tensor is the module's input, or a part of it."""
        return isinstance(value, Tensor) and value in self._slices


def placed(values: list[Tensor], like: Tensor | None, neuron: Neuron, recurrent: bool) -> Tensor | None:
    """Return what was computed inside a module of neurons in the shape of its input, time included."""
    axis = neuron.time_axis
    if axis is None:
        if len(values) != 1:
            return None
        whole = values[0]
    elif len(values) == 1 and (like is None or values[0].shape == like.shape):
        whole = values[0]
    else:
        if recurrent and neuron.delay:
            values = [torch.zeros_like(values[0])] * neuron.delay + values[: -neuron.delay]
        whole = torch.stack(values, min(axis, 1))
    if like is None or whole.shape == like.shape or like.ndim == 0:
        return whole
    return whole.reshape(like.shape) if whole.numel() == like.numel() else None
