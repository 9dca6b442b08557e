"""Remedies name arguments in Python and options at the command line; commands that texts name exist."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import eiplatform as ei
from eiplatform.cli import main
from eiplatform.cli.app import app, arguments_of, options_of
from eiplatform.errors import EIPlatformError, arguments_in

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("eiplatform", "analyses", "figures") for path in sorted((ROOT / folder).rglob("*.py"))]
COMMANDS = sorted(name for name in app if not name.startswith("-"))


OWN = ("eiplatform/reference.py", "eiplatform/cli/")
"""Command lines of their own."""
IN_PYTHON = {
    name
    for function in (getattr(ei, name) for name in dir(ei))
    if inspect.isfunction(function)
    for name in inspect.signature(function).parameters
} | {"figure", "keep_draws", "output", "reset", "time"}
"""Arguments of the front door, of adapters, summaries and figures; a command leaves out those that it lacks."""


def _text(node: ast.expr) -> str:
    """Return the text of a constant or an f-string, with X for what is filled in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)  # type: ignore[misc]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@cache
def _nodes() -> list[tuple[Path, ast.AST]]:
    """Return every node of the sources with its file; they are parsed once."""
    return [(path, node) for path in SOURCES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]


@cache
def _remedies() -> list[tuple[str, str]]:
    """Return every alternative of every remedy in the sources, with its place."""
    return list(_find_remedies())


def _find_remedies() -> Iterator[tuple[str, str]]:
    for path, node in _nodes():
        if isinstance(node, ast.keyword) and node.arg == "remedy":
            parts = [part for part in ast.walk(node.value) if isinstance(part, ast.JoinedStr)]
            inside = {id(value) for part in parts for value in part.values}
            parts += [p for p in ast.walk(node.value) if isinstance(p, ast.Constant) and id(p) not in inside]
            for part in parts:
                if text := _text(part):
                    yield f"{path.relative_to(ROOT)}:{part.lineno}", text


def _strings() -> Iterator[tuple[str, str]]:
    for path, node in _nodes():
        if isinstance(node, ast.JoinedStr | ast.Constant) and (text := _text(node)):
            yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def test_the_scan_finds_what_it_should() -> None:
    found = [text for _, text in _remedies()]
    assert len(found) > 150
    assert {"pass overwrite=True", "pass resume=True to go on with it"} <= set(found)
    assert set(COMMANDS) >= {"train", "record", "lesion", "simulate", "analyse", "info"}


def test_no_remedy_below_the_command_line_names_an_option() -> None:
    """What is quoted is a whole command."""
    wrong = [
        (place, text)
        for place, text in _remedies()
        if re.search(r"(?<![\w-])--[a-z]", re.sub(r"'[^']*'", "", text)) and not place.startswith(OWN)
    ]
    assert not wrong


def test_every_argument_that_a_remedy_names_exists() -> None:
    known = IN_PYTHON.union(*(arguments_of([command]) for command in COMMANDS))
    wrong = [(place, text) for place, text in _remedies() if not known.issuperset(arguments_in(text))]
    assert not wrong


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_shows_no_remedy_with_an_option_that_it_lacks(command: str) -> None:
    options = arguments_of([command, "--json"])
    assert options["json"] == "--json"
    for _, text in _remedies():
        shown = EIPlatformError("x", remedy=["wait", text]).fitted(options)
        asked = arguments_in(text)
        assert len(shown.alternatives) == (2 if set(asked) <= set(options) else 1)
        assert not arguments_in(shown.remedy or "")
        assert all(options[name] in shown.alternatives[1] for name in asked if len(shown.alternatives) == 2)


def test_a_remedy_with_several_ways_out_is_several_alternatives() -> None:
    """Else one option that a command lacks would hide the other way out."""
    joined = [(place, text) for place, text in _remedies() if len(arguments_in(text)) > 1]
    assert not joined


def test_commands_that_texts_name_exist_with_these_options() -> None:
    pattern = re.compile(r"eiplatform (" + "|".join(COMMANDS) + r")\b((?:[ \n]+[^ \n'\"`),;:]+|[ \n]+'[^']*')*)")
    checked, wrong = 0, []
    for place, text in _strings():
        for command, rest in pattern.findall(text):
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest):
                checked += 1
                if option not in options_of([command]):
                    wrong.append((place, command, option))
    assert not wrong and checked > 10


def test_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from eiplatform.store import RecordingWriter

    RecordingWriter(tmp_path / "r", source={"kind": "circuit", "name": "c"}, config={}).close()  # interrupted
    simulate = (
        f"simulate brunel-2000 --set scale=0.02 --duration-ms 20 --warmup-ms 0 --device numpy --out {tmp_path / 'r'}"
    )
    assert main(shlex.split(simulate)) == 2
    told = capsys.readouterr().err
    assert "--overwrite" in told and "--resume" not in told
    assert main(["analyse", "distributions", str(tmp_path / "r"), "--out", str(tmp_path / "x.nc")]) == 2
    assert "eiplatform simulate --overwrite" in capsys.readouterr().err


def test_whoever_reads_what_is_being_written_is_told_to_wait(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from eiplatform.store import RecordingWriter

    writer = RecordingWriter(tmp_path / "r", source={"kind": "network", "name": "n"}, config={})
    for command in (["info", str(tmp_path / "r")], ["analyse", "distributions", str(tmp_path / "r"), "--out", "x.nc"]):
        assert main(command) == 2
        told = capsys.readouterr().err
        assert "another process is writing it" in told and "--overwrite" not in told and "--resume" not in told
    writer.close()
