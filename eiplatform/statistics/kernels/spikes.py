"""Spike trains of many neurons as sorted events, and their sums per (sample, neuron).

Sums are kept per (sample, neuron); a statistic is then a function of sample weights, so that
resampling samples never touches the events again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from eiplatform.errors import StatisticError
from eiplatform.statistics.kernels.moments import FloatArray

__all__ = ["LocalSums", "SpikeTrains", "WindowSums"]

IntArray = npt.NDArray[np.int64]


class LocalSums(NamedTuple):
    """Sums over pairs of adjacent intervals a, b, each of shape (sample, neuron); q = (a - b)/(a + b)."""

    number: FloatArray
    square: FloatArray  # of q^2
    absolute: FloatArray  # of |q|
    square_rate: FloatArray  # of q^2 / (a + b)


class WindowSums(NamedTuple):
    """Sums over the windows of a sample, each of shape (sample, neuron); n is the count in a window."""

    n_windows: int
    total: FloatArray  # of n
    about: FloatArray  # of (n - mean n)^2
    shared: FloatArray  # of (n - mean n) times the count of the whole population


@dataclass(frozen=True)
class SpikeTrains:
    """Spikes of a population, sorted by neuron, sample and time.

    Attributes
    ----------
    time : array, shape (spike,)
        In [0, duration), in `units`, counted from the start of the sample.
    neuron, sample : array of int, shape (spike,)
        Positions 0 .. n - 1.
    n_neurons, n_samples : int
        Silent neurons and samples included.
    duration : float
        Length of every sample.
    units : str
        ``"step"`` or ``"ms"``.

    Examples
    --------
    >>> import numpy as np
    >>> trains = SpikeTrains.from_events(
    ...     np.array([30.0, 10.0, 20.0]), np.array([1, 1, 1]), np.zeros(3, int),
    ...     n_neurons=2, n_samples=1, duration=100.0, units="ms")
    >>> trains.counts.tolist()
    [[0.0, 3.0]]
    >>> trains.local_sums.number.tolist()
    [[0.0, 1.0]]
    """

    time: FloatArray
    neuron: IntArray
    sample: IntArray
    n_neurons: int
    n_samples: int
    duration: float
    units: str
    _windows: dict[float, WindowSums] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_events(
        cls,
        time: npt.NDArray[Any],
        neuron: npt.NDArray[Any],
        sample: npt.NDArray[Any],
        *,
        n_neurons: int,
        n_samples: int,
        duration: float,
        units: str,
    ) -> Self:
        """Sort events of any order.

        Raises
        ------
        StatisticError
            If an event lies outside the recording, or its time is not finite.
        """
        time = np.asarray(time, dtype=np.float64)
        neuron, sample = np.asarray(neuron, dtype=np.int64), np.asarray(sample, dtype=np.int64)
        if not duration > 0:
            raise StatisticError(f"the recording lasts {duration} {units}", where="spikes", valid="a positive duration")
        # The last comparison is also false for NaN.
        for name, values, stop in (("spike_neuron", neuron, n_neurons), ("spike_sample", sample, n_samples)):
            if values.size and not (values.min() >= 0 and values.max() < stop):
                raise StatisticError(f"{name} runs from {values.min()} to {values.max()}", valid=f"0 to {stop - 1}")
        if time.size and not (np.isfinite(time).all() and time.min() >= 0 and time.max() < duration):
            raise StatisticError(
                f"spike_time runs from {time.min()} to {time.max()}", valid=f"0 (included) to {duration} {units}"
            )
        order = np.lexsort((time, neuron * n_samples + sample))
        return cls(time[order], neuron[order], sample[order], n_neurons, n_samples, float(duration), units)

    @classmethod
    def from_dense(cls, spikes: npt.NDArray[Any], *, dt: float, units: str) -> Self:
        """Turn spike counts per interval into events at the starts of the intervals.

        Parameters
        ----------
        spikes : array, shape (sample, time, neuron)
            Non-negative whole numbers (or bool).
        dt : float
            Length of one interval, in `units`.
        units : str

        Raises
        ------
        StatisticError
            For anything but non-negative whole numbers.
        """
        spikes = np.asarray(spikes)
        n_samples, n_steps, n_neurons = spikes.shape
        if n_steps == 0 or not dt > 0:
            raise StatisticError(f"{n_steps} intervals of {dt} {units}", where="spikes", valid="a positive duration")
        # In the order (neuron, sample, time) the events are sorted as they are found.
        by_neuron = np.ascontiguousarray(spikes.transpose(2, 0, 1))
        place = np.flatnonzero(by_neuron)
        count = by_neuron.ravel()[place]
        if count.dtype != bool:
            # NaN counts as non-zero and fails the comparison.
            if not (np.all(count > 0) and np.all(count == np.floor(count))):
                raise StatisticError("spike counts are negative, fractional or not finite", where="spikes")
            if np.any(count > 1):
                place = np.repeat(place, count.astype(np.int64))
        train, step = np.divmod(place, n_steps)
        neuron, sample = np.divmod(train, n_samples)
        return cls(step * float(dt), neuron, sample, n_neurons, n_samples, n_steps * float(dt), units)

    def _table(self, events: npt.NDArray[np.intp] | slice, values: FloatArray | None = None) -> FloatArray:
        """Sum `values` (or count) at some events per (sample, neuron)."""
        cell = self.sample[events] * self.n_neurons + self.neuron[events]
        summed = np.bincount(cell, weights=values, minlength=self.n_samples * self.n_neurons)
        return summed.astype(np.float64).reshape(self.n_samples, self.n_neurons)

    @cached_property
    def counts(self) -> FloatArray:
        """Spikes per (sample, neuron)."""
        return self._table(slice(None))

    @cached_property
    def _intervals(self) -> tuple[npt.NDArray[np.intp], FloatArray]:
        """Events that have a predecessor in the same sample and neuron, and the intervals before them."""
        same = (np.diff(self.neuron) == 0) & (np.diff(self.sample) == 0)
        later = np.flatnonzero(same) + 1
        return later, self.time[later] - self.time[later - 1]

    @cached_property
    def interval_moments(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Number, mean and variance (ddof 0) of the intervals per (sample, neuron); NaN without one."""
        later, isi = self._intervals
        number = self._table(later)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self._table(later, isi) / number
            # About the mean itself, so that a regular train has exactly no variance.
            deviation = isi - mean[self.sample[later], self.neuron[later]]
            return number, mean, self._table(later, deviation**2) / number

    @cached_property
    def corrected_cv(self) -> FloatArray:
        """CV of the intervals per (sample, neuron), freed of the bias of short recordings.

        NaN below three intervals, and where fewer than two are longer than 0: without that one no CV is
        defined, hence no jackknife.

        An interval x begins and ends within the recording only if it begins in the first
        duration - x of it: each counts 1/(duration - x), so that long ones are not missed (Horvitz &
        Thompson 1952, J Am Stat Assoc 47:663).  The bias of a ratio of few values goes by the
        jackknife over intervals (Quenouille 1956, Biometrika 43:353).
        """
        later, isi = self._intervals
        number, plain, _ = self.interval_moments
        place = self.sample[later], self.neuron[later]
        weight = self.duration / (self.duration - isi)
        about = isi - plain[place]
        sums = [self._table(later, part) for part in (weight, weight * about, weight * about**2)]

        def ratio(parts: list[FloatArray], mean: FloatArray) -> FloatArray:
            total, first, second = parts
            centre = first / total
            found: FloatArray = np.sqrt(np.maximum(second / total - centre**2, 0.0)) / (mean + centre)
            return found

        with np.errstate(invalid="ignore", divide="ignore"):
            whole = ratio(sums, plain)
            alone = (weight, weight * about, weight * about**2)
            without = ratio([part[place] - one for part, one in zip(sums, alone, strict=True)], plain[place])
            left_out = self._table(later, without)
            corrected = np.maximum(number * whole - (number - 1) * left_out / number, 0.0)
        return np.where((number >= 3) & (self._table(later[isi > 0]) >= 2), corrected, np.nan)

    @cached_property
    def local_sums(self) -> LocalSums:
        """Sums over pairs of adjacent intervals, per (sample, neuron)."""
        later, isi = self._intervals
        adjacent = np.flatnonzero(np.diff(later) == 1) + 1
        before, after = isi[adjacent - 1], isi[adjacent]
        total = before + after
        # Two spikes in the same interval of a count array: no local variation is defined.
        positive = total > 0
        quotient = (after - before)[positive] / total[positive]
        square = quotient**2
        events = later[adjacent[positive]]
        return LocalSums(
            self._table(events),
            self._table(events, square),
            self._table(events, np.abs(quotient)),
            self._table(events, square / total[positive]),
        )

    def window_sums(self, window: float) -> WindowSums:
        """Take sums over the whole windows of every sample, about each sample's mean.

        A part of a window at the end of a sample is left out.
        """
        if window not in self._windows:
            # The small number keeps a time on a window's edge in its window despite rounding.
            n_windows = int(self.duration / window + 1e-9)
            index = np.floor(self.time / window + 1e-9).astype(np.int64)
            inside = index < n_windows
            cell = (self.neuron[inside] * self.n_samples + self.sample[inside]) * n_windows + index[inside]
            # Events are sorted by neuron, sample and time, so equal cells are neighbours: only
            # windows with spikes are ever held.
            starts = np.flatnonzero(np.diff(cell, prepend=-1))
            count = np.diff(starts, append=cell.size).astype(np.float64)
            owner, when = np.divmod(cell[starts], max(n_windows, 1))
            neuron, sample = np.divmod(owner, self.n_samples)
            flat = sample * self.n_neurons + neuron
            # About its mean, so that the mean count of the neuron itself drops out.
            place = sample * n_windows + when
            everyone = np.bincount(place, weights=count, minlength=self.n_samples * n_windows)
            if n_windows:
                table = everyone.reshape(self.n_samples, n_windows)
                everyone = (table - table.mean(axis=1, keepdims=True)).ravel()
            shape = (self.n_samples, self.n_neurons)
            total, squares, shared = (
                np.bincount(flat, weights=values, minlength=shape[0] * shape[1]).astype(np.float64).reshape(shape)
                for values in (count, count**2, count * everyone[place])
            )
            self._windows[window] = WindowSums(n_windows, total, squares - total**2 / max(n_windows, 1), shared)
        return self._windows[window]

    def binned(self, window: float, neurons: IntArray) -> FloatArray:
        """Count the spikes of some neurons in whole windows, dense, shape (sample, window, neuron)."""
        n_windows = int(self.duration / window + 1e-9)
        place = np.full(self.n_neurons, -1)
        place[neurons] = np.arange(neurons.size)
        column = place[self.neuron]
        index = np.floor(self.time / window + 1e-9).astype(np.int64)
        kept = (column >= 0) & (index < n_windows)
        cell = (self.sample[kept] * n_windows + index[kept]) * neurons.size + column[kept]
        shape = (self.n_samples, n_windows, neurons.size)
        return np.bincount(cell, minlength=shape[0] * shape[1] * shape[2]).astype(np.float64).reshape(shape)

    def population_counts(self, window: float) -> FloatArray:
        """Count the spikes of all neurons together in whole windows, shape (sample, window)."""
        n_windows = int(self.duration / window + 1e-9)
        index = np.floor(self.time / window + 1e-9).astype(np.int64)
        inside = index < n_windows
        counts = np.bincount(self.sample[inside] * n_windows + index[inside], minlength=self.n_samples * n_windows)
        return counts.astype(np.float64).reshape(self.n_samples, n_windows)
