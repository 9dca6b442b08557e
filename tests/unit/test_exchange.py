"""Recordings as objects of pynapple and Neo, and as NWB files that its inspector accepts and that are read back."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import eiplatform as ei
from eiplatform.errors import ConfigError, MissingDependencyError, StoreError, UnknownNameError
from tests.unit.test_foreign_frameworks import package

Write = Callable[..., Path]
RNG = np.random.default_rng(5)
MS = 2.5
"""What a step is taken to last."""


def events(data: xr.Dataset, sample: int, neuron: int) -> np.ndarray:
    """Return the spike times of one neuron in one sample, in ms from its start: straight from the definition."""
    mine = (data["spike_sample"].values == sample) & (data["spike_neuron"].values == neuron)
    return np.sort(data["spike_time"].values[mine])


# pynapple


def test_pynapple_of_a_circuit(circuit_recording: Write) -> None:
    package("pynapple")
    tree = ei.open(circuit_recording())
    data = tree["E"].to_dataset().load()
    made = ei.to_pynapple(tree, signals=["spikes", "current_inh"])
    assert list(made) == ["units", "trials", "E/current_inh"]
    units, trials = made["units"], made["trials"]
    assert trials["sample"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(trials.values, [[0, 0.7], [0.7, 1.4], [1.4, 2.1]], atol=2e-9)
    assert units["neuron"].tolist() == list(range(8)) and set(units["role"]) == {"E"}
    for neuron in range(8):
        for k, sample in enumerate((1, 2, 3)):
            times = units[neuron].restrict(trials[k]).t * 1000 - 700.0 * k
            np.testing.assert_allclose(times, events(data, sample, neuron), atol=1e-5)
    np.testing.assert_allclose(units["rate"], data.ei.rate().values, rtol=1e-6)
    frame = made["E/current_inh"]
    np.testing.assert_array_equal(frame.values, data["current_inh"].values.reshape(-1, 5))
    np.testing.assert_allclose(frame.t[:3], [0, 0.001, 0.002], atol=1e-9)


def test_pynapple_of_a_network(network_recording: Write) -> None:
    package("pynapple")
    tree = ei.open(network_recording())
    made = ei.to_pynapple(tree, ms_per_step=MS, samples=[3, 7, 11])
    counts = made["units"].count(ep=made["trials"]).values
    for k, name in enumerate(("fc1/E", "fc2/E")):
        data = tree[name].ds.sel(sample=[3, 7, 11])
        np.testing.assert_array_equal(counts[:, 6 * k : 6 * k + 6], data["spikes"].values.sum(1))
    assert made["units"]["layer"].tolist() == ["fc1"] * 6 + ["fc2"] * 6
    assert made["trials"]["sample"].tolist() == [3, 7, 11] and made["trials"]["label"].tolist() == [0, 1, 2]
    one = ei.to_pynapple(tree["fc2/E"], ms_per_step=MS)
    assert set(one["units"]["population"]) == {"fc2/E"}


# Neo


def test_neo_of_a_circuit(circuit_recording: Write) -> None:
    pytest.importorskip("neo")
    tree = ei.open(circuit_recording())
    data = tree["E"].to_dataset().load()
    block = ei.to_neo(tree, signals=["spikes", "current_*"])
    assert [segment.annotations["sample"] for segment in block.segments] == [1, 2, 3]
    for segment in block.segments:
        for train in segment.spiketrains:
            expected = events(data, segment.annotations["sample"], train.annotations["neuron"])
            np.testing.assert_allclose(train.rescale("ms").magnitude, expected, atol=1e-9)
            assert (float(train.t_start), float(train.t_stop), str(train.units.dimensionality)) == (0, 700, "ms")
            assert train.annotations["population"] == train.annotations["role"] == "E"
    signal = next(one for one in block.segments[1].analogsignals if one.annotations["kind"] == "current_inh")
    np.testing.assert_array_equal(signal.magnitude, data["current_inh"].values[1])
    assert str(signal.units.dimensionality) == "mV" and float(signal.sampling_period.rescale("ms")) == 1.0
    assert signal.array_annotations["neuron"].tolist() == data["neuron"].values.tolist()
    group = block.groups[0]
    assert group.name == "E" and len(group.spiketrains) == 3 * 8


def test_elephant_finds_the_same_rates(network_recording: Write) -> None:
    statistics = package("elephant.statistics")
    tree = ei.open(network_recording(steps=60))
    block = ei.to_neo(tree, ms_per_step=MS, populations="fc1/E")
    found = [[float(statistics.mean_firing_rate(t).rescale("Hz")) for t in s.spiketrains] for s in block.segments]
    expected = tree["fc1/E"].ds["spikes"].values.mean(1) * 1000 / MS
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("name", ["pynapple", "neo"])
def test_what_is_not_known_is_asked_for(name: str, network_recording: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    package(name)
    convert = getattr(ei, f"to_{name}")
    path = network_recording()
    with pytest.raises(ConfigError) as steps:
        convert(path)
    assert "ms_per_step" in str(steps.value.remedy)
    with pytest.raises(UnknownNameError):
        convert(path, ms_per_step=MS, populations=["fc9/E"])
    with pytest.raises(UnknownNameError):
        convert(path, ms_per_step=MS, populations=["readout/E"])  # without spikes
    monkeypatch.setattr("eiplatform.store.export.timeline.available_memory", lambda: 1000)
    with pytest.raises(StoreError):
        convert(path, ms_per_step=MS, signals=["*"])
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError) as missing:
        convert(path, ms_per_step=MS)
    assert f"eiplatform[{name}]" in str(missing.value.remedy)


# NWB


def findings(path: Path) -> dict[str, str]:
    """Return what the inspector finds by the name of the check, but for what is left out on purpose."""
    inspector = package("nwbinspector")
    found = {one.check_function_name: one.importance.name for one in inspector.inspect_nwbfile(nwbfile_path=str(path))}
    found.pop("check_processing_module_name", None)  # "signals" says what is in it
    return found


def test_the_inspector_accepts_circuits_and_networks(
    circuit_recording: Write, network_recording: Write, tmp_path: Path
) -> None:
    pytest.importorskip("pynwb")
    circuit = ei.to_nwb(circuit_recording(), tmp_path / "c.nwb")
    network = ei.to_nwb(network_recording(), tmp_path / "n.nwb", ms_per_step=MS)
    nobody = {"check_experimenter_exists", "check_institution", "check_subject_species_exists"}
    for path in (circuit, network):
        found = findings(path)
        assert set(found) <= nobody and "CRITICAL" not in found.values(), found


def test_the_inspector_has_nothing_to_say_of_a_described_measurement(tmp_path: Path) -> None:
    pytest.importorskip("pynwb")
    clamp = ei.from_arrays(RNG.random((3, 50, 3)), RNG.random((3, 50, 3)), dt=0.5, units="pA", population="L5E")
    mouse = {"subject_id": "m1", "species": "Mus musculus", "age": "P60D", "sex": "F", "description": "wild type"}
    about = {"subject": mouse, "experimenter": "Doe, Jane", "institution": "Institute", "keywords": ["inhibition"]}
    path = ei.to_nwb(clamp, tmp_path / "clamp.nwb", about=about)
    assert findings(path) == {}
    with h5py.File(path) as file:
        assert file["general/subject/species"][()] == b"Mus musculus"
        assert "subject" not in json.loads(file["general/notes"][()])
    bare = ei.to_nwb(clamp, tmp_path / "bare.nwb")
    with h5py.File(bare) as file:
        assert "general/subject" not in file  # nothing is said of an animal that is not known
    for wrong in ({"institute": "x"}, {"subject": {"specie": "x"}}):
        with pytest.raises(UnknownNameError):
            ei.to_nwb(clamp, tmp_path / "wrong.nwb", about=wrong)
    with pytest.raises(ConfigError):
        ei.to_nwb(clamp, tmp_path / "wrong.nwb", about={"subject": "m1"})


def assert_same(first: xr.DataTree, second: xr.DataTree) -> None:
    assert [node.path for node in first.leaves] == [node.path for node in second.leaves]
    for node in first.leaves:
        one, other = node.to_dataset().load(), second[node.path].to_dataset()
        assert set(one.variables) == set(other.variables) and one.attrs == other.attrs
        for key in one.variables:
            if str(key).startswith("spike_"):
                continue
            np.testing.assert_array_equal(one[key].values, other[key].values)
            assert one[key].attrs == other[key].attrs and one[key].dtype == other[key].dtype
        if "spike_time" in one.variables:
            for sample in one["sample"].values:
                for neuron in range(one.attrs["n_neurons"]):
                    pair = (events(data, int(sample), neuron) for data in (one, other))
                    np.testing.assert_allclose(*pair, rtol=1e-9, atol=1e-9)


def test_what_was_exported_is_read_back(circuit_recording: Write, network_recording: Write, tmp_path: Path) -> None:
    pytest.importorskip("pynwb")
    for path, options in ((circuit_recording(), {}), (network_recording(), {"ms_per_step": MS})):
        before = ei.open(path)
        after = ei.read_nwb(ei.to_nwb(path, tmp_path / "x.nwb", overwrite=True, **options))
        assert_same(before, after)
        assert after.attrs["source"] == before.attrs["source"] and after.attrs["config"] == before.attrs["config"]
    memory = ei.from_arrays(
        RNG.random((2, 30, 3)),
        dt=0.1,
        units="nA",
        signals={"voltage": RNG.normal(size=(2, 30, 3))},
        potential_units="mV",
        spikes=RNG.integers(0, 3, (2, 30, 3)),
        labels=[4, 2],
        tau_membrane=9.0,
    )
    assert_same(memory, ei.read_nwb(ei.to_nwb(memory, tmp_path / "memory.nwb")))
    part = ei.to_nwb(before["fc1/E"], tmp_path / "part.nwb", ms_per_step=1.0, signals=["spikes"], samples=[5, 2])
    read = ei.read_nwb(part)["fc1/E"].ds
    assert read["sample"].values.tolist() == [5, 2]
    np.testing.assert_array_equal(read["spikes"].values, before["fc1/E"].ds["spikes"].sel(sample=[5, 2]).values)


def test_an_exported_file_can_be_read_as_any_other(circuit_recording: Write, tmp_path: Path) -> None:
    pytest.importorskip("pynwb")
    path = ei.to_nwb(circuit_recording(), tmp_path / "c.nwb")
    windows = [(0, 0.7), (0.7, 1.4), (1.4, 2.1)]
    units = ei.read_nwb(path, "units", labels="role", exc=["E"], inh=[], windows=windows)
    np.testing.assert_allclose(units["E"].ds.ei.rate(), ei.open(circuit_recording("again"))["E"].ds.ei.rate())
    with pytest.raises(ConfigError) as options:
        ei.read_nwb(path, windows=windows)
    assert "what='units'" in str(options.value.remedy)
    with h5py.File(path, "r+") as file:
        del file["processing/signals/E_neurons"]
    with pytest.raises(StoreError) as damaged:
        ei.read_nwb(path)
    assert damaged.value.where == str(path)


# Units


@pytest.mark.parametrize(("given", "kept"), [("pA", "pA"), ("a.u.", "1"), ("µA", "uA"), ("nS", "nS"), ("Hz", "Hz")])
def test_units_of_currents(given: str, kept: str) -> None:
    assert ei.from_arrays(np.ones((4, 2)), dt=1.0, units=given)["E"].ds["current_exc"].attrs["units"] == kept


def test_units_that_are_none_are_refused() -> None:
    for options, where in (
        ({"units": "parsec"}, "units"),
        ({"units": "mv"}, "units"),
        ({"signals": {"voltage": np.ones((4, 2))}, "potential_units": "pA"}, "potential_units"),
    ):
        with pytest.raises(UnknownNameError) as caught:
            ei.from_arrays(np.ones((4, 2)), dt=1.0, **options)  # type: ignore[arg-type]
        assert caught.value.where == where and "mV" in str(caught.value.valid)
    with pytest.raises(ConfigError) as unsaid:
        ei.from_arrays(np.ones((4, 2)), dt=1.0, units="pA", signals={"voltage": np.ones((4, 2))})
    assert unsaid.value.remedy == "potential_units='mV'"


def test_read_nwb_refuses_links_out_of_the_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.nwb", "w") as file:
        file["processing/signals"] = h5py.ExternalLink("other.h5", "/x")
    with pytest.raises(StoreError):
        ei.read_nwb(tmp_path / "x.nwb")
