"""Locks end with their process; what a killed process left is cleared away, what a living one uses is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
import xarray as xr

from eiplatform.analyses import Result, load_result
from eiplatform.errors import OutputExistsError, StoreError
from eiplatform.files import OWNED, atomic_directory, atomic_write, claimed, write_bytes
from eiplatform.locks import LEFT, being_written, hold, private_directory, remove_leftovers


def _start(code: str) -> subprocess.Popen[str]:
    """Run code in a process of its own until it says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", code + "\nprint('ready', flush=True)\nimport time; time.sleep(60)"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _left(place: Path) -> list[str]:
    return sorted(entry.name for entry in place.iterdir() if entry.name.endswith(LEFT))


def test_a_directory_is_held_by_one_process_and_free_after_kill_9(tmp_path: Path) -> None:
    out = tmp_path / "run"
    code = f"import pathlib\nfrom eiplatform.files import claim\nh = claim(pathlib.Path({str(out)!r}), overwrite=True)"
    other = _start(code)
    try:
        (out / "result").write_text("precious")
        assert being_written(out / OWNED)
        for options in ({"overwrite": True}, {"overwrite": False}, {"overwrite": False, "resume": True}):
            with pytest.raises(OutputExistsError) as caught, claimed(out, **options):
                pass
            assert caught.value.where == str(out)
            assert not any("--overwrite" in text or "--resume" in text for text in caught.value.alternatives)
        assert (out / "result").read_text() == "precious"
    finally:
        other.send_signal(signal.SIGKILL)
        other.communicate()
    assert not being_written(out / OWNED)
    with claimed(out, overwrite=True):
        assert [entry.name for entry in out.iterdir()] == [OWNED]


def test_within_one_process_too_and_resuming_leaves_what_is_there(tmp_path: Path) -> None:
    with claimed(tmp_path / "a", overwrite=False) as out:
        (out / "x").write_text("1")
        with pytest.raises(OutputExistsError):
            hold(out / OWNED)
    with claimed(out, overwrite=False, resume=True):
        assert (out / "x").read_text() == "1"
    with pytest.raises(OutputExistsError) as caught, claimed(out, overwrite=False):
        pass
    assert caught.value.alternatives == ("choose another path", "pass overwrite=True")


def test_a_directory_of_somebody_else_is_never_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(OutputExistsError), claimed(tmp_path, overwrite=True):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_links_inside_are_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "data").write_text("1")
    with claimed(tmp_path / "out", overwrite=False) as out:
        (out / "link").symlink_to(tmp_path / "mine", target_is_directory=True)
    with claimed(out, overwrite=True):
        assert not (out / "link").is_symlink()
    assert (tmp_path / "mine" / "data").read_text() == "1"


def test_what_a_killed_writer_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time\nfrom eiplatform.files import atomic_write\n"
        "def write(path):\n    path.write_bytes(b'half')\n    print('ready', flush=True)\n    time.sleep(60)\n"
        f"atomic_write(pathlib.Path({str(tmp_path / 'a.nc')!r}), write)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    before = _left(tmp_path)
    write_bytes(tmp_path / "b.nc", b"whole")  # while the other one is alive
    assert len(before) == 1 and _left(tmp_path) == before
    process.send_signal(signal.SIGKILL)
    process.communicate()
    write_bytes(tmp_path / "b.nc", b"whole")
    assert _left(tmp_path) == [] and not (tmp_path / "a.nc").exists()
    assert (tmp_path / "b.nc").read_bytes() == b"whole"


def test_only_what_is_ours_is_a_leftover(tmp_path: Path) -> None:
    (tmp_path / ".other.tmp").mkdir()
    (tmp_path / f"file{LEFT}").write_text("not a directory")
    (tmp_path / f"left{LEFT}").mkdir()
    with private_directory(tmp_path, "x-") as mine:
        remove_leftovers(tmp_path)
        assert mine.is_dir()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".other.tmp", f"file{LEFT}"]


def test_writing_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"old")

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        atomic_write(tmp_path / "a", fail)
    with pytest.raises(RuntimeError), atomic_directory(tmp_path / "d", overwrite=False) as made:
        (made / "x").write_text("half")
        raise RuntimeError
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("a", b"old")]


def test_a_made_directory_has_the_usual_rights(tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "d", overwrite=False):
        pass
    (tmp_path / "e").mkdir()
    assert (tmp_path / "d").stat().st_mode == (tmp_path / "e").stat().st_mode


def test_a_file_open_elsewhere_is_called_that_and_never_damaged(tmp_path: Path) -> None:
    path = Result(xr.Dataset(attrs={"analysis": "learning"})).save(tmp_path / "r.nc")
    other = _start(f"import h5py\nf = h5py.File({str(path)!r}, 'r+')")
    try:
        with pytest.raises(StoreError) as caught:
            load_result(path)
        assert caught.value.alternatives == ("close it there", "wait until that process ends")
        assert caught.value.where == str(path)
    finally:
        other.send_signal(signal.SIGKILL)
        other.communicate()
    marked = path.read_bytes()  # HDF5 leaves a mark that it was open
    assert load_result(path).data.attrs["analysis"] == "learning"
    path.write_bytes(marked[:20] + bytes([marked[20] ^ 2]) + marked[21:])  # the bit beside that mark
    with pytest.raises(StoreError, match="changed since it was written"):
        load_result(path)
    path.write_bytes(marked)
    with h5py.File(path, "r"):
        assert os.path.samefile(path, tmp_path / "r.nc")
