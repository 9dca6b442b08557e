"""Balance statistics; written by ``python -m eiplatform.statistics.generate``, not by hand."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, overload

import xarray as xr

from eiplatform.statistics.checks import populations_of
from eiplatform.statistics.declare import Statistic, Table
from eiplatform.statistics.estimate import Estimate
from eiplatform.statistics.example import example_population
from eiplatform.statistics.labelled import per_neuron
from eiplatform.statistics.nulls import SURROGATES, null_from, surrogate
from eiplatform.statistics.population import Population
from eiplatform.statistics.registry import STATISTICS, grid, register, statistic
from eiplatform.statistics.seeds import against_null, summarise_seeds
from eiplatform.statistics.summary import summarise

__all__ = [
    "EIAccessor",
    "Estimate",
    "Population",
    "STATISTICS",
    "SURROGATES",
    "Statistic",
    "Table",
    "against_null",
    "always_on",
    "balance_index",
    "chi",
    "count_correlation",
    "cv2",
    "cv_isi",
    "dead_fraction",
    "driven_above_threshold",
    "ei_correlation",
    "ei_correlation_windows",
    "ei_correlogram",
    "ei_cotuning",
    "ei_lag",
    "ei_ratio",
    "ei_ratio_distribution",
    "example_population",
    "fano_factor",
    "fluctuation_index",
    "gain",
    "gain_distribution",
    "gain_normalisation",
    "gain_slope",
    "grid",
    "imbalance_index",
    "inhibition_split",
    "lv",
    "lvr",
    "mean_to_fluctuation",
    "naka_rushton",
    "null_from",
    "paradoxical_index",
    "participation_ratio",
    "per_neuron",
    "perturbation_response",
    "populations_of",
    "power_spectrum",
    "private_inhibition",
    "rate",
    "rate_distribution",
    "register",
    "residual_variance",
    "saturated_fraction",
    "silent_share",
    "sparseness",
    "statistic",
    "summarise",
    "summarise_seeds",
    "surrogate",
    "synchrony",
    "timescale",
]

@overload
def always_on(
    population: xr.Dataset,
    *,
    measure: Literal["pairs", "spikes"] = "pairs",
) -> xr.DataArray:
    """Share of the samples in which each neuron fires at every step, or of the spikes that come from these."""

@overload
def always_on(
    population: xr.DataTree,
    *,
    measure: Literal["pairs", "spikes"] = "pairs",
) -> xr.DataArray | xr.DataTree: ...
@overload
def balance_index(
    population: xr.Dataset,
) -> xr.DataArray:
    """Balance index beta = <E - I>/<E> of each neuron: 0 balanced, 1 no inhibition."""

@overload
def balance_index(
    population: xr.DataTree,
) -> xr.DataArray | xr.DataTree: ...
@overload
def chi(
    population: xr.Dataset,
    *,
    signal: str = "voltage",
    n_neurons: int = 100,
    window: float | None = None,
) -> xr.DataArray:
    """Golomb & Rinzel's synchrony chi at a fixed number of neurons: 1 all alike, 1/sqrt(n) independent."""

@overload
def chi(
    population: xr.DataTree,
    *,
    signal: str = "voltage",
    n_neurons: int = 100,
    window: float | None = None,
) -> xr.DataArray | xr.DataTree: ...
@overload
def count_correlation(
    population: xr.Dataset,
    *,
    over: Literal["sample", "time"] = "time",
    per: Literal["neuron", "pair"] = "neuron",
    n_neurons: int = 100,
    window: float | None = None,
) -> xr.DataArray:
    """Pearson correlation of the spike counts of pairs of neurons."""

@overload
def count_correlation(
    population: xr.DataTree,
    *,
    over: Literal["sample", "time"] = "time",
    per: Literal["neuron", "pair"] = "neuron",
    n_neurons: int = 100,
    window: float | None = None,
) -> xr.DataArray | xr.DataTree: ...
@overload
def cv2(
    population: xr.Dataset,
    *,
    min_spikes: int = 10,
) -> xr.DataArray:
    """Mean of 2 |a - b|/(a + b) over adjacent inter-spike intervals a, b."""

@overload
def cv2(
    population: xr.DataTree,
    *,
    min_spikes: int = 10,
) -> xr.DataArray | xr.DataTree: ...
@overload
def cv_isi(
    population: xr.Dataset,
    *,
    min_spikes: int = 10,
) -> xr.DataArray:
    """Coefficient of variation of inter-spike intervals (sd with ddof 0 over mean)."""

@overload
def cv_isi(
    population: xr.DataTree,
    *,
    min_spikes: int = 10,
) -> xr.DataArray | xr.DataTree: ...
@overload
def dead_fraction(
    population: xr.Dataset,
) -> xr.DataArray:
    """Whether each neuron is dead (1) or fires at least once in the recording (0); the mean is the share."""

@overload
def dead_fraction(
    population: xr.DataTree,
) -> xr.DataArray | xr.DataTree: ...
@overload
def driven_above_threshold(
    population: xr.Dataset,
) -> xr.DataArray:
    """Share of time in which the free membrane potential of each neuron is at or above threshold."""

@overload
def driven_above_threshold(
    population: xr.DataTree,
) -> xr.DataArray | xr.DataTree: ...
@overload
def ei_correlation(
    population: xr.Dataset,
    *,
    over: Literal["sample", "time", "neuron"] = "sample",
    pairs: Literal["own", "cross", "excess", "partial"] = "own",
) -> xr.DataArray:
    """Pearson correlation of excitation and inhibition: of each neuron, or over the neurons of a sample."""

@overload
def ei_correlation(
    population: xr.DataTree,
    *,
    over: Literal["sample", "time", "neuron"] = "sample",
    pairs: Literal["own", "cross", "excess", "partial"] = "own",
) -> xr.DataArray | xr.DataTree: ...
@overload
def ei_correlation_windows(
    population: xr.Dataset,
    *,
    windows: Sequence[float] | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset:
    """E-I correlation over time as a function of the window of smoothing: tight or loose *in time*."""

@overload
def ei_correlation_windows(
    population: xr.DataTree,
    *,
    windows: Sequence[float] | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset | xr.DataTree: ...
@overload
def ei_correlogram(
    population: xr.Dataset,
    *,
    max_lag: float | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset:
    """Cross-correlogram of excitation and inhibition with the peak of its mean: own, cross, own minus cross."""

@overload
def ei_correlogram(
    population: xr.DataTree,
    *,
    max_lag: float | None = None,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset | xr.DataTree: ...
@overload
def ei_cotuning(
    population: xr.Dataset,
    *,
    pairs: Literal["own", "cross", "excess"] = "own",
) -> xr.DataArray:
    """E-I co-tuning: correlation over classes of a neuron's mean excitation and mean inhibition."""

@overload
def ei_cotuning(
    population: xr.DataTree,
    *,
    pairs: Literal["own", "cross", "excess"] = "own",
) -> xr.DataArray | xr.DataTree: ...
@overload
def ei_lag(
    population: xr.Dataset,
    *,
    measure: Literal["lag", "peak"] = "lag",
    pairs: Literal["own", "excess"] = "own",
    max_lag: float | None = None,
) -> xr.DataArray:
    """Lag of inhibition behind excitation of each neuron, or the height of its correlogram's peak."""

@overload
def ei_lag(
    population: xr.DataTree,
    *,
    measure: Literal["lag", "peak"] = "lag",
    pairs: Literal["own", "excess"] = "own",
    max_lag: float | None = None,
) -> xr.DataArray | xr.DataTree: ...
@overload
def ei_ratio(
    population: xr.Dataset,
) -> xr.DataArray:
    """E/I ratio <E>/<I> of each neuron; averages over samples and time come before the ratio."""

@overload
def ei_ratio(
    population: xr.DataTree,
) -> xr.DataArray | xr.DataTree: ...
@overload
def ei_ratio_distribution(
    population: xr.Dataset,
    *,
    quantiles: Sequence[float] = (0.025, 0.25, 0.5, 0.75, 0.975),
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset:
    """Describe the distribution over neurons of ln(E/I), and how far excitation and inhibition are equalised."""

@overload
def ei_ratio_distribution(
    population: xr.DataTree,
    *,
    quantiles: Sequence[float] = (0.025, 0.25, 0.5, 0.75, 0.975),
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset | xr.DataTree: ...
@overload
def fano_factor(
    population: xr.Dataset,
    *,
    over: Literal["sample", "time"] = "time",
    window: float | None = None,
) -> xr.DataArray:
    """Fano factor: variance (ddof 1) over mean of a neuron's spike count."""

@overload
def fano_factor(
    population: xr.DataTree,
    *,
    over: Literal["sample", "time"] = "time",
    window: float | None = None,
) -> xr.DataArray | xr.DataTree: ...
@overload
def fluctuation_index(
    population: xr.Dataset,
) -> xr.DataArray:
    """Fluctuation index (theta - mu)/sigma of each neuron's free membrane potential."""

@overload
def fluctuation_index(
    population: xr.DataTree,
) -> xr.DataArray | xr.DataTree: ...
@overload
def gain(
    population: xr.Dataset,
    *,
    measure: Literal["mean", "cv"] = "mean",
) -> xr.DataArray:
    """Gain of each neuron: what its net current is multiplied with, or how much that varies."""

@overload
def gain(
    population: xr.DataTree,
    *,
    measure: Literal["mean", "cv"] = "mean",
) -> xr.DataArray | xr.DataTree: ...
@overload
def gain_distribution(
    population: xr.Dataset,
    *,
    quantiles: Sequence[float] = (0.025, 0.25, 0.5, 0.75, 0.975),
) -> xr.Dataset:
    """Describe the gain over all neurons, samples and times, and over each of these axes."""

@overload
def gain_distribution(
    population: xr.DataTree,
    *,
    quantiles: Sequence[float] = (0.025, 0.25, 0.5, 0.75, 0.975),
) -> xr.Dataset | xr.DataTree: ...
@overload
def gain_normalisation(
    population: xr.Dataset,
    *,
    activity: Literal["excitation", "spikes"] = "excitation",
    n_bootstrap: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset:
    """Fit divisive normalisation, gain = G / (1 + P/sigma), P the population's activity in a sample."""

@overload
def gain_normalisation(
    population: xr.DataTree,
    *,
    activity: Literal["excitation", "spikes"] = "excitation",
    n_bootstrap: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset | xr.DataTree: ...
@overload
def gain_slope(
    population: xr.Dataset,
    *,
    activity: Literal["excitation", "spikes"] = "excitation",
) -> xr.DataArray:
    """Slope of ln gain on ln population activity over samples, of each neuron: -1 full normalisation, 0 none."""

@overload
def gain_slope(
    population: xr.DataTree,
    *,
    activity: Literal["excitation", "spikes"] = "excitation",
) -> xr.DataArray | xr.DataTree: ...
@overload
def imbalance_index(
    population: xr.Dataset,
) -> xr.DataArray:
    """Imbalance index IB = <E - I>/<E + I> of each neuron: 0 balanced, 1 no inhibition, -1 no excitation."""

@overload
def imbalance_index(
    population: xr.DataTree,
) -> xr.DataArray | xr.DataTree: ...
def inhibition_split(
    off: xr.Dataset | list[xr.Dataset],
    on: xr.Dataset | list[xr.Dataset],
    *,
    drive: Literal["current_exc", "current_net", "drive"] = "current_exc",
    floor: float = 0.15,
    n_bootstrap: int = 200,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset:
    """Split what inhibition does to each neuron's input-output curve into division and subtraction."""

@overload
def lv(
    population: xr.Dataset,
    *,
    min_spikes: int = 10,
) -> xr.DataArray:
    """Local variation 3 <((a - b)/(a + b))^2> over adjacent inter-spike intervals a, b."""

@overload
def lv(
    population: xr.DataTree,
    *,
    min_spikes: int = 10,
) -> xr.DataArray | xr.DataTree: ...
@overload
def lvr(
    population: xr.Dataset,
    *,
    min_spikes: int = 10,
    refractoriness: float | None = None,
) -> xr.DataArray:
    """Revised local variation 3 <(1 - 4ab/(a + b)^2)(1 + 4R/(a + b))> over adjacent intervals a, b."""

@overload
def lvr(
    population: xr.DataTree,
    *,
    min_spikes: int = 10,
    refractoriness: float | None = None,
) -> xr.DataArray | xr.DataTree: ...
@overload
def mean_to_fluctuation(
    population: xr.Dataset,
    *,
    over: Literal["sample", "time"] = "sample",
    n_inputs: int | None = None,
) -> xr.DataArray:
    """Mean net current over its fluctuation, <E - I> / (sqrt(N) sd(E - I)), of each neuron."""

@overload
def mean_to_fluctuation(
    population: xr.DataTree,
    *,
    over: Literal["sample", "time"] = "sample",
    n_inputs: int | None = None,
) -> xr.DataArray | xr.DataTree: ...
def naka_rushton(
    population: xr.Dataset | list[xr.Dataset],
    *,
    drive: Literal["current_exc", "current_net", "drive"] = "current_exc",
    baseline: bool = False,
) -> xr.Dataset:
    """Fit rate = R x^n / (x^n + c^n) to each neuron's input-output curve."""

@overload
def paradoxical_index(
    control: xr.Dataset,
    perturbed: xr.Dataset | xr.DataTree,
    *,
    change: float,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset:
    """Paradoxical-response index of the population whose drive was changed."""

@overload
def paradoxical_index(
    control: xr.DataTree,
    perturbed: xr.Dataset | xr.DataTree,
    *,
    change: float,
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset | xr.DataTree: ...
@overload
def participation_ratio(
    population: xr.Dataset,
    *,
    over: Literal["sample", "time"] = "time",
    n_neurons: int = 100,
    window: float | None = None,
) -> xr.DataArray:
    """Participation ratio (tr C)^2/tr C^2 of the covariance of spike counts: the number of dimensions."""

@overload
def participation_ratio(
    population: xr.DataTree,
    *,
    over: Literal["sample", "time"] = "time",
    n_neurons: int = 100,
    window: float | None = None,
) -> xr.DataArray | xr.DataTree: ...
@overload
def perturbation_response(
    control: xr.Dataset,
    perturbed: xr.Dataset | xr.DataTree,
    *,
    statistic: str = "rate",
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset:
    """Change of a statistic of one population from a control to a perturbed recording."""

@overload
def perturbation_response(
    control: xr.DataTree,
    perturbed: xr.Dataset | xr.DataTree,
    *,
    statistic: str = "rate",
    n_bootstrap: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> xr.Dataset | xr.DataTree: ...
@overload
def power_spectrum(
    population: xr.Dataset,
    *,
    window: float | None = None,
    segment: float | None = None,
) -> xr.Dataset:
    """Power spectrum of the population's spike count, relative to as many Poisson neurons."""

@overload
def power_spectrum(
    population: xr.DataTree,
    *,
    window: float | None = None,
    segment: float | None = None,
) -> xr.Dataset | xr.DataTree: ...
@overload
def private_inhibition(
    population: xr.Dataset,
) -> xr.DataArray:
    """Share of the variance of each neuron's inhibition that the mean of the other neurons does not explain."""

@overload
def private_inhibition(
    population: xr.DataTree,
) -> xr.DataArray | xr.DataTree: ...
@overload
def rate(
    population: xr.Dataset,
) -> xr.DataArray:
    """Give the firing rate of every neuron: spikes/step in a network, Hz in a circuit."""

@overload
def rate(
    population: xr.DataTree,
) -> xr.DataArray | xr.DataTree: ...
@overload
def rate_distribution(
    population: xr.Dataset,
    *,
    quantiles: Sequence[float] = (0.025, 0.25, 0.5, 0.75, 0.975),
) -> xr.Dataset:
    """Describe the distribution of rates over all neurons, silent ones included."""

@overload
def rate_distribution(
    population: xr.DataTree,
    *,
    quantiles: Sequence[float] = (0.025, 0.25, 0.5, 0.75, 0.975),
) -> xr.Dataset | xr.DataTree: ...
@overload
def residual_variance(
    population: xr.Dataset,
    *,
    over: Literal["sample", "time"] = "time",
    pairs: Literal["own", "cross", "excess"] = "own",
) -> xr.DataArray:
    """Residual variance var(E - I)/(var E + var I) of each neuron: 0 perfect tracking, 1 independent."""

@overload
def residual_variance(
    population: xr.DataTree,
    *,
    over: Literal["sample", "time"] = "time",
    pairs: Literal["own", "cross", "excess"] = "own",
) -> xr.DataArray | xr.DataTree: ...
@overload
def saturated_fraction(
    population: xr.Dataset,
    *,
    share: float = 0.9,
    maximum: float | None = None,
) -> xr.DataArray:
    """Whether each neuron fires at the highest rate (1) or not (0); the mean is the share."""

@overload
def saturated_fraction(
    population: xr.DataTree,
    *,
    share: float = 0.9,
    maximum: float | None = None,
) -> xr.DataArray | xr.DataTree: ...
@overload
def silent_share(
    population: xr.Dataset,
) -> xr.DataArray:
    """Share of the samples in which each neuron does not fire; the mean is the share of silent pairs."""

@overload
def silent_share(
    population: xr.DataTree,
) -> xr.DataArray | xr.DataTree: ...
@overload
def sparseness(
    population: xr.Dataset,
    *,
    kind: Literal["lifetime", "population"] = "lifetime",
) -> xr.DataArray:
    """Treves-Rolls sparseness S = (1 - <r>^2/<r^2>)/(1 - 1/n): 0 dense, 1 sparse."""

@overload
def sparseness(
    population: xr.DataTree,
    *,
    kind: Literal["lifetime", "population"] = "lifetime",
) -> xr.DataArray | xr.DataTree: ...
@overload
def synchrony(
    population: xr.Dataset,
    *,
    n_neurons: int = 100,
    window: float | None = None,
) -> xr.DataArray:
    """Variance over mean of the spike count of a fixed number of neurons together."""

@overload
def synchrony(
    population: xr.DataTree,
    *,
    n_neurons: int = 100,
    window: float | None = None,
) -> xr.DataArray | xr.DataTree: ...
@overload
def timescale(
    population: xr.Dataset,
    *,
    signal: str = "voltage",
    max_lag: float | None = None,
    window: float | None = None,
) -> xr.DataArray:
    """Autocorrelation time: how long a signal, or the population's spiking, stays alike."""

@overload
def timescale(
    population: xr.DataTree,
    *,
    signal: str = "voltage",
    max_lag: float | None = None,
    window: float | None = None,
) -> xr.DataArray | xr.DataTree: ...

class EIAccessor:
    """Statistics of a population, or of every population of a recording, as methods."""

    views: ClassVar[dict[str, str]]

    def __init__(
        self,
        data: xr.Dataset | xr.DataTree,
    ) -> None: ...
    @property
    def plot(self) -> Any:
        """Figures of this recording; of recordings that came through ``eiplatform``."""

    def summary(
        self,
        statistics: str | Iterable[str] | None = None,
        *,
        n_bootstrap: int = 1000,
        seed: int = 0,
        level: float = 0.95,
    ) -> xr.Dataset:
        """All statistics with intervals."""

    def always_on(
        self,
        *,
        measure: Literal["pairs", "spikes"] = "pairs",
    ) -> xr.DataArray:
        """Share of the samples in which each neuron fires at every step, or of the spikes that come from these."""

    def balance_index(
        self,
    ) -> xr.DataArray:
        """Balance index beta = <E - I>/<E> of each neuron: 0 balanced, 1 no inhibition."""

    def chi(
        self,
        *,
        signal: str = "voltage",
        n_neurons: int = 100,
        window: float | None = None,
    ) -> xr.DataArray:
        """Golomb & Rinzel's synchrony chi at a fixed number of neurons: 1 all alike, 1/sqrt(n) independent."""

    def count_correlation(
        self,
        *,
        over: Literal["sample", "time"] = "time",
        per: Literal["neuron", "pair"] = "neuron",
        n_neurons: int = 100,
        window: float | None = None,
    ) -> xr.DataArray:
        """Pearson correlation of the spike counts of pairs of neurons."""

    def cv2(
        self,
        *,
        min_spikes: int = 10,
    ) -> xr.DataArray:
        """Mean of 2 |a - b|/(a + b) over adjacent inter-spike intervals a, b."""

    def cv_isi(
        self,
        *,
        min_spikes: int = 10,
    ) -> xr.DataArray:
        """Coefficient of variation of inter-spike intervals (sd with ddof 0 over mean)."""

    def dead_fraction(
        self,
    ) -> xr.DataArray:
        """Whether each neuron is dead (1) or fires at least once in the recording (0); the mean is the share."""

    def driven_above_threshold(
        self,
    ) -> xr.DataArray:
        """Share of time in which the free membrane potential of each neuron is at or above threshold."""

    def ei_correlation(
        self,
        *,
        over: Literal["sample", "time", "neuron"] = "sample",
        pairs: Literal["own", "cross", "excess", "partial"] = "own",
    ) -> xr.DataArray:
        """Pearson correlation of excitation and inhibition: of each neuron, or over the neurons of a sample."""

    def ei_correlation_windows(
        self,
        *,
        windows: Sequence[float] | None = None,
        n_bootstrap: int = 1000,
        seed: int = 0,
        level: float = 0.95,
    ) -> xr.Dataset:
        """E-I correlation over time as a function of the window of smoothing: tight or loose *in time*."""

    def ei_correlogram(
        self,
        *,
        max_lag: float | None = None,
        n_bootstrap: int = 1000,
        seed: int = 0,
        level: float = 0.95,
    ) -> xr.Dataset:
        """Cross-correlogram of excitation and inhibition with the peak of its mean: own, cross, own minus cross."""

    def ei_cotuning(
        self,
        *,
        pairs: Literal["own", "cross", "excess"] = "own",
    ) -> xr.DataArray:
        """E-I co-tuning: correlation over classes of a neuron's mean excitation and mean inhibition."""

    def ei_lag(
        self,
        *,
        measure: Literal["lag", "peak"] = "lag",
        pairs: Literal["own", "excess"] = "own",
        max_lag: float | None = None,
    ) -> xr.DataArray:
        """Lag of inhibition behind excitation of each neuron, or the height of its correlogram's peak."""

    def ei_ratio(
        self,
    ) -> xr.DataArray:
        """E/I ratio <E>/<I> of each neuron; averages over samples and time come before the ratio."""

    def ei_ratio_distribution(
        self,
        *,
        quantiles: Sequence[float] = (0.025, 0.25, 0.5, 0.75, 0.975),
        n_bootstrap: int = 1000,
        seed: int = 0,
        level: float = 0.95,
    ) -> xr.Dataset:
        """Describe the distribution over neurons of ln(E/I), and how far excitation and inhibition are equalised."""

    def fano_factor(
        self,
        *,
        over: Literal["sample", "time"] = "time",
        window: float | None = None,
    ) -> xr.DataArray:
        """Fano factor: variance (ddof 1) over mean of a neuron's spike count."""

    def fluctuation_index(
        self,
    ) -> xr.DataArray:
        """Fluctuation index (theta - mu)/sigma of each neuron's free membrane potential."""

    def gain(
        self,
        *,
        measure: Literal["mean", "cv"] = "mean",
    ) -> xr.DataArray:
        """Gain of each neuron: what its net current is multiplied with, or how much that varies."""

    def gain_distribution(
        self,
        *,
        quantiles: Sequence[float] = (0.025, 0.25, 0.5, 0.75, 0.975),
    ) -> xr.Dataset:
        """Describe the gain over all neurons, samples and times, and over each of these axes."""

    def gain_normalisation(
        self,
        *,
        activity: Literal["excitation", "spikes"] = "excitation",
        n_bootstrap: int = 200,
        seed: int = 0,
        level: float = 0.95,
    ) -> xr.Dataset:
        """Fit divisive normalisation, gain = G / (1 + P/sigma), P the population's activity in a sample."""

    def gain_slope(
        self,
        *,
        activity: Literal["excitation", "spikes"] = "excitation",
    ) -> xr.DataArray:
        """Slope of ln gain on ln population activity over samples, of each neuron: -1 full normalisation, 0 none."""

    def imbalance_index(
        self,
    ) -> xr.DataArray:
        """Imbalance index IB = <E - I>/<E + I> of each neuron: 0 balanced, 1 no inhibition, -1 no excitation."""

    def inhibition_split(
        self,
        on: xr.Dataset | list[xr.Dataset],
        *,
        drive: Literal["current_exc", "current_net", "drive"] = "current_exc",
        floor: float = 0.15,
        n_bootstrap: int = 200,
        seed: int = 0,
        level: float = 0.95,
    ) -> xr.Dataset:
        """Split what inhibition does to each neuron's input-output curve into division and subtraction."""

    def lv(
        self,
        *,
        min_spikes: int = 10,
    ) -> xr.DataArray:
        """Local variation 3 <((a - b)/(a + b))^2> over adjacent inter-spike intervals a, b."""

    def lvr(
        self,
        *,
        min_spikes: int = 10,
        refractoriness: float | None = None,
    ) -> xr.DataArray:
        """Revised local variation 3 <(1 - 4ab/(a + b)^2)(1 + 4R/(a + b))> over adjacent intervals a, b."""

    def mean_to_fluctuation(
        self,
        *,
        over: Literal["sample", "time"] = "sample",
        n_inputs: int | None = None,
    ) -> xr.DataArray:
        """Mean net current over its fluctuation, <E - I> / (sqrt(N) sd(E - I)), of each neuron."""

    def naka_rushton(
        self,
        *,
        drive: Literal["current_exc", "current_net", "drive"] = "current_exc",
        baseline: bool = False,
    ) -> xr.Dataset:
        """Fit rate = R x^n / (x^n + c^n) to each neuron's input-output curve."""

    def paradoxical_index(
        self,
        perturbed: xr.Dataset | xr.DataTree,
        *,
        change: float,
        n_bootstrap: int = 1000,
        seed: int = 0,
        level: float = 0.95,
    ) -> xr.Dataset:
        """Paradoxical-response index of the population whose drive was changed."""

    def participation_ratio(
        self,
        *,
        over: Literal["sample", "time"] = "time",
        n_neurons: int = 100,
        window: float | None = None,
    ) -> xr.DataArray:
        """Participation ratio (tr C)^2/tr C^2 of the covariance of spike counts: the number of dimensions."""

    def perturbation_response(
        self,
        perturbed: xr.Dataset | xr.DataTree,
        *,
        statistic: str = "rate",
        n_bootstrap: int = 1000,
        seed: int = 0,
        level: float = 0.95,
    ) -> xr.Dataset:
        """Change of a statistic of one population from a control to a perturbed recording."""

    def power_spectrum(
        self,
        *,
        window: float | None = None,
        segment: float | None = None,
    ) -> xr.Dataset:
        """Power spectrum of the population's spike count, relative to as many Poisson neurons."""

    def private_inhibition(
        self,
    ) -> xr.DataArray:
        """Share of the variance of each neuron's inhibition that the mean of the other neurons does not explain."""

    def rate(
        self,
    ) -> xr.DataArray:
        """Give the firing rate of every neuron: spikes/step in a network, Hz in a circuit."""

    def rate_distribution(
        self,
        *,
        quantiles: Sequence[float] = (0.025, 0.25, 0.5, 0.75, 0.975),
    ) -> xr.Dataset:
        """Describe the distribution of rates over all neurons, silent ones included."""

    def residual_variance(
        self,
        *,
        over: Literal["sample", "time"] = "time",
        pairs: Literal["own", "cross", "excess"] = "own",
    ) -> xr.DataArray:
        """Residual variance var(E - I)/(var E + var I) of each neuron: 0 perfect tracking, 1 independent."""

    def saturated_fraction(
        self,
        *,
        share: float = 0.9,
        maximum: float | None = None,
    ) -> xr.DataArray:
        """Whether each neuron fires at the highest rate (1) or not (0); the mean is the share."""

    def silent_share(
        self,
    ) -> xr.DataArray:
        """Share of the samples in which each neuron does not fire; the mean is the share of silent pairs."""

    def sparseness(
        self,
        *,
        kind: Literal["lifetime", "population"] = "lifetime",
    ) -> xr.DataArray:
        """Treves-Rolls sparseness S = (1 - <r>^2/<r^2>)/(1 - 1/n): 0 dense, 1 sparse."""

    def synchrony(
        self,
        *,
        n_neurons: int = 100,
        window: float | None = None,
    ) -> xr.DataArray:
        """Variance over mean of the spike count of a fixed number of neurons together."""

    def timescale(
        self,
        *,
        signal: str = "voltage",
        max_lag: float | None = None,
        window: float | None = None,
    ) -> xr.DataArray:
        """Autocorrelation time: how long a signal, or the population's spiking, stays alike."""
