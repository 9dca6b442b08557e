"""The store keeps what it was given, refuses lies, and tells complete from damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

import eiplatform
from eiplatform.errors import OutputExistsError, StoreError, SumRuleError, UnknownNameError
from eiplatform.store import RecordingWriter, population_dataset, read_manifest, recordings_below, validate
from eiplatform.store.info import info
from tests.conftest import layer, readout

Write = Callable[..., Path]
SOURCE = {"kind": "network", "name": "toy"}


def test_what_is_read_is_what_was_written(network_recording: Write) -> None:
    tree = eiplatform.open(network_recording(shards=3))
    parts = [layer(part, seed=0) for part in np.array_split(np.arange(40), 3)]
    written = xr.concat(parts, "sample", data_vars="minimal")
    assert tree.attrs["complete"]
    xr.testing.assert_identical(tree["fc1/E"].to_dataset().load(), written)


def test_opening_reads_no_signal(network_recording: Write) -> None:
    path = network_recording(shards=2)
    tree = eiplatform.open(path)
    second = path / "shards" / "00001.h5"
    backup = second.with_suffix(".away")
    second.rename(backup)
    current = tree["fc1/E"].ds["current_exc"]
    first_half = current.isel(sample=slice(0, 20)).values  # touches the first shard alone
    assert first_half.shape == (20, 4, 6)
    with pytest.raises(StoreError):
        current.isel(sample=25).values  # noqa: B018
    backup.rename(second)
    assert np.isfinite(current.isel(sample=25).values).all()


@pytest.mark.parametrize(
    "key",
    [slice(None), slice(3, 39, 5), slice(19, 21), slice(5, 5), slice(None, None, -1), 4, 39, [0, 20, 39, 3], [39]],
)
def test_lazy_indexing_equals_numpy(network_recording: Write, key: object) -> None:
    lazy = eiplatform.open(network_recording(shards=3))["fc1/E"].ds["drive"]
    whole = lazy.values
    np.testing.assert_array_equal(lazy.isel(sample=key).values, whole[key])
    np.testing.assert_array_equal(lazy.isel(sample=key, neuron=[4, 1]).values, whole[key][..., [4, 1]])


def test_shard_opens_with_plain_h5py_and_xarray(network_recording: Write) -> None:
    shard = network_recording() / "shards" / "00000.h5"
    with h5py.File(shard, "r") as file:
        current = file["fc1/E/current_exc"]
        assert current.shape == (20, 4, 6)
        assert current.attrs["units"] == "1" or current.attrs["units"] == b"1"
        assert [dim[0].name.rsplit("/", 1)[-1] for dim in current.dims] == ["sample", "time", "neuron"]
        filters = {file["fc1/E/spikes_packed"].compression, file["fc1/E/current_exc"].compression}
        assert filters <= {"gzip", None}  # filters that every HDF5 reader has
        spikes = np.unpackbits(file["fc1/E/spikes_packed"], axis=-1, count=6, bitorder="little").astype(bool)
        np.testing.assert_array_equal(spikes, layer(np.arange(20), seed=0)["spikes"].values)
    with xr.open_dataset(shard, group="fc1/E", engine="h5netcdf") as data:
        assert data["current_exc"].attrs["long_name"] == "excitatory input current"
        assert data["label"].values.tolist() == (np.arange(20) % 3).tolist()


def test_manifest_says_where_it_came_from(network_recording: Write) -> None:
    manifest = read_manifest(network_recording())
    assert manifest["status"] == "complete" and manifest["schema_version"] == "1.0"
    assert manifest["provenance"]["versions"]["eiplatform"] == eiplatform.__version__
    assert manifest["populations"]["fc1/E"]["signals"]["gain"] == {
        "dims": ["sample", "time", "neuron"],
        "dtype": "float32",
        "units": "1",
    }
    assert set(manifest["shards"][0]["sum_rules"]) == {"net", "drive", "gain", "voltage", "threshold"}


@pytest.mark.parametrize(
    ("signal", "rule"),
    [
        ("current_net", "current_net = current_exc - current_inh"),
        ("drive", "drive = gain x current_net"),
        ("gain", "drive = gain x current_net"),
        ("inhibition_div", "gain x inhibition_div"),
        ("voltage", "voltage"),
        ("spikes", "voltage"),
    ],
)
def test_a_lie_in_one_value_is_not_stored(tmp_path: Path, signal: str, rule: str) -> None:
    data = layer(np.arange(5)).copy(deep=True)
    value = data[signal].values
    if signal == "spikes":
        value[2, 1, 3] = ~value[2, 1, 3]
    else:
        value[2, 1, 3] += 0.01
    writer = RecordingWriter(tmp_path / "lie", source=SOURCE, config={})
    with pytest.raises(SumRuleError, match=rule.split(" x ")[0]):
        writer.append({"fc1/E": data})
    assert list((tmp_path / "lie" / "shards").iterdir()) == []


def test_parts_of_excitation_must_add_up(tmp_path: Path) -> None:
    from tests.conftest import circuit_population

    data = circuit_population(1).copy(deep=True)
    data["current_exc_external"].values[0, 3, 1] += 0.5
    writer = RecordingWriter(tmp_path / "lie", source=SOURCE, config={})
    with pytest.raises(SumRuleError, match="sum of its parts"):
        writer.append({"E": data})


@pytest.mark.parametrize(("value", "message"), [(np.nan, "not finite"), (-1.0, "negative")])
def test_impossible_values_are_refused(tmp_path: Path, value: float, message: str) -> None:
    data = readout(np.arange(4)).copy(deep=True)
    data["current_inh"].values[0, 0, 0] = value
    writer = RecordingWriter(tmp_path / "bad", source=SOURCE, config={})
    with pytest.raises(SumRuleError, match=message):
        writer.append({"readout/E": data})


def test_writer_refuses_repeated_samples_and_changed_shapes(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "r", source=SOURCE, config={})
    writer.append({"fc1/E": layer(np.arange(5))})
    with pytest.raises(StoreError, match=r"recorded twice: \[4\]"):
        writer.append({"fc1/E": layer(np.arange(4, 8))})
    with pytest.raises(StoreError, match="same populations"):
        writer.append({"fc2/E": layer(np.arange(5, 8))})
    with pytest.raises(StoreError, match="same times and neurons"):
        writer.append({"fc1/E": layer(np.arange(5, 8)).assign_coords(neuron=np.arange(1, 7))})
    writer.append({"fc1/E": layer(np.arange(5, 8))})
    writer.complete()
    assert eiplatform.open(tmp_path / "r")["fc1/E"].sizes["sample"] == 8


def test_nothing_recorded_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match="nothing was recorded"),
        RecordingWriter(tmp_path / "r", source=SOURCE, config={}),
    ):
        pass


def test_schema_refuses_wrong_names_and_shapes() -> None:
    axes = {
        "sample": np.arange(2),
        "time": np.arange(3),
        "neuron": np.arange(4),
        "dt": 1.0,
        "time_units": "step",
        "current_units": "1",
        "n_neurons": 4,
        "role": "E",
    }
    with pytest.raises(UnknownNameError, match="did you mean 'current_exc'"):
        population_dataset({"curent_exc": np.zeros((2, 3, 4))}, **axes)
    with pytest.raises(StoreError, match=r"'gain' has shape \(2, 4, 3\)"):
        population_dataset({"gain": np.zeros((2, 4, 3))}, **axes)
    with pytest.raises(StoreError, match="incomplete spike events"):
        population_dataset({}, events={"spike_time": np.zeros(1)}, **axes)


def test_interrupted_recording_is_told_and_can_be_read_in_part(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), RecordingWriter(tmp_path / "r", source=SOURCE, config={}) as writer:
        writer.append({"fc1/E": layer(np.arange(5))})
        writer.append({"fc1/E": layer(np.arange(5, 9))})
        raise RuntimeError("killed")
    with pytest.raises(StoreError, match="interrupted after 2 complete shard"):
        eiplatform.open(tmp_path / "r")
    tree = eiplatform.open(tmp_path / "r", partial=True)
    assert not tree.attrs["complete"]
    assert tree["fc1/E"].sizes["sample"] == 9
    assert validate(tmp_path / "r").problems == ["the recording was interrupted"]


def test_what_is_complete_is_offered_only_where_something_is(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), RecordingWriter(tmp_path / "r", source=SOURCE, config={}) as writer:
        raise RuntimeError("killed")
    with pytest.raises(StoreError, match="after 0 complete shard.*--resume") as refused:
        eiplatform.open(tmp_path / "r")
    assert "--partial" not in str(refused.value)
    with pytest.raises(StoreError, match="no complete shard"):
        eiplatform.open(tmp_path / "r", partial=True)
    with pytest.raises(RuntimeError), RecordingWriter(tmp_path / "s", source=SOURCE, config={}) as writer:
        writer.append({"fc1/E": layer(np.arange(5))})
        raise RuntimeError("killed")
    with pytest.raises(StoreError, match="partial=True"):
        eiplatform.open(tmp_path / "s")


def _missing(shard: Path) -> None:
    shard.unlink()


def _truncated(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:-100])


def _foreign(shard: Path) -> None:
    with h5py.File(shard, "r+") as file:
        file.attrs.modify("recording_id", "f" * 32)


@pytest.mark.parametrize(
    ("harm", "message"),
    [(_missing, "00001.h5 is missing"), (_truncated, "truncated"), (_foreign, "another recording")],
)
def test_damaged_shards_are_named(network_recording: Write, harm: Callable[[Path], None], message: str) -> None:
    path = network_recording(shards=3)
    harm(path / "shards" / "00001.h5")
    with pytest.raises(StoreError, match=message):
        eiplatform.open(path)
    tree = eiplatform.open(path, partial=True)
    assert tree["fc1/E"].sizes["sample"] == 40 - 13
    assert message in tree.attrs["problems"]
    assert any(message in problem for problem in validate(path).problems)


def test_flipped_byte_fails_validation(network_recording: Write) -> None:
    path = network_recording()
    assert validate(path).problems == []
    shard = path / "shards" / "00000.h5"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    assert any("checksum" in problem for problem in validate(path).problems)


def test_other_schema_version_is_refused(network_recording: Write) -> None:
    path = network_recording()
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"schema_version": "2.0"}))
    with pytest.raises(StoreError, match="schema version 2.0"):
        eiplatform.open(path)


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_no_recording(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="recording"):
        eiplatform.open(tmp_path / name)
    with pytest.raises(StoreError, match="no recording here|does not exist"):
        recordings_below(tmp_path / name)


def test_overwriting_needs_permission_and_spares_what_is_not_ours(network_recording: Write, tmp_path: Path) -> None:
    path = network_recording()
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        RecordingWriter(path, source=SOURCE, config={})
    assert validate(path).problems == []  # untouched
    RecordingWriter(path, source=SOURCE, config={}, overwrite=True)
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter1.tex").write_text("years of work")
    with pytest.raises(OutputExistsError, match="did not make"):
        RecordingWriter(foreign, source=SOURCE, config={}, overwrite=True)
    assert (foreign / "chapter1.tex").read_text() == "years of work"


def test_events_of_all_shards_are_joined(circuit_recording: Write) -> None:
    from tests.conftest import circuit_population

    data = eiplatform.open(circuit_recording())["E"].to_dataset()
    expected = [circuit_population(seed) for seed in (1, 2, 3)]
    assert data.sizes["spike"] == sum(part.sizes["spike"] for part in expected)
    np.testing.assert_array_equal(data["spike_time"].values, np.concatenate([p["spike_time"].values for p in expected]))
    assert data["sample"].values.tolist() == [1, 2, 3]


def test_info_counts_rates(circuit_recording: Write, network_recording: Write) -> None:
    told = info(circuit_recording()).as_dict()
    data = eiplatform.open(told["path"])["E"].ds
    assert told["populations"]["E"]["rate"] == f"{data.sizes['spike'] / (8 * 0.7 * 3):.2f} Hz"
    network = info(network_recording()).as_dict()
    mean = float(eiplatform.open(network["path"])["fc1/E"].ds["spikes"].mean())
    assert network["populations"]["fc1/E"]["rate"] == f"{mean:.3f} per step"


def test_a_moved_recording_still_opens(network_recording: Write, tmp_path: Path) -> None:
    path = network_recording()
    shutil.move(path, tmp_path / "elsewhere")
    assert eiplatform.open(tmp_path / "elsewhere").attrs["complete"]
