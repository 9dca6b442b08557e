"""Recording while a network is trained: it changes nothing, and every moment is that of its checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import eiplatform
from eiplatform.config import load_config
from eiplatform.errors import ConfigError, StoreError
from eiplatform.networks import load
from eiplatform.recording.checkpoint import split_of
from eiplatform.recording.network import record_network
from eiplatform.recording.series import TrainingRecorder
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store import validate
from eiplatform.training import fit
from tests.unit.test_cli import refused, run

CONFIG = load_config(
    None,
    [
        "dataset.name=digits",
        "network.hidden=[24, 16]",
        "training.epochs=2",
        "training.warmup_epochs=1",
        "training.learning_rate=1e-2",
        "training.threads=1",
    ],
)
SPEC = RecordingSpec(split="validation", samples=12, shard_samples=5, keep=("raw", "moments"))


def recorder(path: Path, **moments: object) -> TrainingRecorder:
    data = split_of(CONFIG, "validation")
    return TrainingRecorder(path, data, SPEC, config=CONFIG.model_dump(mode="json"), **moments)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    fit(CONFIG, folder / "plain")
    fit(CONFIG, folder / "watched", observe=recorder(folder / "watched/recording", epochs=(0, 0.5, 2), iterations=(3,)))
    return folder / "plain", folder / "watched"


def test_training_is_the_same_bit_for_bit(runs: tuple[Path, Path]) -> None:
    plain, watched = (load(run / "last.safetensors")[0].state_dict() for run in runs)
    assert all(torch.equal(plain[name], watched[name]) for name in plain)


def test_one_store_with_a_step_coordinate(runs: tuple[Path, Path], tmp_path: Path) -> None:
    tree = eiplatform.open(runs[1] / "recording")
    data = tree["fc2/E"].to_dataset()
    assert data["current_exc"].dims == ("step", "sample", "time", "neuron")
    per_epoch = data["step"].values[-1] // 2
    assert data["step"].values.tolist() == sorted([0, 3, round(per_epoch / 2), 2 * per_epoch])
    np.testing.assert_allclose(data["epoch"], data["step"] / per_epoch)
    assert data["bias"].dims == ("step", "neuron") and data["mean"].dims == ("step", "signal", "neuron")
    spread = data["current_inh"].std("step").values
    assert (spread > 0).any()  # the network did learn
    for step, name in ((0, "untrained"), (-1, "last")):
        network, config = load(runs[1] / f"{name}.safetensors")
        path = tmp_path / name
        record_network(network, split_of(config, "validation"), path, SPEC, config={}, label=name)
        alone = eiplatform.open(path)["fc2/E"].to_dataset()
        moment = data.isel(step=step)
        for signal in ("voltage", "spikes", "gain"):
            np.testing.assert_array_equal(moment[signal].values, alone[signal].values)
        np.testing.assert_array_equal(data[signal].isel(step=step, sample=slice(2, 9, 3)), alone[signal][2:9:3])
    for part in (runs[1] / "recording").glob("step-*"):
        assert validate(part).problems == []


def test_a_resumed_training_does_not_record_twice(runs: tuple[Path, Path]) -> None:
    folder = runs[1] / "recording"
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*.h5")}
    again = recorder(folder, epochs=(0,))
    network, _ = load(runs[1] / "last.safetensors")
    again(network, 0, 12)
    again(network, 1, 12)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*.h5")} == before


def test_impossible_moments_and_the_test_split(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="0 or more"):
        recorder(tmp_path, epochs=(-1,))
    with pytest.raises(ConfigError, match="split: validation"):
        TrainingRecorder(tmp_path, split_of(CONFIG, "test"), RecordingSpec(), epochs=(0,), config={})
    (tmp_path / "series.json").write_text("{}")
    with pytest.raises(StoreError, match="without recordings"):
        eiplatform.open(tmp_path)


def test_what_takes_one_recording_names_those_of_a_series(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = runs[1] / "recording"
    refused(capsys, "validate", folder, says="a series of recordings.*step-00000003.*give one of them")
    status, out, _ = run(capsys, "info", folder)
    assert status == 0 and "4 moments" in out
    refused(capsys, "analyse", "balance", folder, "--out", tmp_path / "b.nc", says="several moments.*isel")
    status, _, _ = run(capsys, "analyse", "balance", folder / "step-00000003", "--out", tmp_path / "b.nc")
    assert status == 0


def test_train_records_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "spec.yml"
    spec.write_text("samples: 6\nkeep: [moments]\npopulations: 'fc*/E'\n")
    small = ["dataset.name=digits", "network.hidden=[8]", "training.epochs=2", "training.warmup_epochs=1"]
    status, _, _ = run(
        capsys, "train", "--out", tmp_path / "r", "--record", spec, "--record-epochs", "0", "2", "--set", *small
    )
    assert status == 0
    data = eiplatform.open(tmp_path / "r" / "recording")["fc1/E"].to_dataset()
    assert data["epoch"].values.tolist() == [0, 2] and data["n"].values.tolist() == [24, 24]
    spec.write_text("split: test\n")
    refused(capsys, "train", "--out", tmp_path / "s", "--record", spec, "--set", *small, says="split: validation")
    assert not (tmp_path / "s").exists()
