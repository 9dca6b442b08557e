"""Our kernels against elephant's, where it has the same measure; skipped where elephant is absent."""

import numpy as np
import pytest

from eiplatform.statistics import kernels

statistics = pytest.importorskip("elephant.statistics", exc_type=ImportError)
neo = pytest.importorskip("neo", exc_type=ImportError)
pq = pytest.importorskip("quantities", exc_type=ImportError)

# Elephant 1.2.1 passes quantities an argument that it has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:The 'copy' argument in Quantity is deprecated")
ONE = np.ones((1, 1))
N, DURATION = 12, 5000.0


@pytest.fixture(scope="module")
def times():
    """Spike times in ms of neurons that share bursts, of unlike rates."""
    rng = np.random.default_rng(0)
    bursts = rng.uniform(0, DURATION, 60)
    found = []
    for neuron in range(N):
        isi = rng.gamma(2.0, (20 + 5 * neuron) / 2, 1000)
        joined = np.concatenate([np.cumsum(isi), bursts[rng.random(60) < 0.5] + rng.normal(0, 2)])
        found.append(np.sort(joined[(joined > 0) & (joined < DURATION)]))
    return found


@pytest.fixture(scope="module")
def trains(times):
    neuron = np.repeat(np.arange(N), [len(t) for t in times])
    return kernels.SpikeTrains.from_events(
        np.concatenate(times), neuron, np.zeros(neuron.size, int),
        n_neurons=N, n_samples=1, duration=DURATION, units="ms",
    )  # fmt: skip


@pytest.fixture(scope="module")
def spiketrains(times):
    return [neo.SpikeTrain(t, units="ms", t_stop=DURATION) for t in times]


def test_intervals(times, trains):
    isi = [np.diff(t) for t in times]
    for kernel, oracle in ((kernels.cv_isi, statistics.cv), (kernels.lv, statistics.lv), (kernels.cv2, statistics.cv2)):
        np.testing.assert_allclose(kernel(trains, ONE)[0], [float(oracle(i)) for i in isi], rtol=1e-10)
    for constant in (0.0, 2.0, 5.0):
        oracle = [float(statistics.lvr(i * pq.ms, R=constant * pq.ms)) for i in isi]
        np.testing.assert_allclose(kernels.lvr(trains, ONE, refractoriness=constant)[0], oracle, rtol=1e-10)


def test_rates(trains, spiketrains):
    oracle = [float(statistics.mean_firing_rate(t).rescale("1/ms")) for t in spiketrains]
    np.testing.assert_allclose(kernels.rate(trains, ONE)[0], oracle, rtol=1e-10)


@pytest.mark.parametrize("window", [5, 50])
def test_pair_correlations(trains, spiketrains, window):
    conversion = pytest.importorskip("elephant.conversion", exc_type=ImportError)
    correlation = pytest.importorskip("elephant.spike_train_correlation", exc_type=ImportError)
    binned = conversion.BinnedSpikeTrain(spiketrains, bin_size=window * pq.ms)
    oracle = correlation.correlation_coefficient(binned)[np.triu_indices(N, 1)]
    found = kernels.pair_correlations(ONE, trains.binned(float(window), np.arange(N)))[0]
    np.testing.assert_allclose(found, oracle, rtol=1e-9)
    assert oracle.mean() > 0.02  # the common bursts


def test_spectrum(trains):
    spectral = pytest.importorskip("elephant.spectral", exc_type=ImportError)
    counts = trains.population_counts(1.0)
    f, power = spectral.welch_psd(counts[0], len_segment=512, fs=1000.0, overlap=0.5, window="hann", detrend="constant")
    ours_f, ours = kernels.population_spectrum(counts, 1000.0, 512)
    np.testing.assert_allclose(ours_f, np.asarray(f)[1:], rtol=1e-9)
    np.testing.assert_allclose(ours[0], np.asarray(power).ravel()[1:], rtol=1e-9)
