"""What happens inside a module of neurons: the weights that it applies itself."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from eiplatform.foreign.current import Current, Term, Trail
from eiplatform.foreign.neurons import Neuron

__all__ = ["NeuronCall", "Product", "placed"]

GIVEN = "(its input)"


class Product(NamedTuple):
    """One product with weights inside a module of neurons.

    Attributes
    ----------
    call : int
    kind : {"ahead", "back", "mixed"}
        Whether the weights saw the module's input, its state, or something computed from its input.
    x, result : Tensor
    term : Term or None
    bias : Tensor or None
    again : tuple of two Tensors or None
        Excitation + inhibition and excitation - inhibition, computed apart; None where the
        witness sees the product.
    trail : tuple or None
        What was done to it until it arrived.
    """

    call: int
    kind: str
    x: Tensor
    result: Tensor
    term: Term | None
    bias: Tensor | None
    again: tuple[Tensor, Tensor] | None = None
    trail: Trail | None = None


class NeuronCall:
    """A module of neurons whose forward is running.

    The input and each product are followed like currents until they meet, or enter the state.
    """

    def __init__(self, name: str, label: str, neuron: Neuron, given: Tensor | None) -> None:
        self.name = name
        self.label = label
        self.neuron = neuron
        self.given = given
        self.drive = None if given is None else given.clone()  # the module may overwrite its input
        self.products: dict[str, list[Product]] = {}
        self.unfollowed = ""
        self.currents: Any = WeakIdKeyDictionary()
        self._computed: Any = WeakIdKeyDictionary()
        self._met: set[tuple[str, int]] = set()
        self._ended: set[tuple[str, int]] = set()
        self._scaled: set[tuple[str, int]] = set()
        self._odd: dict[tuple[str, int], str] = {}
        if given is not None:
            self.currents[given] = Current({GIVEN: None}, {GIVEN: 0}, None, None)

    def add(self, name: str, product: Product) -> int:
        """Note a product; return its call: that of an equal one before, e.g. to take it back in a reset."""
        for one in self.products.setdefault(name, []):
            if one.x is product.x:
                return one.call
        self.products[name].append(product)
        return product.call

    def kind_of(self, x: Tensor, call: int) -> str:
        """Return what a product's input is."""
        current = self.currents.get(x)
        if current is not None:
            return "ahead" if set(current.terms) == {GIVEN} and not current.was_scaled else "mixed"
        first = self.neuron.time_axis is None or (call == 0 and not self.neuron.delay)
        return "mixed" if first and x in self._computed else "back"

    def computed(self, operands: list[Tensor], results: list[Tensor]) -> None:
        """Note what was computed from the module's input in this call."""
        if any(one in self._computed or one in self.currents for one in operands):
            for tensor in results:
                self._computed[tensor] = True

    def meets(self, whole: Current, parts: list[tuple[Tensor, Current]]) -> None:
        """Note that currents were added up."""
        for tensor, current in parts:
            self._arrives(tensor, current)
        if not whole.was_scaled:
            self._met.update(_items(whole))

    def ends(self, tensor: Tensor, current: Current, operation: str) -> None:
        """Note that a current entered the state by an operation."""
        self._arrives(tensor, current)
        for item in _items(current):
            self._ended.add(item)
            if operation != "add" and item[0] != GIVEN:
                self._odd.setdefault(item, operation)
            if current.was_scaled:
                self._scaled.add(item)

    def sums(self, current: Current, operation: str) -> None:
        """Note that the input is summed over neurons."""
        if GIVEN in current.terms:
            self.unfollowed = f"its input goes through {operation} inside"

    def _arrives(self, tensor: Tensor, current: Current) -> None:
        """Keep a product as it looks where it arrives."""
        if len(current.terms) != 1:
            return
        name, call = next(iter(current.calls.items()))
        for k, one in enumerate(self.products.get(name, [])):
            if one.call == call and (name, call) not in self._met | self._ended:
                if tensor.numel() != one.result.numel():
                    self.unfollowed = f"what {name} contributes is taken apart inside (gates are not followed)"
                    return
                trail = None if current.trails is None else current.trails.get(name)
                self.products[name][k] = one._replace(
                    result=tensor.clone(), term=current.terms[name], bias=current.bias, trail=trail
                )

    @property
    def takes_input(self) -> bool:
        """Whether the input itself arrives at the neurons."""
        return not self.products or (GIVEN, 0) in self._ended

    def refused(self, steps: int) -> str:
        """Return why the currents of the weights inside are not known; empty if they are."""
        if self.unfollowed:
            return self.unfollowed
        if not self.products:
            return ""
        scaled = {name for name, _ in self._scaled - self._met}
        if scaled and (self.takes_input or scaled - {GIVEN}):
            return "it scales its input or its recurrent part before they meet"
        for (name, _), operation in ((item, how) for item, how in self._odd.items() if item not in self._met):
            return f"what {name} contributes is not added to the neurons' state but enters it by {operation}"
        back = [name for name, found in self.products.items() if found[0].kind == "back"]
        if len(back) > 1:
            return "its recurrent part is more than one product with weights per step"
        for name, found in self.products.items():
            if any(one.kind == "mixed" or one.kind != found[0].kind for one in found):
                return f"what reaches {name} is computed from its input in the same step"
            ended = sum((name, one.call) in self._ended for one in found)
            if ended < len(found) - (self.neuron.delay if back == [name] else 0):
                return f"what {name} contributes does not enter the neurons in the same call"
            if self.neuron.time_axis is None and len(found) != 1:
                return f"{name} is used {len(found)} times per step"
            if self.neuron.time_axis is not None and len(found) not in (1, steps):
                return f"{name} is used {len(found)} times in {steps} steps"
        return ""


def _items(current: Current) -> list[tuple[str, int]]:
    return [(name, call) for name, call in current.calls.items() if isinstance(call, int)]


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
    if [n for n in whole.shape if n != 1] == [n for n in like.shape if n != 1]:
        return whole.reshape(like.shape)
    flat = len(values) == 1 and axis == 0 and whole.numel() == like.numel()  # (time, batch) in one axis
    if flat or (neuron.flat and whole.numel() == like.numel()):
        return whole.reshape(like.shape)
    return None
