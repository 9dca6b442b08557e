"""Recordings in Zarr v3, exported or recorded so: the same recordings, and nothing lost is read as zero."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import eiplatform
from eiplatform.cli import main
from eiplatform.config import load_config
from eiplatform.datasets import Split, load
from eiplatform.errors import ConfigError, OutputExistsError, StoreError, UnknownNameError
from eiplatform.networks import Network
from eiplatform.recording.circuit import record_circuit
from eiplatform.recording.estimate import estimate
from eiplatform.recording.network import record_network
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store.events import bare
from eiplatform.store.export.zarr import export_zarr
from eiplatform.store.info import info
from eiplatform.store.pack import pack
from eiplatform.store.validate import validate
from eiplatform.store.writers import FORMATS
from eiplatform.store.zarr_writer import ZarrWriter
from eiplatform.training import initialise
from tests.conftest import layer
from tests.refusals import refusing

zarr = pytest.importorskip("zarr")

Write = Callable[..., Path]
SOURCE = {"kind": "network", "name": "toy"}


def same_recording(first: Path, second: Path) -> None:
    """Both hold the same populations, down to the attributes."""
    one, other = eiplatform.open(first), eiplatform.open(second)
    assert [node.path for node in one.leaves] == [node.path for node in other.leaves]
    for node in one.leaves:
        xr.testing.assert_identical(other[node.path[1:]].to_dataset().load(), node.to_dataset().load())


def test_zarr_is_the_recording(network_recording: Write, circuit_recording: Write, tmp_path: Path) -> None:
    for path in (network_recording(shards=3), circuit_recording()):
        out = export_zarr(path, tmp_path / f"{path.name}.zarr")
        same_recording(path, out)
        with xr.open_datatree(out, engine="zarr") as tree:
            for node in eiplatform.open(path).leaves:
                stored = tree[node.path[1:]].to_dataset().load()
                xr.testing.assert_identical(stored, bare(node.to_dataset()).load())
            assert tree.attrs["id"] == eiplatform.open(path).attrs["id"] and tree.attrs["status"] == "complete"
        group = zarr.open_group(out, mode="r")
        assert group.metadata.zarr_format == 3
        name = "fc1/E/drive" if path.name == "network" else "E/current_net"
        assert group[name].chunks[0] == (14 if path.name == "network" else 1)
        before, after = info(path), info(out)
        assert (after.form, after.n_samples, after.n_shards) == ("zarr", before.n_samples, before.n_shards)
        assert {name: part.rate for name, part in after.populations.items()} == {
            name: part.rate for name, part in before.populations.items()
        }
        assert not validate(out).problems
        with pytest.raises(OutputExistsError):
            export_zarr(path, out)
        export_zarr(path, out, overwrite=True)
        with pytest.raises(StoreError, match="Zarr store already"):
            export_zarr(out, tmp_path / "again.zarr")
        with pytest.raises(StoreError, match="not shards"):
            pack(out, tmp_path / "packed.h5")


def test_zarr_of_what_is_complete_says_so(network_recording: Write, tmp_path: Path) -> None:
    path = network_recording(shards=4)
    (path / "shards" / "00001.h5").unlink()
    out = export_zarr(path, tmp_path / "z", partial=True)
    with pytest.raises(StoreError, match=r"only what was complete.*partial=True"):
        eiplatform.open(out)
    assert eiplatform.open(out, partial=True)["fc1/E"].sizes["sample"] == 30
    assert any("interrupted" in problem for problem in validate(out).problems)


def test_zarr_notices_lost_and_flipped_chunks(network_recording: Write, tmp_path: Path) -> None:
    """Zarr itself reads zeros where a chunk is missing."""
    out = export_zarr(network_recording(shards=2), tmp_path / "z")
    chunks = sorted(file for file in (out / "fc1" / "E" / "drive" / "c").rglob("*") if file.is_file())
    kept = chunks[0].read_bytes()
    flipped = bytearray(kept)
    flipped[len(kept) // 2] ^= 1
    chunks[0].write_bytes(bytes(flipped))
    with pytest.raises(StoreError, match=r"drive: a chunk is damaged.*copy it again"):
        eiplatform.open(out)["fc1/E"].ds["drive"].load()
    assert [told for told in validate(out).problems if "'fc1/E/drive' changed" in told]
    chunks[0].unlink()
    for partial in (False, True):
        with pytest.raises(StoreError, match=r"array fc1/E/drive is incomplete \(1 of 2 chunks\).*copy it again"):
            eiplatform.open(out, partial=partial)
    assert validate(out).problems
    chunks[0].write_bytes(kept)
    assert not validate(out).problems
    shutil.rmtree(out / "fc1" / "E" / "drive")
    with pytest.raises(StoreError, match="array fc1/E/drive is missing"):
        eiplatform.open(out)


def test_zarr_stores_of_others_and_of_earlier_versions(network_recording: Write, tmp_path: Path) -> None:
    xr.Dataset({"x": 1}).to_zarr(tmp_path / "other", zarr_format=3, consolidated=False)
    with pytest.raises(StoreError, match=r"did not make.*open_datatree"):
        eiplatform.open(tmp_path / "other")
    out = export_zarr(network_recording(), tmp_path / "z")
    root = json.loads((out / "zarr.json").read_text())
    del root["attributes"]["zarr"]
    (out / "zarr.json").write_text(json.dumps(root))
    with pytest.raises(StoreError, match="earlier version.*export it again"):
        eiplatform.open(out)


def test_zarr_writer_keeps_only_what_was_completed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ZarrWriter(tmp_path / "z", source=SOURCE, config={}) as writer:
        writer.append({"fc1/E": layer(np.arange(3))})
        raise RuntimeError("killed")
    with pytest.raises(StoreError, match="nothing was recorded"), ZarrWriter(tmp_path / "z", source=SOURCE, config={}):
        pass
    lie = layer(np.arange(3)).copy(deep=True)
    lie["current_net"].values[0] += 1
    with pytest.raises(StoreError, match="sum rule"), ZarrWriter(tmp_path / "z", source=SOURCE, config={}) as writer:
        writer.append({"fc1/E": lie})
    with pytest.raises(StoreError, match="same pop"), ZarrWriter(tmp_path / "z", source=SOURCE, config={}) as writer:
        writer.append({"fc1/E": layer(np.arange(3))})
        writer.append({"fc2/E": layer(np.arange(3, 5))})
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    with pytest.raises(OutputExistsError, match="did not make"):
        ZarrWriter(tmp_path / "mine", source=SOURCE, config={}, overwrite=True)


# Recording straight into a Zarr store


@pytest.fixture(scope="module")
def network() -> Network:
    return initialise(CONFIG, 5)


@pytest.fixture(scope="module")
def images() -> Split:
    return load("digits").test.take(np.arange(30))


CONFIG = load_config(None, ["network.hidden=[20, 16]", "dataset.name=digits"])
SPECS = {
    "all": {},
    "half": {"dtype": "float16"},
    "spikes": {"keep": "spikes-only"},
    "moments": {"keep": "moments"},
    "everything": {"keep": ["raw", "covariance", "histogram", "quantiles"], "neurons": 9},
}


@pytest.mark.parametrize("kind", SPECS)
def test_recorded_in_either_format_it_is_the_same(network: Network, images: Split, tmp_path: Path, kind: str) -> None:
    spec = RecordingSpec(shard_samples=13, batch_samples=5, **SPECS[kind])
    for name in FORMATS:
        record_network(network, images, tmp_path / name, spec, config={}, label="toy", store=name)
    same_recording(tmp_path / "hdf5", tmp_path / "zarr")
    assert not validate(tmp_path / "zarr").problems
    assert info(tmp_path / "zarr").n_shards == 3
    assert eiplatform.open(tmp_path / "zarr").attrs["source"] == eiplatform.open(tmp_path / "hdf5").attrs["source"]


@pytest.mark.usefixtures("simulated_once")
def test_a_circuit_in_either_format_is_the_same(tmp_path: Path) -> None:
    tiny = {"n_exc": 40, "n_inh": 10, "c_exc": 8, "c_inh": 2}
    options = {"duration_ms": 30.0, "warmup_ms": 10.0, "n_recorded": 5, "device": "numpy", "seeds": (3, 1)}
    for name in FORMATS:
        record_circuit("brunel-2000", tmp_path / name, parameters=tiny, store=name, **options)
    same_recording(tmp_path / "hdf5", tmp_path / "zarr")
    assert not validate(tmp_path / "zarr").problems


def test_large_pieces_are_cut_into_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks that pieces do not fill are rewritten as the next piece comes, and hold the same numbers."""
    monkeypatch.setattr("eiplatform.store.blocks.BLOCK_BYTES", 300)
    pieces = [layer(np.arange(start, start + n)) for start, n in ((0, 7), (7, 1), (8, 12))]
    with ZarrWriter(tmp_path / "z", source=SOURCE, config={}) as writer:
        for piece in pieces:
            writer.append({"fc1/E": piece})
    joined = xr.concat(pieces, "sample", data_vars="minimal", coords="minimal", compat="override", join="override")
    stored = eiplatform.open(tmp_path / "z")["fc1/E"].to_dataset()
    assert zarr.open_group(tmp_path / "z", mode="r")["fc1/E/drive"].nchunks > 3
    for name, variable in joined.data_vars.items():
        np.testing.assert_array_equal(stored[name].values, variable.values)


def test_nothing_is_left_of_an_interrupted_zarr_recording(network: Network, images: Split, tmp_path: Path) -> None:
    def stop(done: int, total: int, message: str) -> None:
        del total, message
        if done > 10:
            raise KeyboardInterrupt

    spec = RecordingSpec(shard_samples=5)
    with pytest.raises(KeyboardInterrupt):
        record_network(network, images, tmp_path / "z", spec, config={}, label="toy", store="zarr", progress=stop)
    assert list(tmp_path.iterdir()) == []
    for asked in ({"resume": True}, {"n_ranks": 2}):
        with pytest.raises(ConfigError, match=r"Zarr store.*export zarr"):
            record_network(network, images, tmp_path / "z", spec, config={}, label="toy", store="zarr", **asked)
    with refusing(UnknownNameError, valid="hdf5, zarr"):
        record_network(network, images, tmp_path / "z", spec, config={}, label="toy", store="zar")


def test_zarr_is_analysed_like_any_recording(network: Network, images: Split, tmp_path: Path) -> None:
    for name in FORMATS:
        record_network(network, images, tmp_path / name, config={}, label="toy", store=name)
        assert main(["analyse", "balance", str(tmp_path / name), "--out", str(tmp_path / f"{name}.nc")]) == 0
    one, other = (xr.load_dataset(tmp_path / f"{name}.nc", engine="h5netcdf") for name in FORMATS)
    xr.testing.assert_equal(one.drop_vars("recording", errors="ignore"), other.drop_vars("recording", errors="ignore"))
    assert main(["info", str(tmp_path / "zarr")]) == 0
    assert main(["validate", str(tmp_path / "zarr")]) == 0
    assert eiplatform.open(tmp_path / "zarr", chunks={})["fc1/E"].ds["drive"].chunks[0] == (30,)


@pytest.mark.parametrize("kind", ["all", "spikes", "moments"])
def test_bytes_are_predicted_to_a_fifth(network: Network, tmp_path: Path, kind: str) -> None:
    images = load("digits").test.take(np.arange(350))
    spec = RecordingSpec(**SPECS[kind])
    expected = estimate(network, images, spec, "zarr").bytes
    record_network(network, images, tmp_path / "z", spec, config={}, label="toy", store="zarr")
    happened = sum(file.stat().st_size for file in (tmp_path / "z").rglob("*") if file.is_file())
    assert abs(expected - happened) < 0.2 * happened, (expected, happened)
