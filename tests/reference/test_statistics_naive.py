"""All registered statistics, of a network and of a circuit, against a second implementation from their pages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import eiplatform.statistics as ei
from eiplatform.store.schema import population_dataset
from tests.reference import naive_statistics as naive

SAMPLES, KEYS = 31, list(ei.STATISTICS)
N_CURRENTS, N_SPIKING = 9, 100
"""Neurons of recordings of currents and of spikes (statistics of populations are given at 100)."""
SILENT, STILL, NO_EXC, NO_INH, FULL, AT_TIMES_SILENT, AT_TIMES_FULL = range(7)
"""Neurons without spikes, with constant currents, without excitation, without inhibition, with a spike each step.

The last two are so in some samples only.
"""


def currents(rng: np.random.Generator, n_time: int) -> tuple[np.ndarray, np.ndarray]:
    """E and I that share a population's mode, a neuron's own mode 2 intervals apart, and a sample's brightness."""
    shape = (SAMPLES, n_time, N_CURRENTS)
    bright = rng.gamma(4.0, 0.5, (SAMPLES, 1, 1)) * rng.gamma(8.0, 0.125, (SAMPLES, 1, N_CURRENTS))
    common, own = rng.gamma(2.0, size=(*shape[:2], 1)), rng.gamma(2.0, size=shape)
    exc = bright * (1 + common + own + 0.5 * rng.gamma(2.0, size=shape))
    inh = 0.8 * bright * (1 + common + np.roll(own, 2, axis=1)) + rng.gamma(2.0, size=shape)
    exc[:, :, STILL], inh[:, :, STILL] = 2.0, 1.5
    exc[:, :, NO_EXC] = 0.0
    inh[:, :, NO_INH] = 0.0
    return exc, inh


def rhythmic(rng: np.random.Generator, n_time: int, level: float) -> np.ndarray:
    """Spikes with a rhythm, a slow random rate, and neurons of unlike rate."""
    slow = np.repeat(rng.gamma(2.0, 0.5, (SAMPLES, n_time // 8 + 1, 1)), 8, axis=1)[:, :n_time]
    p = level * (1 + 0.5 * np.sin(0.7 * np.arange(n_time)))[:, None] * rng.gamma(6.0, 1 / 6, N_SPIKING) * slow
    found = rng.random((SAMPLES, n_time, N_SPIKING)) < p
    found[:, :, SILENT] = False
    found[:4, :, AT_TIMES_SILENT] = False
    return found


def walks(rng: np.random.Generator, n_time: int) -> np.ndarray:
    """Potentials with a memory, partly shared."""
    found = np.zeros((SAMPLES, n_time, N_SPIKING))
    noise = rng.normal(size=found.shape) + rng.normal(size=(*found.shape[:2], 1))
    for t in range(1, n_time):
        found[:, t] = 0.7 * found[:, t - 1] + noise[:, t]
    return found


def made(signals: dict[str, np.ndarray], n_time: int, kind: str, **more: Any) -> xr.Dataset:
    n = next(iter(signals.values())).shape[2]
    return population_dataset(
        signals, sample=np.arange(SAMPLES), time=np.arange(n_time), neuron=np.arange(n), dt=1.0,
        time_units="step" if kind == "network" else "ms", current_units="1" if kind == "network" else "mV",
        n_neurons=n, role="E", **more,
    )  # fmt: skip


def plain_of(data: xr.Dataset, **more: Any) -> naive.Plain:
    """What was stored (float32), in float64."""
    names = {"exc": "current_exc", "inh": "current_inh", "gain": "gain", "voltage": "voltage"}
    stored = {short: np.asarray(data[name], dtype=float) for short, name in names.items() if name in data}
    return naive.Plain(**({name: np.ones(0) for name in names} | stored | more))


def network() -> list[tuple[xr.Dataset, dict[str, Any]]]:
    rng, n_time = np.random.default_rng(0), 200
    exc, inh = currents(rng, n_time)
    gain = rng.gamma(4.0, 0.25, exc.shape) / (1 + exc.mean(axis=2, keepdims=True))
    label = np.arange(SAMPLES) % 6
    of_currents = made(
        {"current_exc": exc, "current_inh": inh, "gain": gain, "drive": gain * (exc - inh) + 0.1}, n_time, "network",
        sample_coords={"label": label}, attrs={"threshold": 1.0, "membrane_decay": 0.6, "reset": "soft"},
    )  # fmt: skip
    free = naive.free_network(np.asarray(of_currents["drive"], dtype=float), 0.6)
    p = plain_of(of_currents, free=free, threshold=1.0, label=label)
    found = [(of_currents, naive.currents(p) | naive.tuning(p) | naive.gains(p))]
    spikes = rhythmic(rng, n_time, 0.15)
    spikes[:, :, FULL] = True
    spikes[:7, :, AT_TIMES_FULL] = True
    of_spikes = made({"voltage": walks(rng, n_time), "spikes": spikes}, n_time, "network")
    trains = [[np.flatnonzero(train).astype(float) for train in sample.T] for sample in spikes]
    p = plain_of(of_spikes, trains=trains, duration=float(n_time))
    return [*found, (of_spikes, naive.spiking(p) | naive.each_step(p) | naive.potentials(p))]


def circuit() -> list[tuple[xr.Dataset, dict[str, Any]]]:
    """Currents in mV, events; no gain, and no labels."""
    rng, n_time = np.random.default_rng(1), 540
    exc, inh = currents(rng, 90)
    attrs = {"duration": 90.0, "threshold": 4.0, "tau_membrane": 20.0}
    of_currents = made({"current_exc": exc, "current_inh": inh}, 90, "circuit", attrs=attrs)
    net = np.asarray(of_currents["current_exc"], dtype=float) - np.asarray(of_currents["current_inh"], dtype=float)
    p = plain_of(of_currents, free=naive.free_circuit(net, 20.0, 1.0), threshold=4.0)
    found = [(of_currents, naive.currents(p))]
    sample, when, neuron = np.nonzero(rhythmic(rng, n_time, 0.06))
    order = rng.permutation(sample.size)
    sample, neuron, time = sample[order], neuron[order], (when + rng.random(when.size))[order]
    of_spikes = made(
        {"voltage": np.repeat(walks(rng, n_time // 4), 4, axis=1)}, n_time, "circuit",
        events={"spike_time": time, "spike_neuron": neuron, "spike_sample": sample},
        attrs={"duration": float(n_time), "refractory": 2.0},
    )  # fmt: skip
    time = np.asarray(of_spikes["spike_time"], dtype=float)
    trains = [[np.sort(time[(sample == s) & (neuron == i)]) for i in range(N_SPIKING)] for s in range(SAMPLES)]
    p = plain_of(
        of_spikes, trains=trains, duration=float(n_time), per_second=1000.0, highest_rate=500.0, refractoriness=5.0,
        window=50, synchrony_window=3, timescale_window=5, segment=512, max_lag=100,
    )  # fmt: skip
    return [*found, (of_spikes, naive.spiking(p) | naive.potentials(p))]


@pytest.fixture(scope="module", params=["network", "circuit"])
def found(request: pytest.FixtureRequest) -> dict[str, tuple[xr.Dataset, xr.Dataset, np.ndarray]]:
    """Recording, summary and expected values by statistic."""
    by_key = {}
    for data, expected in network() if request.param == "network" else circuit():
        table = ei.summarise(data, list(expected), n_bootstrap=2)
        by_key |= {key: (data, table, np.asarray(value)) for key, value in expected.items()}
    only_network = ("gain", "ei_cotuning", "always_on")
    absent = {key for key in KEYS if key.startswith(only_network)} if request.param == "circuit" else set()
    assert set(by_key) == set(KEYS) - absent  # what a circuit has not
    return by_key


def test_values_are_those_of_the_definitions(found: dict[str, tuple[xr.Dataset, xr.Dataset, np.ndarray]]) -> None:
    for key, (data, table, wanted) in found.items():
        values = np.asarray(ei.per_neuron(data, key))
        np.testing.assert_allclose(values, wanted, rtol=1e-6, atol=1e-8, err_msg=key)
        cell = table.sel(statistic=key).isel(population=0)
        used = wanted[np.isfinite(wanted)]
        mean = np.exp(np.log(used).mean()) if key == "ei_ratio" else used.mean()
        assert float(cell["value"]) == pytest.approx(float(mean), rel=1e-6, abs=1e-8), key
        if wanted.ndim:
            assert (int(cell["n_used"]), int(cell["n_excluded"])) == (used.size, wanted.size - used.size), key


def test_the_planted_exceptions_are_seen(found: dict[str, tuple[xr.Dataset, xr.Dataset, np.ndarray]]) -> None:
    """The comparison above would be worth little if all neurons were alike."""
    for key, neurons in {
        "ei_ratio": {NO_EXC, NO_INH},
        "balance_index": {NO_EXC},
        "ei_correlation_samples": {STILL, NO_EXC, NO_INH},
        "mean_to_fluctuation_time": {STILL},
        "cv_isi": {SILENT},
        "sparseness_lifetime": {SILENT},
        "private_inhibition": {STILL, NO_INH},
    }.items():
        assert neurons <= set(np.flatnonzero(np.isnan(found[key][2])).tolist()), key
    assert found["dead_fraction"][2][SILENT] == 1
    assert found["silent_share"][2][[SILENT, AT_TIMES_SILENT]].tolist() == [1, 4 / SAMPLES]
    if "always_on_pairs" in found:
        assert found["always_on_pairs"][2][[FULL, AT_TIMES_FULL]] == pytest.approx([1, 7 / SAMPLES])
        assert 0 < found["always_on_spikes"][2] < 1
    assert 0 < found["driven_above_threshold"][2].mean() < 1
