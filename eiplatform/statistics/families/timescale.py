"""Memory and rhythm of activity: autocorrelation times, and the spectrum of the population's rate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import xarray as xr

from eiplatform.errors import StatisticError, choose
from eiplatform.statistics import kernels
from eiplatform.statistics.counts import some_neurons, windowed
from eiplatform.statistics.declare import POSITIVE, SPIKES, Statistic, Table
from eiplatform.statistics.estimate import Estimate
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.kernels.timescale import LagSums
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import grid, register
from eiplatform.store.schema import SIGNALS

MAX_LAGS = {"step": 20.0, "ms": 100.0}
"""Default longest lag of autocorrelation times, by the recording's unit of time."""
TIMESCALE_WINDOWS = {"step": 1.0, "ms": 5.0}
"""Default window in which spikes are counted for their autocorrelation time."""
SPECTRUM_WINDOWS = {"step": 1.0, "ms": 1.0}
SEGMENTS = {"step": 128.0, "ms": 512.0}
"""Default length of a segment of the spectrum: its inverse is the resolution."""
_STEPS = "steps against ms: a step is a time only by assumption"
_SPECTRUM = "the spectrum of the population's rate"
_WELCH = "Welch 1967, IEEE Trans Audio 15:70"
_LONGEST = 3  # an integrated time above 1/3 of the longest lag misses 5 % of an exponential or more
_RATIO = 5  # intervals in a sample, over the longest lag
_NEURONS = 1000  # enough for a mean over neurons; more only cost time
_BEYOND_CHANCE = 3.0


@register
class Timescale(Statistic):
    """Autocorrelation time: how long a signal, or the population's spiking, stays alike.

    In steps or ms.  NaN for times above a third of the longest lag (or for spikes, without autocorrelation beyond
    chance).

    Parameters
    ----------
    signal : str
        A signal over time: the integrated autocorrelation time of each neuron.  ``"spikes"``: the
        decay time of the autocovariance of counts, averaged over neurons, without lag 0.
    max_lag : float, optional
        Longest lag: default 20 steps or 100 ms; a sample must be 5 times as long.
    window : float, optional
        In which spikes are counted: default 1 step or 5 ms.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.timescale().mean()), 3)
    0.644
    """

    name, question, topic = "timescale", "how long does activity stay alike?", "memory and rhythm"
    over, bounds, by_time = "time", POSITIVE, {"step": "step", "ms": "ms"}
    comparable_reason = _STEPS
    variants = grid(signal=("voltage", "spikes"))
    windows = (MAX_LAGS, _RATIO)

    signal: str = "voltage"
    max_lag: float | None = None
    window: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        choose(self.signal, SIGNALS, "signal")

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.signal,)

    @property
    def phrase(self) -> str:
        return f"the timescale of {self.signal}"

    @property
    def key(self) -> str:
        return "timescale_spikes" if self.signal == "spikes" else "timescale_voltage"

    @property
    def label(self) -> str:
        if self.signal == "spikes":
            return "decay time of the autocorrelation of spike counts"
        words = "the membrane potential" if self.signal == "voltage" else self.signal
        return f"autocorrelation time of {words}"

    @property
    def level(self) -> str:
        return "population" if self.signal == "spikes" else "neuron"

    @property
    def reference(self) -> str:
        if self.signal == "spikes":
            return "Murray et al. 2014, Nat Neurosci 17:1661"
        return "Sokal 1997, in Functional Integration, 131; Marriott & Pope 1954, Biometrika 41:390"

    def compute(self, population: Population) -> Estimate:
        longest = MAX_LAGS[population.units] if self.max_lag is None else float(self.max_lag)
        if self.signal == "spikes":
            population.require_every_step(self.phrase)
            width = windowed(population, self.phrase, self.window, TIMESCALE_WINDOWS, 1)
        elif self.window is not None:
            raise StatisticError("only spikes are counted in windows", valid="window=None, or signal='spikes'")
        else:
            width = population.dt
        lags = round(longest / width) if math.isfinite(longest) else 0
        if lags < 2:
            raise StatisticError(
                f"the longest lag is {self.max_lag}", valid=f"at least two intervals, {2 * width:g} {population.units}"
            )
        needed = math.ceil(_RATIO * lags * width / population.dt - 1e-9)
        population.require_time(
            f"{self.phrase} with lags up to {longest:g} {population.units}", population.n_intervals, needed
        )
        attrs: dict[str, Any] = {"signal": self.signal, "max_lag": f"{longest:g} {population.units}"}
        if self.signal == "spikes":
            return self._of_spikes(population, width, lags, attrs | {"window": f"{width:g} {population.units}"})
        sums = LagSums.from_signal((sample for (block,) in population.blocks(self.signal) for sample in block), lags)
        time = kernels.integrated_time(np.ones((1, population.n_samples)), sums)[0] * width
        # Decided once, so that draws near the limit do not lose their longest times.
        kept = (time > 0) & (time <= longest / _LONGEST)

        def values(weights: FloatArray) -> FloatArray:
            return np.where(kept, kernels.integrated_time(weights, sums) * width, np.nan)

        rule = f"constant over time, or not between 0 and a third of the longest lag ({longest / _LONGEST:g})"
        return self.result(population, values, rule=rule, attrs=attrs)

    def _of_spikes(self, population: Population, width: float, lags: int, attrs: dict[str, Any]) -> Estimate:
        trains = population.trains
        chosen = some_neurons(trains.n_neurons, _NEURONS)
        if "spikes" in population.data and width == population.dt:
            samples: Iterable[Any] = (sample[:, chosen] for (block,) in population.blocks("spikes") for sample in block)
        else:
            samples = trains.binned(width, chosen)
        sums = LagSums.from_signal(samples, lags)
        first = sums.first
        beyond = first.mean() > _BEYOND_CHANCE * first.std() / math.sqrt(first.size)

        def times(weights: FloatArray) -> FloatArray:
            return kernels.decay_time(weights, sums) * width

        decays = bool(beyond) and bool(0 < times(np.ones((1, population.n_samples))).mean() <= lags * width)

        def values(weights: FloatArray) -> FloatArray:
            time = times(weights)
            return time if decays else np.full_like(time, np.nan)

        return self.result(
            population,
            values,
            neuron=population.spiking_neuron[chosen],
            rule=f"no positive autocorrelation beyond chance ({_BEYOND_CHANCE:g} standard errors), or no decay within "
            "the lags",
            attrs=attrs,
        )


class _Spectrum(NamedTuple):
    """Power of the population's rate by frequency, and what it rests on."""

    frequency: FloatArray
    power: FloatArray  # (sample, frequency)
    mean: FloatArray  # count per window of each sample
    independent: float  # segments
    attrs: dict[str, Any]


def _spectrum(population: Population, window: float | None, segment: float | None) -> _Spectrum:
    population.require_every_step(_SPECTRUM)
    width = windowed(population, _SPECTRUM, window, SPECTRUM_WINDOWS, 1)
    length = SEGMENTS[population.units] if segment is None else float(segment)
    points = round(length / width) if math.isfinite(length) else 0
    if points < 8:
        raise StatisticError(f"the segment is {segment}", valid=f"at least 8 windows, {8 * width:g} {population.units}")
    population.require_time(
        f"{_SPECTRUM} in segments of {length:g} {population.units}",
        population.n_intervals,
        math.ceil(points * width / population.dt - 1e-9),
    )
    counts = population.trains.population_counts(width)
    fs = (1.0 if population.units == "step" else 1000.0) / width
    frequency, power = kernels.population_spectrum(counts, fs, points)
    # Half-overlapping Hann windows share a sixth of their energy (Welch 1967, IEEE Trans Audio 15:70).
    n = (counts.shape[1] - points) // (points - points // 2) + 1
    independent = len(counts) * n / (1 + 2 / 36 * (1 - 1 / n))
    attrs = {"window": f"{width:g} {population.units}", "segment": f"{length:g} {population.units}"}
    one_sided = np.full(frequency.size, 2.0)
    if points % 2 == 0:
        one_sided[-1] = 1.0  # the highest frequency has no mirror image
    return _Spectrum(frequency, power * fs / one_sided, counts.mean(axis=1, keepdims=True), independent, attrs)


@register
class SpectrumPeak(Statistic):
    """Frequency of the highest peak of the population's spectrum, or its height: a row of :func:`power_spectrum`.

    Parameters
    ----------
    measure : {"frequency", "height"}
    """

    name, public, topic = "power_spectrum", False, "memory and rhythm"
    question = "does the population have a rhythm?"
    phrase, needs, over, level, bounds, reference = _SPECTRUM, SPIKES, "time", "population", POSITIVE, _WELCH
    variants = grid(measure=("frequency", "height"))
    windows = (SEGMENTS, 1)

    measure: Annotated[Literal["frequency", "height"], "measure of the peak"]

    @property
    def key(self) -> str:
        return "spectrum_peak" if self.measure == "frequency" else "spectrum_height"

    @property
    def label(self) -> str:
        if self.measure == "frequency":
            return "frequency of the peak of the population's spectrum"
        return "peak of the population's spectrum over its median"

    @property
    def comparable_reason(self) -> str:
        if self.measure == "frequency":
            return _STEPS
        return "grows with the number of neurons and with the length of a segment, which differ"

    @property
    def by_time(self) -> dict[str, str]:
        return {"step": "1/step", "ms": "Hz"} if self.measure == "frequency" else {}

    def compute(self, population: Population) -> Estimate:
        found = _spectrum(population, None, None)

        def values(weights: FloatArray) -> FloatArray:
            power = kernels.weighted_mean(weights, found.power)
            where, height = kernels.spectrum_peak(found.frequency, power, found.independent)
            return (where if self.measure == "frequency" else height)[:, None]

        return self.result(
            population,
            values,
            neuron=np.zeros(1, int),
            rule="no frequency stands out of white noise (1 %), or the lowest or highest does",
            attrs=found.attrs,
            n_pooled=len(population.spiking_neuron),
        )


@register
class PowerSpectrum(Table):
    """Power spectrum of the population's spike count, relative to as many Poisson neurons.

    Parameters
    ----------
    window : float, optional
        In which spikes are counted: default 1 step or 1 ms.
    segment : float, optional
        Length of a segment, whose inverse is the resolution: default 128 steps or 512 ms.

    Returns
    -------
    xarray.Dataset
        ``power`` over ``frequency`` (1/step or Hz), mean over samples, NaN if no neuron fires;
        ``peak`` and ``height`` (over the median), NaN if no frequency stands out of white noise.

    References
    ----------
    Welch 1967, IEEE Trans Audio 15:70.

    Examples
    --------
    >>> from eiplatform.statistics import example_population
    >>> round(float(example_population().ei.power_spectrum(segment=64)["power"].mean()), 3)
    1.693
    """

    name, question, topic = "power_spectrum", "does the population have a rhythm?", "memory and rhythm"
    phrase, needs = _SPECTRUM, SPIKES

    window: float | None = None
    segment: float | None = None

    def compute(self, population: Population) -> xr.Dataset:
        found = _spectrum(population, self.window, self.segment)
        total = found.power.mean(axis=0)
        where, height = kernels.spectrum_peak(found.frequency, total[None], found.independent)
        level = found.mean.mean()
        units = "1/step" if population.units == "step" else "Hz"
        return xr.Dataset(
            {
                "power": ("frequency", total / level if level > 0 else np.full_like(total, np.nan)),
                "peak": ((), where[0], {"units": units}),
                "height": ((), height[0]),
            },
            coords={"frequency": ("frequency", found.frequency, {"units": units})},
            attrs={
                "long_name": "power of the population's spike count over that of Poisson neurons",
                "units": "1",
                "n": len(population.spiking_neuron),
                "n_samples": population.n_samples,
                "independent_segments": found.independent,
                "over": "time",
                **found.attrs,
            },
        )
