"""What limits the meaning of the numbers of a table: a mark at each row, and each thing said once beneath."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import xarray as xr

from eiplatform.statistics.cautions import kinds_of, ranged

__all__ = ["cautioned", "cautions_of", "over_layers"]

_MARKS = str.maketrans("0123456789", "\N{SUPERSCRIPT ZERO}\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")


def cautions_of(
    result: xr.Dataset,
    statistics: Iterable[str],
    dim: str = "population",
    variable: str = "caution",
    over: str = "statistic",
) -> dict[str, dict[str, str]]:
    """Return what a result says by statistic and by population.

    Parameters
    ----------
    result : xarray.Dataset
        One of an earlier version says nothing.
    statistics : iterable of str
    dim, variable : str
        Coordinate with the names of the populations, and variable with what is said.
    over : str
        Dimension of the statistics.
    """
    if variable not in result:
        return {}
    names = [str(name) for name in result[dim].values.ravel()]
    said: dict[str, dict[str, str]] = {}
    for statistic in statistics:
        texts = result[variable].sel({over: statistic}).values.ravel()
        said[statistic] = {name: str(text) for name, text in zip(names, texts, strict=True) if str(text)}
    return said


def cautioned(*cautions: Mapping[str, Mapping[str, str]]) -> tuple[dict[str, str], str]:
    """Return a mark for every row that a caution concerns, and a note that explains the marks.

    Parameters
    ----------
    *cautions : mapping of str to mapping
        By statistic, what is said about each population.

    Returns
    -------
    marks : dict of str to str
        By statistic, with a space before the mark; statistics without a caution are left out.
    note : str
        With a space before it, or "".

    Examples
    --------
    >>> marks, note = cautioned({"rate": {"fc1/E": "30 % are silent", "fc2/E": "40 % are silent"}})
    >>> marks, note
    ({'rate': ' \N{SUPERSCRIPT ONE}'}, ' Caution. \N{SUPERSCRIPT ONE} 30 to 40 % are silent (fc1/E, fc2/E).')
    """
    found: dict[str, dict[str, str]] = {}
    rows: dict[str, set[str]] = {}
    for one in cautions:
        for statistic, said in one.items():
            for name, text in said.items():
                for kind, part in kinds_of(text).items():
                    found.setdefault(kind, {})[name] = part
                    rows.setdefault(statistic, set()).add(kind)
    numbers = {kind: str(place + 1).translate(_MARKS) for place, kind in enumerate(found)}
    marks = {
        statistic: " " + " ".join(numbers[kind] for kind in found if kind in kinds) for statistic, kinds in rows.items()
    }
    notes = [f"{numbers[kind]} {ranged(parts.values())} ({', '.join(parts)})" for kind, parts in found.items()]
    return marks, f" Caution. {'. '.join(notes)}." if notes else ""


def over_layers(texts: Iterable[str]) -> str:
    """Return what is said of several layers as one text, with the ranges of its numbers.

    Examples
    --------
    >>> over_layers(["30 % are silent", "", "40 % are silent; 2 % are shared"])
    '30 to 40 % are silent; 2 % are shared'
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        for kind, part in kinds_of(text).items():
            found.setdefault(kind, []).append(part)
    return "; ".join(ranged(parts) for parts in found.values())
