"""A small study from training to tables, through the command; resuming and sharing trainings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import eiplatform
from eiplatform.analyses import load_result
from eiplatform.cli import main
from eiplatform.cli.options import assignments
from eiplatform.study import Graph, expand, load_study, run_study, status_of
from eiplatform.study.actions import Job, perform
from tests.unit.test_study import NETWORKS, changed

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the file of the study and its directory, run once."""
    place = tmp_path_factory.mktemp("study")
    file = place / "networks.yml"
    file.write_text(yaml.safe_dump(changed(NETWORKS, axes__layer=["ei"])))
    assert main(["study", str(file), "--out", str(place / "out"), "--json"]) == 0
    return file, place / "out"


def _command(capsys: Capture, *arguments: object) -> tuple[int, Any, str]:
    capsys.readouterr()
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out.startswith("{") else out, err


def test_the_result_is_that_of_the_recordings(finished: tuple[Path, Path]) -> None:
    """One number computed again with numpy from what was recorded while training."""
    result = load_result(finished[1] / "results" / "emergence.nc").data
    ratios = []
    for step in (0, 82):
        per_seed = []
        for seed in (1, 2):
            data = eiplatform.open(finished[1] / f"train/ei-{seed}/recordings/way/step-{step:08d}")["fc1/E"].ds
            exc, inh = (data[f"current_{name}"].values.astype(float).mean(axis=(0, 1)) for name in ("exc", "inh"))
            used = (exc > 0) & (inh > 0)
            per_seed.append(np.exp(np.log(exc[used] / inh[used]).mean()))
        ratios.append(per_seed)
    found = result.sel(layer_type="ei", population="fc1/E", statistic="ei_ratio").isel(setting=0)
    np.testing.assert_allclose(found["seed_value"].values.T, ratios, rtol=1e-6)
    assert float(found["change"][-1]) == pytest.approx(np.mean(ratios[1]) - np.mean(ratios[0]), rel=1e-6)
    assert result["epoch"].values.tolist() == [0.0, 2.0]
    accuracy = result["accuracy"].sel(layer_type="ei").values.ravel()
    assert accuracy[0] < 0.3 < accuracy[1]  # it learnt something


def test_everything_is_left_and_nothing_is_done_twice(finished: tuple[Path, Path], capsys: Capture) -> None:
    file, out = finished
    assert {"figures", "results", "report.html", "tables.md", "tables.json", "study.json", "train"} <= {
        path.name for path in out.iterdir()
    }
    assert "fc1" in (out / "tables.md").read_text() and '<svg role="img"' in (out / "report.html").read_text()
    before = {path: path.stat().st_mtime_ns for path in (out / "train").rglob("*") if path.is_file()}
    code, again, _ = _command(capsys, "study", file, "--out", out, "--json")
    assert code == 0 and again["done"] == {} and len(again["skipped"]) == 9 and again["tables"]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    code, text, _ = _command(capsys, "study", file, "--out", out, "--dry-run", "--set", "axes.seed=[1,2,3]")
    assert code == 0 and "train/ei-3" in text and "up to date" in text and "about" in text
    code, plan, _ = _command(capsys, "study", file, "--out", out, "--dry-run", "--json")
    assert all(step["up_to_date"] for step in plan["steps"].values())


def test_a_failed_step_gives_status_3_and_is_left_out(finished: tuple[Path, Path], capsys: Capture) -> None:
    file, out = finished
    result = out / "results" / "layers.nc"
    held = result.read_bytes()
    shard = next((out / "trained/ei-1/shards").glob("*.h5"))
    kept = shard.read_bytes()
    try:
        shard.write_bytes(kept[:-1])
        code, plan, _ = _command(capsys, "study", file, "--out", out, "--dry-run", "--json")
        assert plan["steps"]["trained/ei-1"]["why"] == "its output is not whole"
        shard.write_bytes(kept)
        one = 'steps.layers.nulls=["trained"]'
        code, again, err = _command(capsys, "study", file, "--out", out, "--json", "--set", one)
        assert code == 3 and list(again["failed"]) == ["layers"] and "for itself" in again["failed"]["layers"]
        assert all("trained beside untrained" not in table["title"] for table in again["tables"])
    finally:
        shard.write_bytes(kept)
        result.write_bytes(held)


def test_an_interrupted_training_goes_on_to_the_same_weights(
    finished: tuple[Path, Path], tmp_path: Path, written: Callable[..., Graph]
) -> None:
    graph = written(NETWORKS, "axes.seed=[2]", "axes.layer=[ei]").only(["train"])

    def cut(job: Job, *, resume: bool, progress: Any) -> None:
        def stop(done: int, total: int, message: str) -> None:
            if done > 0.6 * total:
                raise KeyboardInterrupt

        perform(job, resume=resume, progress=stop)

    with pytest.raises(KeyboardInterrupt):
        run_study(graph, tmp_path / "out", quiet=True, act=cut)
    assert status_of(graph, tmp_path / "out")["train/ei-2"].resume
    metrics = tmp_path / "out/train/ei-2/metrics.jsonl"
    before = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert len(before) == 2
    run_study(graph, tmp_path / "out", quiet=True)
    for name in ("best.safetensors", "last.safetensors"):
        whole, resumed = (place / "train/ei-2" / name for place in (finished[1], tmp_path / "out"))
        assert whole.read_bytes() == resumed.read_bytes()
    after = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert after[:2] == before and len(after) == 3  # with the seconds that they took: not trained again


def test_trainings_are_shared(finished: tuple[Path, Path], tmp_path: Path, written: Callable[..., Graph]) -> None:
    """The very same step is taken over; one with another setting is not."""
    seed = [
        *NETWORKS["steps"]["train"]["set"][1:],
        "network.layer={layer}",
    ]  # another order, the same configuration
    graph = written(changed(NETWORKS, steps__train__set=seed), "axes.seed=[1]", "axes.layer=[ei]").only(["trained"])
    done = run_study(graph, tmp_path / "out", quiet=True, reuse=[finished[1]])
    assert not done.done and (tmp_path / "out/trained/ei-1/manifest.json").is_file()
    assert all(state.up_to_date for state in status_of(graph, tmp_path / "out").values())
    other = written(NETWORKS, "axes.seed=[1]", "axes.layer=[ei]", "steps.trained.spec.samples=20").only(["trained"])
    done = run_study(other, tmp_path / "new", quiet=True, reuse=[finished[1]])
    assert list(done.done) == ["trained/ei-1"]
    with pytest.raises(eiplatform.EIPlatformError, match="not the directory of a study"):
        run_study(other, tmp_path / "third", quiet=True, reuse=[tmp_path])


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Graph]:
    """Return a function that writes a study and expands it."""

    def write(study: dict[str, Any], *changes: str) -> Graph:
        path = tmp_path / "networks.yml"
        path.write_text(yaml.safe_dump(study))
        return expand(load_study(path, assignments(changes)))

    return write
