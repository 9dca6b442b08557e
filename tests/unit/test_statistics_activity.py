"""Shape of the rates, sparseness, dead and saturated neurons, CV2 and LvR against closed forms."""

import numpy as np
import pytest
from scipy import stats

import eiplatform.statistics as ei
from eiplatform.errors import NotApplicableError, StatisticError, TooShortError, UnknownNameError
from eiplatform.statistics import kernels
from eiplatform.store.schema import population_dataset

ONE = np.ones((1, 1))


def network(spikes, **attrs):
    n_samples, n_steps, n_neurons = spikes.shape
    return population_dataset(
        {"spikes": spikes}, sample=np.arange(n_samples), time=np.arange(n_steps), neuron=np.arange(n_neurons), dt=1.0,
        time_units="step", current_units="1", n_neurons=n_neurons, role="E", attrs=attrs,
    )  # fmt: skip


def circuit(counts, duration=1000.0, *, seed=0, **attrs):
    """Return a population with `counts` spikes, shape (sample, neuron), at random times."""
    sample, neuron = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    time = np.random.default_rng(seed).uniform(0, duration, sample.size)
    return population_dataset(
        {}, sample=np.arange(counts.shape[0]), time=np.arange(duration), neuron=np.arange(counts.shape[1]), dt=1.0,
        time_units="ms", current_units="mV", n_neurons=counts.shape[1], role="E",
        events={"spike_time": time, "spike_neuron": neuron, "spike_sample": sample},
        attrs={"duration": duration, **attrs},
    )  # fmt: skip


def plain(rates, measure):
    logs = np.log(rates[rates > 0])
    return {
        "cv": lambda: rates.std() / rates.mean(),
        "gini": lambda: np.abs(rates[:, None] - rates).sum() / (2 * rates.size**2 * rates.mean()),
        "log_sd": lambda: logs.std(ddof=1),
        "log_skewness": lambda: stats.skew(logs),
    }[measure]()


@pytest.mark.parametrize("measure", kernels.RATE_MEASURES)
def test_shape_of_rates_and_influence_of_each_neuron(measure):
    rng = np.random.default_rng(0)
    rates = np.concatenate([rng.lognormal(0, 0.8, 57), np.zeros(3), [2.0, 2.0]])  # silent neurons and ties
    found = kernels.rate_shape(ONE, rates[None], measure)[0]
    kept = np.isfinite(found)
    assert (kept == ((rates > 0) | (measure in ("cv", "gini")))).all()
    value = plain(rates, measure)
    assert found[kept].mean() == pytest.approx(value, rel=1e-9)
    # The influence is the derivative in a neuron's weight: one more copy of it among 20.
    many = np.tile(rates, 20)
    for neuron in (0, 5, 61):
        change = (plain(np.append(many, rates[neuron]), measure) - plain(many, measure)) * 20 * kept.sum()
        assert found[neuron] - value == pytest.approx(change, rel=0.05, abs=0.05)


def test_law_of_rates_is_recovered():
    rng = np.random.default_rng(1)
    lognormal, exponential = rng.lognormal(1, 0.7, (1, 40_000)), rng.exponential(3.0, (1, 40_000))
    assert kernels.rate_shape(ONE, lognormal, "log_sd").mean() == pytest.approx(0.7, rel=0.01)
    assert kernels.rate_shape(ONE, lognormal, "log_skewness").mean() == pytest.approx(0, abs=0.04)
    assert kernels.rate_shape(ONE, lognormal, "gini").mean() == pytest.approx(
        2 * stats.norm.cdf(0.7 / 2**0.5) - 1, abs=0.005
    )
    assert kernels.rate_shape(ONE, exponential, "cv").mean() == pytest.approx(1, abs=0.02)
    assert kernels.rate_shape(ONE, exponential, "gini").mean() == pytest.approx(0.5, abs=0.005)


def test_equal_rates_and_silence():
    equal, silent = np.full((1, 8), 0.3), np.zeros((1, 8))
    for measure, value in (("cv", 0.0), ("gini", 0.0), ("log_sd", np.nan), ("log_skewness", np.nan)):
        np.testing.assert_allclose(kernels.rate_shape(ONE, equal, measure), value, atol=1e-12)
        assert np.isnan(kernels.rate_shape(ONE, silent, measure)).all()


def test_interval_of_the_rates_shape_covers_the_truth():
    """Neurons and samples are both resampled: 95 % intervals of the Gini index hold 0.5 for exponential rates."""
    hits = 0
    for seed in range(100):
        table = np.random.default_rng(seed).exponential(1.0, (1, 150)) + np.zeros((5, 1))
        unit = kernels.NeuronValues(lambda w, t=table: kernels.rate_shape(w, t, "gini"), 5, 150)
        interval = kernels.hierarchical_bootstrap([unit], n_bootstrap=200)
        hits += interval.low <= 0.5 <= interval.high
    assert 0.90 <= hits / 100 <= 0.99


def test_few_spikes_widen_the_distribution_of_equal_neurons():
    """The trap: equal Poisson neurons with n spikes have a CV of 1/sqrt(n), which stands beside the CV."""
    rng = np.random.default_rng(2)
    for mean in (4, 100):
        found = circuit(rng.poisson(mean, (1, 1500))).ei.rate_distribution()
        assert float(found["cv"]) == pytest.approx(1 / np.sqrt(mean), rel=0.05)
        assert float(found["cv_poisson"]) == pytest.approx(float(found["cv"]), rel=0.05)


def test_description_of_the_rates():
    counts = np.random.default_rng(3).poisson(np.random.default_rng(4).lognormal(3, 0.5, 400), (2, 400))
    counts[:, :40] = 0
    found = circuit(counts).ei.rate_distribution(quantiles=(0.5,))
    rates = counts.sum(axis=0) / 2.0  # Hz
    assert found.attrs["units"] == "Hz" and (found.attrs["n"], found.attrs["n_active"]) == (400, 360)
    assert float(found["silent"]) == 0.1
    fit = (found["log_mean"].item(), found["log_sd"].item())
    for name, value in (
        ("mean", rates.mean()), ("sd", rates.std()), ("skewness", stats.skew(rates)),
        ("kurtosis", stats.kurtosis(rates)), ("gini", plain(rates, "gini")),
        ("log_mean", np.log(rates[rates > 0]).mean()), ("log_sd", plain(rates, "log_sd")),
        ("log_distance", stats.kstest(np.log(rates[rates > 0]), "norm", fit).statistic),
    ):  # fmt: skip
        assert float(found[name]) == pytest.approx(value, rel=1e-9), name
    assert float(found["quantile"].item()) == np.median(rates)
    silent = circuit(np.zeros((2, 5), int)).ei.rate_distribution()
    assert float(silent["mean"]) == 0 and float(silent["silent"]) == 1
    assert all(np.isnan(silent[name]) for name in ("cv", "gini", "log_sd", "log_distance", "cv_poisson", "skewness"))
    with pytest.raises(StatisticError, match="0 to 1"):
        circuit(counts).ei.rate_distribution(quantiles=(50,))


def test_sparseness_of_known_responses():
    n = 10
    table = np.zeros((n, 4))
    table[:, 0], table[0, 1], table[:5, 2] = 3.0, 7.0, 1.0
    found = kernels.lifetime_sparseness(np.ones((1, n)), table)[0]
    np.testing.assert_allclose(found, [0, 1, 0.5 / (1 - 1 / n), np.nan], atol=1e-12)
    np.testing.assert_allclose(
        kernels.population_sparseness(table.T).mean(axis=1), [0, 1, 0.5 / 0.9, np.nan], atol=1e-12
    )
    # Exponential responses: <r>^2/<r^2> = 1/2.
    many = np.random.default_rng(0).exponential(size=(20_000, 3))
    np.testing.assert_allclose(kernels.lifetime_sparseness(np.ones((1, 20_000)), many), 0.5, atol=0.02)


def test_noise_of_counts_looks_like_sparseness():
    """The trap: Poisson neurons without any preference read 1/(1 + spikes per sample)."""
    rng = np.random.default_rng(5)
    for mean in (1, 9):
        data = circuit(rng.poisson(mean, (200, 300)))
        for kind in ("lifetime", "population"):
            assert float(data.ei.sparseness(kind=kind).mean()) == pytest.approx(1 / (1 + mean), rel=0.04)


def test_population_sparseness_skips_silent_samples_and_says_what_it_is():
    spikes = np.zeros((30, 4, 6), bool)
    spikes[:15, :, 0] = True
    found = network(spikes).ei.sparseness(kind="population")
    assert found.dims == () and float(found) == pytest.approx(1)
    assert found.attrs["n"] == 6 and "no neuron fires" in found.attrs["exclusion"]
    with pytest.raises(TooShortError, match="30 samples"):
        network(spikes[:29]).ei.sparseness()
    with pytest.raises(UnknownNameError, match="sparseness"):
        network(spikes).ei.sparseness(kind="both")
    with pytest.raises(NotApplicableError, match="one neuron"):
        network(spikes[:, :, :1]).ei.sparseness(kind="population")


def test_dead_and_saturated_neurons():
    spikes = np.random.default_rng(0).random((30, 20, 10)) < 0.5
    spikes[:, :, 0], spikes[:, :, 1] = False, True
    spikes[:, :18, 2], spikes[:, 18:, 2] = True, False  # 18 of 20 steps: exactly 0.9
    data = network(spikes)
    np.testing.assert_array_equal(data.ei.dead_fraction(), np.arange(10) == 0)
    np.testing.assert_array_equal(data.ei.saturated_fraction(), (np.arange(10) == 1) | (np.arange(10) == 2))
    assert data.ei.saturated_fraction(share=0.95).sum() == 1
    table = data.ei.summary(["dead_fraction", "saturated_fraction"], n_bootstrap=20)
    np.testing.assert_allclose(table["value"].squeeze(), [0.1, 0.2])
    assert ((table["low"] > 0) & (table["low"] < table["value"])).all()  # Wilson: no share is negative
    with pytest.raises(StatisticError, match="share"):
        data.ei.saturated_fraction(share=0)


def test_highest_rate_of_a_circuit_is_its_refractory_period():
    counts = np.array([[450, 449, 10]])
    assert circuit(counts, refractory=2.0).ei.saturated_fraction().values.tolist() == [1, 0, 0]
    none = circuit(counts)
    with pytest.raises(NotApplicableError, match="maximum= in Hz"):
        none.ei.saturated_fraction()
    assert none.ei.saturated_fraction(maximum=500).sum() == 1
    with pytest.raises(StatisticError, match="highest rate"):
        none.ei.saturated_fraction(maximum=-1)
    cell = none.ei.summary(["saturated_fraction"], n_bootstrap=5).squeeze()
    assert np.isnan(cell["value"]) and "refractory" in cell["note"].item()


def renewal(shape, rate, *, n_neurons=300, n_spikes=400, dead=0.0, seed=0):
    """Trains of gamma intervals after a dead time, mean 1/rate in all."""
    rng = np.random.default_rng(seed)
    isi = dead + rng.gamma(shape, (1 / rate - dead) / shape, size=(n_neurons, n_spikes))
    time = np.cumsum(isi, axis=1)
    return kernels.SpikeTrains.from_events(
        time.ravel(), np.repeat(np.arange(n_neurons), n_spikes), np.zeros(time.size, int),
        n_neurons=n_neurons, n_samples=1, duration=float(time.max()) + 1, units="ms",
    )  # fmt: skip


@pytest.mark.parametrize("shape", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("rate", [0.005, 0.05])
def test_gamma_intervals_have_their_lvr(shape, rate):
    found = kernels.lvr(renewal(shape, rate), ONE, refractoriness=5.0).mean()
    assert found == pytest.approx(3 / (2 * shape + 1) * (1 + 4 * 5 * rate * shape / (2 * shape - 1)), rel=0.01)


@pytest.mark.parametrize(("shape", "expected"), [(1.0, 1.0), (2.0, 0.75), (3.0, 0.625)])
def test_gamma_intervals_have_their_cv2(shape, expected):
    # |a - b|/(a + b) for gamma intervals: E|2B - 1| with B ~ Beta(k, k), which is C(2k, k)/4^k.
    assert kernels.cv2(renewal(shape, 0.01), ONE).mean() == pytest.approx(2 * expected / 2, rel=0.01)


def test_lvr_gives_back_what_a_refractory_period_takes():
    """To first order in rate times R: at 1/4 a quarter of the way to 1 is still missing."""
    for rate, low, high in ((0.005, 0.985, 1.01), (0.02, 0.9, 1.0), (0.05, 0.7, 0.77)):
        trains = renewal(1.0, rate, dead=5.0)
        lv, lvr = kernels.lv(trains, ONE).mean(), kernels.lvr(trains, ONE, refractoriness=5.0).mean()
        assert lv < lvr - 3 * rate and low < lvr < high
    np.testing.assert_array_equal(kernels.lvr(trains, ONE, refractoriness=0.0), kernels.lv(trains, ONE))


@pytest.mark.parametrize("n_spikes", [5, 10, 20])
def test_cv2_and_lvr_are_not_biased_by_few_spikes(n_spikes):
    trains = renewal(1.0, 0.01, n_neurons=20_000, n_spikes=n_spikes, seed=n_spikes)
    assert kernels.cv2(trains, ONE, min_spikes=3).mean() == pytest.approx(1, abs=0.02)
    assert kernels.lvr(trains, ONE, refractoriness=0, min_spikes=3).mean() == pytest.approx(1, abs=0.02)
    assert kernels.cv_isi(trains, ONE, min_spikes=3).mean() < 0.95


def test_refractoriness_is_stated():
    counts = np.full((1, 5), 60)
    found = circuit(counts).ei.lvr()
    assert found.attrs["refractoriness"] == "5 ms" and found.attrs["min_spikes"] == 10
    spikes = np.random.default_rng(0).random((2, 200, 4)) < 0.3
    assert network(spikes).ei.lvr().attrs["refractoriness"] == "0 step"
    np.testing.assert_allclose(network(spikes).ei.lvr(), network(spikes).ei.lv())
    assert (circuit(counts).ei.lvr(refractoriness=2) < found).all()
    for wrong in (-1.0, np.nan):
        with pytest.raises(StatisticError, match="refractoriness"):
            circuit(counts).ei.lvr(refractoriness=wrong)
    with pytest.raises(TooShortError, match="CV2 over time"):
        network(spikes[:, :40]).ei.cv2()
    silent = network(np.zeros((2, 200, 4), bool)).ei.cv2()
    assert np.isnan(silent).all() and silent.attrs["n_excluded"] == 4


def test_whole_population_has_one_value_with_an_interval():
    spikes = np.random.default_rng(1).random((40, 20, 30)) < np.random.default_rng(2).random(30)
    data = network(spikes)
    cell = data.ei.summary(["rate_gini"], n_bootstrap=300).squeeze()
    assert cell["low"] < cell["value"] < cell["high"]
    assert cell["value"].item() == pytest.approx(float(ei.per_neuron(data, "rate_gini")), rel=1e-12)
    assert (cell["n_neurons"].item(), cell["n_used"].item()) == (30, 30)
    # The spread over neurons is in the interval: fewer neurons, a wider one.
    few = data.isel(neuron=slice(0, 30, 3)).ei.summary(["rate_gini"], n_bootstrap=300).squeeze()
    assert few["high"] - few["low"] > 1.3 * (cell["high"] - cell["low"])
    silent = network(np.zeros((40, 20, 5), bool)).ei.summary(["rate_gini", "rate_log_sd"], n_bootstrap=5)
    assert np.isnan(silent["value"]).all() and (silent["n_excluded"] == 5).all()
    assert all("undefined" in note for note in silent["note"].values.ravel())
