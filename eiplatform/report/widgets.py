"""Interactive panels of a page: Bokeh figures, and the frames of data that pickers and sliders choose from.

A widget is a Bokeh layout whose data sources have names, a few native controls of HTML, and frames: for every choice
of the controls the columns of each source and a sentence.  The page (``report.js``) puts the chosen frame into the
sources; it has the frames within it, or asks ``eiplatform view`` for them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from bokeh.models import LayoutDOM

__all__ = ["Control", "Frame", "Widget", "bokeh_script", "legend_above", "packed", "panel", "series", "whiskers"]


Options = list[str] | int
"""Names of what can be chosen, or their number."""


@dataclass(frozen=True)
class Control:
    """A picker or slider.

    Attributes
    ----------
    name, label : str
    options : list of str or int, or mapping of str to these
        What can be chosen, or of how many; a mapping has that by the choice of the first control.
    kind : {"select", "range", "number"}
        A number is a position, from 0.
    start : int
        What is chosen first.
    """

    name: str
    label: str
    options: Options | Mapping[str, Options]
    kind: str = "select"
    start: int = 0

    @property
    def first(self) -> Options:
        """The options that a page opens with."""
        return next(iter(self.options.values()), []) if isinstance(self.options, Mapping) else self.options

    @property
    def last(self) -> int:
        """The position of the last of them."""
        return (self.first if isinstance(self.first, int) else len(self.first)) - 1


@dataclass(frozen=True)
class Frame:
    """What a choice shows.

    Attributes
    ----------
    sources : dict of str to dict of str to array
        Columns of each named source.
    text : str
        The same in a sentence, read out by screen readers.
    hidden : sequence of str
        Names of the Bokeh figures that hold nothing.
    labels : dict of str to str
        Labels of y axes, by the name of the Bokeh figure, and of its x axis (``NAME.x``).
    """

    sources: Mapping[str, Mapping[str, Any]]
    text: str = ""
    hidden: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it for the page, JSON-compatible."""
        sources = {
            name: {column: packed(values) for column, values in columns.items()}
            for name, columns in self.sources.items()
        }
        return {"sources": sources, "text": self.text, "hidden": list(self.hidden), "labels": dict(self.labels)}


@dataclass(frozen=True)
class Widget:
    """An interactive panel.

    Attributes
    ----------
    name, title : str
    about : str
        What it shows and what can be done with it.
    layout : LayoutDOM
    controls : sequence of Control
    frames : dict of str to Frame
        By the choices, by number, joined with ``|``; at least that of the start.
    address : str
        Where the page asks for other frames.
    """

    name: str
    title: str
    about: str
    layout: LayoutDOM
    controls: Sequence[Control]
    frames: Mapping[str, Frame]
    address: str = ""

    def as_json(self) -> str:
        """Return what the page needs, as text that may stand within an element ``script``."""
        from bokeh.embed import json_item

        first = self.frames["|".join(str(control.start) for control in self.controls)]  # for the ranges of the axes
        held: dict[str, Any] = {str(one.name): one for one in self.layout.references() if one.name}
        for name, columns in first.sources.items():
            held[name].data = {key: np.asarray(column) for key, column in columns.items()}
        for name in first.hidden:
            if name in held:
                held[name].visible = False
        sent = {
            "item": json_item(self.layout),
            "options": {control.name: control.options for control in self.controls},
            "frames": {key: frame.as_dict() for key, frame in self.frames.items()},
            "address": self.address,
        }
        return json.dumps(sent, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")


@cache
def bokeh_script() -> str:
    """Return the library that draws the widgets, to stand within the page."""
    from bokeh.resources import Resources

    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw).replace("</script", "<\\/script")


def packed(values: Any) -> Any:
    """Return a column for the page: numbers as base64 of float32, text as a list."""
    array = np.asarray(values)
    if array.dtype.kind in "biuf":
        return {"f4": base64.b64encode(array.astype("<f4").tobytes()).decode()}
    return array.astype(str).tolist()


def panel(
    name: str,
    *,
    height: int,
    tooltips: Sequence[tuple[str, str]] = (),
    mode: Literal["mouse", "vline"] = "mouse",
    toolbar: bool = True,
    **options: Any,
) -> Any:
    """Return an empty Bokeh figure: as wide as the page, with values on hovering, without a wheel that traps the page.

    Parameters
    ----------
    name : str
    height : int
        In pixels.
    tooltips : sequence of (str, str)
    mode : {"mouse", "vline"}
    toolbar : bool
        Show the buttons for zoom and reset.
    **options
        Of :func:`bokeh.plotting.figure`.
    """
    from bokeh.models import HoverTool
    from bokeh.plotting import figure

    look: dict[str, Any] = {"sizing_mode": "stretch_width", "min_border_left": 64}
    look |= {"tools": "xpan,xbox_zoom,reset", "active_drag": "xbox_zoom"}
    made = figure(name=name, height=height, toolbar_location="right" if toolbar else None, **look, **options)
    made.toolbar.logo = None
    made.toolbar.autohide = True
    made.axis.minor_tick_line_color = None
    if tooltips:
        made.add_tools(HoverTool(tooltips=list(tooltips), mode=mode))
    return made


def series(figure: Any, kind: str, source: Any, colour: str, *, hovered: bool = False, **options: Any) -> Any:
    """Add something to a Bokeh figure in a colour that follows the theme of the page.

    Parameters
    ----------
    figure : bokeh.plotting.figure
    kind : str
        A method of the figure, e.g. ``"line"``.
    source : ColumnDataSource
    colour : str
        A key of :data:`eiplatform.figures.grammar.colours.THEMES`.
    hovered : bool
        The values shown on hovering are those of this alone.
    **options
        Of the method.
    """
    drawn = getattr(figure, kind)(source=source, color=colour_of(colour), **options)
    drawn.glyph.tags = [colour]
    if hovered:
        figure.hover.renderers = [drawn]
    return drawn


def whiskers(figure: Any, source: Any, base: str, low: str, high: str, colour: str) -> None:
    """Add intervals to a Bokeh figure, in a colour that follows the theme of the page."""
    from bokeh.models.annotations import Whisker

    figure.add_layout(Whisker(base=base, lower=low, upper=high, source=source, tags=[colour]))


def legend_above(figure: Any) -> None:
    """Put the legend of a Bokeh figure above it, in one row."""
    figure.add_layout(figure.legend[0], "above")
    figure.legend.update(orientation="horizontal", location="top_left", margin=0, padding=2, click_policy="hide")


def colour_of(name: str) -> str:
    """Return a colour of the paper theme."""
    from eiplatform.figures.grammar.colours import THEMES

    return THEMES["paper"][name]
