"""What an example shows of a module: populations, their axes, their pathways, and what is missing.

The module is run with two numbers of samples, and of steps where it takes them from its input:
an axis is time or samples because its length follows theirs, never because it equals theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from eiplatform.errors import EIPlatformError
from eiplatform.foreign.checks import check_same
from eiplatform.foreign.links import mixed_populations, pathways_of, recurrent_weights, sources_of, unseen_weights
from eiplatform.foreign.plan import Classes, Structure, classes_of, ends_of
from eiplatform.foreign.recorder import Collected, Found, collect, examine
from eiplatform.foreign.report import Missing
from eiplatform.foreign.timeline import Layout, Sizes, arrange, layout_of
from eiplatform.foreign.tracer import Event, Tracer
from eiplatform.snn.description import Pathway

if TYPE_CHECKING:
    from eiplatform.foreign.network import ForeignNetwork

__all__ = ["Looked", "look_at"]

_BATCHES = (3, 5)
_FAILS = (TypeError, RuntimeError, AttributeError, IndexError, ValueError, AssertionError, KeyError)


@dataclass(frozen=True)
class Looked:
    """What was found.

    Attributes
    ----------
    found : dict of str to Found
    paths : tuple of Pathway
    missing : tuple of Missing
    recurrent : set of str
        Weights that act back on their own source.
    labels : dict of str to str
        Populations by the sign of their currents.
    uses : dict of str to Classes
    states : frozenset of str
        Buffers that a forward pass changes.
    weights_of : dict of str to frozenset of str
        Parameters by the names of the weights.
    inside : frozenset of str
        Parameters that modules of neurons with a time axis apply themselves.
    output : Layout or None
        Of what the module returns.
    """

    found: dict[str, Found]
    paths: tuple[Pathway, ...]
    missing: tuple[Missing, ...]
    recurrent: set[str]
    labels: dict[str, str]
    uses: dict[str, Classes]
    states: frozenset[str]
    weights_of: dict[str, frozenset[str]]
    inside: frozenset[str]
    output: Layout | None


class _Pass:
    """One run of an example that is followed."""

    def __init__(self, network: ForeignNetwork, x: Tensor, steps: int, **options: Any) -> None:
        self.events: list[tuple[int, Event]] = []
        self.structure: Structure = options.setdefault("structure", Structure())
        step = [0]
        self.tracer: Tracer = network.tracer(lambda event: self.events.append((step[0], event)), **options)
        self.outputs = network.observed(x, steps, self.tracer, lambda t: step.__setitem__(0, t))

    def collected(self, looped: bool) -> dict[str, Collected]:
        return collect(self.events, looped)


def look_at(network: ForeignNetwork) -> Looked:
    """Return what can be recorded of a module.

    Raises
    ------
    EIPlatformError
        If that is nothing, or its axes cannot be told.
    """
    example, steps = network.example(), network.steps
    looped = network.time in ("steps", "static")
    axis = 1 if network.time == "sequence" else 0
    first = _sized(example, axis, _BATCHES[0])
    light: dict[str, Any] = {"needed": frozenset()}
    try:
        scout = _Pass(network, first, steps, **light)
    except _FAILS as error:
        if isinstance(error, EIPlatformError):
            raise
        first = example  # it takes no other number of samples
        scout = _Pass(network, first, steps, **light)
    states = frozenset(scout.tracer.states)
    uses, unclear = classes_of(scout.structure, steps, looped)
    light |= {"states": states, "uses": uses}
    one = _Pass(network, first, steps, **light)
    second = _sized(example, axis, _BATCHES[1])
    other, sizes = _another(network, one, second, steps, axis, first.shape[axis], light)

    order = "BT" if network.time_axis else "TB"
    layouts: dict[str, Layout | None] = {}
    for sign, node in one.structure.nodes.items():
        again = other.structure.nodes.get(sign)
        if again is None or node.first in unclear:
            layouts[sign] = None
            continue
        layouts[sign] = layout_of(
            (node.shape, again.shape), sizes, repeated=looped or (steps > 1 and node.count > 1), order=order
        )
    ends, neurons = ends_of(one.structure, layouts, steps)
    labels: dict[str, str] = {}
    for end in ends:
        at = sum(label.partition("@")[0] == end.first for label in labels.values())
        labels[end.sign] = end.first if at == 0 else f"{end.first}@{at + 1}"
    by_label = {label: layouts[sign] for sign, label in labels.items()}

    plain = network.observed(first, steps, None)
    whole = _Pass(network, first, steps, states=states, uses=uses, labels=labels, constants=True)
    check_same(plain, whole.outputs)
    collected = whole.collected(looped)
    active = {labels[end.sign] for end in ends if end.active}
    for name, one_population in collected.items():
        if name not in active:
            one_population.activity.clear()
    by_label |= _neuron_layouts(one.collected(looped), other.collected(looped), sizes, looped, steps, order)
    sources = sources_of(whole.events, whole.tracer)
    recurrent = recurrent_weights(sources, whole.tracer)
    found, missing = examine(
        collected,
        by_label,
        steps=steps,
        batch=first.shape[axis],
        recurrent=recurrent,
        mixed=mixed_populations(sources),
        attrs={"sign_rule": network.signs},
    )
    missing += [Missing(name, "all signals", why) for name, why in unclear.items() if name not in found]
    found, lost = _named(found)
    missing += lost
    if not one.structure.random and not network.draws:
        found, lost = _permuted(
            network, found, whole, first, axis, looped, {"states": states, "uses": uses, "labels": labels}
        )
        missing += lost
    if not found:
        raise EIPlatformError(
            "nothing can be recorded",
            where=type(network.module).__name__,
            valid=[f"{entry.name}: {entry.why}" for entry in missing] or "a module with weights",
        )
    missing += unseen_weights(network.module, whole.tracer, network.neurons, found)
    inside = frozenset(
        weights
        for name, population in found.items()
        if network.neurons.get(name) is not None and network.neurons[name].time_axis is not None
        for term in population.terms
        for weights in whole.tracer.weights_of.get(term, ())
    )
    return Looked(
        found,
        pathways_of(found, sources),
        tuple(dict.fromkeys(missing)),
        recurrent,
        labels,
        uses,
        states,
        dict(whole.tracer.weights_of),
        inside,
        _output(network, plain, second, sizes, order),
    )


def _sized(example: Tensor, axis: int, batch: int) -> Tensor:
    """Return an example with another number of samples, all of them different."""
    parts = []
    for number in range(-(-batch // example.shape[axis])):
        parts.append(example if number == 0 else example.roll(number, -1))
    return torch.cat(parts, axis).narrow(axis, 0, batch)


def _another(
    network: ForeignNetwork, one: _Pass, second: Tensor, steps: int, axis: int, batch: int, light: dict[str, Any]
) -> tuple[_Pass, Sizes]:
    """Run with another number of samples, and of steps where the module takes it from its input."""
    if network.time == "sequence":
        longer = torch.cat([second, second[-1:]], 0)
        try:
            return _Pass(network, longer, steps + 1, **light), Sizes((batch, second.shape[axis]), (steps, steps + 1))
        except _FAILS as error:
            if isinstance(error, EIPlatformError):
                raise
    try:
        return _Pass(network, second, steps, **light), Sizes((batch, second.shape[axis]), (steps, steps))
    except _FAILS as error:
        if isinstance(error, EIPlatformError):
            raise
    return one, Sizes((batch, batch), (steps, steps))  # it takes no other number of samples


def _neuron_layouts(
    one: dict[str, Collected], other: dict[str, Collected], sizes: Sizes, looped: bool, steps: int, order: str
) -> dict[str, Layout | None]:
    found: dict[str, Layout | None] = {}
    for name, collected in one.items():
        event = collected.events[0] if collected.events else None
        if event is None or event.neuron is None:
            continue
        if name not in other:
            found[name] = None
            continue
        found[name] = layout_of(
            (tuple(event.drive.shape), tuple(other[name].events[0].drive.shape)),
            sizes,
            repeated=event.neuron.time_axis is None and (looped or (steps > 1 and len(collected.events) > 1)),
            order=order,
            time_axis=event.neuron.time_axis if not event.neuron.flat else None,
            flat=event.neuron.flat,
        )
    return found


def _named(found: dict[str, Found]) -> tuple[dict[str, Found], list[Missing]]:
    """Return the populations without those whose names the store could not keep apart."""
    kept, lost = {}, []
    for name, population in found.items():
        if "/" in name:
            lost.append(Missing(name, "all signals", "its name has a '/', which names a group; rename the module"))
        else:
            kept[name] = population
    return kept, lost


def _permuted(
    network: ForeignNetwork,
    found: dict[str, Found],
    whole: _Pass,
    x: Tensor,
    axis: int,
    looped: bool,
    options: dict[str, Any],
) -> tuple[dict[str, Found], list[Missing]]:
    """Return the populations that change places when samples do."""
    batch, steps = x.shape[axis], network.steps
    order = torch.roll(torch.arange(batch), 1)
    again = _Pass(network, x.index_select(axis, order.to(x.device)), steps, needed=frozenset(), **options)
    before, after = whole.collected(looped), again.collected(looped)
    kept, lost = {}, []
    for name, population in found.items():
        pair = []
        for collected in (before, after):
            events = collected[name].events if name in collected else []
            arranged = [arrange(e.drive, population.layout, steps, batch, population.info.shape) for e in events]
            pair.append(torch.stack(arranged) if arranged else torch.zeros(0))
        samples = 1 if population.layout.kind == "call" else 2
        first, second = pair
        moved = first.index_select(samples, order.to(first.device)) if first.numel() else first
        scale = 1e-3 * first.abs().max() if first.numel() else 0.0
        fits = moved.shape == second.shape and float(((moved - second).abs() > scale).float().mean()) < 0.02
        if fits or not population.info.signals or "drive" not in population.info.signals:
            kept[name] = population
        else:
            why = "its samples do not change places when those of the input do: which axis holds them cannot be told"
            lost.append(Missing(name, "all signals", why))
    return kept, lost


def _output(network: ForeignNetwork, plain: list[Any], second: Tensor, sizes: Sizes, order: str) -> Layout | None:
    if network.time not in ("sequence", "inside"):
        return None
    first = network.chosen(plain[0])
    again = first
    if sizes.samples[0] != sizes.samples[1]:
        again = network.chosen(network.observed(*_as(second, sizes), None)[0])
    if not first.ndim or first.ndim != again.ndim:
        return None
    return layout_of((tuple(first.shape), tuple(again.shape)), sizes, repeated=False, order=order)


def _as(second: Tensor, sizes: Sizes) -> tuple[Tensor, int]:
    if sizes.steps[0] != sizes.steps[1]:
        second = torch.cat([second, second[-1:]], 0)
    return second, sizes.steps[1]
