"""Dose-response curves: where one crosses a level, and how far two are apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["apart", "crossing"]


def crossing(doses: NDArray[np.float64], values: NDArray[np.float64], level: float) -> tuple[float, float, float]:
    """Return the smallest dose at which a curve reaches a level, and the doses tried on both sides of it.

    Parameters
    ----------
    doses : array, shape (dose,)
        Ascending; those below 0 are left out.
    values : array, shape (dose,)
        Joined by straight lines.
    level : float

    Returns
    -------
    dose, below, above : float
        NaN if no dose tried reaches it.

    Examples
    --------
    >>> import numpy as np
    >>> crossing(np.array([0.0, 0.1, 0.2]), np.array([0.0, 0.5, 2.5]), 1.0)
    (0.125, 0.1, 0.2)
    """
    x, y = doses[doses >= 0], values[doses >= 0]
    reached = np.flatnonzero(y >= level)
    if not reached.size or reached[0] == 0:
        return (np.nan,) * 3
    i = int(reached[0])
    share = (level - y[i - 1]) / (y[i] - y[i - 1])
    return float(x[i - 1] + share * (x[i] - x[i - 1])), float(x[i - 1]), float(x[i])


def apart(
    doses: NDArray[np.float64], values: NDArray[np.float64], others: NDArray[np.float64], compared: NDArray[np.float64]
) -> float:
    """Return the mean absolute difference of two curves over the doses from 0 that both cover, exactly.

    Parameters
    ----------
    doses, values : array
        One curve, of straight lines.
    others, compared : array
        Doses and values of the other.

    Examples
    --------
    >>> import numpy as np
    >>> apart(np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.array([0.0, 0.5]), np.array([0.0, 0.0]))
    0.25
    """
    end = min(doses.max(), others.max())
    x = np.union1d(doses, others)
    x = x[(x >= 0) & (x <= end)]
    difference = np.interp(x, doses, values) - np.interp(x, others, compared)
    area = 0.0
    for width, a, b in zip(np.diff(x), difference[:-1], difference[1:], strict=True):
        if a * b >= 0:
            area += width * (abs(a) + abs(b)) / 2
        else:  # the lines cross: two triangles
            area += width * (a * a + b * b) / (2 * (abs(a) + abs(b)))
    return float(area / end)
