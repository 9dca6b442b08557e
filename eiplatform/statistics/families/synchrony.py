"""How neurons vary together, always at a fixed number of neurons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from eiplatform.errors import NotApplicableError, StatisticError, choose
from eiplatform.statistics import kernels
from eiplatform.statistics.counts import (
    COUNT_WINDOWS,
    COUNTS,
    FIXED_NEURONS,
    MIN_WINDOWS,
    SYNCHRONY_WINDOWS,
    enough_neurons,
    some_neurons,
    windowed,
)
from eiplatform.statistics.declare import OVER_SAMPLES, OVER_TIME, POSITIVE, SHARE, SPIKES, Over, Statistic
from eiplatform.statistics.estimate import Estimate
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.kernels.spill import map_rows
from eiplatform.statistics.kernels.synchrony import SharedSums
from eiplatform.statistics.population import MIN_INTERVALS, Population
from eiplatform.statistics.registry import grid, register
from eiplatform.store.schema import SIGNALS

_GOLOMB = "Golomb & Rinzel 1993, Phys Rev E 48:4810; Golomb 2007, Scholarpedia 2(1):1347"
_WINDOWS = "the windows differ: 1 step in a network, 3 ms in a circuit"


@register
class CountCorrelation(Statistic):
    """Pearson correlation of the spike counts of pairs of neurons.

    Parameters
    ----------
    over : {"time", "sample"}
        ``"time"``: over at least 10 windows per sample, about each sample's own mean, pooled
        over samples.  ``"sample"``: of the count in the whole sample, over at least 30 samples
        (in a network these are different images: shared preferences count).
    per : {"neuron", "pair"}
        Each neuron's mean over its partners, or the correlation of every pair (dims (pair), with coordinates
        ``first`` and ``second`` and attributes ``mean``, ``sd`` and ``sd_independent``, the sd that independent
        neurons would show in as few windows).
    n_neurons : int
        Largest number of neurons; of more, a fixed random draw is taken.
    window : float, optional
        Length of a window, for ``over="time"``: default 10 steps or 50 ms.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.count_correlation().mean()), 3)
    0.039
    """

    name, question, topic = "count_correlation", "correlation of spike counts of pairs", "synchrony"
    phrase, needs, bounds = "the correlation of spike counts", SPIKES, (-1.0, 1.0)
    variants = grid(over=("time", "sample"))
    windows = (COUNT_WINDOWS, MIN_WINDOWS)

    over: Over = "time"
    per: Annotated[Literal["neuron", "pair"], "result"] = "neuron"
    n_neurons: int = FIXED_NEURONS
    window: float | None = None

    @property
    def key(self) -> str:
        return self.name if self.over == "time" else f"{self.name}_samples"

    @property
    def label(self) -> str:
        return f"correlation of spike counts (over {'windows' if self.over == 'time' else 'samples'})"

    @property
    def comparable_reason(self) -> str:
        return COUNTS if self.over == "time" else OVER_SAMPLES

    @property
    def reference(self) -> str:
        cohen = "Cohen & Kohn 2011, Nat Neurosci 14:811"
        return f"{cohen}; Renart et al. 2010, Science 327:587" if self.over == "time" else cohen

    def compute(self, population: Population) -> Estimate:
        counts, neuron, attrs = self._counts(population)
        n = len(neuron)
        pair = kernels.CurrentPair(counts, counts) if self.over == "sample" else None

        def partners(weights: FloatArray) -> FloatArray:
            if pair is not None:
                return kernels.pair_correlation(weights, pair, "cross")
            step = max(1, 2**22 // (n * n))
            blocks = [weights[start : start + step] for start in range(0, len(weights), step)]
            return np.concatenate([kernels.partner_mean(kernels.pair_correlations(part, counts), n) for part in blocks])

        def influence(weights: FloatArray, found: FloatArray) -> FloatArray:
            return kernels.with_received(found, found)  # a pair belongs to two neurons

        return self.result(
            population,
            partners,
            neuron=neuron,
            rule="silent or constant neurons",
            attrs=attrs,
            influence=influence,
            moments=pair is not None,
        )

    def _counts(self, population: Population) -> tuple[FloatArray, npt.NDArray[Any], dict[str, Any]]:
        """Return counts as the pairs' kernel needs them, the neurons, and the choices made."""
        if self.n_neurons < 2:
            raise StatisticError(f"n_neurons is {self.n_neurons}", valid="a whole number of at least 2")
        population.require_every_step(self.phrase)
        everyone = population.spiking_neuron
        if len(everyone) < 2:
            raise NotApplicableError(
                f"{self.phrase} of one neuron", where=population.name or None, valid="at least 2 neurons"
            )
        chosen = some_neurons(len(everyone), self.n_neurons)
        if self.over == "sample":
            if self.window is not None:
                raise StatisticError(f"{self.phrase} over samples counts the whole sample", valid="window=None")
            population.require_samples(self.phrase)
            # Weighted moments about a weighted mean: left to the kernel of pairs over samples.
            counts = map_rows(lambda rows: rows[:, chosen], population.counts)
            text = f"whole sample, {population.duration:g} {population.units}"
        else:
            width = windowed(population, self.phrase, self.window, COUNT_WINDOWS, MIN_WINDOWS)
            counts, text = population.trains.binned(width, chosen), f"{width:g} {population.units}"
        return counts, everyone[chosen], {"window": text, "n_neurons": len(chosen)}

    def special(self, population: Population) -> xr.DataArray | None:
        """Return the correlation of every pair, where pairs were asked for."""
        if self.per == "neuron":
            return None
        counts, neuron, attrs = self._counts(population)
        if self.over == "sample":
            counts = counts[None]
        free = counts.shape[0] * (counts.shape[1] - 1)
        values = kernels.pair_correlations(np.ones((1, counts.shape[0])), counts)[0]
        first, second = (neuron[index] for index in np.triu_indices(len(neuron), 1))
        found = values[np.isfinite(values)]
        attrs |= {
            "long_name": self.label,
            "units": "1",
            "n": found.size,
            "n_excluded": values.size - found.size,
            "exclusion": "a silent or constant neuron",
            "over": self.over,
            "mean": float(found.mean()) if found.size else np.nan,
            "sd": float(found.std()) if found.size else np.nan,
            "sd_independent": 1 / np.sqrt(free),
            "reference": self.reference,
        }
        pairs = {"first": ("pair", first), "second": ("pair", second)}
        return xr.DataArray(values, dims="pair", coords=pairs, name=self.key, attrs=attrs)


@register
class Chi(Statistic):
    """Golomb & Rinzel's synchrony chi at a fixed number of neurons: 1 all alike, 1/sqrt(n) independent.

    Parameters
    ----------
    signal : str
        ``"voltage"``, ``"spikes"`` (counts in windows) or another signal.
    n_neurons : int
        At most the recorded number; the value is the mean over all subsets of this size.
    window : float, optional
        Length of a window, for spikes: default 1 step or 3 ms.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.chi(n_neurons=10)), 3)
    0.59
    """

    name, question, topic = "chi", "synchrony of Golomb and Rinzel", "synchrony"
    over, level, bounds, reference = "time", "population", SHARE, _GOLOMB
    variants = grid(signal=("voltage", "spikes"))

    signal: str = "voltage"
    n_neurons: int = FIXED_NEURONS
    window: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        choose(self.signal, SIGNALS, "signal")

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.signal,)

    @property
    def phrase(self) -> str:
        return f"chi of {self.signal}"

    @property
    def key(self) -> str:
        return "chi_spikes" if self.signal == "spikes" else "chi_voltage"

    @property
    def label(self) -> str:
        words = {"voltage": "the membrane potential", "spikes": "spike counts"}.get(self.signal, self.signal)
        return f"chi of {words} ({self.n_neurons} neurons)"

    @property
    def windows(self) -> tuple[Mapping[str, float], int] | None:
        return (SYNCHRONY_WINDOWS, MIN_INTERVALS) if self.signal == "spikes" else None

    @property
    def least_neurons(self) -> int:
        return self.n_neurons

    @property
    def comparable(self) -> bool:
        return self.signal != "spikes"

    @property
    def in_steps(self) -> bool:
        return self.signal == "spikes"

    @property
    def comparable_reason(self) -> str:
        return _WINDOWS if self.signal == "spikes" else OVER_TIME

    def compute(self, population: Population) -> Estimate:
        attrs: dict[str, Any] = {"signal": self.signal, "n_neurons": self.n_neurons}
        neuron = population.spiking_neuron if self.signal == "spikes" else population.neuron
        if self.signal == "spikes":
            enough_neurons(population, self.phrase, self.n_neurons, len(neuron))
            population.require_every_step(self.phrase)
            width = windowed(population, self.phrase, self.window, SYNCHRONY_WINDOWS, MIN_INTERVALS)
            attrs["window"] = f"{width:g} {population.units}"
            sums = SharedSums.from_trains(population.trains, width)
        else:
            if self.window is not None:
                raise StatisticError("only spikes are counted in windows", valid="window=None, or signal='spikes'")
            enough_neurons(population, self.phrase, self.n_neurons, len(neuron))
            population.require_time(self.phrase, population.n_intervals)
            attrs["interval"] = f"{population.dt:g} {population.units}"
            sums = SharedSums(*population.table(_shared_sums, self.signal))

        def values(weights: FloatArray) -> FloatArray:
            return kernels.chi(weights, sums, self.n_neurons)

        rule = "nothing varies over time"
        return self.result(population, values, neuron=neuron, rule=rule, attrs=attrs, moments=True)


def _shared_sums(values: npt.NDArray[Any]) -> FloatArray:
    """Mean, variance and shared covariance of some samples, shape (3, sample, neuron)."""
    sums = SharedSums.from_signal(values)
    return np.stack([sums.mean, sums.variance, sums.shared])


@register
class Synchrony(Statistic):
    """Variance over mean of the spike count of a fixed number of neurons together.

    Independent Poisson neurons have 1.

    Parameters
    ----------
    n_neurons : int
        At most the recorded number; the value is the mean over all subsets of this size.
    window : float, optional
        Default 1 step or 3 ms; at least 50 in a sample.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.synchrony(n_neurons=10)), 3)
    1.533
    """

    name, question, topic = "synchrony", "variance over mean of population counts", "synchrony"
    phrase, needs, over, level, bounds = "synchrony", SPIKES, "time", "population", POSITIVE
    comparable_reason, in_steps = _WINDOWS, True
    reference = "Potjans & Diesmann 2014, Cereb Cortex 24:785"
    windows = (SYNCHRONY_WINDOWS, MIN_INTERVALS)

    n_neurons: int = FIXED_NEURONS
    window: float | None = None

    @property
    def label(self) -> str:
        return f"variance over mean of population counts ({self.n_neurons} neurons)"

    @property
    def least_neurons(self) -> int:
        return self.n_neurons

    def compute(self, population: Population) -> Estimate:
        enough_neurons(population, self.phrase, self.n_neurons, len(population.spiking_neuron))
        population.require_every_step(self.phrase)
        width = windowed(population, self.phrase, self.window, SYNCHRONY_WINDOWS, MIN_INTERVALS)
        sums = SharedSums.from_trains(population.trains, width)

        def values(weights: FloatArray) -> FloatArray:
            return kernels.count_synchrony(weights, sums, self.n_neurons)

        return self.result(
            population,
            values,
            neuron=population.spiking_neuron,
            rule="no neuron fires",
            attrs={"n_neurons": self.n_neurons, "window": f"{width:g} {population.units}"},
            moments=True,
        )
