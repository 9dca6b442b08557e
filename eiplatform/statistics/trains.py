"""Spike trains of a recording that is larger than the memory: sums per (sample, neuron), block by block."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.statistics.base.moments import FloatArray
from eiplatform.statistics.base.spikes import SpikeTrains

__all__ = ["TrainBlocks"]


class TrainBlocks:
    """What the kernels of :mod:`eiplatform.statistics.base.spikes` read of spike trains, without the events.

    Counts, interval moments, local sums and window sums are those of
    :class:`~eiplatform.statistics.base.spikes.SpikeTrains`, computed sample by sample, so the
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
        self._windows: dict[float, tuple[int, FloatArray]] = {}

    def trains_of(self, spikes: npt.NDArray[Any]) -> SpikeTrains:
        """Return the trains of a block of samples, shape (block, time, neuron)."""
        return SpikeTrains.from_dense(spikes, dt=self._dt, units=self.units)

    @cached_property
    def whole(self) -> SpikeTrains:
        """All events at once, whatever memory they take."""
        return self.trains_of(self._array("spikes"))

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
        number, mean, variance = self._table(self._interval_moments, "spikes")
        return number, mean, variance

    @cached_property
    def local_sums(self) -> tuple[FloatArray, FloatArray]:
        """Number of adjacent interval pairs, and their summed local variation, per (sample, neuron)."""
        number, total = self._table(self._local_sums, "spikes")
        return number, total

    def window_sums(self, window: float) -> tuple[int, FloatArray]:
        """Whole windows per sample, and sums of counts and of their squared deviations."""
        if window not in self._windows:
            n_windows = int(self.duration / window + 1e-9)
            self._windows[window] = n_windows, self._table(partial(self._window_sums, window=window), "spikes")
        return self._windows[window]

    def _interval_moments(self, spikes: npt.NDArray[Any]) -> FloatArray:
        return np.stack(self.trains_of(spikes).interval_moments)

    def _local_sums(self, spikes: npt.NDArray[Any]) -> FloatArray:
        return np.stack(self.trains_of(spikes).local_sums)

    def _window_sums(self, spikes: npt.NDArray[Any], window: float) -> FloatArray:
        return self.trains_of(spikes).window_sums(window)[1]


def _counts(spikes: npt.NDArray[Any]) -> FloatArray:
    counts: FloatArray = spikes.sum(axis=1, dtype=np.float64)
    return counts
