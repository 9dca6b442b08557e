"""Long runs: what is recorded goes to the store in pieces, the same whatever their size."""

import json
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import xarray as xr

import eiplatform
from eiplatform.errors import ConfigError, SumRuleError
from eiplatform.microcircuits import estimate_memory, extraction, load, runner, simulate
from eiplatform.microcircuits.extraction import RawFile, extract
from eiplatform.microcircuits.monitors import recorded_neurons
from eiplatform.microcircuits.results import datasets
from eiplatform.recording.circuit import record_circuit
from eiplatform.store import RecordingWriter, blocks, shards, validate
from eiplatform.store.events import bare

TINY = {"n_exc": 80, "n_inh": 20, "c_exc": 20, "c_inh": 5, "c_ext": 20, "j_mv": 1.0, "g": 4.0}
CIRCUIT = load("brunel-2000", TINY)


def raw_files(folder, duration_ms, n_recorded):
    """Write what a program leaves after 20 ms of warm-up, sampled at 1 ms: charges that grow, potentials, spikes."""
    rng, total = np.random.default_rng(1), 80 + 20 if n_recorded >= 80 else 2 * n_recorded
    rows = 20 + duration_ms + 1
    raw = {}
    for name in ("charge_rec", "charge_ext", "charge_inh", "v"):
        values = rng.random((rows, total)) * 1e-3
        raw[f"neurons.{name}"] = values if name == "v" else np.cumsum(values, axis=0)
    steps = np.sort(rng.integers(0, 10 * (20 + duration_ms), 30 * duration_ms))
    raw |= {"neurons.spike_t": steps * 1e-4, "neurons.spike_i": rng.integers(0, 100, len(steps)).astype(np.int32)}
    folder.mkdir()
    for key, values in raw.items():
        values.tofile(folder / key)
    return raw, {key: RawFile(folder / key, values.dtype) for key, values in raw.items()}


def extracted(folder, raw, duration_ms, n_recorded):
    times = {"warmup_ms": 20.0, "duration_ms": float(duration_ms), "record_dt_ms": 1.0}
    extract(CIRCUIT, raw, recorded_neurons(CIRCUIT.populations, n_recorded), folder, **times)
    return datasets(CIRCUIT, {**times, "device": "numpy"}, 7, folder)


@pytest.mark.parametrize("block", [640, 5000, 2**24])
def test_pieces_of_any_size_give_the_increments_and_spikes(block, monkeypatch, tmp_path):
    monkeypatch.setattr(extraction, "BLOCK_BYTES", block)
    values, raw = raw_files(tmp_path / "raw", 30, 80)
    found = extracted(tmp_path / "result", raw, 30, 80)
    for name, columns, own in (("E", slice(0, 80), slice(0, 80)), ("I", slice(80, 100), slice(80, 100))):
        data = found[name]
        parts = {}
        for signal, variable in (
            ("current_exc_recurrent", "rec"),
            ("current_exc_external", "ext"),
            ("current_inh", "inh"),
        ):
            charge = values[f"neurons.charge_{variable}"][20:, columns]
            parts[signal] = ((charge[1:] - charge[:-1]) / 1e-3 * 1e3).astype(np.float32)
            assert np.array_equal(data[signal].values[0], parts[signal])
        assert np.array_equal(data.current_exc[0], parts["current_exc_recurrent"] + parts["current_exc_external"])
        assert np.array_equal(data.voltage[0], (values["neurons.v"][20:50, columns] * 1e3).astype(np.float32))
        step = np.rint(values["neurons.spike_t"] * 1e4).astype(int) + 1 - 200  # dated to the end of its step
        inside = (step >= 0) & (step < 300)
        inside &= (values["neurons.spike_i"] >= own.start) & (values["neurons.spike_i"] < own.stop)
        assert 50 < inside.sum() < len(step)
        assert np.array_equal(data.spike_time, step[inside] * 0.1)
        assert np.array_equal(data.spike_neuron, values["neurons.spike_i"][inside] - own.start)
        assert set(data.spike_sample.values.tolist()) == {7}


def test_a_short_file_is_an_error(tmp_path):
    _, raw = raw_files(tmp_path / "raw", 30, 80)
    with pytest.raises(ValueError, match="reshape"):
        extracted(tmp_path / "result", raw, 31, 80)


def peak_of_storing(tmp_path, duration_ms):
    """Return the largest traced memory while raw files of so many ms become a recording."""
    _, raw = raw_files(tmp_path / f"raw{duration_ms}", duration_ms, 10)
    tracemalloc.start()
    with RecordingWriter(tmp_path / str(duration_ms), source={"kind": "circuit", "name": "x"}, config={}) as writer:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        writer.append(extracted(tmp_path / f"result{duration_ms}", raw, duration_ms, 10))
        peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_duration(monkeypatch, tmp_path):
    """Ten times as long: what grows is the coordinate of time, some numbers an interval, and not the signals."""
    for module in (extraction, blocks, shards):
        monkeypatch.setattr(module, "BLOCK_BYTES", 2**14)
    peak_of_storing(tmp_path, 100)  # imports and caches
    once, tenfold = peak_of_storing(tmp_path, 500), peak_of_storing(tmp_path, 5_000)
    signals = 20 * 4_500 * 6 * 4
    assert tenfold - once < signals / 8, (once, tenfold)


def test_pieces_hold_every_value_to_the_sum_rules(monkeypatch, tmp_path):
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 200)
    _, raw = raw_files(tmp_path / "raw", 30, 10)
    data = {name: part.load() for name, part in extracted(tmp_path / "result", raw, 30, 10).items()}
    pieces = list(blocks.time_pieces(data["E"]))
    assert len(pieces) > 5
    whole = xr.concat([piece for piece in map(bare, pieces) if "time" in piece.dims], "time", data_vars="all")
    assert np.array_equal(whole.current_net, data["E"].current_net)
    data["I"].current_net[0, 29, 9] += 1.0
    with (
        pytest.raises(SumRuleError, match="'I'.*current_exc - current_inh"),
        RecordingWriter(tmp_path / "store", source={"kind": "circuit", "name": "x"}, config={}) as writer,
    ):
        writer.append(data)


def test_devices_without_a_program_run_in_pieces_with_the_same_bits(tmp_path):
    program = (
        "import sys; from pathlib import Path; from eiplatform.microcircuits import worker; "
        "worker.PIECE_BYTES = int(sys.argv[2]); sys.exit(worker.main(Path(sys.argv[1])))"
    )
    times = {"duration_ms": 60.0, "warmup_ms": 10.0, "record_dt_ms": 0.5}
    job = {"module": type(CIRCUIT).__module__, "class": "Brunel2000", "parameters": CIRCUIT.to_mapping(), **times}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    def files(folder, piece):
        folder.mkdir()
        (folder / "job.json").write_text(
            json.dumps({**job, "n_recorded": 7, "device": "numpy", "seed": 3, "later": []})
        )
        command = [sys.executable, "-c", program, str(folder), str(piece)]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        assert [file for file in folder.iterdir() if file.is_file()] == [folder / "job.json"]  # nothing raw is left
        found = [file for file in (folder / "result").rglob("*") if file.is_file()]
        return {file.relative_to(folder): file.read_bytes() for file in found}

    whole = files(tmp_path / "whole", 2**26)
    assert len(whole) == 2 * (6 + 3)
    assert files(tmp_path / "pieces", 8 * 14 * 4 * 33) == whole  # 33 intervals of 0.5 ms: five pieces


@pytest.mark.usefixtures("simulated_once")
def test_a_recording_holds_what_simulate_returns(monkeypatch, tmp_path):
    options = {"duration_ms": 40.0, "warmup_ms": 10.0, "device": "numpy", "n_recorded": 5}
    held = dict(simulate("brunel-2000", parameters=TINY, seeds=(3, 1), **options))
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 500)
    monkeypatch.setattr(shards, "BLOCK_BYTES", 500)
    path = record_circuit("brunel-2000", tmp_path / "store", parameters=TINY, seeds=(3, 1), **options)
    tree = eiplatform.open(path)
    for name in ("E", "I"):
        stored = tree[name].ds
        for index, populations in enumerate(held.values()):
            for signal in bare(populations[name]).data_vars:
                if "time" in populations[name][signal].dims:
                    assert np.array_equal(stored[signal][index], populations[name][signal][0])
        spikes = np.concatenate([populations[name].spike_time for populations in held.values()])
        assert np.array_equal(stored.spike_time, spikes)
        assert np.array_equal(np.unique(stored.spike_sample), [1, 3])
    assert not validate(path).problems


def test_what_is_written_has_to_fit(monkeypatch):
    needed = estimate_memory(CIRCUIT, duration_ms=1e6, in_memory=False)
    assert needed == estimate_memory(CIRCUIT, duration_ms=1e7, in_memory=False)
    assert needed < estimate_memory(CIRCUIT, duration_ms=1e6)
    monkeypatch.setattr(runner.shutil, "disk_usage", lambda place: type("Usage", (), {"free": 10**6}))
    with pytest.raises(ConfigError, match="temporary files.*TMPDIR"):
        simulate("brunel-2000", parameters=TINY, device="numpy")
