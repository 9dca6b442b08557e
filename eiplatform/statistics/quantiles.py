"""Quantiles of distributions over neurons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from eiplatform.errors import StatisticError

__all__ = ["QUANTILES", "checked_quantiles"]

QUANTILES = (0.025, 0.25, 0.5, 0.75, 0.975)


def checked_quantiles(quantiles: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return quantiles as an array.

    Raises
    ------
    StatisticError
        If there is none, or one is outside [0, 1].
    """
    wanted = np.asarray(tuple(quantiles), dtype=np.float64)
    if wanted.size == 0 or not ((wanted >= 0) & (wanted <= 1)).all():
        raise StatisticError(f"quantiles are {tuple(quantiles)}", valid="numbers from 0 to 1")
    return wanted
