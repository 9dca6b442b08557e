"""Kernels of a comparison against scipy, closed forms and their own invariances."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from eiplatform.errors import StatisticError
from eiplatform.statistics.kernels.comparison import equivalence_p, spread, standardised
from eiplatform.statistics.kernels.distance import ATOMS, cliffs_delta, distance, wasserstein
from eiplatform.statistics.kernels.multiple import benjamini_hochberg, holm, mcnemar
from tests.examples import examples
from tests.refusals import refusing

RNG = np.random.default_rng(5)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 7), (13, 400)])
def test_wasserstein_is_that_of_scipy(n: int, m: int) -> None:
    a, b = RNG.gamma(2, size=n), RNG.normal(size=m)
    weights_a, weights_b = RNG.uniform(0.1, 2, n), RNG.integers(1, 5, m)
    assert float(wasserstein(a, b)) == pytest.approx(stats.wasserstein_distance(a, b))
    weighted = stats.wasserstein_distance(a, b, weights_a, weights_b)
    assert float(wasserstein(a, b, weights_a, weights_b)) == pytest.approx(weighted)


def test_wasserstein_of_many_weightings_is_that_of_each() -> None:
    a, b = RNG.normal(size=9), RNG.normal(size=6)
    rows = RNG.integers(0, 4, (5, 9)) + np.eye(5, 9, dtype=int)
    expected = [stats.wasserstein_distance(a, b, row) for row in rows]
    np.testing.assert_allclose(wasserstein(a, b, rows), expected)


def test_wasserstein_closed_forms() -> None:
    a = RNG.normal(size=200)
    assert float(wasserstein(a, a + 1.7)) == pytest.approx(1.7)  # a shift
    assert float(wasserstein(a, 3 * a)) == pytest.approx(2 * np.abs(a).mean())  # a stretch about 0


@examples(40)
@given(
    st.lists(st.floats(-50, 50), min_size=1, max_size=12),
    st.lists(st.floats(-50, 50), min_size=1, max_size=12),
    st.floats(0.1, 9),
)
def test_distances_know_neither_order_nor_unit(a: list[float], b: list[float], factor: float) -> None:
    first, second = np.array(a), np.array(b)
    plain = float(wasserstein(first, second))
    assert float(wasserstein(second, first)) == pytest.approx(plain, abs=1e-9)
    assert float(wasserstein(factor * first[::-1], factor * second)) == pytest.approx(factor * plain, abs=1e-7)
    assert cliffs_delta(first, second) == pytest.approx(-cliffs_delta(second, first), abs=1e-12)
    assert cliffs_delta(2 * first, 2 * second) == cliffs_delta(first, second)


def test_cliffs_delta_is_mann_whitney() -> None:
    a, b = RNG.integers(0, 6, 30).astype(float), RNG.integers(1, 8, 50).astype(float)  # with ties
    u = stats.mannwhitneyu(a, b).statistic
    assert cliffs_delta(a, b) == pytest.approx(2 * u / (30 * 50) - 1)
    counts = np.array([3, 1, 2])
    repeated = np.repeat([0.0, 1.0, 2.0], counts)
    assert cliffs_delta([1.0, 2.0], [0.0, 1.0, 2.0], None, counts) == pytest.approx(cliffs_delta([1.0, 2.0], repeated))


def test_equivalence_is_two_t_tests() -> None:
    a, b, margin = RNG.normal(0.1, 1, 40), RNG.normal(0, 2, 60), 0.8
    below = stats.ttest_ind(a + margin, b, equal_var=False, alternative="greater")
    above = stats.ttest_ind(a - margin, b, equal_var=False, alternative="less")
    error = np.hypot(a.std(ddof=1) / np.sqrt(40), b.std(ddof=1) / np.sqrt(60))
    ours = float(equivalence_p(a.mean() - b.mean(), error, margin, below.df))
    assert ours == pytest.approx(max(below.pvalue, above.pvalue))


def test_false_discovery_control_is_that_of_scipy() -> None:
    p = RNG.uniform(size=(6, 5)) ** 2
    np.testing.assert_allclose(benjamini_hochberg(p).ravel(), stats.false_discovery_control(p.ravel()))
    with_nan = np.where(RNG.uniform(size=p.shape) < 0.3, np.nan, p)
    q = benjamini_hochberg(with_nan)
    np.testing.assert_allclose(
        q[np.isfinite(p) & np.isfinite(q)], stats.false_discovery_control(with_nan[np.isfinite(with_nan)])
    )
    assert np.isnan(q[np.isnan(with_nan)]).all() and benjamini_hochberg([np.nan]).shape == (1,)


def test_holm_is_the_step_down_procedure() -> None:
    p = RNG.uniform(size=7) ** 2
    ours = holm(np.array([*p, np.nan]))
    order = np.argsort(p)
    running, expected = 0.0, np.empty(7)
    for step, place in enumerate(order):  # from the definition: the smallest times 7, the next times 6, ...
        running = max(running, min(1.0, (7 - step) * p[place]))
        expected[place] = running
    np.testing.assert_allclose(ours[:7], expected)
    assert np.isnan(ours[7]) and (ours[:7] >= p).all()


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (1, 9), (12, 3), (30, 30)])
def test_mcnemar_is_the_binomial_test_of_images_that_change(lost: int, gained: int) -> None:
    before = np.array([True] * lost + [False] * gained + [True] * 20 + [False] * 5)
    after = np.array([False] * lost + [True] * gained + [True] * 20 + [False] * 5)
    p, *counts = mcnemar(before, after)
    known = stats.binomtest(lost, lost + gained, 0.5, alternative="greater").pvalue if lost + gained else 1.0
    assert p == pytest.approx(known) and counts == [lost, gained]
    with pytest.raises(StatisticError):
        mcnemar(before, after[1:])


def test_spread_counts_neurons_not_seeds() -> None:
    groups = [RNG.normal(k, 1.5, 4000) for k in (0.0, 40.0)]
    sd, error = spread(groups)
    assert sd == pytest.approx(1.5, rel=0.03) and error == pytest.approx(1 / np.sqrt(2 * 8000), rel=0.1)
    values, counts = np.array([0.0, 1.0, 4.0]), np.array([30, 50, 20])
    assert spread([values], counts)[0] == pytest.approx(np.repeat(values, counts).std())
    assert spread([np.full(50, 0.1)])[0] == 0.0 and np.isnan(spread([np.ones(1)])[0])


def test_effect_size_covers_the_truth() -> None:
    """95 % intervals of Glass's delta cover the true one in 93 to 97 % of cases."""
    rng, true, n, m, trials = np.random.default_rng(0), 0.8, 60, 50, 2000
    z, inside = stats.norm.ppf(0.975), 0
    for _ in range(trials):
        a, b = rng.normal(true, 1, n), rng.normal(0, 1, m)
        half = z * np.hypot(a.std(ddof=1) / np.sqrt(n), b.std(ddof=1) / np.sqrt(m))
        gap = a.mean() - b.mean()
        effect, low, high = standardised(gap, gap - half, gap + half, *spread([b]))
        assert effect == pytest.approx(gap / b.std(ddof=1))
        inside += low <= true <= high
    assert 0.93 <= inside / trials <= 0.97


def test_effect_without_a_spread_is_none() -> None:
    assert np.isnan(standardised(1.0, 0.5, 1.5, 0.0, 0.1)).all()


def test_values_that_may_share_something_get_no_test() -> None:
    """Neurons of one network share its images: without a statement of independence there is no p and no interval."""
    found = distance(RNG.normal(5.0, 1.0, 40), RNG.normal(0.0, 1.0, 40))
    assert found.value > 4 and found.floor > 0 and found.reason
    assert np.isnan([found.p, found.low, found.high]).all()


def test_distance_of_shifted_populations() -> None:
    b = RNG.normal(size=400)
    found = distance(b + 2.0, b, independent=True, n_bootstrap=300)
    assert found.value == pytest.approx(2.0) and found.low < 2 < found.high and found.p == pytest.approx(1 / 301)
    assert found.floor < 0.2


def test_distance_of_a_histogram_is_that_of_its_values() -> None:
    a, values, counts = RNG.normal(2, 1, 80), np.arange(6.0), np.array([4, 9, 20, 8, 3, 1])
    whole = distance(a, np.repeat(values, counts), independent=True, n_bootstrap=200)
    packed = distance(a, values, counts_b=counts, independent=True, n_bootstrap=200)
    assert packed.value == pytest.approx(whole.value)
    assert packed.p == pytest.approx(whole.p, abs=0.03) and packed.floor == pytest.approx(whole.floor, rel=0.15)


def test_floor_is_the_distance_of_two_samples() -> None:
    """The floor from one sample is that of fresh samples from the truth, also when values are grouped."""
    rng = np.random.default_rng(1)
    for n, m in ((30, 60), (50, 4 * ATOMS)):
        floor = distance(rng.normal(size=n), rng.normal(size=m), n_bootstrap=300).floor
        truth = np.mean([float(wasserstein(rng.normal(size=n), rng.normal(size=m))) for _ in range(300)])
        assert floor == pytest.approx(truth, rel=0.25)


def test_halves_of_one_population_differ_by_nothing() -> None:
    """Under the null the permutation test keeps its level, and Benjamini-Hochberg rejects anything in at most 5 %."""
    rng = np.random.default_rng(2)
    p = []
    for _ in range(400):
        values = rng.gamma(2.0, size=40)
        seed = int(rng.integers(2**31))
        p.append(distance(values[:20], values[20:], independent=True, n_bootstrap=299, seed=seed).p)
    found = np.array(p)
    assert stats.binomtest(int((found <= 0.05).sum()), 400, 0.05, alternative="greater").pvalue > 0.001
    assert stats.binomtest(int((found <= 0.5).sum()), 400, 0.5).pvalue > 0.001  # neither too bold nor too shy
    families = np.array([benjamini_hochberg(row).min() <= 0.05 for row in found.reshape(40, 10)])
    assert stats.binomtest(int(families.sum()), 40, 0.05, alternative="greater").pvalue > 0.001


def test_false_discoveries_among_true_ones_stay_at_the_level() -> None:
    rng = np.random.default_rng(3)
    shift = np.where(np.arange(20) < 5, 3.0, 0.0)
    rejected = np.stack([benjamini_hochberg(2 * stats.norm.sf(np.abs(rng.normal(shift)))) <= 0.05 for _ in range(3000)])
    rate = (rejected[:, 5:].sum(axis=1) / np.maximum(rejected.sum(axis=1), 1)).mean()
    assert rate == pytest.approx(0.05 * 15 / 20, abs=0.006)  # exact for independent tests
    assert rejected[:, :5].mean() > 0.5


def test_impossible_distributions_are_refused() -> None:
    with pytest.raises(StatisticError, match="has no values"):
        wasserstein([], [1.0])
    with pytest.raises(StatisticError, match="NaN"):
        wasserstein([np.nan], [1.0])
    with refusing(StatisticError, valid="one weight of at least 0"):
        wasserstein([1.0, 2.0], [1.0], [1.0, -1.0])


def test_example_of_the_guide_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "comparison.md").read_text()
    examples = re.findall(r"```python\n(.*?)```", page, re.S)
    assert examples
    for example in examples:
        exec(compile(example, "docs/comparison.md", "exec"), {})
