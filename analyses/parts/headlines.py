"""Headlines: what a report says on its first screen, the surest first."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

__all__ = ["TOPICS", "Headline", "of_one", "plain", "ranked"]

TOPICS = {
    "task": "Task",
    "balance": "Balance",
    "null": "Against the null",
    "cortex": "Distance from cortex",
    "lesion": "Lesion",
    "limit": "How far to trust it",
    "": "Further",
}
"""What a headline is about, and what a report calls it."""
_METHOD = re.compile(r"% interval|corrected|\btest\b|q at most|false discovery")
_NEEDED = ("balance", "null", "cortex", "limit")
"""Topics that a first screen answers wherever a result does."""


@dataclass(frozen=True)
class Headline:
    """One sentence of a first screen.

    Attributes
    ----------
    text : str
        Plain English, without the method.
    topic : str
        One of :data:`TOPICS`.
    how : str
        n, interval, test and correction.
    effect : float
        Size of the largest effect that passes the corrected test, in spreads of what it is compared with (untrained
        networks, neurons of the reference, random losses); NaN where nothing passes.
    p : float
        The smallest corrected p behind the sentence; NaN where nothing was tested or nothing passes.
    """

    text: str
    topic: str = ""
    how: str = ""
    effect: float = math.nan
    p: float = math.nan


def plain(finding: str) -> Headline:
    """Return a finding as a headline: if it ends with a method in brackets, that is how it was found.

    Examples
    --------
    >>> plain("E outweighs I in fc1 (95 % interval, corrected (Holm)).")
    Headline(text='E outweighs I in fc1.', topic='', how='95 % interval, corrected (Holm)', effect=nan, p=nan)
    """
    body = finding.rstrip(".")
    if not body.endswith(")"):
        return Headline(finding)
    depth = 0
    for place in range(len(body) - 1, -1, -1):
        depth += (body[place] == ")") - (body[place] == "(")
        if depth == 0:
            inside = body[place + 1 : -1]
            return Headline(f"{body[:place].rstrip()}.", how=inside) if _METHOD.search(inside) else Headline(finding)
    return Headline(finding)


def of_one(
    who: str, finding: str, topic: str, effect: float = math.nan, how: str = "", p: float = math.nan
) -> Headline:
    """Return a finding on one recording as a headline, without the recording's name in front.

    Parameters
    ----------
    who, finding, topic : str
    effect, p : float
    how : str
        In the place of the finding's own; what is in brackets there: ``"n = 40; {}"``.

    Examples
    --------
    >>> of_one("'a'", "'a': E outweighs I (95 % interval).", "balance", how="n = 4; {}").how
    'n = 4; 95 % interval'
    """
    found = plain(finding.removeprefix(who).lstrip(":, "))
    text = found.text[0].upper() + found.text[1:]
    return replace(found, text=text, topic=topic, effect=effect, p=p, how=(how or "{}").replace("{}", found.how))


def ranked(headlines: Iterable[Headline], most: int = 6) -> list[Headline]:
    """Return the headlines of a first screen: one per topic, the surest first, then the rest.

    Effects are in spreads of different things, so that sentences are ordered by the one scale that they share, the
    corrected p; the effect decides between equal ones.

    Parameters
    ----------
    headlines : iterable of Headline
        In the order of the report.
    most : int

    Examples
    --------
    >>> found = [Headline("a"), Headline("b", "null", p=1e-3), Headline("c", "lesion", p=1e-9, effect=2.0)]
    >>> [headline.text for headline in ranked([*found, Headline("d", "cortex", p=1e-9, effect=-7.0)])]
    ['d', 'c', 'b', 'a']
    """

    def order(headline: Headline) -> tuple[float, float]:
        unsure = 2.0 if math.isnan(headline.p) else headline.p
        return unsure, 0.0 if math.isnan(headline.effect) else -abs(headline.effect)

    ordered = sorted(headlines, key=order)  # stable: ties stay as in the report
    first: dict[str, Headline] = {}
    for headline in ordered:
        if headline.topic:
            first.setdefault(headline.topic, headline)
    kept = sorted(first.values(), key=lambda headline: headline.topic not in _NEEDED)
    kept += [headline for headline in ordered if headline not in kept]
    limits = [headline for headline in kept[:most] if headline.topic == "limit"]
    rest = [headline for headline in kept[:most] if headline.topic != "limit"]
    return [*sorted(rest, key=order), *limits]
