"""From events to labelled signals: what an example shows, and what a run keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from eiplatform.errors import EIPlatformError, SumRuleError
from eiplatform.foreign.current import Term, total
from eiplatform.foreign.report import Missing
from eiplatform.foreign.timeline import arrange, layout_of, neuron_shape
from eiplatform.foreign.tracer import Event
from eiplatform.snn.description import PopulationInfo

__all__ = ["TOLERANCE", "Found", "Keeper", "examine"]

TOLERANCE = 1e-5
"""Largest residual of the sum rule, relative to all that is added and subtracted."""

_PARTS = ("current_exc", "current_inh")


@dataclass(frozen=True)
class Found:
    """A population of a foreign network.

    Attributes
    ----------
    info : PopulationInfo
    layout : str
    terms : tuple of str
        Names of the weights that drive it.
    """

    info: PopulationInfo
    layout: str
    terms: tuple[str, ...]


@dataclass
class _Collected:
    events: list[Event] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)


def examine(
    events: list[tuple[int, Event]],
    *,
    time: str,
    steps: int,
    batch: int,
    order: str,
    recurrent: set[str],
    attrs: Mapping[str, str],
) -> tuple[dict[str, Found], list[Missing]]:
    """Return the populations that a run of an example showed, and what they lack.

    Parameters
    ----------
    events : list of (step, Event)
        Of the whole run, with all parts and constants.
    time, steps, batch, order
        How the example was run.
    recurrent : set of str
        Weights that act back on their own source.
    attrs : mapping of str to str
        Attributes of every population.
    """
    grouped: dict[str, _Collected] = {}
    for step, event in events:
        collected = grouped.setdefault(event.population, _Collected())
        collected.events.append(event)
        collected.steps.append(step)
    populations: dict[str, Found] = {}
    missing: list[Missing] = []
    for name, collected in grouped.items():
        count, first = len(collected.events), collected.events[0]
        looped = time in ("steps", "static")
        calls = count if not looped else steps
        layout = layout_of(tuple(first.drive.shape), 1 if looped else steps, batch, calls, first.neuron, order)
        if layout is None:
            why = f"of its axes {tuple(first.drive.shape)} none is the batch of {batch} or the {steps} steps"
            missing.append(Missing(name, "all signals", why))
            continue
        uses = count // steps if layout == "call" else count
        if layout == "call" and (count % steps or (uses > 1 and not looped)):
            why = f"it ran {count} times in {steps} steps, and which of them belong to one step cannot be told"
            missing.append(Missing(name, "all signals", why))
            continue
        for use in range(uses):
            chosen = collected.events[use::uses] if layout == "call" else [collected.events[use]]
            label = name if use == 0 else f"{name}@{use + 1}"
            found, lacks = _population(label, chosen, layout, steps, batch, recurrent, attrs)
            missing += lacks
            if found is not None:
                populations[label] = found
    return populations, missing


def _population(
    name: str, events: list[Event], layout: str, steps: int, batch: int, recurrent: set[str], attrs: Mapping[str, str]
) -> tuple[Found | None, list[Missing]]:
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
        constants = {
            label: torch.stack([getattr(current, which).reshape(-1, *shape).expand(-1, *shape) for current in currents])
            for label, which in (("bias", "bias"), ("norm_shift", "shift"))
        }
        first = {label: values[0, 0] for label, values in constants.items()}
        if all(torch.equal(values, first[label].expand_as(values)) for label, values in constants.items()):
            parameters = {label: values.detach().double().cpu().numpy().reshape(-1) for label, values in first.items()}
            terms = tuple(dict.fromkeys(key for current in currents if current is not None for key in current.terms))
            signals += ["current_exc", "current_inh", "current_net"]
            if recurrent.intersection(terms):
                signals += [f"{part}_{which}" for part in _PARTS for which in ("recurrent", "external")]
        else:
            missing.append(Missing(name, "current_exc, current_inh, current_net", "its bias changes in time"))
    if all(event.complete for event in events):
        signals.append("drive")
    else:
        missing.append(Missing(name, "drive", events[0].reason))
    size = batch * int(np.prod(shape)) * (1 if layout in ("call", "held") else steps)
    for signal, values in events[0].state.items():
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
        As of :meth:`eiplatform.snn.network.Network.run`.
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
    ) -> None:
        self.populations = populations
        self.wanted = wanted
        self.recurrent = recurrent
        self.looped = looped
        self.steps = steps
        self.batch = batch
        self.keep = keep
        self.step = 0
        self.signals: dict[str, dict[str, Any]] = {name: {} for name in wanted}
        self._seen: dict[tuple[str, int], int] = {}

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        key = (event.population, self.step if self.looped else 0)
        count = self._seen[key] = self._seen.get(key, 0) + 1
        name = event.population
        if count > 1 and (self.looped or self.populations[name].layout != "call"):
            name = f"{name}@{count}"
        if name not in self.wanted:
            return
        found = self.populations[name]
        whole = total(event.current.terms) if event.current is not None else None
        if whole is not None:
            self._check(name, found, event.drive, whole)
        for signal in found.info.signals:
            if signal in self.wanted[name]:
                values = self._value(name, signal, event, whole)
                values = arrange(values, found.layout, self.steps, self.batch, found.info.shape)
                if found.layout == "call":
                    self.signals[name].setdefault(signal, []).append(values.clone())
                else:
                    self.signals[name][signal] = self._kept(name, signal, values.clone())

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
        assert whole is not None and event.current is not None
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

    def _check(self, name: str, found: Found, drive: Tensor, whole: Term) -> None:
        """Raise unless the parts and constants make the current that arrived."""
        bias, shift = (
            torch.as_tensor(
                found.info.parameters[key].reshape(found.info.shape), dtype=drive.dtype, device=drive.device
            )
            for key in ("bias", "norm_shift")
        )
        arranged = [arrange(t, found.layout, self.steps, self.batch, found.info.shape) for t in (drive, *whole)]
        drive, exc, inh = arranged
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
            lacking = self.wanted[name] - set(signals)
            if lacking:
                raise EIPlatformError(
                    f"{', '.join(sorted(lacking))} did not come up in this run, though the example showed them",
                    where=name,
                    remedy="the module takes another way for this input; give an example of the same kind",
                )
            kept[name] = {}
            for signal, values in signals.items():
                if isinstance(values, list):
                    if len(values) != self.steps:
                        raise EIPlatformError(f"it ran {len(values)} times in {self.steps} steps", where=name)
                    values = self._kept(name, signal, torch.stack(values))
                kept[name][signal] = values
        return kept
