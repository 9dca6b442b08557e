"""Small networks on the numpy device: exactness of what is recorded."""

import tempfile

import numpy as np
import pytest

from eiplatform.errors import DeviceError
from eiplatform.microcircuits import load, simulate

pytestmark = pytest.mark.new_interpreters

TINY = {"n_exc": 80, "n_inh": 20, "c_exc": 20, "c_inh": 5, "c_ext": 20, "j_mv": 1.0, "g": 4.0}


def run(parameters=TINY, seeds=(1,), **options):
    options = {"duration_ms": 200.0, "warmup_ms": 0.0, "n_recorded": 100, "device": "numpy", **options}
    return dict(simulate("brunel-2000", parameters=parameters, seeds=seeds, **options))


@pytest.fixture(scope="module")
def coarse():
    """Interval means over 2 ms, all neurons, from time 0."""
    return run(record_dt_ms=2.0)[1]


@pytest.fixture(scope="module")
def fine():
    """The same simulation recorded at every step after a warm-up of 50 ms."""
    return run(record_dt_ms=0.1, warmup_ms=50.0, duration_ms=150.0)[1]


def interval_means(dataset_e, dataset_i, which, parameters, time, dt):
    """Integrate the filtered currents in closed form from the spikes and the connectivity."""
    p = load("brunel-2000", parameters).parameters
    edges = dict(load("brunel-2000", parameters).connectivity(1))[which]
    source = {"exc": dataset_e, "inh": dataset_i}[which]
    jump = {"exc": 1.0, "inh": p.g}[which] * p.j_mv * p.tau_ms / p.tau_f_ms
    weight = np.zeros((p.n_exc + p.n_inh, source.n_neurons))
    weight[edges.post, edges.pre()] = jump
    arrival = source.spike_time.values + p.delay_ms
    means = np.zeros((len(time), len(weight)))
    for index, start in enumerate(time):
        since = np.clip(start - arrival, 0, None)
        until = np.clip(start + dt - arrival, 0, None)
        decay = p.tau_f_ms * (np.exp(-since / p.tau_f_ms) - np.exp(-until / p.tau_f_ms)) / dt
        means[index] = weight @ np.bincount(source.spike_neuron.values, weights=decay, minlength=source.n_neurons)
    return means


def test_currents_are_the_exact_means_over_each_interval(coarse):
    e, i = coarse["E"], coarse["I"]
    for which, signal in (("exc", "current_exc_recurrent"), ("inh", "current_inh")):
        expected = interval_means(e, i, which, TINY, e.time.values, 2.0)
        recorded = np.concatenate([e[signal].values[0], i[signal].values[0]], axis=1)
        assert expected.max() > 5
        np.testing.assert_allclose(recorded, expected, rtol=1e-6, atol=1e-6 * expected.max())


def test_sums(coarse):
    for dataset in coarse.values():
        parts = dataset.current_exc_recurrent + dataset.current_exc_external
        assert np.array_equal(dataset.current_exc, parts)
        assert np.array_equal(dataset.current_net, dataset.current_exc - dataset.current_inh)
        for name in ("current_exc_recurrent", "current_exc_external", "current_inh"):
            assert float(dataset[name].min()) >= -1e-6


def test_coarse_intervals_average_fine_ones_and_the_warm_up_only_shifts_time(coarse, fine):
    for name, dataset in fine.items():
        full = coarse[name]
        later = full.spike_time.values >= 50
        np.testing.assert_allclose(dataset.spike_time, full.spike_time.values[later] - 50, atol=1e-9)
        assert np.array_equal(dataset.spike_neuron, full.spike_neuron.values[later])
        for signal in ("current_exc_recurrent", "current_exc_external", "current_inh"):
            blocks = dataset[signal].values[0].reshape(75, 20, -1).mean(axis=1)
            np.testing.assert_allclose(blocks, full[signal].values[0, 25:], rtol=1e-5, atol=1e-5)
        # The voltage is the value at the start of an interval.
        assert np.array_equal(dataset.voltage.values[0, ::20], full.voltage.values[0, 25:])


def test_membrane_follows_its_inputs_and_ignores_them_while_refractory(fine):
    """Rebuild every potential from the recorded currents: decay, jumps, threshold, reset, 2 ms of rest."""
    p = load("brunel-2000", TINY).parameters
    for dataset in fine.values():
        step = {}
        for signal in ("current_exc", "current_inh"):
            # A mean over one step determines the filtered current at its start, hence the jump at its end.
            mean = dataset[signal].values[0].astype(float)
            factor = p.tau_f_ms * (1 - np.exp(-0.1 / p.tau_f_ms)) / 0.1
            current = mean / factor
            jumps = current[1:] - current[:-1] * np.exp(-0.1 / p.tau_f_ms)
            step[signal] = jumps * p.tau_f_ms / p.tau_ms
        voltage = dataset.voltage.values[0].astype(float)
        fired = np.zeros(voltage.shape, bool)
        index = np.rint(dataset.spike_time.values * 10).astype(int)
        fired[index, dataset.spike_neuron.values] = True
        assert fired.sum() == dataset.sizes["spike"] > 20
        rest = np.zeros(voltage.shape, bool)  # steps that start within 2 ms after a spike
        for lag in range(20):
            rest[lag:] |= fired[: len(fired) - lag]
        assert np.all(voltage[fired] == p.reset_mv)
        free = voltage[:-1] * np.exp(-0.1 / p.tau_ms) + step["current_exc"] - step["current_inh"]
        expected = np.where(rest[:-1], p.reset_mv, free)
        assert np.all(expected[fired[1:]] > p.threshold_mv - 1e-3)
        unknown = np.zeros(rest.shape, bool)
        unknown[:20] = True  # spikes before the recording are not in it
        check = ~fired[1:] & ~unknown[1:]
        np.testing.assert_allclose(voltage[1:][check], expected[check], atol=1e-3)
        assert np.all(expected[check] <= p.threshold_mv + 1e-3)


def test_labels(coarse):
    e = coarse["E"]
    assert e.sizes["sample"] == 1
    assert e.sample.item() == 1
    assert e.time.attrs["units"] == "ms"
    assert np.array_equal(e.time, np.arange(100) * 2.0)
    assert e.current_exc.attrs["units"] == e.voltage.attrs["units"] == "mV"
    assert e.current_exc.dtype == np.float32
    assert (e.role, e.n_neurons, coarse["I"].role, coarse["I"].n_neurons) == ("E", 80, "I", 20)
    assert (e.dt, e.duration, e.warmup, e.threshold, e.reset, e.tau_f) == (2.0, 200.0, 0.0, 20.0, 10.0, 5.0)
    assert set(np.unique(e.spike_sample)) == {1}
    assert e.spike_neuron.max() < 80
    assert e.spike_time.max() < 200
    assert np.array_equal(e.neuron, np.arange(80))  # no more neurons than asked for: all


def test_seeds(monkeypatch, tmp_path, coarse):
    """The same seed repeats, another differs, and a compiler is not needed on this device."""
    monkeypatch.setenv("PATH", str(tmp_path))
    messages = []
    both = run(seeds=(2, 1), jobs=2, record_dt_ms=2.0, progress=lambda f, m: messages.append((f, m)), n_recorded=7)
    assert list(both) == [2, 1]
    again, other = both[1]["E"], both[2]["E"]
    assert np.array_equal(again.spike_time, coarse["E"].spike_time)
    assert np.array_equal(again.spike_neuron, coarse["E"].spike_neuron)
    assert other.sizes["spike"] != again.sizes["spike"] or not np.array_equal(other.spike_time, again.spike_time)
    assert again.sizes["neuron"] == 7
    assert np.array_equal(again.neuron, other.neuron)
    assert np.array_equal(again.current_exc, coarse["E"].current_exc.sel(neuron=again.neuron))
    fractions = [fraction for fraction, _ in messages]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert any("simulate" in message for _, message in messages)


def test_without_external_input_nothing_fires_again():
    silent = run({**TINY, "eta": 0.0, "threshold_mv": 30.0}, warmup_ms=100.0, duration_ms=50.0)[1]
    for dataset in silent.values():
        assert dataset.sizes["spike"] == 0
        assert float(np.abs(dataset.current_exc).max()) < 1e-6


def test_abandoned_runs_leave_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    runs = simulate("brunel-2000", parameters=TINY, seeds=(1, 2, 3), duration_ms=60.0, device="numpy", jobs=2)
    next(runs)
    assert any(tmp_path.iterdir())
    runs.close()
    assert not any(tmp_path.iterdir())


def test_a_failing_compiler_is_named_and_leaves_no_program(monkeypatch, tmp_path):
    broken = tmp_path / "broken-g++"
    broken.write_text("#!/bin/sh\necho 'error: out of order' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    monkeypatch.setenv("EIPLATFORM_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DeviceError, match='out of order.*device="numpy"'):
        run(device="cpp_standalone")
    assert not [path for path in (tmp_path / "cache" / "circuits").iterdir() if path.is_dir()]
