"""The oracle: what hooks see of a plain run, and every weight times every input.

Nothing of the library is used.  A layer is turned into its dense matrix by showing it one input
at a time, in float64; the excitatory current of a neuron is the sum of the positive products of
weight and input, the inhibitory current the sum of the negative ones.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Call", "Parts", "Seen", "Signals", "by", "by_hand", "products", "split", "watching"]


@dataclass(frozen=True)
class Call:
    """One call of a module: its inputs, its outputs (tensors, in order), and its states afterwards."""

    given: tuple[Tensor, ...]
    made: tuple[Tensor, ...]
    state: dict[str, Tensor]


@dataclass
class Seen:
    """What a plain run showed."""

    module: nn.Module
    x: Tensor
    steps: int
    batch: int
    calls: dict[str, list[Call]] = field(default_factory=dict)

    def timed(self, values: Sequence[Tensor], axes: str = "TB") -> Tensor:
        """Return the tensors of all calls as (T, B, ...).

        One tensor per step has the axes (B, ...); a single tensor has the `axes` ``TB``, ``BT``,
        ``flat TB`` or ``flat BT``, or else is held over all steps (``held``).
        """
        if axes == "held":
            (value,) = values
            return value.unsqueeze(0).expand(self.steps, *value.shape)
        if len(values) == self.steps and axes == "TB" and (self.steps > 1 or values[0].shape[0] == self.batch):
            return torch.stack(list(values))
        (value,) = values
        order = axes.removeprefix("flat ")
        if axes.startswith("flat"):
            sizes = {"T": self.steps, "B": self.batch}
            value = value.reshape(sizes[order[0]], sizes[order[1]], *value.shape[1:])
        value = value if order == "TB" else value.transpose(0, 1)
        assert value.shape[:2] == (self.steps, self.batch), (tuple(value.shape), self.steps, self.batch)
        return value


@dataclass
class Parts:
    """Excitation, inhibition and the constants of one set of weights, (T, B, ...)."""

    exc: Tensor
    inh: Tensor
    constant: Tensor | float = 0.0


Signals = dict[str, Tensor]
"""Signals by name, (T, B, ...); what the oracle cannot know is left out."""


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of nested tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)


@contextmanager
def watching(module: nn.Module, seen: Seen) -> Iterator[None]:
    """Note every call of every module by plain hooks."""
    handles = []
    for name, part in module.named_modules():
        if isinstance(part, torch.jit.ScriptModule):
            continue
        waiting: list[tuple[Tensor, ...]] = []

        def before(part: nn.Module, args: Any, kwargs: Any, waiting: list[Any] = waiting) -> None:
            waiting.append(tuple(value.detach().clone() for value in tensors_in([args, kwargs])))

        def after(part: nn.Module, args: Any, output: Any, name: str = name, waiting: list[Any] = waiting) -> None:
            made = tuple(value.detach().clone() for value in tensors_in(output))
            state = {}
            held = output[1] if isinstance(output, tuple) and len(output) > 1 else None
            for key, value in (
                ("mem", getattr(part, "mem", None)),
                ("v", getattr(part, "v", getattr(held, "v", None))),
            ):
                if isinstance(value, Tensor):
                    state[key] = value.detach().clone()
            seen.calls.setdefault(name, []).append(Call(waiting.pop(), made, state))

        handles.append(part.register_forward_pre_hook(before, with_kwargs=True))
        handles.append(part.register_forward_hook(after))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


# -- products


def matrix_of(layer: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Return the dense matrix (out, in) and the constant of a layer, and its output's shape."""
    n = math.prod(shape)
    zero = layer(torch.zeros(1, *shape, dtype=torch.float64))
    columns = layer(torch.eye(n, dtype=torch.float64).reshape(n, *shape)) - zero
    return columns.reshape(n, -1).T, zero.reshape(-1), tuple(zero.shape[1:])


def products(layer: nn.Module, x: Tensor) -> Parts:
    """Return the parts of one layer's current from its input, weight by weight."""
    double = copy.deepcopy(layer).double().eval()
    for table in (double._forward_hooks, double._forward_pre_hooks):
        table.clear()
    shape = tuple(x.shape[-1:] if isinstance(layer, nn.Linear) else x.shape[1:])
    if getattr(layer, "step_mode", "s") == "m" and not isinstance(layer, nn.Linear):  # spikingjelly: (T, B, ...)
        double.step_mode, shape = "s", tuple(x.shape[2:])
    lead = x.shape[: x.ndim - len(shape)]
    with torch.no_grad():
        matrix, constant, out = matrix_of(double, shape)
    parts = split(matrix, x.reshape(-1, math.prod(shape)))
    return Parts(parts.exc.reshape(*lead, *out), parts.inh.reshape(*lead, *out), constant.reshape(out))


def split(matrix: Tensor, x: Tensor) -> Parts:
    """Return the parts of ``x @ matrix.T``: matrix (out, in), x (..., in)."""
    each = matrix.detach().double() * x.detach().double().unsqueeze(-2)
    return Parts(each.clamp(min=0).sum(-1), (-each).clamp(min=0).sum(-1))


# -- populations


def by(
    *layers: str,
    recurrent: Sequence[str] = (),
    copies: Callable[[Seen], Sequence[Tensor]] | None = None,
    calls: slice = slice(None),
    axes: str = "TB",
    linear: Callable[[Tensor], Tensor] | None = None,
    scale: Callable[[nn.Module], Any] | None = None,
    neuron: str | None = None,
    activity: Callable[[Tensor], Tensor] | None = None,
    drive: str | None = None,
) -> Callable[[Seen], Signals]:
    """Return what computes a population that some layers drive.

    Parameters
    ----------
    *layers : str
        Names of the modules whose outputs are added.
    recurrent : sequence of str
        More of them, whose source is the population itself.
    copies : callable, optional
        Tensors that arrive as they are, through weights of 1.
    calls : slice
        Which calls of the layers count.
    axes : str
        Of what the layers see, see :meth:`Seen.timed`.
    linear : callable, optional
        What lies between layers and neurons and has coefficients >= 0 (pooling, reshaping),
        of (T * B, ...).
    scale : callable, optional
        Of the module: a factor of either sign.
    neuron : str, optional
        Module whose output are the spikes (or the activity) and whose state is the voltage.
    activity : callable, optional
        Of the drive.
    drive : str, optional
        Module whose output is the drive; default: from the parts and constants.
    """

    def parts_of(seen: Seen, name: str) -> Parts:
        layer = seen.module.get_submodule(name)
        found = [products(layer, call.given[0]) for call in seen.calls[name][calls]]
        exc, inh = (seen.timed([getattr(parts, side) for parts in found], axes) for side in ("exc", "inh"))
        return Parts(exc, inh, found[0].constant)

    def through(values: Tensor) -> Tensor:
        if linear is None:
            return values
        flat = linear(values.flatten(0, 1))
        return flat.reshape(*values.shape[:2], *flat.shape[1:])

    def compute(seen: Seen) -> Signals:
        groups: dict[str, list[Parts]] = {"external": [], "recurrent": []}
        for name in (*layers, *recurrent):
            groups["recurrent" if name in recurrent else "external"].append(parts_of(seen, name))
        if copies is not None:
            for tensor in copies(seen):
                groups["external"].append(Parts(tensor.double().clamp(min=0), (-tensor).double().clamp(min=0)))
        signals: Signals = {}
        constant: Tensor | float = 0.0
        for which, found in groups.items():
            if found:
                exc, inh = (through(sum(getattr(p, side) for p in found)) for side in ("exc", "inh"))
                if scale is not None:
                    factor = torch.as_tensor(scale(seen.module)).double()
                    up, down = factor.clamp(min=0), (-factor).clamp(min=0)
                    exc, inh = up * exc + down * inh, up * inh + down * exc
                signals |= {f"current_exc_{which}": exc, f"current_inh_{which}": inh}
            constant = constant + sum(p.constant for p in found)
        for side in ("exc", "inh"):
            known = [signals[f"current_{side}_{which}"] for which in groups if f"current_{side}_{which}" in signals]
            signals[f"current_{side}"] = sum(known[1:], known[0])
        net = signals["current_exc"] - signals["current_inh"]
        if drive is not None:
            signals["drive"] = seen.timed([call.made[0] for call in seen.calls[drive]], axes)
        elif scale is None:
            constant = torch.as_tensor(constant).double()
            wide = groups["external"][0].exc.shape if groups["external"] else net.shape
            signals["drive"] = net + through(constant.expand(wide))
        if activity is not None:
            signals["activity"] = activity(signals["drive"])
        if neuron is not None:
            signals |= _of_neuron(seen, neuron, axes)
        return signals

    return compute


def _of_neuron(seen: Seen, name: str, axes: str) -> Signals:
    found = seen.calls[name]
    whole = len(found) == 1 and seen.steps > 1
    order = axes
    if not whole or axes == "held":
        order = "TB"
    elif axes == "flat TB" and found[0].made[0].shape[:2] == (seen.steps, seen.batch):
        order = "TB"
    signals = {"spikes": seen.timed([call.made[0] for call in found], order)}
    signals["activity"] = signals["spikes"]
    for key in ("mem", "v"):
        if not whole and all(key in call.state for call in found):
            signals["voltage"] = seen.timed([call.state[key] for call in found])
    return signals


def by_hand(reference: Callable[[nn.Module, Tensor], dict[str, Any]]) -> Callable[[Seen], Signals]:
    """Return what computes a population by a reference that was written for one network.

    The reference takes the module and the input; it returns ``parts`` (a list of
    :class:`Parts` by step, or one with time first) and any other signals, (T, B, ...).
    """

    def compute(seen: Seen) -> Signals:
        with torch.no_grad():
            signals = dict(reference(seen.module, seen.x))
        parts = signals.pop("parts", None)
        if parts is not None:
            found = parts if isinstance(parts, list) else [parts]
            stack = torch.stack if isinstance(parts, list) else (lambda values: values[0])
            signals["current_exc"] = stack([p.exc for p in found])
            signals["current_inh"] = stack([p.inh for p in found])
        return signals

    return compute
