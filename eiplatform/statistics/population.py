"""One population of a recording, checked, as the arrays that the kernels take."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from eiplatform.errors import StatisticError, TooShortError
from eiplatform.statistics.base.moments import CurrentPair, FloatArray
from eiplatform.statistics.base.spikes import SpikeTrains
from eiplatform.store.schema import EVENTS, SIGNALS

__all__ = ["MIN_INTERVALS", "MIN_SAMPLES", "Population"]

MIN_SAMPLES = 30
"""Fewest samples for a statistic over samples."""
MIN_INTERVALS = 50
"""Fewest recorded intervals per sample for a statistic over time."""

_DIMS = ("sample", "time", "neuron")


class Population:
    """Checked view of one population's Dataset; arrays are read once and kept.

    Parameters
    ----------
    data : xarray.Dataset
        As :func:`eiplatform.store.schema.population_dataset` builds it.
    name : str
        For messages, e.g. ``"fc1/E"``.

    Raises
    ------
    StatisticError
        If this is no population.

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
        if not isinstance(data, xr.Dataset) or not {"role", "n_neurons", "dt", "dt_units"} <= set(data.attrs):
            raise StatisticError(
                "not a population of a recording",
                where=name or None,
                valid="a Dataset of eiplatform.open(path), e.g. tree['fc1/E'].ds",
            )
        absent = [dim for dim in _DIMS if dim not in data.sizes]
        if absent:
            raise StatisticError(
                f"dimension {', '.join(absent)} is missing",
                where=name or None,
                valid=_DIMS,
                remedy="select with a list, e.g. .isel(sample=[0]), which keeps the dimension",
            )
        self.data, self.name = data, name
        self.units = str(data.attrs["dt_units"])
        self.dt = float(data.attrs["dt"])
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        self._means: dict[str, FloatArray] = {}

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return int(self.data.sizes["sample"])

    @property
    def signals(self) -> list[str]:
        """Names of the recorded signals; events count as ``spikes``."""
        names = [name for name in SIGNALS if name in self.data]
        if "spikes" not in names and set(EVENTS) <= set(self.data.variables):
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
                f"{statistic} needs {', '.join(missing)}, which this population has not"
                + (" (it is graded: it does not spike)" if graded else ""),
                where=self.name or None,
                valid=f"signals here: {', '.join(self.signals) or 'none'}",
            )

    def array(self, name: str) -> npt.NDArray[Any]:
        """Return one signal, shape (sample, time, neuron), checked to be finite.

        Raises
        ------
        StatisticError
            If the signal has NaN or infinite values, or no values.
        """
        if name not in self._arrays:
            if "step" in self.data[name].dims:
                raise StatisticError(
                    "recorded at several moments of training",
                    where=self.name or None,
                    remedy="choose one: tree.isel(step=0), or one recording step-... of the series",
                )
            values = self.data[name].transpose(*_DIMS).to_numpy()
            if values.size == 0:
                raise StatisticError(f"signal '{name}' is empty: shape {values.shape}", where=self.name or None)
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                bad = int(np.count_nonzero(~np.isfinite(values)))
                raise StatisticError(
                    f"signal '{name}' has {bad} values that are NaN or infinite (of {values.size})",
                    where=self.name or None,
                    remedy="'eiplatform validate' tells whether the recording is damaged",
                )
            self._arrays[name] = values
        return self._arrays[name]

    def time_mean(self, name: str) -> FloatArray:
        """Return a signal averaged over time, shape (sample, neuron), in float64."""
        if name not in self._means:
            self._means[name] = self.array(name).mean(axis=1, dtype=np.float64)
        return self._means[name]

    @cached_property
    def currents(self) -> CurrentPair:
        """Time-averaged excitation and inhibition of every sample."""
        return CurrentPair(self.time_mean("current_exc"), self.time_mean("current_inh"))

    @cached_property
    def neuron(self) -> npt.NDArray[Any]:
        """Indices of the recorded neurons."""
        return self.data["neuron"].to_numpy() if "neuron" in self.data.coords else np.arange(self.data.sizes["neuron"])

    @cached_property
    def trains(self) -> SpikeTrains:
        """Spikes: all neurons from events, else the recorded ones from the count array."""
        if "spikes" in self.data:
            return SpikeTrains.from_dense(self.array("spikes"), dt=self.dt, units=self.units)
        if "duration" not in self.data.attrs:
            raise StatisticError("spike events without the attribute 'duration'", where=self.name or None)
        events = {name: self.data[name].to_numpy() for name in EVENTS}
        position, kept = self._sample_positions(events["spike_sample"])
        return SpikeTrains.from_events(
            events["spike_time"][kept],
            events["spike_neuron"][kept],
            position,
            n_neurons=int(self.data.attrs["n_neurons"]),
            n_samples=self.n_samples,
            duration=float(self.data.attrs["duration"]),
            units=self.units,
        )

    def _sample_positions(self, spike_sample: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Turn the samples of events into positions on the sample axis; events of unselected samples go."""
        ids = self.data["sample"].to_numpy() if "sample" in self.data.coords else np.arange(self.n_samples)
        order = np.argsort(ids)
        place = np.minimum(np.searchsorted(ids, spike_sample, sorter=order), len(ids) - 1)
        kept = ids[order][place] == spike_sample
        if spike_sample.size and not kept.any():
            raise StatisticError(
                "no spike belongs to any sample of this population",
                where=self.name or None,
                valid=f"spike_sample among the sample coordinate: {ids[:5].tolist()} ...",
            )
        return order[place][kept].astype(np.int64), kept

    @cached_property
    def spiking_neuron(self) -> npt.NDArray[Any]:
        """Indices of the neurons that spike statistics cover."""
        return self.neuron if "spikes" in self.data else np.arange(int(self.data.attrs["n_neurons"]))

    @cached_property
    def n_intervals(self) -> int:
        """Recorded intervals per sample: of the signals, or for events the duration over dt."""
        if "spikes" not in self.data and "duration" in self.data.attrs:
            return int(float(self.data.attrs["duration"]) / self.dt + 1e-9)
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
            raise TooShortError(
                f"{statistic} over time: {n_intervals} recorded {self._interval} per sample are too few",
                where=self.name or None,
                valid=f"at least {needed} ({needed * self.dt:g} {self.units})",
            )
        time = self.data["time"].to_numpy() if "time" in self.data.coords else np.zeros(0)
        if time.size > 1 and not np.allclose(np.diff(time), self.dt, rtol=1e-3):
            raise StatisticError(
                f"{statistic} over time needs evenly spaced intervals of {self.dt:g} {self.units}",
                where=self.name or None,
                valid="the recording as it was made, or a contiguous piece of it",
            )

    @property
    def _interval(self) -> str:
        return "steps" if self.units == "step" else f"intervals of {self.dt:g} {self.units}"

    def require_every_step(self, statistic: str) -> None:
        """Raise StatisticError if a network's spikes were recorded in only some of its steps."""
        if self.units == "step" and self.dt != 1 and "spikes" in self.data:
            raise StatisticError(
                f"{statistic}: spikes were recorded every {self.dt:g} steps, those between are unknown",
                where=self.name or None,
                remedy="record every step",
            )
