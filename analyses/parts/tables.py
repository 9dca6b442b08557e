"""Tables of a result: what a cell is, and how numbers and intervals are written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

__all__ = ["NULLS", "Table", "cell_text", "interval_text", "largest", "number_text", "texts", "value_text"]

NULLS = {
    "recordings": "other networks on the same images",
    "reinit": "untrained networks on the same images",
    "shuffle-weights": "networks with weights shuffled within sign, on the same images",
    "shuffle-inputs": "sets of the same images with shuffled pixels",
    "shift-time": "surrogates with inhibition shifted in time",
    "shuffle-neurons": "surrogates with inhibition of another neuron",
    "poisson": "surrogates of random spikes of the same rates",
}
"""What stands behind the range, by kind of null."""


@dataclass(frozen=True)
class Table:
    """A titled table of text cells.

    Attributes
    ----------
    title : str
    columns : tuple of str
    rows : tuple of tuple of str
    note : str
        What the numbers are: interval, n, exclusions.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def to_pandas(self) -> pd.DataFrame:
        """Return the cells as a table of pandas, with the title and the note among its ``attrs``.

        Examples
        --------
        >>> Table("rates", ("population", "rate"), (("fc1/E", "0.25"),)).to_pandas()["rate"].tolist()
        ['0.25']
        """
        table = pd.DataFrame(list(self.rows), columns=list(self.columns))
        table.attrs = {"title": self.title, "note": self.note}
        return table


def number_text(value: float) -> str:
    """Return a number with three significant digits, without an exponent where that is readable."""
    if not np.isfinite(value):
        return "–"
    if abs(value) < 1e-12:  # rounding of an exact zero
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        digits = max(0, 2 - int(np.floor(np.log10(abs(value)))))
        text = f"{value:.{min(digits, 3)}f}"
    else:
        text = f"{value:.1e}"
    return text.replace("-", "\N{MINUS SIGN}")  # which no browser breaks a line at


def interval_text(value: float, low: float, high: float) -> str:
    """Return a value with its interval, if it has one."""
    if not np.isfinite(value):
        return "–"
    return f"{number_text(value)} [{number_text(low)}, {number_text(high)}]" if np.isfinite(low) else number_text(value)


def cell_text(data: xr.Dataset, prefix: str = "", suffixes: tuple[str, str, str] = ("value", "low", "high")) -> str:
    """Return value and interval of one cell of a result."""
    return interval_text(*(float(data[prefix + name]) for name in suffixes))


def value_text(data: xr.Dataset, name: str = "value") -> str:
    """Return a variable of one cell with its interval, ``NAME_low`` and ``NAME_high``."""
    return cell_text(data, name, ("", "_low", "_high"))


def largest(share: xr.DataArray, dim: str) -> str:
    """Return the kinds with at least a twentieth of the draws, the largest first."""
    if not np.isfinite(share).all():
        return "not determined"
    order = np.argsort(-share.values, kind="stable")
    kinds = [(str(share[dim].values[k]).split(": ", 1)[-1], float(share.values[k])) for k in order]
    return ", ".join(f"{kind} {100 * part:.0f} %" for kind, part in kinds if part >= 0.05)


def texts(values: xr.DataArray) -> list[str]:
    """Return the values of an array, e.g. of a coordinate, as text."""
    return [str(value) for value in values.values]
