"""Exports hold the recording's own numbers, as the other format's reader sees them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import eiplatform
from eiplatform.cli import main
from eiplatform.errors import ConfigError, MissingDependencyError, OutputExistsError, StoreError, UnknownNameError
from eiplatform.store import RecordingWriter
from eiplatform.store.export.frames import COLUMNS, export_csv
from eiplatform.store.export.nwb import to_nwb
from eiplatform.store.export.sonata import export_sonata
from eiplatform.store.export.zarr import export_zarr
from tests.conftest import layer

Write = Callable[..., Path]
SOURCE = {"kind": "network", "name": "toy"}
MS = 2.5
"""What a step is taken to last."""


def spikes_of_network(data: xr.Dataset, ms: float) -> dict[int, list[float]]:
    """Spike times in ms per neuron, sample after sample: straight from the definition."""
    spikes = data["spikes"].values
    steps = spikes.shape[1]
    return {
        int(neuron): [(sample * steps + step) * ms for sample, step in np.argwhere(spikes[:, :, place]).tolist()]
        for place, neuron in enumerate(data["neuron"].values)
    }


def spikes_of_circuit(data: xr.Dataset) -> dict[int, list[float]]:
    """The same of events in ms."""
    samples = data["sample"].values.tolist()
    starts = np.array([samples.index(sample) for sample in data["spike_sample"].values]) * data.attrs["duration"]
    times = starts + data["spike_time"].values
    found = {neuron: np.sort(times[data["spike_neuron"].values == neuron]) for neuron in range(data.attrs["n_neurons"])}
    return {neuron: values.tolist() for neuron, values in found.items()}


# Tables


def test_table_has_every_value_once(network_recording: Write) -> None:
    path = network_recording()
    table = eiplatform.to_frame(path)
    tree = eiplatform.open(path)
    assert tuple(table.columns) == COLUMNS
    sizes = {"fc1/E": 8 * 40 * 4 * 6, "fc2/E": 8 * 40 * 4 * 6, "readout/E": 3 * 40 * 4 * 3}
    assert table.groupby("population", observed=True).size().to_dict() == sizes
    one = table[(table["population"] == "fc2/E") & (table["signal"] == "gain")]
    back = one.set_index(["sample", "time", "neuron"])["value"].to_xarray()
    np.testing.assert_array_equal(back.values, tree["fc2/E/gain"].values)
    assert back["sample"].values.tolist() == tree["fc2/E/sample"].values.tolist()
    assert table.attrs["units"]["fc1/E"]["drive"] == "1" and table.attrs["units"]["fc1/E"]["time"] == "step"


def test_table_of_a_selection(network_recording: Write) -> None:
    path = network_recording()
    table = eiplatform.to_frame(path, populations=["fc*/E"], signals=["current_*"], samples=[7, 2], neurons=[5])
    assert len(table) == 2 * 3 * 2 * 4 and set(table["signal"]) == {"current_exc", "current_inh", "current_net"}
    assert table["sample"].unique().tolist() == [7, 2] and set(table["neuron"]) == {5}
    exc = eiplatform.open(path)["fc1/E/current_exc"].sel(sample=7, time=3, neuron=5).item()
    row = table.query("population == 'fc1/E' and sample == 7 and time == 3 and signal == 'current_exc'")
    assert row["value"].tolist() == [pytest.approx(exc)]


def test_events_are_rows_at_their_time(circuit_recording: Write) -> None:
    path = circuit_recording()
    table = eiplatform.to_frame(path, signals="spikes", samples=[1, 3])
    data = eiplatform.open(path)["E"].to_dataset()
    kept = data["spike_sample"].values != 2
    assert table["time"].tolist() == data["spike_time"].values[kept].tolist()
    assert table["neuron"].tolist() == data["spike_neuron"].values[kept].tolist() and set(table["value"]) == {1.0}
    assert set(eiplatform.to_frame(path, signals="spikes", neurons=[2])["neuron"]) == {2}


def test_tables_that_do_not_fit_are_refused_with_the_way_out(network_recording: Write) -> None:
    with pytest.raises(StoreError, match=r"16,800 rows takes about 1.2 MB, 0.1 MB.*export csv"):
        eiplatform.to_frame(network_recording(), max_bytes=100_000)


def test_csv_is_the_table(circuit_recording: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = circuit_recording()
    monkeypatch.setattr("eiplatform.store.export.frames.BLOCK_BYTES", 8 * 100)
    read = pd.read_csv(export_csv(path, tmp_path / "t.csv"))
    table = eiplatform.to_frame(path)
    assert len(read) == len(table) == 3 * 700 * 5 * 5 + eiplatform.open(path)["E"].sizes["spike"]
    keys = ["sample", "signal", "neuron", "time"]
    ordered = read.sort_values(keys, ignore_index=True)
    expected = table.astype({"signal": str}).sort_values(keys, ignore_index=True)
    np.testing.assert_array_equal(ordered["time"], expected["time"])
    np.testing.assert_allclose(ordered["value"], expected["value"], rtol=1e-6)


# What is refused


@pytest.mark.parametrize("target", ["nwb", "sonata"])
def test_seconds_are_not_invented(
    network_recording: Write, circuit_recording: Write, tmp_path: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if target == "nwb":
        pytest.importorskip("pynwb")
    network, circuit, out = str(network_recording()), str(circuit_recording()), str(tmp_path / "out")
    for arguments, says in (
        ([network], "in steps, which have no duration.*--ms-per-step.*here dt = 0.693 x tau_membrane"),
        ([circuit, "--ms-per-step", "1"], "in ms already"),
        ([network, "--ms-per-step", "0"], "not a duration. valid: a number above 0"),
        ([network, "--ms-per-step", "1", "--populations", "fc9/E"], "did you mean 'fc2/E'"),
        ([network, "--ms-per-step", "1", "--signals", "volts"], "no signal matches 'volts'"),
        ([network, "--ms-per-step", "1", "--samples", "99"], "no sample 99"),
        ([network, "--ms-per-step", "1", "--neurons", "1"], "takes no --neurons"),
    ):
        assert main(["export", target, *arguments, "--out", out]) == 2
        with pytest.raises(StoreError, match=says):
            raise StoreError(capsys.readouterr().err.splitlines()[-1])
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["circuit", "network"]


def test_steps_left_out_are_no_silence(tmp_path: Path) -> None:
    data = layer(np.arange(4), steps=8).isel(time=slice(0, None, 2)).drop_vars(["voltage"])
    data.attrs["dt"] = 2.0
    with RecordingWriter(tmp_path / "r", source=SOURCE, config={}) as writer:
        writer.append({"fc1/E": data})
    with pytest.raises(StoreError, match="every 2 steps, those between are unknown.*current_"):
        export_sonata(tmp_path / "r", tmp_path / "s", ms_per_step=1.0)
    assert export_sonata(tmp_path / "r", tmp_path / "s", ms_per_step=1.0, signals=["current_*"]).is_dir()


@pytest.mark.parametrize(("package", "export"), [("pynwb", to_nwb), ("zarr", export_zarr)])
def test_missing_packages_are_named_with_their_extra(
    circuit_recording: Write, tmp_path: Path, package: str, export: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"needs {package}.*pip install 'eiplatform\["):
        export(circuit_recording(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_partial_recordings_only_when_asked(
    network_recording: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = network_recording(shards=4)
    (path / "shards" / "00001.h5").unlink()
    with pytest.raises(StoreError, match="partial=True"):
        export_sonata(path, tmp_path / "s", ms_per_step=MS)
    export_sonata(path, tmp_path / "s", ms_per_step=MS, partial=True)
    assert main(["export", "csv", str(path), "--out", str(tmp_path / "p.csv"), "--partial"]) == 3
    assert "partial: shard 00001.h5 is" in capsys.readouterr().out
    told = json.loads((tmp_path / "s" / "samples.json").read_text())
    assert not told["complete"] and told["sample"] == [*range(10), *range(20, 40)]


# SONATA


def test_sonata_of_a_circuit(circuit_recording: Write, tmp_path: Path) -> None:
    path = circuit_recording(seeds=(3, 1, 2))
    out = export_sonata(path, tmp_path / "s")
    data = eiplatform.open(path)["E"].to_dataset().load()
    with h5py.File(out / "spikes.h5") as file:
        group = file["spikes/E"]
        times, nodes = group["timestamps"][:], group["node_ids"][:]
        sorting = h5py.check_enum_dtype(group.attrs.get_id("sorting").dtype)
        assert sorting["by_time"] == group.attrs["sorting"] and group["timestamps"].attrs["units"] == "ms"
        assert file.attrs["magic"] == 0x0A7A
    assert (np.diff(times) >= 0).all()
    assert {neuron: times[nodes == neuron].tolist() for neuron in range(8)} == spikes_of_circuit(data)
    with h5py.File(out / "current_exc_external_report.h5") as file:
        report = file["report/E"]
        np.testing.assert_array_equal(report["data"][:], data["current_exc_external"].values.reshape(-1, 5))
        assert report["data"].attrs["units"] == "mV"
        assert report["mapping/node_ids"][:].tolist() == data["neuron"].values.tolist()
        assert report["mapping/time"][:].tolist() == [0.0, 2100.0, 1.0]
    told = json.loads((out / "samples.json").read_text())
    assert told["sample"] == [3, 1, 2] and told["start_ms"] == [0.0, 700.0, 1400.0]


def test_sonata_of_a_network(network_recording: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eiplatform.store.export.sonata.BLOCK_BYTES", 500)  # flushed often
    path = network_recording()
    out = export_sonata(path, tmp_path / "s", ms_per_step=MS)
    data = eiplatform.open(path)["fc2/E"].to_dataset().load()
    with h5py.File(out / "spikes.h5") as file:
        assert set(file["spikes"]) == {"fc1_E", "fc2_E"}  # a readout does not spike
        times, nodes = file["spikes/fc2_E/timestamps"][:], file["spikes/fc2_E/node_ids"][:]
    assert {neuron: times[nodes == neuron].tolist() for neuron in range(6)} == spikes_of_network(data, MS)
    assert len(times) == int(data["spikes"].sum())
    with pytest.raises(OutputExistsError):
        export_sonata(path, out, ms_per_step=MS)
    export_sonata(path, out, ms_per_step=MS, overwrite=True, signals=["spikes"])
    assert not list(out.glob("*_report.h5"))


def test_sonata_as_libsonata_reads_it(circuit_recording: Write, tmp_path: Path) -> None:
    libsonata = pytest.importorskip("libsonata")
    path = circuit_recording()
    out = export_sonata(path, tmp_path / "s")
    data = eiplatform.open(path)["E"].to_dataset().load()
    spikes = libsonata.SpikeReader(str(out / "spikes.h5"))["E"]
    assert spikes.sorting == "by_time"
    assert [time for node, time in spikes.get(node_ids=[3])] == spikes_of_circuit(data)[3]
    report = libsonata.SomaReportReader(str(out / "current_inh_report.h5"))["E"]
    assert (report.data_units, report.time_units) == ("mV", "ms") and report.times == (0.0, 2100.0, 1.0)
    frame = report.get(node_ids=[2])
    np.testing.assert_array_equal(np.asarray(frame.data)[:, 0], data["current_inh"].values[:, :, 2].ravel())


# NWB


def test_nwb_of_a_circuit(circuit_recording: Write, tmp_path: Path) -> None:
    pynwb = pytest.importorskip("pynwb")
    path = circuit_recording()
    out = to_nwb(path, tmp_path / "c.nwb")
    assert pynwb.validate(path=str(out)) == []
    data = eiplatform.open(path)["E"].to_dataset().load()
    with pynwb.NWBHDF5IO(out, "r") as io:
        file = io.read()
        units = file.units.to_dataframe()
        assert units["neuron"].tolist() == list(range(8)) and set(units["population"]) == {"E"}
        for neuron, times in spikes_of_circuit(data).items():
            np.testing.assert_allclose(units["spike_times"].iloc[neuron], np.array(times) / 1000, rtol=1e-12)
        series = file.processing["signals"]["E_current_inh"]
        assert (series.unit, series.conversion, series.rate) == ("volts", 1e-3, 1000.0)  # mV every ms
        np.testing.assert_array_equal(series.data[:], data["current_inh"].values.reshape(-1, 5))
        trials = file.trials.to_dataframe()
        assert trials["sample"].tolist() == [1, 2, 3]
        np.testing.assert_allclose(trials["start_time"], [0, 0.7, 1.4])
        assert json.loads(file.notes)["id"] == eiplatform.open(path).attrs["id"] == file.identifier


def test_nwb_of_a_network(network_recording: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pynwb = pytest.importorskip("pynwb")
    monkeypatch.setattr("eiplatform.store.export.nwb.BLOCK_BYTES", 600)  # pieces that end within a sample
    path = network_recording(shards=3)
    out = to_nwb(path, tmp_path / "n.nwb", ms_per_step=MS)
    assert pynwb.validate(path=str(out)) == []
    tree = eiplatform.open(path)
    with pynwb.NWBHDF5IO(out, "r") as io:
        file = io.read()
        units = file.units.to_dataframe()
        for name in ("fc1/E", "fc2/E"):
            own = units[units["population"] == name].set_index("neuron")["spike_times"]
            for neuron, times in spikes_of_network(tree[name].to_dataset(), MS).items():
                np.testing.assert_allclose(own[neuron], np.array(times) / 1000, rtol=1e-12)
        module = file.processing["signals"]
        for name, data in ((node.path.lstrip("/"), node.to_dataset()) for node in tree.leaves):
            plain = name.replace("/", "_")
            for key in ("current_exc", "current_net"):
                np.testing.assert_array_equal(
                    module[f"{plain}_{key}"].data[:], data[key].values.reshape(-1, data.sizes["neuron"])
                )
        assert module["fc1_E_drive"].rate == 1000 / MS and module["fc1_E_drive"].unit == "1"
        np.testing.assert_allclose(module["fc1_E_neurons"]["bias"][:], tree["fc1/E/bias"].values)
        assert file.trials["label"][:].tolist() == (np.arange(40) % 3).tolist()
        assert "2.5 ms, as the user said" in file.session_description


def test_selection_by_names_that_do_not_exist(network_recording: Write) -> None:
    with pytest.raises(UnknownNameError, match="no neuron 9 in population 'fc1/E'"):
        eiplatform.to_frame(network_recording(), neurons=[0, 9])
    with pytest.raises(ConfigError, match="whole checkpoint"):
        from eiplatform.cli.exchange import export

        export("deepeisnn", Path("x.safetensors"), out=Path("y"), samples=[1])
