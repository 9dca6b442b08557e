"""Kernels of a comparison: spread over neurons, effect size, equivalence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from eiplatform.statistics.kernels.moments import FloatArray

__all__ = ["equivalence_p", "spread", "standardised"]


def spread(groups: list[FloatArray], weights: npt.ArrayLike | None = None) -> tuple[float, float]:
    """Give the standard deviation over neurons within seeds, and its own relative standard error.

    Parameters
    ----------
    groups : list of array
        Values per neuron, one array per seed; differences between seeds do not count.
    weights : array, shape (n,), optional
        Of the one group's values (a histogram).

    Returns
    -------
    sd, relative error : float
        sqrt((kurtosis - 1) / (4 n)), by the delta method; NaN with fewer than two values a seed.

    Examples
    --------
    >>> import numpy as np
    >>> sd, error = spread([np.random.default_rng(0).normal(0, 2, 5000)])
    >>> round(sd, 1), round(error, 3)  # normal: 1 / sqrt(2 n)
    (2.0, 0.01)
    """
    if weights is not None:
        (values,) = groups
        share = np.asarray(weights, dtype=np.float64)
        n, share = share.sum(), share / share.sum()
        centred = values - (share * values).sum()
        variance, fourth = float((share * centred**2).sum()), float((share * centred**4).sum())
    else:
        kept = [group for group in groups if group.size > 1]
        if not kept:
            return float("nan"), float("nan")
        centred = np.concatenate([group - group.mean() for group in kept])
        n = centred.size
        variance = float((centred**2).sum() / (n - len(kept)))
        fourth = float((centred**4).mean())
    # A spread below this part of the values is the rounding of a constant.
    if variance <= (1e-9 * float(np.max(np.abs(np.concatenate(groups))))) ** 2:
        return 0.0, float("nan")
    return float(np.sqrt(variance)), float(np.sqrt(max(fourth / variance**2 - 1.0, 0.0) / (4 * n)))


def standardised(
    difference: float, low: float, high: float, sd: float, sd_error: float, *, level: float = 0.95
) -> tuple[float, float, float]:
    """Glass's delta: a difference in units of the reference's spread over neurons.

    Parameters
    ----------
    difference, low, high : float
        With the interval of the difference.
    sd, sd_error : float
        From :func:`spread`.
    level : float
        Nominal coverage of the interval given and returned.

    Returns
    -------
    effect, low, high : float
        The interval joins the uncertainty of the difference and, by the delta method, that of the
        spread; NaN without a spread.

    References
    ----------
    Glass 1976, Educ Res 5:3; Hedges 1981, J Educ Stat 6:107 (the variance for normal data).

    Examples
    --------
    >>> standardised(1.0, 0.5, 1.5, 2.0, 0.0)
    (0.5, 0.25, 0.75)
    """
    if not sd > 0:
        return float("nan"), float("nan"), float("nan")
    effect = difference / sd
    reach = stats.norm.ppf((1 + level) / 2) * effect * sd_error
    return (
        effect,
        effect - float(np.hypot((difference - low) / sd, reach)),
        effect + float(np.hypot((high - difference) / sd, reach)),
    )


def equivalence_p(
    difference: npt.ArrayLike, error: npt.ArrayLike, margin: npt.ArrayLike, freedom: npt.ArrayLike = np.inf
) -> FloatArray:
    """Test equivalence by two one-sided tests (TOST): small p when the difference lies within the margin.

    Parameters
    ----------
    difference, error : array
        Estimate and its standard error.
    margin : array
        Largest difference that counts as none, in the same unit.
    freedom : array
        Degrees of freedom of the error; infinite: the normal distribution.

    Returns
    -------
    array
        The larger p of the tests against -margin and against +margin; NaN where something is.

    References
    ----------
    Schuirmann 1987, J Pharmacokinet Biopharm 15:657.

    Examples
    --------
    >>> round(float(equivalence_p(0.0, 1.0, 1.6448536)), 4)
    0.05
    """
    difference, error, margin = (np.asarray(part, dtype=np.float64) for part in (difference, error, margin))
    with np.errstate(invalid="ignore", divide="ignore"):
        far: FloatArray = stats.t.sf((margin - np.abs(difference)) / error, freedom)
    return far
