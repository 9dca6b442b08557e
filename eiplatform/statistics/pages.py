"""The header of a statistic's page in ``docs/statistics``: title, needs and keys, from its declaration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eiplatform.statistics.declare import Declared, Statistic
from eiplatform.statistics.functions import needed
from eiplatform.statistics.registry import STATISTICS

__all__ = ["header", "with_header"]


def header(cls: type[Declared]) -> str:
    """Return everything above the first section of the page.

    Examples
    --------
    >>> from eiplatform.statistics import DECLARED
    >>> print(header(DECLARED["rate"]).splitlines()[0])
    # `rate`: firing rate
    """
    entries = [entry for entry in STATISTICS.values() if entry.name == cls.name]
    lines = [f"# `{cls.name}`: {cls.question}", ""]
    kind = "A value" if issubclass(cls, Statistic) else "A Dataset"
    recordings = " and ".join(f"`{name}`" for name in cls.inputs)
    from_two = f" from two recordings, {recordings}" if len(cls.inputs) > 1 else ""
    lines.append(f"{kind}{from_two}. Topic: {entries[0].topic if entries else cls.topic}. {needed(cls)}")
    if entries:
        lines += ["", "| key in summaries | options | what it is | over | unit |", "|---|---|---|---|---|"]
        lines += [_row(entry, cls) for entry in entries]
        lines.append("")
        verdicts = {entry.key: _verdict(entry) for entry in entries}
        for verdict in dict.fromkeys(verdicts.values()):
            keys = [f"`{key}`" for key, found in verdicts.items() if found == verdict]
            which = "" if len(keys) == len(entries) else f" ({', '.join(keys)})"
            lines.append(f"- Network against circuit{which}: {verdict}.")
    return "\n".join([*lines, "", ""])


def _verdict(entry: Statistic) -> str:
    """Say whether a network's value may be compared with a circuit's, and why."""
    if entry.in_steps:
        taken = "comparable with a recording, which is taken in the network's steps"
        return f"{taken}; not with a summary: {entry.comparable_reason}"
    return f"{'comparable' if entry.comparable else 'not comparable'}; {entry.comparable_reason}"


def _row(entry: Statistic, cls: type[Declared]) -> str:
    options = _options(entry) if isinstance(entry, cls) else "a row of this Dataset"
    unit = "none" if entry.dimensionless else " or ".join(entry.units(time) for time in ("step", "ms"))
    average = ", geometric mean" if entry.average != "mean" else ""
    label = entry.label + (", of the population" if entry.level == "population" else "") + average
    return f"| `{entry.key}` | {options} | {label} | {entry.over} | {unit} |"


def _options(entry: Statistic) -> str:
    chosen: Mapping[str, Any] = next(variant for variant in entry.variants if type(entry)(**variant).key == entry.key)
    return ", ".join(f'`{name}="{value}"`' for name, value in chosen.items()) or "none"


def with_header(text: str, cls: type[Declared]) -> str:
    """Return the text of a page with its header written anew."""
    start = text.find("## Formula")
    return header(cls) + (text[start:] if start >= 0 else "")
