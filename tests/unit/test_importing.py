"""Own measurements become recordings: arrays, CSV tables, NWB files; values are checked against known ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import eiplatform as ei
from eiplatform.errors import ConfigError, EIPlatformError, StoreError, UnknownNameError
from eiplatform.store import validate

RNG = np.random.default_rng(5)


def test_arrays_become_a_recording(tmp_path: Path) -> None:
    exc, inh = RNG.random((3, 40, 4)), RNG.random((3, 40, 4))
    tree = ei.from_arrays(-exc, inh, dt=0.1, units="pA", labels=[0, 1, 1], label="clamp", tau_membrane=15.0)
    data = tree["E"].ds
    np.testing.assert_allclose(data["current_exc"], exc, rtol=1e-6)  # an inward current by its size
    np.testing.assert_allclose(data["current_net"], exc - inh, rtol=1e-4, atol=1e-6)
    assert (data.attrs["dt"], data.attrs["dt_units"], data["current_exc"].attrs["units"]) == (0.1, "ms", "pA")
    expected = exc.mean((0, 1)) / inh.mean((0, 1))
    np.testing.assert_allclose(data.ei.ei_ratio(), expected, rtol=1e-5)
    place = tree.save(tmp_path / "clamp")
    assert not validate(place).problems
    xr.testing.assert_identical(ei.open(place)["E"].to_dataset().load(), tree["E"].to_dataset())
    assert "clamp" in str(ei.info(tree)) and "<table>" in ei.info(tree)._repr_html_()  # type: ignore[attr-defined]


def test_units_of_time_and_several_populations() -> None:
    trains = [[np.array([0.01, 0.35]), np.array([])], [np.array([0.2]), np.array([0.11, 0.12, 0.13])]]
    tree = ei.from_arrays(
        dt=0.05, time_units="s", duration=0.4, populations={"L4E": {"spikes": trains}, "L4I": {"spikes": trains[:2]}}
    )
    assert [node.path for node in tree.leaves] == ["/L4E", "/L4I"] and tree["L4I"].ds.attrs["role"] == "I"
    data = tree["L4E"].ds
    assert (data.attrs["dt"], data.attrs["duration"], data.sizes["time"]) == (50.0, 400.0, 8)
    np.testing.assert_allclose(data.ei.rate(), [3 / 0.8, 3 / 0.8])  # Hz


def test_counts_and_steps() -> None:
    spikes = RNG.random((5, 30, 2)) < 0.3
    tree = ei.from_arrays(spikes=spikes, dt=1, time_units="step", n_neurons=10)
    assert tree["E"].ds["spikes"].dtype == bool and tree.attrs["source"]["kind"] == "network"
    np.testing.assert_allclose(tree["E"].ds.ei.rate(), spikes.mean((0, 1)))
    assert tree["E"].ds.attrs["n_neurons"] == 10


@pytest.mark.parametrize(
    ("given", "error", "where"),
    [
        ({"exc": [1.0, -1.0]}, StoreError, "current_exc"),
        ({"exc": [1.0, np.nan]}, StoreError, "current_exc"),
        ({"exc": [1.0, 2.0], "inh": [1.0]}, StoreError, "population 'E'"),
        ({}, StoreError, "population 'E'"),
        ({"spikes": [np.array([1.0, 2.0])]}, StoreError, "population 'E'"),
        ({"spikes": [np.array([1.0, 20.0])], "duration": 10}, StoreError, "population 'E'"),
        ({"spikes": np.array([[0.5, 1.0]])}, StoreError, "spikes"),
        ({"exc": [1.0], "tau_membran": 3}, UnknownNameError, "population 'E'"),
        ({"exc": [1.0], "signals": {"current": [1.0]}}, UnknownNameError, "population 'E'"),
        ({"exc": [1.0], "dt": 0}, ConfigError, "dt"),
        ({"exc": [1.0], "labels": [1, 2]}, StoreError, "labels"),
        ({"exc": [1.0], "labels": [[1], [2, 3]]}, StoreError, "labels"),
        ({"spikes": [3.0, 4.0], "duration": 10}, StoreError, "spikes of the population 'E'"),
        ({"spikes": [0.0, 1.0], "duration": 2}, StoreError, "spikes of the population 'E'"),
        ({"spikes": np.eye(4, 3), "duration": 4}, StoreError, "spikes of the population 'E'"),
        ({"spikes": [3.5, 4.0]}, StoreError, "spikes"),
        ({"spikes": [3.0, [4.0]]}, StoreError, "spikes"),
        ({"spikes": [[[0, 1], [1, 0]]], "exc": np.ones((2, 2))}, StoreError, "spikes of the population 'E'"),
        ({"spikes": [[0, 1], [1, 0]], "exc": np.ones((2, 2))}, StoreError, "spikes of the population 'E'"),
        ({"spikes": [["a"]], "duration": 10}, StoreError, "spikes"),
        ({"spikes": [np.array([1j])], "duration": 10}, StoreError, "spikes"),
        ({"spikes": [[np.ones((2, 2))]], "duration": 10}, StoreError, "spikes"),
        ({"spikes": [np.array([1.0])], "duration": 10.4}, ConfigError, "duration"),
        ({"spikes": [np.array([1.0])], "duration": -10}, ConfigError, "duration"),
        ({"spikes": [np.array([1.0])], "duration": np.nan}, ConfigError, "duration"),
        ({"spikes": [np.array([1.0])], "duration": "10"}, ConfigError, "duration"),
        ({"exc": [1.0, 2.0], "duration": 3}, ConfigError, "duration of the population 'E'"),
        (
            {"exc": [1.0, 2.0], "spikes": [np.array([1.0])], "duration": 3},
            ConfigError,
            "duration of the population 'E'",
        ),
        ({"exc": np.array([["a"]])}, StoreError, "current_exc"),
        ({"exc": np.array([1.0 + 2j])}, StoreError, "current_exc"),
        ({"inh": np.array([1.0, None])}, StoreError, "current_inh"),
        ({"inh": np.ma.masked_invalid([1.0, np.nan])}, StoreError, "current_inh"),
        ({"exc": [[1.0], [1.0, 2.0]]}, StoreError, "current_exc"),
        ({"signals": {"voltage": np.array([1j])}}, StoreError, "voltage"),
        ({"exc": [1.0], "population": ""}, StoreError, "population"),
        ({"exc": [1.0], "population": " E"}, StoreError, "population"),
        ({"exc": [1.0], "population": "../E"}, StoreError, "population"),
        ({"exc": [1.0], "population": "fc1//E"}, StoreError, "population"),
        ({"exc": [1.0], "population": 3}, StoreError, "population"),
        ({"populations": {}}, StoreError, "populations"),
        ({"populations": {"L5": {"exc": [1.0]}, "L5/E": {"exc": [1.0]}}}, StoreError, "populations"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, Any], error: type[EIPlatformError], where: str) -> None:
    with pytest.raises(error) as caught:
        ei.from_arrays(**{"dt": 1.0, **given})
    assert caught.value.where == where and (caught.value.valid or caught.value.remedy)


def test_the_rate_of_one_neuron_is_that_of_its_times() -> None:
    tree = ei.from_arrays(spikes=[np.array([3.0, 4.0])], dt=1.0, duration=10)
    np.testing.assert_allclose(tree["E"].ds.ei.rate(), [200.0])  # Hz
    exact = ei.from_arrays(spikes=[[0.1]], dt=0.1, duration=0.3)  # 3 intervals, but for rounding
    assert (exact["E"].sizes["time"], exact["E"].ds.attrs["duration"]) == (3, pytest.approx(0.3))


def test_names_with_folders_are_kept(tmp_path: Path) -> None:
    tree = ei.from_arrays(exc=[1.0, 2.0], dt=1.0, population="fc1/E")
    assert [node.path for node in ei.open(tree.save(tmp_path / "x")).leaves] == ["/fc1/E"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("time,neuron,exc\n0,0,1+2j\n1,0,2\n", "current_exc"),
        ("time,neuron,exc\n0,0,a\n1,0,b\n", "current_exc"),
        ("time,neuron,exc\nx,0,1\ny,0,2\n", "{file}: column 'time'"),
        ("time,neuron,exc,population\n0,0,1,E\n1,0,2,E\n0,0,1,\n1,0,2,\n", "{file}"),
        ("neuron,spike_time\n0,soon\n", "{file}: column 'spike_time'"),
        ("neuron,spike_time\n0,1\n0.5,2\n", "{file}: column 'neuron'"),
        ("neuron,spike_time\n0,1\n-1,2\n", "{file}: column 'neuron'"),
        ("neuron,spike_time\n0,1\n,2\n", "{file}"),
    ],
)
def test_nothing_of_a_table_is_dropped_or_converted(tmp_path: Path, text: str, where: str) -> None:
    file = tmp_path / "own.csv"
    file.write_text(text)
    options: dict[str, Any] = {"duration": 10} if "spike_time" in text else {}
    with pytest.raises(StoreError) as caught:
        ei.read_csv(file, dt=1.0, **options)
    assert caught.value.where == where.format(file=file) and (caught.value.valid or caught.value.remedy)


def test_a_table_of_counts_has_its_duration(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text("time,neuron,spikes\n0,0,1\n1,0,0\n")
    np.testing.assert_allclose(ei.read_csv(file)["E"].ds.ei.rate(), [500.0])
    with pytest.raises(StoreError) as caught:
        ei.read_csv(file, duration=10)
    assert caught.value.where == "spikes of the population 'E'"


def test_a_table_is_read(tmp_path: Path) -> None:
    exc = RNG.random((2, 5, 3)).round(4)
    rows = [f"{s},{t * 0.5},{n},{exc[s, t, n]},{-exc[s, t, n] / 2},{s + 1}" for s, t, n in np.ndindex(exc.shape)]
    file = tmp_path / "own.csv"
    file.write_text("\n".join(["sample,time,neuron,exc,inh,label", *RNG.permutation(rows)]) + "\n")
    data = ei.read_csv(file, units="nA")["E"].ds
    np.testing.assert_allclose(data["current_exc"], exc, rtol=1e-6)
    np.testing.assert_allclose(data.ei.ei_ratio(), 2.0, rtol=1e-4)
    assert data.attrs["dt"] == 0.5 and data["label"].values.tolist() == [1, 2]
    file.write_text("\n".join(["sample,time,neuron,exc,inh,label", *rows[1:]]) + "\n")
    with pytest.raises(StoreError) as missing:
        ei.read_csv(file)
    assert missing.value.what.startswith("29 rows")
    file.write_text("neuron,spike_time\n0,1.5\n2,3.0\n2,7.0\n")
    np.testing.assert_allclose(ei.read_csv(file, dt=1.0, duration=10.0)["E"].ds.ei.rate(), [100, 0, 200])


def nwb_units(file: h5py.File, trains: list[np.ndarray], kinds: list[str]) -> None:
    units = file.create_group("units")
    units.attrs["colnames"] = np.array(["spike_times", "cell_type"], dtype=object)
    units["spike_times"] = np.concatenate(trains)
    units["spike_times_index"] = np.cumsum([len(train) for train in trains])
    units["cell_type"] = np.array(kinds, dtype=object)


def test_sorted_units_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    trains = [np.sort(rng.random(n) * 20.0) for n in (400, 0, 100, 37, 12)]
    with h5py.File(tmp_path / "s.nwb", "w") as file:
        nwb_units(file, trains, ["RS", "rs", "FS", "unsure", "FS"])
        file["intervals/invalid_times/start_time"] = [18.0]
        file["intervals/invalid_times/stop_time"] = [19.0]
    with pytest.raises(StoreError) as invalid:
        ei.read_nwb(tmp_path / "s.nwb")
    assert "18" in invalid.value.what
    tree = ei.read_nwb(tmp_path / "s.nwb", windows=[(0, 8), (8, 16)], tau_membrane=15.0)
    assert [node.path for node in tree.leaves] == ["/E", "/I"]
    expected = [(train < 16).sum() / 16 for train in trains]
    np.testing.assert_allclose(tree["E"].ds.ei.rate(), expected[:2])
    np.testing.assert_allclose(tree["I"].ds.ei.rate(), [expected[2], expected[4]])
    assert tree["I"].ds.ei.cv_isi().dims == ("neuron",) and tree.attrs["source"]["kind"] == "measured"
    with pytest.raises(StoreError) as nobody:
        ei.read_nwb(tmp_path / "s.nwb", exc=["pyramidal"], inh=[], windows=[(0, 8)])
    assert "RS" in str(nobody.value.valid)
    with pytest.raises(UnknownNameError):
        ei.read_nwb(tmp_path / "s.nwb", labels="celltype")


@pytest.mark.parametrize("train", [np.array([1j, 2.0]), np.array([b"1.0", b"2.0"])])
def test_units_with_times_that_are_not_real_are_refused(tmp_path: Path, train: np.ndarray) -> None:
    with h5py.File(tmp_path / "s.nwb", "w") as file:
        nwb_units(file, [train], ["RS"])
    with pytest.raises(StoreError) as caught:
        ei.read_nwb(tmp_path / "s.nwb", windows=[(0, 8)])
    assert caught.value.where == f"{tmp_path / 's.nwb'}: units/spike_times"


def test_voltage_clamp_is_read(tmp_path: Path) -> None:
    exc, inh = RNG.random((2, 3, 50)) * 100, RNG.random((2, 3, 50)) * 200  # pA, electrode x sweep x time
    with h5py.File(tmp_path / "c.nwb", "w") as file:
        number = 0
        for electrode in range(2):
            file.create_group(f"general/intracellular_ephys/electrode_{electrode}")
        for sweep in range(3):
            for electrode in range(2):
                for potential, current in ((-0.07, -exc[electrode, sweep]), (0.0, inh[electrode, sweep])):
                    for place, kind, values, factor in (
                        ("acquisition", "VoltageClampSeries", current, 1e-12),
                        ("stimulus/presentation", "VoltageClampStimulusSeries", np.full(50, potential), 1.0),
                    ):
                        group = file.create_group(f"{place}/sweep_{number:03d}")
                        group.attrs["neurodata_type"] = kind
                        group.attrs["sweep_number"] = number
                        group["data"] = values
                        group["data"].attrs["conversion"] = factor
                        group["starting_time"] = 0.0
                        group["starting_time"].attrs["rate"] = 10_000.0
                        group["electrode"] = h5py.SoftLink(f"/general/intracellular_ephys/electrode_{electrode}")
                    number += 1
    data = ei.read_nwb(tmp_path / "c.nwb")["E"].ds
    assert dict(data.sizes) == {"sample": 3, "time": 50, "neuron": 2} and data.attrs["dt"] == 0.1
    np.testing.assert_allclose(data["current_exc"], np.moveaxis(exc, 0, -1), rtol=1e-5)
    np.testing.assert_allclose(data["current_inh"], np.moveaxis(inh, 0, -1), rtol=1e-5)
    with pytest.raises(StoreError) as other:
        ei.read_nwb(tmp_path / "c.nwb", exc_at=-40.0)
    assert other.value.remedy == "exc_at=, inh_at="


def test_what_an_export_wrote_is_read_back(tmp_path: Path) -> None:
    from eiplatform.cli import main

    tree = ei.from_arrays(RNG.random((2, 6, 3)), RNG.random((2, 6, 3)), dt=1.0, units="pA")
    tree.save(tmp_path / "own")
    assert main(["export", "csv", str(tmp_path / "own"), "--out", str(tmp_path / "own.csv")]) == 0
    again = ei.read_csv(tmp_path / "own.csv", units="pA")
    np.testing.assert_allclose(again["E"].ds["current_inh"], tree["E"].ds["current_inh"], rtol=1e-6)


def test_a_network_is_compared_with_own_measurements(network_recording: Any) -> None:
    exc, inh = RNG.random((2, 4, 600, 10)) + 0.5
    trains = [[np.sort(RNG.random(60)) * 599 for _ in range(10)] for _ in range(4)]
    own = ei.from_arrays(exc, inh, trains, dt=1.0, units="pA", tau_membrane=15.0, label="cells", duration=600)
    network = ei.open(network_recording(steps=200))
    result = ei.compare(network, own, statistics=["rate"], n_bootstrap=20)
    assert result.data["reference_value"].item() == pytest.approx(100.0)  # Hz
    assert np.isfinite(result.data["interval_ms"]).all()
