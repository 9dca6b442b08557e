"""What validate finds, and that it says what to do about it."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import eiplatform
from eiplatform.cli import main
from eiplatform.errors import StoreError
from eiplatform.store import RecordingWriter, validate
from eiplatform.store.shards import checksum_of
from tests.conftest import layer

Write = Callable[..., Path]
SOURCE = {"kind": "network", "name": "toy"}


def edited(path: Path, edit: Callable[[h5py.File], None], shard: int = 0) -> Path:
    """Change a shard behind the back of its checksum, as another program would that writes one."""
    file = path / "shards" / f"{shard:05d}.h5"
    with h5py.File(file, "r+") as opened:
        edit(opened)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["shards"][shard] |= {"bytes": file.stat().st_size, "checksum": checksum_of(file)}
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


def _set(name: str, index: object, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[name][index] = value

    return change


def _attr(name: str, attr: str, value: object) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file[name].attrs[attr] = value

    return change


@pytest.mark.parametrize(
    ("edit", "check", "says"),
    [
        (
            _set("fc1/E/gain", (2, 1, slice(0, 3)), np.nan),
            "values",
            "'fc1/E': 'gain' has 3 NaN and 0 infinite of 960 v",
        ),
        (_set("fc2/E/drive", (0, 0, 0), np.inf), "values", "'fc2/E': 'drive' has 0 NaN and 1 infinite"),
        (_set("fc1/E/drive", (7, 0, 0), 3e3), "sum rules", "'fc1/E', samples 0 to .*drive = gain x current_net"),
        (_set("fc1/E/current_inh", (7, 0, 0), -1), "sum rules", "magnitude but has negative values"),
        (_set("fc1/E/time", 2, 1), "axes", "'fc1/E': 'time' has 1 repeated values"),
        (_set("fc1/E/time", slice(None), [3, 2, 1, 0]), "axes", "'time' does not ascend"),
        (_set("fc1/E/neuron", 5, 6), "axes", "neuron indices outside 0 to 5"),
        (_set("fc1/E/neuron", 5, 3), "axes", "'neuron' has 1 repeated values"),
        (_attr("fc1/E/gain", "units", "mV"), "labels", "'gain' has units 'mV', expected '1'"),
        (_attr("fc1/E/drive", "units", "mV"), "labels", "its currents have different units: 1, mV"),
        (_attr("fc1/E", "role", "X"), "labels", "attribute 'role' is 'X', none of E, I, mixed"),
        (_attr("fc1/E", "n_neurons", 4), "labels", "6 neurons recorded of 4"),
        (_attr("fc1/E", "dt_units", "ms"), "labels", "time is in 'step', dt in 'ms'"),
    ],
)
def test_what_another_program_got_wrong_is_named(
    network_recording: Write, edit: Callable[[h5py.File], None], check: str, says: str
) -> None:
    result = validate(edited(network_recording(shards=1), edit))
    assert result.problems and result.remedies, result
    with pytest.raises(StoreError, match=says):
        raise StoreError(result.checks[check])
    assert result.checks["checksums"].startswith("ok")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("spike_time", 701.0, "1 spikes with times outside the recording"),
        ("spike_time", -1.0, "1 spikes with times outside the recording"),
        ("spike_neuron", 8, "1 spikes with unknown neurons"),
        ("spike_sample", 77, "1 spikes with unknown samples"),
        ("spike_sample", 3, "the spikes of a sample do not follow one another"),
    ],
)
def test_events_must_lie_in_the_recording(circuit_recording: Write, name: str, value: float, says: str) -> None:
    path = edited(circuit_recording(), _set(f"E/{name}", 5, value))
    assert says in validate(path).checks["axes"]


def test_a_foreign_shard_is_not_called_truncated(network_recording: Write) -> None:
    path, other = network_recording("a", shards=2), network_recording("b", samples=20, shards=2)
    shutil.copy(other / "shards" / "00001.h5", path / "shards" / "00001.h5")
    assert validate(path).problems == ["shard 00001.h5 is of another recording"]
    with pytest.raises(StoreError, match="of another recording"):
        eiplatform.open(path)
    longer = path / "shards" / "00000.h5"
    longer.write_bytes(longer.read_bytes() + b"x")
    assert "longer than it was" in validate(path).problems[0]


def test_no_shards_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RecordingWriter(tmp_path / "r", source=SOURCE, config={})
    result = validate(tmp_path / "r")
    assert result.problems == ["the recording was interrupted", "no complete shard"]
    assert main(["validate", str(tmp_path / "r")]) == 2
    told = capsys.readouterr().out
    assert "NOT SOUND" in told and "what to do: record it again" in told and "not checked" in told
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_text())
    (tmp_path / "r" / "manifest.json").write_text(json.dumps(manifest | {"status": "complete", "shards": []}))
    assert validate(tmp_path / "r").problems == ["no complete shard"]


def test_a_damaged_manifest_is_no_traceback(network_recording: Write) -> None:
    path = network_recording()
    manifest = json.loads((path / "manifest.json").read_text())
    for key in ("id", "source", "shards"):
        left = {name: value for name, value in manifest.items() if name != key}
        (path / "manifest.json").write_text(json.dumps(left))
        with pytest.raises(StoreError, match=f"manifest is damaged: it has no {key}"):
            validate(path)


def test_files_that_are_not_part_of_it_are_mentioned(network_recording: Write) -> None:
    path = network_recording()
    shutil.copy(path / "shards" / "00000.h5", path / "shards" / "00009.h5")
    result = validate(path)
    assert result.problems == [] and "not part of it: 00009.h5" in result.checks["shards"]


def test_one_bad_sample_of_many_blocks_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("eiplatform.store.validate")  # the package's name is the function's
    monkeypatch.setattr(module, "BLOCK_BYTES", 16 * 400)  # a few samples
    with RecordingWriter(tmp_path / "r", source=SOURCE, config={}) as writer:
        writer.append({"fc1/E": layer(np.arange(40))})
    path = edited(tmp_path / "r", _set("fc1/E/current_net", (37, 3, 5), 9.0))
    (problem,) = validate(path).problems
    assert problem.startswith("'fc1/E', samples 36 to 39: sum rule violated: current_net")
