"""Training that goes on from a checkpoint: it begins with those weights, says so, and refuses what would mislead."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from eiplatform import networks
from eiplatform.cli import main
from eiplatform.config import Config, config_hash, load_config
from eiplatform.datasets import load, split_validation
from eiplatform.errors import ConfigError
from eiplatform.training import TrainResult, evaluate, fit, initialise

SMALL = [
    "network.hidden=[24, 16]",
    "network.steps=3",
    "training.epochs=2",
    "training.warmup_epochs=0",
    "training.batch_size=64",
    "training.learning_rate=5e-2",
    "training.threads=1",
]


def small(*overrides: str) -> Config:
    return load_config(None, [*SMALL, *overrides])


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return fit(small(), tmp_path_factory.mktemp("first") / "a")


def test_it_begins_with_those_weights_and_says_so(first: TrainResult, tmp_path: Path) -> None:
    config = small(
        f"training.start={first.checkpoint}",
        *("training.epochs=1", "training.learning_rate=1e-12", "training.weight_decay=0", "network.dropout=0.2"),
    )
    result = fit(config, tmp_path / "b")
    start, kept = load_file(first.checkpoint), load_file(result.last)
    for name, values in start.items():
        torch.testing.assert_close(kept[name], values, rtol=0, atol=1e-9, msg=name)
    lines = [json.loads(line) for line in (tmp_path / "b" / "metrics.jsonl").read_text().splitlines()]
    network, before = networks.load(first.checkpoint)
    _, validation = split_validation(load("digits").train, before.dataset.validation, before.seed)
    assert lines[0]["validation_accuracy"] == evaluate(network, validation, batch_size=50).accuracy > 0.3
    assert result.test_accuracy == first.test_accuracy
    # The untrained network is E-I Init all the same.
    untrained = load_file(result.untrained)
    assert all(torch.equal(values, untrained[name]) for name, values in initialise(config).state_dict().items())
    digest = hashlib.sha256(first.checkpoint.read_bytes()).hexdigest()
    written = load_config(tmp_path / "b" / "config.yml")
    assert (written.training.start, written.training.start_sha256) == (str(first.checkpoint), digest)
    assert networks.load(result.checkpoint)[1] == written
    assert config_hash(written) == result.config_hash != config_hash(config)


def test_going_on_is_better_than_beginning_anew(first: TrainResult, tmp_path: Path) -> None:
    more = fit(small(f"training.start={first.checkpoint}", "training.average=0.9"), tmp_path / "b")
    assert more.validation_accuracy > first.validation_accuracy
    lines = [json.loads(line) for line in (more.out / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["validation_accuracy"] == first.validation_accuracy


def test_a_killed_run_resumes_bit_for_bit(first: TrainResult, tmp_path: Path) -> None:
    config = small(f"training.start={first.checkpoint}")
    whole = fit(config, tmp_path / "whole")

    def kill(done: int, total: int, message: str) -> None:
        if done == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(config, tmp_path / "killed", progress=kill)
    resumed = fit(config, tmp_path / "killed", resume=True)
    for name in ("untrained", "best", "last"):
        file = f"{name}.safetensors"
        assert (resumed.out / file).read_bytes() == (whole.out / file).read_bytes(), name
    a, b = (load_file(run.out / "state.safetensors") for run in (whole, resumed))
    assert set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


def test_another_file_of_that_name_is_not_gone_on_with(first: TrainResult, tmp_path: Path) -> None:
    copy = tmp_path / "start.safetensors"
    copy.write_bytes(first.checkpoint.read_bytes())
    config = small(f"training.start={copy}")
    fit(config, tmp_path / "b")
    copy.write_bytes(first.untrained.read_bytes())
    with pytest.raises(ConfigError, match=r"another configuration: training\.start_sha256 was"):
        fit(config, tmp_path / "b", resume=True)
    with pytest.raises(ConfigError, match="not the expected file"):
        fit(load_config(tmp_path / "b" / "config.yml"), tmp_path / "c")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["network.hidden=[24, 15]"], "'layers.fc2.weight_exc' has shape"),
        (["network.hidden=[24]"], "shape"),
        (["network.layer=none"], "choose the architecture and layers of the checkpoint"),
        (["dataset.validation=0.2"], "dataset.validation 0.1, now 0.2"),
        (["seed=2"], "seed 1, now 2"),
        (["training.start=nowhere.safetensors"], "the checkpoint nowhere.safetensors does not exist"),
        ([f"training.start_sha256={'a' * 64}"], "is not the expected file"),
        (["training.start=null", f"training.start_sha256={'a' * 64}"], "there is none"),
        (["training.start_sha256=12"], "start_sha256"),
    ],
)
def test_what_would_mislead_is_refused(
    first: TrainResult, tmp_path: Path, capsys: Any, changes: list[str], message: str
) -> None:
    settings = [*SMALL, f"training.start={first.checkpoint}", *changes]
    assert main(["train", "--out", str(tmp_path / "b"), "--set", *settings]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "b").exists()
