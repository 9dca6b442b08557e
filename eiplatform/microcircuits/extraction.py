"""From what a program recorded to the signals of the schema, in pieces: memory does not grow with the duration.

A program leaves one file per recorded variable.  Here they are read some thousand rows at a time, and
the signals, those derived from them and the spikes of each population are written to the files
``<population>/<what>`` (plain numbers in C order, types in :data:`DTYPES`), from which
:mod:`eiplatform.microcircuits.results` makes datasets.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eiplatform.microcircuits.circuit import Circuit, Population, Recorded

__all__ = ["BLOCK_BYTES", "DTYPES", "RawFile", "extract"]

BLOCK_BYTES = 2**24
"""Raw recordings of all variables together that are held at a time."""

DTYPES: dict[str, np.dtype[Any]] = {
    "neuron": np.dtype(np.int32),
    "spike_neuron": np.dtype(np.int32),
    "spike_time": np.dtype(np.float64),
}
"""Types of the files; those of signals are float32."""


@dataclass(frozen=True)
class RawFile:
    """One recorded variable as a program left it.

    Attributes
    ----------
    path : Path
    dtype : numpy dtype
    """

    path: Path
    dtype: np.dtype[Any]

    def read(self, start: int, count: int, width: int = 1) -> NDArray[Any]:
        """Return rows `start` to ``start + count``, shape (count, width).

        Raises
        ------
        ValueError
            If the file is shorter.
        """
        offset = start * width * self.dtype.itemsize
        return np.fromfile(self.path, self.dtype, count * width, offset=offset).reshape(count, width)

    def __len__(self) -> int:
        """Return how many numbers it holds."""
        return self.path.stat().st_size // self.dtype.itemsize


def extract(
    circuit: Circuit,
    raw: Mapping[str, RawFile],
    recorded: Mapping[str, NDArray[np.int32]],
    folder: Path,
    *,
    warmup_ms: float,
    duration_ms: float,
    record_dt_ms: float,
) -> None:
    """Write signals and spikes after the warm-up.

    Spikes are dated to the end of the step in which the threshold was crossed (Brian2 dates them to
    its start): a spike at time t then reaches its targets at exactly t + delay, on the time axis of
    the recorded signals.

    Parameters
    ----------
    circuit : Circuit
    raw : mapping of str to RawFile
        Recordings under the keys of :meth:`~eiplatform.microcircuits.monitors.Monitors.variables`;
        signals at every boundary of an interval from time 0 to the end, inclusive, in SI units.
    recorded : mapping of str to array
        From :func:`~eiplatform.microcircuits.monitors.recorded_neurons`.
    folder : Path
        Where ``<population>/<what>`` is written.
    warmup_ms, duration_ms, record_dt_ms : float
        Warm-up and duration are multiples of the interval.
    """
    first, count = round(warmup_ms / record_dt_ms), round(duration_ms / record_dt_ms)
    start_step, n_steps = round(warmup_ms / circuit.dt_ms), round(duration_ms / circuit.dt_ms)
    for population in circuit.populations:
        (folder / population.name).mkdir(parents=True)
        recorded[population.name].tofile(folder / population.name / "neuron")
    for group in dict.fromkeys(population.group for population in circuit.populations):
        members = [population for population in circuit.populations if population.group == group]
        widths = {population.name: len(recorded[population.name]) for population in members}
        _write_signals(circuit, raw, group, widths, folder, first, count, record_dt_ms * 1e-3)
        _write_spikes(circuit, raw, group, members, folder, start_step, n_steps)


def _write_signals(
    circuit: Circuit,
    raw: Mapping[str, RawFile],
    group: str,
    widths: Mapping[str, int],
    folder: Path,
    first: int,
    count: int,
    interval_s: float,
) -> None:
    names = tuple(dict.fromkeys(signal.variable for signal in circuit.signals))
    total = sum(widths.values())
    rows = max(1, BLOCK_BYTES // (8 * total * len(names)))
    for start in range(0, count, rows):
        here = min(rows, count - start)
        # One boundary more than intervals: blocks overlap by a row.
        boundary = {name: raw[f"{group}.{name}"].read(first + start, here + 1, total) for name in names}
        values = {signal.signal: _values(signal, boundary[signal.variable], interval_s) for signal in circuit.signals}
        begin = 0
        for name, width in widths.items():
            own = {key: array[None, :, begin : begin + width] for key, array in values.items()}
            begin += width
            for key, array in (own | circuit.derived(own)).items():
                with (folder / name / key).open("ab") as file:
                    file.write(np.ascontiguousarray(array).data)


def _values(signal: Recorded, boundary: NDArray[np.float64], interval_s: float) -> NDArray[np.float32]:
    """Return a signal in the intervals between boundaries, float32 of shape (time, neuron)."""
    if signal.kind == "start":
        return (boundary[:-1] * signal.scale).astype(np.float32)
    values = np.diff(boundary, axis=0)
    # Where no charge flowed, the difference of two accumulated ones is their rounding, of either sign.
    values[np.abs(values) <= 8 * np.finfo(np.float64).eps * np.abs(boundary[1:])] = 0.0
    values /= interval_s
    return (values * signal.scale).astype(np.float32)


def _write_spikes(
    circuit: Circuit,
    raw: Mapping[str, RawFile],
    group: str,
    members: list[Population],
    folder: Path,
    start_step: int,
    n_steps: int,
) -> None:
    source, time = raw[f"{group}.spike_i"], raw[f"{group}.spike_t"]
    rows = max(1, BLOCK_BYTES // 32)
    with ExitStack() as stack:
        files = {
            (p.name, what): stack.enter_context((folder / p.name / what).open("wb"))
            for p in members
            for what in ("spike_time", "spike_neuron")
        }
        for start in range(0, len(source), rows):
            here = min(rows, len(source) - start)
            fired = source.read(start, here)[:, 0]
            step = np.rint(time.read(start, here)[:, 0] * 1e3 / circuit.dt_ms).astype(np.int64) + 1 - start_step
            inside = (step >= 0) & (step < n_steps)
            for population in members:
                neuron = fired - population.start
                keep = inside & (neuron >= 0) & (neuron < population.size)
                files[population.name, "spike_time"].write((step[keep] * circuit.dt_ms).data)
                files[population.name, "spike_neuron"].write(neuron[keep].astype(np.int32).data)
