"""Irregularity of spike trains against closed forms of renewal processes."""

import numpy as np
import pytest

from eiplatform.errors import StatisticError
from eiplatform.statistics import kernels


def renewal(shape, n_neurons, n_spikes, *, seed=0, n_samples=1):
    """Trains of gamma intervals (mean 1), with exactly `n_spikes` each; shape 0: regular."""
    rng = np.random.default_rng(seed)
    size = (n_samples, n_neurons, n_spikes)
    isi = rng.gamma(shape, 1 / shape, size=size) if shape else np.ones(size)
    time = np.cumsum(isi, axis=2)
    sample, neuron, _ = np.indices(size)
    order = rng.permutation(time.size)  # events come in any order
    return kernels.SpikeTrains.from_events(
        time.ravel()[order],
        neuron.ravel()[order],
        sample.ravel()[order],
        n_neurons=n_neurons,
        n_samples=n_samples,
        duration=float(time.max()) + 1.0,
        units="ms",
    )


def one(trains):
    return np.ones((1, trains.n_samples))


@pytest.mark.parametrize("shape", [1.0, 2.0, 4.0])
def test_gamma_intervals_have_their_cv_and_lv(shape):
    trains = renewal(shape, 200, 500)
    assert kernels.cv_isi(trains, one(trains)).mean() == pytest.approx(1 / np.sqrt(shape), rel=0.01)
    assert kernels.lv(trains, one(trains)).mean() == pytest.approx(3 / (2 * shape + 1), rel=0.01)


def test_regular_trains_have_no_variation():
    trains = renewal(0, 5, 100, n_samples=2)
    np.testing.assert_array_equal(kernels.cv_isi(trains, one(trains)), np.zeros((1, 5)))
    np.testing.assert_array_equal(kernels.lv(trains, one(trains)), np.zeros((1, 5)))


@pytest.mark.parametrize(("n_spikes", "cv"), [(5, 0.74), (10, 0.85), (20, 0.93), (50, 0.97), (200, 0.99)])
def test_cv_is_biased_low_for_few_spikes_and_lv_is_not(n_spikes, cv):
    trains = renewal(1.0, 20000 if n_spikes < 50 else 4000, n_spikes, seed=n_spikes)
    values = kernels.cv_isi(trains, one(trains), min_spikes=3)
    # The tabulated values were simulated; the exact law is E[CV^2] = (n - 1)/(n + 1) for n intervals
    # (exponential intervals over their sum are Dirichlet distributed).
    assert values.mean() == pytest.approx(cv, abs=0.016)
    n = n_spikes - 1
    assert (values**2).mean() == pytest.approx((n - 1) / (n + 1), rel=0.02)
    assert kernels.lv(trains, one(trains), min_spikes=3).mean() == pytest.approx(1.0, abs=0.02)


def test_intervals_never_cross_samples():
    trains = kernels.SpikeTrains.from_events(
        np.array([90.0, 95.0, 5.0, 10.0]), np.zeros(4, int), np.array([0, 0, 1, 1]),
        n_neurons=1, n_samples=2, duration=100.0, units="ms",
    )  # fmt: skip
    number, mean, variance = trains.interval_moments
    np.testing.assert_array_equal(number, [[1.0], [1.0]])
    np.testing.assert_array_equal(mean, [[5.0], [5.0]])
    np.testing.assert_array_equal(variance, [[0.0], [0.0]])
    # No two intervals, and no adjacent pair, within a sample.
    assert np.isnan(kernels.cv_isi(trains, one(trains), min_spikes=2)[0, 0])
    assert np.isnan(kernels.lv(trains, one(trains), min_spikes=2)[0, 0])


def test_rates_that_differ_between_samples_do_not_make_trains_irregular():
    slow, fast = np.arange(0, 1000, 50.0), np.arange(0, 1000, 5.0)  # two stimuli, each regular
    trains = kernels.SpikeTrains.from_events(
        np.concatenate([slow, fast]), np.zeros(220, int), np.repeat([0, 1], [20, 200]),
        n_neurons=1, n_samples=2, duration=1000.0, units="ms",
    )  # fmt: skip
    assert kernels.cv_isi(trains, one(trains))[0, 0] == 0.0
    assert kernels.lv(trains, one(trains))[0, 0] == 0.0
    assert kernels.fano_factor(trains, one(trains), window=50.0)[0, 0] == 0.0


def test_samples_with_too_few_spikes_do_not_count():
    rng = np.random.default_rng(0)
    many, few = np.sort(rng.uniform(0, 1000, 100)), np.array([1.0, 2.0, 900.0])

    def trains(*samples):
        return kernels.SpikeTrains.from_events(
            np.concatenate(samples), np.zeros(sum(map(len, samples)), int),
            np.repeat(np.arange(len(samples)), list(map(len, samples))),
            n_neurons=1, n_samples=len(samples), duration=1000.0, units="ms",
        )  # fmt: skip

    for kernel in (kernels.cv_isi, kernels.lv):
        both = kernel(trains(many, few), np.ones((1, 2)))
        np.testing.assert_allclose(both, kernel(trains(many), np.ones((1, 1))), rtol=1e-12)
        assert np.isnan(kernel(trains(few), np.ones((1, 1)))).all()
        assert np.isnan(kernel(trains(many, few), np.array([[0, 2]]))).all()


def poisson(rate, n_neurons, n_samples, duration, *, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rate * duration, size=(n_samples, n_neurons))
    sample, neuron = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    return kernels.SpikeTrains.from_events(
        rng.uniform(0, duration, counts.sum()), neuron, sample,
        n_neurons=n_neurons, n_samples=n_samples, duration=duration, units="ms",
    )  # fmt: skip


@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_poisson_fano_factor_is_one_at_any_rate(rate):
    trains = poisson(rate, 400, 3, 1000.0)
    fano = kernels.fano_factor(trains, one(trains), window=50.0)[0]
    # ddof 1 makes the expectation exactly 1; 57 degrees of freedom per neuron.
    assert fano.mean() == pytest.approx(1.0, abs=4 * np.sqrt(2 / 57 / 400))


def test_fano_over_time_ignores_differences_between_samples_and_over_samples_sees_them():
    low, high = poisson(0.05, 100, 40, 500.0, seed=1), poisson(0.5, 100, 40, 500.0, seed=2)
    both = kernels.SpikeTrains.from_events(
        np.concatenate([low.time, high.time]),
        np.concatenate([low.neuron, high.neuron]),
        np.concatenate([low.sample, high.sample + 40]),
        n_neurons=100, n_samples=80, duration=500.0, units="ms",
    )  # fmt: skip
    assert np.mean(kernels.fano_factor(both, one(both), window=50.0)) == pytest.approx(1.0, abs=0.03)
    # Counts 25 and 250 in equal parts: variance 112.5^2 * 80/79 + mean, mean 137.5.
    expected = 1 + 112.5**2 * 80 / 79 / 137.5
    assert np.mean(kernels.fano_factor(both, one(both), over="sample")) == pytest.approx(expected, rel=0.01)


def test_fano_equals_the_explicit_computation():
    trains = poisson(0.03, 7, 3, 230.0, seed=3)
    counts = np.zeros((3, 4, 7))  # four whole windows of 50; the last 30 are left out
    for t, n, s in zip(trains.time, trains.neuron, trains.sample, strict=True):
        if t < 200:
            counts[s, int(t // 50), n] += 1
    variance = ((counts - counts.mean(axis=1, keepdims=True)) ** 2).sum(axis=(0, 1)) / (3 * 3)
    np.testing.assert_allclose(
        kernels.fano_factor(trains, one(trains), window=50.0)[0], variance / counts.mean(axis=(0, 1)), rtol=1e-12
    )


def test_regular_train_on_the_grid_of_windows_has_fano_zero():
    time = np.arange(1000) * 0.1  # multiples of 0.1 are not exact in binary:
    assert (np.floor(time / 1.1) != np.arange(1000) // 11).any()
    trains = kernels.SpikeTrains.from_events(
        time, np.zeros(time.size, int), np.zeros(time.size, int), n_neurons=1, n_samples=1, duration=100.0, units="ms"
    )
    assert kernels.fano_factor(trains, one(trains), window=1.1)[0, 0] == 0.0


def test_weights_equal_repeated_samples():
    trains = poisson(0.05, 6, 4, 400.0, seed=4)
    rows = [2, 0, 2, 3]
    parts = [(trains.sample == s) for s in rows]
    repeated = kernels.SpikeTrains.from_events(
        np.concatenate([trains.time[part] for part in parts]),
        np.concatenate([trains.neuron[part] for part in parts]),
        np.repeat(np.arange(4), [part.sum() for part in parts]),
        n_neurons=6, n_samples=4, duration=400.0, units="ms",
    )  # fmt: skip
    weights = np.bincount(rows, minlength=4)[None]
    for kernel in (
        kernels.rate,
        lambda t, w: kernels.cv_isi(t, w, min_spikes=3),
        lambda t, w: kernels.lv(t, w, min_spikes=3),
        lambda t, w: kernels.fano_factor(t, w, window=20.0),
        lambda t, w: kernels.fano_factor(t, w, over="sample"),
    ):
        np.testing.assert_allclose(kernel(trains, weights), kernel(repeated, np.ones((1, 4))), rtol=1e-10)


def test_dense_and_events_agree():
    rng = np.random.default_rng(5)
    dense = rng.random((3, 200, 11)) < 0.15
    dense[:, :, 4] = False  # a silent neuron
    sample, step, neuron = np.nonzero(dense)
    events = kernels.SpikeTrains.from_events(
        step * 2.0, neuron, sample, n_neurons=11, n_samples=3, duration=400.0, units="step"
    )
    from_dense = kernels.SpikeTrains.from_dense(dense, dt=2.0, units="step")
    w = np.ones((1, 3))
    np.testing.assert_array_equal(kernels.rate(from_dense, w), kernels.rate(events, w))
    np.testing.assert_allclose(kernels.rate(events, w)[0], dense.mean(axis=(0, 1)) / 2.0, rtol=1e-12)
    np.testing.assert_array_equal(kernels.cv_isi(from_dense, w), kernels.cv_isi(events, w))
    assert kernels.rate(events, w)[0, 4] == 0.0
    assert np.isnan(kernels.cv_isi(events, w)[0, 4]) and np.isnan(kernels.fano_factor(events, w, window=20.0)[0, 4])


def test_counts_above_one_are_several_spikes():
    dense = np.zeros((1, 3, 1), np.uint8)
    dense[0, 1, 0] = 3
    assert kernels.SpikeTrains.from_dense(dense, dt=1.0, units="step").counts[0, 0] == 3.0


@pytest.mark.parametrize("bad", [-1.0, 0.5, np.nan])
def test_impossible_counts_are_refused(bad):
    dense = np.zeros((1, 3, 1))
    dense[0, 1, 0] = bad
    with pytest.raises(StatisticError, match="negative, fractional or not finite"):
        kernels.SpikeTrains.from_dense(dense, dt=1.0, units="step")


@pytest.mark.parametrize(
    ("time", "neuron", "sample"), [(100.0, 0, 0), (-1.0, 0, 0), (np.nan, 0, 0), (5.0, 2, 0), (5.0, 0, 1), (5.0, -1, 0)]
)
def test_events_outside_the_recording_are_refused(time, neuron, sample):
    with pytest.raises(StatisticError, match="runs from"):
        kernels.SpikeTrains.from_events(
            np.array([time]), np.array([neuron]), np.array([sample]),
            n_neurons=2, n_samples=1, duration=100.0, units="ms",
        )  # fmt: skip


def test_spikes_are_counted_per_sample_not_in_all():
    trains = poisson(0.04, 50, 10, 100.0, seed=6)  # 4 spikes per sample, 40 in all
    never = (trains.counts < 10).all(axis=0)
    assert 40 < never.sum() < 50
    for kernel in (kernels.cv_isi, kernels.lv):
        np.testing.assert_array_equal(np.isnan(kernel(trains, one(trains))[0]), never)
