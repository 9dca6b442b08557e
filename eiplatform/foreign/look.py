"""What an example shows of a module: populations, their axes, their pathways, and what is missing.

The module is run with two numbers of samples, and of steps where it takes them from its input:
an axis is time or samples because its length follows theirs, never because it equals theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from eiplatform.errors import EIPlatformError
from eiplatform.foreign.checks import check_same
from eiplatform.foreign.links import mixed_populations, pathways_of, recurrent_weights, sources_of, unseen_weights
from eiplatform.foreign.plan import Classes, Structure, classes_of, ends_of
from eiplatform.foreign.recorder import Collected, Found, collect, examine
from eiplatform.foreign.report import Missing
from eiplatform.foreign.timeline import Layout, Sizes, arrange, layout_of
from eiplatform.foreign.tracer import Event, Tracer
from eiplatform.networks.description import Pathway

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


class Observed(Protocol):
    """A module that can be run and watched: what this file needs of a foreign network."""

    module: nn.Module
    signs: str
    neurons: Any
    time: str
    time_axis: int
    steps: int
    draws: bool

    def example(self) -> Tensor:
        """Return the example input, time first where it has a time axis."""

    def tracer(self, emit: Callable[[Event], None], **options: Any) -> Tracer:
        """Return what follows the operations of one run."""

    def observed(
        self, x: Tensor, steps: int, tracer: Tracer | None, tell: Callable[[int], None] | None = None
    ) -> list[Any]:
        """Run the module and return its outputs, step by step."""

    def chosen(self, output: Any) -> Tensor:
        """Return the output that is read."""


class _Pass:
    """One run of an example that is followed."""

    def __init__(self, network: Observed, x: Tensor, steps: int, **options: Any) -> None:
        self.events: list[tuple[int, Event]] = []
        self.structure: Structure = options.setdefault("structure", Structure())
        step = [0]
        self.tracer: Tracer = network.tracer(lambda event: self.events.append((step[0], event)), **options)
        self.outputs = network.observed(x, steps, self.tracer, lambda t: step.__setitem__(0, t))

    def collected(self, looped: bool) -> dict[str, Collected]:
        return collect(self.events, looped)


def look_at(network: Observed) -> Looked:
    """Return what can be recorded of a module.

    Raises
    ------
    EIPlatformError
        If that is nothing, or its axes cannot be found.
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
        found, lost = _moved(network, found, whole, first, axis, {"states": states, "uses": uses, "labels": labels})
        missing += lost
    else:
        found, lost = _sure(found)
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
    parts = [example.roll(number, -1) for number in range(-(-batch // example.shape[axis]))]
    return torch.cat(parts, axis).narrow(axis, 0, batch)


def _another(
    network: Observed, one: _Pass, second: Tensor, steps: int, axis: int, batch: int, light: dict[str, Any]
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


def _sure(found: dict[str, Found]) -> tuple[dict[str, Found], list[Missing]]:
    """Return the populations whose axes are sure though random numbers forbid to compare two runs."""
    kept = {name: one for name, one in found.items() if not one.layout.kind.startswith("flat")}
    why = "one axis holds samples and steps, and with random numbers their order is unknown; fix them"
    return kept, [Missing(name, "all signals", why) for name in found if name not in kept]


def _moved(
    network: Observed, found: dict[str, Found], whole: _Pass, x: Tensor, axis: int, options: dict[str, Any]
) -> tuple[dict[str, Found], list[Missing]]:
    """Return the populations whose samples change places when those of the input do, and whose steps keep their order.

    What an input of the last step changes must come in the last step: else a loop runs backwards,
    or axes are not what they seem.
    """
    batch = x.shape[axis]
    order = torch.roll(torch.arange(batch, device=x.device), 1)
    kept, lost = {}, []
    reordered = _drives(network, found, x.index_select(axis, order), axis, options)
    before = _drives(network, found, x, axis, options, whole)
    late: dict[str, Tensor | None] = {}
    both_ways = any(isinstance(part, nn.RNNBase) and part.bidirectional for part in network.module.modules())
    if network.time == "sequence" and not both_ways:
        other = x.clone()
        other[-1] = x[0] if torch.equal(x[-1].roll(1, 0), x[-1]) else x[-1].roll(1, 0)
        late = _drives(network, found, other, axis, options)
    for name, population in found.items():
        first, second, third = before[name], reordered[name], late.get(name)
        why = ""
        if first is not None and (second is None or not _alike(first.index_select(1, order.to(first.device)), second)):
            why = "its samples do not change places when those of the input do: which axis holds them is unknown"
        elif population.layout.kind == "held" or first is None or third is None:
            pass  # no steps to look at
        elif not _alike(first[:-1], third[:-1]):
            why = (
                "the input of the last step changes what it receives in earlier ones: it runs backwards in time, or "
                "sees all steps at once; its steps cannot be matched"
            )
        if why:
            lost.append(Missing(name, "all signals", why))
        else:
            kept[name] = population
    return kept, lost


def _drives(
    network: Observed,
    found: dict[str, Found],
    x: Tensor,
    axis: int,
    options: dict[str, Any],
    done: _Pass | None = None,
) -> dict[str, Tensor | None]:
    """Return what every population receives, as (time, samples, neurons...); None where that is not known."""
    one = _Pass(network, x, network.steps, needed=frozenset(), **options) if done is None else done
    collected = one.collected(network.time in ("steps", "static"))
    drives: dict[str, Tensor | None] = {}
    for name, population in found.items():
        events = collected[name].events if name in collected else []
        if "drive" not in population.info.signals or not events:
            drives[name] = None
            continue
        arranged = [
            arrange(event.drive, population.layout, network.steps, x.shape[axis], population.info.shape)
            for event in events
        ]
        drives[name] = torch.stack(arranged) if population.layout.kind == "call" else arranged[0]
    return drives


def _alike(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors are equal but for rounding, and what it does to a few spikes."""
    if first.shape != second.shape:
        return False
    if not first.numel():
        return True
    scale = 1e-3 * first.abs().max()
    return float(((first - second).abs() > scale).float().mean()) < 0.02


def _output(network: Observed, plain: list[Any], second: Tensor, sizes: Sizes, order: str) -> Layout | None:
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
