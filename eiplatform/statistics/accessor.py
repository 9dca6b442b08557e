"""The ``.ei`` accessor: ``tree["fc1/E"].ds.ei.balance_index()``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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

    def rate(self) -> xr.DataArray:
        """Rate of firing per neuron: :func:`eiplatform.statistics.rate`."""
        return labelled.rate(self._data)

    def cv_isi(self, *, min_spikes: int = 10) -> xr.DataArray:
        """CV of inter-spike intervals per neuron: :func:`eiplatform.statistics.cv_isi`."""
        return labelled.cv_isi(self._data, min_spikes=min_spikes)

    def lv(self, *, min_spikes: int = 10) -> xr.DataArray:
        """Local variation per neuron: :func:`eiplatform.statistics.lv`."""
        return labelled.lv(self._data, min_spikes=min_spikes)

    def fano_factor(self, *, over: str = "time", window: float | None = None) -> xr.DataArray:
        """Fano factor per neuron: :func:`eiplatform.statistics.fano_factor`."""
        return labelled.fano_factor(self._data, over=over, window=window)

    def gain(self, *, measure: str = "mean") -> xr.DataArray:
        """Gain per neuron: :func:`eiplatform.statistics.gain`."""
        return labelled.gain(self._data, measure=measure)

    def gain_distribution(self, *, quantiles: Sequence[float] = (0.025, 0.25, 0.5, 0.75, 0.975)) -> xr.Dataset:
        """Distribution of the gain: :func:`eiplatform.statistics.gain_distribution`."""
        return labelled.gain_distribution(self._data, quantiles=quantiles)

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
