"""Several processes train like one: gloo on the CPU, started by torchrun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from eiplatform.config import load_config
from eiplatform.training import fit
from eiplatform.training.parallel import World
from tests.ranks import together

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
SMALL = [
    "network.hidden=[24, 16]",
    "network.steps=2",
    "dataset.augment=[crop]",
    "dataset.crop_padding=1",
    "training.epochs=2",
    "training.warmup_epochs=0",
    "training.batch_size=321",
    "training.learning_rate=1e-2",
    "training.threads=1",
]

PROGRAM = """
import os, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from eiplatform.config import load_config
from eiplatform.training import fit, loop

mode, out, *overrides = sys.argv[1:]
rank = os.environ["RANK"]

class Watched(loop.TrainingRun):
    def _epoch(self, epoch):
        found = super()._epoch(epoch)
        if mode == "drift" and rank == "1":
            with torch.no_grad():
                next(self.network.parameters())[0, 0] += 1e-6
        if mode == "kill" and epoch == 2:
            raise SystemExit(7)
        return found

    def _finish(self):
        save_file(self.network.state_dict(), f"{out}.rank{rank}.safetensors")
        return super()._finish()

loop.TrainingRun = Watched
result = fit(load_config(None, overrides), out, resume=mode == "resume")
print("accuracy", result.test_accuracy)
"""


def torchrun(place: Path, mode: str) -> str:
    """Run two processes as users do; return what they print."""
    (place / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [str(place / "program.py"), mode, str(place / "out"), *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def start(place: Path, mode: str, *overrides: str, processes: int = 2) -> list[tuple[int, str]]:
    """Run the same program in processes that are warm; return exit status and errors of each."""

    def program(_: int) -> None:
        sys.argv = ["program.py", mode, str(place / "out"), *SMALL, *overrides]
        exec(compile(PROGRAM, "program.py", "exec"), {"__name__": "__main__"})

    return together(place, program, processes)


def metrics(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("two")
    assert torchrun(place, "whole").count("accuracy") == 2
    return place / "out"


def test_two_processes_take_the_steps_of_one(two: Path, tmp_path: Path) -> None:
    fit(load_config(None, SMALL), tmp_path / "one")
    # 1294 images in batches of 321, the last one of 10: no part is padded, and parts are unequal.
    one, both = load_file(tmp_path / "one" / "last.safetensors"), load_file(two / "last.safetensors")
    start = load_file(two / "untrained.safetensors")
    for name in one:
        moved = float((one[name] - start[name]).abs().max())
        torch.testing.assert_close(both[name], one[name], rtol=1e-5, atol=1e-3 * moved, msg=name)
    assert (two / "untrained.safetensors").read_bytes() == (tmp_path / "one" / "untrained.safetensors").read_bytes()
    for a, b in zip(metrics(tmp_path / "one"), metrics(two), strict=True):
        assert b["train_accuracy"] == pytest.approx(a["train_accuracy"], abs=2 / 1294)
        assert b["validation_accuracy"] == pytest.approx(a["validation_accuracy"], abs=1 / 144)
        assert b["validation_loss"] == pytest.approx(a["validation_loss"], rel=1e-4)
        assert b["rates"] == pytest.approx(a["rates"], rel=1e-3)
    result = json.loads((two / "result.json").read_text())
    assert result["software"]["processes"] == 2 and result["n_test"] == 359
    assert result["software"]["runs_on"] == "cpu, 1 thread, float32, eager, 2 processes"


def test_both_processes_hold_the_same_bits(two: Path) -> None:
    ranks = [load_file(f"{two}.rank{rank}.safetensors") for rank in (0, 1)]
    last = load_file(two / "last.safetensors")
    for name, tensor in last.items():
        assert torch.equal(ranks[0][name], ranks[1][name]) and torch.equal(ranks[0][name], tensor)


def test_a_killed_run_of_two_resumes_bit_for_bit(two: Path, tmp_path: Path) -> None:
    assert [status for status, _ in start(tmp_path, "kill")] == [7, 7]
    assert len(metrics(tmp_path / "out")) == 2
    assert [status for status, _ in start(tmp_path, "resume")] == [0, 0]
    for name in ("best", "last"):
        assert (tmp_path / "out" / f"{name}.safetensors").read_bytes() == (two / f"{name}.safetensors").read_bytes()


def test_processes_that_drift_apart_are_stopped(tmp_path: Path) -> None:
    for status, error in start(tmp_path, "drift"):
        assert status == 1
        assert "the processes hold different weights ('layers.fc1.weight_exc')" in error


def test_an_error_of_the_first_process_ends_all(two: Path) -> None:
    (first, error), (second, other) = start(two.parent, "whole")
    assert (first, second) == (1, 1)
    assert "output directory is not empty" in error
    assert "process 1: the first process failed; its message says why" in other


def test_a_batch_is_shared_without_padding() -> None:
    for size in (1, 2, 3, 7):
        for n in (1, 5, 9):
            parts = [World(rank, size, torch.device("cpu")).part(np.arange(n)) for rank in range(size)]
            assert np.concatenate(parts).tolist() == list(range(n))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_more_processes_than_samples_in_a_batch(tmp_path: Path) -> None:
    # The last batch has 2 of 1294 images, validation 1 batch: some of 3 processes have nothing to do.
    done = start(tmp_path, "whole", "training.batch_size=1292", "training.epochs=1", processes=3)
    assert [status for status, _ in done] == [0, 0, 0], done
    assert metrics(tmp_path / "out")[-1]["train_accuracy"] > 0
