"""The time scale at which inhibition tracks excitation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from eiplatform.errors import StatisticError, TooShortError
from eiplatform.statistics import kernels
from eiplatform.statistics.counts import in_intervals
from eiplatform.statistics.declare import CURRENTS, Table
from eiplatform.statistics.kernels.bootstrap import hierarchical_bootstrap
from eiplatform.statistics.kernels.crossed import NeuronValues
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import register

WINDOWS = (1, 2, 5, 10, 20, 50, 100, 200)
"""Default windows of smoothing, in intervals."""
MIN_WINDOWS = 10
"""Fewest windows that a sample must hold."""


@register
class EICorrelationWindows(Table):
    """E-I correlation over time as a function of the window of smoothing: tight or loose *in time*.

    Parameters
    ----------
    windows : sequence of float, optional
        Lengths of the moving average, in the recording's unit of time; default: those of 1, 2, 5, 10, 20, 50, 100 and
        200 intervals that fit at least ten times into a sample.
    n_bootstrap, seed, level
        Of the intervals over samples and neurons.

    Returns
    -------
    xarray.Dataset, dims (pairs, window, neuron)
        ``correlation`` (pairs, window, neuron), and over neurons ``value``, ``low``, ``high`` (pairs, window); pairs
        are own, cross and excess (own minus cross).

    References
    ----------
    Deneve & Machens 2016, Nat Neurosci 19:375; Hennequin, Agnes & Vogels 2017, Annu Rev Neurosci 40:557.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> example_population().ei.ei_correlation_windows(n_bootstrap=20)["window"].values.tolist()
    [1.0, 2.0, 5.0, 10.0]
    """

    name, topic = "ei_correlation_windows", "tightness of balance"
    question = "at which time scale does inhibition track excitation?"
    phrase, needs = "the E-I correlation by window", CURRENTS

    windows: Sequence[float] | None = None
    n_bootstrap: int = 1000
    seed: int = 0
    level: float = 0.95

    def compute(self, population: Population) -> xr.Dataset:
        population.require_time(self.phrase, population.n_intervals)
        chosen = self._chosen(population)
        parts = [kernels.moments_over_time(exc, inh, tuple(chosen)) for exc, inh in population.blocks(*CURRENTS)]
        shape = (len(kernels.RESIDUAL_PAIRS), len(chosen))
        numbers = {key: np.empty(shape) for key in ("value", "low", "high")}
        rows = np.empty((*shape, population.data.sizes["neuron"]))
        for index in np.ndindex(shape):
            pairs = kernels.RESIDUAL_PAIRS[index[0]]
            per_sample = np.concatenate([kernels.paired_correlation(part[index[1]], pairs) for part in parts])
            sign = 1 if pairs == "cross" else -1
            of_others = sign * np.concatenate([part[index[1]].received for part in parts])

            def values(weights: FloatArray, table: FloatArray = per_sample) -> FloatArray:
                return kernels.weighted_nanmean(weights, table)

            def influence(weights: FloatArray, found: FloatArray, table: FloatArray = of_others) -> FloatArray:
                return kernels.with_received(found, kernels.weighted_nanmean(weights, table))

            whole = None if pairs == "own" else influence
            kernel = NeuronValues(values, population.n_samples, rows.shape[2], influence=whole)
            rows[index] = kernel.per_neuron()
            found = hierarchical_bootstrap([kernel], n_bootstrap=self.n_bootstrap, seed=self.seed, level=self.level)
            for key, number in zip(numbers, (found.estimate, found.low, found.high), strict=True):
                numbers[key][index] = number
        lengths = xr.Variable("window", np.array(chosen) * population.dt, {"units": population.units})
        return xr.Dataset(
            {
                "correlation": (("pairs", "window", "neuron"), rows),
                **{key: (("pairs", "window"), part) for key, part in numbers.items()},
            },
            coords={"pairs": list(kernels.RESIDUAL_PAIRS), "window": lengths, "neuron": population.neuron},
            attrs={
                "long_name": "E-I correlation over time after smoothing",
                "units": "1",
                "over": "time",
                "n": int(np.isfinite(rows).all(axis=(0, 1)).sum()),
                "n_excluded": int((~np.isfinite(rows)).any(axis=(0, 1)).sum()),
                "exclusion": "excitation or inhibition constant over time in every sample",
                "level": self.level,
            },
        )

    def _chosen(self, population: Population) -> list[int]:
        """Return the windows in intervals, checked."""
        n_time = population.n_intervals
        if self.windows is None:
            return [window for window in WINDOWS if window * MIN_WINDOWS <= n_time]
        chosen = [in_intervals(population, float(window), "a window") for window in self.windows]
        if not chosen or len(set(chosen)) < len(chosen):
            raise StatisticError(f"the windows are {list(self.windows)}", valid="one or more different lengths")
        if max(chosen) * MIN_WINDOWS > n_time:
            raise TooShortError(
                f"{self.phrase}: {n_time} intervals hold fewer than {MIN_WINDOWS} windows of {max(chosen)} intervals",
                where=population.name or None,
                valid=f"windows up to {n_time // MIN_WINDOWS} intervals",
            )
        return chosen
