"""Every figure by its name: ``ei.plot.learning_curve(result, ax=ax)``; ``dir(ei.plot)`` lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eiplatform.discovery import discovered

_CACHE: dict[str, Callable[..., Any]] = {}


def __getattr__(name: str) -> Callable[..., Any]:
    if name.startswith("_") or name not in __dir__():
        from eiplatform.errors import UnknownAttributeError, suggest

        what = f"no figure is called '{name}'{suggest(name, __dir__())}"
        raise UnknownAttributeError(what, where="plot", valid=__dir__())
    if name not in _CACHE:
        from eiplatform.figures import find_figure

        draw: Callable[..., Any] = find_figure(name).draw
        _CACHE[name] = draw
    return _CACHE[name]


def __dir__() -> list[str]:
    return sorted(found.name for found in discovered("figures"))
