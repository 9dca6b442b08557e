"""Labelled functions: one public statistic each, from a population's Dataset to a value per neuron.

Every result is an :class:`xarray.DataArray` over ``neuron`` whose attributes carry the unit, how
many neurons count (``n``), how many were excluded and by which rule, the estimator axis
(``over``) and the paper.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from eiplatform.errors import StatisticError, choose
from eiplatform.statistics import base, estimates
from eiplatform.statistics.estimates import Estimate
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import STATISTICS, statistic

__all__ = [
    "balance_index",
    "cv_isi",
    "ei_correlation",
    "ei_ratio",
    "fano_factor",
    "gain",
    "gain_distribution",
    "lv",
    "per_neuron",
    "rate",
]


def _labelled(estimate: Estimate, key: str) -> xr.DataArray:
    meta = STATISTICS[key]
    values = estimate.unit.per_neuron()
    used = int(np.isfinite(values).sum())
    attrs = {
        "long_name": meta.label,
        "units": estimate.units,
        "n": used,
        "n_excluded": values.size - used,
        "exclusion": estimate.rule,
        "n_samples": estimate.unit.n_samples,
        "over": meta.over,
        "average": meta.average,
        "reference": meta.reference,
        **estimate.attrs,
    }
    neuron = xr.Variable("neuron", estimate.neuron, {"long_name": "index within the population"})
    return xr.DataArray(values, dims="neuron", coords={"neuron": neuron}, name=key, attrs=attrs)


def per_neuron(population: xr.Dataset, key: str) -> xr.DataArray:
    """Return any statistic of :data:`STATISTICS` per neuron, with its default options.

    Parameters
    ----------
    population : xarray.Dataset
    key : str

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    UnknownNameError, StatisticError, TooShortError
    """
    return _labelled(statistic(key).estimate(Population(population)), key)


def ei_ratio(population: xr.Dataset) -> xr.DataArray:
    """E/I ratio <E>/<I> of each neuron; averages over samples and time come before the ratio.

    The population's value is the geometric mean over neurons (a ratio of 2 and one of 1/2
    average to 1).

    Parameters
    ----------
    population : xarray.Dataset
        With ``current_exc`` and ``current_inh``.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If a signal is missing or not finite.

    References
    ----------
    Xue, Atallah & Scanziani 2014, Nature 511:596.

    Examples
    --------
    >>> import numpy as np
    >>> from eiplatform.store.schema import population_dataset
    >>> data = population_dataset(
    ...     {"current_exc": np.full((2, 4, 3), 2.0), "current_inh": np.ones((2, 4, 3))},
    ...     sample=np.arange(2), time=np.arange(4), neuron=np.arange(3), dt=1.0,
    ...     time_units="step", current_units="1", n_neurons=3, role="E")
    >>> ei_ratio(data).values
    array([2., 2., 2.])
    """
    return _labelled(estimates.balance(Population(population), "ratio"), "ei_ratio")


def balance_index(population: xr.Dataset) -> xr.DataArray:
    """Balance index beta = <E - I>/<E> of each neuron: 0 balanced, 1 no inhibition.

    Parameters
    ----------
    population : xarray.Dataset
        With ``current_exc`` and ``current_inh``.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If a signal is missing or not finite.

    References
    ----------
    Ahmadian & Miller 2021, Neuron 109:3373.
    """
    return _labelled(estimates.balance(Population(population), "index"), "balance_index")


def ei_correlation(population: xr.Dataset, *, over: str = "sample", pairs: str = "own") -> xr.DataArray:
    """Pearson correlation of excitation and inhibition of each neuron.

    Parameters
    ----------
    population : xarray.Dataset
        With ``current_exc`` and ``current_inh``.
    over : {"sample", "time"}
        ``"sample"``: of time-averaged currents over at least 30 samples.
        ``"time"``: over at least 50 recorded intervals within a sample, then averaged over
        samples.
    pairs : {"own", "cross", "excess", "partial"}
        E and I of the same neuron; E of this with I of all other neurons (mean); own minus
        cross; own with the mean excitation of the other neurons regressed out.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If a signal is missing or not finite, or the time axis has gaps.
    TooShortError
        With too few samples or intervals; the message says how many are enough.

    References
    ----------
    Okun & Lampl 2008, Nat Neurosci 11:535; Renart et al. 2010, Science 327:587.
    """
    word = {"sample": "samples", "time": "time"}[choose(over, ("sample", "time"), "estimator axis")]
    suffix = "" if choose(pairs, base.PAIRS, "pairing") == "own" else f"_{pairs}"
    return _labelled(estimates.correlation(Population(population), over, pairs), f"ei_correlation_{word}{suffix}")


def rate(population: xr.Dataset) -> xr.DataArray:
    """Give the firing rate of every neuron: spikes/step in a network, Hz in a circuit.

    Silent neurons count as 0.  A circuit's spikes cover the whole population, not only the
    neurons whose currents were recorded.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` or spike events.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If the population has no spikes.
    """
    return _labelled(estimates.rate(Population(population)), "rate")


def cv_isi(population: xr.Dataset, *, min_spikes: int = 10) -> xr.DataArray:
    """Coefficient of variation of inter-spike intervals (sd with ddof 0 over mean).

    Taken within each sample, then averaged over samples.  Biased low for few spikes (Poisson
    0.73 at 5, 0.86 at 10, 0.97 at 50): read :func:`lv` beside it.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` or spike events.
    min_spikes : int
        Samples in which a neuron fires fewer do not count for it; neurons without a sample that
        counts are NaN and counted.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If the population has no spikes.
    TooShortError
        With fewer than 50 recorded intervals per sample.

    References
    ----------
    Softky & Koch 1993, J Neurosci 13:334.
    """
    return _labelled(estimates.isi(Population(population), "cv", min_spikes), "cv_isi")


def lv(population: xr.Dataset, *, min_spikes: int = 10) -> xr.DataArray:
    """Local variation 3 <((a - b)/(a + b))^2> over adjacent inter-spike intervals a, b.

    Parameters, result and errors are those of :func:`cv_isi`.  Not biased by few spikes or by
    slow changes of the rate.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` or spike events.
    min_spikes : int
        Samples in which a neuron fires fewer do not count for it.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    References
    ----------
    Shinomoto, Shima & Tanji 2003, Neural Comput 15:2823.
    """
    return _labelled(estimates.isi(Population(population), "lv", min_spikes), "lv")


def fano_factor(population: xr.Dataset, *, over: str = "time", window: float | None = None) -> xr.DataArray:
    """Fano factor: variance (ddof 1) over mean of a neuron's spike count.

    Parameters
    ----------
    population : xarray.Dataset
        With ``spikes`` or spike events.
    over : {"time", "sample"}
        ``"time"``: over windows within a sample, about the sample's own mean, pooled over
        samples; needs at least 10 windows per sample.  ``"sample"``: of the count in the whole
        sample, over at least 30 samples (in a network these are different images).
    window : float, optional
        Length of a window, for ``over="time"``: default 10 steps or 50 ms.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If the population has no spikes.
    TooShortError
        With too few windows or samples.

    References
    ----------
    Fano 1947, Phys Rev 72:26.
    """
    key = "fano_factor" if over == "time" else "fano_factor_samples"
    return _labelled(estimates.fano(Population(population), over, window), key)


def gain(population: xr.Dataset, *, measure: str = "mean") -> xr.DataArray:
    """Gain of each neuron: the factor that multiplies its net current.

    Parameters
    ----------
    population : xarray.Dataset
        With ``gain``.
    measure : {"mean", "cv"}
        Mean over samples and time, or coefficient of variation over samples and time: whether
        the gain does anything.

    Returns
    -------
    xarray.DataArray, dims (neuron)

    Raises
    ------
    StatisticError
        If the population has no gain.
    """
    return _labelled(estimates.gain(Population(population), measure), "gain" if measure == "mean" else "gain_cv")


def gain_distribution(
    population: xr.Dataset, *, quantiles: Sequence[float] = (0.025, 0.25, 0.5, 0.75, 0.975)
) -> xr.Dataset:
    """Describe the gain over all neurons, samples and times, and over each of these axes.

    Parameters
    ----------
    population : xarray.Dataset
        With ``gain``.
    quantiles : sequence of float
        In [0, 1].

    Returns
    -------
    xarray.Dataset
        ``mean``, ``sd`` (ddof 0), ``cv`` and ``quantile`` over everything, and ``sd_neurons``,
        ``sd_samples``, ``sd_time``: the standard deviation of the gain averaged over the other
        two axes.

    Raises
    ------
    StatisticError
        If the population has no gain, or a quantile is outside [0, 1].
    """
    wanted = np.asarray(tuple(quantiles), dtype=np.float64)
    if wanted.size == 0 or not ((wanted >= 0) & (wanted <= 1)).all():
        raise StatisticError(f"quantiles are {tuple(quantiles)}", valid="numbers from 0 to 1")
    checked = Population(population)
    checked.require(("gain",), "the gain")
    values = checked.array("gain").astype(np.float64)
    mean, sd, cv, quantile = base.describe(values, tuple(wanted))
    spread = {
        f"sd_{word}": float(values.mean(axis=others).std())
        for word, others in (("samples", (1, 2)), ("time", (0, 2)), ("neurons", (0, 1)))
    }
    return xr.Dataset(
        {
            "mean": float(mean),
            "sd": float(sd),
            "cv": float(cv),
            **spread,
            "quantile": ("probability", quantile),
        },
        coords={"probability": wanted},
        attrs={"long_name": "distribution of the gain", "units": "1", "n": values.size, "over": "sample, time, neuron"},
    )
