"""Spike trains of a recording that is larger than the memory: sums per (sample, neuron), block by block."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.kernels.spikes import SpikeTrains

__all__ = ["Counted", "TrainBlocks"]


class Counted(NamedTuple):
    """What kernels over samples read of spike trains: how many spikes, not when."""

    counts: FloatArray
    n_samples: int


class TrainBlocks:
    """What the kernels of :mod:`eiplatform.statistics.kernels.spikes` read of spike trains, without the events.

    Counts, interval moments, local sums and window sums are those of
    :class:`~eiplatform.statistics.kernels.spikes.SpikeTrains`, computed sample by sample, so the
    blocks do not matter.

    Parameters
    ----------
    table : callable
        :meth:`eiplatform.statistics.population.Population.table`.
    array : callable
        :meth:`eiplatform.statistics.population.Population.array`, for kernels that read the
        events themselves: these need the memory.
    n_samples, n_neurons, n_intervals : int
    dt : float
        Length of an interval.
    units : str

    Examples
    --------
    >>> import numpy as np
    >>> spikes = np.array([[[1, 0]], [[1, 2]]])  # two samples of one step of two neurons
    >>> trains = TrainBlocks(lambda function, name: function(spikes), lambda name: spikes, 2, 2, 1, 1.0, "step")
    >>> trains.counts.tolist()
    [[1.0, 0.0], [1.0, 2.0]]
    """

    def __init__(
        self,
        table: Callable[..., FloatArray],
        array: Callable[[str], npt.NDArray[Any]],
        n_samples: int,
        n_neurons: int,
        n_intervals: int,
        dt: float,
        units: str,
    ) -> None:
        self._table, self._array = table, array
        self.n_samples, self.n_neurons = n_samples, n_neurons
        self.duration, self._dt, self.units = float(n_intervals * dt), dt, units
        self._windows: dict[float, Any] = {}
        self._last: Any = ()

    @cached_property
    def whole(self) -> SpikeTrains:
        """All events at once, whatever memory they take."""
        return SpikeTrains.from_dense(self._array("spikes"), dt=self._dt, units=self.units)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.whole, name)

    @cached_property
    def counts(self) -> FloatArray:
        """Spikes per (sample, neuron)."""
        return self._table(_counts, "spikes")

    @cached_property
    def interval_moments(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Number, mean and variance (ddof 0) of the intervals per (sample, neuron)."""
        number, mean, variance = self._joined("interval_moments")
        return number, mean, variance

    @cached_property
    def corrected_cv(self) -> FloatArray:
        """CV of the intervals per (sample, neuron), as ``SpikeTrains.corrected_cv``."""
        return self._table(self._corrected_cv, "spikes")

    @cached_property
    def local_sums(self) -> Any:
        """Sums over pairs of adjacent intervals per (sample, neuron), as ``SpikeTrains.local_sums``."""
        return self._joined("local_sums")

    def window_sums(self, window: float) -> Any:
        """Return sums over windows per (sample, neuron), as ``SpikeTrains.window_sums``."""
        if window not in self._windows:
            self._windows[window] = self._joined("window_sums", window)
        return self._windows[window]

    def binned(self, window: float, neurons: npt.NDArray[np.int64]) -> FloatArray:
        """Return counts of some neurons in windows, as ``SpikeTrains.binned``."""
        return self._table(partial(self._binned, window, neurons), "spikes").transpose(1, 0, 2)

    def population_counts(self, window: float) -> FloatArray:
        """Return counts of all neurons together in windows, as ``SpikeTrains.population_counts``."""
        return self._table(partial(self._population_counts, window), "spikes")

    def _trains(self, spikes: npt.NDArray[Any]) -> SpikeTrains:
        return SpikeTrains.from_dense(np.asarray(spikes), dt=self._dt, units=self.units)

    def _corrected_cv(self, spikes: npt.NDArray[Any]) -> FloatArray:
        return self._trains(spikes).corrected_cv

    def _binned(self, window: float, neurons: npt.NDArray[np.int64], spikes: npt.NDArray[Any]) -> FloatArray:
        return self._trains(spikes).binned(window, neurons).transpose(1, 0, 2)

    def _population_counts(self, window: float, spikes: npt.NDArray[Any]) -> FloatArray:
        return self._trains(spikes).population_counts(window)

    def _joined(self, name: str, *arguments: float) -> Any:
        """Join a tuple of tables (..., sample, neuron); anything else is the same in all blocks."""
        tables = self._table(partial(self._stacked, name, *arguments), "spikes")
        found, start = [], 0
        for item in self._last:
            if np.ndim(item) < 2:
                found.append(item)
                continue
            leading = np.shape(item)[:-2]
            count = int(np.prod(leading))
            found.append(tables[start : start + count].reshape(*leading, *tables.shape[1:]))
            start += count
        return type(self._last)._make(found) if hasattr(self._last, "_make") else tuple(found)

    def _stacked(self, name: str, *arguments: float | npt.NDArray[Any]) -> FloatArray:
        *options, spikes = arguments
        sums = getattr(self._trains(np.asarray(spikes)), name)
        self._last = sums(*options) if options else sums
        shape = (-1, np.shape(spikes)[0], self.n_neurons)
        return np.concatenate([np.reshape(item, shape) for item in self._last if np.ndim(item) > 1])


def _counts(spikes: npt.NDArray[Any]) -> FloatArray:
    counts: FloatArray = spikes.sum(axis=1, dtype=np.float64)
    return counts
