"""Numbers and names as they stand in figures and captions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd

from eiplatform.figures.grammar.look import named

__all__ = [
    "finite",
    "grouped",
    "left_out",
    "listed",
    "num",
    "pathway",
    "row_names",
    "rows_of",
    "spread",
    "time_axis",
    "units",
    "wrapped",
]


def num(value: float, digits: int = 2) -> str:
    """Return a number with a true minus sign, and never a negative zero.

    Examples
    --------
    >>> num(-0.5), num(-0.001)
    ('−0.50', '0.00')
    """
    text = f"{value:.{digits}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "\N{MINUS SIGN}")


def listed(names: Iterable[str]) -> str:
    """Return names in a row, the last behind "and".

    Examples
    --------
    >>> listed(["fc1", "fc2", "fc3"])
    'fc1, fc2 and fc3'
    """
    found = list(names)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}" if found else "none"


def grouped(names: Sequence[str], values: Sequence[Any]) -> str:
    """Return values with the names to which they belong; one alone where all are equal.

    Examples
    --------
    >>> grouped(["fc1/E", "fc2/E", "E"], [64, 64, 100])
    '64 (fc1, fc2), 100 (E)'
    >>> grouped(["fc1/E", "fc2/E"], [64, 64])
    '64'
    """
    by_value: dict[str, list[str]] = {}
    for name, value in zip(names, values, strict=True):
        by_value.setdefault(str(value), []).append(named(str(name)))
    if len(by_value) == 1:
        return next(iter(by_value))
    return ", ".join(f"{value} ({', '.join(dict.fromkeys(who))})" for value, who in by_value.items())


def row_names(result: Any) -> list[str]:
    """Return the names of the rows of a result: layers of one network alone, all others with their recording.

    Parameters
    ----------
    result : xarray.Dataset
        With ``recording`` and ``population`` (row).

    Examples
    --------
    >>> import xarray as xr
    >>> names = {"recording": ("row", ["net", "net", "V1"]), "population": ("row", ["fc1/E", "fc2/E", "E"])}
    >>> row_names(xr.Dataset(names))
    ['fc1/E', 'fc2/E', 'V1: E']
    """
    names = (result[name].values.astype(str).tolist() for name in ("recording", "population"))
    pairs = list(zip(*names, strict=True))
    populations = [population for _, population in pairs]
    alone = ["/" in population and populations.count(population) == 1 for population in populations]
    return [pair[1] if one else f"{pair[0]}: {pair[1]}" for pair, one in zip(pairs, alone, strict=True)]


def spread(n: int, most: int) -> list[int]:
    """Thin `n` things to a largest number, evenly, and return their places: the first and the last stay.

    Examples
    --------
    >>> spread(16, 4), spread(3, 4)
    ([0, 5, 10, 15], [0, 1, 2])
    """
    return sorted({round(place * (n - 1) / max(most - 1, 1)) for place in range(most)}) if n > most else list(range(n))


def left_out(n: int, most: int, what: str) -> str:
    """Return the sentence of a caption that says how many are drawn, if not all are.

    Examples
    --------
    >>> left_out(16, 8, "populations"), left_out(3, 8, "populations")
    (' Drawn: the first 8 of 16 populations.', '')
    """
    return f" Drawn: the first {most} of {n} {what}." if n > most else ""


def excluded(n: int, of: str = "neurons of a layer") -> str:
    """Return how many were excluded as undefined, as the end of a sentence.

    Examples
    --------
    >>> excluded(0), excluded(3)
    ('none excluded', 'at most 3 neurons of a layer excluded as undefined')
    """
    return f"at most {n} {of} excluded as undefined" if n else "none excluded"


def units(label: str, unit: str) -> str:
    """Return the label of an axis with its unit, if there is one.

    Examples
    --------
    >>> units("current", "mV"), units("gain", "1")
    ('current (mV)', 'gain')
    """
    return label if unit in ("", "1") else f"{label} ({unit})"


def pathway(name: str) -> str:
    """Return the name of a pathway with true arrows.

    Examples
    --------
    >>> pathway("I->E subtractive")
    'I → E subtractive'
    """
    return name.replace("->", " \N{RIGHTWARDS ARROW} ")


def rows_of(frame: pd.DataFrame) -> Iterable[Any]:
    """Return the rows of a table, whose columns are attributes of each."""
    return frame.itertuples()


def time_axis(unit: str) -> str:
    """Return the label of an axis of time.

    Examples
    --------
    >>> time_axis("step")
    'time (steps)'
    """
    return f"time ({'steps' if unit == 'step' else unit})"


def wrapped(text: str, width: int = 24) -> str:
    """Return a text in lines."""
    return fill(text, width)


def finite(values: Any) -> bool:
    """Whether anything of these values is a number."""
    return bool(np.isfinite(np.asarray(values, dtype=float)).any())
