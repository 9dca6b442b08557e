"""Estimates from input-output curves, and from two recordings of one population."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from eiplatform.errors import StatisticError, TooShortError, choose
from eiplatform.statistics import kernels
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population

__all__ = ["DRIVES", "input_output", "paired", "rates", "require_points", "split_units"]

DRIVES = ("current_exc", "current_net", "drive")
"""Signals that may be the input of a neuron's input-output curve."""

MIN_POINTS = 10
"""Fewest samples (or conditions) of an input-output curve."""


def rates(population: Population) -> FloatArray:
    """Rate of each recorded neuron in each sample, shape (sample, neuron): spikes per step, or Hz."""
    population.require(("spikes",), "the rate")
    if "spikes" in population.data and population.units == "step":
        return population.time_mean("spikes")
    hertz = 1000.0 if population.units == "ms" else 1.0
    return np.asarray(population.counts[:, population.recorded] / population.duration * hertz)


def input_output(
    recordings: xr.Dataset | Sequence[xr.Dataset], drive: str
) -> tuple[FloatArray, FloatArray, Population]:
    """Input and rate of every neuron, a row per sample, of one recording or of several conditions together.

    Returns
    -------
    drive, rate : array, shape (row, neuron)
    population : Population
        The first.

    Raises
    ------
    StatisticError
        If the recordings are of different neurons, or in different units of time.
    """
    choose(drive, DRIVES, "input of the curve")
    several = [recordings] if isinstance(recordings, xr.Dataset) else list(recordings)
    if not several:
        raise StatisticError("no recording was given", valid="one population, or a list of its conditions")
    populations = [Population(data) for data in several]
    first = populations[0]
    for population in populations:
        population.require((drive,), "the input-output curve")
        if population.units != first.units or not np.array_equal(population.neuron, first.neuron):
            raise StatisticError("the conditions are not of the same recorded neurons in the same unit of time")
    x = np.concatenate([population.time_mean(drive) for population in populations])
    return x, np.concatenate([rates(population) for population in populations]), first


def require_points(statistic: str, count: int, needed: int = MIN_POINTS) -> None:
    """Raise TooShortError unless a curve has enough points."""
    if count < needed:
        raise TooShortError(
            f"{statistic}: {count} samples are too few for a curve", valid=f"at least {needed} samples or conditions"
        )


def paired(first: Population, second: Population) -> None:
    """Raise StatisticError unless two recordings are of the same samples and neurons of one population."""
    for axis in ("sample", "neuron"):
        both = [
            part.data[axis].to_numpy() if axis in part.data.coords else np.arange(part.data.sizes[axis])
            for part in (first, second)
        ]
        if not np.array_equal(both[0], both[1]):
            raise StatisticError(
                f"the two recordings differ in their {axis}s",
                remedy="record both conditions with the same samples (seeds) and neurons",
            )
    for attr in ("role", "n_neurons", "dt_units"):
        if first.data.attrs[attr] != second.data.attrs[attr]:
            raise StatisticError(
                f"the two recordings differ in '{attr}': {first.data.attrs[attr]} and {second.data.attrs[attr]}"
            )


def split_units(
    off: tuple[FloatArray, FloatArray], on: tuple[FloatArray, FloatArray], floor: float, together: bool
) -> dict[str, kernels.Unit]:
    """Gain ratio and threshold shift from one curve to another, as functions of the weights of the rows.

    Parameters
    ----------
    off, on : tuple of array, shape (row, neuron)
        Input and rate.
    floor : float
        Of :class:`~eiplatform.statistics.kernels.RectifiedFit`.
    together : bool
        The rows of both are the same samples: each draw resamples them alike.  Else they are drawn apart.
    """
    curves = [kernels.RectifiedFit(*part, floor=floor) for part in (off, on)]
    n_off, n_on, n_neurons = len(off[0]), len(on[0]), off[0].shape[1]

    def fits(weights: FloatArray) -> list[tuple[FloatArray, FloatArray, FloatArray, FloatArray]]:
        halves = [(row, row) if together else (row[:n_off], row[n_off:]) for row in weights]
        return [(*curves[0].fit(first), *curves[1].fit(second)) for first, second in halves]

    held: dict[bytes, list[tuple[FloatArray, FloatArray, FloatArray, FloatArray]]] = {}

    def once(weights: FloatArray) -> list[tuple[FloatArray, FloatArray, FloatArray, FloatArray]]:
        key = weights.tobytes()  # both measures are asked for the same draws
        if key not in held:
            held[key] = fits(weights)
        return held[key]

    def measure(pick: Callable[..., FloatArray]) -> Callable[[FloatArray], FloatArray]:
        return lambda weights: np.stack([pick(*found) for found in once(weights)])

    rows = n_off if together else n_off + n_on
    return {
        "gain_ratio": kernels.Unit(measure(lambda g0, t0, g1, t1: g1 / g0), rows, n_neurons, True),
        "threshold_shift": kernels.Unit(measure(lambda g0, t0, g1, t1: t1 - t0), rows, n_neurons),
    }
