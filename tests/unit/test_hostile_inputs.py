"""Recordings, checkpoints, studies and data sets that name other files, or ask for more than they are worth."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml

import eiplatform
from eiplatform.datasets import archives, load, registry
from eiplatform.errors import EIPlatformError, StoreError
from eiplatform.lesions.design import DESIGN, FORMAT, read_design
from eiplatform.networks import CheckpointError, build_network, initialise_ei
from eiplatform.networks import load as load_network
from eiplatform.networks import save as save_network
from eiplatform.networks.checkpoint import write_tensors
from eiplatform.networks.pickled import is_plain_tensor, plain_values, read_pickled
from eiplatform.store import RecordingWriter, validate
from eiplatform.store.pack import pack, unpack
from eiplatform.study import expand, load_study
from eiplatform.study.status import LEDGER, take_over
from tests.conftest import layer
from tests.fuzz.seeds import REGISTRY

Write = Callable[..., Path]
Edit = Callable[[dict[str, Any]], None]


def _edit(path: Path, edit: Edit) -> None:
    held = json.loads(path.read_text())
    edit(held)
    path.write_text(json.dumps(held))


@pytest.mark.parametrize("name", ["/victim.h5", "../victim.h5", "../../victim.h5", "x/y.h5", "..", ""])
def test_a_packed_recording_names_only_its_own_shards(network_recording: Write, tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim.h5"
    victim.write_text("precious")
    packed = pack(network_recording(), tmp_path / "packed.h5")
    with h5py.File(packed, "r+") as file:
        manifest = json.loads(file["manifest"][()])
        manifest["shards"][0]["file"] = str(victim) if name.startswith("/") else name
        del file["manifest"]
        file.create_dataset("manifest", data=json.dumps(manifest), dtype=h5py.string_dtype())
        file.attrs["manifest_sha256"] = hashlib.sha256(file["manifest"][()]).hexdigest()
    for read in (eiplatform.open, validate, lambda path: unpack(path, tmp_path / "out")):
        with pytest.raises(StoreError):
            read(packed)
    assert victim.read_text() == "precious"
    assert not (tmp_path / "out").exists()


def test_a_manifest_names_only_its_own_shards(network_recording: Write) -> None:
    path = network_recording()
    _edit(path / "manifest.json", lambda held: held["shards"][0].update(file="../../elsewhere.h5"))
    for read in (eiplatform.open, validate, eiplatform.info):
        with pytest.raises(StoreError):
            read(path)


def test_resuming_deletes_nothing_elsewhere(tmp_path: Path) -> None:
    victim = tmp_path / "x.json"
    victim.write_text("{}")
    about: dict[str, Any] = {"source": {"kind": "network", "name": "toy"}, "config": {}}
    writer = RecordingWriter(tmp_path / "r", **about)
    writer.append({"fc1/E": layer(np.arange(3))})
    writer.close()
    _edit(tmp_path / "r/shards/00000.json", lambda held: held.update(file="../../x.h5", checksum="xxh3:0"))
    with pytest.raises(StoreError):
        RecordingWriter(tmp_path / "r", resume=True, **about)
    assert victim.exists()


@pytest.mark.parametrize(
    "edit",
    [
        lambda held: held.pop("id"),
        lambda held: held.update(status="x"),
        lambda held: held.update(status=3),
        lambda held: held.update(source=[]),
        lambda held: held["source"].update(kind="x"),
        lambda held: held["source"].update(steps="many"),
        lambda held: held.update(config=None),
        lambda held: held.update(shards={}),
        lambda held: held.update(shards=[None]),
        lambda held: held["shards"][0].pop("bytes"),
        lambda held: held["shards"][0].update(bytes=-1),
        lambda held: held["shards"].append(held["shards"][0]),
        lambda held: held.update(populations={"../x": {}}),
        lambda held: held.update(provenance=3),
        lambda held: held.update(schema_version=None),
    ],
)
def test_a_garbled_manifest_is_one_error(network_recording: Write, edit: Edit) -> None:
    path = network_recording()
    _edit(path / "manifest.json", edit)
    with pytest.raises(StoreError):
        eiplatform.open(path)


def test_links_in_a_zarr_store_are_refused(network_recording: Write, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    from eiplatform.store.export import export_recording

    path = export_recording("zarr", network_recording(), tmp_path / "r.zarr")
    assert eiplatform.open(path)["fc1/E"].ds.sizes["sample"] == 40
    array = path / "fc1/E/current_exc"
    array.rename(tmp_path / "elsewhere")
    array.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        eiplatform.open(path)
    array.unlink()
    (tmp_path / "elsewhere").rename(array)
    chunk = next(file for file in array.rglob("c/**/*") if file.is_file())
    chunk.unlink()
    os.mkfifo(chunk)  # to read it would be to wait for ever
    with pytest.raises(StoreError, match="neither a file nor a folder"):
        eiplatform.open(path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda held: held["codecs"].append({"name": "numcodecs.pickle"}),
        lambda held: held["chunk_grid"]["configuration"].update(chunk_shape=[0, 1, 1]),
        lambda held: held["chunk_grid"]["configuration"].update(chunk_shape=[2**20, 2**20, 1]),
        lambda held: held.update(shape="x"),
        lambda held: held.update(shape=[2**60, 1, 1]),
        lambda held: held.update(storage_transformers=[{"name": "x"}]),
    ],
)
def test_garbled_metadata_of_zarr_is_one_error(network_recording: Write, tmp_path: Path, edit: Edit) -> None:
    pytest.importorskip("zarr")
    from eiplatform.store.export import export_recording

    path = export_recording("zarr", network_recording(), tmp_path / "r.zarr")
    _edit(path / "fc1/E/current_exc/zarr.json", edit)
    with pytest.raises(StoreError):
        eiplatform.open(path)


def _study(folder: Path, **changes: Any) -> Path:
    (folder / "c.yml").write_text("seed: 1\n")
    train = {"kind": "train", "config": "c.yml", "over": "seed"} | changes.pop("train", {})
    held = {"title": "T", "question": "Q?", "axes": {"seed": [1]}, "steps": {"train": train}} | changes
    (folder / "s.yml").write_text(yaml.safe_dump(held))
    return folder / "s.yml"


@pytest.mark.parametrize("name", ["../../outside", "/tmp/x", "..", ".hidden", "a/b", ""])
def test_a_study_writes_below_its_directory(tmp_path: Path, name: str) -> None:
    watch = {name: {"epochs": [0]}}
    graph = expand(load_study(_study(tmp_path, train={"record": watch})))
    with pytest.raises(EIPlatformError):
        next(iter(graph.steps.values())).task.watches("train")  # type: ignore[attr-defined]
    if name:
        with pytest.raises(EIPlatformError):
            expand(load_study(_study(tmp_path, axes={"seed": [name]})))


def test_the_ledger_of_another_study_names_its_own_steps(tmp_path: Path) -> None:
    from eiplatform.study import status_of
    from eiplatform.study.status import jobs_of

    graph = expand(load_study(_study(tmp_path)))
    status, jobs = status_of(graph, tmp_path / "out"), jobs_of(graph, tmp_path / "out")
    (name, state), other = next(iter(status.items())), tmp_path / "other"
    (other / LEDGER).mkdir(parents=True)
    facts = {"step": "../../elsewhere", "state": "done", "inputs": state.inputs, "code": state.code}
    (other / LEDGER / f"{name.replace('/', '--')}.json").write_text(json.dumps(facts))
    with pytest.raises(StoreError):
        take_over(status, jobs, tmp_path / "out", other)


@pytest.mark.parametrize(
    "edit",
    [
        lambda held: held["conditions"][0].update(name="../../elsewhere"),
        lambda held: held["conditions"][0].update(name="/tmp/elsewhere"),
        lambda held: held["conditions"][0].update(dose=0.3),
        lambda held: held["conditions"][0].pop("name"),
        lambda held: held.update(conditions=[3]),
        lambda held: held.update(doses="x"),
    ],
)
def test_the_plan_of_a_design_names_its_own_recordings(tmp_path: Path, edit: Edit) -> None:
    plan = {"format": FORMAT, "doses": [0.0], "controls": 0, "conditions": [{"name": "dose-0.0", "dose": 0.0}]}
    (tmp_path / DESIGN).write_text(json.dumps(plan))
    assert read_design(tmp_path)["doses"] == [0.0]
    _edit(tmp_path / DESIGN, edit)
    with pytest.raises(StoreError):
        read_design(tmp_path)


@pytest.fixture
def network_file(tmp_path: Path) -> tuple[Path, Any]:
    config = eiplatform.config.load_config(None, ["network.hidden=[8]"])
    network = build_network(config, (1, 8, 8), 10)
    initialise_ei(network, torch.rand(16, 1, 8, 8), torch.Generator().manual_seed(1))
    return save_network(tmp_path / "n.safetensors", network, config), network


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_are_widened(network_file: tuple[Path, Any], dtype: torch.dtype) -> None:
    from eiplatform.networks.checkpoint import read_tensors

    path, network = network_file
    tensors, meta = read_tensors(path, "network")
    halves = {name: tensor.to(dtype) for name, tensor in tensors.items()}
    write_tensors(path, halves, meta)
    found, _ = load_network(path)
    for name, values in found.state_dict().items():
        assert values.dtype == torch.float32
        assert torch.equal(values, halves[name].float())
    network.load_state_dict({name: tensor.float() for name, tensor in halves.items()})
    images = torch.rand(3, 1, 8, 8)
    assert torch.equal(found(images), network(images))


def test_a_checkpoint_takes_no_memory_that_it_does_not_hold(network_file: tuple[Path, Any]) -> None:
    from eiplatform.config import config_hash
    from eiplatform.networks.checkpoint import read_tensors

    path, _ = network_file
    tensors, meta = read_tensors(path, "network")
    meta["config"]["network"]["hidden"] = [2**26, 2**26]
    meta["config_hash"] = config_hash(meta["config"])
    write_tensors(path, tensors, meta)
    with pytest.raises(CheckpointError):
        load_network(path)


def test_numpy_values_in_a_pth_are_read(tmp_path: Path) -> None:
    held = {
        "rate": np.float64(0.1),
        "count": np.int64(3),
        "half": np.float16(0.5),
        "yes": np.bool_(True),
        "row": np.arange(3),
        "table": np.ones((2, 2), np.float32),
        "name": np.str_("x"),
    }
    torch.save({"config": held, "x": torch.ones(2)}, tmp_path / "x.pth")
    found = read_pickled(tmp_path / "x.pth")
    assert found["config"]["rate"] == 0.1
    plain = plain_values(found["config"], "x.pth")
    assert plain == {
        "rate": 0.1,
        "count": 3,
        "half": 0.5,
        "yes": True,
        "row": [0, 1, 2],
        "table": [[1, 1], [1, 1]],
        "name": "x",
    }
    assert all(type(value) in (float, int, bool, list, str) for value in plain.values())


class _Code:
    def __reduce__(self) -> Any:
        return print, ("code was run",)


def test_code_in_a_pth_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"config": _Code()}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError):
        read_pickled(tmp_path / "x.pth")
    assert "code was run" not in capsys.readouterr().out


def test_an_archive_that_declares_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(2**24))
    with pytest.raises(CheckpointError):
        read_pickled(tmp_path / "x.pth")


def test_only_tensors_that_are_there_are_plain() -> None:
    assert is_plain_tensor(torch.ones(3))
    for tensor in (torch.zeros(1).expand(2**40), torch.ones(2).to_sparse(), torch.ones(2, device="meta"), 3):
        assert not is_plain_tensor(tensor)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    known = dict(registry._registry()) | REGISTRY
    monkeypatch.setattr(registry, "_registry", lambda: known)


@pytest.mark.usefixtures("small")
def test_a_gzip_bomb_is_stopped_while_it_is_decompressed(tmp_path: Path) -> None:
    block = gzip.compress(bytes(2**20), 9)
    for name in REGISTRY["fuzz-idx"]["files"]:
        (tmp_path / f"{name}.gz").write_bytes(1000 * block)  # 1 GB
    tracemalloc.start()
    with pytest.raises(EIPlatformError):
        load("fuzz-idx", tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**25


def _tar(path: Path, members: dict[str, tuple[bytes, bytes]]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, (kind, content) in members.items():
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content) if kind == tarfile.REGTYPE else 0
            info.linkname = "" if kind == tarfile.REGTYPE else "/etc/passwd"
            archive.addfile(info, io.BytesIO(content))


def test_tar_archives_give_plain_files_only(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    _tar(path, {"../../a.bin": (tarfile.REGTYPE, b"12")})
    assert archives.read_tar(path, ["a.bin"], 2**14) == {"a.bin": b"12"}
    assert not (tmp_path.parent.parent / "a.bin").exists()
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
        _tar(path, {"a.bin": (kind, b"")})
        with pytest.raises(EIPlatformError):
            archives.read_tar(path, ["a.bin"], 2**14)
    for members in (
        {"a.bin": (tarfile.REGTYPE, bytes(2**14 + 1))},
        {"big": (tarfile.REGTYPE, bytes(2**20)), "a.bin": (tarfile.REGTYPE, b"x")},
    ):
        _tar(path, members)
        with pytest.raises(EIPlatformError):
            archives.read_tar(path, ["a.bin"], 2**14)


def test_zip_members_are_bounded(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(2**20))
    with zipfile.ZipFile(tmp_path / "x.zip") as archive, pytest.raises(EIPlatformError):
        archives.read_member(archive, "a", 1000)


@pytest.mark.usefixtures("small")
def test_annotations_name_images_beside_them(tmp_path: Path) -> None:
    folder = tmp_path / "fuzz-tiny"
    (folder / "val/images").mkdir(parents=True)
    (tmp_path / "secret.JPEG").write_bytes(b"x")
    (folder / "wnids.txt").write_text("n01\nn02\n")
    (folder / "val/val_annotations.txt").write_text("../../../secret.JPEG\tn01\n")
    with pytest.raises(EIPlatformError):
        _ = load("fuzz-tiny", tmp_path).test
