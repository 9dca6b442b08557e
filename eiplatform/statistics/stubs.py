"""The stub of :mod:`eiplatform.statistics`: editors and type checkers know its functions from there."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

from eiplatform.statistics.declare import Declared, Statistic
from eiplatform.statistics.functions import signature_of
from eiplatform.statistics.registry import DECLARED

__all__ = ["own", "stub"]

_HEAD = '''"""Balance statistics; written by ``python -m eiplatform.statistics.generate``, not by hand."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, overload

import xarray as xr

'''
_BASE = """
class EIAccessor:
    \"\"\"Statistics of a population, or of every population of a recording, as methods.\"\"\"

    views: ClassVar[dict[str, str]]

    def __init__(
        self,
        data: xr.Dataset | xr.DataTree,
    ) -> None: ...
    @property
    def plot(self) -> Any:
        \"\"\"Figures of this recording; of recordings that came through ``eiplatform``.\"\"\"

    def summary(
        self,
        statistics: str | Iterable[str] | None = None,
        *,
        n_bootstrap: int = 1000,
        seed: int = 0,
        level: float = 0.95,
    ) -> xr.Dataset:
        \"\"\"All statistics with intervals.\"\"\"

"""


def _imports() -> tuple[list[str], list[str]]:
    """Return the imports of what the package exports besides its functions, and all that it exports."""
    package = Path(__file__).with_name("__init__.py")
    tree = ast.parse(package.read_text(encoding="utf-8"))
    exported = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    lines, names = [], ["EIAccessor"]
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("eiplatform."):
            kept = [alias.name for alias in node.names if alias.name in exported and alias.name != "EIAccessor"]
            if kept:
                lines.append(f"from {node.module} import {', '.join(kept)}")
            names += kept
    return lines, [*names, *(cls.name for cls in own())]


def _type(hint: Any) -> str:
    if hint is type(None):
        return "None"
    if isinstance(hint, type) and not hasattr(hint, "__args__"):
        return hint.__name__
    return str(hint).replace("typing.", "").replace("collections.abc.", "").replace("'", '"')


def own() -> list[type[Declared]]:
    """Return what the package itself declares, in the order of the names.

    Examples
    --------
    >>> own()[0].name
    'always_on'
    """
    return [cls for _, cls in sorted(DECLARED.items()) if cls.__module__.startswith("eiplatform.statistics.")]


def _definition(cls: type[Declared], first: str, result: str, *, indent: str = "", body: str = "...") -> list[str]:
    """Return a definition with a parameter per line; `first` replaces the first recording."""
    lines = [f"{indent}def {cls.name}(", f"{indent}    {first},"]
    several = getattr(cls, "several", False)
    for name in cls.inputs[1:]:
        kind = "xr.Dataset | list[xr.Dataset]" if several else "xr.Dataset | xr.DataTree"
        lines.append(f"{indent}    {name}: {kind},")
    keywords = [p for p in signature_of(cls).parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    if keywords:
        lines.append(f"{indent}    *,")
    for parameter in keywords:
        default = "" if parameter.default is inspect.Parameter.empty else f" = {parameter.default!r}"
        lines.append(f"{indent}    {parameter.name}: {_type(parameter.annotation)}{default},".replace("'", '"'))
    summary = f'{indent}    """{(cls.__doc__ or "").splitlines()[0]}"""'
    return [
        *lines,
        f"{indent}) -> {result}:" + (" ..." if body == "..." else ""),
        *([] if body == "..." else [summary, ""]),
    ]


def _function(cls: type[Declared]) -> list[str]:
    result = "xr.DataArray" if issubclass(cls, Statistic) else "xr.Dataset"
    name = cls.inputs[0]
    if getattr(cls, "several", False):
        return _definition(cls, f"{name}: xr.Dataset | list[xr.Dataset]", result, body="doc")
    return [
        "@overload",
        *_definition(cls, f"{name}: xr.Dataset", result, body="doc"),
        "@overload",
        *_definition(cls, f"{name}: xr.DataTree", f"{result} | xr.DataTree"),
    ]


def _method(cls: type[Declared]) -> list[str]:
    return _definition(
        cls, "self", "xr.DataArray" if issubclass(cls, Statistic) else "xr.Dataset", indent="    ", body="doc"
    )


def stub() -> str:
    """Return the text of the stub.

    Examples
    --------
    >>> "def ei_correlation(" in stub()
    True
    """
    lines, names = _imports()
    functions = [line for cls in own() for line in _function(cls)]
    methods = [line for cls in own() for line in _method(cls)]
    exported = ["__all__ = [", *(f'    "{name}",' for name in sorted(names)), "]", ""]
    return (
        "\n".join(
            [_HEAD + "\n".join(lines), "", *exported, *functions, "\n" + _BASE.strip("\n") + "\n", *methods]
        ).rstrip("\n")
        + "\n"
    )
