"""What the documentation shows exists and runs: commands, settings, imports, links, Python, tutorials."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest

from eiplatform.cli.app import app
from eiplatform.config import load_config

ROOT = Path(__file__).parents[2]
MADE = {"generated", "_build"}  # written by `make docs`
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if not MADE & set(page.parts)),
]
BLOCK = re.compile(r"^```([^\n`]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`eiplatform ([a-z]+)([^`]*)`")
DOTTED = re.compile(r"\beiplatform(?!\.toml\b)(?:\.[A-Za-z_]\w*)+")
LINK = re.compile(r"\]\(([^)#\s:]*)(?:#([^)\s]*))?\)")
STATISTICS = {page.stem for page in (ROOT / "docs" / "statistics").glob("*.md")}
RUN = STATISTICS | {
    "comparison",
    "exchange",
    "foreign",
    "getting-started",
    "lesions",
    "microcircuits",
    "own-recordings",
    "potjans-diesmann-2014",
}
"""Pages whose Python needs nothing that is not on the page; the others use recordings of the reader's own."""
IDS = [str(page.relative_to(ROOT)) for page in PAGES]


def blocks(page: Path, language: str) -> Iterator[str]:
    """Yield the fenced blocks of a language ('' for shell)."""
    return (text for found, text in BLOCK.findall(page.read_text()) if found == language)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield where a command stands and its words; of what is optional, in brackets, the inside."""
    for page in PAGES:
        for text in blocks(page, ""):
            for line in text.replace("\\\n", " ").splitlines():
                words = shlex.split(re.sub(r"\[(--[^]]*)\]", r"\1", line), comments=True)
                if words[:1] == ["eiplatform"]:
                    yield page.name, [word.removesuffix("...") for word in words[1:]]


@pytest.mark.parametrize(("page", "words"), list(commands()), ids=lambda value: str(value)[:60])
def test_a_command_is_understood(page: str, words: list[str]) -> None:
    shell = [word for word in words if not word.startswith("$")]
    command, bound, _ = app.parse_args(shell, exit_on_error=False, print_error=False)
    assert command.__module__.startswith("eiplatform.cli")
    if words[0] == "train" and words[1].startswith("analyses/"):
        assert load_config(ROOT / words[1], bound.arguments.get("set_", []))


def test_there_are_commands() -> None:
    assert len(list(commands())) > 40


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_options_within_sentences_exist(page: Path) -> None:
    for command, words in SPAN.findall(page.read_text()):
        known = {name for argument in app[command].assemble_argument_collection() for name in argument.names}
        assert set(re.findall(r"--[a-z-]+", words)) <= known, (command, words)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_what_is_imported_exists(page: Path) -> None:
    for text in blocks(page, "python"):
        for node in ast.walk(ast.parse(text.replace("...", "None"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("eiplatform"):
                module = importlib.import_module(str(node.module))
                for name in node.names:
                    assert hasattr(module, name.name) or importlib.import_module(f"{node.module}.{name.name}")


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_dotted_names_exist(page: Path) -> None:
    for name in sorted(set(DOTTED.findall(page.read_text()))):
        assert resolve_name(name) is not None, name


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        place = (page.parent / target).resolve() if target else page
        if "generated" in place.parts:
            continue  # the build of the site checks these
        assert place.exists(), target
        if anchor and place.suffix == ".md":
            titles = re.findall(r"^#+ (.*)$", place.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, anchor


@pytest.fixture
def closed() -> Iterator[None]:
    """Close every figure afterwards: matplotlib warns of many."""
    yield
    from matplotlib import pyplot

    pyplot.close("all")


TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
CELL = re.compile(r"^```\{code-cell\}\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cells = CELL.findall(page.read_text())
    assert len(cells) > 4 and "## What this does not show" in page.read_text() and "## Next" in page.read_text()
    names: dict[str, object] = {"__name__": "tutorial"}
    for number, cell in enumerate(cells):
        exec(compile(cell, f"{page.name}, cell {number}", "exec"), names)


@pytest.mark.usefixtures("closed")
@pytest.mark.parametrize("page", [page for page in PAGES if page.stem in RUN], ids=lambda page: page.stem)
def test_python_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    for number, text in enumerate(blocks(page, "python")):
        exec(compile(text, f"{page.name}, block {number}", "exec"), names)


def test_sentences_and_lines_of_the_guide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "tools")
    prose = importlib.import_module("prose")
    assert [fault for page in prose.pages() for fault in prose.faults(page)] == []


def test_a_new_figure_has_a_page_in_the_gallery() -> None:
    from eiplatform.discovery import discovered

    for found in discovered("figures"):
        module = found.load()
        assert not hasattr(module, "ANALYSIS") or (module.QUESTION and module.__doc__)


def test_claims_are_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "tools")
    claims = importlib.import_module("claims")
    records = claims.claims()
    assert len(records) > 10 and any(not one["pass"] for one in records)
    for one in records:
        assert set(one) - {"quick"} == {"subject", *claims.FIELDS} and isinstance(one["pass"], bool)
        assert all(one[name] for name in ("claim", "target", "source", "value", "command"))
        for word in one["command"].split():
            assert not word.endswith(".py") or (ROOT / word).is_file(), word
