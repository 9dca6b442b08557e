"""Distribution of the gain over neurons, samples and time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.statistics.kernels.moments import FloatArray

__all__ = ["describe"]


def describe(
    values: npt.NDArray[Any], quantiles: Sequence[float], axis: int | tuple[int, ...] | None = None
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Mean, standard deviation (ddof 0), coefficient of variation and quantiles.

    Parameters
    ----------
    values : array
    quantiles : sequence of float
        In [0, 1].
    axis : int, tuple of int or None
        Axes to describe over; None: all.

    Returns
    -------
    mean, sd, cv : array
        Shape of `values` without `axis`; cv is NaN where the mean is not positive.
    quantile : array
        The same with the quantiles as first axis.

    Examples
    --------
    >>> import numpy as np
    >>> mean, sd, cv, quantile = describe(np.array([1.0, 3.0]), (0.5,))
    >>> float(mean), float(sd), float(cv), float(quantile[0])
    (2.0, 1.0, 0.5, 2.0)
    """
    values = np.asarray(values, dtype=np.float64)
    mean = np.asarray(values.mean(axis=axis))
    sd = np.asarray(values.std(axis=axis))
    cv = np.divide(sd, mean, out=np.full_like(mean, np.nan), where=mean > 0)
    return mean, sd, cv, np.asarray(np.quantile(values, tuple(quantiles), axis=axis))
