"""Finding the files that declare statistics: the package's own, the project's, those of installed packages."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from eiplatform.discovery import gather
from eiplatform.statistics.declare import Declared

__all__ = ["discover"]


def discover() -> None:
    """Import every file of statistics, so that what it declares is registered."""
    gather("statistics", _declared)


def _declared(module: ModuleType) -> Iterable[tuple[str, type[Declared]]]:
    """Return the classes that a module declares, by their full name: register() has checked names and keys."""
    for thing in vars(module).values():
        if isinstance(thing, type) and issubclass(thing, Declared) and thing.__module__ == module.__name__:
            yield f"{module.__name__}.{thing.__qualname__}", thing
