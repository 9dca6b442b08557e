"""Memory and time that are predicted before a recording, beside what then happens."""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eiplatform.datasets import Split
from eiplatform.networks import Network
from eiplatform.recording import estimate as estimate_module
from eiplatform.recording import network as network_module
from eiplatform.recording.estimate import estimate
from eiplatform.recording.footprint import peak_bytes
from eiplatform.recording.network import record_network
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store import RecordingWriter
from tests.unit.test_snn_deep import small


def split(network: Network, n: int) -> Split:
    images = np.random.default_rng(3).random((n, *network.input_shape), dtype=np.float32)
    return Split(images, np.arange(n) % 3, np.arange(n))


@pytest.mark.parametrize(
    "options",
    [{}, {"keep": "spikes-only"}, {"signals": "current_*", "shard_samples": 40}],
    ids=["all", "spikes", "wide"],
)
@pytest.mark.usefixtures("each_backend")
def test_memory_is_predicted_to_a_fifth(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Tensors by the tracker of storages, shards by tracemalloc, while the disk is as slow as can be."""
    network = small("cnn", "ei").eval()
    spec = RecordingSpec(**{"shard_samples": 20, "batch_samples": 20, "steps": 30, "input": "bernoulli", **options})
    data = split(network, 4 * spec.shard_samples)
    expected = estimate(network, data, spec).memory
    made, condition = [0], threading.Condition()
    record_shard, append = network_module.record_shard, RecordingWriter.append

    def counted(*args: Any) -> Any:
        found = record_shard(*args)
        with condition:
            made[0] += 1
            condition.notify_all()
        return found

    def slow(self: RecordingWriter, populations: Any, index: int) -> None:
        with condition:
            assert condition.wait_for(lambda: made[0] >= min(4, index + 3), timeout=60)
        append(self, populations, index)

    monkeypatch.setattr(network_module, "record_shard", counted)
    monkeypatch.setattr(RecordingWriter, "append", slow)
    arrays = [0]

    def run() -> None:
        tracemalloc.start()
        try:
            record_network(network, data, tmp_path / "r", spec, config={}, label="m")
            arrays[0] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    happened = peak_bytes(run) + arrays[0]
    assert abs(expected - happened) < 0.2 * happened, (expected, happened)


@pytest.mark.parametrize(("samples", "batches"), [(37, 1), (200, 1), (200, 4)])
@pytest.mark.parametrize("per_sample", [1e-4, 0.01, 2.0])
def test_time_is_predicted_to_a_fifth(
    samples: int, batches: int, per_sample: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a clock that a shard moves by a constant part and a part per sample, however long a sample takes."""
    network = small("mlp", "ei").eval()
    shard = 25 * batches
    spec = RecordingSpec(shard_samples=shard, batch_samples=25)
    clock = [0.0]
    record_shard = estimate_module.record_shard

    def seconds(n: int) -> float:
        return (12.0 if batches > 1 and per_sample < 1 else 0.5) * per_sample + n * per_sample

    def moves(*args: Any) -> Any:
        clock[0] += seconds(len(args[2]))
        return record_shard(*args)

    monkeypatch.setattr(estimate_module, "record_shard", moves)
    monkeypatch.setattr(estimate_module.time, "perf_counter", lambda: clock[0])
    shards = [shard] * (samples // shard) + ([samples % shard] if samples % shard else [])
    truth = sum(map(seconds, shards))
    assert abs(estimate(network, split(network, samples), spec).seconds - truth) < 0.2 * truth
