"""Rates and synchrony of a recording, taken as they were taken in measured cortex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from eiplatform.errors import StatisticError, TooShortError
from eiplatform.statistics.counts import enough_neurons, rate_table
from eiplatform.statistics.kernels import SharedSums, SpikeTrains, count_synchrony
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population

__all__ = ["Cells", "cells_of", "hz_per_spike", "population_fano"]


@dataclass(frozen=True)
class Cells:
    """Rates of the neurons of a population that a recording in cortex would show.

    Attributes
    ----------
    rates : list of array, shape (neuron,)
        In Hz, of those above the floor: one array per realisation.
    n_below_floor : int
    spikes : float
        Spikes of the median neuron, from which its rate is known.
    """

    rates: list[FloatArray]
    n_below_floor: int
    spikes: float

    def draws(self, n_draws: int, seed: int) -> FloatArray:
        """Return median and standard deviation of the natural logarithm, of the data and of draws.

        Realisations are resampled where there are several, then the neurons of each.

        Parameters
        ----------
        n_draws, seed : int

        Returns
        -------
        array, shape (2, 1 + n_draws)
            First the values of the data.
        """
        rng = np.random.default_rng(np.random.SeedSequence([seed, 22]))
        logs = [np.log(part) for part in self.rates]
        found = np.empty((2, 1 + n_draws))
        for draw in range(1 + n_draws):
            taken = [logs[index] for index in rng.integers(len(logs), size=len(logs))] if draw else logs
            values = np.concatenate([rng.choice(part, len(part)) if draw else part for part in taken])
            found[:, draw] = np.exp(np.median(values)), values.std(ddof=1)
        return found


def hz_per_spike(data: xr.Dataset, membrane_ms: float) -> float:
    """Return what turns a rate of a recording into Hz; NaN where a step has no length.

    A step of a network lasts as long as a membrane of `membrane_ms` takes to forget what the network's forgets.

    Parameters
    ----------
    data : xarray.Dataset
        A population.
    membrane_ms : float

    Examples
    --------
    >>> data = xr.Dataset(attrs={"dt_units": "step", "membrane_decay": 0.5})
    >>> round(hz_per_spike(data, 20.0), 1)
    72.1
    """
    if data.attrs["dt_units"] == "ms":
        return 1.0
    decay = float(data.attrs.get("membrane_decay", np.nan))
    return -1e3 / (membrane_ms * float(np.log(decay))) if 0 < decay < 1 else float("nan")


def cells_of(population: Population, floor_hz: float, *, hz: float, apart: bool) -> Cells:
    """Return the rates of the neurons above the floor.

    Parameters
    ----------
    population : Population
    floor_hz : float
    hz : float
        Turns its rate into Hz; where it is not known (NaN), rates stay in spikes per step and only silent
        neurons are left out.
    apart : bool
        Samples are realisations with neurons of their own, not samples of the same neurons.

    Raises
    ------
    TooShortError
        If fewer than ten neurons are above the floor.
    """
    table, _ = rate_table(population, "rate")
    each = list(table) if apart else [table.mean(axis=0)]
    scaled = [part * hz if np.isfinite(hz) else part for part in each]
    floor = floor_hz if np.isfinite(hz) else 0.0
    kept = [part[(part > 0) & (part >= floor)] for part in scaled]
    kept = [part for part in kept if len(part) > 1]
    n = sum(map(len, kept))
    if n < 10:
        raise TooShortError(f"{n} neurons fire at {floor_hz:g} Hz or more", valid="at least 10 neurons")
    counts = population.counts if apart else population.counts.sum(axis=0)
    fires = counts[counts > 0]
    return Cells(kept, sum(map(len, each)) - n, float(np.median(fires)))


def population_fano(
    population: Population, bins_ms: list[float], window_ms: float, n_neurons: int, n_draws: int, seed: int
) -> FloatArray:
    """Return variance over mean of the summed spike counts of some neurons, in windows, at several bin widths.

    The variance is about each window's own mean, with ddof 0, as in the measured data; the average is over all
    subsets of `n_neurons` neurons, and over windows before the division.

    Parameters
    ----------
    population : Population
        With times of spikes in ms.
    bins_ms : list of float
    window_ms : float
    n_neurons, n_draws, seed : int

    Returns
    -------
    array, shape (bin, 1 + n_draws)
        First the values of the data, then those of draws of windows.

    Raises
    ------
    TooShortError
        If the recording is shorter than a window, or has fewer neurons.
    StatisticError
        If it is not in ms.
    """
    if population.units != "ms":
        raise StatisticError("steps of a network are longer than these bins", where=population.name or None)
    enough_neurons(population, "synchrony", n_neurons, population.data.attrs["n_neurons"])
    trains = population.trains
    n_windows = int(trains.duration // window_ms)
    if n_windows < 1:
        raise TooShortError(f"{trains.duration:g} ms are shorter than a window", valid=f"at least {window_ms:g} ms")
    window = (trains.time // window_ms).astype(np.int64)
    held = window < n_windows
    cut = SpikeTrains.from_events(
        trains.time[held] - window[held] * window_ms,
        trains.neuron[held],
        trains.sample[held] * n_windows + window[held],
        n_neurons=trains.n_neurons,
        n_samples=trains.n_samples * n_windows,
        duration=window_ms,
        units="ms",
    )
    rng = np.random.default_rng(np.random.SeedSequence([seed, 23]))
    n = cut.n_samples
    weights = np.vstack([np.ones(n), rng.multinomial(n, [1 / n] * n, n_draws)])
    found = np.empty((len(bins_ms), len(weights)))
    for place, width in enumerate(bins_ms):
        free = int(window_ms // width)
        sums = SharedSums.from_trains(cut, width)
        found[place] = count_synchrony(weights, sums, n_neurons).mean(axis=1) * (free - 1) / free
    return found
