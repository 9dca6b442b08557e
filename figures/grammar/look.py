"""How a figure looks for a while: style, font, theme, changed names, and what a composed figure collects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.font_manager
import matplotlib.style
from cycler import cycler

from eiplatform.figures.grammar.colours import colour, theme

__all__ = ["FONTS", "Look", "look", "named", "now", "style"]

FONTS = Path(__file__).with_name("fonts")
_STYLE = Path(__file__).with_name("ei-paper.mplstyle")


@dataclass(frozen=True)
class Look:
    """What holds while a figure is drawn.

    Attributes
    ----------
    labels : mapping of str to str
        Names that replace those of the result, e.g. ``{"fc1/E": "Layer 1"}``.
    part : bool
        The figure is part of a composed one, which gives letters and one legend.
    handles : list
        What the legends of the parts would have held.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    part: bool = False
    handles: list[Any] = field(default_factory=list)


_LOOK: ContextVar[Look] = ContextVar("look", default=Look())  # noqa: B039  # it is replaced, never changed


@contextmanager
def look(**changes: Any) -> Iterator[Look]:
    """Change the :class:`Look` for a while; what is None stays."""
    given = {name: value for name, value in changes.items() if value is not None}
    token = _LOOK.set(replace(_LOOK.get(), **given))
    try:
        yield _LOOK.get()
    finally:
        _LOOK.reset(token)


def now() -> Look:
    """Return what holds now."""
    return _LOOK.get()


def named(name: str) -> str:
    """Return the name of a population or recording as it stands in a figure.

    Parameters
    ----------
    name : str
        E.g. ``"fc1/E"``; a name that was given with ``labels=`` replaces it, else the role of E is left out.

    Examples
    --------
    >>> named("fc1/E"), named("fc1/I")
    ('fc1', 'fc1/I')
    >>> with look(labels={"fc1/E": "Layer 1"}):
    ...     named("trained: fc1/E")
    'trained: Layer 1'
    """
    labels = now().labels
    if name in labels:
        return labels[name]
    head, colon, rest = name.rpartition(": ")
    if colon:
        return f"{labels.get(head, head)}: {named(rest)}"
    short = name.removesuffix("/E")
    return labels.get(short, labels.get(f"{short}/E", short))


@cache
def _font() -> None:
    for file in sorted(FONTS.glob("*.ttf")):
        mpl.font_manager.fontManager.addfont(str(file))


@contextmanager
def style(name: str | None = None) -> Iterator[None]:
    """Let matplotlib use the style of print, in a theme, for a while.

    Parameters
    ----------
    name : {"paper", "slide"}, optional
        Default: the theme that holds.
    """
    from eiplatform.figures.grammar.colours import current_theme

    _font()
    with theme(name or current_theme()), mpl.style.context(str(_STYLE)):
        ink, paper = colour("ink"), colour("paper")
        inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "axes.titlecolor")
        grounds = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
        changed: dict[Any, Any] = dict.fromkeys(inked, ink) | dict.fromkeys(grounds, paper)
        mpl.rcParams.update(changed)
        mpl.rcParams["axes.prop_cycle"] = cycler(color=[ink])  # every other colour is chosen for what it means
        yield
