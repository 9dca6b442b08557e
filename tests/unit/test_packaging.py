"""The conda twin asks for what pyproject.toml asks for; the pins satisfy both; the layers keep apart."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONDA_NAMES = {
    "pytorch-cpu": "torch",
    "matplotlib-base": "matplotlib",
    "python-xxhash": "xxhash",
    "python-neo": "neo",
    "dask-core": "dask",
}
CONDA_ONLY = {"python", "pip", "cxx-compiler", "make"}


def _asked_by_pip() -> dict[str, SpecifierSet]:
    """Return all requirements of Python 3.11 (core and extras), markers applied."""
    asked: dict[str, SpecifierSet] = {}
    extras = PROJECT["optional-dependencies"]
    for text in [*PROJECT["dependencies"], *(line for lines in extras.values() for line in lines)]:
        requirement = Requirement(text)
        if requirement.name == "eiplatform":
            continue
        if requirement.marker is None or requirement.marker.evaluate({"python_version": "3.11"}):
            name = requirement.name.lower()
            asked[name] = asked.get(name, SpecifierSet()) & requirement.specifier
    return asked


def test_conda_environment_is_the_twin() -> None:
    lines = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    asked = {}
    *lines, by_pip = sorted(lines, key=lambda line: isinstance(line, dict))  # what conda-forge lacks
    for line in [*lines, *by_pip["pip"]]:
        name, specifier = re.fullmatch(r"([A-Za-z0-9_-]+)(.*)", line).groups()  # type: ignore[union-attr]
        if name not in CONDA_ONLY:
            asked[CONDA_NAMES.get(name, name)] = SpecifierSet(specifier)
    assert asked == _asked_by_pip()


def test_the_version_has_one_source() -> None:
    import eiplatform

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert "version" in PROJECT["dynamic"] and citation["version"] == eiplatform.__version__
    assert f"## {eiplatform.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def _lines(path: str) -> list[str]:
    return [line for line in (ROOT / path).read_text().splitlines() if line and not line.startswith("#")]


def _pins() -> dict[str, str]:
    pairs = (line.split("==") for line in _lines("constraints.txt"))
    return {name.lower(): version for name, version in pairs}


def test_pins_satisfy_every_range() -> None:
    pins = _pins()
    asked = _asked_by_pip()
    assert set(asked) <= set(pins)
    assert {name: spec for name, spec in asked.items() if not spec.contains(pins[name])} == {}
    assert pins["torch"] == "2.13.0"
    assert SpecifierSet("<2.4").contains(pins["numpy"])  # Brian2 2.9 needs it on Python 3.11


def test_what_only_tests_use_is_pinned_and_of_no_extra() -> None:
    """A package of frameworks.txt in an extra would bring another torch, torchvision or samna along."""
    alone = {name.lower() for name in _lines("tests/frameworks.txt")}
    assert {"spikingjelly", "norse", "sinabs", "nest-simulator"} <= alone <= set(_pins())
    assert not alone & set(_asked_by_pip())
    assert not {"torchvision", "torchaudio", "samna"} & (alone | set(_pins()))
    commands = (ROOT / "Makefile").read_text().splitlines()
    assert all("--no-deps" in line for line in commands if "-r tests/frameworks.txt" in line)


def test_every_config_that_ships_is_valid() -> None:
    from eiplatform.config import load_config

    shipped = sorted((ROOT / "analyses" / "configs").glob("*.yml"))
    assert shipped
    for path in shipped:
        assert load_config(path).dataset.name


def _imports(folder: str) -> set[tuple[str, str]]:
    """Return (file, imported top package) of every import in a folder, wherever it stands."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {(str(path.relative_to(ROOT)), alias.name) for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add((str(path.relative_to(ROOT)), node.module))
    return found


@pytest.mark.parametrize(
    "folder", ["eiplatform/store", "eiplatform/statistics", "eiplatform/report", "analyses", "figures"]
)
def test_nothing_below_the_store_needs_torch_or_brian2(folder: str) -> None:
    forbidden = (
        "torch",
        "brian2",
        "eiplatform.networks",
        "eiplatform.training",
        "eiplatform.microcircuits",
        "eiplatform.recording",
    )
    assert {pair for pair in _imports(folder) if pair[1].startswith(forbidden)} == set()


def test_figures_compute_nothing() -> None:
    assert {pair for pair in _imports("figures") if pair[1].startswith(("eiplatform.statistics", "scipy"))} == set()


def test_every_statistic_has_its_page() -> None:
    from eiplatform.statistics import STATISTICS

    assert [entry.page for entry in STATISTICS.values() if not (ROOT / entry.page).is_file()] == []


def test_every_module_is_an_analysis_or_a_figure() -> None:
    from eiplatform.analyses import analysis_names, find_analysis
    from eiplatform.figures import figure_names, find_figure

    modules = {folder: {path.stem for path in (ROOT / folder).glob("*.py")} for folder in ("analyses", "figures")}
    analyses = {name: find_analysis(name) for name in analysis_names()}
    assert modules == {"analyses": {*analyses, "__init__"}, "figures": {*figure_names(), "__init__"}}
    for name, analysis in analyses.items():
        assert analysis.name == name and analysis.question.endswith("?") and analysis.inputs
        assert type(analysis).__name__.lower() == name.replace("_", "")
    assert {find_figure(name).ANALYSIS for name in figure_names()} <= set(analyses)
    assert len({analysis.place for analysis in analyses.values()}) == len(analyses)


def test_no_module_imports_itself_on_a_way_around() -> None:
    """Imports inside functions and for type checkers count."""
    names = {}
    for folder in ("eiplatform", "analyses", "figures"):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts if folder == "eiplatform" else ("eiplatform", *parts)
            names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    waiting = {name: _needed(path, names) - {name} for name, path in names.items()}
    while free := {name for name, needed in waiting.items() if not needed & waiting.keys()}:
        waiting = {name: needed for name, needed in waiting.items() if name not in free}
    assert waiting == {}


def _needed(path: Path, names: Mapping[str, Path]) -> set[str]:
    """Return the modules of ours that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside & names.keys() or {node.module}
    return found & names.keys()
