"""One file of all shards: the same data, bounded memory, damage told, nothing half-written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import eiplatform
from eiplatform.cli import main
from eiplatform.datasets import Split
from eiplatform.errors import OutputExistsError, StoreError
from eiplatform.recording.network import record_network
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store import RecordingWriter, validate
from eiplatform.store.events import bare
from eiplatform.store.info import info
from eiplatform.store.pack import pack, unpack
from eiplatform.store.reader import read_manifest, recordings_below
from tests.conftest import layer
from tests.examples import examples
from tests.properties.test_store_properties import populations
from tests.unit.test_snn_deep import small

Write = Callable[..., Path]
SOURCE = {"kind": "network", "name": "toy"}


def _leaves(path: Path) -> dict[str, xr.Dataset]:
    return {node.path: node.to_dataset().load() for node in eiplatform.open(path).leaves}


def _same(one: Path, other: Path) -> None:
    first, second = _leaves(one), _leaves(other)
    assert list(first) == list(second)
    for name in first:
        xr.testing.assert_identical(first[name], second[name])


@examples(3)
@given(populations(), st.data())
def test_pack_and_unpack_are_the_identity(data: xr.Dataset, choice: st.DataObject) -> None:
    n_samples = data.sizes["sample"]
    cuts = sorted(choice.draw(st.sets(st.integers(1, n_samples - 1), max_size=3))) if n_samples > 1 else []
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "r"
        with RecordingWriter(path, source=SOURCE, config={}) as writer:
            for start, stop in zip([0, *cuts], [*cuts, n_samples], strict=True):
                part = data.isel(sample=slice(start, stop))
                writer.append({"deep/er/E": part, "I": bare(part).drop_dims("spike")})
        packed = pack(path, Path(place) / "r.h5")
        back = unpack(packed, Path(place) / "back")
        _same(path, packed)
        _same(path, back)
        for made in (packed, back):
            assert validate(made).problems == []
        before, after = read_manifest(path), read_manifest(back)
        assert [shard["n_samples"] for shard in after["shards"]] == [shard["n_samples"] for shard in before["shards"]]
        written = ("bytes", "checksum")  # of the files, which HDF5 does not write the same twice
        for manifest in (before, after):
            manifest.pop("bytes")
            manifest["shards"] = [{k: v for k, v in shard.items() if k not in written} for shard in manifest["shards"]]
        assert before == after


def test_packed_file_opens_with_plain_h5py_and_xarray(network_recording: Write, tmp_path: Path) -> None:
    path = network_recording(shards=3)
    packed = pack(path, tmp_path / "p.h5")
    with h5py.File(packed, "r") as file:
        current = file["fc1/E/current_exc"]
        assert current.shape == (40, 4, 6) and current.attrs["units"] in ("1", b"1")
        assert [dim[0].name.rsplit("/", 1)[-1] for dim in current.dims] == ["sample", "time", "neuron"]
        assert {file[f"fc2/E/{name}"].compression for name in ("spikes_packed", "drive")} <= {"gzip", None}
        manifest = json.loads(file["manifest"][()])
    assert manifest["id"] == read_manifest(path)["id"] and manifest["config"] == {
        "seed": 0,
        "network": {"layer": "ei"},
    }
    with xr.open_dataset(packed, group="fc1/E", engine="h5netcdf") as data:
        assert data["label"].values.tolist() == (np.arange(40) % 3).tolist()
    assert eiplatform.open(packed).attrs["complete"] and recordings_below(packed) == [packed]
    assert info(packed).n_samples == 40 and info(packed).form == "packed"


def test_memory_does_not_grow_with_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eiplatform.store.blocks.BLOCK_BYTES", 2**16)
    peaks = []
    for n_shards in (1, 5):
        path = tmp_path / f"r{n_shards}"
        with RecordingWriter(path, source=SOURCE, config={}) as writer:
            for shard in range(n_shards):
                writer.append({"fc1/E": layer(np.arange(32) + 32 * shard, neurons=250)})
        for convert, out in ((pack, tmp_path / f"{n_shards}.h5"), (unpack, tmp_path / f"u{n_shards}")):
            tracemalloc.start()
            convert(path if convert is pack else tmp_path / f"{n_shards}.h5", out)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    shard = (tmp_path / "r1" / "shards" / "00000.h5").stat().st_size
    assert peaks[2] < 1.3 * peaks[0] and peaks[3] < 1.3 * peaks[1], peaks
    assert max(peaks) < 2 * shard  # of five


def _missing(path: Path) -> None:
    (path / "shards" / "00001.h5").unlink()


def _truncated(path: Path) -> None:
    shard = path / "shards" / "00001.h5"
    shard.write_bytes(shard.read_bytes()[:-100])


def _foreign(path: Path) -> None:
    with h5py.File(path / "shards" / "00001.h5", "r+") as file:
        file.attrs.modify("recording_id", "f" * 32)


def _flipped(path: Path) -> None:
    shard = path / "shards" / "00001.h5"
    with h5py.File(shard, "r") as file:
        place = file["fc1/E/current_inh"].id.get_offset()
    content = bytearray(shard.read_bytes())
    content[place + 20] ^= 1
    shard.write_bytes(content)


def _interrupted(path: Path) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"status": "recording"}))


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (_missing, "00001.h5 is missing"),
        (_truncated, "00001.h5 is truncated"),
        (_foreign, "00001.h5 is of another recording"),
        (_flipped, "00001.h5 has changed since it was written"),
        (_interrupted, "the recording was interrupted"),
    ],
)
def test_damage_is_not_packed(
    network_recording: Write,
    tmp_path: Path,
    harm: Callable[[Path], None],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = network_recording(shards=3)
    harm(path)
    assert main(["pack", str(path), "--out", str(tmp_path / "p.h5"), "--json"]) == 2
    told = capsys.readouterr().err
    assert says in told and "record it again" in told and told.count("\n") == 1
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["network"]


def test_shards_that_contradict_each_other_are_not_packed(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", source=SOURCE, config={}) as writer:
        writer.append({"fc1/E": layer(np.arange(5))})
        other = layer(np.arange(5, 8)).drop_vars(["drive", "voltage", "gain"])
        first = layer(np.arange(5)).drop_vars(["drive", "voltage", "gain"])
    with RecordingWriter(tmp_path / "s", source=SOURCE, config={}) as writer:
        writer.append({"fc1/E": first})
        other["bias"] = other["bias"] + 1
        writer.append({"fc1/E": other})
    with pytest.raises(StoreError, match="'bias' differs between shards"):
        pack(tmp_path / "s", tmp_path / "s.h5")
    assert not (tmp_path / "s.h5").exists()


@pytest.mark.parametrize("name", ["fc1/E/current_exc", "readout/E/current_net", "fc2/E/bias", "fc1/E/sample"])
def test_a_flipped_bit_in_a_packed_file_is_named(network_recording: Write, tmp_path: Path, name: str) -> None:
    packed = pack(network_recording(), tmp_path / "p.h5")
    with h5py.File(packed, "r") as file:
        place = file[name].id.get_offset() + file[name].id.get_storage_size() // 2
    content = bytearray(packed.read_bytes())
    content[place] ^= 1
    packed.write_bytes(content)
    result = validate(packed)
    assert result.problems == [f"'{name}' changed since it was packed (checksum)"]
    assert "copy it again" in result.remedies[0] and "not checked" in result.checks["sum rules"]
    with pytest.raises(StoreError, match=name):
        unpack(packed, tmp_path / "u")
    assert not (tmp_path / "u").exists()


def test_changed_units_and_manifest_are_noticed(network_recording: Write, tmp_path: Path) -> None:
    packed = pack(network_recording(), tmp_path / "p.h5")
    other = Path(shutil.copy(packed, tmp_path / "q.h5"))
    with h5py.File(packed, "r+") as file:
        file["fc1/E/drive"].attrs["units"] = "mV"
    assert validate(packed).problems == ["'fc1/E/drive' changed since it was packed (checksum)"]
    with h5py.File(other, "r+") as file:
        text = file["manifest"][()].decode()
        file["manifest"][()] = text.replace('"seed": 0', '"seed": 1')
    with pytest.raises(StoreError, match="manifest inside has changed.*copy the file again"):
        eiplatform.open(other)


def test_files_that_are_no_packed_recording(network_recording: Write, tmp_path: Path) -> None:
    path = network_recording()
    packed = pack(path, tmp_path / "p.h5")
    packed.write_bytes(packed.read_bytes()[:-2000])
    with pytest.raises(StoreError, match="damaged: not readable as HDF5"):
        eiplatform.open(packed)
    with pytest.raises(StoreError, match="one shard of a recording.*give the directory"):
        eiplatform.open(path / "shards" / "00000.h5")
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(StoreError, match="not a recording"):
        eiplatform.open(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(StoreError, match="not a recording"):
        unpack(tmp_path / "other.h5", tmp_path / "u")
    with pytest.raises(StoreError, match="not packed"):
        unpack(path, tmp_path / "u")
    assert not (tmp_path / "u").exists()


def test_nothing_is_overwritten_or_left_half(
    network_recording: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = network_recording()
    packed = pack(path, tmp_path / "p.h5")
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        pack(path, packed)
    unpacked = unpack(packed, tmp_path / "u")
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        unpack(packed, unpacked)
    before, names = packed.read_bytes(), sorted(entry.name for entry in tmp_path.iterdir())

    def fails(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("eiplatform.store.pack.update_digest", fails)
    monkeypatch.setattr("eiplatform.store.pack._split", fails)
    for convert, source, out in ((pack, path, packed), (unpack, packed, unpacked), (pack, path, tmp_path / "new.h5")):
        with pytest.raises(KeyboardInterrupt):
            convert(source, out, overwrite=True)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == names
    assert packed.read_bytes() == before and validate(unpacked).problems == []


def test_a_full_disk_is_refused_before_anything_is_written(
    network_recording: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = network_recording()
    monkeypatch.setattr("shutil.disk_usage", lambda place: shutil._ntuple_diskusage(10, 5, 5))  # type: ignore[attr-defined]
    with pytest.raises(StoreError, match="MB are free.*free some space"):
        pack(path, tmp_path / "deep" / "p.h5")
    assert not (tmp_path / "deep").exists()


def test_a_disk_that_fills_on_the_way_is_an_error_and_no_crash(tmp_path: Path) -> None:
    """HDF5 crashes the process on closing a file whose writing failed; a limit on file size is such a failure."""
    program = (
        "import resource, signal, sys; from eiplatform.cli import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        "out = sys.argv[2]\n"
        "first = main(['pack', sys.argv[1], '--out', out + '/p.h5'])\n"
        "steps = ['--ms-per-step', '1', '--signals', 'spikes']\n"
        "second = main(['export', 'sonata', sys.argv[1], '--out', out + '/s', *steps])\n"
        "print(first, second)"
    )
    data = layer(np.arange(6000), neurons=30)[["spikes"]]
    with RecordingWriter(tmp_path / "long", source=SOURCE, config={}) as writer:
        writer.append({"fc1/E": data})
    assert (tmp_path / "long" / "shards" / "00000.h5").stat().st_size > 120_000
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "long"), str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.split() == ["2", "2"], done
    assert done.stderr.count("File too large") == 2 and "Traceback" not in done.stderr
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["long"]


@pytest.mark.parametrize(
    "keep", [["moments"], ["covariance", "histogram", "quantiles", "spikes-only"], ["raw", "moments"]]
)
def test_reduced_recordings_are_packed_with_the_state_of_every_shard(keep: list[str], tmp_path: Path) -> None:
    """Opened, the file gives the very statistics of the directory; unpacked, the very shards."""
    network = small("cnn", "ei").eval()
    images = np.random.default_rng(3).random((17, *network.input_shape), dtype=np.float32)
    data = Split(images, np.arange(17) % 3, np.arange(17))
    path = tmp_path / "r"
    record_network(
        network, data, path, RecordingSpec(keep=keep, populations=("conv1/*",), shard_samples=7), config={}, label="toy"
    )
    packed = pack(path, tmp_path / "r.h5")
    back = unpack(packed, tmp_path / "back")
    for other in (packed, back):
        _same(path, other)
        assert not validate(other).problems
        assert info(other).populations["conv1/E"].rate == info(path).populations["conv1/E"].rate
    assert _leaves(packed)["/conv1/E"]["n"] == 17 * network.steps
    for file in sorted((path / "shards").glob("*.h5")):
        with h5py.File(file) as one, h5py.File(back / "shards" / file.name) as other:
            assert _contents(one) == _contents(other)
    with h5py.File(packed, "r+") as file:
        mean = "comoment" if "covariance" in keep else "m2"
        file[f"conv1/E/{mean}"][2, 0, ..., 1] += 1
    assert f"conv1/E/{mean}" in " ".join(validate(packed).problems)


def _contents(file: h5py.File) -> dict[str, tuple[object, ...]]:
    """Return type, shape, bytes and dimensions of everything in a file."""
    found: dict[str, tuple[object, ...]] = {}

    def note(name: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset):
            dims = [dim[0].name if len(dim) else None for dim in item.dims]
            text = h5py.check_string_dtype(item.dtype) is not None
            found[name] = (str(item.dtype), item.shape, item[()].tolist() if text else item[()].tobytes(), dims)

    file.visititems(note)
    return found
