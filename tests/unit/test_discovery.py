"""One new file is found where it lies: in the package, in a project, in an installed package."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eiplatform import discovery
from eiplatform.discovery import BrokenFileWarning, discovered, files_of, gather
from eiplatform.errors import ConfigError, UnknownNameError
from eiplatform.project import ForeignProjectWarning, project_folder


def thing(module):
    return (
        [(module.NAME, module)]
        if hasattr(module, "NAME") and not module.__name__.startswith("eiplatform.micro")
        else []
    )


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("EIPLATFORM_PROJECT", str(tmp_path))
    yield tmp_path
    monkeypatch.undo()
    project_folder()


def test_own_files_are_found():
    assert {"digits-mlp", "digits-cnn"} <= set(files_of("configs"))
    assert "systems" in files_of("studies")
    assert "balance" in {found.name for found in discovered("analyses")}
    with pytest.raises(UnknownNameError) as error:
        discovered("statistic")
    assert "statistics" in error.value.valid


def test_a_project_adds_files(project):
    write(project / "figures/mine.py", "from eiplatform.project.parts.helper import NAME\n")
    write(project / "parts/helper.py", "NAME = 'my-figure'\n")
    write(project / "figures/_draft.py", "NAME = 'draft'\n")
    write(project / "configs/mine.yml", "seed: 3\n")
    found = gather("figures", thing)
    assert list(found) == ["my-figure"]
    assert found["my-figure"].__name__ == "eiplatform.project.figures.mine"
    assert files_of("configs")["mine"] == project / "configs/mine.yml"


def test_two_files_of_one_name_are_an_error_that_names_both(project):
    first = write(project / "circuits/a.py", "NAME = 'same'\n")
    second = write(project / "circuits/b.py", "NAME = 'same'\n")
    with pytest.raises(ConfigError) as error:
        gather("circuits", thing)
    assert str(first) in error.value.what and str(second) in error.value.what
    write(project / "configs/digits-mlp.yml", "seed: 3\n")
    with pytest.raises(ConfigError, match=r"analyses/configs/digits-mlp\.yml and in"):
        files_of("configs")


@pytest.mark.parametrize("text", ["def f(:\n", "1 / 0\n", "import not_installed_here\n"])
def test_a_broken_file_does_not_break_the_others(project, text):
    write(project / "figures/good.py", "NAME = 'good'\n")
    bad = write(project / "figures/bad.py", text)
    with pytest.warns(BrokenFileWarning) as told:
        assert list(gather("figures", thing)) == ["good"]
    assert len(told) == 1 and str(bad) in str(told[0].message) and "\n" not in str(told[0].message)
    [found] = [each for each in discovered("figures") if each.name == "bad"]
    with pytest.raises(ConfigError) as error:
        found.load()
    assert error.value.where == str(bad)


def test_another_project_replaces_the_first(tmp_path, monkeypatch):
    for name in ("one", "two"):
        write(tmp_path / name / "figures/mine.py", f"NAME = '{name}'\n")
        monkeypatch.setenv("EIPLATFORM_PROJECT", str(tmp_path / name))
        assert list(gather("figures", thing)) == [name]


def test_only_a_marked_folder_is_a_project(tmp_path, monkeypatch):
    monkeypatch.delenv("EIPLATFORM_PROJECT", raising=False)
    deep = tmp_path / "a/b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    write(tmp_path / "figures/mine.py", "raise RuntimeError('never run')\n")
    assert project_folder() is None
    write(tmp_path / "eiplatform.toml", "")
    assert project_folder() == tmp_path
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    if (tmp_path / "eiplatform.toml").stat().st_uid == 0:
        monkeypatch.setattr(Path, "stat", lambda self, **_: os.stat_result((0, 0, 0, 0, 4242, 0, 0, 0, 0, 0)))
    with pytest.warns(ForeignProjectWarning, match="EIPLATFORM_PROJECT"):
        assert project_folder() is None


def test_the_variable_must_name_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EIPLATFORM_PROJECT", str(tmp_path / "missing"))
    with pytest.raises(ConfigError) as error:
        project_folder()
    assert str(tmp_path / "missing") in error.value.what


def test_installed_packages_are_found(tmp_path, monkeypatch):
    write(tmp_path / "their_lab/__init__.py", "")
    write(tmp_path / "their_lab/circuit.py", "NAME = 'theirs'\n")
    write(tmp_path / "their_lab/theirs.yml", "seed: 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    entry = importlib.metadata.EntryPoint
    made = {
        "circuits": (
            entry("theirs", "their_lab.circuit", "eiplatform.circuits"),
            entry("gone", "their_lab.gone", "eiplatform.circuits"),
        ),
        "configs": (entry("their_lab", "their_lab", "eiplatform.configs"),),
    }
    monkeypatch.setattr(discovery, "_entries", lambda kind: made[kind])
    with pytest.warns(BrokenFileWarning, match=r"their_lab\.gone"):
        assert "theirs" in gather("circuits", thing)
    assert files_of("configs")["theirs"] == tmp_path / "their_lab/theirs.yml"


def test_a_module_of_a_project_is_found_in_another_process(project):
    write(project / "figures/mine.py", "NAME = 'mine'\n")
    code = "import eiplatform.project.figures.mine as m, sys; print(m.NAME, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["mine", "False"]
