"""Short trains, shares of few neurons, and rates near 0: estimates and intervals that hold there too."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from eiplatform.statistics import kernels, summarise, summarise_seeds
from eiplatform.statistics.kernels.intervals import share_interval, student
from eiplatform.statistics.kernels.spikes import SpikeTrains
from eiplatform.store.schema import population_dataset


def trains(rng: np.random.Generator, order: float, n: int, duration: float) -> SpikeTrains:
    """Stationary gamma trains of mean interval 33 ms."""
    mean = 100 / 3
    time = np.cumsum(rng.gamma(order, mean / order, size=(n, int(2 * duration / mean) + 60)), axis=1) - 500.0
    neuron, place = np.nonzero((time >= 0) & (time < duration))
    return SpikeTrains.from_events(
        time[neuron, place], neuron, np.zeros(len(neuron), int), n_neurons=n, n_samples=1, duration=duration, units="ms"
    )


def by_loops(intervals: np.ndarray, duration: float) -> float:
    """The corrected CV from its definition: weights 1/(duration - interval), jackknife."""

    def cv(x: np.ndarray) -> float:
        w = 1 / (duration - x)
        mean = np.average(x, weights=w)
        return float(np.sqrt(np.average((x - mean) ** 2, weights=w)) / mean)

    n = len(intervals)
    return n * cv(intervals) - (n - 1) * float(np.mean([cv(np.delete(intervals, k)) for k in range(n)]))


def test_corrected_cv_is_its_definition() -> None:
    made = trains(np.random.default_rng(0), 1.0, 6, 900.0)
    for neuron in range(6):
        intervals = np.diff(made.time[made.neuron == neuron])
        assert made.corrected_cv[0, neuron] == pytest.approx(by_loops(intervals, 900.0))
    regular = SpikeTrains.from_dense(np.ones((1, 20, 1), bool), dt=1.0, units="step")
    assert regular.corrected_cv[0, 0] == 0.0
    pair = SpikeTrains.from_dense(np.ones((1, 3, 1), bool), dt=1.0, units="step")
    assert np.isnan(pair.corrected_cv[0, 0])  # two intervals


def test_corrected_cv_of_intervals_of_zero_is_its_definition_or_undefined() -> None:
    counts = np.zeros((1, 50, 2), int)
    counts[0, [3, 20, 30], 0] = 3, 4, 1  # intervals 0 0 17 0 0 0 10
    counts[0, [3, 20], 1] = 9, 1  # one above 0: without it there is no CV, so there is no jackknife
    found = SpikeTrains.from_dense(counts, dt=1.0, units="step").corrected_cv[0]
    assert found[0] == pytest.approx(by_loops(np.array([0, 0, 17, 0, 0, 0, 10.0]), 50.0))
    assert np.isnan(found[1])


@pytest.mark.parametrize(("order", "duration"), [(3.0, 1000.0), (1.0, 2000.0)])
def test_short_trains_do_not_bias_the_corrected_cv(order: float, duration: float) -> None:
    made = trains(np.random.default_rng(1), order, 3000, duration)
    one, truth = np.ones((1, 1)), 1 / np.sqrt(order)
    plain, corrected = (np.nanmean(kernels.cv_isi(made, one, corrected=part)) for part in (False, True))
    assert abs(corrected - truth) < 0.01 * truth < abs(plain - truth)


def test_interval_of_the_cv_covers_the_truth() -> None:
    """As in the published fault: gamma of order 3, 30 Hz, 4 s, 20 neurons (4 samples here); 78 % before."""
    inside = 0
    for draw in range(150):
        made = trains(np.random.default_rng(draw), 3.0, 80, 4000.0)
        folded = SpikeTrains.from_events(
            made.time, made.neuron % 20, made.neuron // 20, n_neurons=20, n_samples=4, duration=4000.0, units="ms"
        )
        unit = kernels.NeuronValues(lambda w, t=folded: kernels.cv_isi(t, w, corrected=True), 4, 20)
        found = kernels.hierarchical_bootstrap([unit], n_bootstrap=200, seed=draw)
        inside += found.low <= 1 / np.sqrt(3) <= found.high
    assert stats.binomtest(inside, 150, 0.95).pvalue > 0.005


@pytest.mark.parametrize(("k", "n"), [(0, 40), (1, 40), (20, 40), (40, 40)])
def test_interval_of_a_share_is_wilsons(k: int, n: int) -> None:
    share = k / n
    known = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert share_interval(share, share * (1 - share) / n, n) == pytest.approx((known.low, known.high), abs=1e-12)
    wider = share_interval(share, 2 * share * (1 - share) / n, n)
    assert wider[1] - wider[0] >= known.high - known.low - 1e-12


def network(rng: np.random.Generator, chance: float, neurons: int = 12):
    values = (rng.random((6, 60, neurons)) < chance).astype(np.float32)
    return population_dataset(
        {"spikes": values}, sample=np.arange(6), time=np.arange(60), neuron=np.arange(neurons), dt=1.0,
        time_units="step", current_units="1", n_neurons=neurons, role="E",
    )  # fmt: skip


def test_intervals_of_rates_end_at_zero() -> None:
    rng = np.random.default_rng(2)
    sparse = [network(np.random.default_rng(k), 0.3 * (k == 0)) for k in range(3)]
    over = summarise_seeds(sparse, ["rate"], n_bootstrap=50)
    mean, half = over["value"].item(), (over["high"] - over["value"]).item()
    assert mean < half and over["low"].item() == 0.0
    one = summarise(network(rng, 0.01, neurons=2), ["rate"], n_bootstrap=200)
    assert one["low"].item() >= 0


def test_no_dead_neuron_among_few_is_not_none_of_all() -> None:
    table = summarise(network(np.random.default_rng(3), 0.5), ["dead_fraction"], n_bootstrap=50)
    assert table["value"].item() == 0 == table["low"].item()
    assert table["high"].item() == pytest.approx(stats.binomtest(0, 12).proportion_ci(0.95, method="wilson").high)


def test_student_is_that_of_scipy_without_the_missing() -> None:
    values = np.random.default_rng(4).normal(size=(6, 3))
    values[2:, 1] = np.nan
    values[1:, 2] = np.nan
    found = student(values, 0.9)
    for column, n in ((0, 6), (1, 2)):
        held = values[:n, column]
        known = stats.t.interval(0.9, n - 1, loc=held.mean(), scale=stats.sem(held))
        assert (found.low[column], found.high[column]) == pytest.approx(known)
        assert found.sd[column] == pytest.approx(held.std(ddof=1)) and found.n[column] == n
    assert found.mean[2] == values[0, 2] and np.isnan([found.low[2], found.sd[2]]).all()
