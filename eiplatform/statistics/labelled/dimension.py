"""Labelled statistics of the dimension of activity."""

from __future__ import annotations

import xarray as xr

from eiplatform.statistics import estimates
from eiplatform.statistics.labelled.common import measured

__all__ = ["participation_ratio"]


def participation_ratio(
    population: xr.Dataset,
    *,
    over: str = "time",
    n_neurons: int = estimates.FIXED_NEURONS,
    window: float | None = None,
) -> xr.DataArray:
    """Participation ratio (tr C)^2/tr C^2 of the covariance of spike counts: the number of dimensions.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` or spike events.
    over : {"time", "sample"}
        ``"time"``: over at least 10 windows per sample, about each sample's own mean, pooled
        over samples.  ``"sample"``: of the count in the whole sample, over at least 30 samples.
    n_neurons : int
        At most the recorded number; the value is that of random subsets of this size.
    window : float, optional
        Length of a window, for ``over="time"``: default 10 steps or 50 ms.

    Returns
    -------
    xarray.DataArray, dims ()
        From 1 to `n_neurons`, corrected for the finite number of windows or samples (noise may
        carry it beyond).

    Raises
    ------
    StatisticError
        If the population has no spikes.
    TooShortError
        With too few windows, samples or neurons.

    References
    ----------
    Gao et al. 2017, bioRxiv 214262.
    """
    key = "participation_ratio" if over == "time" else "participation_ratio_samples"
    result = measured(population, key, estimates.participation_ratio, over, n_neurons, window)
    return result.assign_attrs(long_name=f"participation ratio ({n_neurons} neurons)")
