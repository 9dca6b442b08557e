"""Autocorrelation times and spectra of processes with known ones."""

import numpy as np
import pytest
from scipy import signal as scipy_signal

import eiplatform.statistics as ei
from eiplatform.errors import StatisticError, TooShortError
from eiplatform.statistics import kernels
from eiplatform.store.schema import population_dataset


def network(units="step", dt=1.0, **signals):
    n_samples, n_steps, n_neurons = next(iter(signals.values())).shape
    return population_dataset(
        signals, sample=np.arange(n_samples), time=np.arange(n_steps) * dt, neuron=np.arange(n_neurons), dt=dt,
        time_units=units, current_units="1" if units == "step" else "mV", n_neurons=n_neurons, role="E",
    )  # fmt: skip


def noise(tau, shape, *, seed=0):
    """Return a stationary exponentially correlated Gaussian process of unit variance."""
    rng = np.random.default_rng(seed)
    a = np.exp(-1 / tau)
    drive = rng.normal(size=shape) * np.sqrt(1 - a**2)
    drive[:, 0] = rng.normal(size=(shape[0], shape[2]))
    return scipy_signal.lfilter([1.0], [1.0, -a], drive, axis=1)


@pytest.mark.parametrize("tau", [1.0, 3.0, 6.0])
def test_exponential_process_has_its_integrated_time(tau):
    found = network(voltage=noise(tau, (20, 1000, 30))).ei.timescale(max_lag=40)
    expected = 0.5 / np.tanh(0.5 / tau) - 0.5 * (np.exp(-40 / tau) / (1 - np.exp(-1 / tau)) * 2 * np.exp(-1 / tau))
    assert float(found.mean()) == pytest.approx(expected, rel=0.02)
    assert found.attrs["max_lag"] == "40 step" and found.attrs["units"] == "step"
    in_ms = network("ms", 0.5, voltage=noise(tau, (20, 1000, 30))).ei.timescale(max_lag=20)
    np.testing.assert_allclose(in_ms, 0.5 * found)
    assert in_ms.attrs["units"] == "ms"


def test_short_samples_do_not_bias_the_time():
    """The trap: about a sample's own mean, autocovariances are too low, here by a third of the time."""
    voltage = noise(5.0, (400, 100, 20), seed=1)
    deviation = voltage - voltage.mean(axis=1, keepdims=True)
    lags = range(1, 21)
    plain = 0.5 + sum((deviation[:, :-k] * deviation[:, k:]).mean() for k in lags) / (deviation**2).mean()
    truth = 0.5 + sum(np.exp(-k / 5) for k in lags)
    found = float(network(voltage=voltage).ei.timescale().mean())
    assert plain < 0.75 * truth and found == pytest.approx(truth, rel=0.06)


def test_lag_sums_are_the_explicit_ones_before_correction():
    signal = np.random.default_rng(0).normal(size=(2, 50, 3)).cumsum(axis=1)
    sums = kernels.LagSums.from_signal(signal, 6)
    x = signal - signal.mean(axis=1, keepdims=True)
    products = [(x[:, :43] * x[:, k : 43 + k]).mean(axis=1) for k in range(1, 8)]
    zero, first, second = (x**2).mean(axis=1), sum(products[:6]), sum(products[1:])
    offset = 2 * (zero / 2 + first) / (1 - 13 / 50) / 50
    np.testing.assert_allclose(sums.zero, zero + offset, rtol=1e-9)
    np.testing.assert_allclose(sums.first, first + 6 * offset, rtol=1e-9)
    np.testing.assert_allclose(sums.second, second + 6 * offset, rtol=1e-9)


def test_times_that_the_longest_lag_cuts_off_are_nan_and_counted():
    voltage = np.concatenate([noise(2.0, (10, 500, 3)), noise(60.0, (10, 500, 2)), np.ones((10, 500, 1))], axis=2)
    found = network(voltage=voltage).ei.timescale()
    assert np.isfinite(found[:3]).all() and np.isnan(found[3:]).all()
    assert (found.attrs["n"], found.attrs["n_excluded"]) == (3, 3) and "third" in found.attrs["exclusion"]
    assert np.isfinite(network(voltage=voltage).isel(neuron=[0]).ei.timescale(max_lag=100)).all()


@pytest.mark.parametrize("tau", [2.0, 8.0])
def test_spikes_of_a_slow_rate_have_its_decay(tau):
    """Doubly stochastic spikes: lag 0 is almost all noise, the decay beyond is that of the rate."""
    rate = 0.3 + 0.08 * noise(tau, (40, 1000, 60), seed=2)
    spikes = np.random.default_rng(3).random(rate.shape) < rate
    found = network(spikes=spikes).ei.timescale(signal="spikes")
    assert found.dims == () and float(found) == pytest.approx(tau, rel=0.12)
    assert float(kernels.integrated_time(np.ones((1, 40)), kernels.LagSums.from_signal(spikes, 20)).mean()) < 1
    cell = network(spikes=spikes).ei.summary(["timescale_spikes"], n_bootstrap=200).squeeze()
    assert cell["units"] == "step" and cell["low"] < tau < cell["high"]


def test_spikes_without_memory_have_no_timescale():
    spikes = np.random.default_rng(0).random((20, 500, 40)) < 0.2
    found = network(spikes=spikes).ei.timescale(signal="spikes")
    assert np.isnan(found) and "beyond chance" in found.attrs["exclusion"] and found.attrs["n_excluded"] == 40
    cell = network(spikes=spikes).ei.summary(["timescale_spikes"], n_bootstrap=5).squeeze()
    assert np.isnan(cell["value"]) and "undefined" in cell["note"].item()
    silent = network(spikes=np.zeros((3, 200, 4), bool)).ei.timescale(signal="spikes")
    assert np.isnan(silent)


def test_events_and_dense_spikes_have_the_same_timescale():
    rate = 0.3 + 0.1 * noise(4.0, (5, 600, 30), seed=4)
    dense = np.random.default_rng(5).random(rate.shape) < rate
    sample, step, neuron = np.nonzero(dense)
    events = population_dataset(
        {}, sample=np.arange(5), time=np.arange(600.0), neuron=np.arange(30), dt=1.0, time_units="ms",
        current_units="mV", n_neurons=30, role="E", attrs={"duration": 600.0},
        events={"spike_time": step.astype(float), "spike_neuron": neuron, "spike_sample": sample},
    )  # fmt: skip
    for window in (1, 3):
        a = network(spikes=dense).ei.timescale(signal="spikes", max_lag=30, window=window)
        b = events.ei.timescale(signal="spikes", max_lag=30, window=window)
        assert float(a) == pytest.approx(float(b), rel=1e-9)
    peaks = [data.ei.power_spectrum(window=1, segment=128)["power"].values for data in (network(spikes=dense), events)]
    np.testing.assert_allclose(*peaks, rtol=1e-9)


def test_influence_of_a_neuron_on_the_decay_time():
    rate = 0.3 + 0.1 * noise(4.0, (5, 600, 30), seed=4)
    sums = kernels.LagSums.from_signal(rate, 20)
    found = kernels.decay_time(np.ones((1, 5)), sums)[0]

    def value(w):
        return -1 / np.log((sums.second.mean(axis=0) @ w) / (sums.first.mean(axis=0) @ w))

    assert found.mean() == pytest.approx(value(np.ones(30)), rel=1e-9)
    for neuron in (0, 29):
        up = np.ones(30)
        up[neuron] += 1e-6
        assert found[neuron] - found.mean() == pytest.approx((value(up) - value(np.ones(30))) / 1e-6 * 30, rel=1e-3)


@pytest.mark.parametrize("frequency", [0.07, 0.2, 0.333])
def test_rhythm_is_found_at_its_frequency(frequency):
    time = np.arange(1000)
    rate = 0.2 * (1 + 0.5 * np.sin(2 * np.pi * frequency * time))[:, None]
    data = network(spikes=np.random.default_rng(0).random((10, 1000, 60)) < rate)
    found = data.ei.power_spectrum()
    assert float(found["peak"]) == pytest.approx(frequency, abs=0.001)
    assert float(found["height"]) > 10 and found["peak"].attrs["units"] == "1/step"
    cell = data.ei.summary(["spectrum_peak", "spectrum_height"], n_bootstrap=100).squeeze()
    assert cell["value"].values == pytest.approx([float(found["peak"]), float(found["height"])])
    assert (cell["low"] < cell["value"]).all() and (cell["value"] < cell["high"]).all()
    assert cell["units"].values.tolist() == ["1/step", "1"] and (cell["n_neurons"] == 60).all()


def test_poisson_population_has_power_one_and_no_peak():
    counts = np.random.default_rng(1).poisson(0.1, size=(20, 2000, 50))
    found = network(spikes=counts).ei.power_spectrum()
    assert float(found["power"].mean()) == pytest.approx(1, abs=0.02) and float(found["power"].std()) < 0.1
    assert np.isnan(found["peak"]) and np.isnan(found["height"])
    assert 0 not in found["frequency"] and float(found["frequency"].max()) == 0.5


def test_chance_peaks_are_as_rare_as_stated():
    rng = np.random.default_rng(2)
    frequency, power = kernels.population_spectrum(rng.normal(size=(1500, 640)), 1.0, 64)
    n = 19
    where, _ = kernels.spectrum_peak(frequency, power, n / (1 + 2 / 36 * (1 - 1 / n)))
    assert np.isfinite(where).mean() < 0.025
    strong = power.copy()
    strong[:, 12] *= 8
    assert np.isfinite(kernels.spectrum_peak(frequency, strong, 18.0)[0]).mean() > 0.97


def test_a_slow_drift_is_no_peak():
    data = network(spikes=np.random.default_rng(0).random((5, 1000, 60)) < 0.3 + 0.1 * noise(300.0, (5, 1000, 1)))
    assert np.isnan(data.ei.power_spectrum()["peak"])


def test_spectrum_of_a_circuit_is_in_hz_and_equals_scipy():
    rng = np.random.default_rng(3)
    n = 4000
    data = population_dataset(
        {}, sample=np.arange(1), time=np.arange(2000.0), neuron=np.arange(50), dt=1.0, time_units="ms",
        current_units="mV", n_neurons=50, role="E", attrs={"duration": 2000.0},
        events={"spike_time": rng.uniform(0, 2000, n), "spike_neuron": rng.integers(0, 50, n),
                "spike_sample": np.zeros(n, int)},
    )  # fmt: skip
    found = data.ei.power_spectrum()
    counts = np.bincount(data["spike_time"].values.astype(int), minlength=2000)
    f, power = scipy_signal.welch(counts, fs=1000, nperseg=512, detrend="constant")
    np.testing.assert_allclose(found["frequency"], f[1:])
    poisson = np.full(f.size, 2 * counts.mean() / 1000)
    poisson[-1] /= 2  # one-sided: the highest frequency stands for itself alone
    np.testing.assert_allclose(found["power"], (power / poisson)[1:], rtol=1e-9)
    assert found["frequency"].attrs["units"] == "Hz"


def test_poisson_neurons_have_a_power_of_one_at_every_frequency():
    data = network(spikes=np.random.default_rng(0).poisson(0.1, (150, 512, 20)))
    power = data.ei.power_spectrum()["power"]
    assert power.sizes["frequency"] == 64 and float(power.mean()) == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(power, 1.0, atol=0.2)  # the highest frequency too


def test_one_sample_has_a_peak_but_no_interval():
    rate = 0.2 * (1 + 0.8 * np.sin(2 * np.pi * 0.1 * np.arange(1000)))[:, None]
    data = network(spikes=np.random.default_rng(0).random((1, 1000, 60)) < rate)
    cell = data.ei.summary(["spectrum_peak"], n_bootstrap=20).squeeze()
    assert cell["value"].item() == pytest.approx(0.1, abs=0.002) and np.isnan(cell["low"]) and np.isnan(cell["high"])
    assert "samples only" in cell["note"].item()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d: d.ei.timescale(max_lag=50), TooShortError, r"at least 250"),
        (lambda d: d.ei.timescale(signal="spikes", max_lag=50), TooShortError, "at least 250"),
        (lambda d: d.ei.timescale(max_lag=1), StatisticError, "at least two intervals"),
        (lambda d: d.ei.timescale(max_lag=np.nan), StatisticError, "longest lag"),
        (lambda d: d.ei.timescale(window=2), StatisticError, "only spikes"),
        (lambda d: d.ei.power_spectrum(segment=256), TooShortError, "at least 256"),
        (lambda d: d.ei.power_spectrum(segment=4), StatisticError, "at least 8 windows"),
        (lambda d: d.isel(time=np.r_[0:100, 110:200]).ei.timescale(), StatisticError, "evenly spaced"),
    ],
)
def test_what_cannot_be_computed_says_why(call, error, message):
    rng = np.random.default_rng(0)
    data = network(voltage=rng.normal(size=(2, 200, 3)), spikes=rng.random((2, 200, 3)) < 0.3)
    with pytest.raises(error, match=message):
        call(data)


def test_another_signal_is_named():
    drive = noise(3.0, (5, 300, 4))
    found = network(drive=drive, voltage=drive).ei.timescale(signal="drive")
    np.testing.assert_array_equal(found, ei.timescale(network(drive=drive, voltage=drive)))
    assert found.attrs["long_name"] == "autocorrelation time of drive"
