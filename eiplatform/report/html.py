"""One HTML file that opens without a network: its template, style, script, fonts and library."""

from __future__ import annotations

import base64
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from eiplatform.figures.grammar.colours import THEMES
from eiplatform.files import atomic_write
from eiplatform.report.widgets import bokeh_script

__all__ = ["render", "write_page"]

_FACES = {"Regular": (400, "normal"), "Bold": (700, "normal"), "Italic": (400, "italic")}


def render(template: str, *, interactive: bool, **values: Any) -> str:
    """Return a page.

    Parameters
    ----------
    template : str
        Of the folder ``templates``.
    interactive : bool
        It has widgets, and needs the library that draws them.
    **values
        What the template names.
    """
    environment = Environment(
        loader=PackageLoader("eiplatform.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        style=_asset("page.css"),
        script=_asset("page.js"),
        fonts=_fonts(),
        library=Markup(bokeh_script()) if interactive else "",  # noqa: S704
        themes={"light": THEMES["paper"], "dark": THEMES["slide"]},
        **values,
    )


def write_page(path: str | Path, page: str) -> Path:
    """Write a page, whole or not at all."""
    path = Path(path)
    atomic_write(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))
    return path


@cache
def _asset(name: str) -> Markup:
    return Markup((files("eiplatform.report") / "templates" / name).read_text(encoding="utf-8"))  # noqa: S704


@cache
def _fonts() -> Markup:
    """Return the figures' font as CSS: text in SVG is text."""
    folder = files("eiplatform.figures.grammar") / "fonts"
    faces = []
    for name, (weight, style) in _FACES.items():
        data = base64.b64encode((folder / f"Arimo-{name}.ttf").read_bytes()).decode()
        faces.append(
            f'@font-face{{font-family:"Arimo";font-weight:{weight};font-style:{style};'
            f'src:url("data:font/ttf;base64,{data}")}}'
        )
    return Markup("\n".join(faces))  # noqa: S704
