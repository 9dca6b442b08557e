"""What no statistic of activity may depend on: units, order, repetition, how samples are split."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eiplatform.statistics as ei
from eiplatform.statistics import kernels
from eiplatform.statistics.kernels.synchrony import SharedSums
from eiplatform.store.schema import population_dataset
from tests.examples import examples

seeds = st.integers(0, 2**32 - 1)
ONES = ("spikes", "voltage")
POPULATION = [
    key for key, entry in ei.STATISTICS.items() if entry.level == "population" and set(entry.needs) <= set(ONES)
]


def population(seed, n_samples=31, n_steps=130, n_neurons=101):
    rng = np.random.default_rng(seed)
    shape = (n_samples, n_steps, n_neurons)
    rate = 0.3 + 0.2 * np.sin(0.8 * np.arange(n_steps))[:, None] * rng.random(n_neurons)
    slow = np.repeat(rng.normal(0, 0.1, (n_samples, n_steps // 10, n_neurons)), 10, axis=1)
    common = rng.normal(size=(*shape[:2], 1))
    return population_dataset(
        {"voltage": common + rng.normal(size=shape), "spikes": rng.random(shape) < rate + slow},
        sample=np.arange(n_samples), time=np.arange(n_steps), neuron=np.arange(n_neurons), dt=1.0,
        time_units="step", current_units="1", n_neurons=n_neurons, role="E",
    )  # fmt: skip


@examples(4)
@given(seed=seeds)
def test_order_of_neurons_and_samples_does_not_matter(seed):
    data = population(seed)
    rng = np.random.default_rng(seed)
    shuffled = data.isel(neuron=rng.permutation(101), sample=rng.permutation(31))
    for key in POPULATION:
        value = float(ei.per_neuron(data, key))
        assert np.isfinite(value), key
        assert float(ei.per_neuron(shuffled, key)) == pytest.approx(value, rel=1e-8), key


def every_kernel():
    """Return every kernel as a function of (weights, spike counts (sample, time, neuron))."""

    def trains(x):
        return kernels.SpikeTrains.from_dense(x, dt=1.0, units="step")

    return {
        "cv2": lambda w, x: kernels.cv2(trains(x), w, min_spikes=3),
        "lvr": lambda w, x: kernels.lvr(trains(x), w, refractoriness=2.0, min_spikes=3),
        "lifetime": lambda w, x: kernels.lifetime_sparseness(w, x.sum(axis=1)),
        "population": lambda w, x: kernels.weighted_nanmean(w, kernels.population_sparseness(x.sum(axis=1))),
        "dead": lambda w, x: kernels.dead(w, x.sum(axis=1)),
        "saturated": lambda w, x: kernels.saturated(w, x.mean(axis=1), 0.4),
        "chi": lambda w, x: kernels.chi(w, SharedSums.from_signal(x), 4),
        "synchrony": lambda w, x: kernels.count_synchrony(w, SharedSums.from_trains(trains(x), 2.0), 4),
        "pairs": lambda w, x: kernels.pair_correlations(w, x),
        "partners": lambda w, x: kernels.partner_mean(kernels.pair_correlations(w, x), x.shape[2]),
        "integrated": lambda w, x: kernels.integrated_time(w, kernels.LagSums.from_signal(x, 5)),
        "decay": lambda w, x: kernels.decay_time(w, kernels.LagSums.from_signal(x, 5)),
        **{
            f"rate_{measure}": lambda w, x, m=measure: kernels.rate_shape(w, x.mean(axis=1), m)
            for measure in kernels.RATE_MEASURES
        },
    }


def counts(seed, n_samples=5):
    rng = np.random.default_rng(seed)
    slow = np.repeat(rng.gamma(1.0, 0.5, (n_samples, 12, 6)), 5, axis=1)
    found = rng.poisson(slow).astype(float)
    found[:, :, 4] = 0.0
    return found


@examples(25)
@given(seed=seeds, rows=st.lists(st.integers(0, 4), min_size=5, max_size=5))
def test_a_weight_is_a_repetition(seed, rows):
    """What makes a draw of the bootstrap right: weights equal a recording in which samples are repeated."""
    data, weights = counts(seed), np.bincount(rows, minlength=5)[None].astype(float)
    for name, kernel in every_kernel().items():
        one = np.ones((1, 5))
        np.testing.assert_allclose(kernel(weights, data), kernel(one, data[rows]), rtol=1e-7, atol=1e-9, err_msg=name)


@examples(25)
@given(seed=seeds, where=st.integers(1, 4))
def test_sums_of_shards_are_the_sums_of_the_whole(seed, where):
    data = counts(seed)
    parts, one = (data[:where], data[where:]), np.ones((1, 5))
    for make, fields in (
        (SharedSums.from_signal, ("mean", "variance", "shared")),
        (lambda x: kernels.LagSums.from_signal(x, 5), ("zero", "first", "second")),
    ):
        whole = make(data)
        for name in fields:
            merged = np.concatenate([getattr(make(part), name) for part in parts])
            np.testing.assert_allclose(merged, getattr(whole, name), rtol=1e-12, atol=1e-12)
    table = [kernels.population_sparseness(part.sum(axis=1)) for part in parts]
    np.testing.assert_allclose(
        kernels.weighted_nanmean(one, np.concatenate(table)),
        kernels.weighted_nanmean(one, kernels.population_sparseness(data.sum(axis=1))),
    )


@examples(25)
@given(seed=seeds, scale=st.floats(1e-3, 1e3), shift=st.floats(-2, 2))
def test_units_do_not_matter(seed, scale, shift):
    rng = np.random.default_rng(seed)
    signal = (rng.normal(size=(3, 60, 6)) + rng.normal(size=(3, 60, 1))).cumsum(axis=1)
    other, one = scale * (signal + shift), np.ones((1, 3))
    for kernel in (
        lambda x: kernels.chi(one, SharedSums.from_signal(x), 4),
        lambda x: kernels.pair_correlations(one, x),
        lambda x: kernels.integrated_time(one, kernels.LagSums.from_signal(x, 5)),
        lambda x: kernels.decay_time(one, kernels.LagSums.from_signal(x, 5)),
        lambda x: kernels.participation_ratio(x, 4)[0],
    ):
        np.testing.assert_allclose(kernel(other), kernel(signal), rtol=1e-6, atol=1e-9)
    rates = rng.gamma(1.0, size=(3, 6))
    for kernel in (
        kernels.lifetime_sparseness,
        *(lambda w, x, m=m: kernels.rate_shape(w, x, m) for m in kernels.RATE_MEASURES),
    ):
        np.testing.assert_allclose(kernel(one, scale * rates), kernel(one, rates), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(
        kernels.population_sparseness(scale * rates), kernels.population_sparseness(rates), rtol=1e-6
    )


@examples(25)
@given(seed=seeds, stretch=st.floats(0.01, 100.0))
def test_local_irregularity_does_not_depend_on_the_unit_of_time(seed, stretch):
    rng = np.random.default_rng(seed)
    time, neuron, sample = rng.uniform(0, 100, 400), rng.integers(0, 6, 400), rng.integers(0, 2, 400)

    def trains(factor):
        return kernels.SpikeTrains.from_events(
            factor * time, neuron, sample, n_neurons=6, n_samples=2, duration=100.0 * factor, units="ms"
        )

    one = np.ones((1, 2))
    np.testing.assert_allclose(kernels.cv2(trains(stretch), one), kernels.cv2(trains(1.0), one), rtol=1e-9)
    np.testing.assert_allclose(
        kernels.lvr(trains(stretch), one, refractoriness=2.0 * stretch),
        kernels.lvr(trains(1.0), one, refractoriness=2.0),
        rtol=1e-9,
    )


@examples(5)
@given(seed=seeds)
def test_dense_spikes_and_events_are_the_same_recording(seed):
    dense = population(seed, n_steps=160, n_neurons=12)
    sample, step, neuron = np.nonzero(dense["spikes"].values)
    events = population_dataset(
        {}, sample=np.arange(31), time=np.arange(160), neuron=np.arange(12), dt=1.0, time_units="ms",
        current_units="mV", n_neurons=12, role="E", attrs={"duration": 160.0, "refractory": 1.0},
        events={"spike_time": step.astype(float), "spike_neuron": neuron, "spike_sample": sample},
    )  # fmt: skip
    for call in (
        lambda d: d.ei.cv2(),
        lambda d: d.ei.lvr(refractoriness=1),
        lambda d: d.ei.dead_fraction(),
        lambda d: d.ei.saturated_fraction(share=0.3),
        lambda d: d.ei.sparseness(),
        lambda d: d.ei.sparseness(kind="population"),
        lambda d: d.ei.rate_distribution()["gini"],
        lambda d: d.ei.synchrony(n_neurons=8, window=3),
        lambda d: d.ei.chi(signal="spikes", n_neurons=8, window=3),
        lambda d: d.ei.count_correlation(window=10),
        lambda d: d.ei.count_correlation(over="sample"),
        lambda d: d.ei.participation_ratio(window=10, n_neurons=8),
        lambda d: d.ei.participation_ratio(over="sample", n_neurons=8),
        lambda d: d.ei.power_spectrum(window=1, segment=64)["power"],
    ):
        np.testing.assert_allclose(call(events), call(dense), rtol=1e-8)
