"""A matplotlib figure as SVG that stands within a page of HTML and follows its theme."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from io import BytesIO
from typing import Any

__all__ = ["inline_svg"]

_COLOUR = re.compile(r"#[0-9a-f]{6}\b")


def inline_svg(
    figure: Any, name: str, *, alt: str = "", described_by: str = "", colours: Mapping[str, str] | None = None
) -> str:
    """Return a figure as an SVG element.

    Parameters
    ----------
    figure : matplotlib.figure.Figure, or str
        A figure, or an SVG that matplotlib wrote.
    name : str
        Goes before every id, so that several figures can stand in one page.
    alt : str
        A short description for those who do not see it.
    described_by : str
        Id of the element with the long description.
    colours : mapping of str to str, optional
        What stands in the place of a colour, e.g. ``{"#262626": "var(--ink)"}``.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> inline_svg(Figure(), "a", alt="nothing")[:37]
    '<svg role="img" aria-label="nothing" '
    """
    if isinstance(figure, str):
        text = figure
    else:
        raw = BytesIO()
        figure.savefig(raw, format="svg")
        text = raw.getvalue().decode()
    start = text.index("<svg")
    head, body = text[start : text.index(">", start)], text[text.index(">", start) + 1 :]
    box = re.search(r'viewBox="[^"]*"', head)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    used = set(re.findall(r'(?:url\(|href=")#([\w.-]+)', body))
    body = re.sub(r' id="([\w.-]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = re.sub(r'(?:xlink:)?href="#', f'href="#{name}-', body)
    body = body.replace("xlink:href", "href").replace("\n", " ")
    if colours:
        body = _COLOUR.sub(lambda found: colours.get(found[0], found[0]), body)
    about = f' aria-label="{escape(alt)}"' if alt else ""
    about += f' aria-describedby="{escape(described_by)}"' if described_by else ""
    return f'<svg role="img"{about} {box[0] if box else ""} xmlns="http://www.w3.org/2000/svg">{body}'
