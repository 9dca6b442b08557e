"""The microcircuit of Potjans & Diesmann: parameters, connectivity, drive, and what a small one does."""

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.special import erf

from eiplatform.errors import ConfigError, UnknownNameError
from eiplatform.microcircuits import estimate_memory, load, simulate
from eiplatform.microcircuits.circuit import Edges
from eiplatform.microcircuits.connectivity import random_pairs, truncated_normal
from eiplatform.microcircuits.drive import poisson_quantile, poisson_stream
from eiplatform.microcircuits.potjans_diesmann_2014 import POPULATIONS, PUBLISHED_RATES

NAME = "potjans-diesmann-2014"
TINY = {"n_scaling": 0.01, "k_scaling": 0.05}
PULSE = {**TINY, "thalamic_start_ms": 40.0, "thalamic_duration_ms": 20.0}


# Parameters and closed forms, against numbers computed elsewhere from the reference implementation.


def test_sizes_and_numbers_of_synapses():
    full, tenth = load(NAME), load(NAME, {"scale": 0.1})
    assert (full.n_neurons, tenth.n_neurons) == (77169, 7717)
    assert abs(full.n_synapses - 298_880_969) <= 1
    assert abs(tenth.n_synapses - 2_988_807) <= 1
    assert full.full_weight_pa == pytest.approx(87.8085, abs=1e-4)
    assert tenth.weight_pa == pytest.approx(277.7, abs=0.05)
    in_degree = full.counts.sum(axis=1) / full.sizes
    np.testing.assert_allclose(in_degree, [4995, 5285, 2806, 5888, 4944, 2736, 2564, 2434], atol=1)


@pytest.mark.parametrize(
    ("scale", "constant"),
    [
        (1.0, [0, 0, 0, 0, 0, 0, 0, 0]),
        (0.5, [12.4, 48.1, 48.4, 49.3, 53.7, 65.0, 18.8, 65.8]),
        (0.2, [23.5, 90.8, 91.3, 93.0, 101.4, 122.6, 35.4, 124.3]),
        (0.1, [29.0, 112.4, 113.0, 115.0, 125.4, 151.7, 43.8, 153.7]),
    ],
)
def test_the_constant_current_of_down_scaling(scale, constant):
    np.testing.assert_allclose(load(NAME, {"scale": scale}).constant_pa, constant, atol=0.06)


@pytest.mark.parametrize("scale", [0.1, 0.3, 1.0])
def test_down_scaling_keeps_mean_and_variance_of_the_input(scale):
    full, small = load(NAME).mean_field, load(NAME, {"scale": scale}).mean_field
    for total, part in (("mean", "mean_per_hz"), ("variance", "variance_per_hz")):
        expected = getattr(full, total) + getattr(full, part) @ PUBLISHED_RATES
        scaled = getattr(small, total) + getattr(small, part) @ PUBLISHED_RATES
        # Numbers of neurons and external synapses are whole: L5I has 106 neurons, not 106.5.
        np.testing.assert_allclose(scaled, expected, rtol=0.01, atol=0.05)


def test_mean_field_rates_and_currents():
    circuit = load(NAME)
    theory = circuit.theory()
    rates = [theory[f"{name}/rate"] for name in POPULATIONS]
    np.testing.assert_allclose(rates, [0.75, 2.79, 4.44, 5.82, 7.15, 8.47, 1.16, 7.76], atol=0.02)
    assert theory["rate"] == pytest.approx(np.average(rates, weights=circuit.sizes))
    currents = circuit.mean_currents(PUBLISHED_RATES)
    np.testing.assert_allclose(currents["current_exc"], [1087, 911, 1004, 1161, 1164, 930, 1245, 875], atol=0.6)
    np.testing.assert_allclose(currents["current_inh"], [1045, 747, 838, 993, 980, 708, 1181, 651], atol=0.6)
    # A constant background has no variance, and only the rates differ.
    dc = load(NAME, {"background": "dc"})
    assert dc.theory()["L23E/rate"] == pytest.approx(0.69, abs=0.02)
    np.testing.assert_allclose(dc.mean_currents(PUBLISHED_RATES)["current_exc"], currents["current_exc"])


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"scales": 1}, UnknownNameError, "did you mean 'scale'"),
        ({"background": "DC"}, UnknownNameError, "dc, poisson"),
        ({"background": "dc", "poisson_background": 0}, ConfigError, "given together"),
        ({"scale": 0.1, "n_scaling": 0.1}, ConfigError, "given together"),
        ({"background": "dc", "scale": 0.1}, ConfigError, "below threshold and silent"),
        ({"scale": 0.001}, ConfigError, "neurons in .*L5I"),
        ({"scale": "0.1"}, ConfigError, "not a number"),
        ({"scale": 2}, ConfigError, "at most 1"),
        ({"k_scaling": 1e-4}, ConfigError, "external synapses"),
        ({"weight_rel_std": 0.5}, ConfigError, "changes sign"),
        ({"tau_syn_ms": 10.0}, ConfigError, "another value"),
        ({"refractory_ms": 0.25}, ConfigError, "multiple of dt_ms"),
        ({"threshold_mv": -70}, ConfigError, "reset_mv"),
        ({"background_hz": 1e4}, ConfigError, "external spikes"),
        ({"thalamic_hz": 1e4}, ConfigError, "thalamic_hz"),
        ({"poisson_background": 2}, ConfigError, "0 or 1"),
        ({"inh_to_exc": 10.5}, ConfigError, "0 .removed. to 1"),
        ({"scale": 0.1, "drive_exc_pa": -30}, ConfigError, "negative constant current"),
        ({"dt_ms": "0.1 ms"}, ConfigError, "the unit is in the name"),
        ({"tau_ms": 0.01}, ConfigError, "number of milliseconds"),
        ({"threshold_mv": -0.05}, ConfigError, "published -50.0: in another unit"),
        ({"capacitance_pf": 250e-12}, ConfigError, "number of picofarads"),
    ],
)
def test_bad_parameters(parameters, error, words):
    with pytest.raises(error, match=words):
        load(NAME, parameters)


def test_parameters_survive_the_way_to_the_worker():
    circuit = load(NAME, {"background": "dc", "psp_mv": 0.1})
    assert type(circuit).from_parameters(circuit.to_mapping()).parameters == circuit.parameters


def test_memory_is_refused_before_anything_runs():
    assert estimate_memory(load(NAME, {"scale": 0.5}), duration_ms=10_000) < 12 * 2**30
    assert estimate_memory(load(NAME), duration_ms=10_000) < 22 * 2**30
    with pytest.raises(ConfigError, match="GiB may be used"):
        simulate(NAME, memory_budget=2 * 2**30)


# Connectivity.


def test_random_pairs():
    counts = np.array([[4000, 0, 9000], [5000, 7000, 1]])
    sources, targets = np.array([30, 50]), [(20, 25), (45, 100), (0, 20)]
    weights = np.array([[100.0, 1.0, 2000.0], [500.0, 1000.0, 10.0]])
    rng = np.random.default_rng(1)
    edges = random_pairs(rng, counts, sources, targets, weights, weight_std=0.1, delay=15.0, delay_std=7.5)
    pre, post, weight = edges.pre(), edges.post, edges.values["w"]
    assert edges.degree.sum() == counts.sum() == len(post) == len(weight) == len(edges.delay)
    for row, (first, size) in enumerate(zip((0, 30), sources, strict=True)):
        for column, (start, width) in enumerate(targets):
            chosen = (pre >= first) & (pre < first + size) & (post >= start) & (post < start + width)
            n = counts[row, column]
            assert chosen.sum() == n
            if n > 1:
                mean = weights[row, column]
                assert weight[chosen].mean() == pytest.approx(mean, abs=0.5 * mean / np.sqrt(n))
                assert weight[chosen].std() == pytest.approx(np.hypot(0.1 * mean, 0.29), rel=0.1)
                # Sources and targets uniform: the statistic has the mean and variance of chi-squared.
                for index, bins in ((pre[chosen] - first, size), (post[chosen] - start, width)):
                    statistic = ((np.bincount(index, minlength=bins) - n / bins) ** 2).sum() / (n / bins)
                    assert abs(statistic - (bins - 1)) < 5 * np.sqrt(2 * bins)
    assert len(np.unique(pre * 145 + post)) < len(pre)  # drawn with replacement
    ascending = (np.diff(pre) > 0) | (np.diff(edges.delay.astype(int)) >= 0)
    assert ascending.all()
    # Redrawn below half a step, then rounded: at least one step; the mean is that of the truncated normal.
    assert edges.delay.min() == 1
    hazard = np.exp(-(((15 - 0.5) / 7.5) ** 2) / 2) / np.sqrt(2 * np.pi) / 0.97340  # density over survival at -1.933
    assert edges.delay.mean() == pytest.approx(15 + 7.5 * hazard, abs=0.2)


def test_truncated_normal_keeps_to_its_bounds():
    values = truncated_normal(np.random.default_rng(0), 0.0, 1.0, 0.0, 1.0, 50_000)
    assert values.min() >= 0
    assert values.max() <= 1
    assert values.mean() == pytest.approx((0.398942 - 0.241971) / 0.341345, abs=0.006)


def test_edges_by_source_and_delay():
    edges = Edges(
        np.array([3, 0, 2], np.int32),
        np.array([5, 6, 7, 8, 9], np.int32),
        np.array([2, 2, 5, 3, 4], np.uint8),
        {"w": np.arange(5, dtype=np.int16)},
    )
    first, counts = edges.fanout()
    assert first == 2
    assert counts.tolist() == [[2, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 0]]
    assert Edges(edges.degree, edges.post).fanout()[0] == -1
    kept = edges.keep(np.array([True, False, True, False, True]))
    assert (kept.degree.tolist(), kept.post.tolist()) == ([2, 0, 1], [5, 7, 9])
    assert (kept.delay.tolist(), kept.values["w"].tolist()) == ([2, 5, 4], [0, 2, 4])


def test_delays_and_weights_of_the_circuit():
    """Delays in the edges are one step shorter: arrivals are applied in the step after they were counted."""
    circuit = load(NAME, {"n_scaling": 0.05, "k_scaling": 0.1})
    for (name, edges), ms, factor in zip(circuit.connectivity(1), (1.5, 0.75), (1, 4), strict=True):
        delay = (edges.delay + 1) * 0.1
        assert delay.min() == pytest.approx(0.1)
        beta = (ms - 0.05) / (0.5 * ms)  # of the truncation below half a step
        mean = ms + 0.5 * ms * np.exp(-(beta**2) / 2) / np.sqrt(2 * np.pi) / (0.5 * (1 + erf(beta / np.sqrt(2))))
        assert delay.mean() == pytest.approx(mean, abs=5 * 0.5 * ms / np.sqrt(delay.size))
        assert edges.post.max() < circuit.n_neurons
        pa = circuit.scalars()[f"neurons.unit_{name}"] * 1e12 * edges.values["w"]
        published = circuit.weight_factors[:, :: 2 if name == "exc" else 1]
        if name == "inh":
            assert pa.mean() == pytest.approx(factor * circuit.weight_pa, rel=1e-3)
            assert pa.std() == pytest.approx(0.4 * circuit.weight_pa, rel=0.01)
        else:
            doubled = circuit.counts[0, 2] / circuit.counts[:, ::2].sum()
            assert pa.mean() == pytest.approx((1 + doubled) * circuit.weight_pa, rel=1e-3)
            assert published[0, 1] == 2


# Drive.


def test_the_stream_is_splitmix64():
    """Published outputs for the start 1234567 (the reference code of splitmix64, by S. Vigna)."""
    outputs = np.array([6457827717110365317, 3203168211198807973, 9817491932198370423], np.uint64)
    u = (outputs >> np.uint64(11)).astype(float) * 2.0**-53
    for mean in (0.2, 3.0, 40.0):
        zero = np.exp(-mean)
        expected = poisson_quantile(u, mean, zero)
        assert np.array_equal(poisson_stream(1234567, 0, np.arange(3), 3, mean, zero), expected)
        assert np.array_equal(poisson_stream(1234567, 1, np.arange(1), 2, mean, zero), expected[2:])


def test_the_stream_is_poisson_and_independent():
    mean = np.array([0.13, 2.3])[:, None]
    counts = np.stack(
        [poisson_stream(-99, step, np.arange(2000).reshape(2, 1000), 2000, mean, np.exp(-mean)) for step in range(200)]
    )
    for population, rate in enumerate((0.13, 2.3)):
        drawn = counts[:, population].astype(float)
        assert drawn.mean() == pytest.approx(rate, abs=4 * np.sqrt(rate / drawn.size))
        assert drawn.var() == pytest.approx(rate, rel=0.02)
        for axis in (0, 1):  # from step to step, and from neuron to neuron
            a, b = np.take(drawn, range(1, drawn.shape[axis]), axis), np.take(drawn, range(drawn.shape[axis] - 1), axis)
            assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / np.sqrt(a.size)


# A small network on the numpy device, recorded at every step.


def run(parameters, device="numpy", **options):
    options = {"duration_ms": 100.0, "warmup_ms": 0.0, "record_dt_ms": 0.1, "n_recorded": 300, **options}
    ((_, populations),) = simulate(NAME, parameters=parameters, seeds=(4,), device=device, **options)
    return populations


@pytest.fixture(scope="module")
def spontaneous():
    return run(TINY)


def test_a_lesion_removes_the_weights_of_a_pathway_and_nothing_else(spontaneous):
    intact, half, without = (load(NAME, {**TINY, "inh_to_exc": left}) for left in (1.0, 0.5, 0.0))
    assert np.array_equal(half.constant_pa, intact.constant_pa)
    rates = np.full(8, 5.0)
    ratio = half.mean_currents(rates)["current_inh"] / intact.mean_currents(rates)["current_inh"]
    np.testing.assert_allclose(ratio, [0.5, 1, 0.5, 1, 0.5, 1, 0.5, 1])
    assert without.theory() == {} or without.theory()["rate"] > intact.theory()["rate"]
    lesioned = run({**TINY, "inh_to_exc": 0.0}, duration_ms=20.0)
    assert all(spontaneous[name].current_inh.max() > 0 for name in POPULATIONS)
    assert all(lesioned[name].current_inh.max() == 0 for name in POPULATIONS[::2])
    assert max(float(lesioned[name].current_inh.max()) for name in POPULATIONS[1::2]) > 10
    assert sum(d.sizes["spike"] for d in lesioned.values()) > sum(
        int((d.spike_time < 20).sum()) for d in spontaneous.values()
    )


def test_drives_are_constant_currents_of_a_class_of_neurons():
    plain, driven = load(NAME, TINY), load(NAME, {**TINY, "drive_exc_pa": 7.0, "drive_inh_pa": 3.0})
    np.testing.assert_allclose(driven.constant_pa - plain.constant_pa, [7, 3] * 4)


@pytest.fixture(scope="module")
def pulsed():
    return run(PULSE)


def test_currents_are_those_of_the_spikes_weights_and_delays(spontaneous):
    """Each interval's mean, rebuilt from spikes and connectivity by integrating exponentials."""
    circuit = load(NAME, TINY)
    p, edges = circuit.parameters, dict(circuit.connectivity(4))
    start = {population.name: population.start for population in circuit.populations}
    time = np.arange(0, 100, 5.0)
    for which, letter, signal, factor in (("exc", "E", "current_exc_recurrent", 1.0), ("inh", "I", "current_inh", p.g)):
        e = edges[which]
        unit = factor * circuit.weight_pa / circuit._units[which == "inh"]
        first = min(start[name] for name in POPULATIONS if name.endswith(letter))
        means = np.zeros((len(time), circuit.n_neurons))
        ends = np.concatenate([[0], np.cumsum(e.degree)])
        for name in POPULATIONS:
            if not name.endswith(letter):
                continue
            data = spontaneous[name]
            for t, neuron in zip(data.spike_time.values, data.spike_neuron.values, strict=True):
                own = slice(*ends[start[name] - first + neuron :][:2])
                arrival = t + (e.delay[own] + 1) * p.dt_ms
                for index, begin in enumerate(time):
                    since, until = np.clip(begin - arrival, 0, None), np.clip(begin + 5 - arrival, 0, None)
                    charge = p.tau_syn_ms * (np.exp(-since / p.tau_syn_ms) - np.exp(-until / p.tau_syn_ms))
                    np.add.at(means[index], e.post[own], unit * e.values["w"][own] * charge / 5)
        assert means.max() > 50
        for name in POPULATIONS:
            data = spontaneous[name]
            recorded = data[signal].values[0].astype(float).reshape(20, 50, -1).mean(axis=1)
            expected = means[:, start[name] : start[name] + data.n_neurons]
            np.testing.assert_allclose(recorded, expected, rtol=1e-5, atol=1e-5 * means.max())


def test_the_membrane_solves_its_equation_and_rests_after_a_spike(spontaneous):
    p = load(NAME, TINY).parameters
    decay = np.exp(-p.dt_ms / p.tau_syn_ms)
    from_mean = p.dt_ms / (p.tau_syn_ms * (1 - decay))
    step = expm(
        np.array([[-1 / p.tau_ms, 1 / p.capacitance_pf, 1 / p.capacitance_pf], [0, -1 / p.tau_syn_ms, 0], [0, 0, 0]])
        * p.dt_ms
    )
    n_spikes = 0
    for data in spontaneous.values():
        part = {name: data[name].values[0].astype(float) for name in data.data_vars if data[name].ndim == 3}
        synaptic = (part["current_exc_recurrent"] + part["current_exc_external"] - part["current_inh"]) * from_mean
        v = part["voltage"] - p.leak_mv
        free = step[0, 0] * v + step[0, 1] * synaptic + step[0, 2] * part["current_exc_constant"]
        fired = np.zeros(v.shape, bool)  # a spike at t: reset from t on
        fired[np.rint(data.spike_time.values * 10).astype(int), data.spike_neuron.values] = True
        n_spikes += fired.sum()
        resting = np.zeros(v.shape, bool)
        for lag in range(20):
            resting[lag:] |= fired[: len(fired) - lag]
        assert np.all(v[resting] == 0)
        after, before = ~resting[:-1] & ~fired[1:], ~resting[:-1] & fired[1:]
        np.testing.assert_allclose(v[1:][after], free[:-1][after], atol=2e-3)
        assert np.all(free[:-1][after] < 15 + 2e-3)
        assert np.all(free[:-1][before] > 15 - 2e-3)
    assert n_spikes > 100


def test_external_input_is_poisson_with_its_mean(spontaneous):
    circuit = load(NAME, TINY)
    for name, expected in zip(POPULATIONS, circuit.mean_currents(PUBLISHED_RATES)["current_exc_external"], strict=True):
        values = spontaneous[name].current_exc_external.values[0, 100:].astype(float)
        # Shot noise of rate K nu and jumps w: variance w^2 K nu tau / 2, correlated over tau.
        independent = values.size * 0.1 / (2 * 0.5)
        std = np.sqrt(expected * circuit.weight_pa / 2)
        assert values.mean() == pytest.approx(expected, abs=4 * std / np.sqrt(independent))
        assert values.std() == pytest.approx(std, rel=0.12)
        assert np.all(
            spontaneous[name].current_exc_constant == np.float32(circuit.constant_pa[POPULATIONS.index(name)])
        )


def test_the_thalamic_pulse_reaches_layers_4_and_6_only(spontaneous, pulsed):
    circuit = load(NAME, PULSE)
    inside = slice(450, 600)  # after the delays
    extra = {}
    for index, name in enumerate(POPULATIONS):
        quiet, driven = (each[name].current_exc_external.values[0].astype(float) for each in (spontaneous, pulsed))
        assert np.array_equal(quiet[:400], driven[:400])
        degree = circuit.thalamic_counts[index] / circuit.sizes[index]
        expected = degree * circuit.weight_pa * circuit.parameters.tau_syn_ms * 1e-3 * 120.0
        extra[name] = (driven - quiet)[inside].mean()
        if degree == 0:
            assert np.array_equal(quiet, driven)
        else:
            assert extra[name] == pytest.approx(expected, rel=0.25)
    assert extra["L4E"] > 10
    assert pulsed["L4E"].sizes["spike"] > spontaneous["L4E"].sizes["spike"]


def test_units_and_labels(spontaneous):
    data = spontaneous["L23E"]
    assert data.current_exc.attrs["units"] == "pA"
    assert data.voltage.attrs["units"] == "mV"
    assert [spontaneous[name].role for name in POPULATIONS] == ["E", "I"] * 4
    np.testing.assert_allclose(
        data.current_exc, data.current_exc_recurrent + data.current_exc_external + data.current_exc_constant, rtol=1e-6
    )
