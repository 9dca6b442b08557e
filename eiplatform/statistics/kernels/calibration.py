"""Calibration: whether answers are right as often as their confidence says (Guo et al. 2017, PMLR 70:1321)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from eiplatform.errors import StatisticError
from eiplatform.statistics.kernels.moments import FloatArray

__all__ = ["BINS", "Calibration", "calibration"]

BINS = 15
"""Bins of equal width in which confidence and accuracy are compared, as in that paper."""


class Calibration(NamedTuple):
    """Expected calibration error, and per bin of confidence: how many answers, mean confidence, accuracy.

    Means are NaN in bins without answers.
    """

    error: float
    answers: FloatArray
    confidence: FloatArray
    accuracy: FloatArray


def calibration(confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> Calibration:
    """Return the mean absolute difference of confidence and accuracy over bins of confidence, weighted by answers.

    Few answers make it large by chance: 0.08 with 100, 0.04 with 400, 0.02 with 2 000 answers of a calibrated network.

    Parameters
    ----------
    confidence : array
        Probability that is given to the answer, 0 to 1.
    correct : array of bool, same shape
    bins : int
        Of equal width; a bin holds its upper end.

    Examples
    --------
    >>> found = calibration([0.9, 0.9, 0.9, 0.6], [True, True, False, True], bins=5)
    >>> round(found.error, 3), found.answers.tolist()
    (0.275, [0.0, 0.0, 1.0, 0.0, 3.0])
    """
    sure, right = np.ravel(confidence).astype(float), np.ravel(correct).astype(float)
    if sure.shape != right.shape or not sure.size or not ((sure >= 0) & (sure <= 1)).all():
        raise StatisticError("confidences between 0 and 1, one per answer, are needed", where="calibration")
    place = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins).astype(float)
    sums = [np.bincount(place, values, bins) for values in (sure, right)]
    error = float(np.abs(sums[0] - sums[1]).sum() / sure.size)
    with np.errstate(invalid="ignore"):
        return Calibration(error, count, sums[0] / count, sums[1] / count)
