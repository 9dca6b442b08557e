"""Variance over crossed samples and neurons: a neuron's whole influence, few skewed samples, noise of single cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from eiplatform.statistics import STATISTICS, kernels
from eiplatform.statistics.kernels.crossed import crossed_variance, influences
from eiplatform.statistics.kernels.evidence import evidence
from eiplatform.statistics.population import Population
from eiplatform.store.schema import population_dataset

S, N = 42, 30


def currents(rng: np.random.Generator, samples: int = S, neurons: int = N) -> tuple[np.ndarray, np.ndarray]:
    """Log-normal E and I, shape (sample, time, neuron), that share brightness; how much of it is each neuron's own."""
    bright, course = rng.normal(size=(samples, 1, 1)), rng.normal(size=(samples, 50, 1))
    take, give = rng.uniform(0, 1.2, size=(2, neurons))
    exc = take * (bright + course) + 0.5 * rng.normal(size=(samples, 50, neurons)) + 0.2 * rng.normal(size=neurons)
    inh = give * (bright + course) + 0.5 * rng.normal(size=(samples, 50, neurons)) + 0.2 * rng.normal(size=neurons)
    return np.exp(0.4 * exc), np.exp(0.4 * inh)


def population(exc: np.ndarray, inh: np.ndarray) -> Population:
    samples, times, neurons = exc.shape
    return Population(
        population_dataset(
            {"current_exc": exc, "current_inh": inh}, sample=np.arange(samples), time=np.arange(times),
            neuron=np.arange(neurons), dt=1.0, time_units="step", current_units="1", n_neurons=neurons, role="E",
            sample_coords={"label": np.arange(samples) % 6},
        )
    )  # fmt: skip


def unit_of(key: str, exc: np.ndarray, inh: np.ndarray) -> kernels.NeuronValues:
    return STATISTICS[key].estimate(population(exc, inh)).kernel


def influence_of(unit: kernels.NeuronValues) -> np.ndarray:
    row, one = unit.per_neuron(), np.ones((1, unit.n_samples))
    return unit.moved(one, row[None])[0]


def jackknifed(value: Callable[[np.ndarray, np.ndarray], float], exc: np.ndarray, inh: np.ndarray) -> np.ndarray:
    """Pseudo-values of a population's value when single neurons are left out."""
    n = exc.shape[2]
    lacking = np.array([value(np.delete(exc, k, axis=2), np.delete(inh, k, axis=2)) for k in range(n)])
    return value(exc, inh) - (n - 1) * (lacking - lacking.mean())


WITH_OTHERS = [
    *(f"{name}{kind}" for name in ("ei_correlation_samples", "ei_correlation_time") for kind in ("_cross", "_excess")),
    *(f"residual_variance_{over}{kind}" for over in ("samples", "time") for kind in ("_cross", "_excess")),
    *("ei_cotuning_cross", "ei_cotuning_excess"),
    *(f"ei_correlation_neurons{kind}" for kind in ("", "_cross", "_excess")),
]


@pytest.mark.parametrize("key", WITH_OTHERS)
def test_influence_of_a_neuron_is_what_leaving_it_out_does(key: str) -> None:
    exc, inh = currents(np.random.default_rng(0))
    unit = unit_of(key, exc, inh)
    influence = influence_of(unit)
    assert influence.mean() == pytest.approx(unit.per_neuron().mean(), rel=1e-12)
    known = jackknifed(lambda e, i: float(unit_of(key, e, i).per_neuron().mean()), exc, inh)
    assert influence.std() == pytest.approx(known.std(), rel=0.15)
    assert np.corrcoef(influence, known)[0, 1] > 0.99
    if "neurons" not in key and "cross" in key:  # its value alone is not: all others have its inhibition too
        assert unit.per_neuron().std() < 0.91 * influence.std()


def test_two_neurons_with_the_whole_variance_have_an_influence_that_is_finite() -> None:
    exc = np.zeros((4, 20))
    exc[:, 0] = [1.0, 2.0, 3.0, 1.0]
    patterns = kernels.Patterns(exc, exc + np.eye(20)[0])
    for pairs in kernels.RESIDUAL_PAIRS:
        found = patterns.correlation(np.ones((1, 4)), pairs)
        assert np.isfinite(found).all() and found.mean() == pytest.approx(0.0 if pairs == "excess" else 1.0)


@pytest.mark.parametrize("key", ["ei_correlation_samples_cross", "residual_variance_time_cross"])
def test_variance_over_neurons_is_that_of_other_networks_on_the_same_images(key: str) -> None:
    rng = np.random.default_rng(1)
    bright, course = rng.normal(size=(40, 1, 1)), rng.normal(size=(40, 50, 1))

    def network() -> kernels.NeuronValues:
        take, give = rng.uniform(0, 1.2, size=(2, 20))
        exc, inh = (
            np.exp(0.4 * (share * (bright + course) + 0.3 * rng.normal(size=(40, 50, 20)))) for share in (take, give)
        )
        return unit_of(key, exc, inh)

    networks = [network() for _ in range(120)]
    true = np.var([unit.per_neuron().mean() for unit in networks], ddof=1)
    said = [evidence([unit], [True], n_bootstrap=200)[0].variances[1] for unit in networks[:30]]
    assert np.mean(said) == pytest.approx(true, rel=0.35)


def test_the_jackknife_sees_what_resampling_few_skewed_samples_does_not() -> None:
    """Variance of a variance of log-normal values, of which a bootstrap of 30 shows two thirds."""

    def unit(data: np.ndarray) -> kernels.NeuronValues:
        def values(w: np.ndarray) -> np.ndarray:
            w = w / w.sum(axis=1, keepdims=True)
            return np.sqrt(w @ data**2 - (w @ data) ** 2)

        return kernels.NeuronValues(values, 30, 1, moments=True)

    units = [unit(np.exp(0.8 * np.random.default_rng(k).normal(size=(30, 1)))) for k in range(1500)]
    rows = [one.per_neuron() for one in units]
    true = np.var(rows)
    found = np.mean([(one.samples**2).sum() for one in influences(units[:600], rows[:600])]) * 30 / 29
    weights = kernels.resample_counts(np.random.default_rng(0), 200, 30)
    drawn = np.mean([one.values(weights).var() for one in units]) * 30 / 29
    assert drawn < 0.85 * true and drawn < found
    assert found == pytest.approx(true, rel=0.15)
    (plain,) = influences([kernels.NeuronValues(units[0].values, 30, 1)], rows[:1])
    assert plain.samples.size == 0


def test_values_far_out_are_known_with_fewer_degrees_of_freedom() -> None:
    """The variance of n values varies by 2/f of its square: f is n - 1 for normal values, fewer for log-normal ones."""
    rng = np.random.default_rng(2)
    for values, expected in ((rng.normal(size=(400, 60)), 59), (np.exp(0.5 * rng.normal(size=(400, 60))), 30)):
        units = [kernels.NeuronValues(lambda w, v=v: np.repeat(v[None], len(w), axis=0), 3, 60) for v in values]
        found = [one.known([2.0, 59.0])[1] for one in influences(units, list(values))]
        assert max(found) <= 59 and np.mean(found) == pytest.approx(expected, rel=0.15)


def test_noise_that_resampling_multiplies_counts_as_often_as_neurons_show() -> None:
    """Independent values of neurons, which resampled samples scatter twice as much: their mean varies no more."""
    cells = 1.0
    found, _ = crossed_variance([2 * cells, cells, 2 * cells], [1e9, 1e9])
    assert found == pytest.approx(cells, rel=1e-3)
