"""The hierarchical bootstrap: coverage, determinism, and what it resamples."""

import numpy as np
import pytest
from scipy import stats

from eiplatform.errors import StatisticError
from eiplatform.statistics import kernels
from eiplatform.statistics.kernels import bootstrap


def mean_unit(data, geometric=False):
    return kernels.NeuronValues(lambda w: w @ data / w.sum(axis=1, keepdims=True), *data.shape, geometric)


def crossed(rng, n_samples, n_neurons, sd_sample=0.5, sd_neuron=0.5, sd_cell=1.0):
    return (
        1.0
        + sd_sample * rng.normal(size=(n_samples, 1))
        + sd_neuron * rng.normal(size=(1, n_neurons))
        + sd_cell * rng.normal(size=(n_samples, n_neurons))
    )


def coverage(make, truth, repeats, n_bootstrap=300):
    hits = 0
    for repeat in range(repeats):
        interval = kernels.hierarchical_bootstrap(
            [make(np.random.default_rng(repeat))], n_bootstrap=n_bootstrap, seed=repeat
        )
        hits += interval.low <= truth <= interval.high
    return hits / repeats


def correlated(rng):
    """E and I of neurons with correlations of mean 0.6 and independent noise."""
    rho = 0.6 + rng.uniform(-0.2, 0.2, size=40)
    exc = rng.normal(size=(80, 40))
    pair = kernels.CurrentPair(exc, rho * exc + np.sqrt(1 - rho**2) * rng.normal(size=(80, 40)))
    return kernels.NeuronValues(lambda w: kernels.pair_correlation(w, pair, "own"), 80, 40)


def log_ratio(rng):
    """Ratios of geometric mean 1, with brightness shared by all neurons of a sample."""
    bright, neuron = rng.gamma(4, 0.25, size=(60, 1)), np.exp(0.3 * rng.normal(size=50))
    pair = kernels.CurrentPair(bright * neuron * rng.gamma(2, size=(60, 50)), bright * rng.gamma(2, size=(60, 50)))
    return kernels.NeuronValues(lambda w: kernels.ei_ratio(*pair.means(w)), 60, 50, geometric=True)


@pytest.mark.parametrize(
    ("make", "truth"),
    [
        (lambda rng: mean_unit(crossed(rng, 60, 60)), 1.0),
        (lambda rng: mean_unit(crossed(rng, 200, 30, sd_sample=0.2, sd_cell=2.0)), 1.0),
        (correlated, 0.6),
        (log_ratio, 1.0),
    ],
    ids=["crossed", "noise of cells", "correlation", "ratio"],
)
def test_interval_covers_the_truth_as_often_as_it_says(make, truth):
    # 800 repeats of a 95 % interval: standard error 0.8 %.
    assert 0.93 <= coverage(make, truth, 800) <= 0.97


def test_few_trials_give_a_wide_interval_rather_than_a_false_one():
    make = lambda rng: mean_unit(crossed(rng, 3, 60))  # noqa: E731
    assert coverage(make, 1.0, 400) > 0.88


@pytest.mark.parametrize(("n_samples", "n_neurons"), [(100, 80), (4, 50), (50, 3)])
def test_spread_of_draws_is_the_standard_error(n_samples, n_neurons):
    data = crossed(np.random.default_rng(0), n_samples, n_neurons)
    rows, columns = data.mean(axis=1), data.mean(axis=0)
    cell = (data - rows[:, None] - columns + data.mean()).var(ddof=1) / data.size
    expected = rows.var(ddof=1) / n_samples + columns.var(ddof=1) / n_neurons - cell
    draws = kernels.hierarchical_bootstrap([mean_unit(data)], n_bootstrap=4000).draws
    assert draws.var() == pytest.approx(expected, rel=0.1)
    assert draws.mean() == pytest.approx(data.mean(), rel=1e-12)


def test_same_seed_same_interval_whatever_the_chunk(monkeypatch):
    unit = mean_unit(crossed(np.random.default_rng(1), 31, 17))
    first = kernels.hierarchical_bootstrap([unit], n_bootstrap=101, seed=5)
    assert kernels.hierarchical_bootstrap([unit], n_bootstrap=101, seed=6).low != first.low
    monkeypatch.setattr(bootstrap, "CHUNK", 7 * 31)
    np.testing.assert_allclose(
        kernels.hierarchical_bootstrap([unit], n_bootstrap=101, seed=5).draws, first.draws, rtol=1e-12
    )


def test_counts_are_multinomial():
    counts = kernels.resample_counts(np.random.default_rng(2), 20000, 6)
    np.testing.assert_array_equal(counts.sum(axis=1), 6)
    observed = np.bincount(counts[:, 0].astype(int), minlength=7)
    expected = stats.binom(6, 1 / 6).pmf(np.arange(7)) * 20000
    assert stats.chisquare(observed[:5], expected[:5] * observed[:5].sum() / expected[:5].sum()).pvalue > 1e-3


def test_excluded_neurons_change_nothing():
    data = crossed(np.random.default_rng(3), 50, 20)
    with_dead = np.concatenate([data, np.full((50, 5), np.nan)], axis=1)
    interval = kernels.hierarchical_bootstrap([mean_unit(with_dead)])
    assert interval.estimate == pytest.approx(data.mean(), rel=1e-12)
    alive = kernels.hierarchical_bootstrap([mean_unit(data)])
    assert interval.high - interval.low == pytest.approx(alive.high - alive.low, rel=0.15)
    assert interval.failed == 0


def test_no_neuron_gives_no_number():
    interval = kernels.hierarchical_bootstrap([mean_unit(np.full((4, 3), np.nan))], n_bootstrap=10)
    assert np.isnan([interval.estimate, interval.low, interval.high]).all()


def test_draws_that_are_undefined_give_no_interval_and_are_counted():
    # Defined only if sample 0 was drawn.
    unit = kernels.NeuronValues(lambda w: np.where(w[:, :1] > 0, np.ones((len(w), 4)), np.nan), 3, 4)
    interval = kernels.hierarchical_bootstrap([unit], n_bootstrap=200)
    assert interval.estimate == 1.0 and np.isnan(interval.low)
    assert 0 < interval.failed < 200


def test_geometric_mean_of_a_ratio_and_its_inverse_is_one():
    data = np.array([[2.0, 0.5]])
    assert kernels.hierarchical_bootstrap([mean_unit(data, geometric=True)], n_bootstrap=10).estimate == pytest.approx(
        1.0
    )
    assert kernels.hierarchical_bootstrap([mean_unit(data)], n_bootstrap=10).estimate == pytest.approx(1.25)


def test_seeds_are_resampled_too():
    rng = np.random.default_rng(4)
    effects = rng.normal(size=30)
    units = [mean_unit(effect + 0.01 * crossed(rng, 20, 20)) for effect in effects]
    interval = kernels.hierarchical_bootstrap(units, n_bootstrap=4000)
    assert interval.draws.std() == pytest.approx(effects.std() / np.sqrt(30), rel=0.06)
    same = kernels.hierarchical_bootstrap([units[0]] * 30, n_bootstrap=500)
    assert same.draws.std() < 0.01


@pytest.mark.parametrize(("n_bootstrap", "level"), [(0, 0.95), (10, 0.0), (10, 1.0), (10, 95)])
def test_impossible_options_are_refused(n_bootstrap, level):
    with pytest.raises(StatisticError):
        kernels.hierarchical_bootstrap([mean_unit(np.ones((3, 3)))], n_bootstrap=n_bootstrap, level=level)


def test_interval_of_a_biased_statistic_lies_about_the_value_less_its_bias():
    """The plain variance of n values is too small by 1/n of it, and resampling takes away another 1/n."""
    data = np.random.default_rng(0).normal(size=(10, 1))

    def variance(w):
        mean = w @ data / 10
        return w @ data**2 / 10 - mean**2

    plain, moved = (
        kernels.hierarchical_bootstrap([kernels.NeuronValues(variance, 10, 1, biased=biased)], n_bootstrap=20_000)
        for biased in (False, True)
    )
    assert moved.estimate == plain.estimate == pytest.approx(data.var())
    assert moved.draws.mean() == pytest.approx(1.1 * data.var(), rel=0.01)
    bias = moved.draws.mean() - plain.draws.mean()
    assert np.array([moved.low, moved.high]) - [plain.low, plain.high] == pytest.approx([bias, bias])
    seeds = [kernels.NeuronValues(variance, 10, 1, biased=True)] * 3
    assert kernels.hierarchical_bootstrap(seeds, n_bootstrap=20_000).draws.mean() == pytest.approx(moved.draws.mean())


def test_a_statistic_without_an_interval_has_none_over_seeds_either():
    data = np.random.default_rng(0).normal(size=(10, 4))
    unit = kernels.NeuronValues(lambda w: w @ data / 10, 10, 4, without="too few")
    for units in ([unit], [unit, mean_unit(data)]):
        found = kernels.hierarchical_bootstrap(units, n_bootstrap=50)
        assert found.estimate == pytest.approx(data.mean())
        assert np.isnan([found.low, found.high]).all()
