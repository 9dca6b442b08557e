"""What a recording will take, found by recording one or a few samples of the very spec."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from torch import Tensor

from eiplatform.datasets import Split
from eiplatform.errors import ConfigError, UnknownNameError
from eiplatform.memory import free_disk, in_units
from eiplatform.recording.footprint import peak_bytes
from eiplatform.recording.keeper import CHECKED
from eiplatform.recording.network import histogram_edges, record_shard
from eiplatform.recording.plan import Plan, Recordable, check_memory, evaluation, make_plan
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store.shards import pack_spikes, write_shard
from eiplatform.store.sumrules import check_sum_rules
from eiplatform.store.writers import make_writer
from eiplatform.store.zarr_writer import ZarrWriter

__all__ = ["Estimate", "check_budget", "estimate", "stored_bytes"]

LONG = 5.0
"""Seconds of a batch above which no more is tried."""
SOME = 128
"""Samples that tell how far Zarr compresses."""
IN_FLIGHT = 3
"""Shards in memory at once: one being filled, one waiting, one being written."""


_PROBE = {"kind": "network", "name": "probe"}


@dataclass(frozen=True)
class Estimate:
    """What a recording will take.

    Attributes
    ----------
    samples, steps : int
        Number of samples, and of recorded steps per sample.
    bytes : int
        On disk.
    memory : int
        Beside the process as it is: tensors of one batch, the shards in flight and the check of their sum rules.
    seconds : float
        On this machine as busy as it is now.
    populations : dict of str to int
        Recorded neurons per population.
    """

    samples: int
    steps: int
    bytes: int
    memory: int
    seconds: float
    populations: dict[str, int]

    def __str__(self) -> str:
        neurons = sum(self.populations.values())
        return (
            f"{self.samples} samples x {self.steps} steps x {neurons} neurons in {len(self.populations)} populations: "
            f"{in_units(self.bytes)} on disk, {in_units(self.memory)} of memory, about {_duration(self.seconds)}"
        )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def estimate(network: Recordable, data: Split, spec: RecordingSpec, store: str = "hdf5") -> Estimate:
    """Predict size, memory and time from a probe run of the very spec.

    Parameters
    ----------
    network : Network
    data : Split
        The split named by the spec.
    spec : RecordingSpec
    store : {"hdf5", "zarr"}
        What it will be written as; Zarr is compressed, so that a few samples are written to see how far.

    Raises
    ------
    UnknownNameError, ConfigError
        As :func:`~eiplatform.recording.network.record_network`.
    """
    plan = make_plan(network, data, spec)
    with evaluation(network) as parameter:
        edges = histogram_edges(network, data, plan, parameter)

        def run(count: int) -> int:
            part = data.take(np.resize(plan.positions, count))
            return peak_bytes(lambda: record_shard(network, plan, part, parameter, edges))

        batch = min(spec.batch, len(plan.positions))
        few = min(4, batch)
        most = run(few)
        slope = (most - run(few // 2)) / (few - few // 2) if few > 1 else most
        tensors = round(most + slope * (batch - few))
        per_batch, per_shard = _seconds(network, plan, data, parameter, edges, batch)
        writing = _writing(network, plan, data, parameter, edges, store, slow=per_batch > LONG)
        sizes = _sizes(network, plan, data, parameter, edges)
        n_bytes = _stored(plan, sizes)
        if store == "zarr":
            n_bytes = _stored_as_zarr(network, plan, data, parameter, edges)
    samples, shards = len(plan.positions), len(plan.shards)
    largest = min(plan.shard_samples, samples)
    shard = sizes.shard + sizes.held * largest
    return Estimate(
        samples,
        len(plan.time),
        n_bytes,
        tensors + min(shards, IN_FLIGHT) * shard + sizes.checking * min(CHECKED, largest),
        per_batch * samples / batch + per_shard * shards + writing,
        {name: len(neurons) for name, neurons in plan.neurons.items()},
    )


def _seconds(
    network: Recordable,
    plan: Plan,
    data: Split,
    parameter: Tensor,
    edges: Mapping[str, Mapping[str, Tensor]],
    batch: int,
) -> tuple[float, float]:
    """Return the seconds of one batch and what a shard takes beside its batches.

    Where a whole batch takes long, a few samples stand for it and shards count nothing.
    """

    def elapsed(count: int) -> float:
        part = data.take(np.resize(plan.positions, count))
        started = time.perf_counter()
        record_shard(network, plan, part, parameter, edges)
        return time.perf_counter() - started

    few = min(4, batch)
    one = elapsed(few) * batch / few
    if one > LONG:
        return one, 0.0
    one = elapsed(batch)
    if one > LONG or plan.shard_samples <= batch:
        return one, 0.0
    further = min(max(elapsed(2 * batch) - one, 0.0), one)
    return further, one - further


def _writing(
    network: Recordable,
    plan: Plan,
    data: Split,
    parameter: Tensor,
    edges: Mapping[str, Mapping[str, Tensor]],
    store: str,
    slow: bool,
) -> float:
    """Return the seconds that beginning and ending a recording take, and writing its last shard.

    The other shards are written while the network runs on.  Of a short recording this is nearly all; where a batch is
    slow, one sample is written and no more is tried.
    """
    largest = min(plan.shard_samples, len(plan.positions))
    some = 1 if slow else min(largest, plan.spec.batch, SOME)

    def elapsed(count: int) -> float:
        recorded = record_shard(network, plan, data.take(plan.positions[:count]), parameter, edges)
        with TemporaryDirectory() as folder:
            started = time.perf_counter()
            about: dict[str, Any] = {"source": _PROBE, "config": {}, "checked_samples": CHECKED}
            with make_writer(store, Path(folder) / "probe", **about) as writer:
                writer.append(recorded)
            return time.perf_counter() - started

    one = elapsed(1)
    if some == 1:
        return one
    return one + max(elapsed(some) - one, 0.0) / (some - 1) * (largest - 1)


class _Sizes(NamedTuple):
    """Bytes.

    Attributes
    ----------
    shard : int
        On the disk, of a shard without samples.
    sample : int
        On the disk, of a sample; spikes are bits.
    held : int
        In memory, of a sample; spikes are bytes.
    checking : int
        What the sum rules need per sample.
    """

    shard: int
    sample: int
    held: int
    checking: int


def _sizes(
    network: Recordable, plan: Plan, data: Split, parameter: Tensor, edges: Mapping[str, Mapping[str, Tensor]]
) -> _Sizes:
    """Find the sizes by recording one sample."""
    part = data.take(plan.positions[:1])
    recorded = record_shard(network, plan, part, parameter, edges)
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for name, values in recorded.items():
            check_sum_rules(values, name)
        checking = tracemalloc.get_traced_memory()[1] - before
    finally:
        if not tracing:
            tracemalloc.stop()
    populations = {name: pack_spikes(values) for name, values in recorded.items()}
    with TemporaryDirectory() as folder:
        first = write_shard(Path(folder) / "probe.h5", populations, {"populations": list(populations)})["bytes"]
    per_sample = _of_samples(populations)
    return _Sizes(int(first) - per_sample, per_sample, _of_samples(recorded), checking)


def _of_samples(populations: Mapping[str, xr.Dataset]) -> int:
    """Return the bytes of what belongs to samples."""
    return sum(
        variable.nbytes
        for values in populations.values()
        for variable in values.variables.values()
        if "sample" in variable.dims
    )


def _stored(plan: Plan, sizes: _Sizes) -> int:
    """Return the bytes of all shards."""
    return len(plan.shards) * sizes.shard + len(plan.positions) * sizes.sample


def _stored_as_zarr(
    network: Recordable, plan: Plan, data: Split, parameter: Tensor, edges: Mapping[str, Mapping[str, Tensor]]
) -> int:
    """Return the bytes of a Zarr store, from those of one and of some samples."""
    n_samples = len(plan.positions)
    some = min(n_samples, SOME)

    def written(count: int) -> int:
        recorded = record_shard(network, plan, data.take(plan.positions[:count]), parameter, edges)
        with TemporaryDirectory() as folder:
            with ZarrWriter(Path(folder) / "probe", source=_PROBE, config={}, checked_samples=0) as writer:
                writer.append(recorded)
            return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())

    one = written(1)
    return one if some == 1 else round(one + (written(some) - one) / (some - 1) * (n_samples - 1))


def check_budget(
    expected: Estimate, network: Recordable, data: Split, spec: RecordingSpec, path: Path, budget: int | None
) -> None:
    """Raise if a recording does not fit into memory, onto the disk or into a budget, and name what would.

    Parameters
    ----------
    expected : Estimate
        Of this very spec.
    network, data, spec
    path : Path
        Where the recording will be.
    budget : int or None
        Bytes on disk; None: what is free.

    Raises
    ------
    ConfigError
    """
    check_memory(expected.memory, make_plan(network, data, spec))
    free = free_disk(path)
    limit = free if budget is None else min(free, budget)
    if expected.bytes <= limit:
        return
    kind = "is the budget" if limit == budget else f"are free at {path}"
    fitting = [
        f"{text} ({in_units(size)})" for text, size in _cheaper(network, data, spec, expected, limit) if size <= limit
    ]
    raise ConfigError(
        f"the recording takes {in_units(expected.bytes)} on disk, and {in_units(limit)} {kind}",
        where="recording",
        remedy=f"these would fit: {', '.join(fitting)}" if fitting else "record fewer samples, populations and signals",
    )


def _cheaper(
    network: Recordable, data: Split, spec: RecordingSpec, expected: Estimate, limit: int
) -> list[tuple[str, int]]:
    """Return changes of the spec that take less, with their bytes."""
    share = limit / expected.bytes
    changes: list[tuple[str, dict[str, Any]]] = []
    if "raw" in spec.keep:
        neurons = int(0.95 * share * min(expected.populations.values()))
        changes += [
            ("dtype: float16", {"dtype": "float16"}),
            (f"neurons: {neurons}", {"neurons": neurons}),
            ("keep: spikes-only", {"keep": ("spikes-only",)}),
            ("keep: moments", {"keep": ("moments",)}),
        ]
    samples = int(0.95 * share * expected.samples)
    changes.append((f"samples: {samples}", {"samples": samples}))
    found = []
    for text, change in changes:
        if 0 in change.values():
            continue
        try:
            found.append((text, stored_bytes(network, data, spec.model_copy(update=change))))
        except UnknownNameError:
            continue  # spikes-only of populations that do not spike
    return found


def stored_bytes(network: Recordable, data: Split, spec: RecordingSpec) -> int:
    """Return the bytes on disk of a recording, found by recording one sample."""
    plan = make_plan(network, data, spec)
    with evaluation(network) as parameter:
        edges = histogram_edges(network, data, plan, parameter)
        return _stored(plan, _sizes(network, plan, data, parameter, edges))
