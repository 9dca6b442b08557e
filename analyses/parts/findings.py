"""Words that findings share: layers in a row, ranges of values, and what limits the meaning of spikes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy import stats

from eiplatform.analyses.parts.cautioned import cautions_of
from eiplatform.analyses.parts.tables import number_text
from eiplatform.statistics.cautions import kinds_of, ranged
from eiplatform.statistics.kernels.multiple import holm

__all__ = ["clear_of_zero", "flags", "layers", "span", "strongest"]


def layers(names: Iterable[object]) -> str:
    """Return the names of layers in a row; those of excitatory populations without their role.

    Examples
    --------
    >>> layers(["fc1/E", "fc2/E", "fc3/I"])
    'fc1, fc2 and fc3/I'
    """
    *first, last = (str(name).removesuffix("/E") for name in names)
    return f"{', '.join(first)} and {last}" if first else last


def span(values: ArrayLike) -> str:
    """Return the range of some values as text.

    Examples
    --------
    >>> span([0.94, 0.891]), span([1.5])
    ('0.891 to 0.940', '1.50')
    """
    low, high = (number_text(float(end(values))) for end in (np.nanmin, np.nanmax))
    return low if low == high else f"{low} to {high}"


def strongest(effects: ArrayLike, clear: ArrayLike, sign: int) -> list[int]:
    """Return where an effect of one sign is clear, the largest first.

    Parameters
    ----------
    effects : array, shape (layer,)
    clear : array of bool, shape (layer,)
        By the corrected test.
    sign : {1, -1}

    Examples
    --------
    >>> strongest([2.0, -1.0, 3.0, 9.0], [True, True, True, False], 1)
    [2, 0]
    """
    effects = np.asarray(effects, dtype=float)
    order = np.argsort(-np.abs(effects), kind="stable")
    return [int(index) for index in order if np.asarray(clear)[index] and effects[index] * sign > 0]


def clear_of_zero(value: ArrayLike, low: ArrayLike, high: ArrayLike, level: float = 0.05) -> tuple[np.ndarray, str]:
    """Return which of several layers' values differ from 0, and how that was decided.

    Parameters
    ----------
    value, low, high : array, shape (layer,)
        With 95 % intervals, which are taken for normal.
    level : float
        Chance of any false difference among all layers (Holm).

    Examples
    --------
    >>> clear_of_zero([2.0, 0.1], [1.0, -0.9], [3.0, 1.1])
    (array([ True, False]), '95 % interval, corrected for 2 layers (Holm)')
    """
    p = p_of_zero(value, low, high)
    n = int(np.isfinite(p).sum())
    return p <= level, f"95 % interval, corrected for {n} layer{'s' if n != 1 else ''} (Holm)"


def p_of_zero(value: ArrayLike, low: ArrayLike, high: ArrayLike) -> np.ndarray:
    """Return the p of several layers' values being 0, corrected (Holm); see :func:`clear_of_zero`.

    Examples
    --------
    >>> p_of_zero([2.0, 0.1], [1.0, -0.9], [3.0, 1.1]).round(2)
    array([0.  , 0.84])
    """
    value, low, high = (np.asarray(part, dtype=float) for part in (value, low, high))
    error = (high - low) / (2 * stats.norm.ppf(0.975))
    corrected: np.ndarray = holm(2 * stats.norm.sf(np.abs(value) / np.where(error > 0, error, np.nan)))
    return corrected


def flags(
    who: str,
    result: xr.Dataset,
    statistics: Sequence[str] = ("rate",),
    dim: str = "population",
    *,
    variable: str = "caution",
    over: str = "statistic",
    what: str = "statistics of spikes",
) -> list[str]:
    """Say in which layers some statistics mean less, e.g. because neurons are silent or fire at every step.

    Parameters
    ----------
    who : str
        What the sentence is about.
    result : xarray.Dataset
        With cautions; one of an earlier version has none.
    statistics : sequence of str
        The cautions of the first that the result holds are given.
    dim, variable, over : str
        As of :func:`~eiplatform.analyses.parts.cautioned.cautions_of`.
    what : str
        What the cautions limit.
    """
    held = [key for key in statistics if over in result.coords and key in result[over].values]
    found: dict[str, dict[str, str]] = {}
    for name, text in cautions_of(result, held[:1], dim, variable, over).get(held[0], {}).items() if held else ():
        for kind, part in kinds_of(text).items():
            found.setdefault(kind, {})[name] = part
    if not found:
        return []
    parts = [f"in {layers(said)} {ranged(said.values())}" for said in found.values()]
    return [f"{who}, {what} need care: {'; '.join(parts)}."]
