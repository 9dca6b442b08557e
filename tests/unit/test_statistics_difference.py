"""Tests of two sides hold their level whatever the neurons share, and say so where none can."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from eiplatform.analyses.comparison import compare_cell
from eiplatform.analyses.parts.sides import Measured
from eiplatform.statistics import kernels
from eiplatform.statistics.kernels.crossed import crossed_variance
from eiplatform.statistics.kernels.difference import distributions, means
from eiplatform.statistics.kernels.distance import distance
from eiplatform.statistics.kernels.evidence import Group, Seed, evidence

Make = Callable[[np.random.Generator, np.ndarray, float], kernels.NeuronValues]
S, N, DRAWS, B = 30, 25, 160, 99


def correlation(rng: np.random.Generator, bright: np.ndarray, shift: float = 0.0) -> kernels.NeuronValues:
    """E and I that share the brightness of the images: the correlation of every neuron moves with the images drawn."""
    b = np.exp((0.3 + shift) * bright)[:, None]
    exc = b * (5 + 0.5 * rng.normal(size=(1, N))) + 0.6 * rng.normal(size=(len(bright), N))
    inh = b * (4 + 0.3 * rng.normal(size=(1, N))) + 0.6 * rng.normal(size=(len(bright), N))
    pair = kernels.CurrentPair(exc, inh)
    return kernels.NeuronValues(lambda w: kernels.pair_correlation(w, pair, "own"), len(bright), N)


def mean(rng: np.random.Generator, bright: np.ndarray, shift: float = 0.0) -> kernels.NeuronValues:
    data = 1 + shift + bright[:, None] + 0.5 * rng.normal(size=(1, N)) + rng.normal(size=(len(bright), N))
    return kernels.NeuronValues(lambda w: w @ data / w.sum(axis=1, keepdims=True), *data.shape)


def side(make: Make, rng: np.random.Generator, bright: np.ndarray, n: int = 1, stream: int = 0, spread: float = 0.05):
    """Return a side of `n` networks that saw the same images."""
    shifts = spread * rng.normal(size=n) if n > 1 else [0.0]
    options = {"alone": n == 1, "n_bootstrap": B, "seed": 1}
    seeds = [
        evidence([make(rng, bright, float(shift))], [True], stream=1000 * stream + k, **options)[0]
        for k, shift in enumerate(shifts)
    ]
    return Group.of("network", seeds)


def rates(make: Make, n: int, same: bool, told: bool | None = None, draws: int = DRAWS) -> tuple[float, float, float]:
    """How often p < .05 of means, of distributions, and of neurons permuted as if they were independent."""
    found = []
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        images = rng.normal(size=S)
        mine, other = (side(make, rng, images if same else rng.normal(size=S), n, k) for k in range(2))
        same_samples = same if told is None else told
        apart = distributions(mine, other, 0.0, same_samples=same_samples, seed=draw).p
        neurons = distance(*(g.seeds[0].quantiles for g in (mine, other)), independent=True, n_bootstrap=B, seed=draw).p
        found.append([means(mine, other, same_samples=same_samples).p < 0.05, apart < 0.05, neurons < 0.05])
    return tuple(np.mean(found, axis=0).tolist())


def at_the_level(rate: float, draws: int = DRAWS) -> bool:
    """Return whether a rate is no higher than 5 % may show in so many draws (0.1 %)."""
    return stats.binom.sf(round(rate * draws) - 1, draws, 0.05) > 0.001


@pytest.mark.parametrize("make", [correlation, mean])
def test_other_images_are_no_difference_of_networks(make: Make) -> None:
    by_mean, by_distribution, by_neurons = rates(make, 1, same=False)
    assert at_the_level(by_mean) and at_the_level(by_distribution)
    assert by_neurons > 0.3  # permuting neurons finds what is not there


@pytest.mark.parametrize("make", [correlation, mean])
def test_same_images_are_no_difference_of_networks(make: Make) -> None:
    by_mean, by_distribution, _ = rates(make, 1, same=True)
    assert at_the_level(by_mean) and at_the_level(by_distribution)
    assert by_mean + by_distribution > 0.01  # and the tests do reject at times


def test_seeds_that_share_their_images_are_not_independent_of_them() -> None:
    by_mean, by_distribution, _ = rates(mean, 4, same=False, draws=80)
    assert at_the_level(by_mean, 80) and at_the_level(by_distribution, 80)
    wrong, *_ = rates(mean, 4, same=False, told=True, draws=30)  # as if both sides had seen the same images
    assert wrong > 0.3


def test_a_difference_on_the_same_images_is_found() -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=S)
    mine = side(lambda r, b, s: mean(r, b, 0.7), rng, images)
    other = side(mean, rng, images, stream=1)
    together, apart = (means(mine, other, same_samples=same) for same in (True, False))
    assert together.p < 0.001 and distributions(mine, other, 0.0, same_samples=True).p < 0.05
    assert apart.error > 1.3 * together.error  # what both owe to the images drops out
    low, high = together.interval(0.95)
    half = stats.t.ppf(0.975, together.freedom) * together.error
    assert (low, high) == pytest.approx((together.value - half, together.value + half))


def given(*values: float, kind: str = "network", quantiles: bool = False) -> Group:
    seeds = [Seed(v, 2, 3, np.zeros(4), quantiles=np.full(50, v) if quantiles else np.zeros(0)) for v in values]
    return Group.of(kind, seeds)


def test_seeds_on_the_same_images_are_welchs_test() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=5), rng.normal(1, 3, size=4)
    found, known = means(given(*a), given(*b), same_samples=True), stats.ttest_ind(a, b, equal_var=False)
    assert found.p == pytest.approx(known.pvalue) and found.freedom == pytest.approx(known.df)
    assert found.interval(0.9) == pytest.approx(tuple(known.confidence_interval(0.9)))
    one = means(given(2.0), given(*b), same_samples=True)
    z = (2.0 - b.mean()) / (b.std(ddof=1) * np.sqrt(1 + 1 / 4))
    assert one.p == pytest.approx(2 * stats.t.sf(abs(z), 3))
    back = means(given(*b), given(2.0), same_samples=True)
    assert back.p == pytest.approx(one.p) and back.value == -one.value


def test_seeds_are_permuted_as_a_whole() -> None:
    """Neurons of a seed that all have one value: the distance of distributions is that of means."""
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=5), rng.normal(1, 1, size=5)
    found = distributions(given(*a, quantiles=True), given(*b, quantiles=True), 0.0, same_samples=True)
    known = stats.permutation_test(
        (a, b), lambda x, y: abs(np.mean(x) - np.mean(y)), alternative="greater", permutation_type="independent"
    )
    assert found.p == pytest.approx(known.pvalue) and found.smallest == pytest.approx(2 / 252)
    few = distributions(given(0.0, quantiles=True), given(5.0, 6.0, 7.0, quantiles=True), 0.0, same_samples=True)
    assert few.p == few.smallest == 0.25


@pytest.mark.parametrize(
    ("mine", "other"),
    [
        (given(1.0, 2.0), given(0.0, kind="circuit")),  # neurons of one realisation share its fluctuations
        (given(1.0), given(0.0, kind="circuit")),
        (Group.of("network", [Seed(1.0, 1, 9, np.zeros(0))]), Group.of("network", [Seed(0.0, 1, 9, np.zeros(0))])),
    ],
)
def test_where_nothing_independent_is_left_there_is_no_test(mine: Group, other: Group) -> None:
    found = means(mine, other, same_samples=True)
    assert np.isnan(found.p) and np.isnan(found.interval(0.95)).all() and found.reason
    spread = distributions(mine, other, 0.0, same_samples=True)
    assert np.isnan([spread.p, spread.low, spread.high]).all() and spread.reason


def test_units_of_measurement_do_not_matter() -> None:
    rng = np.random.default_rng(5)
    mine, other = (side(correlation, rng, rng.normal(size=S), stream=k) for k in range(2))
    plain, scaled = (means(a, b, same_samples=False) for a, b in ((mine, other), (mine.scaled(7), other.scaled(7))))
    assert scaled.p == pytest.approx(plain.p) and scaled.error == pytest.approx(7 * plain.error)
    ps = [distributions(a, b, 0.0, same_samples=False).p for a, b in ((mine, other), (mine.scaled(7), other.scaled(7)))]
    assert ps[0] == pytest.approx(ps[1], abs=0.02)


def test_equivalence_holds_its_level_where_the_difference_is_the_margin() -> None:
    wrong = 0
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        images = rng.normal(size=S)
        # The spread over neurons is that of the neurons and of the noise of S samples.
        shift = 1.0 * np.hypot(0.5, 1 / np.sqrt(S))
        groups = [side(lambda r, b, s, x=x: mean(r, b, x), rng, images, stream=k) for k, x in enumerate((shift, 0.0))]
        cells = [Measured(g.mean, 0.0, 0.0, "1", seeds=(g.seeds[0].quantiles,), sd_seeds=g.sd, group=g) for g in groups]
        scores, unit, _ = compare_cell(*cells, same_samples=True, margin=1.0, n_bootstrap=2)
        wrong += scores["p_equivalence"] < 0.05
        assert unit
    assert at_the_level(wrong / DRAWS)


@pytest.mark.parametrize(("sample", "neuron", "cell"), [(0.5, 0.3, 1.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)])
def test_variance_of_a_crossed_mean_is_that_of_the_components(sample: float, neuron: float, cell: float) -> None:
    s, n = 40, 30
    parts = sample**2 / s, neuron**2 / n, cell**2 / (s * n)
    drawn = [(parts[0] + parts[2]) * (1 - 1 / s), (parts[1] + parts[2]) * (1 - 1 / n)]
    found, freedom = crossed_variance([*drawn, parts[2]], [s - 1, n - 1])
    assert found == pytest.approx(sum(parts)) and freedom > 0
    if not sample and not neuron:
        assert freedom == pytest.approx((s - 1) * (n - 1))  # cells are many
    if not neuron and not cell:
        assert freedom == pytest.approx(s - 1)


def test_distributions_are_not_tested_where_values_differ_in_their_noise() -> None:
    """A neuron's value from one trial is noisier than one from many images: equal neurons would spread differently."""
    rng = np.random.default_rng(6)
    curves = [np.sort(rng.normal(size=50)) for _ in range(6)]
    network = Group.of("network", [Seed(0.0, 30, 20, np.zeros(9), quantiles=curves[0])])
    circuit = Group.of("circuit", [Seed(0.0, 1, 20, np.zeros(9), quantiles=curve) for curve in curves[1:]])
    found = distributions(network, circuit, 0.5, same_samples=False)
    assert np.isnan([found.p, found.low, found.high]).all() and "30" in found.reason and "1" in found.reason
    alike = Group.of("circuit", [Seed(0.0, 1, 20, np.zeros(9), quantiles=curve) for curve in curves[:3]])
    assert 0 < distributions(alike, circuit, 0.5, same_samples=False).p <= 1
