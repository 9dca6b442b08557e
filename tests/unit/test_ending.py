"""Whatever ends a command, nothing runs on and nothing is left in the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import eiplatform
from eiplatform.locks import LEFT

pytestmark = pytest.mark.new_interpreters

SIMULATE = ("simulate", "brunel-2000", "--set", "scale=0.05", "--duration-ms", "60000", "--device", "numpy")


def _running(marker: str) -> list[int]:
    """Return the processes whose command line names `marker`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if marker in line and state != "Z":
                found.append(int(entry.name))
    return found


def _wait(condition: object, seconds: float = 240.0) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def _usual() -> None:
    """Take signals as in a terminal: background jobs and nohup ignore some, and children inherit that."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _simulating(tmp_path: Path, jobs: int = 1) -> tuple[subprocess.Popen[str], Path]:
    """Start a long simulation, and wait until its workers work."""
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "eiplatform", *SIMULATE, "--out", str(tmp_path / "out"), "--overwrite"),
            *("--seeds", *(str(seed) for seed in range(1, jobs + 1)), "--jobs", str(jobs)),
        ],
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_usual,
    )
    _wait(lambda: process.poll() is not None or len(_running(f"{scratch}/eiplatform-")) == jobs)
    assert process.poll() is None, process.communicate()
    return process, scratch


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_a_killed_simulation_leaves_no_worker_and_no_folder(tmp_path: Path) -> None:
    process, scratch = _simulating(tmp_path, jobs=2)
    assert [entry.name.startswith("eiplatform-") for entry in scratch.iterdir()] == [True]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    _wait(lambda: not _running(f"{scratch}/eiplatform-"))
    _wait(lambda: not list(scratch.iterdir()))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_simulation_that_is_asked_to_end_clears_up(tmp_path: Path, number: int, status: int) -> None:
    process, scratch = _simulating(tmp_path)
    process.send_signal(number)
    _, told = process.communicate(timeout=240)
    assert process.returncode == status
    assert "Traceback" not in told and told.count("eiplatform:") == 1
    assert not list(scratch.iterdir()) and not _running(f"{scratch}/eiplatform-")


def test_what_a_dead_simulation_left_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    from eiplatform.microcircuits import simulate

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / f"eiplatform-dead{LEFT}" / "1").mkdir(parents=True)
    runs = simulate("brunel-2000", parameters={"scale": 0.02}, duration_ms=20, warmup_ms=0, device="numpy")
    next(runs)
    (mine,) = tmp_path.iterdir()
    assert mine.name != f"eiplatform-dead{LEFT}"
    runs.close()  # type: ignore[attr-defined]
    assert not list(tmp_path.iterdir())


RECORD = """
import os, signal, sys
from eiplatform.cli import main
from eiplatform.store.writer import RecordingWriter
append = RecordingWriter.append
def killed(self, *arguments):
    append(self, *arguments)
    if self.path.name != "probe":
        os.kill(os.getpid(), signal.SIGTERM)
RecordingWriter.append = killed
sys.exit(main(sys.argv[1:]))
"""


def test_sigterm_keeps_the_complete_shards_of_a_recording(tmp_path: Path) -> None:
    from eiplatform.config import load_config
    from eiplatform.networks import save
    from eiplatform.training import initialise

    config = load_config(None, ["network.hidden=[8]"])
    save(tmp_path / "n.safetensors", initialise(config), config)
    (tmp_path / "spec.yml").write_text("samples: 30\nshard_samples: 10\n")
    places = {"--out": tmp_path / "r", "--spec": tmp_path / "spec.yml"}
    command = ["record", str(tmp_path / "n.safetensors"), *(str(part) for pair in places.items() for part in pair)]
    done = subprocess.run([sys.executable, "-c", RECORD, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 143, done.stderr
    assert done.stderr.splitlines()[-1] == "eiplatform: ended by SIGTERM."
    kept = eiplatform.open(tmp_path / "r", partial=True)
    assert not kept.attrs["complete"] and kept["fc1/E"].sizes["sample"] in (10, 20)
    from eiplatform.cli import main

    assert main([*command, "--resume"]) == 0
    assert eiplatform.open(tmp_path / "r")["fc1/E"].sizes["sample"] == 30


STEP = """
import os, pathlib, time
def act(job, *, resume, progress):
    here = pathlib.Path(job)
    (here / "pid").write_text(str(os.getpid()))
    try:
        time.sleep(100)
    finally:
        (here / "cleared").write_text("")
"""
STUDY = """
import sys, time
from eiplatform.study.run import _Child
from step import act
if __name__ == "__main__":
    child = _Child(act, sys.argv[1], False)
    time.sleep(100)
"""


def test_the_steps_of_a_killed_study_end_and_clear_up(tmp_path: Path) -> None:
    (tmp_path / "step.py").write_text(STEP)
    (tmp_path / "study.py").write_text(STUDY)
    path = os.pathsep.join([str(tmp_path), str(Path(eiplatform.__file__).parents[1])])
    command = [sys.executable, str(tmp_path / "study.py"), str(tmp_path)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
    _wait(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text())
    process.send_signal(signal.SIGKILL)
    process.wait()
    _wait(lambda: (tmp_path / "cleared").is_file())
    number = int((tmp_path / "pid").read_text())
    _wait(lambda: number not in _running("multiprocessing"))
