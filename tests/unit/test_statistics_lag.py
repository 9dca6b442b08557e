"""Cross-correlogram of excitation and inhibition: closed forms, brute force, known lag and correlation."""

import numpy as np
import pytest
from scipy import signal, stats

import eiplatform.statistics as ei
from eiplatform.errors import StatisticError, TooShortError, UnknownNameError
from eiplatform.statistics import kernels
from eiplatform.store.schema import population_dataset


def recording(exc, inh, *, dt=1.0, units="step"):
    samples, steps, neurons = exc.shape
    return population_dataset(
        {"current_exc": exc.astype(np.float32), "current_inh": inh.astype(np.float32)}, sample=np.arange(samples),
        time=np.arange(steps) * dt, neuron=np.arange(neurons), dt=dt, time_units=units, current_units="1",
        n_neurons=neurons, role="E",
    )  # fmt: skip


def ornstein_uhlenbeck(rng, shape, tau):
    """Stationary, of unit variance, time constant `tau` intervals, along axis 1."""
    keep = np.exp(-1 / tau)
    noise = rng.normal(size=shape) * np.sqrt(1 - keep**2)
    noise[:, 0] = rng.normal(size=noise[:, 0].shape)
    return signal.lfilter([1.0], [1.0, -keep], noise, axis=1)


def coupled(seed, rho, lag, *, samples=12, steps=600, neurons=20, tau=4.0):
    """E, and I that follows it by `lag` intervals with correlation `rho` there."""
    rng = np.random.default_rng(seed)
    x = ornstein_uhlenbeck(rng, (samples, steps + 20, neurons), tau)
    y = ornstein_uhlenbeck(rng, (samples, steps + 20, neurons), tau)
    inh = rho * np.roll(x, lag, axis=1) + np.sqrt(1 - rho**2) * y
    return 5 + x[:, 10:-10], 5 + inh[:, 10:-10]


def explicit_correlogram(exc, inh, max_lag):
    """One pair of series, lag by lag."""
    e, i = (exc - exc.mean()) / exc.std(), (inh - inh.mean()) / inh.std()
    t = len(e)
    return np.array([
        np.mean(e[: t - k] * i[k:]) if k >= 0 else np.mean(e[-k:] * i[: t + k]) for k in range(-max_lag, max_lag + 1)
    ])  # fmt: skip


def test_correlogram_equals_loops_and_scipy():
    rng = np.random.default_rng(1)
    exc, inh = rng.gamma(2.0, size=(2, 61, 4)), rng.gamma(2.0, size=(2, 61, 4))
    own, cross = kernels.correlogram(exc, inh, 7)
    for s in range(2):
        table = np.array([[explicit_correlogram(exc[s, :, i], inh[s, :, j], 7) for j in range(4)] for i in range(4)])
        for n in range(4):
            np.testing.assert_allclose(own[:, s, n], table[n, n], atol=1e-6)
            np.testing.assert_allclose(
                cross[:, s, n], np.mean([table[n, j] for j in range(4) if j != n], axis=0), atol=1e-6
            )
    e, i = (stats.zscore(x[0, :, 0]) for x in (exc, inh))
    full = signal.correlate(i, e, mode="full")[60 - 7 : 60 + 8]
    np.testing.assert_allclose(own[:, 0, 0] * (61 - np.abs(np.arange(-7, 8))), full, atol=1e-5)


def test_lag_zero_is_the_correlation_over_time():
    exc, inh = coupled(2, 0.5, 2, samples=3, steps=100, neurons=4)
    data = recording(exc, inh)
    found = data.ei.ei_correlogram(max_lag=5, n_bootstrap=5)
    for pairs in ("own", "cross", "excess"):
        here = found["correlation"].sel(pairs=pairs, lag=0)
        np.testing.assert_allclose(here, data.ei.ei_correlation(over="time", pairs=pairs), atol=1e-6)


@pytest.mark.parametrize(("rho", "lag"), [(0.9, 3), (0.6, -4), (0.4, 0)])
def test_correlation_and_lag_of_ornstein_uhlenbeck_pairs_lie_in_their_intervals(rho, lag):
    found = recording(*coupled(3, rho, lag), dt=0.5, units="ms").ei.ei_correlogram(n_bootstrap=300)
    own = found.sel(pairs="own")
    assert float(own["peak_lag_low"]) <= 0.5 * lag <= float(own["peak_lag_high"])
    assert abs(float(own["peak_lag"]) - 0.5 * lag) < 0.1
    # A moving window of T intervals has lost 2 tau/T of the variance (tau 4 of 600), which scales out of r to
    # first order; the interval holds the truth.
    assert float(own["peak_low"]) < rho < float(own["peak_high"])
    excess = found.sel(pairs="excess")
    assert float(excess["peak_low"]) < rho < float(excess["peak_high"])
    assert float(found["mean"].sel(pairs="cross").max()) < 0.05


def test_the_whole_correlogram_has_its_closed_form():
    exc, inh = coupled(4, 0.8, 2, samples=60, steps=1000, neurons=10)
    found = recording(exc, inh).ei.ei_correlogram(n_bootstrap=2)
    mean = found["mean"].sel(pairs="own")
    expected = 0.8 * np.exp(-np.abs(mean["lag"].values - 2) / 4)
    np.testing.assert_allclose(mean, expected, atol=0.015)


def test_shared_rhythm_has_a_peak_of_its_own_but_no_excess():
    rng = np.random.default_rng(5)
    common = ornstein_uhlenbeck(rng, (6, 400, 1), 4.0)
    exc, inh = (20 + np.roll(common, k, axis=1) + 0.3 * rng.normal(size=(6, 400, 15)) for k in (0, 2))
    found = recording(exc[:, 5:], inh[:, 5:]).ei.ei_correlogram(n_bootstrap=50)
    assert float(found["peak_lag"].sel(pairs="own")) == pytest.approx(2, abs=0.3)
    assert float(found["peak"].sel(pairs="cross")) == pytest.approx(float(found["peak"].sel(pairs="own")), abs=0.01)
    assert abs(found["mean"].sel(pairs="excess")).max() < 0.01


def test_lag_per_neuron_and_its_units():
    exc, inh = coupled(6, 0.9, 3, samples=4, steps=500, neurons=6)
    data = recording(exc, inh, dt=0.5, units="ms")
    lag = data.ei.ei_lag()
    assert lag.attrs["units"] == "ms" and (abs(lag - 1.5) < 0.2).all()
    assert (abs(data.ei.ei_lag(measure="peak") - 0.9) < 0.1).all()
    assert ei.per_neuron(recording(exc, inh), "ei_lag").attrs["units"] == "step"
    table = ei.summarise(data, ["ei_lag", "ei_peak"], n_bootstrap=20)
    assert table["units"].values.ravel().tolist() == ["ms", "1"]
    assert float(table["value"][0, 0]) == pytest.approx(float(lag.mean()))


def test_intervals_of_long_lags_are_not_those_of_correlations():
    table = ei.summarise(recording(*coupled(11, 0.9, 6, samples=4)), ["ei_lag_excess"], n_bootstrap=50)
    assert 5.5 < float(table["low"].item()) < 6.5 and float(table["low"].item()) < float(table["high"].item())


def test_exchange_of_the_currents_reverses_the_lags():
    exc, inh = coupled(7, 0.7, 3, samples=2, steps=200, neurons=3)
    own, _ = kernels.correlogram(exc, inh, 6)
    back, _ = kernels.correlogram(inh, exc, 6)
    np.testing.assert_allclose(own[::-1], back, atol=1e-6)


def test_peaks_at_the_edge_and_constant_currents_are_nan():
    exc, inh = coupled(8, 0.9, 5, samples=3, steps=200, neurons=4)
    exc, inh = 20 + exc, 20 + inh  # magnitudes
    exc[:, :, 1] = 2.0
    inh[:, :, 2] = 40 - exc[:, :, 2]
    data = recording(exc, inh)
    lag = data.ei.ei_lag(max_lag=8)
    assert np.isnan(lag[1]) and np.isfinite(lag[[0, 3]]).all() and lag.attrs["n_excluded"] >= 1
    assert np.isnan(data.ei.ei_lag(max_lag=4)[[0, 1, 3]]).all()  # the peak lies outside
    found = data.ei.ei_correlogram(max_lag=8, n_bootstrap=5)
    assert found.attrs["n_excluded"] == 1 and np.isnan(found["correlation"].sel(neuron=1)).all()
    assert np.isfinite(found["mean"]).all()


def test_pooled_peak_is_that_of_the_mean_curve_with_true_derivatives():
    rng = np.random.default_rng(9)
    lags = np.arange(-5, 6)[:, None]
    curves = np.exp(-((lags - rng.normal(1.0, 0.4, size=9)) ** 2) / 8)[None]
    lag, height = kernels.pooled_peak(curves)
    want = kernels.peak(curves.mean(axis=2, keepdims=True))
    np.testing.assert_allclose([lag.mean(), height.mean()], [want[0].item(), want[1].item()], rtol=1e-12)
    step = 1e-6
    for n in range(9):
        w = np.full(9, (1 - step) / 9)
        w[n] += step
        moved = kernels.peak((curves * w).sum(axis=2, keepdims=True))
        for row, before, after in zip((lag, height), want, moved, strict=True):
            assert (after.item() - before.item()) / step == pytest.approx(row[0, n] - before.item(), abs=1e-5)


def test_impossible_lags_are_refused():
    data = recording(*coupled(10, 0.5, 0, samples=2, steps=80, neurons=3), dt=0.5, units="ms")
    with pytest.raises(TooShortError, match="at least 120 intervals"):
        data.ei.ei_correlogram(max_lag=15)
    with pytest.raises(StatisticError, match=r"whole intervals of 0.5 ms"):
        data.ei.ei_correlogram(max_lag=0.7)
    with pytest.raises(TooShortError, match="at least 50"):
        data.isel(time=slice(40)).ei.ei_lag()
    with pytest.raises(UnknownNameError, match="pairing"):
        data.ei.ei_lag(pairs="cross")
