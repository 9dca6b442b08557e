"""The ``.ei`` accessor: ``tree["fc1/E"].ds.ei.balance_index()``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import xarray as xr

from eiplatform.statistics import labelled
from eiplatform.statistics.summary import summarise

__all__ = ["EIAccessor"]


@xr.register_dataset_accessor("ei")  # type: ignore[no-untyped-call]
class EIAccessor:
    """Statistics of one population as methods of its Dataset.

    Each method is the function of the same name in :mod:`eiplatform.statistics`; its page is
    ``docs/statistics/<name>.md``.

    Parameters
    ----------
    data : xarray.Dataset
        One population of a recording.

    Examples
    --------
    >>> import numpy as np
    >>> import eiplatform.statistics
    >>> from eiplatform.store.schema import population_dataset
    >>> data = population_dataset(
    ...     {"spikes": np.ones((2, 4, 3), bool)}, sample=np.arange(2), time=np.arange(4), neuron=np.arange(3),
    ...     dt=1.0, time_units="step", current_units="1", n_neurons=3, role="E")
    >>> data.ei.rate().values
    array([1., 1., 1.])
    """

    def __init__(self, data: xr.Dataset) -> None:
        self._data = data

    def ei_ratio(self) -> xr.DataArray:
        """E/I ratio per neuron: :func:`eiplatform.statistics.ei_ratio`."""
        return labelled.ei_ratio(self._data)

    def balance_index(self) -> xr.DataArray:
        """Balance index per neuron: :func:`eiplatform.statistics.balance_index`."""
        return labelled.balance_index(self._data)

    def ei_correlation(self, *, over: str = "sample", pairs: str = "own") -> xr.DataArray:
        """E-I correlation per neuron: :func:`eiplatform.statistics.ei_correlation`."""
        return labelled.ei_correlation(self._data, over=over, pairs=pairs)

    def imbalance_index(self) -> xr.DataArray:
        """Imbalance index IB per neuron: :func:`eiplatform.statistics.imbalance_index`."""
        return labelled.imbalance_index(self._data)

    def mean_to_fluctuation(self, *, over: str = "sample", n_inputs: int | None = None) -> xr.DataArray:
        """Mean over fluctuation of the net current: :func:`eiplatform.statistics.mean_to_fluctuation`."""
        return labelled.mean_to_fluctuation(self._data, over=over, n_inputs=n_inputs)

    def residual_variance(self, *, over: str = "time", pairs: str = "own") -> xr.DataArray:
        """Residual variance per neuron: :func:`eiplatform.statistics.residual_variance`."""
        return labelled.residual_variance(self._data, over=over, pairs=pairs)

    def ei_ratio_distribution(self, **options: Any) -> xr.Dataset:
        """Distribution of ln(E/I) over neurons: :func:`eiplatform.statistics.ei_ratio_distribution`."""
        return labelled.ei_ratio_distribution(self._data, **options)

    def ei_correlation_windows(self, **options: Any) -> xr.Dataset:
        """E-I correlation by window of smoothing: :func:`eiplatform.statistics.ei_correlation_windows`."""
        return labelled.ei_correlation_windows(self._data, **options)

    def ei_correlogram(self, **options: Any) -> xr.Dataset:
        """Cross-correlogram of E and I: :func:`eiplatform.statistics.ei_correlogram`."""
        return labelled.ei_correlogram(self._data, **options)

    def ei_lag(self, *, measure: str = "lag", pairs: str = "own", max_lag: float | None = None) -> xr.DataArray:
        """Lag of I behind E per neuron: :func:`eiplatform.statistics.ei_lag`."""
        return labelled.ei_lag(self._data, measure=measure, pairs=pairs, max_lag=max_lag)

    def ei_cotuning(self, *, pairs: str = "own") -> xr.DataArray:
        """E-I co-tuning over classes per neuron: :func:`eiplatform.statistics.ei_cotuning`."""
        return labelled.ei_cotuning(self._data, pairs=pairs)

    def fluctuation_index(self) -> xr.DataArray:
        """Fluctuation index per neuron: :func:`eiplatform.statistics.fluctuation_index`."""
        return labelled.fluctuation_index(self._data)

    def driven_above_threshold(self) -> xr.DataArray:
        """Share of time driven above threshold: :func:`eiplatform.statistics.driven_above_threshold`."""
        return labelled.driven_above_threshold(self._data)

    def rate(self) -> xr.DataArray:
        """Rate of firing per neuron: :func:`eiplatform.statistics.rate`."""
        return labelled.rate(self._data)

    def cv_isi(self, *, min_spikes: int = 10) -> xr.DataArray:
        """CV of inter-spike intervals per neuron: :func:`eiplatform.statistics.cv_isi`."""
        return labelled.cv_isi(self._data, min_spikes=min_spikes)

    def lv(self, *, min_spikes: int = 10) -> xr.DataArray:
        """Local variation per neuron: :func:`eiplatform.statistics.lv`."""
        return labelled.lv(self._data, min_spikes=min_spikes)

    def lvr(self, *, min_spikes: int = 10, refractoriness: float | None = None) -> xr.DataArray:
        """Revised local variation per neuron: :func:`eiplatform.statistics.lvr`."""
        return labelled.lvr(self._data, min_spikes=min_spikes, refractoriness=refractoriness)

    def cv2(self, *, min_spikes: int = 10) -> xr.DataArray:
        """Local CV per neuron: :func:`eiplatform.statistics.cv2`."""
        return labelled.cv2(self._data, min_spikes=min_spikes)

    def fano_factor(self, *, over: str = "time", window: float | None = None) -> xr.DataArray:
        """Fano factor per neuron: :func:`eiplatform.statistics.fano_factor`."""
        return labelled.fano_factor(self._data, over=over, window=window)

    def rate_distribution(self, *, quantiles: Sequence[float] = (0.025, 0.25, 0.5, 0.75, 0.975)) -> xr.Dataset:
        """Distribution of rates over neurons: :func:`eiplatform.statistics.rate_distribution`."""
        return labelled.rate_distribution(self._data, quantiles=quantiles)

    def dead_fraction(self) -> xr.DataArray:
        """Whether a neuron never fires: :func:`eiplatform.statistics.dead_fraction`."""
        return labelled.dead_fraction(self._data)

    def saturated_fraction(self, *, share: float = 0.9, maximum: float | None = None) -> xr.DataArray:
        """Whether a neuron fires at its highest rate: :func:`eiplatform.statistics.saturated_fraction`."""
        return labelled.saturated_fraction(self._data, share=share, maximum=maximum)

    def silent_share(self) -> xr.DataArray:
        """Share of samples without a spike per neuron: :func:`eiplatform.statistics.silent_share`."""
        return labelled.silent_share(self._data)

    def always_on(self, *, measure: str = "pairs") -> xr.DataArray:
        """Share of samples with a spike at every step: :func:`eiplatform.statistics.always_on`."""
        return labelled.always_on(self._data, measure=measure)

    def private_inhibition(self) -> xr.DataArray:
        """Share of inhibition's variance that is a neuron's own: :func:`eiplatform.statistics.private_inhibition`."""
        return labelled.private_inhibition(self._data)

    def sparseness(self, *, kind: str = "lifetime") -> xr.DataArray:
        """Treves-Rolls sparseness: :func:`eiplatform.statistics.sparseness`."""
        return labelled.sparseness(self._data, kind=kind)

    def count_correlation(
        self, *, over: str = "time", per: str = "neuron", n_neurons: int = 100, window: float | None = None
    ) -> xr.DataArray:
        """Correlation of spike counts of pairs: :func:`eiplatform.statistics.count_correlation`."""
        return labelled.count_correlation(self._data, over=over, per=per, n_neurons=n_neurons, window=window)

    def chi(self, *, signal: str = "voltage", n_neurons: int = 100, window: float | None = None) -> xr.DataArray:
        """Golomb & Rinzel's synchrony: :func:`eiplatform.statistics.chi`."""
        return labelled.chi(self._data, signal=signal, n_neurons=n_neurons, window=window)

    def synchrony(self, *, n_neurons: int = 100, window: float | None = None) -> xr.DataArray:
        """Variance over mean of population counts: :func:`eiplatform.statistics.synchrony`."""
        return labelled.synchrony(self._data, n_neurons=n_neurons, window=window)

    def timescale(
        self, *, signal: str = "voltage", max_lag: float | None = None, window: float | None = None
    ) -> xr.DataArray:
        """Autocorrelation time: :func:`eiplatform.statistics.timescale`."""
        return labelled.timescale(self._data, signal=signal, max_lag=max_lag, window=window)

    def power_spectrum(self, *, window: float | None = None, segment: float | None = None) -> xr.Dataset:
        """Spectrum of the population's rate: :func:`eiplatform.statistics.power_spectrum`."""
        return labelled.power_spectrum(self._data, window=window, segment=segment)

    def participation_ratio(
        self, *, over: str = "time", n_neurons: int = 100, window: float | None = None
    ) -> xr.DataArray:
        """Dimension of activity: :func:`eiplatform.statistics.participation_ratio`."""
        return labelled.participation_ratio(self._data, over=over, n_neurons=n_neurons, window=window)

    def gain(self, *, measure: str = "mean") -> xr.DataArray:
        """Gain per neuron: :func:`eiplatform.statistics.gain`."""
        return labelled.gain(self._data, measure=measure)

    def gain_distribution(self, *, quantiles: Sequence[float] = (0.025, 0.25, 0.5, 0.75, 0.975)) -> xr.Dataset:
        """Distribution of the gain: :func:`eiplatform.statistics.gain_distribution`."""
        return labelled.gain_distribution(self._data, quantiles=quantiles)

    def gain_slope(self, *, activity: str = "excitation") -> xr.DataArray:
        """Slope of ln gain on ln population activity: :func:`eiplatform.statistics.gain_slope`."""
        return labelled.gain_slope(self._data, activity=activity)

    def gain_normalisation(self, **options: Any) -> xr.Dataset:
        """Fit of divisive normalisation: :func:`eiplatform.statistics.gain_normalisation`."""
        return labelled.gain_normalisation(self._data, **options)

    def inhibition_split(self, on: xr.Dataset, **options: Any) -> xr.Dataset:
        """Division and subtraction from this to `on`: :func:`eiplatform.statistics.inhibition_split`."""
        return labelled.inhibition_split(self._data, on, **options)

    def naka_rushton(self, *, drive: str = "current_exc", baseline: bool = False) -> xr.Dataset:
        """Naka-Rushton fit per neuron: :func:`eiplatform.statistics.naka_rushton`."""
        return labelled.naka_rushton(self._data, drive=drive, baseline=baseline)

    def perturbation_response(self, perturbed: xr.Dataset, **options: Any) -> xr.Dataset:
        """Response from this to `perturbed`: :func:`eiplatform.statistics.perturbation_response`."""
        return labelled.perturbation_response(self._data, perturbed, **options)

    def paradoxical_index(self, perturbed: xr.Dataset, *, change: float, **options: Any) -> xr.Dataset:
        """Paradoxical-response index from this to `perturbed`: :func:`eiplatform.statistics.paradoxical_index`."""
        return labelled.paradoxical_index(self._data, perturbed, change=change, **options)

    def summary(
        self,
        statistics: str | Iterable[str] | None = None,
        *,
        n_bootstrap: int = 1000,
        seed: int = 0,
        level: float = 0.95,
    ) -> xr.Dataset:
        """All statistics with intervals: :func:`eiplatform.statistics.summarise`."""
        return summarise(self._data, statistics, n_bootstrap=n_bootstrap, seed=seed, level=level)
