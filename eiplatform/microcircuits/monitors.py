"""What is recorded while a circuit runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eiplatform.microcircuits.circuit import Model, Population, Recorded, generator

__all__ = ["Monitors", "attach", "recorded_neurons"]


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

    def forget(self) -> None:
        """Drop what was recorded so far; recording goes on."""
        for monitor in self.all():
            monitor.resize(0)


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
    """Draw the neurons of each population whose signals are recorded; all, if the population is smaller.

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
