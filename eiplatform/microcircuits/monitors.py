"""What is recorded while a circuit runs, and how raw recordings become signals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eiplatform.microcircuits.circuit import Circuit, Model, Population, Recorded, generator

__all__ = ["Monitors", "attach", "extract", "recorded_neurons"]


@dataclass(frozen=True)
class Monitors:
    """One spike monitor and one state monitor per Brian2 group, whatever the number of populations."""

    spikes: Mapping[str, Any]
    signals: Mapping[str, Any]
    recorded: tuple[str, ...]

    def all(self) -> Iterator[Any]:
        """Yield the Brian2 objects."""
        yield from self.spikes.values()
        yield from self.signals.values()

    def variables(self) -> dict[str, Any]:
        """Return the Brian2 variables that hold the recordings, ``{"group.what": variable}``."""
        found: dict[str, Any] = {}
        for group, monitor in self.spikes.items():
            found[f"{group}.spike_i"] = monitor.variables["i"]
            found[f"{group}.spike_t"] = monitor.variables["t"]
        for group, monitor in self.signals.items():
            found |= {f"{group}.{name}": monitor.variables[name] for name in self.recorded}
        return found


def attach(
    model: Model, signals: Sequence[Recorded], indices: Mapping[str, NDArray[np.int32]], *, record_dt_ms: float
) -> Monitors:
    """Create the monitors of a model.

    Parameters
    ----------
    model : Model
    signals : sequence of Recorded
    indices : mapping of str to array
        Recorded neurons of each group.
    record_dt_ms : float
        Recording interval in ms.
    """
    import brian2
    from brian2 import ms

    names = tuple(dict.fromkeys(signal.variable for signal in signals))
    return Monitors(
        {group: brian2.SpikeMonitor(model.groups[group], name=f"{group}_spikes") for group in indices},
        {
            group: brian2.StateMonitor(
                model.groups[group], list(names), record=index, dt=record_dt_ms * ms, name=f"{group}_signals"
            )
            for group, index in indices.items()
        },
        names,
    )


def recorded_neurons(populations: Sequence[Population], n_recorded: int) -> dict[str, NDArray[np.int32]]:
    """Draw the neurons of each population whose signals are recorded; all, if there are no more than that.

    The same ones for every seed, so that all seeds of a recording share their neuron axis.

    Returns
    -------
    dict of str to array of int32
        Ascending indices within each population.
    """
    rng = generator(0, "recorded")
    return {
        p.name: np.sort(rng.choice(p.size, min(n_recorded, p.size), replace=False)).astype(np.int32)
        for p in populations
    }


def extract(
    circuit: Circuit,
    raw: Mapping[str, NDArray[Any]],
    recorded: Mapping[str, NDArray[np.int32]],
    *,
    warmup_ms: float,
    duration_ms: float,
    record_dt_ms: float,
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Turn raw recordings into signals and spikes after the warm-up, one array at a time.

    Spikes are dated to the end of the step in which the threshold was crossed (Brian2 dates them to
    its start): a spike at time t then reaches its targets at exactly t + delay, on the time axis of
    the recorded signals.

    Parameters
    ----------
    circuit : Circuit
    raw : mapping of str to array
        Recordings under the keys of :meth:`Monitors.variables`; signals at every boundary of an
        interval from time 0 to the end, inclusive, in SI units.
    recorded : mapping of str to array
        From :func:`recorded_neurons`.
    warmup_ms, duration_ms, record_dt_ms : float
        Warm-up and duration are multiples of the interval.

    Yields
    ------
    name : str
        ``"population/what"``.
    values : array
        Signals, float32 of shape (time, neuron); ``spike_time`` (ms, float64) and ``spike_neuron``.
    """
    first, count = round(warmup_ms / record_dt_ms), round(duration_ms / record_dt_ms)
    start_step, n_steps = round(warmup_ms / circuit.dt_ms), round(duration_ms / circuit.dt_ms)
    column: dict[str, int] = {}
    for population in circuit.populations:
        group, width = population.group, len(recorded[population.name])
        total = sum(len(recorded[p.name]) for p in circuit.populations if p.group == group)
        begin = column.get(group, 0)
        column[group] = begin + width
        for signal in circuit.signals:
            boundary = raw[f"{group}.{signal.variable}"].reshape(-1, total)[first:, begin : begin + width]
            if signal.kind == "integral":
                values = np.diff(boundary[: count + 1], axis=0)
                # Where no charge flowed, the difference of two accumulated ones is their rounding, of either sign.
                values[np.abs(values) <= 8 * np.finfo(np.float64).eps * np.abs(boundary[1 : count + 1])] = 0.0
                values /= record_dt_ms * 1e-3
            else:
                values = boundary[:count]
            yield f"{population.name}/{signal.signal}", (values * signal.scale).astype(np.float32)
        neuron = raw[f"{group}.spike_i"] - population.start
        step = np.rint(raw[f"{group}.spike_t"] * 1e3 / circuit.dt_ms).astype(np.int64) + 1 - start_step
        keep = (neuron >= 0) & (neuron < population.size) & (step >= 0) & (step < n_steps)
        yield f"{population.name}/spike_time", step[keep] * circuit.dt_ms
        yield f"{population.name}/spike_neuron", neuron[keep].astype(np.int32)
