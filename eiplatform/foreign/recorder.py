"""From events to labelled signals: what an example shows, and what a run keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from eiplatform.errors import EIPlatformError, SumRuleError
from eiplatform.foreign.current import Term, total
from eiplatform.foreign.report import Missing
from eiplatform.foreign.timeline import Layout, arrange, neuron_shape
from eiplatform.foreign.tracer import Event
from eiplatform.networks.description import PopulationInfo

__all__ = ["TOLERANCE", "Collected", "Found", "Keeper", "collect", "examine"]

TOLERANCE = 1e-5
"""Largest residual of the sum rule, relative to all that is added and subtracted."""

_PARTS = ("current_exc", "current_inh")


@dataclass(frozen=True)
class Found:
    """A population of a foreign network.

    Attributes
    ----------
    info : PopulationInfo
    layout : Layout
    terms : tuple of str
        Names of the weights that drive it.
    """

    info: PopulationInfo
    layout: Layout
    terms: tuple[str, ...]


@dataclass
class Collected:
    """The events of one population, in order."""

    events: list[Event] = field(default_factory=list)
    activity: list[Tensor] = field(default_factory=list)


class _Labeller:
    """Names the second use of a module of neurons in a step."""

    def __init__(self, looped: bool) -> None:
        self._looped = looped
        self._seen: dict[tuple[str, int], int] = {}

    def name(self, event: Event, step: int) -> str:
        if event.neuron is None or not self._looped:
            return event.population
        key = (event.population, step)
        count = self._seen[key] = self._seen.get(key, 0) + 1
        return event.population if count == 1 else f"{event.population}@{count}"


def collect(events: list[tuple[int, Event]], looped: bool) -> dict[str, Collected]:
    """Return the events of a run by population."""
    labeller = _Labeller(looped)
    found: dict[str, Collected] = {}
    for step, event in events:
        if event.neuron is None and event.state:
            values = event.state["activity"]
            assert values is not None
            found.setdefault(event.population, Collected()).activity.append(values)
        else:
            found.setdefault(labeller.name(event, step), Collected()).events.append(event)
    return found


def examine(
    collected: Mapping[str, Collected],
    layouts: Mapping[str, Layout | None],
    *,
    steps: int,
    batch: int,
    recurrent: set[str],
    mixed: set[str],
    attrs: Mapping[str, str],
) -> tuple[dict[str, Found], list[Missing]]:
    """Return the populations that a run of an example showed, and what they lack.

    Parameters
    ----------
    collected : mapping of str to Collected
        Of the whole run, with all parts and constants.
    layouts : mapping of str to Layout or None
    steps, batch : int
        How the example was run.
    recurrent : set of str
        Weights that act back on their own source.
    mixed : set of str
        Populations whose recurrent part has no weights of its own.
    attrs : mapping of str to str
        Attributes of every population.
    """
    populations: dict[str, Found] = {}
    missing: list[Missing] = []
    for name, one in collected.items():
        layout = layouts.get(name)
        if layout is None:
            shape = tuple(one.events[0].drive.shape)
            why = (
                f"which of its axes {shape} are samples and steps is unclear; give an example with other numbers "
                "of samples and steps, or say time= and time_axis="
            )
            missing.append(Missing(name, "all signals", why))
            continue
        wanted = steps if layout.kind == "call" else 1
        if len(one.events) != wanted:
            why = f"it ran {len(one.events)} times in {steps} steps, and which of them belong to one step is unclear"
            missing.append(Missing(name, "all signals", why))
            continue
        found, lacks = _population(name, one, layout, steps, batch, set() if name in mixed else recurrent, attrs)
        missing += lacks
        if found is not None:
            populations[name] = found
    return populations, missing


def _population(
    name: str,
    collected: Collected,
    layout: Layout,
    steps: int,
    batch: int,
    recurrent: set[str],
    attrs: Mapping[str, str],
) -> tuple[Found | None, list[Missing]]:
    events = collected.events
    shape = neuron_shape(tuple(events[0].drive.shape), layout)
    neuron = events[0].neuron
    missing: list[Missing] = []
    signals: list[str] = []
    parameters: dict[str, np.ndarray] = {}
    terms: tuple[str, ...] = ()
    if any(neuron_shape(tuple(event.drive.shape), layout) != shape for event in events):
        return None, [Missing(name, "all signals", "its shape changes from step to step")]
    currents = [event.current for event in events]
    if any(current is None or not current.terms for current in currents):
        reason = next((event.reason for event in events if event.reason), "no weights lead to it")
        missing.append(Missing(name, "current_exc, current_inh, current_net", reason))
    else:
        arranged = {
            label: torch.stack(
                [arrange(getattr(current, which), layout, steps, batch, shape) for current in currents]
            ).reshape(-1, *shape)
            for label, which in (("bias", "bias"), ("norm_shift", "shift"))
        }
        first = {label: values[0] for label, values in arranged.items()}
        if all(torch.equal(values, first[label].expand_as(values)) for label, values in arranged.items()):
            parameters = {label: values.detach().double().cpu().numpy().reshape(-1) for label, values in first.items()}
            terms = tuple(dict.fromkeys(key for current in currents if current is not None for key in current.terms))
            signals += ["current_exc", "current_inh", "current_net"]
            if recurrent.intersection(terms):
                signals += [f"{part}_{which}" for part in _PARTS for which in ("recurrent", "external")]
        else:
            missing.append(
                Missing(name, "current_exc, current_inh, current_net", "its bias changes with time or sample")
            )
    if all(event.complete for event in events):
        signals.append("drive")
    else:
        missing.append(Missing(name, "drive", events[0].reason))
    state = dict(events[0].state)
    if collected.activity and len(collected.activity) == len(events):
        state["activity"] = collected.activity[0]
    size = batch * int(np.prod(shape)) * (steps if layout.has_time else 1)
    for signal, values in state.items():
        if values is None:
            place = getattr(neuron, signal, signal)
            missing.append(Missing(name, signal, f"'{place}' holds no tensor after a call"))
        elif values.numel() != size:
            missing.append(
                Missing(name, signal, f"it has the shape {tuple(values.shape)}, not one value per neuron and step")
            )
        else:
            signals.append(signal)
    if neuron is not None:
        missing += [Missing(name, signal, why) for signal, why in neuron.why_not.items()]
    if not signals:
        return None, missing
    told = dict(attrs) | (neuron.attributes() if neuron is not None else {})
    info = PopulationInfo("mixed", shape, tuple(signals), parameters, None, None, None, told)
    return Found(info, layout, terms), missing


class Keeper:
    """Receives the events of a run and keeps what is wanted, always as (T, B, neurons...).

    Parameters
    ----------
    populations : mapping of str to Found
    wanted : mapping of str to frozenset of str
        Signals per population.
    recurrent : set of str
    looped : bool
        Whether the module is called once per step; then :attr:`step` says which.
    steps, batch : int
    keep : callable, optional
        As of :meth:`eiplatform.networks.network.Network.run`.
    check : callable, optional
        Looks at an event apart from the tracer, in the first and the last step.
    """

    def __init__(
        self,
        populations: Mapping[str, Found],
        wanted: Mapping[str, frozenset[str]],
        recurrent: set[str],
        *,
        looped: bool,
        steps: int,
        batch: int,
        keep: Callable[[str, str, Tensor], Tensor] | None,
        check: Callable[[str, Event], None] | None = None,
    ) -> None:
        self.populations = populations
        self.wanted = wanted
        self.recurrent = recurrent
        self.steps = steps
        self.batch = batch
        self.keep = keep
        self.check = check
        self.step = 0
        self.signals: dict[str, dict[str, list[Tensor]]] = {
            name: {signal: [] for signal in signals} for name, signals in wanted.items()
        }
        self._labeller = _Labeller(looped)
        self._counts: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        if event.neuron is None and event.state:
            self._activity(event)
            return
        name = self._labeller.name(event, self.step)
        if name not in self.wanted:
            return
        found = self.populations[name]
        count = self._counts[name] = self._counts.get(name, 0) + 1
        whole = None
        if (
            event.current is not None
            and event.complete
            and 0 < len(event.current.terms)
            and set(event.current.terms) <= set(found.terms)
        ):
            whole = total(event.current.terms)
        if whole is not None:
            self._sum_rule(name, found, event.drive, whole)
            if self.check is not None and (count == 1 or count == self.steps):
                self.check(name, event)
        for signal in found.info.signals:
            if signal in self.wanted[name] and (signal != "activity" or event.neuron is not None):
                self._put(name, signal, self._value(name, signal, event, whole))

    def _activity(self, event: Event) -> None:
        name = event.population
        if "activity" in self.wanted.get(name, ()):
            values = event.state["activity"]
            assert values is not None
            self._put(name, "activity", values)

    def _put(self, name: str, signal: str, values: Tensor) -> None:
        found = self.populations[name]
        values = arrange(values, found.layout, self.steps, self.batch, found.info.shape).clone()
        if found.layout.kind != "call" and not self.signals[name][signal]:
            values = self._kept(name, signal, values)
        self.signals[name][signal].append(values)

    def _value(self, name: str, signal: str, event: Event, whole: Term | None) -> Tensor:
        if signal == "drive":
            return event.drive
        if signal in event.state:
            values = event.state[signal]
            if values is None:
                raise EIPlatformError(f"'{signal}' was not there at this step", where=name)
            if signal == "spikes" and not bool(((values == 0) | (values == 1)).all()):
                raise EIPlatformError(
                    "its spikes are not all 0 or 1",
                    where=name,
                    remedy="declare them as graded: neurons={name: Neuron(activity='output', ...)}",
                )
            return values
        if whole is None or event.current is None:
            raise EIPlatformError(
                f"at this step its current is not that of the example: {event.reason or 'other weights reach it'}",
                where=name,
                remedy="the module takes another way for this input; give an example of the same kind",
            )
        if signal == "current_net":
            return whole.exc - whole.inh
        part, _, which = signal.removeprefix("current_").partition("_")
        if not which:
            value: Tensor = getattr(whole, part)
            return value
        chosen = {
            key: term for key, term in event.current.terms.items() if (key in self.recurrent) == (which == "recurrent")
        }
        found = total(chosen)
        return torch.zeros_like(whole.exc) if found is None else getattr(found, part)

    def _sum_rule(self, name: str, found: Found, drive: Tensor, whole: Term) -> None:
        """Raise unless the parts and constants make the current that arrived."""
        bias, shift = (
            torch.as_tensor(
                found.info.parameters[key].reshape(found.info.shape), dtype=drive.dtype, device=drive.device
            )
            for key in ("bias", "norm_shift")
        )
        arranged = [arrange(t, found.layout, self.steps, self.batch, found.info.shape) for t in (drive, *whole)]
        drive, exc, inh = arranged
        if not bool(drive.isfinite().all()):
            raise EIPlatformError(
                "its current is not finite (NaN or infinite): a weight, a state or the input is not",
                where=name,
                valid="finite weights and inputs",
            )
        scale = exc + inh + bias.abs() + shift.abs()
        residual = (drive - (exc - inh + bias + shift)).abs() / scale.clamp(min=torch.finfo(drive.dtype).tiny)
        worst = float(residual.max()) if residual.numel() else 0.0
        if not worst <= TOLERANCE:
            remedy = "weights that changed since are read again by refresh()"
            if drive.is_cuda:
                remedy += "; reduced precision is switched off by torch.backends.cudnn.allow_tf32 = False"
            raise SumRuleError(
                f"excitation - inhibition + bias is not the current that arrives (relative residual {worst:.2g}, "
                f"allowed {TOLERANCE:g})",
                where=name,
                remedy=remedy,
            )

    def _kept(self, name: str, signal: str, values: Tensor) -> Tensor:
        return values if self.keep is None else self.keep(name, signal, values)

    def finish(self) -> dict[str, dict[str, Tensor]]:
        """Return all signals, with time as the first axis."""
        kept: dict[str, dict[str, Tensor]] = {}
        for name, signals in self.signals.items():
            lacking = {signal for signal, values in signals.items() if not values}
            if lacking:
                raise EIPlatformError(
                    f"{', '.join(sorted(lacking))} did not come up in this run, though the example showed them",
                    where=name,
                    remedy="the module takes another way for this input; give an example of the same kind",
                )
            kept[name] = {}
            looped = self.populations[name].layout.kind == "call"
            for signal, values in signals.items():
                if len(values) != (self.steps if looped else 1):
                    raise EIPlatformError(
                        f"it ran {len(values)} times in {self.steps} steps",
                        where=name,
                        remedy="the module takes another way for this input; give an example of the same kind",
                    )
                kept[name][signal] = self._kept(name, signal, torch.stack(values)) if looped else values[0]
        return kept
