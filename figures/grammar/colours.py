"""What colours mean, on paper and on dark slides: excitation, inhibition, net and gain have theirs to themselves.

Every colour has a second cue: signals have a line style, conditions a marker, layers an order of lightness and a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex

__all__ = [
    "CONDITIONS",
    "SIGNALS",
    "THEMES",
    "Condition",
    "Signal",
    "colour",
    "condition_style",
    "current_theme",
    "diverging",
    "layer_colours",
    "shades",
    "signal_style",
    "theme",
]

THEMES: dict[str, dict[str, str]] = {
    "paper": {
        "exc": "#D55E00",
        "inh": "#0072B2",
        "net": "#1A1A1A",
        "gain": "#8A8A8A",
        "trained": "#7A2A7E",
        "circuit": "#B65FA8",
        "cortex": "#E6BEDD",
        "null": "#B9BDC3",
        "ink": "#262626",
        "faint": "#6E6E6E",
        "band": "#E3E5E8",
        "paper": "#FFFFFF",
        "first": "#74C9AE",
        "last": "#00402F",
    },
    "slide": {
        "exc": "#FF9248",
        "inh": "#55B4F2",
        "net": "#FFFFFF",
        "gain": "#A5A5A5",
        "trained": "#F7B6E0",
        "circuit": "#B062AE",
        "cortex": "#5E3560",
        "null": "#6B7078",
        "ink": "#E6E6E6",
        "faint": "#A9ADB3",
        "band": "#32373E",
        "paper": "#14171B",
        "first": "#1F7F66",
        "last": "#A8F0D8",
    },
}
"""Colours by theme: signals, conditions, text (ink, faint), the band of a null, the paper, and the ramp of layers."""

_THEME: ContextVar[str] = ContextVar("theme", default="paper")


@dataclass(frozen=True)
class Signal:
    """How a signal is drawn.

    Attributes
    ----------
    colour : str
        Its name in :data:`THEMES`.
    line : str or tuple
        Line style, the second cue.
    label : str
    """

    colour: str
    line: Any
    label: str


@dataclass(frozen=True)
class Condition:
    """How a condition is drawn.

    Attributes
    ----------
    colour, marker : str
    filled : bool
    label : str
    """

    colour: str
    marker: str
    filled: bool
    label: str


SIGNALS = {
    "current_exc": Signal("exc", "-", "excitation"),
    "current_inh": Signal("inh", (0, (4, 1.2)), "inhibition"),
    "current_net": Signal("net", "-", "net"),
    "gain": Signal("gain", (0, (1, 1)), "gain"),
}
CONDITIONS = {
    "trained": Condition("trained", "o", True, "trained"),
    "null": Condition("null", "s", False, "untrained (null)"),
    "circuit": Condition("circuit", "D", False, "cortical circuit (model)"),
    "own": Condition("circuit", "^", True, "own recording"),
    "cortex": Condition("cortex", "v", True, "measured cortex"),
}


@contextmanager
def theme(name: str) -> Iterator[None]:
    """Draw in another theme for a while.

    Parameters
    ----------
    name : {"paper", "slide"}
        White paper or dark slides.

    Examples
    --------
    >>> with theme("slide"):
    ...     colour("net")
    '#FFFFFF'
    """
    from eiplatform.errors import choose

    token = _THEME.set(choose(name, THEMES, "theme"))
    try:
        yield
    finally:
        _THEME.reset(token)


def current_theme() -> str:
    """Return the name of the theme in which figures are drawn now."""
    return _THEME.get()


def colour(name: str) -> str:
    """Return a colour of the theme.

    Parameters
    ----------
    name : str
        A key of :data:`THEMES`, e.g. ``"exc"``.

    Examples
    --------
    >>> colour("exc")
    '#D55E00'
    """
    return THEMES[_THEME.get()][name]


def layer_colours(n: int) -> list[str]:
    """Return the colours of `n` layers from input to output: one hue, ordered by lightness.

    Examples
    --------
    >>> layer_colours(2)
    ['#74c9ae', '#00402f']
    """
    ramp = LinearSegmentedColormap.from_list("layers", [colour("first"), colour("last")])
    return [to_hex(ramp(value)) for value in (np.linspace(0, 1, n) if n > 1 else [0.7])]


def shades() -> LinearSegmentedColormap:
    """Return the colour map of shares and counts: from the paper to the darkest layer."""
    return LinearSegmentedColormap.from_list("shades", [colour("paper"), colour("first"), colour("last")])


def diverging() -> LinearSegmentedColormap:
    """Return the colour map of gains and losses: layers' hue for gains, the trained network's for losses."""
    ends = [colour("trained"), colour("cortex"), colour("paper"), colour("first"), colour("last")]
    return LinearSegmentedColormap.from_list("diverging", ends)


def signal_style(name: str) -> dict[str, Any]:
    """Return colour, line style and label of a signal, for ``plot``.

    Examples
    --------
    >>> signal_style("current_exc")["color"]
    '#D55E00'
    """
    found = SIGNALS[name]
    return {"color": colour(found.colour), "linestyle": found.line, "label": found.label}


def condition_style(name: str) -> dict[str, Any]:
    """Return colour, marker, filling and label of a condition, for ``plot``.

    Examples
    --------
    >>> condition_style("null")["marker"]
    's'
    """
    found = CONDITIONS[name]
    ink = colour(found.colour)
    return {
        "color": ink,
        "marker": found.marker,
        "markerfacecolor": ink if found.filled else colour("paper"),
        "label": found.label,
    }
