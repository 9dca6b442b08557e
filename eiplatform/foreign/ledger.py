"""The account of a forward pass: what every tensor is made of, which currents it carries, where they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from eiplatform.errors import SumRuleError
from eiplatform.foreign.current import Current
from eiplatform.foreign.event import Event
from eiplatform.foreign.flow import Flow, Source, first_of
from eiplatform.foreign.neuron_call import NeuronCall
from eiplatform.foreign.neurons import Neuron
from eiplatform.foreign.operations import ACTIVATIONS, AVERAGING, ELEMENTWISE, tensors_in
from eiplatform.foreign.plan import Classes, Structure

__all__ = ["Ledger"]


class Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the account of one forward pass, or of one per step.

    Parameters
    ----------
    module : nn.Module
    neurons : mapping of str to Neuron
        Modules of neurons, by name.
    rule : str
        Sign rule, see :mod:`eiplatform.foreign.current`.
    emit : callable
        Receives every :class:`Event`, in order.
    labels : mapping of str to str
        Populations by the sign of their currents.
    uses : mapping of str to Classes
        Which use of its weights a call is.
    states : frozenset of str
        Buffers that a forward pass changes.
    needed : frozenset of str, optional
        Weights whose parts are computed; default: all.
    constants : bool
        Whether biases and shifts are followed.
    structure : Structure, optional
        Where to note what happens.
    """

    def __init__(
        self,
        module: nn.Module,
        neurons: Mapping[str, Neuron],
        rule: str,
        emit: Callable[[Event], None],
        *,
        labels: Mapping[str, str] | None = None,
        uses: Mapping[str, Classes] | None = None,
        states: frozenset[str] = frozenset(),
        needed: frozenset[str] | None = None,
        constants: bool = False,
        structure: Structure | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.module = module
        self.neurons = neurons
        self.rule = rule
        self.emit = emit
        self.labels = labels or {}
        self.uses = uses or {}
        self.structure = structure
        self.flow = Flow(rule, needed, constants, states)
        if structure is not None:
            self.flow.added_up = structure.added_up
        self.recurrent: set[str] = set()
        self.calls: dict[str, int] = {}
        self.unfollowed: dict[str, str] = {}
        self.seen: set[str] = set()
        self.weights_of: dict[str, frozenset[str]] = {}
        self.states: set[str] = set()
        self.step = 0
        self.paused = False
        self._numbers: dict[Any, int] = {}
        self._in_step: dict[str, int] = {}
        self._stack: list[tuple[str, nn.Module]] = []
        self._inside: list[NeuronCall] = []
        self._fused: list[str] = []
        self._muted = False
        self._buffers: dict[str, tuple[Tensor, int]] = {}
        self._outer: Any = self.flow.currents

    def begin(self) -> None:
        """Look at the module at rest."""
        with self._pause():
            self.flow.begin(self.module)
            self._buffers = {name: (tensor, _version(tensor)) for name, tensor in self.module.named_buffers()}

    def shown(self, x: Tensor, step: int) -> Tensor:
        """Say that `x` is the module's input at a step."""
        with self._pause():
            self.step = step
            self._in_step = {}
            x = x.clone()
            self.flow.sources[x] = Source(frozenset({"input"}), True)
            self.flow.made([x], [], False, varies=True)
        return x

    def finish(self, output: Any) -> None:
        """Note what leaves the module."""
        with self._pause():
            for tensor in tensors_in(output):
                if self.structure is not None:
                    self.structure.sink(self.flow.of(tensor).serial)
                self._consumed(tensor, "output", "", ())

    def end(self) -> None:
        """Note which buffers were changed."""
        now = dict(self.module.named_buffers())
        for name, (tensor, version) in self._buffers.items():
            if now.get(name) is not tensor or _version(tensor) != version:
                self.states.add(name)
        self.states.update(name for name in now if name not in self._buffers)

    # -- entries

    def _note(
        self, name: str, operands: list[Tensor], result: Any, changed: list[Tensor], function: Any
    ) -> tuple[list[Tensor], int]:
        """Note what results are made of, and what an operation has changed."""
        random = torch.Tag.nondeterministic_seeded in function.tags
        if random and self.structure is not None:
            self.structure.random = True
        of = tuple(self.flow.of(one).serial for one in operands) if self.structure is not None else ()
        if changed:
            others_too: list[Tensor] = []
            for tensor in changed:
                serial, others = self.flow.changed(tensor, operands, random)
                others_too += others
                if self.structure is not None:
                    self.structure.edge(serial, of)
            for other in others_too:
                if all(other is not tensor for tensor in changed):
                    self._consumed(other, "other", name, (serial,))
                    self.flow.currents.pop(other, None)
                    self.flow.sources.pop(other, None)
            fresh = [one for one in tensors_in(result) if all(one is not tensor for tensor in changed)]
            if fresh:
                self.flow.made(fresh, operands, random)
            results = list(tensors_in(result)) or changed
        else:
            results = [one for one in tensors_in(result) if all(one is not operand for operand in operands)]
            serial = self.flow.made(results, operands, random)
            if self.structure is not None:
                self.structure.edge(serial, of)
        if self._inside:
            self._inside[-1].computed(operands, results)
        return results, serial

    def _after(
        self,
        name: str,
        operands: list[Tensor],
        before: dict[int, Current],
        results: list[Tensor],
        carried: list[Current] | None,
        source: Source | None,
        serial: int,
        drive: Tensor | None,
        writes: bool,
    ) -> None:
        inside = self._inside[-1] if self._inside else None
        activation = name in ACTIVATIONS and bool(operands) and id(operands[0]) in before
        if carried is None:
            held = {id(tensor): tensor for tensor in operands if id(tensor) in before}
            for key, one in before.items():
                if inside is not None:
                    inside.ends(held[key], one, name)
                elif self.structure is not None:
                    kind = "activation" if activation else "other"
                    self.structure.consumed(one.sign, kind, name, (serial,))
            self._note_weights(name, operands, results)
        elif inside is not None and len(before) > 1:
            parts = [(tensor, before[id(tensor)]) for tensor in operands if id(tensor) in before]
            for one in carried:
                inside.meets(one, parts)
        elif inside is not None and before and name in AVERAGING:
            inside.sums(next(iter(before.values())), name)
        if activation and carried is None and inside is None:
            current = before[id(operands[0])]
            self._activate(current, operands[0] if drive is None else drive, results[0])
            source = Source(frozenset({first_of(current)}), True)
        for index, tensor in enumerate(results):
            self.flow.currents.pop(tensor, None)
            self.flow.sources.pop(tensor, None)
            if carried is not None:
                self._carry(tensor, carried[index], serial, [one.sign for one in before.values()])
            elif source is not None:
                self.flow.sources[tensor] = source

    def _carry(self, tensor: Tensor, current: Current, serial: int, parents: list[str]) -> None:
        """Give a tensor a current, and tell of it if it ends there."""
        self.flow.currents[tensor] = current
        if self._inside:
            return
        if self.structure is not None:
            self.structure.node(current.sign, tuple(tensor.shape), first_of(current), serial, parents, current.many)
        label = self.labels.get(current.sign)
        if label is not None and current.drive is None:
            current.drive = tensor.clone()
            self.emit(Event(label, current.drive, current, {}, None))

    def _activate(self, current: Current, x: Tensor, activity: Tensor) -> None:
        label = self.labels.get(current.sign)
        if label is None:
            return
        if current.drive is not None and not torch.equal(torch.nan_to_num(x), torch.nan_to_num(current.drive)):
            raise SumRuleError(
                "its current was changed outside torch before it arrived",
                where=label,
                remedy="change tensors by torch's operations only",
            )
        self.emit(Event(label, x, None, {"activity": activity}, None))

    def _consumed(self, tensor: Tensor, kind: str, name: str, serials: tuple[int, ...]) -> None:
        current = self.flow.currents.get(tensor)
        if current is not None and self.structure is not None and not self._inside:
            self.structure.consumed(current.sign, kind, name, serials)

    def _held(self, tensors: list[Tensor]) -> dict[int, Current]:
        return {id(one): self.flow.currents[one] for one in tensors if one in self.flow.currents}

    def _note_weights(self, name: str, operands: list[Tensor], results: list[Tensor]) -> None:
        """Note that parameters are used in what is not followed."""
        known = [(one, self.flow.of(one)) for one in operands]
        varying = [one.numel() for one, found in known if found.varies]
        if not varying:
            return
        used = [found.weights for one, found in known if found.weights and not found.varies and one.ndim > 1]
        if used and self._inside and (name not in ELEMENTWISE or results[0].numel() > max(varying)):
            weights = ", ".join(sorted(frozenset().union(*used)))
            self._inside[-1].unfollowed = f"{weights} is used in {name}, which is not followed"
        for weights in frozenset().union(*used) & self.flow.parameters:
            self.unfollowed.setdefault(weights, name)

    @contextmanager
    def _pause(self) -> Iterator[None]:
        was, self.paused = self.paused, True
        try:
            yield
        finally:
            self.paused = was


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version
