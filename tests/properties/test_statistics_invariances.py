"""What no statistic may depend on: units, order of neurons and samples, how data are held."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import eiplatform.statistics as ei
from eiplatform.statistics import kernels
from eiplatform.store.schema import population_dataset
from tests.examples import examples

seeds = st.integers(0, 2**32 - 1)
NEURON = [key for key, entry in ei.STATISTICS.items() if entry.level == "neuron"]
CURRENTS = [key for key, entry in ei.STATISTICS.items() if "current_exc" in entry.needs]


def population(seed, n_samples=31, n_steps=100, n_neurons=5, scale=1.0):
    rng = np.random.default_rng(seed)
    shape = (n_samples, n_steps, n_neurons)
    common = rng.gamma(2.0, size=(n_samples, n_steps, 1))
    exc, inh = common + rng.gamma(2.0, size=shape), common + rng.gamma(3.0, size=shape)
    return population_dataset(
        {
            "current_exc": scale * exc,
            "current_inh": scale * inh,
            "gain": rng.gamma(3.0, size=shape),
            "voltage": rng.normal(size=shape),
            "spikes": rng.random(shape) < 0.3,
            "drive": scale * rng.gamma(2.0, size=shape),
        },
        sample=np.arange(n_samples), time=np.arange(n_steps), neuron=np.arange(n_neurons), dt=1.0,
        time_units="step", current_units="1", n_neurons=n_neurons, role="E",
        sample_coords={"label": np.arange(n_samples) % 6},
        attrs={"threshold": 5.0 * scale, "membrane_decay": 0.5, "reset": "soft"},
    )  # fmt: skip


@examples(5)
@given(seed=seeds, exponent=st.floats(-6, 6))
def test_balance_does_not_depend_on_the_unit_of_current(seed, exponent):
    scaled, plain = population(seed, scale=10.0**exponent), population(seed)
    for key in CURRENTS:
        np.testing.assert_allclose(ei.per_neuron(scaled, key), ei.per_neuron(plain, key), rtol=1e-7, atol=1e-9)


@examples(5)
@given(seed=seeds)
def test_order_of_neurons_and_samples_does_not_matter(seed):
    data = population(seed)
    rng = np.random.default_rng(seed)
    neurons, samples = rng.permutation(5), rng.permutation(31)
    for key in NEURON:
        values = ei.per_neuron(data, key)
        shuffled = ei.per_neuron(data.isel(neuron=neurons, sample=samples), key)
        np.testing.assert_allclose(shuffled, values[neurons], rtol=1e-9, atol=1e-11)
        np.testing.assert_array_equal(shuffled["neuron"], neurons)


@examples(5)
@given(seed=seeds)
def test_dense_spikes_and_events_are_the_same_recording(seed):
    dense = population(seed)
    sample, step, neuron = np.nonzero(dense["spikes"].values)
    events = population_dataset(
        {}, sample=np.arange(31), time=np.arange(100), neuron=np.arange(5), dt=1.0, time_units="ms",
        current_units="mV", n_neurons=5, role="E", attrs={"duration": 100.0},
        events={"spike_time": step.astype(float), "spike_neuron": neuron, "spike_sample": sample},
    )  # fmt: skip
    for call in (lambda d: d.ei.cv_isi(), lambda d: d.ei.lv(), lambda d: d.ei.fano_factor(window=10)):
        np.testing.assert_allclose(call(events), call(dense), rtol=1e-12)
    np.testing.assert_allclose(events.ei.rate(), 1000 * dense.ei.rate(), rtol=1e-12)


@examples(30)
@given(seed=seeds, n=st.integers(2, 40), gain=st.floats(0.1, 10.0))
def test_correlations_stay_in_their_range_and_flip_with_the_sign(seed, n, gain):
    rng = np.random.default_rng(seed)
    exc, inh = rng.normal(size=(40, n)), rng.normal(size=(40, n))
    one = np.ones((1, 40))
    for pairs in kernels.PAIRS:
        r = kernels.pair_correlation(one, kernels.CurrentPair(exc, inh), pairs)
        assert (np.abs(r) <= (2 if pairs == "excess" else 1) + 1e-12).all()
        flipped = kernels.pair_correlation(one, kernels.CurrentPair(exc, 3.0 - gain * inh), pairs)
        np.testing.assert_allclose(flipped, -r, rtol=1e-7, atol=1e-10)


@examples(30)
@given(seed=seeds, stretch=st.floats(0.01, 100.0))
def test_irregularity_does_not_depend_on_the_unit_of_time(seed, stretch):
    rng = np.random.default_rng(seed)
    time, neuron, sample = rng.uniform(0, 100, 400), rng.integers(0, 6, 400), rng.integers(0, 2, 400)

    def trains(factor):
        return kernels.SpikeTrains.from_events(
            factor * time, neuron, sample, n_neurons=6, n_samples=2, duration=100.0 * factor, units="ms"
        )

    one = np.ones((1, 2))
    for kernel in (kernels.cv_isi, kernels.lv):
        np.testing.assert_allclose(kernel(trains(stretch), one), kernel(trains(1.0), one), rtol=1e-9)
    np.testing.assert_allclose(kernels.rate(trains(stretch), one) * stretch, kernels.rate(trains(1.0), one), rtol=1e-12)


@examples(30)
@given(seed=seeds, where=st.integers(1, 30))
def test_merging_two_shards_equals_the_whole(seed, where):
    """Means of shards, weighted by their samples, are the mean of the whole."""
    data = population(seed, n_steps=4)
    parts = [data.isel(sample=slice(where)), data.isel(sample=slice(where, None))]
    for key in ("rate", "gain"):
        merged = sum(part.sizes["sample"] * ei.per_neuron(part, key) for part in parts) / 31
        np.testing.assert_allclose(merged, ei.per_neuron(data, key), rtol=1e-9)


@examples(5)
@given(seed=seeds, where=st.integers(1, 30))
def test_merging_two_shards_equals_the_whole_over_time_and_over_neurons(seed, where):
    """Statistics within a sample, averaged over samples, merge as means do."""
    data = population(seed, n_steps=60)
    parts = [data.isel(sample=slice(where)), data.isel(sample=slice(where, None))]
    keys = ("residual_variance_time", "residual_variance_time_excess", "ei_correlation_neurons",
            "driven_above_threshold")  # fmt: skip
    for key in keys:
        merged = sum(part.sizes["sample"] * ei.per_neuron(part, key) for part in parts) / 31
        np.testing.assert_allclose(merged, ei.per_neuron(data, key), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("key", list(ei.STATISTICS))
def test_the_input_matters(key):
    small = ei.STATISTICS[key].level == "neuron"
    data, other = (population(seed, n_steps=100 if small else 130, n_neurons=5 if small else 101) for seed in (1, 2))
    # Nothing is dead, silent or saturated, and nothing has a memory or a rhythm, in noise.
    rng = np.random.default_rng(3)
    rhythm = rng.random((31, 130, 101)) < 0.3 + 0.2 * np.sin(0.8 * np.arange(130))[:, None]
    slow = rng.random((31, 130, 101)) < np.repeat(rng.random((31, 26, 1)), 5, axis=1)
    changed = {
        "dead_fraction": data["spikes"] & (data["neuron"] > 1),
        "saturated_fraction": data["spikes"] | (data["neuron"] > 1),
        "silent_share": data["spikes"] & (data["neuron"] + data["sample"] > 3),
        "always_on_pairs": data["spikes"] | (data["neuron"] + data["sample"] < 3),
        "always_on_spikes": data["spikes"] | (data["neuron"] + data["sample"] < 3),
        "timescale_spikes": (data["spikes"].dims, slow),
        "spectrum_peak": (data["spikes"].dims, rhythm),
        "spectrum_height": (data["spikes"].dims, rhythm),
    }
    if key in changed:
        other["spikes"] = changed[key]
    values = [np.asarray(ei.per_neuron(each, key)) for each in (data, other)]
    assert np.isfinite(values[1]).any() and not np.allclose(*values, equal_nan=True)
