"""Synchrony, pair correlations and dimension against closed forms and explicit sums."""

import itertools

import numpy as np
import pytest

import eiplatform.statistics as ei
from eiplatform.errors import StatisticError, TooShortError, UnknownNameError
from eiplatform.statistics import kernels
from eiplatform.statistics.kernels.synchrony import SharedSums
from eiplatform.statistics.trains import TrainBlocks
from eiplatform.store.schema import population_dataset


def network(**signals):
    n_samples, n_steps, n_neurons = next(iter(signals.values())).shape
    return population_dataset(
        signals, sample=np.arange(n_samples), time=np.arange(n_steps), neuron=np.arange(n_neurons), dt=1.0,
        time_units="step", current_units="1", n_neurons=n_neurons, role="E",
    )  # fmt: skip


def mixture(share, shape, *, rate=0.3, seed=0):
    """Spikes of correlation `share` squared: each from a common train with probability `share`."""
    rng = np.random.default_rng(seed)
    common, own = rng.random((*shape[:2], 1)) < rate, rng.random(shape) < rate
    return np.where(rng.random(shape) < share, common, own)


def trains(spikes):
    return kernels.SpikeTrains.from_dense(spikes, dt=1.0, units="step")


def test_chi_and_count_synchrony_are_averages_over_all_subsets():
    spikes = mixture(0.6, (2, 80, 6))
    rates = np.linspace(1, 3, 6) * np.random.default_rng(1).normal(size=(2, 80, 6)) + spikes
    one = np.ones((1, 2))
    for n in (2, 4, 6):
        subsets = [list(chosen) for chosen in itertools.combinations(range(6), n)]
        over = np.mean([rates[:, :, s].mean(axis=2).var(axis=1, ddof=1).mean() for s in subsets])
        expected = np.sqrt(over / rates.var(axis=1, ddof=1).mean())
        assert kernels.chi(one, SharedSums.from_signal(rates), n).mean() == pytest.approx(expected, rel=1e-9)
        counts = [spikes[:, :, s].sum(axis=2) for s in subsets]
        expected = np.mean([c.var(axis=1, ddof=1).mean() for c in counts]) / np.mean([c.mean() for c in counts])
        found = kernels.count_synchrony(one, SharedSums.from_trains(trains(spikes), 1.0), n)
        assert found.mean() == pytest.approx(expected, rel=1e-9)


def test_sums_of_events_and_of_dense_counts_agree():
    spikes = np.random.default_rng(0).poisson(0.4, size=(3, 61, 7))
    spikes[:, :, 2] = 0
    dense = spikes[:, :60].reshape(3, 20, 3, 7).sum(axis=2)  # windows of 3, the rest left out
    events, counts = SharedSums.from_trains(trains(spikes), 3.0), SharedSums.from_signal(dense)
    for name in ("mean", "variance", "shared"):
        np.testing.assert_allclose(getattr(events, name), getattr(counts, name), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(trains(spikes).binned(3.0, np.array([1, 5])), dense[:, :, [1, 5]])
    np.testing.assert_array_equal(trains(spikes).population_counts(3.0), dense.sum(axis=2))


def test_counts_of_spikes_read_in_blocks_are_those_of_the_whole():
    spikes = np.random.default_rng(1).poisson(0.4, size=(5, 61, 7))

    def table(function, name):
        return np.concatenate([function(spikes[:2]), function(spikes[2:])], axis=-2)

    blocks = TrainBlocks(table, lambda name: spikes, 5, 7, 61, 1.0, "step")
    np.testing.assert_array_equal(blocks.population_counts(3.0), trains(spikes).population_counts(3.0))
    chosen = np.array([0, 2, 6])
    np.testing.assert_array_equal(blocks.binned(3.0, chosen), trains(spikes).binned(3.0, chosen))
    for name in ("mean", "variance", "shared"):
        ours, whole = (getattr(SharedSums.from_trains(each, 3.0), name) for each in (blocks, trains(spikes)))
        np.testing.assert_allclose(ours, whole, rtol=1e-12, atol=1e-12)


def test_influence_of_a_neuron_is_the_derivative_of_the_value():
    signal = mixture(0.6, (2, 200, 30)) * np.linspace(1, 2, 30)

    def explicit(weights, kind):
        """Value with neuron weights: v, c, m are weighted means, pairs by the product of weights."""
        x = signal - signal.mean(axis=1, keepdims=True)
        covariance = np.einsum("sti,stj->ij", x, x) / (2 * 199)
        w = weights / weights.sum()
        v, m = w @ np.diag(covariance), w @ signal.mean(axis=(0, 1))
        pairs = np.outer(w, w)
        np.fill_diagonal(pairs, 0.0)
        c = (pairs * covariance).sum() / pairs.sum()
        return np.sqrt((1 + 9 * c / v) / 10) if kind == "chi" else (v + 9 * c) / m

    for kind, kernel in (("chi", kernels.chi), ("count", kernels.count_synchrony)):
        found = kernel(np.ones((1, 2)), SharedSums.from_signal(signal), 10)[0]
        assert found.mean() == pytest.approx(explicit(np.ones(30), kind), rel=1e-9)
        for neuron in (0, 17, 29):
            up = np.ones(30)
            up[neuron] += 1e-5
            slope = (explicit(up, kind) - explicit(np.ones(30), kind)) / 1e-5 * 30
            assert found[neuron] - found.mean() == pytest.approx(slope, rel=0.1, abs=0.02 * found.mean())


@pytest.mark.parametrize("n", [10, 50, 100])
def test_synchrony_grows_with_the_number_of_neurons_so_it_is_fixed(n):
    """The trap: variance over mean is 1 - p + (n - 1) r (1 - p), and two populations differ by their size alone."""
    spikes = mixture(0.3, (20, 400, 200))
    expected = 0.7 * (1 + (n - 1) * 0.09)
    assert float(network(spikes=spikes).ei.synchrony(n_neurons=n)) == pytest.approx(expected, rel=0.05)
    half = network(spikes=spikes[:, :, :100])
    assert float(half.ei.synchrony(n_neurons=n)) == pytest.approx(expected, rel=0.08)
    chi = network(spikes=spikes).ei.chi(signal="spikes", n_neurons=n)
    assert float(chi) == pytest.approx(np.sqrt((1 + (n - 1) * 0.09) / n), rel=0.03)
    assert chi.attrs["n_neurons"] == n and chi.attrs["window"] == "1 step"


def test_independent_poisson_neurons_have_synchrony_one_and_chi_of_their_number():
    counts = np.random.default_rng(3).poisson(0.2, size=(20, 500, 150))
    data = network(spikes=counts, voltage=np.random.default_rng(4).normal(size=(20, 500, 150)))
    assert float(data.ei.synchrony()) == pytest.approx(1, abs=0.05)
    assert float(data.ei.chi(signal="spikes", n_neurons=25)) == pytest.approx(0.2, rel=0.02)
    assert float(data.ei.chi(n_neurons=100)) == pytest.approx(0.1, rel=0.03)
    assert float(data.ei.count_correlation().mean()) == pytest.approx(0, abs=3e-3)


def test_all_alike_and_opposite():
    common = np.random.default_rng(0).normal(size=(1, 100, 1))
    alike = network(voltage=common + np.arange(4.0))
    assert float(alike.ei.chi(n_neurons=4)) == pytest.approx(1) == pytest.approx(float(alike.ei.chi(n_neurons=2)))
    opposite = network(voltage=common * np.array([1.0, -1.0]))
    assert float(opposite.ei.chi(n_neurons=2)) == pytest.approx(0, abs=1e-6)


def test_signals_that_do_not_vary_are_nan():
    flat = network(voltage=np.full((2, 60, 5), 0.1, np.float32), spikes=np.zeros((2, 60, 5), bool))
    for found in (flat.ei.chi(n_neurons=5), flat.ei.chi(signal="spikes", n_neurons=5), flat.ei.synchrony(n_neurons=5)):
        assert np.isnan(found) and found.attrs["n_excluded"] == 5
    pairs = flat.isel(time=slice(50)).ei.count_correlation(window=5)
    assert np.isnan(pairs).all() and pairs.attrs["n_excluded"] == 5


def test_pair_correlations_equal_numpy_and_their_mean_is_the_share():
    spikes = mixture(0.5, (1, 300, 8), seed=4)
    found = network(spikes=spikes).ei.count_correlation(window=3, per="pair")
    counts = spikes.reshape(100, 3, 8).sum(axis=1)
    np.testing.assert_allclose(found, np.corrcoef(counts.T)[np.triu_indices(8, 1)], rtol=1e-9)
    assert found["first"].values.tolist()[:8] == [0] * 7 + [1] and found.attrs["sd_independent"] == 1 / np.sqrt(99)
    neuron = network(spikes=spikes).ei.count_correlation(window=3)
    full = np.corrcoef(counts.T)
    np.testing.assert_allclose(neuron, (full.sum(axis=1) - 1) / 7, rtol=1e-9)
    many = network(spikes=mixture(0.5, (20, 300, 60))).ei.count_correlation(window=1)
    assert float(many.mean()) == pytest.approx(0.25, abs=0.02)
    # Spread over pairs of independent neurons is the noise that the attribute gives.
    noise = network(spikes=mixture(0.0, (5, 200, 60))).ei.count_correlation(window=1, per="pair")
    assert noise.attrs["sd"] == pytest.approx(noise.attrs["sd_independent"], rel=0.05)
    assert abs(noise.attrs["mean"]) < 0.005


def test_differences_between_samples_count_over_samples_only():
    rates = np.random.default_rng(0).uniform(0.05, 0.9, size=(60, 1, 1))  # images of unlike brightness
    spikes = np.random.default_rng(1).random((60, 100, 30)) < rates
    data = network(spikes=spikes)
    assert abs(float(data.ei.count_correlation().mean())) < 0.01
    over = data.ei.count_correlation(over="sample")
    assert float(over.mean()) > 0.9 and over.name == "count_correlation_samples"
    full = np.corrcoef(spikes.sum(axis=1).T)
    np.testing.assert_allclose(over, (full.sum(axis=1) - 1) / 29, rtol=1e-9)
    pairs = data.ei.count_correlation(over="sample", per="pair")
    np.testing.assert_allclose(pairs, full[np.triu_indices(30, 1)], rtol=1e-9)


def test_interval_of_the_mean_correlation_counts_both_neurons_of_a_pair():
    """The mean over pairs varies twice as much with a neuron as the mean of partner means suggests."""
    spikes = mixture(0.4, (30, 100, 30), seed=2)
    data = network(spikes=spikes)
    table = data.ei.summary(["count_correlation"], n_bootstrap=400)
    cell = table.squeeze()
    assert cell["value"].item() == pytest.approx(float(data.ei.count_correlation().mean()), rel=1e-12)
    estimates = []
    for seed in range(60):
        fresh = network(spikes=mixture(0.4, (30, 100, 30), seed=100 + seed))
        estimates.append(float(fresh.ei.count_correlation().mean()))
    width = (cell["high"] - cell["low"]).item()
    assert width == pytest.approx(2 * 1.96 * np.std(estimates, ddof=1), rel=0.4)


def test_a_fixed_random_draw_of_a_large_population():
    spikes = mixture(0.3, (3, 120, 130))
    found = network(spikes=spikes).ei.count_correlation(n_neurons=20)
    chosen = found["neuron"].values
    assert len(set(chosen)) == 20 and (np.diff(chosen) > 0).all() and len(set(np.diff(chosen))) > 3
    np.testing.assert_allclose(found, network(spikes=spikes[:, :, chosen]).ei.count_correlation())


@pytest.mark.parametrize("n_samples", [20, 40, 400])
def test_participation_ratio_is_not_biased_by_few_samples(n_samples):
    """The trap: the plain ratio of N independent neurons and S samples is about N S/(N + S)."""
    rng = np.random.default_rng(0)
    found, plain = [], []
    for _ in range(12):
        rows = rng.normal(size=(n_samples, 1, 60))
        found.append(kernels.participation_ratio(rows, 60)[0])
        eigenvalues = np.linalg.eigvalsh(np.cov(rows[:, 0].T))
        plain.append(eigenvalues.sum() ** 2 / (eigenvalues**2).sum())
    assert np.mean(plain) == pytest.approx(60 * n_samples / (60 + n_samples), rel=0.06)
    assert np.mean(found) == pytest.approx(60, rel=0.08)


def test_participation_ratio_of_a_known_spectrum():
    rng = np.random.default_rng(1)
    spread = np.linspace(0.5, 2.0, 30)
    mixing = rng.normal(size=(4, 30))  # four shared dimensions
    rows = rng.normal(size=(20_000, 1, 4)) @ mixing + rng.normal(size=(20_000, 1, 30)) * spread
    truth = np.linalg.eigvalsh(mixing.T @ mixing + np.diag(spread**2))
    assert kernels.participation_ratio(rows, 30)[0] == pytest.approx(truth.sum() ** 2 / (truth**2).sum(), rel=0.03)
    one = kernels.participation_ratio(rng.normal(size=(5000, 1, 1)) * spread, 30)[0]
    assert one == pytest.approx(1, rel=0.01)
    # Over time, differences between samples do not count.
    series = rng.normal(size=(10, 400, 30)) + 50 * rng.normal(size=(10, 1, 30))
    assert kernels.participation_ratio(series, 30)[0] == pytest.approx(30, rel=0.03)


def test_participation_ratio_at_fixed_n_is_that_of_random_subsets():
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(3000, 1, 2)) @ rng.normal(size=(2, 40)) + rng.normal(size=(3000, 1, 40))
    found = kernels.participation_ratio(rows, 10)[0]
    above = below = 0.0
    for _ in range(1500):
        c = np.cov(rows[:, 0, rng.permutation(40)[:10]].T)
        above, below = above + np.trace(c) ** 2, below + (c**2).sum()
    assert found == pytest.approx(above / below, rel=0.02)


def test_influences_of_the_participation_ratio_are_derivatives():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(400, 1, 2)) @ rng.normal(size=(2, 12)) + rng.normal(size=(400, 1, 12))
    value, of_sample, of_neuron = kernels.participation_ratio(rows, 12)
    assert of_sample.sum() == pytest.approx(0, abs=1e-8) and of_neuron.sum() == pytest.approx(0, abs=1e-8)
    far = int(np.argmax(np.abs(of_sample)))
    without = kernels.participation_ratio(np.delete(rows, far, axis=0), 12)[0]
    assert value - without == pytest.approx(of_sample[far] / 400, rel=0.1)
    series = (rng.normal(size=(30, 50, 2)) * np.linspace(0.5, 2, 30)[:, None, None]) @ rng.normal(size=(2, 12))
    series += rng.normal(size=series.shape)
    value, of_sample, _ = kernels.participation_ratio(series, 12)
    far = int(np.argmax(np.abs(of_sample)))
    without = kernels.participation_ratio(np.delete(series, far, axis=0), 12)[0]
    assert value - without == pytest.approx(of_sample[far] / 30, rel=0.15)


def test_participation_ratio_of_spikes_and_its_interval():
    data = network(spikes=np.random.default_rng(0).random((80, 100, 110)) < 0.4)
    for key, name in (("participation_ratio", "10 step"), ("participation_ratio_samples", "whole sample, 100 step")):
        found = ei.per_neuron(data, key)
        assert found.dims == () and found.attrs["window"] == name and found.attrs["n_neurons"] == 100
        assert float(found) == pytest.approx(100, abs=25)
        cell = data.ei.summary([key], n_bootstrap=200).squeeze()
        assert cell["low"] < cell["value"] < cell["high"]
    silent = network(spikes=np.zeros((30, 100, 4), bool)).ei.participation_ratio(n_neurons=4)
    assert np.isnan(silent) and silent.attrs["n_excluded"] == 4


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d: d.ei.synchrony(), TooShortError, "synchrony at 100 neurons: 12 neurons are too few"),
        (lambda d: d.ei.chi(), TooShortError, "12 neurons"),
        (lambda d: d.ei.participation_ratio(), TooShortError, "12 neurons"),
        (lambda d: d.ei.synchrony(n_neurons=1), StatisticError, "n_neurons is 1"),
        (lambda d: d.ei.count_correlation(n_neurons=1), StatisticError, "n_neurons is 1"),
        (lambda d: d.isel(time=slice(49)).ei.synchrony(n_neurons=12), TooShortError, "at least 50"),
        (lambda d: d.isel(time=slice(49)).ei.chi(n_neurons=12), TooShortError, "at least 50"),
        (lambda d: d.isel(time=slice(49)).ei.count_correlation(), TooShortError, "at least 100"),
        (lambda d: d.ei.count_correlation(over="sample"), TooShortError, "30 samples"),
        (lambda d: d.ei.participation_ratio(over="sample", n_neurons=12), TooShortError, "30 samples"),
        (lambda d: d.ei.count_correlation(over="samples"), UnknownNameError, "did you mean 'sample'"),
        (lambda d: d.ei.count_correlation(per="pairs"), UnknownNameError, "did you mean 'pair'"),
        (lambda d: d.ei.count_correlation(over="sample", window=5), StatisticError, "whole sample"),
        (lambda d: d.ei.participation_ratio(over="sample", window=5, n_neurons=12), StatisticError, "whole sample"),
        (lambda d: d.ei.chi(window=5, n_neurons=12), StatisticError, "only spikes"),
        (lambda d: d.ei.chi(signal="volts"), UnknownNameError, "did you mean 'voltage'"),
        (lambda d: d.ei.chi(signal="gain"), StatisticError, "needs gain"),
        (lambda d: d.ei.synchrony(n_neurons=12, window=np.inf), StatisticError, "the window is inf"),
        (lambda d: d.isel(time=np.r_[0:60, 70:120]).ei.chi(n_neurons=12), StatisticError, "evenly spaced"),
    ],
)
def test_what_cannot_be_computed_says_why(call, error, message):
    shape = (5, 120, 12)
    rng = np.random.default_rng(0)
    data = network(spikes=rng.random(shape) < 0.3, voltage=rng.normal(size=shape))
    with pytest.raises(error, match=message):
        call(data)


def test_nan_in_the_voltage_is_an_error():
    voltage = np.random.default_rng(0).normal(size=(2, 60, 4))
    voltage[1, 3, 2] = np.nan
    for call in (lambda d: d.ei.chi(n_neurons=4), lambda d: d.ei.timescale(max_lag=5)):
        with pytest.raises(StatisticError, match="'voltage' has 1 values that are NaN"):
            call(network(voltage=voltage))
