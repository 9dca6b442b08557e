"""One population of a recording, checked, as the arrays that the kernels take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import xarray as xr

from eiplatform.errors import NotApplicableError, StatisticError, StoreError, TooShortError
from eiplatform.statistics.checks import DIMS, check_population, check_values
from eiplatform.statistics.kernels.moments import CurrentPair, FloatArray
from eiplatform.statistics.kernels.over_time import time_mean, time_sum
from eiplatform.statistics.kernels.spikes import SpikeTrains
from eiplatform.statistics.kernels.spill import empty_table, release
from eiplatform.statistics.trains import TrainBlocks
from eiplatform.store.blocks import row_blocks
from eiplatform.store.chosen import ChosenSpikes, chosen_spikes
from eiplatform.store.events import has_events
from eiplatform.store.schema import SIGNALS

__all__ = [
    "BLOCK_BYTES",
    "KEPT_BYTES",
    "MIN_INTERVALS",
    "MIN_NEURONS",
    "MIN_SAMPLES",
    "Population",
]

MIN_SAMPLES = 30
"""Fewest samples for a statistic over samples."""
MIN_INTERVALS = 50
"""Fewest recorded intervals per sample for a statistic over time."""
MIN_NEURONS = 5
"""Fewest neurons for a statistic over neurons."""

BLOCK_BYTES = 2**23
"""Largest block of one signal, unless one sample is larger."""
KEPT_BYTES = 2**24
"""A signal of at most this size is kept when it was read."""


def _negative(values: npt.NDArray[Any]) -> FloatArray:
    negative: FloatArray = np.less(values.min(axis=1), 0).astype(np.float64)
    return negative


class Population:
    """Checked view of one population's Dataset.

    Recordings may be larger than the memory: signals are read block by block (:meth:`blocks`)
    and reduced to tables of (sample, neuron) (:meth:`table`), which are kept.

    Parameters
    ----------
    data : xarray.Dataset
        As :func:`eiplatform.store.schema.population_dataset` builds it.
    name : str
        For messages, e.g. ``"fc1/E"``.

    Raises
    ------
    StatisticError
        If this is not a population, or has no samples or neurons.

    Examples
    --------
    >>> import numpy as np
    >>> from eiplatform.store.schema import population_dataset
    >>> data = population_dataset(
    ...     {"current_exc": np.ones((2, 4, 3))}, sample=np.arange(2), time=np.arange(4), neuron=np.arange(3),
    ...     dt=1.0, time_units="step", current_units="1", n_neurons=3, role="E")
    >>> Population(data).missing(("current_exc", "gain"))
    ['gain']
    """

    def __init__(self, data: xr.Dataset, name: str = "") -> None:
        check_population(data, name)
        self.data, self.name = data, name
        self.units = str(data.attrs["dt_units"])
        self.dt = float(data.attrs["dt"])
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        self._tables: dict[tuple[Any, ...], FloatArray] = {}

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return int(self.data.sizes["sample"])

    @property
    def signals(self) -> list[str]:
        """Names of the recorded signals; events count as ``spikes``."""
        names = [name for name in SIGNALS if name in self.data]
        if "spikes" not in names and has_events(self.data):
            names.append("spikes")
        return names

    def missing(self, needs: tuple[str, ...]) -> list[str]:
        """Return those of the needed signals that were not recorded."""
        return [name for name in needs if name not in self.signals]

    def require(self, needs: tuple[str, ...], statistic: str) -> None:
        """Raise StatisticError, naming what the population has, unless all signals were recorded."""
        missing = self.missing(needs)
        if missing:
            graded = "spikes" in missing and "activity" in self.signals
            raise StatisticError(
                f"{statistic} needs {', '.join(missing)}, which this population lacks"
                + (" (it is graded: it does not spike)" if graded else ""),
                where=self.name or None,
                valid=f"signals here: {', '.join(self.signals) or 'none'}",
            )

    def _read(self, name: str, rows: slice = slice(None)) -> npt.NDArray[Any]:
        """Read some samples of a signal, shape (sample, time, neuron), and check them."""
        variable = self.data[name]
        if "step" in variable.dims:
            raise StatisticError(
                "recorded at several moments of training",
                where=self.name or None,
                remedy="choose one: tree.isel(step=0), or one recording step-... of the series",
            )
        if variable.size == 0:
            raise StatisticError(f"signal '{name}' is empty: shape {variable.shape}", where=self.name or None)
        if set(variable.dims) != set(DIMS):
            raise StatisticError(
                f"signal '{name}' has the dimensions {variable.dims}", where=self.name or None, valid=DIMS
            )
        values = variable.transpose(*DIMS)[rows].to_numpy()
        check_values(values, name, self.name)
        return values

    def array(self, name: str) -> npt.NDArray[Any]:
        """Return one signal, shape (sample, time, neuron), checked to be finite.

        It is read whole, and kept if it is small: of large recordings take :meth:`blocks`.

        Raises
        ------
        StatisticError
            If the signal has NaN or infinite values, or no values.
        """
        if name in self._arrays:
            return self._arrays[name]
        values = self._read(name)
        if values.nbytes <= KEPT_BYTES:
            self._arrays[name] = values
        return values

    def forget(self, *, tables: bool = True) -> None:
        """Let go of the signals that were kept, and of the tables unless they are still needed.

        Spike trains and tables refer to the population and it to them, so that without this their
        memory stays until Python looks for cycles.
        """
        self._arrays.clear()
        if tables:
            self._tables.clear()
            for name in ("trains", "currents", "counts", "_chosen"):
                self.__dict__.pop(name, None)

    def blocks(self, *names: str) -> Iterator[tuple[npt.NDArray[Any], ...]]:
        """Yield the same samples of some signals, block by block, in the order of the samples.

        Yields
        ------
        tuple of array, shape (samples of the block, time, neuron)
            One per name, checked to be finite.  A block has at most two million values of a
            signal (:data:`BLOCK_BYTES` of float32), unless one sample has more.

        Raises
        ------
        StatisticError
            As :meth:`array`; the number of bad values is that of the block.
        """
        sizes = [(self.n_samples, *(self.data[name].sizes[dim] for dim in DIMS[1:])) for name in names]
        small = all(self.data[name].nbytes <= KEPT_BYTES for name in names)
        for rows in row_blocks(max(sizes), 4, BLOCK_BYTES):
            yield tuple(self.array(name)[rows] if small else self._read(name, rows) for name in names)

    def table(self, function: Callable[..., FloatArray], *names: str) -> FloatArray:
        """Reduce signals to one number per sample and neuron, reading them block by block.

        Parameters
        ----------
        function : callable
            Takes the same samples of every signal, shape (block, time, neuron), and returns
            (block, neuron), or (k, block, neuron) for k tables at once.  A function of a module
            (not a closure): its result is kept for whoever asks for it again.
        *names : str
            Signals.

        Returns
        -------
        array, shape (sample, neuron) or (k, sample, neuron)
            In a temporary file if it is large, see :mod:`eiplatform.statistics.kernels.spill`.

        Examples
        --------
        >>> import numpy as np
        >>> from eiplatform.store.schema import population_dataset
        >>> data = population_dataset(
        ...     {"gain": np.ones((2, 4, 3))}, sample=np.arange(2), time=np.arange(4), neuron=np.arange(3),
        ...     dt=1.0, time_units="step", current_units="1", n_neurons=3, role="E")
        >>> Population(data).table(time_sum, "gain")
        array([[4., 4., 4.],
               [4., 4., 4.]])
        """
        key = (function, *names)
        if key not in self._tables:
            table, start = np.empty(0), 0
            for arrays in self.blocks(*names):
                part = function(*arrays)
                if not start:
                    table = empty_table((*part.shape[:-2], self.n_samples, part.shape[-1]))
                table[..., start : start + part.shape[-2], :] = part
                release(table)
                start += part.shape[-2]
            self._tables[key] = table
        return self._tables[key]

    def time_mean(self, name: str) -> FloatArray:
        """Return a signal averaged over time, shape (sample, neuron), in float64."""
        return self.table(time_mean, name)

    @cached_property
    def currents(self) -> CurrentPair:
        """Time-averaged excitation and inhibition of every sample."""
        return CurrentPair(self.time_mean("current_exc"), self.time_mean("current_inh"))

    @cached_property
    def neuron(self) -> npt.NDArray[Any]:
        """Indices of the recorded neurons."""
        return self.data["neuron"].to_numpy() if "neuron" in self.data.coords else np.arange(self.data.sizes["neuron"])

    @cached_property
    def _chosen(self) -> ChosenSpikes:
        """Spikes of a list of events that belong to the samples, times and neurons that are here."""
        try:
            return chosen_spikes(self.data)
        except StoreError as error:
            raise StatisticError(
                error.what, where=self.name or error.where, valid=error.valid, remedy=error.remedy
            ) from None

    @cached_property
    def counts(self) -> FloatArray:
        """Spikes per (sample, neuron), whatever intervals they fell into."""
        if "spikes" in self.data:
            self.require_counts("counts of spikes")
            return self.table(time_sum, "spikes")
        found = self._chosen
        cells = found.sample * found.n_neurons + found.neuron
        table: FloatArray = np.bincount(cells, minlength=self.n_samples * found.n_neurons).astype(np.float64)
        return table.reshape(self.n_samples, found.n_neurons)

    @cached_property
    def duration(self) -> float:
        """Time per sample that the counts cover, in the recording's unit."""
        return self.data.sizes["time"] * self.dt if "spikes" in self.data else self._chosen.duration

    @cached_property
    def trains(self) -> SpikeTrains:
        """Spikes in time: all neurons from events, else the recorded ones from the count array.

        Raises
        ------
        StatisticError
            If the intervals do not follow one another; :attr:`counts` does not need that.
        """
        self._require_even("the times of spikes")
        if "spikes" in self.data:
            self.require_counts("the times of spikes")
            dense = self.data["spikes"]
            if dense.nbytes > KEPT_BYTES // 8:  # as events with time, neuron and sample they take more
                sizes = (self.n_samples, dense.sizes["neuron"], dense.sizes["time"])
                # It has all that the kernels read.
                return cast(SpikeTrains, TrainBlocks(self.table, self.array, *sizes, self.dt, self.units))
            return SpikeTrains.from_dense(self.array("spikes"), dt=self.dt, units=self.units)
        found = self._chosen
        if not found.gapless:
            raise self._uneven("the times of spikes", "those chosen do not follow one another")
        return SpikeTrains.from_events(
            found.time,
            found.neuron,
            found.sample,
            n_neurons=found.n_neurons,
            n_samples=self.n_samples,
            duration=found.duration,
            units=self.units,
        )

    @cached_property
    def spiking_neuron(self) -> npt.NDArray[Any]:
        """Indices of the neurons that spike statistics cover."""
        if "spikes" in self.data or not self._chosen.everyone:
            return self.neuron
        return np.arange(self._chosen.n_neurons)

    @property
    def recorded(self) -> npt.NDArray[np.int64]:
        """Places of the neurons whose signals are here among those that spike statistics cover."""
        return np.arange(self.data.sizes["neuron"]) if "spikes" in self.data else self._chosen.recorded

    @property
    def n_intervals(self) -> int:
        """Intervals per sample."""
        return int(self.data.sizes["time"])

    def require_samples(self, statistic: str) -> None:
        """Raise TooShortError unless there are enough samples for a statistic over samples."""
        if self.n_samples < MIN_SAMPLES:
            raise TooShortError(
                f"{statistic} over samples: {self.n_samples} samples are too few",
                where=self.name or None,
                valid=f"at least {MIN_SAMPLES} samples",
            )

    def require_time(self, statistic: str, n_intervals: int, needed: int = MIN_INTERVALS) -> None:
        """Raise unless every interval was recorded and there are enough of them.

        Raises
        ------
        TooShortError
            If there are too few.
        StatisticError
            If the time axis has gaps.
        """
        if n_intervals < needed:
            lasting = f" ({needed * self.dt:g} {self.units})"
            raise TooShortError(
                f"{statistic} over time: {n_intervals} recorded {self._interval} per sample are too few",
                where=self.name or None,
                valid=f"at least {needed}" + ("" if self.units == "step" and self.dt == 1 else lasting),
            )
        self._require_even(f"values over time ({statistic})")

    def _require_even(self, what: str) -> None:
        """Raise StatisticError unless the intervals follow one another, as far as the recording can tell."""
        because = ""
        if self.n_intervals > 1 and "time" not in self.data.coords:
            because = "the axis of time has no coordinate, and gaps cannot be seen without one"
        elif self.n_intervals > 1:
            time = self.data["time"].to_numpy()
            if time.dtype.kind not in "iuf" or not np.allclose(np.diff(time), self.dt, rtol=1e-3, atol=0):
                because = "the times here have gaps or another order or distance"
        if because:
            raise self._uneven(what, because)

    def _uneven(self, what: str, because: str) -> StatisticError:
        return StatisticError(
            f"{what} need evenly spaced intervals of {self.dt:g} {self.units}: {because}",
            where=self.name or None,
            valid="the recording as it was made, or a contiguous piece of it",
        )

    @property
    def _interval(self) -> str:
        return "steps" if self.units == "step" else f"intervals of {self.dt:g} {self.units}"

    def require_counts(self, statistic: str) -> None:
        """Raise NotApplicableError if the spikes of steps have signs: those of a neuron cancel in a sum."""
        if self.table(_negative, "spikes").any():
            raise NotApplicableError(
                f"{statistic}: spikes have signs, and those of a neuron cancel",
                where=self.name or None,
                remedy="count them whatever their sign: data.assign(spikes=abs(data['spikes']))",
            )

    def require_every_step(self, statistic: str) -> None:
        """Raise NotApplicableError if a network's spikes were recorded in only some of its steps."""
        if self.units == "step" and self.dt != 1 and "spikes" in self.data:
            raise NotApplicableError(
                f"{statistic}: spikes were recorded every {self.dt:g} steps, those between are unknown",
                where=self.name or None,
                remedy="record every step",
            )
