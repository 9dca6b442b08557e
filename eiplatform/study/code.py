"""The version of the code that matters to a step: a hash of the modules that it can reach."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import eiplatform
from eiplatform.discovery import discovered
from eiplatform.project import project_folder

__all__ = ["code_version", "reachable"]

_ROOT = Path(eiplatform.__file__).resolve().parents[1]
_OURS = ("eiplatform",)
_PROJECT = "eiplatform.project."
"""Modules of the user's project folder."""
_NO_RESULT = frozenset(
    {
        *("eiplatform.errors", "eiplatform.progress", "eiplatform.memory", "eiplatform.store.provenance"),
        *("eiplatform.locks", "eiplatform.ending", "eiplatform.caches", "eiplatform.drawing"),
        *("eiplatform.discovery", "eiplatform.project"),
    }
)
"""Modules that word messages, describe the machine or keep processes apart: they change no number."""
_SOURCES = ("*.cpp", "*.hpp", "*.h")
"""Sources in other languages, which count for the modules in their folder."""


def code_version(modules: Iterable[str]) -> str:
    """Return a hash of the code of some modules and of all modules of ours that they import.

    Comments, docstrings and layout do not count; sources in other languages next to a module do.

    Examples
    --------
    >>> code_version(["eiplatform.files"]) == code_version(["eiplatform.files"])
    True
    """
    digest = hashlib.sha256()
    folders = set()
    for name in reachable(modules):
        digest.update(f"{name}\n{_parsed(name)[0]}\n".encode())
        folders.add(_file(name).parent)  # type: ignore[union-attr]
    for source in sorted(path for folder in folders for ending in _SOURCES for path in folder.glob(ending)):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def reachable(modules: Iterable[str]) -> list[str]:
    """Return modules and, in turn, all modules of the platform that they import, sorted.

    Imports inside functions count; what a package's ``__init__`` imports counts only where the package
    itself is imported.  A module that calls ``gather(kind, ...)`` imports all files of that kind
    (:func:`eiplatform.discovery.gather`).

    Examples
    --------
    >>> "eiplatform.networks.neuron" in reachable(["eiplatform.training"])
    True
    >>> "eiplatform.networks.neuron" in reachable(["eiplatform.store.reader"])
    False
    """
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and name not in _NO_RESULT:
            found.add(name)
            _, imported, kinds = _parsed(name)
            waiting += imported
            # What a project adds is asked for each time: the folder of the project may have changed.
            waiting += [one.module for kind in kinds for one in discovered(kind) if _file(one.module)]
    return sorted(found)


def _file(module: str) -> Path | None:
    place = _ROOT.joinpath(*module.split("."))
    candidates = (place.with_suffix(".py"), place / "__init__.py")
    found = next((path for path in candidates if path.is_file()), None)
    if found is None and module.startswith(_PROJECT):
        folder = project_folder()
        found = (
            None if folder is None else folder.joinpath(*module.removeprefix(_PROJECT).split(".")).with_suffix(".py")
        )
    return found if found is not None and found.is_file() else None


def _parsed(module: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return a module's code without docstrings, the modules of ours that it imports, and the kinds that it gathers."""
    file = _file(module)
    assert file is not None, module
    return _parsed_file(file)


@cache
def _parsed_file(file: Path) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imported: list[str] = []
    kinds: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            submodules = [name for name in inside if name.startswith(_OURS) and _file(name)]
            imported += submodules
            if len(submodules) < len(inside):
                imported.append(node.module)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "gather":
            kinds += [str(part.value) for part in node.args[:1] if isinstance(part, ast.Constant)]
        body = getattr(node, "body", None)
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and body
            and ast.get_docstring(node) is not None
        ):
            node.body = body[1:] or [ast.Pass()]
    # Of the package itself only "open" matters; its other names load on demand what most steps never use.
    imported = ["eiplatform.store.reader" if name == "eiplatform" else name for name in imported]
    ours = [name for name in imported if name.split(".")[0] in _OURS and _file(name)]
    return ast.unparse(tree), tuple(dict.fromkeys(ours)), tuple(kinds)
