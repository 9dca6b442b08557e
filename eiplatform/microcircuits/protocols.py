"""Experiments on circuits: the same circuit under several conditions, over seeds.

A protocol knows nothing of a particular circuit.  It asks the circuit which parameter drives a
population (:attr:`~eiplatform.microcircuits.circuit.Circuit.drives`), which one a pathway's strength
is proportional to (:attr:`~eiplatform.microcircuits.circuit.Circuit.pathways`), and how to freeze a
population (:meth:`~eiplatform.microcircuits.circuit.Circuit.frozen`).  Every condition is a
simulation of its own from the same seeds, that is with the same connectivity, initial potentials and random
numbers; responses are therefore differences within a seed.

``spontaneous``
    The circuit as it is.
``step-input``
    The drive of a population at several values: f-I (gain) curves.
``perturb-E``, ``perturb-I``
    A little more (or less) drive to one population.  In an inhibition-stabilised network more drive to I
    lowers the rate of I (paradoxical effect); with E frozen it raises it.
``lesion``
    A fraction of one synaptic pathway removed.
``pulse``
    A short input from outside, e.g. from the thalamus; the result has the rates in time as well.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from eiplatform.errors import ConfigError
from eiplatform.microcircuits.changes import frozen
from eiplatform.microcircuits.circuit import Circuit
from eiplatform.microcircuits.conditions import PROTOCOLS, Condition, Protocol, plan
from eiplatform.microcircuits.processes import Progress
from eiplatform.microcircuits.runner import simulate
from eiplatform.statistics.kernels import student
from eiplatform.store.blocks import slabs

__all__ = [
    "PROTOCOLS",
    "Condition",
    "Protocol",
    "Sink",
    "mean_rate",
    "plan",
    "pulse_onset",
    "run_protocol",
    "threshold_linear",
]

MEANS = ("current_exc", "current_inh", "current_net", "conductance_exc", "conductance_inh", "gain", "voltage")
"""Signals whose means are kept, where a circuit has them."""

Sink = Callable[[Mapping[str, xr.Dataset]], None]
"""Takes the recordings of one seed."""


def run_protocol(
    protocol: Protocol,
    circuit: Circuit,
    *,
    seeds: Sequence[int] = (0,),
    keep: Callable[[Condition, Circuit], AbstractContextManager[Sink]] | None = None,
    progress: Progress | None = None,
    level: float = 0.95,
    **options: Any,
) -> xr.Dataset:
    """Simulate all conditions of a protocol.

    Parameters
    ----------
    protocol : Protocol
        From :func:`plan`, for the same circuit.
    circuit : Circuit
    seeds : sequence of int
        The same for every condition.
    keep : callable, optional
        Called before each condition; its context gives a function to which the recordings of
        every seed are passed.
    progress : callable, optional
        Takes the completed fraction and a message.
    level : float
        Nominal coverage of the intervals (Student t over seeds; NaN with one seed).
    **options
        As in :func:`~eiplatform.microcircuits.simulate`.

    Returns
    -------
    xarray.Dataset, dims (condition, seed, population)
        ``rate`` (Hz), the means over time and recorded neurons of the circuit's currents, conductances
        and gain; ``response``, the rate minus that of the first condition with the same freezing, and
        over seeds ``response_mean``, ``response_low``, ``response_high``.  Coordinates ``level`` and
        ``frozen``; the rate of the frozen population is the attribute ``frozen_rate``.  For ``pulse``
        also ``rate_in_time`` (condition, seed, population, time) in bins of 1 ms, whose coordinate is
        the time since the pulse began (ms, start of the bin).

    Raises
    ------
    EIPlatformError
        As :func:`~eiplatform.microcircuits.simulate`; arguments are checked before anything runs.
    ConfigError
        If a pulse lies outside the recorded time.
    """
    onset = pulse_onset(protocol, circuit, **options)
    sink = keep or (lambda condition, changed: nullcontext(lambda populations: None))
    simulate(circuit, seeds=seeds, in_memory=False, **options)  # checks at the call, runs when iterated
    count = len(protocol.conditions)
    rows: list[xr.Dataset] = []
    frozen_rate = float("nan")
    for index, condition in enumerate(protocol.conditions):
        changes: dict[str, float] = dict(condition.changes)
        if condition.frozen:
            if np.isnan(frozen_rate):
                position = list(rows[0].population.values).index(protocol.freeze)
                frozen_rate = float(rows[0]["rate"].isel(population=position).mean())
            changes |= frozen(circuit, protocol.freeze, {protocol.freeze: frozen_rate}.__getitem__)
        changed = circuit.changed(changes)

        def report(fraction: float, message: str, index: int = index, name: str = condition.name) -> None:
            if progress is not None:
                progress((index + fraction) / count, f"{name}: {message}")

        with sink(condition, changed) as store:
            runs = simulate(changed, seeds=seeds, in_memory=False, progress=report, **options)
            rows.append(_summary(runs, store, onset))
    result = xr.concat(rows, dim="condition").assign_coords(
        condition=[condition.name for condition in protocol.conditions],
        level=("condition", [condition.level for condition in protocol.conditions], {"long_name": protocol.level}),
        frozen=("condition", [condition.frozen for condition in protocol.conditions]),
    )
    result.attrs = {
        "protocol": protocol.name,
        "circuit": circuit.name,
        "reference": circuit.reference,
        "parameters": json.dumps(circuit.to_mapping()),
        "target": protocol.target,
        "parameter": protocol.parameter,
        "freeze": protocol.freeze,
        "frozen_rate": frozen_rate,
        "confidence": level,
    }
    return _with_responses(result, level)


def pulse_onset(
    protocol: Protocol, circuit: Circuit, *, duration_ms: float = 1000.0, warmup_ms: float = 200.0, **_: Any
) -> float | None:
    """Return when a protocol's pulse begins, in ms after the warm-up; None without a pulse.

    Parameters
    ----------
    protocol : Protocol
    circuit : Circuit
    duration_ms, warmup_ms : float
        As in :func:`~eiplatform.microcircuits.simulate`, whose other options do not matter.

    Raises
    ------
    ConfigError
        If the pulse does not begin and end within the recorded time.
    """
    if protocol.name != "pulse":
        return None
    start = float(getattr(circuit.parameters, circuit.pulses[protocol.target].start)) - warmup_ms
    end = start + max(condition.level for condition in protocol.conditions)
    if start < 0 or end > duration_ms:
        raise ConfigError(
            f"the pulse lasts from {start:g} to {end:g} ms, the recording from 0 to {duration_ms:g} ms",
            where=circuit.name,
            remedy=f"choose duration and warm-up, or '{circuit.pulses[protocol.target].start}', "
            "which counts from the start of the warm-up",
        )
    return start


def _summary(runs: Iterator[tuple[int, dict[str, xr.Dataset]]], store: Sink, onset: float | None) -> xr.Dataset:
    """Return rate and mean signals of every seed and population; with the onset of a pulse, rates in time too."""
    rows: list[xr.Dataset] = []
    for seed, populations in runs:
        store(populations)
        per_population: dict[str, list[float]] = {}
        units: dict[str, str] = {"rate": "Hz"}
        for data in populations.values():
            per_population.setdefault("rate", []).append(mean_rate(data))
            for name in MEANS:
                if name in data:
                    per_population.setdefault(name, []).append(_mean(data[name]))
                    units[name] = data[name].attrs["units"]
        row = xr.Dataset(
            {key: ("population", values, {"units": units[key]}) for key, values in per_population.items()},
            coords={"population": list(populations), "seed": seed},
        )
        if onset is not None:
            row = row.merge(_in_time(populations, onset))
        rows.append(row)
    return xr.concat(rows, dim="seed")


def mean_rate(data: xr.Dataset) -> float:
    """Return the rate (Hz) over all neurons of a population, of a circuit of rates the recorded one."""
    if "activity" in data:
        return float(data["activity"].mean())
    return float(data.sizes["spike"] / (data.attrs["n_neurons"] * data.attrs["duration"] * 1e-3))


def _mean(values: xr.DataArray) -> float:
    """Return the mean, with one block in memory at a time."""
    parts = [values[block].values.sum(dtype=np.float64) for block in slabs(values.shape, values.dtype.itemsize)]
    return math.fsum(parts) / values.size


def _in_time(populations: Mapping[str, xr.Dataset], onset: float) -> xr.Dataset:
    """Return the rate (Hz) of every population in bins of 1 ms about the start of a pulse."""
    found = []
    for data in populations.values():
        before, after = int(onset), int(data.attrs["duration"] - onset)
        edges = onset + np.arange(-before, after + 1)
        counts = np.histogram(data["spike_time"].values, edges)[0]
        found.append(1e3 * counts / data.attrs["n_neurons"])
    time = ("time", np.arange(-before, after, dtype=float), {"units": "ms", "long_name": "time since the pulse began"})
    return xr.Dataset(
        {"rate_in_time": (("population", "time"), found, {"units": "Hz"})},
        coords={"population": list(populations), "time": time},
    )


def _with_responses(result: xr.Dataset, level: float) -> xr.Dataset:
    """Add the difference to the control of the same freezing, within each seed, and its interval over seeds."""
    rate = result["rate"]
    frozen = result["frozen"].values
    control = rate.isel(condition=np.where(frozen, np.argmax(frozen), 0))
    response = rate - control.assign_coords(condition=rate["condition"])
    dims = tuple(dim for dim in response.dims if dim != "seed")
    over_seeds = student(response.transpose("seed", *dims).values, level)
    found = {
        "response": response,
        **{
            f"response_{name}": response.isel(seed=0, drop=True).copy(data=getattr(over_seeds, name))
            for name in ("mean", "low", "high")
        },
    }
    return result.assign({key: value.assign_attrs(units="Hz") for key, value in found.items()})


def threshold_linear(levels: Sequence[float], rates: Sequence[float], *, floor: float = 0.15) -> tuple[float, float]:
    """Fit ``rate = gain (level - threshold)`` to the rising part of an f-I curve.

    Points below a fraction of the largest rate are left out: the foot of a noisy curve is not part of the
    line, and regressing all rates of one curve on another's reads a pure shift as division.

    Parameters
    ----------
    levels, rates : sequence of float
        Drive and rate (Hz).
    floor : float
        Fraction of the largest rate below which points are left out.

    Returns
    -------
    gain : float
        Hz per unit of drive.
    threshold : float
        In units of the drive.

    Raises
    ------
    ConfigError
        With fewer than two points on the rising part, or a flat one.

    Examples
    --------
    >>> threshold_linear([0, 1, 2, 3], [0, 0, 5, 10])
    (5.0, 1.0)
    """
    x, y = np.asarray(levels, float), np.asarray(rates, float)
    on: NDArray[np.bool_] = (y > 0) & (y >= floor * y.max(initial=0.0))
    if on.sum() < 2 or np.ptp(x[on]) == 0:
        raise ConfigError("too few points on the rising part of the curve", where="levels", valid="two or more")
    slope, intercept = np.polyfit(x[on], y[on], 1)
    if abs(slope) * np.ptp(x[on]) <= 1e-12 * y.max():
        raise ConfigError("the curve does not rise", where="levels")
    return round(float(slope), 9), round(float(-intercept / slope), 9)
