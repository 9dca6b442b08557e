"""Whatever happens to the process or the disk, no acknowledged sample is lost or comes twice.

More kills: ``EIPLATFORM_KILLS=300 python -m pytest tests/unit/test_recording_faults.py -k kill``.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import eiplatform
from eiplatform.config import load_config
from eiplatform.datasets import Split, load
from eiplatform.errors import OutputExistsError, StoreError
from eiplatform.networks import Network
from eiplatform.recording.network import record_network
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store import RecordingWriter, read_manifest, validate
from eiplatform.store.guarded import GuardedFile
from eiplatform.training import initialise
from eiplatform.training.parallel import join
from tests.ranks import together

CONFIG = load_config(None, ["network.hidden=[20, 16, 12]", "dataset.name=digits"])
SETTINGS = CONFIG.model_dump(mode="json")
N_SAMPLES = 32
KILLS = int(os.environ.get("EIPLATFORM_KILLS", "10"))
SPEC = RecordingSpec(samples=N_SAMPLES, shard_samples=4, steps=3, keep=("raw", "moments"), populations=("fc*/E",))


@cache
def made() -> tuple[Network, Split]:
    """Return a network and images, the same in every process forked from here."""
    return initialise(CONFIG, 5), load("digits").test


def write(path: Path, spec: RecordingSpec = SPEC, **options: Any) -> None:
    record_network(*made(), path, spec, config=SETTINGS, label="toy", **options)


def record(path: Path, spec: RecordingSpec = SPEC, **options: Any) -> xr.DataTree:
    write(path, spec, **options)
    return eiplatform.open(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> xr.DataTree:
    return record(tmp_path_factory.mktemp("whole") / "r").load()


def _in_a_process(path: str, resume: bool) -> None:
    torch.set_num_threads(1)
    record(Path(path), resume=resume, overwrite=not resume)


def test_kill_at_random_moments_and_resume(tmp_path: Path, whole: xr.DataTree) -> None:
    """Kills -9: what had been acknowledged stays, byte for byte, and the end is the uninterrupted recording."""
    path, chance = tmp_path / "r", random.Random(1)
    # A copy of this process, so that torch is there already and the kills fall into the recording.
    fork = multiprocessing.get_context("fork")
    kills, acknowledged, fewest, most = 0, {}, 99, 0
    while kills < KILLS:
        resume = (path / "manifest.json").is_file() and read_manifest(path)["status"] == "recording"
        before = len(list((path / "shards").glob("*.json"))) if resume else 0
        process = fork.Process(target=_in_a_process, args=(str(path), resume))
        process.start()
        limit, deadline = before + chance.randint(0, 2), time.monotonic() + 60
        while process.is_alive() and time.monotonic() < deadline:
            if len(list((path / "shards").glob("*.json"))) > limit:
                time.sleep(chance.uniform(0, 0.02))
                break
        if process.pid and process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
        process.join()
        if (path / "manifest.json").is_file() and read_manifest(path)["status"] == "complete":  # begin anew
            assert validate(path).problems == []
            shutil.rmtree(path)
            acknowledged = {}
            continue
        assert process.exitcode == -signal.SIGKILL
        kills += 1
        now = {file.name: file.read_bytes() for file in (path / "shards").glob("[0-9]*")}
        shards = {name: content for name, content in now.items() if name.replace(".h5", ".json") in now}
        for name, content in acknowledged.items():
            assert shards[name] == content  # nothing that was acknowledged has changed
        acknowledged = shards
        done = len([name for name in shards if name.endswith(".json")])
        fewest, most = min(fewest, done), max(most, done)
        if done:
            tree = eiplatform.open(path, partial=True)
            assert not tree.attrs["complete"] and "interrupted" in tree.attrs["problems"]
            part = tree["fc2/E"].to_dataset()
            assert part.sizes["sample"] == min(4 * done, N_SAMPLES)
            raw = whole["fc2/E"].to_dataset().sel(sample=part["sample"])
            np.testing.assert_array_equal(part["voltage"].values, raw["voltage"].values)
            assert int(part["n"]) == part.sizes["sample"] * 3
    assert fewest < 3 and most > 4  # the kills came early and late
    resume = (path / "manifest.json").is_file()
    xr.testing.assert_identical(_plain(record(path, resume=resume)), _plain(whole))
    assert validate(path).problems == []


def _plain(tree: xr.DataTree) -> xr.Dataset:
    return tree["fc3/E"].to_dataset().load()


def test_ranks_write_the_same_bytes(tmp_path: Path) -> None:
    """Two processes as torchrun starts them give the shards that one gives."""
    one = record(tmp_path / "one")

    def program(_: int) -> None:
        with join("cpu") as world:
            write(tmp_path / "two", rank=world.rank, n_ranks=world.size, barrier=world.wait)

    done = together(tmp_path, program)
    assert [status for status, _ in done] == [0, 0], done
    two = eiplatform.open(tmp_path / "two")
    assert len(read_manifest(tmp_path / "two")["shards"]) == 8
    for name in ("fc1/E", "fc3/E"):
        xr.testing.assert_identical(one[name].to_dataset().load(), two[name].to_dataset().load())


def test_another_network_cannot_resume(tmp_path: Path) -> None:
    path = tmp_path / "r"
    writer = _interrupted(path)
    images = load("digits").test
    with pytest.raises(StoreError, match="begun with another network.*choose another path"):
        record_network(initialise(CONFIG, 6), images, path, SPEC, config=SETTINGS, label="toy", resume=True)
    with pytest.raises(StoreError, match="begun with another"):
        record(path, SPEC.model_copy(update={"steps": 4}), resume=True)
    assert len(list((path / "shards").glob("*.h5"))) == writer


def _interrupted(path: Path, shards: int = 5) -> int:
    """Make a recording that broke off after some shards."""

    def stop(done: int, total: int, message: str) -> None:
        if done > 4 * shards:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(path, progress=stop)
    return len(list((path / "shards").glob("*.h5")))


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no recording to resume.*start it anew"):
        record(tmp_path / "none", resume=True)
    record(tmp_path / "r")
    with pytest.raises(StoreError, match="is complete"):
        record(tmp_path / "r", resume=True)
    with pytest.raises(StoreError, match="exclude each other"):
        record(tmp_path / "r", resume=True, overwrite=True)
    assert validate(tmp_path / "r").problems == []


def test_an_interrupted_recording_is_not_overwritten_by_accident(tmp_path: Path) -> None:
    _interrupted(tmp_path / "r")
    with pytest.raises(OutputExistsError, match="resume=True"):
        record(tmp_path / "r")


@pytest.mark.parametrize("complete", [False, True])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing", "foreign"])
def test_damaged_shards_are_named_and_recorded_again(
    tmp_path: Path, whole: xr.DataTree, damage: str, complete: bool
) -> None:
    path, other = tmp_path / "r", tmp_path / "other"
    record(path) if complete else _interrupted(path)
    shard = path / "shards" / "00002.h5"
    content = bytearray(shard.read_bytes())
    if damage == "truncated":
        shard.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
    elif damage == "missing":
        shard.unlink()
    else:
        _interrupted(other)
        shutil.copy(other / "shards" / shard.name, shard)
    assert any("00002.h5" in problem for problem in validate(path).problems)
    xr.testing.assert_identical(_plain(record(path, resume=True)), _plain(whole))
    assert validate(path).problems == []


def test_two_writers_on_one_directory(tmp_path: Path) -> None:
    first = RecordingWriter(tmp_path / "r", source={"kind": "network", "name": "a"}, config={})
    for options in ({"overwrite": True}, {"resume": True}, {}):
        with pytest.raises(OutputExistsError, match="another process is writing"):
            record(tmp_path / "r", **options)
    first.close()
    record(tmp_path / "r", overwrite=True)


def _limited(places: dict[int, Path]) -> None:
    """Record with files limited in size: every write beyond fails, as on a full disk; end with 7 if all did."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    torch.set_num_threads(1)
    for size, path in places.items():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        try:
            record(path)
        except OSError:
            continue
        os._exit(1)
    os._exit(7)


def test_a_write_that_fails_leaves_complete_shards_and_no_crash(tmp_path: Path) -> None:
    record(tmp_path / "whole")
    sizes = [file.stat().st_size for file in (tmp_path / "whole" / "shards").glob("*.h5")]
    places = {size: tmp_path / f"r{size}" for size in (max(sizes) // 2, max(sizes) - 100, 5000)}
    # A new process: in a forked one the HDF5 library holds the files that are open here.
    process = multiprocessing.get_context("spawn").Process(target=_limited, args=(places,))
    process.start()
    process.join(120)
    assert process.exitcode == 7  # an OSError of ours each time, not a crash inside the HDF5 library
    for path in places.values():
        assert list((path / "shards").iterdir()) == []
        xr.testing.assert_identical(_plain(record(path, resume=True)), _plain(eiplatform.open(tmp_path / "whole")))


def test_a_full_disk_in_the_middle_can_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = GuardedFile.write, [0]

    def full(file: GuardedFile, data: Any) -> int:
        written[0] += len(data)
        if written[0] > 150_000:
            file.error = OSError(28, "No space left on device")
        return real(file, data)

    monkeypatch.setattr(GuardedFile, "write", full)
    with pytest.raises(OSError, match="No space left"):
        record(tmp_path / "r")
    monkeypatch.setattr(GuardedFile, "write", real)
    kept = len(list((tmp_path / "r" / "shards").glob("*.json")))
    assert 0 < kept < 8 and list((tmp_path / "r" / "shards").glob(".*")) == []
    assert record(tmp_path / "r", resume=True)["fc1/E"].sizes["sample"] == N_SAMPLES


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    locked = Path("/proc") if os.geteuid() == 0 else tmp_path / "locked"  # the superuser may write everywhere else
    locked.mkdir(mode=0o500, exist_ok=True)
    with pytest.raises(OutputExistsError, match="cannot create.*choose another path"):
        record(locked / "r")


def test_the_manifest_is_written_last(tmp_path: Path) -> None:
    _interrupted(tmp_path / "r")
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_text())
    assert manifest["status"] == "recording" and "shards" not in manifest
    with pytest.raises(StoreError, match="interrupted after 5 complete.*--resume"):
        eiplatform.open(tmp_path / "r")
