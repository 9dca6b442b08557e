"""Coverage of intervals over few seeds, and of BCa; what the seed level counts and what it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy import stats

import eiplatform.statistics as ei
from eiplatform.errors import StatisticError, UnknownNameError
from eiplatform.statistics import kernels
from tests.unit.test_statistics_summary import recording

REPEATS = 600  # standard error of a coverage of 95 %: 0.9 %
Units = Sequence[kernels.NeuronValues]


def unit(data: np.ndarray) -> kernels.NeuronValues:
    return kernels.NeuronValues(lambda w: w @ data / w.sum(axis=1, keepdims=True), *data.shape)


def means(rng: np.random.Generator, n_seeds: int, shared: float) -> Units:
    """Seeds of mean 1 that see the same samples, whose effects they share (`shared`) or not."""
    sample = shared * rng.normal(size=(40, 1))
    return [
        unit(1 + 0.3 * rng.normal() + sample + 0.5 * rng.normal(size=(1, 25)) + rng.normal(size=(40, 25)))
        for _ in range(n_seeds)
    ]


def ratios(rng: np.random.Generator, n_seeds: int) -> Units:
    """Seeds whose geometric mean ratio is on average 1; brightness is shared by all neurons of a sample."""
    bright = rng.gamma(4, 0.25, size=(40, 1))
    units = []
    for _ in range(n_seeds):
        neuron = (1 + 0.1 * rng.normal()) * np.exp(0.3 * rng.normal(size=20))
        exc, inh = (bright * rng.gamma(3, size=(40, 20)) for _ in range(2))
        pair = kernels.CurrentPair(neuron * exc, inh)
        units.append(
            kernels.NeuronValues(lambda w, pair=pair: kernels.ei_ratio(*pair.means(w)), 40, 20, geometric=True)
        )
    return units


def correlations(rng: np.random.Generator, n_seeds: int, rho: float = 0.5, spread: float = 0.08) -> Units:
    units = []
    for _ in range(n_seeds):
        own = rho + spread * rng.normal() + rng.uniform(-0.1, 0.1, size=20) * (spread > 0)
        exc = rng.normal(size=(60, 20))
        pair = kernels.CurrentPair(exc, own * exc + np.sqrt(1 - own**2) * rng.normal(size=(60, 20)))
        units.append(kernels.NeuronValues(lambda w, pair=pair: kernels.pair_correlation(w, pair, "own"), 60, 20))
    return units


def skewed(rng: np.random.Generator) -> Units:
    return [unit(rng.exponential(size=(100, 1)) + 0.1 * rng.normal(size=(100, 15)))]


def crossed(rng: np.random.Generator) -> Units:
    return [unit(1 + 0.5 * rng.normal(size=(120, 1)) + 0.5 * rng.normal(size=(1, 80)) + rng.normal(size=(120, 80)))]


def misses(make: Callable[[np.random.Generator], Units], truth: float, method: str) -> tuple[float, float]:
    """Return how often the truth lies below and above the interval."""
    below = above = 0
    for repeat in range(REPEATS):
        units = make(np.random.default_rng(repeat))
        found = kernels.hierarchical_bootstrap(
            units, n_bootstrap=800 if method == "bca" else 200, seed=repeat, method=method
        )
        below += truth < found.low
        above += truth > found.high
    return below / REPEATS, above / REPEATS


CASES = {
    "3 seeds, mean": (lambda rng: means(rng, 3, 0.0), 1.0, "percentile"),
    "5 seeds, mean, same samples": (lambda rng: means(rng, 5, 0.5), 1.0, "percentile"),
    "12 seeds, mean": (lambda rng: means(rng, 12, 0.5), 1.0, "percentile"),
    "5 seeds, ratio": (lambda rng: ratios(rng, 5), 1.0, "percentile"),
    "3 seeds, correlation": (lambda rng: correlations(rng, 3), 0.5, "percentile"),
    "5 seeds, correlation": (lambda rng: correlations(rng, 5), 0.5, "percentile"),
    "one seed, crossed, BCa": (crossed, 1.0, "bca"),
    "one seed, correlation of 0.9, BCa": (lambda rng: correlations(rng, 1, 0.9, 0.0), 0.9, "bca"),
    "one seed, skewed, BCa": (skewed, 1.0, "bca"),
}


@pytest.mark.parametrize("case", CASES)
def test_interval_covers_the_truth_as_often_as_it_says(case: str) -> None:
    below, above = misses(*CASES[case])
    print(f"{case}: {1 - below - above:.3f} ({below:.3f}, {above:.3f})")  # for docs/uncertainty.md: pytest -rP
    assert 0.93 <= 1 - below - above <= 0.97


def test_bca_moves_towards_the_long_tail() -> None:
    percentile, bca = (misses(skewed, 1.0, method) for method in ("percentile", "bca"))
    assert bca[1] < percentile[1] and bca[0] > percentile[0]


def test_bca_of_a_mean_is_the_formula() -> None:
    """z0 and a of Efron (1987) for the mean of one sample: a is a sixth of the skewness of the mean."""
    data = np.random.default_rng(0).exponential(size=(60, 1)) ** 1.5
    percentile, bca = (
        kernels.hierarchical_bootstrap([unit(data)], n_bootstrap=8000, method=m) for m in ("percentile", "bca")
    )
    about = data[:, 0] - data.mean()
    a = (about**3).sum() / (6 * (about**2).sum() ** 1.5)
    z0 = stats.norm.ppf(np.mean(percentile.draws < data.mean()))
    z = z0 + stats.norm.ppf([0.025, 0.975])
    ends = np.quantile(percentile.draws, stats.norm.cdf(z0 + z / (1 - a * z)))
    wider = stats.t.ppf(0.975, 59) / stats.norm.ppf(0.975)
    np.testing.assert_allclose((bca.low, bca.high), data.mean() + wider * (ends - data.mean()), rtol=1e-3)
    assert bca.high > percentile.high and bca.low > percentile.low


def test_statistics_together_are_the_statistics_alone() -> None:
    rng = np.random.default_rng(1)
    units = [unit(rng.normal(size=(30, n))) for n in (5, 9, 5)]
    for method in kernels.METHODS:
        together = kernels.bootstrap_statistics(units, n_bootstrap=50, method=method)
        for one, found in zip(units, together, strict=True):
            alone = kernels.hierarchical_bootstrap([one], n_bootstrap=50, method=method)
            assert (alone.estimate, alone.low, alone.high) == pytest.approx(
                (found.estimate, found.low, found.high), rel=1e-12
            )
    with pytest.raises(StatisticError, match="different samples"):
        kernels.bootstrap_statistics([unit(rng.normal(size=(n, 4))) for n in (3, 4)])


def test_noise_within_seeds_counts_once_and_shared_samples_stay() -> None:
    rng = np.random.default_rng(2)
    draws = rng.normal(size=(8, 40000))  # seeds that differ by nothing but noise of variance 1
    estimates = rng.normal(size=8)
    combined, parts = kernels.combine_seeds(draws + estimates[:, None], 0, estimates=estimates, n_samples=30)
    assert combined.var() == pytest.approx(estimates.var(ddof=1) / 8) and combined.mean() == pytest.approx(
        estimates.mean()
    )
    assert parts[1] == (0.0, 29.0)
    common = 2 * rng.normal(size=40000)
    combined, parts = kernels.combine_seeds(draws + common + estimates[:, None], 0, estimates=estimates, n_samples=30)
    assert parts[1][0] == pytest.approx(4, rel=0.03)
    assert combined.var() == pytest.approx(estimates.var(ddof=1) / 8 + 4, rel=0.03)


def test_three_seeds_without_shared_samples_are_students_t() -> None:
    units = means(np.random.default_rng(3), 3, 0.0)
    values = np.array([one.per_neuron().mean() for one in units])
    found = kernels.hierarchical_bootstrap(units, n_bootstrap=4000)
    low, high = stats.t.interval(0.95, 2, loc=values.mean(), scale=values.std(ddof=1) / np.sqrt(3))
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.05)


def test_the_kind_of_interval_reaches_the_table() -> None:
    tree = recording()
    found = {method: ei.summarise(tree, ["ei_ratio"], n_bootstrap=50, method=method) for method in kernels.METHODS}
    assert found["bca"].attrs["method"] == "bca"
    np.testing.assert_array_equal(found["bca"]["value"], found["percentile"]["value"])
    assert not np.allclose(found["bca"]["low"], found["percentile"]["low"], rtol=1e-6, equal_nan=True)
    with pytest.raises(UnknownNameError, match="did you mean 'bca'"):
        ei.summarise(tree, method="bcs")
