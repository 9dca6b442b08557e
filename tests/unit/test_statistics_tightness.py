"""Residual variance, correlation over neurons and by window, IB, mean over fluctuation, spread of the ratio."""

import numpy as np
import pytest
from scipy import stats

import eiplatform.statistics as ei
from eiplatform.errors import StatisticError, TooShortError, UnknownNameError
from eiplatform.statistics import kernels
from eiplatform.store.schema import population_dataset


def one(n):
    return np.ones((1, n))


def recording(exc, inh, *, units="step", dt=1.0, **coords):
    samples, steps, neurons = exc.shape
    return population_dataset(
        {"current_exc": exc, "current_inh": inh}, sample=np.arange(samples), time=np.arange(steps) * dt,
        neuron=np.arange(neurons), dt=dt, time_units=units, current_units="1", n_neurons=neurons, role="E",
        sample_coords=coords or None,
    )  # fmt: skip


def mixed(seed, samples, steps, neurons):
    """Currents that share a common part and a part of the neuron's own."""
    rng = np.random.default_rng(seed)
    common, own = rng.normal(size=(samples, steps, 1)), rng.normal(size=(samples, steps, neurons))
    exc = common + own + rng.normal(size=own.shape)
    inh = 0.7 * common + 1.5 * own + rng.normal(size=own.shape)
    return 20 + exc, 20 + inh


def explicit_residual(exc, inh, pairs):
    """Loop over neurons with np.cov."""
    n = exc.shape[1]
    var_e, var_i = exc.var(axis=0), inh.var(axis=0)
    cov = np.cov(exc.T, inh.T, ddof=0)[:n, n:]
    own = np.array([(exc[:, i] - inh[:, i]).var() / (var_e[i] + var_i[i]) for i in range(n)])
    cross = np.array(
        [1 - 2 * sum(cov[i, j] for j in range(n) if j != i) / sum(var_e[i] + var_i[j] for j in range(n) if j != i)
         for i in range(n)]
    )  # fmt: skip
    return {"own": own, "cross": cross, "excess": own - cross}[pairs]


@pytest.mark.parametrize("pairs", kernels.RESIDUAL_PAIRS)
def test_residual_variance_equals_explicit_loops_over_time_and_over_resampled_samples(pairs):
    exc, inh = mixed(1, 3, 70, 5)
    got = kernels.residual_variance(kernels.moments_over_time(exc, inh)[0], pairs)
    np.testing.assert_allclose(got, [explicit_residual(e, i, pairs) for e, i in zip(exc, inh, strict=True)], rtol=1e-9)
    e, i = mixed(2, 60, 1, 5)
    e, i = e[:, 0], i[:, 0]
    drawn = np.random.default_rng(3).integers(0, 60, 60)
    pair, weights = kernels.CurrentPair(e, i), np.bincount(drawn, minlength=60)[None]
    moments = kernels.moments_over_samples(weights, pair, pair.moments(weights))
    np.testing.assert_allclose(
        kernels.residual_variance(moments, pairs)[0], explicit_residual(e[drawn], i[drawn], pairs), rtol=1e-9
    )
    want = kernels.pair_correlation(weights, pair, pairs)
    np.testing.assert_allclose(kernels.paired_correlation(moments, pairs), want, rtol=1e-9)


@pytest.mark.parametrize("rho", [-0.4, 0.0, 0.6, 1.0])
def test_residual_of_equal_variances_is_one_minus_the_correlation(rho):
    rng = np.random.default_rng(4)
    exc = rng.normal(size=(20, 400, 30))
    inh = rho * exc + np.sqrt(1 - rho**2) * rng.normal(size=exc.shape)
    exc, inh = 10 + exc, 10 + inh  # magnitudes
    found = recording(exc, inh).ei.residual_variance()
    assert float(found.mean()) == pytest.approx(1 - rho, abs=0.01)
    cross = recording(exc, inh).ei.residual_variance(pairs="cross")
    assert float(cross.mean()) == pytest.approx(1.0, abs=0.01)  # neurons are independent


def test_tight_has_two_senses_and_they_come_apart():
    """A faithful but faint inhibition tracks in time and leaves a large residual; a steady strong one the reverse."""
    rng = np.random.default_rng(5)
    exc = 10 + rng.normal(size=(4, 300, 8))
    faint = recording(exc, 0.1 * exc)
    assert float(faint.ei.ei_correlation(over="time").mean()) == pytest.approx(1.0)
    assert float(faint.ei.balance_index().mean()) == pytest.approx(0.9)
    assert float(faint.ei.residual_variance().mean()) == pytest.approx(0.9**2 / 1.01, rel=1e-6)
    steady = recording(exc, 10 + rng.normal(size=exc.shape))
    assert abs(float(steady.ei.ei_correlation(over="time").mean())) < 0.1
    assert abs(float(steady.ei.balance_index().mean())) < 0.01


def test_windows_equal_a_plain_moving_average():
    exc, inh = mixed(6, 2, 120, 4)
    kernel = np.ones(5) / 5
    smooth = [np.apply_along_axis(np.convolve, 1, x.astype(float), kernel, mode="valid") for x in (exc, inh)]
    want = {p: kernels.correlation_over_time(*smooth, p) for p in kernels.RESIDUAL_PAIRS}
    found = recording(exc, inh).ei.ei_correlation_windows(windows=[1, 5], n_bootstrap=20)
    for pairs, table in want.items():
        got = found["correlation"].sel(pairs=pairs)
        np.testing.assert_allclose(got.sel(window=5), table.mean(axis=0), rtol=1e-8)
        np.testing.assert_allclose(got.sel(window=1), recording(exc, inh).ei.ei_correlation(over="time", pairs=pairs))
    np.testing.assert_allclose(found["value"], found["correlation"].mean("neuron"))


def test_loose_balance_in_time_shows_only_at_long_windows():
    """Slow parts shared, fast parts private: correlation rises with the window, as its closed form says."""
    rng = np.random.default_rng(7)
    slow = np.repeat(rng.normal(size=(60, 40, 6)), 10, axis=1)  # constant over 10 intervals
    exc, inh = (20 + slow + 2 * rng.normal(size=slow.shape) for _ in range(2))
    found = recording(exc, inh).ei.ei_correlation_windows(windows=[1, 5], n_bootstrap=200)
    # A mean of 5 keeps 1 - (5^2 - 1)/(3 * 5 * 10) of the slow variance and 4/5 of the fast one; deviations from the
    # mean of 40 values have 39/40 of the variance.
    truth = [part * 39 / 40 / (part * 39 / 40 + fast) for part, fast in ((1, 4), (1 - 24 / 150, 0.8))]
    own = found.sel(pairs="own")
    for index, expected in enumerate(truth):
        assert float(own["low"][index]) < expected < float(own["high"][index])
    assert float(own["low"][1]) > float(own["high"][0])
    assert (found["low"] < 0).sel(pairs="cross").all() and (found["high"] > 0).sel(pairs="cross").all()


def explicit_patterns(exc, inh):
    n = len(exc)
    r = np.array([[np.corrcoef(exc[s], inh[u])[0, 1] for u in range(n)] for s in range(n)])
    own = np.diag(r).mean()
    cross = (r.sum() - np.trace(r)) / (n * (n - 1))
    return {"own": own, "cross": cross, "excess": own - cross}


def test_correlation_over_neurons_equals_a_loop_over_pairs_of_samples():
    rng = np.random.default_rng(8)
    weights = rng.gamma(2.0, size=(1, 12))  # constant differences of the neurons
    exc = weights + 0.5 * rng.normal(size=(9, 12))
    inh = weights + 0.4 * exc + 0.3 * rng.normal(size=(9, 12))
    want = explicit_patterns(exc, inh)
    patterns = kernels.Patterns(exc, inh)
    for pairs in kernels.RESIDUAL_PAIRS:
        assert patterns.correlation(one(9), pairs).mean() == pytest.approx(want[pairs], rel=1e-10)
    # Weighted: a sample that counts twice, another not at all, as the explicit average over different samples.
    w = np.array([2.0, 0, 1, 1, 1, 1, 1, 1, 1])
    r = np.array([[np.corrcoef(exc[s], inh[u])[0, 1] for u in range(9)] for s in range(9)])
    pair_weights = np.outer(w, w) * (1 - np.eye(9))
    assert patterns.correlation(w[None], "cross").mean() == pytest.approx((r * pair_weights).sum() / pair_weights.sum())


def test_influence_values_are_what_leaving_a_neuron_out_does():
    """Ten times the change of the correlation; of the spread of ratios the derivative by the neuron's weight."""
    rng = np.random.default_rng(9)
    exc, inh = rng.gamma(3.0, size=(5, 11)), rng.gamma(3.0, size=(5, 11))
    without = [explicit_patterns(np.delete(exc, neuron, 1), np.delete(inh, neuron, 1)) for neuron in range(11)]
    for pairs, near in (("own", 1e-9), ("cross", 0.05)):  # cross: but for what both samples of a pair grow by
        row = kernels.Patterns(exc, inh).correlation(one(5), pairs)[0]
        left_out = np.array([part[pairs] for part in without])
        np.testing.assert_allclose(row - row.mean(), 10 * (left_out.mean() - left_out), atol=near)
    ratio, step = np.log(exc[0] / inh[0]), 1e-6
    spread = kernels.spread_influence(ratio[None])[0]
    for neuron in range(11):
        w = np.full(11, (1 - step) / 11)
        w[neuron] += step
        sd = np.sqrt(w @ (ratio - w @ ratio) ** 2)
        assert (sd - ratio.std()) / step == pytest.approx(spread[neuron] - ratio.std(), abs=1e-4)


def test_interval_of_the_correlation_over_neurons_covers_the_truth():
    rho, inside = 0.6, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        exc = np.broadcast_to(rng.normal(size=(1, 1, 150)), (4, 2, 150))
        inh = rho * exc + np.sqrt(1 - rho**2) * rng.normal(size=(1, 1, 150))
        table = ei.summarise(recording(5 + exc, 5 + inh), ["ei_correlation_neurons"], n_bootstrap=300)
        inside += float(table["low"].item()) < rho < float(table["high"].item())
    assert inside >= stats.binom.ppf(0.005, 60, 0.95)


def test_detailed_over_neurons_is_what_other_samples_do_not_give():
    rng = np.random.default_rng(10)
    fixed = rng.gamma(4.0, size=(1, 1, 200))
    exc = fixed * rng.gamma(9.0, 1 / 9, size=(40, 1, 200))
    equalised = recording(exc, fixed * rng.gamma(9.0, 1 / 9, size=exc.shape))
    detailed = recording(exc, 0.5 * exc)
    for data, expected in ((equalised, 0.0), (detailed, 0.3)):
        own, cross, excess = (
            data.ei.ei_correlation(over="neuron", pairs=p).mean().item() for p in kernels.RESIDUAL_PAIRS
        )
        assert excess == pytest.approx(own - cross) and cross > 0.4
        assert excess > expected if expected else abs(excess) < 0.02
    with pytest.raises(UnknownNameError, match="pairing over neurons"):
        detailed.ei.ei_correlation(over="neuron", pairs="partial")


def test_samples_without_a_pattern_are_left_out_and_counted():
    exc, inh = mixed(11, 6, 2, 7)
    inh[2] = inh[2, :, :1]  # one inhibition for all neurons
    found = recording(exc, inh).ei.ei_correlation(over="neuron")
    kept = [0, 1, 3, 4, 5]
    want = np.mean([np.corrcoef(exc[s].mean(axis=0), inh[s].mean(axis=0))[0, 1] for s in kept])
    assert float(found.mean()) == pytest.approx(want) and found.attrs["samples_left_out"] == 1
    shared = recording(exc, np.broadcast_to(inh[2:3], exc.shape).copy()).ei.ei_correlation(over="neuron")
    assert np.isnan(shared).all() and shared.attrs["n_excluded"] == 7


def test_null_of_initialisation_is_recovered_from_an_untrained_network():
    """Independent Bernoulli inputs and E-I Init: 1/sqrt(2(1 + 1/n_I)) over samples, and none of it detailed."""
    torch = pytest.importorskip("torch")
    from eiplatform.networks import MLP, initialise_ei

    x = (torch.rand((1500, 300), generator=torch.Generator().manual_seed(1)) < 0.3).double()
    network = MLP((300,), 10, (80,)).double()  # a quarter as many inhibitory neurons
    initialise_ei(network, x, torch.Generator().manual_seed(2))
    wanted = {"fc1/E": frozenset({"current_exc", "current_inh"})}
    signals = network.run(x, record=wanted).signals["fc1/E"]
    data = recording(*(signals[name].detach().transpose(0, 1).numpy() for name in ("current_exc", "current_inh")))
    table = ei.summarise(data, ["ei_correlation_samples", "ei_correlation_samples_excess"], n_bootstrap=200)
    assert float(table["low"][0, 0]) < 1 / np.sqrt(2 * (1 + 1 / 20)) < float(table["high"][0, 0])
    assert float(table["value"][0, 1]) == pytest.approx(0, abs=1e-6)


def test_imbalance_index_is_beta_over_two_minus_beta():
    exc, inh = (np.abs(x) for x in mixed(12, 30, 4, 6))
    inh[:, :, 0] = exc[:, :, 0] = 0.0
    found, beta = recording(exc, inh).ei.imbalance_index(), recording(exc, inh).ei.balance_index()
    np.testing.assert_allclose(found[1:], (beta / (2 - beta))[1:], rtol=1e-10)
    assert np.isnan(found[0]) and found.attrs["n_excluded"] == 1


def test_mean_over_fluctuation_and_its_inputs():
    exc, inh = mixed(13, 50, 60, 4)
    net = exc - 0.8 * inh
    data = recording(exc, 0.8 * inh)
    over_samples = net.mean(axis=1).mean(axis=0) / net.mean(axis=1).std(axis=0)
    np.testing.assert_allclose(data.ei.mean_to_fluctuation(), over_samples, rtol=1e-8)
    over_time = net.mean(axis=(0, 1)) / np.sqrt(net.var(axis=1).mean(axis=0))
    np.testing.assert_allclose(data.ei.mean_to_fluctuation(over="time"), over_time, rtol=1e-8)
    np.testing.assert_allclose(data.ei.mean_to_fluctuation(n_inputs=100), over_samples / 10, rtol=1e-8)
    assert np.isnan(recording(exc, exc).ei.mean_to_fluctuation()).all()  # nothing is left
    with pytest.raises(StatisticError, match="at least 1"):
        data.ei.mean_to_fluctuation(n_inputs=0)


def test_rubin_measure_of_independent_inputs_does_not_depend_on_their_number():
    """N inputs of probability p and mean weight w: w p N / (sqrt(N) sqrt(N var)); unbalanced, so O(1)."""
    found = []
    for n in (200, 800):
        rng = np.random.default_rng(n)
        x = (rng.random((3000, n)) < 0.3).astype(float)
        exc = (x @ np.ones((n, 5)))[:, None]
        found.append(recording(exc, np.zeros_like(exc)).ei.mean_to_fluctuation(n_inputs=n).mean().item())
    np.testing.assert_allclose(found, 0.3 / np.sqrt(0.3 * 0.7), rtol=0.05)


def test_distribution_of_the_ratio_of_log_normal_currents():
    rng = np.random.default_rng(14)
    exc, inh = (np.exp(s * rng.normal(size=400)) for s in (0.5, 0.3))
    data = recording(*(np.broadcast_to(x, (3, 2, 400)).copy() for x in (3 * exc, inh)))
    found = data.ei.ei_ratio_distribution(quantiles=(0.5,))
    log = np.log(3 * exc / inh)
    assert float(found["mean"]) == pytest.approx(log.mean()) and float(found["sd"]) == pytest.approx(log.std())
    assert float(found["skewness"]) == pytest.approx(stats.skew(log))
    assert float(found["quantile"][0]) == pytest.approx(np.median(log))
    assert float(found["sd_low"]) < np.hypot(0.5, 0.3) < float(found["sd_high"])
    assert float(found["sd_shuffled"]) == pytest.approx(np.hypot(0.5, 0.3), rel=0.1)
    equalised = recording(*(np.broadcast_to(x, (3, 2, 400)).copy() for x in (3 * exc, exc))).ei.ei_ratio_distribution()
    assert float(equalised["sd"]) == pytest.approx(0, abs=1e-9) and float(equalised["correlation"]) == pytest.approx(1)
    assert float(equalised["sd_shuffled"]) > 0.6
    per_neuron = ei.per_neuron(data, "ei_ratio_sd")
    assert float(per_neuron.mean()) == pytest.approx(log.std())


def test_neurons_without_inhibition_are_counted_in_the_distribution():
    exc, inh = (np.abs(x) for x in mixed(15, 3, 2, 8))
    inh[:, :, 5] = 0.0
    found = recording(exc, inh).ei.ei_ratio_distribution()
    assert (found.attrs["n"], found.attrs["n_excluded"]) == (7, 1) and np.isnan(found["log_ratio"][5])
    with pytest.raises(StatisticError, match="no neuron has positive"):
        recording(exc, np.zeros_like(exc)).ei.ei_ratio_distribution()
    with pytest.raises(StatisticError, match="0 to 1"):
        recording(exc, inh).ei.ei_ratio_distribution(quantiles=(5,))


def test_beta_is_never_compared_raw_across_sizes():
    for key in ("balance_index", "ei_ratio", "imbalance_index", "mean_to_fluctuation_samples", "ei_ratio_sd"):
        assert not ei.STATISTICS[key].comparable
    assert "in-degree" in ei.STATISTICS["balance_index"].comparable_reason


def test_values_and_intervals_stay_within_what_is_possible():
    exc, inh = mixed(21, 40, 60, 6)
    table = ei.summarise(recording(exc, inh, label=np.arange(40) % 5), n_bootstrap=30)
    bounded = 0
    for key in table["statistic"].values:
        least, most = ei.STATISTICS[key].bounds
        cell = table.sel(statistic=key).squeeze()
        if "samples; their brightness leaks" in cell["note"].item():  # too few of a class for an interval
            assert key.startswith("ei_cotuning_") and np.isnan([cell["low"], cell["high"]]).all()
        elif np.isfinite(cell["value"]):
            assert least <= cell["low"] <= cell["value"] <= cell["high"] <= most, key
            bounded += np.isfinite(least)
    assert bounded > 15


def test_own_minus_cross_stands_beside_every_correlation():
    for key in ("ei_correlation_time", "ei_correlation_samples", "ei_correlation_neurons", "residual_variance_time",
                "residual_variance_samples", "ei_lag", "ei_peak", "ei_cotuning"):  # fmt: skip
        assert f"{key}_excess" in ei.STATISTICS


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda d: d.isel(neuron=[0, 1]).ei.ei_correlation(over="neuron"), "at least 5 neurons"),
        (lambda d: d.isel(sample=[0]).ei.ei_correlation(over="neuron", pairs="cross"), "at least 2 samples"),
        (lambda d: d.ei.residual_variance(), r"at least 50"),
        (lambda d: d.ei.residual_variance(over="sample"), "at least 30 samples"),
        (lambda d: d.ei.mean_to_fluctuation(), "at least 30 samples"),
        (lambda d: d.ei.ei_correlation_windows(), "at least 50"),
        (lambda d: d.isel(neuron=[0]).ei.ei_ratio_distribution(), "at least 5 neurons"),
    ],
)
def test_too_small_says_how_much_is_enough(call, error):
    exc, inh = mixed(19, 5, 10, 6)
    with pytest.raises(TooShortError, match=error):
        call(recording(exc, inh))


def test_a_wrong_axis_is_named():
    data = recording(*mixed(22, 2, 60, 5))
    for call in (data.ei.residual_variance, data.ei.mean_to_fluctuation):
        with pytest.raises(UnknownNameError, match="unknown estimator axis 'neuron'"):
            call(over="neuron")
    with pytest.raises(UnknownNameError, match="did you mean 'neuron'"):
        data.ei.ei_correlation(over="neurons")
    with pytest.raises(UnknownNameError, match="pairing"):
        data.ei.residual_variance(pairs="partial")


def test_windows_that_do_not_fit_are_refused():
    data = recording(*mixed(20, 2, 60, 5))
    with pytest.raises(TooShortError, match="windows up to 6 intervals"):
        data.ei.ei_correlation_windows(windows=[7])
    for wrong in ([1.5], [0], [2, 2], []):
        with pytest.raises(StatisticError):
            data.ei.ei_correlation_windows(windows=wrong)
    assert data.ei.ei_correlation_windows(n_bootstrap=2)["window"].values.tolist() == [1, 2, 5]


@pytest.mark.parametrize("k", [400, 6400])
def test_the_balance_index_depends_on_size_and_on_how_constant_drive_is_counted(k):
    """The trap: at weights 1/sqrt(K) and a net current of 1, beta is 1/(rate sqrt(K)), less with constant drive."""
    rng = np.random.default_rng(0)
    exc = rng.binomial(k, 0.2, (40, 5, 6)) / np.sqrt(k)
    inh = exc - 1.0
    found = float(ei.balance_index(recording(exc, inh)).mean())
    assert found == pytest.approx(1 / (0.2 * np.sqrt(k)), rel=0.02)
    drive = 3 * exc.mean()  # as much more of both: the same net current and fluctuations
    assert float(ei.balance_index(recording(exc + drive, inh + drive)).mean()) == pytest.approx(found / 4, rel=0.01)
    by_size = ("ei_ratio", "balance_index", "imbalance_index", "ei_ratio_sd", "mean_to_fluctuation_time")
    assert not any(ei.STATISTICS[key].comparable for key in by_size)
