"""Figures by name: those that ship, the project's, those of installed packages."""

from __future__ import annotations

from typing import Any

from eiplatform.discovery import discovered
from eiplatform.errors import choose

__all__ = ["figure_names", "find_figure"]


def figure_names() -> list[str]:
    """Return the names of all figures: those that ship, the project's, those of installed packages."""
    return list(dict.fromkeys(found.name for found in discovered("figures")))


def find_figure(name: str) -> Any:
    """Return the module of a figure.

    Raises
    ------
    UnknownNameError
        If no figure has that name.

    Examples
    --------
    >>> find_figure("learning_curve").ANALYSIS
    'learning'
    """
    from eiplatform.drawing import import_matplotlib

    choose(name, figure_names(), "figure")
    import_matplotlib()
    return next(found for found in discovered("figures") if found.name == name).load()
