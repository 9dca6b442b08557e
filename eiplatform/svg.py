"""A matplotlib figure as SVG that stands within a page of HTML and follows its theme."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from typing import Any

__all__ = ["hover_id", "inline_svg"]

_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_HOVERED = re.compile(r'(<g id="told\.)([^"]+)(">)(.*?)(?=<g id="|</svg>)', re.DOTALL)
_MARK = re.compile(r"(<use [^>]*?)/>")


def hover_id(texts: Sequence[str]) -> str:
    """Return the id of a line whose markers say something each when a pointer rests on them.

    Parameters
    ----------
    texts : sequence of str
        One for each marker, in their order.

    Examples
    --------
    >>> hover_id(["a 1", "b"])
    'told.YSAxCmI='
    """
    return f"told.{urlsafe_b64encode(chr(10).join(texts).encode()).decode()}"


def _titled(body: str) -> str:
    """Give every marker of such lines its text as a title, which browsers show and screen readers may read."""

    def one(found: re.Match[str]) -> str:
        texts = urlsafe_b64decode(found[2]).decode().split("\n")
        marks = _MARK.findall(found[4])
        if len(marks) != len(texts):  # some lie outside the picture
            return found[0]
        left = iter(texts)
        drawn = _MARK.sub(lambda mark: f"{mark[1]}><title>{escape(next(left))}</title></use>", found[4])
        return f"{found[1]}{found[2]}{found[3]}{drawn}"

    return _HOVERED.sub(one, body)


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
    body = _titled(body)
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
