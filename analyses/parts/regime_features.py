"""Features that place a population among regimes: rate, irregularity and synchrony, alike for steps and ms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import xarray as xr

from eiplatform.errors import StatisticError, StoreError, TooShortError
from eiplatform.reference import CASES, shipped
from eiplatform.statistics import statistic
from eiplatform.statistics.kernels import NeuronValues, hierarchical_bootstrap, weighted_mean
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.statistics.population import MIN_INTERVALS, Population

__all__ = [
    "FAMILIES",
    "FEATURES",
    "Feature",
    "Template",
    "counts_in_windows",
    "features_of_population",
    "features_of_summary",
    "local_variation_of_random_steps",
    "own_fano",
    "shared_variance",
    "templates",
]

FEATURES: dict[str, tuple[str, float]] = {
    "log_rate": ("natural logarithm of the rate in Hz", float(np.log(2))),
    "irregularity": ("LV over that of a random train of the same rate and resolution", 0.15),
    "synchrony": ("signed root of the mean covariance of two neurons' counts, per spike", 0.05),
}
"""Features, what they are, and the tolerance within which two populations count as alike."""

FAMILIES = ("brunel-2000", "potjans-diesmann-2014")
"""Circuits whose states or populations are regimes; the other summaries are not of networks in a steady state."""

MAX_NEURONS = 1000
"""Neurons from which synchrony is taken; its measure does not depend on their number."""


@dataclass(frozen=True)
class Feature:
    """One feature of one population: estimate, bootstrap draws, and why it is missing."""

    value: float
    draws: FloatArray
    note: str = ""

    @property
    def known(self) -> bool:
        """Whether the feature has a value, and in every draw."""
        return bool(np.isfinite(self.value) and np.isfinite(self.draws).all())

    @property
    def why(self) -> str:
        """Why it is not known; empty if it is."""
        if self.known or self.note:
            return self.note
        return f"undefined in {np.count_nonzero(~np.isfinite(self.draws))} of {self.draws.size} draws"


@dataclass(frozen=True)
class Template:
    """What a regime looks like.

    Attributes
    ----------
    family, regime : str
        E.g. ``"brunel-2000"``, ``"C: E"``.
    tau_ms : float
        Membrane constant of the circuit, which sets the length of a network's step.
    summary : xarray.Dataset
        The shipped summary of one population.
    """

    family: str
    regime: str
    tau_ms: float
    summary: xr.Dataset


def local_variation_of_random_steps(p: npt.ArrayLike) -> FloatArray:
    """Return the local variation LV of a train that fires in each step with probability p.

    Intervals are geometric; from their definition LV = 1 - 2 p + 2 (p/q)^2 (-ln p - q), q = 1 - p,
    which is 1 for p -> 0 (a Poisson train) and 0 for p = 1.

    Examples
    --------
    >>> local_variation_of_random_steps([1e-9, 0.2, 1.0]).round(3)
    array([1.   , 0.701, 0.   ])
    """
    p = np.asarray(p, dtype=np.float64)
    inside = (p > 0) & (p < 1)
    safe = np.where(inside, p, 0.5)
    q = 1.0 - safe
    # Near p = 1 the bracket is a difference of nearly equal numbers; it is (q^2/2 + q^3/3 + ...).
    bracket = np.where(q < 1e-3, q**2 / 2 + q**3 / 3, -np.log(safe) - q)
    value = 1.0 - 2.0 * safe + 2.0 * (safe / q) ** 2 * bracket
    return np.where(inside, value, np.where(p <= 0, 1.0, 0.0))


def own_fano(rate_hz: npt.ArrayLike, local_variation: npt.ArrayLike, window_ms: float) -> FloatArray:
    """Return about the Fano factor of one neuron in a window, from its rate and local variation.

    It falls from 1 - r T in short windows to CV^2 in long ones; between them
    CV^2 + (1 - CV^2) exp(-r T / (1 - CV^2)), with CV^2 = 2 LV / (3 - LV) as in a gamma train.

    Examples
    --------
    >>> own_fano(20.0, 1.0, 10.0), own_fano(20.0, 0.5, 1e6).round(3)
    (array(1.), np.float64(0.4))
    """
    variation = np.minimum(np.asarray(local_variation, dtype=np.float64), 1.0)
    cv_squared = 2 * variation / (3 - variation)
    left = 1.0 - cv_squared
    found: FloatArray = cv_squared + left * np.exp(-np.asarray(rate_hz) * window_ms * 1e-3 / np.maximum(left, 1e-12))
    return np.asarray(found)


def shared_variance(counts: npt.NDArray[np.generic]) -> FloatArray:
    """Return each neuron's mean covariance over time with the others, shape (sample, neuron).

    Parameters
    ----------
    counts : array, shape (sample, time, neuron)
        Spikes per window.  The sum over neurons stands for all pairs, so that no matrix is built.
    """
    table = np.asarray(counts, dtype=np.float64)
    centred = table - table.mean(axis=1, keepdims=True)
    together = centred.sum(axis=2, keepdims=True)
    covariance: FloatArray = (centred * (together - centred)).mean(axis=1) / max(table.shape[2] - 1, 1)
    return covariance


def _signed_root(values: npt.ArrayLike) -> FloatArray:
    values = np.asarray(values, dtype=np.float64)
    root: FloatArray = np.sign(values) * np.sqrt(np.abs(values))
    return root


def features_of_population(
    population: Population, *, step_ms: float, window_ms: float, n_bootstrap: int, seed: int
) -> dict[str, Feature]:
    """Measure the features of a recorded population.

    Parameters
    ----------
    population : Population
        Of a network (spikes in steps) or a circuit (events in ms).
    step_ms : float
        Length of a network's step; not used for a circuit.
    window_ms : float
        Window in which a circuit's spikes are counted; a network's window is its step.
    n_bootstrap, seed : int

    Returns
    -------
    dict of str to Feature
        By name; a feature that cannot be computed is NaN with the reason.
    """
    found = {name: Feature(np.nan, np.full(n_bootstrap, np.nan)) for name in FEATURES}
    if population.missing(("spikes",)):
        return {name: Feature(np.nan, feature.draws, "not recorded: spikes") for name, feature in found.items()}
    stepped = population.units == "step"
    to_hz = 1e3 / step_ms if stepped else 1.0
    rate = statistic("rate").estimate(population).kernel

    def draws_of(unit: NeuronValues) -> tuple[float, FloatArray]:
        interval = hierarchical_bootstrap([unit], n_bootstrap=n_bootstrap, seed=seed)
        return interval.estimate, interval.draws

    mean, drawn = draws_of(rate)
    if mean <= 0:
        return {name: Feature(np.nan, feature.draws, "silent") for name, feature in found.items()}
    with np.errstate(invalid="ignore", divide="ignore"):
        found["log_rate"] = Feature(float(np.log(mean * to_hz)), np.log(np.maximum(drawn * to_hz, 1e-12)))
    try:
        variation = statistic("lv").estimate(population).kernel

        def relative(weights: FloatArray) -> FloatArray:
            expected = local_variation_of_random_steps(rate.values(weights)) if stepped else np.float64(1.0)
            with np.errstate(invalid="ignore", divide="ignore"):
                ratio: FloatArray = np.where(expected > 0, variation.values(weights) / expected, np.nan)
            return ratio

        value, drawn = draws_of(NeuronValues(relative, rate.n_samples, rate.n_neurons))
        found["irregularity"] = Feature(
            value, drawn, "" if np.isfinite(value) else "no neuron with enough spikes for LV"
        )
    except TooShortError as error:
        found["irregularity"] = Feature(np.nan, found["irregularity"].draws, f"{error.what}; enough: {error.valid}")
    try:
        counts = counts_in_windows(population, window_ms)
    except TooShortError as error:
        found["synchrony"] = Feature(np.nan, found["synchrony"].draws, f"{error.what}; enough: {error.valid}")
        return found
    shared, level = shared_variance(counts), counts.mean(axis=1)

    def per_spike(weights: FloatArray) -> FloatArray:
        scale = weighted_mean(weights, level).mean(axis=1, keepdims=True)
        ratio: FloatArray = weighted_mean(weights, shared) / np.maximum(scale, 1e-12)
        return ratio

    if counts.shape[2] < 2:
        found["synchrony"] = Feature(np.nan, found["synchrony"].draws, "one neuron has no partner")
    else:
        value, drawn = draws_of(NeuronValues(per_spike, counts.shape[0], counts.shape[2]))
        found["synchrony"] = Feature(float(_signed_root(value)), _signed_root(drawn))
    return found


def counts_in_windows(
    population: Population, window_ms: float, what: str = "synchrony", most: int = MAX_NEURONS
) -> FloatArray:
    """Count spikes per step of a network, or per window of a circuit.

    Parameters
    ----------
    population : Population
    window_ms : float
        Of a circuit; not used for a network.
    what : str
        What the counts are for, in messages.
    most : int
        Neurons counted, the first ones.

    Returns
    -------
    array, shape (sample, window, neuron)

    Raises
    ------
    TooShortError
        With fewer than 50 windows per sample.
    """
    if population.units == "step":
        population.require_every_step(what)
        population.require_time(what, population.n_intervals)
        dense: FloatArray = population.array("spikes")[:, :, :most].astype(np.float64)
        return dense
    windows = int(population.duration / window_ms + 1e-9)
    if windows < MIN_INTERVALS:
        raise TooShortError(
            f"{what}: {windows} windows of {window_ms:.3g} ms are too few",
            where=population.name or None,
            valid=f"at least {MIN_INTERVALS}",
        )
    first = np.arange(min(len(population.spiking_neuron), most))
    return population.trains.binned(window_ms, first)


def features_of_summary(
    summary: xr.Dataset, *, window_ms: float, n_draws: int = 0, rng: np.random.Generator | None = None
) -> dict[str, Feature]:
    """Read the features of one population off its shipped summary.

    The covariance in a window T follows from the spectrum S of the population's rate relative to
    Poisson: var/mean of counts in T is 2 T times the integral of S sinc^2(f T); less that of a
    single neuron (:func:`own_fano`), over N - 1, it is the covariance per spike.

    Parameters
    ----------
    summary : xarray.Dataset
        One population of :func:`eiplatform.reference.shipped`.
    window_ms : float
    n_draws : int
        Draws of one more seed: normal about the mean, with the standard deviation over seeds.
    rng : numpy.random.Generator, optional
    """
    mean, std = (summary.sel(over_seeds=part) for part in ("mean", "std"))
    # A neuron without a partner has no covariance, and a silent population no logarithm of its rate.
    n = float(mean["n_neurons"]) if float(mean["n_neurons"]) > 1 else np.nan

    def drawn(value: float, sd: float) -> FloatArray:
        noise: FloatArray = np.zeros(n_draws) if rng is None else rng.standard_normal(n_draws)
        return value + sd * noise

    rate, variation = float(mean["rate"]), float(mean["lv"])
    rate = rate if rate > 0 else np.nan
    spectrum = summary["spectrum"].sel(over_seeds=["mean", "std"]).values
    frequency = summary["frequency"].values
    weight = np.sinc(frequency * window_ms * 1e-3) ** 2
    weight[0] /= 2  # both signs of the frequency share it
    # Frequencies above those kept count as Poisson: their part of the integral of sinc^2.
    share = 2 * window_ms * 1e-3 * (frequency[1] - frequency[0]) * weight
    fano = 1.0 + float((share * (spectrum[0] - 1.0)).sum())
    covariance = (fano - float(own_fano(rate, variation, window_ms))) / (n - 1)
    error = float(np.sqrt(((share * spectrum[1]) ** 2).sum())) / (n - 1)
    return {
        "log_rate": Feature(float(np.log(rate)), np.log(np.maximum(drawn(rate, float(std["rate"])), 1e-12))),
        "irregularity": Feature(variation, drawn(variation, float(std["lv"]))),
        "synchrony": Feature(float(_signed_root(covariance)), _signed_root(drawn(covariance, error))),
    }


@cache
def templates() -> tuple[tuple[Template, ...], tuple[str, ...]]:
    """Return the regimes of the shipped summaries, and the summaries that are not installed; read once.

    Of a circuit at several scales the largest one counts: the others are its approximations.
    """
    found: list[Template] = []
    read, absent = {}, []
    for name, case in CASES.items():
        if case.circuit in FAMILIES:
            try:
                read[name] = shipped(name)
            except StoreError:
                absent.append(name)
    for name, data in read.items():
        case = CASES[name]
        scales = [_scale(other) for other in read if CASES[other].circuit == case.circuit]
        if _scale(name) < max(scales):
            continue
        tau = float(json.loads(data.attrs["parameters"])["tau_ms"])
        state = case.parameters.get("state")
        percent = name.rsplit("-", 1)[1]
        for population in data["population"].values.astype(str):
            if state is None:
                found.append(Template(case.circuit, f"{percent} %, {population}", tau, data.sel(population=population)))
            elif population == "E":  # Brunel's E and I are statistically identical by construction
                found.append(Template(case.circuit, f"state {state}", tau, data.sel(population=population)))
    if not found:
        raise StatisticError("no shipped summary is installed", remedy="make reference")
    return tuple(found), tuple(absent)


def _scale(name: str) -> float:
    """Return the scale of a case; 1 is the published size."""
    return float(CASES[name].parameters.get("scale", 1.0))


ELSE = ("Poisson", "none")


def place(
    features: dict[str, Feature], regimes: Sequence[dict[str, Feature]]
) -> tuple[FloatArray, FloatArray, list[str]]:
    """Place one population among the regimes of one family.

    Parameters
    ----------
    features : dict of str to Feature
        Of the population.
    regimes : sequence of dict of str to Feature
        Of every regime, with as many draws.

    Returns
    -------
    share : array, shape (regime + 2,)
        Share of draws nearest to each regime, to random spiking, to none; NaN if a feature is
        missing, because fewer features fit more regimes.
    deviation : array, shape (regime + 2,)
        Of the estimate: the largest deviation of a feature, in tolerances; the last is NaN.
    used : list of str
        Features that have a value.
    """
    used = [name for name in FEATURES if features[name].known]
    size = len(regimes) + len(ELSE)
    if len(used) < len(FEATURES):
        return np.full(size, np.nan), np.full(size, np.nan), used
    tolerances = np.array([tolerance for _, tolerance in FEATURES.values()])
    own = np.stack([features[name].draws for name in FEATURES])
    point = np.array([features[name].value for name in FEATURES])
    far, fixed = [], []
    for regime in regimes:
        template = np.stack([regime[name].draws for name in FEATURES])
        centre = np.array([regime[name].value for name in FEATURES])
        far.append(np.max(np.abs(own - template) / tolerances[:, None], axis=0))
        fixed.append(float(np.max(np.abs(point - centre) / tolerances)))
    # Random, independent spikes at any rate: irregularity 1, synchrony 0.
    random = np.array([np.nan, 1.0, 0.0])
    far.append(np.nanmax(np.abs(own - random[:, None]) / tolerances[:, None], axis=0))
    fixed.append(float(np.nanmax(np.abs(point - random) / tolerances)))
    table = np.stack(far)
    nearest = np.where(table.min(axis=0) <= 1.0, table.argmin(axis=0), size - 1)
    return np.bincount(nearest, minlength=size) / nearest.size, np.array([*fixed, np.nan]), used
