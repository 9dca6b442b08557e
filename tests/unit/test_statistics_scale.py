"""Recordings larger than the memory: blocks change neither values nor intervals, and memory stays bounded."""

from __future__ import annotations

import gc
import pickle
import tracemalloc
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import eiplatform
import eiplatform.statistics as ei
from eiplatform.errors import MissingDependencyError, StatisticError, StoreError
from eiplatform.statistics import kernels, population, spread
from eiplatform.statistics.kernels import moments, spill
from eiplatform.statistics.kernels.spikes import SpikeTrains
from eiplatform.store.schema import population_dataset
from eiplatform.store.writer import RecordingWriter

SAMPLES, STEPS, NEURONS = 48, 110, 7


def layer(samples: np.ndarray, steps: int = STEPS, neurons: int = NEURONS) -> xr.Dataset:
    rng = np.random.default_rng([3, *samples[:1]])
    shape = (len(samples), steps, neurons)
    exc = (rng.gamma(4, 0.25, (len(samples), 1, 1)) * rng.gamma(3, 0.3, shape)).astype(np.float32)
    inh = (0.5 * exc + rng.gamma(3, 0.2, shape)).astype(np.float32)
    signals = {
        "current_exc": exc,
        "current_inh": inh,
        "gain": rng.gamma(5, 0.2, shape).astype(np.float32),
        "spikes": rng.random(shape) < 0.3,
    }
    return population_dataset(
        signals, sample=samples, time=np.arange(steps), neuron=np.arange(neurons), dt=1.0, time_units="step",
        current_units="1", n_neurons=neurons, role="E",
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A recording of two layers in four shards."""
    path = tmp_path / "recording"
    with RecordingWriter(path, source={"kind": "network", "name": "toy", "label": "toy"}, config={}) as writer:
        for part in np.array_split(np.arange(SAMPLES), 4):
            writer.append({"fc1/E": layer(part), "fc2/E": layer(part + 100).assign_coords(sample=part)})
    return path


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blocks of a few samples, nothing kept, and tables in files."""
    monkeypatch.setattr(population, "BLOCK_BYTES", 5 * 4 * STEPS * NEURONS)
    monkeypatch.setattr(population, "KEPT_BYTES", 0)
    monkeypatch.setattr(spill, "SPILL_BYTES", 0)
    monkeypatch.setattr(spill, "ROWS_BYTES", 8 * NEURONS * 11)
    yield


NUMBERS = ("value", "low", "high", "n_used", "draws")


def summary(path: Path, **options: object) -> xr.Dataset:
    return ei.summarise(eiplatform.open(path), n_bootstrap=40, keep_draws=True, **options)  # type: ignore[arg-type]


def test_every_statistic_is_the_same_in_small_blocks(store: Path, request: pytest.FixtureRequest) -> None:
    whole = summary(store)
    defined = np.isfinite(whole["value"].values) & np.isfinite(whole["low"].values)
    assert defined.all(axis=0).sum() >= 40  # of 61; the others say why they have no value
    assert (defined | (whole["note"].values != "")).all()
    request.getfixturevalue("tiny")
    found = summary(store)
    for name in NUMBERS:
        # A skewness near 0 is a sum of cubes that cancel: its rounding is that of the cubes, not of the sum.
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-12, atol=1e-13, err_msg=name)


def test_threads_and_dask_change_nothing(store: Path, tiny: None) -> None:
    one = summary(store, workers=1)
    xr.testing.assert_identical(summary(store, workers=4), one)
    pytest.importorskip("dask")
    chunked = ei.summarise(eiplatform.open(store, chunks={}), n_bootstrap=40, keep_draws=True)
    for name in NUMBERS:
        np.testing.assert_allclose(chunked[name], one[name], rtol=1e-12, atol=1e-14)


def test_blocks_cover_all_samples_once_and_are_small(store: Path, tiny: None) -> None:
    found = population.Population(eiplatform.open(store)["fc1/E"].ds)
    parts = list(found.blocks("current_exc", "spikes"))
    assert len(parts) == -(-SAMPLES // 5) and max(len(exc) for exc, _ in parts) == 5
    np.testing.assert_array_equal(np.concatenate([exc for exc, _ in parts]), found.array("current_exc"))
    np.testing.assert_array_equal(np.concatenate([spikes for _, spikes in parts]), found.array("spikes"))


def test_tables_are_read_once_and_lie_in_files_when_large(store: Path, tiny: None) -> None:
    found = population.Population(eiplatform.open(store)["fc1/E"].ds)
    table = found.time_mean("gain")
    assert isinstance(table, np.memmap) and found.time_mean("gain") is table
    np.testing.assert_allclose(table, found.array("gain").mean(axis=1, dtype=np.float64), rtol=1e-14)
    both = found.table(both_ends, "current_exc", "current_inh")
    assert both.shape == (2, SAMPLES, NEURONS)
    np.testing.assert_array_equal(both[1], found.array("current_inh")[:, -1])


def both_ends(exc: np.ndarray, inh: np.ndarray) -> np.ndarray:
    return np.stack([exc[:, 0], inh[:, -1]])


def test_bad_values_in_any_block_are_an_error(tiny: None) -> None:
    data = layer(np.arange(20))
    data["current_exc"].values[17, 3, 2] = np.nan
    with pytest.raises(StatisticError, match="'current_exc' has 1 values that are NaN"):
        ei.summarise(data, ["balance_index"], n_bootstrap=5)


def test_trains_of_blocks_are_those_of_the_whole(tiny: None) -> None:
    data = layer(np.arange(SAMPLES))
    spikes = data["spikes"].values
    whole = SpikeTrains.from_dense(spikes, dt=1.0, units="step")
    found = population.Population(data).trains
    assert not isinstance(found, SpikeTrains) and found.duration == whole.duration
    np.testing.assert_array_equal(found.counts, whole.counts)
    for name in ("interval_moments", "local_sums"):
        for table, expected in zip(getattr(found, name), getattr(whole, name), strict=True):
            np.testing.assert_allclose(table, expected, rtol=1e-12)
    for item, expected in zip(found.window_sums(10.0), whole.window_sums(10.0), strict=True):
        np.testing.assert_allclose(item, expected, rtol=1e-12)
    np.testing.assert_array_equal(found.time, whole.time)  # kernels that need the events get them


def test_memory_does_not_grow_with_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Peak of what Python and numpy allocate, for recordings of 2 and 8 MB."""
    monkeypatch.setattr(population, "KEPT_BYTES", 2**16)
    monkeypatch.setattr(population, "BLOCK_BYTES", 2**18)
    monkeypatch.setattr(spill, "SPILL_BYTES", 2**15)
    monkeypatch.setattr(spill, "ROWS_BYTES", 2**14)
    keys = ["balance_index", "ei_correlation_samples_excess", "ei_correlation_time", "gain_cv", "fano_factor", "lv"]
    peaks = {}
    for n_samples in (40, 160):
        path = tmp_path / str(n_samples)
        with RecordingWriter(path, source={"kind": "network", "name": "toy", "label": "toy"}, config={}) as writer:
            for part in np.array_split(np.arange(n_samples), n_samples // 20):
                writer.append({"fc1/E": layer(part, steps=64, neurons=64)})
        tree = eiplatform.open(path)
        tracemalloc.start()
        ei.summarise(tree, keys, n_bootstrap=10)
        peaks[n_samples] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    signal = 4 * 64 * 64  # bytes of a sample
    assert peaks[160] - peaks[40] < 0.25 * (160 - 40) * signal
    assert peaks[160] < 8e6


def test_nothing_of_a_population_outlives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waiting for Python to look for cycles: ten layers take no more than two."""
    made: list[weakref.ref[np.ndarray]] = []
    plain = spill.empty_table

    def followed(shape: tuple[int, ...]) -> np.ndarray:
        table = plain(shape)
        made.append(weakref.ref(table))
        return table

    for module in (population, moments):
        monkeypatch.setattr(module, "empty_table", followed)
    monkeypatch.setattr(population, "KEPT_BYTES", 0)  # trains in blocks, which refer to the population
    data = layer(np.arange(40))
    gc.collect()
    gc.disable()
    try:
        ei.summarise(data, n_bootstrap=5, workers=1)
        assert len(made) > 8 and not any(table() is not None for table in made)
    finally:
        gc.enable()


def test_weighted_sums_add_up() -> None:
    rng = np.random.default_rng(0)
    weights, data = rng.random((5, 200)), rng.normal(size=(200, 3))
    (found,) = kernels.weighted_sums(weights, lambda part: (part**2,), data)
    np.testing.assert_allclose(found, weights @ data**2, rtol=1e-12)


def test_results_of_workers_keep_their_order_and_errors_come_through() -> None:
    assert spread.spread(abs, list(range(-20, 0)), workers=3) == list(range(20, 0, -1))
    with pytest.raises(ZeroDivisionError):
        spread.spread(lambda x: 1 // x, [1, 0], workers=2)
    with pytest.raises(StatisticError, match="0 workers"):
        spread.spread(abs, [1], workers=0)


def test_a_scheduler_without_distributed_names_the_extra(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    def absent(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(MissingDependencyError, match=r"scheduler=... needs distributed.*eiplatform\[cluster\]"):
        summary(store, scheduler="tcp://127.0.0.1:1")


def test_what_travels_to_a_worker_is_small_and_complete(store: Path) -> None:
    data = eiplatform.open(store)["fc1/E"].ds
    sent = pickle.dumps(data)
    assert len(sent) < 0.2 * data.nbytes
    xr.testing.assert_identical(ei.summarise(pickle.loads(sent), n_bootstrap=9), ei.summarise(data, n_bootstrap=9))
    error = pickle.loads(pickle.dumps(StatisticError("bad", where="here", valid="good")))
    assert str(error) == str(StatisticError("bad", where="here", valid="good")) and error.exit_code == 2


@pytest.mark.filterwarnings("default")  # those of the cluster's own event loop
def test_a_cluster_gives_the_same_table(store: Path) -> None:
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None)
    with cluster:
        found = summary(store, scheduler=cluster.scheduler_address)
    xr.testing.assert_identical(found, summary(store))
    with pytest.raises(StoreError, match="no dask scheduler answers"):
        spread.spread(abs, [1], scheduler="tcp://127.0.0.1:1")
