"""Spikes as events follow what is chosen: the codes, what is written of a selection, what reads events elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import eiplatform
from eiplatform.errors import StatisticError, StoreError
from eiplatform.statistics import surrogate
from eiplatform.statistics.population import Population
from eiplatform.store import RecordingWriter, population_dataset, tie, validate
from eiplatform.store.chosen import chosen_spikes, plain
from eiplatform.store.events import EVENT_NAMES, LINKS, TRIAL, _gathered, _scattered, bare
from eiplatform.store.steps import match_time
from tests.conftest import circuit_population
from tests.properties.chains import circuit

Write = Callable[..., Path]


def test_codes_are_one_to_one_and_look_random():
    values = np.concatenate([np.arange(1, 10**5), 2**52 - 1 - np.arange(10**5)]).astype(np.uint64)
    codes = _scattered(values)
    np.testing.assert_array_equal(_gathered(codes), values)
    assert codes.max() < 2**52 and len(np.unique(codes)) == len(codes)
    assert np.array_equal(codes.astype(np.float64).astype(np.uint64), codes)  # floats hold them
    low = codes[: 10**5 - 1].astype(float)
    assert abs(np.corrcoef(low[:-1], low[1:])[0, 1]) < 0.02 and abs(low.mean() / 2**51 - 1) < 0.01
    for changed in (2 * codes, codes + np.uint64(1), (codes[1:] + codes[:-1]) // np.uint64(2)):
        assert _gathered(changed & np.uint64(2**52 - 1)).min() > 10**5  # no code of a recording of this size


def test_a_whole_recording_gives_its_events_to_the_last_bit():
    data = circuit(3)
    found = chosen_spikes(data)
    order = np.lexsort((data["spike_time"].values, data["spike_neuron"].values, data["spike_sample"].values))
    mine = np.lexsort((found.time, found.neuron, data["sample"].values[found.sample]))
    np.testing.assert_array_equal(found.time[mine], data["spike_time"].values[order])
    assert found.everyone and found.gapless and found.duration == data.attrs["duration"]
    assert found.first.tolist() == [0, 0, 0] and found.source.tolist() == [7, 3, 9]


def test_the_last_interval_may_be_longer():
    data = population_dataset(
        {}, sample=np.array([0]), time=np.arange(3.0), neuron=np.arange(1), dt=1.0, time_units="ms", current_units="mV",
        n_neurons=1, role="E", attrs={"duration": 3.4},
        events={"spike_time": np.array([0.2, 3.3]), "spike_neuron": np.zeros(2, int), "spike_sample": np.zeros(2, int)},
    )  # fmt: skip
    assert data.ei.rate().item() == pytest.approx(2 / 3.4e-3)
    assert data.isel(time=[2]).ei.rate().item() == pytest.approx(1 / 1.4e-3)
    assert data.isel(time=[0, 1]).ei.rate().item() == pytest.approx(1 / 2e-3)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.isel(time=slice(None, -1)),
        lambda d: d.assign_attrs(duration=61.5),
        lambda d: d.drop_attrs(),
        lambda d: d.assign_coords(neuron=[1, 2, 3, 9]),
        lambda d: d.assign_coords(neuron=[1, 2, 3, 3]),
        lambda d: d.assign_coords(sample=[1, 1, 2]),
    ],
)
def test_only_what_is_whole_can_be_tied(change):
    with pytest.raises(StoreError, match="does not fit"):
        tie(change(bare(circuit(0))))


def test_lists_of_two_recordings_are_not_mixed():
    one, other = circuit(1), circuit(2)
    n = min(one.sizes["spike"], other.sizes["spike"])
    same = [tie(bare(d).isel(spike=slice(n))) for d in (one, other)]
    joined = xr.concat(same, "sample", data_vars="minimal", coords="minimal", compat="override", join="override")
    assert joined.sizes["sample"] == 6
    with pytest.raises(StatisticError, match="another list"):
        joined.ei.rate()


def test_what_was_chosen_is_written_or_refused(tmp_path):
    data = circuit(4)[["current_exc", "current_inh", *LINKS]].assign_coords(
        {name: circuit(4)[name] for name in (*EVENT_NAMES, TRIAL)}
    )
    piece = data.isel(sample=[2, 0], time=slice(10, 50)).assign_coords(sample=[100, 50])
    with RecordingWriter(tmp_path / "r", source={"kind": "circuit", "name": "toy"}, config={}) as writer:
        writer.append({"E": piece.assign_attrs(tau_membrane=20.0)})
    assert validate(tmp_path / "r").problems == []
    stored = eiplatform.open(tmp_path / "r")["E"].ds
    assert stored.attrs["duration"] == 40.0 and stored["sample"].values.tolist() == [100, 50]
    np.testing.assert_allclose(stored.ei.rate(), piece.ei.rate())
    np.testing.assert_allclose(stored.ei.fano_factor(window=2), piece.ei.fano_factor(window=2))
    for bad in (
        data.isel(sample=[0, 0]),
        data.isel(time=[0, 1, 5]),
        data.isel(neuron=[0, 1]),
        data.assign_coords(neuron=[3, 2, 1, 0]),
    ):
        with pytest.raises(StoreError, match="cannot be written"):
            plain(bad)


def test_a_selected_tree_is_exported_as_selected(circuit_recording: Write):
    tree = eiplatform.open(circuit_recording()).isel(time=slice(100, 300))
    table = eiplatform.to_frame(tree, signals="spikes", samples=[2])
    data = circuit_population(2)
    time = data["spike_time"].values
    assert sorted(table["time"]) == pytest.approx(sorted(time[(time >= 100) & (time < 300)] - 100))
    with pytest.raises(StoreError, match="cannot be written"):
        eiplatform.to_frame(tree.isel(neuron=[0, 1]), signals="spikes")


def test_surrogates_and_matched_times_keep_the_selection():
    data = circuit(5)
    chosen = data.isel(sample=[1, 1, 0], neuron=[3, 0])
    made = [surrogate(chosen, "poisson", seed).ei.rate().values for seed in range(200)]
    np.testing.assert_allclose(np.mean(made, axis=0), chosen.ei.rate(), rtol=0.03)
    half = data.isel(time=slice(30, None))
    matched = match_time(half.drop_vars(["truth", "truth_all", "when", "who"]), 3.0)
    assert matched.attrs["dt"] == 3.0 and matched.sizes["time"] == 10
    np.testing.assert_allclose(matched.ei.rate(), half.ei.rate())


def test_memory_and_reads_do_not_grow_with_the_currents(circuit_recording: Write):
    """Links are made when they are read; statistics of currents read no spike."""
    data = eiplatform.open(circuit_recording())["E"].ds
    assert not any(data[name].variable._in_memory for name in (*LINKS, *EVENT_NAMES))
    population = Population(data)
    population.time_mean("current_exc")
    assert "_chosen" not in population.__dict__ and not data["spike_time"].variable._in_memory
