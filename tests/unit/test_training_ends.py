"""A training that did not finish says so, wherever its checkpoint goes; two never share a directory."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from eiplatform.cli import main
from eiplatform.config import Config, load_config
from eiplatform.datasets import DataBundle, DataInfo, Split, load
from eiplatform.errors import OutputExistsError, TrainingError
from eiplatform.files import sha256_of
from eiplatform.networks.checkpoint import CheckpointError, read_tensors
from eiplatform.recording.checkpoint import open_checkpoint
from eiplatform.store import read_manifest
from eiplatform.training import fit
from eiplatform.training.about import describe_checkpoint
from eiplatform.training.finished import ABORTED, why_unfinished
from eiplatform.training.start import with_start_hash

CHANGES = ["network.hidden=[12]", "training.epochs=3", "training.warmup_epochs=0", "training.batch_size=512"]
CONFIG = load_config(None, CHANGES)


class _Stop(RuntimeError):
    pass


def _aborted(out: Path, epochs: float, config: Config = CONFIG, error: BaseException | None = None) -> Path:
    """Train until so many epochs are over, and then fail."""

    def stop(network: object, iteration: int, per_epoch: int) -> None:
        if iteration >= epochs * per_epoch:
            raise error or TrainingError("layer fc1 is silent")

    with pytest.raises(BaseException):  # noqa: B017, PT011
        fit(config, out, observe=stop)
    return out


@pytest.fixture(scope="module")
def aborted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _aborted(tmp_path_factory.mktemp("aborted") / "run", 2.5)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    fit(CONFIG, out)
    return out


def test_the_end_and_its_reason_are_written_down(aborted: Path) -> None:
    assert json.loads((aborted / ABORTED).read_text()) == {
        "kind": "TrainingError",
        "why": "layer fc1 is silent",
        "epoch": 2,
    }
    info = read_tensors(aborted / "best.safetensors", "network")[1]["info"]
    assert info["finished"] is False
    assert not (aborted / "result.json").exists()


@pytest.mark.parametrize("command", ["record", "lesion"])
def test_commands_refuse_it_unless_asked(
    aborted: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = Path(shutil.copy(aborted / "best.safetensors", tmp_path / "alone.safetensors"))
    for source in (aborted, aborted / "best.safetensors", alone):
        call = [command, str(source), "--out", str(tmp_path / "o"), "--samples", "4"]
        assert main(call) == 2
        told = capsys.readouterr().err
        assert "--unfinished" in told and not (tmp_path / "o").exists()
        assert ("fc1 is silent" in told) == (source != alone)
    assert main([*call, "--unfinished", *(["--doses", "0", "1"] if command == "lesion" else [])]) == 0


def test_the_untrained_network_of_such_a_run_is_whole(aborted: Path) -> None:
    assert why_unfinished(aborted / "untrained.safetensors") is None


def test_python_refuses_too(aborted: Path) -> None:
    with pytest.raises(TrainingError) as caught:
        open_checkpoint(aborted, "test")
    assert caught.value.where == str(aborted / "best.safetensors")
    assert caught.value.alternatives[0] == "finish it with 'eiplatform train --resume'"
    network, config, _ = open_checkpoint(aborted, "test", unfinished=True)
    assert config == CONFIG and network.n_classes == 10


def test_resumed_to_its_end_it_is_as_if_it_had_never_stopped(aborted: Path, finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(aborted, tmp_path / "run"))
    fit(CONFIG, run, resume=True)
    assert not (run / ABORTED).exists()
    for name in ("best", "last", "untrained"):
        assert (run / f"{name}.safetensors").read_bytes() == (finished / f"{name}.safetensors").read_bytes()
        assert why_unfinished(run / f"{name}.safetensors") is None
    open_checkpoint(run, "test")


def test_training_does_not_begin_with_it_unless_its_hash_is_named(aborted: Path) -> None:
    start = aborted / "best.safetensors"
    with pytest.raises(TrainingError) as caught:
        with_start_hash(load_config(None, [*CHANGES, f"training.start={start}"]))
    assert caught.value.where == f"training.start: {start}"
    named = load_config(None, [*CHANGES, f"training.start={start}", f"training.start_sha256={sha256_of(start)}"])
    assert with_start_hash(named) == named
    with_start_hash(load_config(None, [*CHANGES, f"training.start={aborted / 'untrained.safetensors'}"]))


def test_before_the_first_epoch_there_is_no_checkpoint_but_a_reason(tmp_path: Path) -> None:
    out = _aborted(tmp_path / "run", 0, error=KeyboardInterrupt())
    with pytest.raises(CheckpointError, match="after epoch 0: KeyboardInterrupt"):
        open_checkpoint(out, "test", unfinished=False)


def test_runs_of_earlier_versions_without_marks(finished: Path, tmp_path: Path) -> None:
    from safetensors.torch import load as from_bytes
    from safetensors.torch import save as to_bytes

    run = Path(shutil.copytree(finished, tmp_path / "run"))
    tensors, meta = read_tensors(run / "best.safetensors", "network")
    old = {key: value for key, value in meta.items() if key != "weights_sha256"} | {"info": {"epoch": 3}}
    (run / "best.safetensors").write_bytes(to_bytes(tensors, {"eiplatform": json.dumps(old)}))
    assert from_bytes((run / "best.safetensors").read_bytes()).keys() == tensors.keys()
    open_checkpoint(run, "test")
    facts = describe_checkpoint(run / "best.safetensors")
    assert (facts.checksum, facts.data_sha256, facts.unfinished) == ("none", None, None)
    (run / "result.json").unlink()
    with pytest.raises(TrainingError):
        open_checkpoint(run, "test")


def test_a_second_training_in_one_directory_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "run"
    code = (
        "import sys, pathlib, time\nfrom eiplatform.config import load_config\nfrom eiplatform.training import fit\n"
        "def wait(*_):\n    print('ready', flush=True)\n    time.sleep(100)\n"
        f"fit(load_config(None, {CHANGES!r}), {str(out)!r}, observe=wait)"
    )
    first = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None and first.stdout.readline() == "ready\n"
        held = {path.name: path.read_bytes() for path in out.iterdir()}
        options: list[dict[str, Any]] = [{"overwrite": True}, {"resume": True}, {}]
        for option in options:
            with pytest.raises(OutputExistsError) as caught:
                fit(CONFIG, out, **option)
            assert caught.value.alternatives == ("wait until it ends", "choose another path")
        assert {path.name: path.read_bytes() for path in out.iterdir()} == held
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    assert fit(CONFIG, out, overwrite=True).epochs == 3


def test_weights_are_checked_on_loading(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray((finished / "best.safetensors").read_bytes())
    tensors, meta = read_tensors(finished / "best.safetensors", "network")
    content[-4:] = bytes(reversed(content[-4:]))  # another number, and a possible one
    damaged = tmp_path / "d.safetensors"
    damaged.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(damaged, "test")
    assert caught.value.where == str(damaged) and meta["weights_sha256"][:12] in caught.value.what
    assert main(["info", str(damaged)]) == 2
    capsys.readouterr()
    assert main(["info", str(finished), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["checksum"], facts["weights_sha256"]) == ("verified", meta["weights_sha256"])
    assert facts["data_sha256"] == load("digits").train.describe()["sha256"]
    assert facts["parameters"] == sum(tensor.numel() for tensor in tensors.values())


def test_the_manifest_holds_the_hashes_of_weights_and_data(finished: Path, tmp_path: Path) -> None:
    assert main(["record", str(finished), "--out", str(tmp_path / "r"), "--samples", "5"]) == 0
    source = read_manifest(tmp_path / "r")["source"]
    assert source["weights"] == read_tensors(finished / "best.safetensors", "network")[1]["weights_sha256"]
    assert source["data"] == load("digits").test.describe()
    assert source["data"]["name"] == "digits" and source["data"]["samples"] == 359


def test_own_data_keep_their_name_and_never_borrow_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digits = load("digits")
    shape = digits.info.input_shape

    def own(split: Split) -> Split:
        return Split(255 - 16 * split.stored_at(slice(None)), split.labels, split.ids, 255)

    info = DataInfo("dark digits", "own", "here", "none", "none", shape, 10)
    data = DataBundle(own(digits.train), info, lambda: own(digits.test))
    out = tmp_path / "run"
    fit(CONFIG, out, data=data)
    facts = describe_checkpoint(out / "best.safetensors")
    assert facts.dataset == "dark digits" and facts.data_sha256 == data.train.describe()["sha256"]
    assert facts.data_sha256 != digits.train.describe()["sha256"]
    assert load_config(out / "config.yml").dataset.name == "dark digits"
    assert main(["record", str(out), "--out", str(tmp_path / "r")]) == 2  # by name there is no such data set
    assert "unknown data set 'dark digits'" in capsys.readouterr().err
    assert main(["record", str(out), "--out", str(tmp_path / "r"), "--dataset", "digits", "--samples", "3"]) == 0
    assert read_manifest(tmp_path / "r")["source"]["data"]["name"] == "digits"  # what was shown
    assert read_manifest(tmp_path / "r")["config"]["dataset"]["name"] == "dark digits"  # what it learnt


def test_the_hash_of_data_sees_pixels_labels_order_and_scale() -> None:
    split = load("digits").test
    same = split.describe()
    pixels = split.stored_at(slice(None))
    assert Split(pixels, split.labels, split.ids, 16, name="digits").describe() == same
    assert Split(pixels, split.labels, split.ids, 16).describe() == same | {"name": "own data, not named"}
    changed = pixels.copy()
    changed[-1, 0, 0, 0] += 1
    others = [
        Split(changed, split.labels, split.ids, 16),
        Split(pixels, (split.labels + 1) % 10, split.ids, 16),
        Split(pixels, split.labels, split.ids + 1, 16),
        Split(pixels, split.labels, split.ids, 17),
        Split(pixels[::-1], split.labels, split.ids, 16),
    ]
    hashes = {other.describe()["sha256"] for other in others}
    assert len(hashes) == len(others) and same["sha256"] not in hashes
