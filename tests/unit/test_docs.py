"""What the documentation shows exists: commands with their options, settings, imports and links."""

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
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`eiplatform ([a-z]+)([^`]*)`")
DOTTED = re.compile(r"\beiplatform(?!\.toml\b)(?:\.[A-Za-z_]\w*)+")
LINK = re.compile(r"\]\(([^)#\s:]*)(?:#([^)\s]*))?\)")
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
        assert place.exists(), target
        if anchor and place.suffix == ".md":
            titles = re.findall(r"^#+ (.*)$", place.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, anchor
