"""Data sets in the true formats of their files, written small by the tests."""

import gzip
import hashlib
import http.server
import io
import struct
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eiplatform.datasets import Split, files, load, registry
from eiplatform.errors import EIPlatformError, MissingDependencyError

RNG = np.random.default_rng(5)
Registered = Callable[..., dict[str, Any]]


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Registered:
    """Change the registry's entry of a data set, and let nothing be found outside of the test's folder."""
    monkeypatch.delenv(files.DATA_VARIABLE, raising=False)
    monkeypatch.setattr(files, "DEBIAN_ROOT", tmp_path / "nowhere")

    def change(name: str, **facts: Any) -> dict[str, Any]:
        entry = registry._registry()[name] | facts
        monkeypatch.setattr(registry, "_registry", lambda: {name: entry})
        return entry

    return change


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def cifar_records(n: int, label_bytes: int, n_classes: int) -> tuple[bytes, np.ndarray, np.ndarray]:
    images = RNG.integers(0, 256, (n, 3, 32, 32)).astype(np.uint8)
    labels = RNG.integers(0, n_classes, n).astype(np.uint8)
    coarse = np.full((n, label_bytes - 1), 19, np.uint8)
    table = np.concatenate((coarse, labels[:, None], images.reshape(n, -1)), axis=1)
    return table.tobytes(), images, labels


CIFAR10_FILES = [*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]


def tar_gz(path: Path, contents: dict[str, bytes]) -> bytes:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path.read_bytes()


@pytest.mark.parametrize("packed", [False, True])
def test_cifar10_binary(registered: Registered, tmp_path: Path, packed: bool) -> None:
    made = [cifar_records(4, 1, 10) for _ in CIFAR10_FILES]
    contents = {
        f"cifar-10-batches-bin/{name}": content for name, (content, _, _) in zip(CIFAR10_FILES, made, strict=True)
    }
    folder = tmp_path / "cifar10"
    (folder / "cifar-10-batches-bin").mkdir(parents=True)
    if packed:
        # Members in another order: the files' order is the registry's.
        whole = tar_gz(folder / "cifar-10-binary.tar.gz", dict(reversed(contents.items())))
        archives = {"cifar-10-binary.tar.gz": {"url": "unused", "sha256": sha256(whole)}}
        registered("cifar10", samples=[20, 4], archives=archives)
    else:
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        registered("cifar10", samples=[20, 4])
    data = load("cifar10", tmp_path)
    np.testing.assert_array_equal(data.train.stored_at(slice(None)), np.concatenate([made[k][1] for k in range(5)]))
    assert data.train.labels.tolist() == np.concatenate([made[k][2] for k in range(5)]).tolist()
    np.testing.assert_allclose(data.test.images * 255, made[5][1], rtol=1e-6)
    assert data.test.labels.tolist() == made[5][2].tolist()
    assert data.test.ids.tolist() == [20, 21, 22, 23]
    # Nothing is called verified for which no checksum was published.
    assert data.info.verified == (["cifar-10-binary.tar.gz"] if packed else [])
    assert data.info.sha256["test_batch.bin"] == sha256(made[5][0])
    assert (folder / "cifar-10-batches-bin" / "test_batch.bin").exists() != packed  # read, not unpacked


def test_cifar100_has_fine_labels(registered: Registered, tmp_path: Path) -> None:
    registered("cifar100", samples=[6, 3])
    made = {name: cifar_records(n, 2, 100) for name, n in (("train.bin", 6), ("test.bin", 3))}
    for name, (content, _, _) in made.items():
        (tmp_path / name).write_bytes(content)
    data = load("cifar100", tmp_path)
    for split, name in ((data.train, "train.bin"), (data.test, "test.bin")):
        assert split.labels.tolist() == made[name][2].tolist()
        np.testing.assert_array_equal(split.stored_at(slice(None)), made[name][1])


def test_damaged_or_incomplete_cifar(registered: Registered, tmp_path: Path) -> None:
    registered("cifar100", samples=[6, 3])
    content, _, _ = cifar_records(6, 2, 100)
    (tmp_path / "train.bin").write_bytes(content[:-1])
    with pytest.raises(EIPlatformError, match=r"valid: .*train.bin.* or cifar-100-binary.tar.gz.*download=True"):
        load("cifar100", tmp_path)
    (tmp_path / "test.bin").write_bytes(content)
    with pytest.raises(EIPlatformError, match="train.bin: .* not a whole number of records of 3074 bytes"):
        load("cifar100", tmp_path)
    (tmp_path / "train.bin").write_bytes(content[: 5 * 3074])
    with pytest.raises(EIPlatformError, match="cifar100: the split has 5 samples. valid: 6"):
        load("cifar100", tmp_path)
    (tmp_path / "train.bin").write_bytes(content[:1] + bytes([200]) + content[2:])
    with pytest.raises(EIPlatformError, match="belong to no class"):
        load("cifar100", tmp_path)


def test_an_archive_of_another_content_is_refused(registered: Registered, tmp_path: Path) -> None:
    tar_gz(tmp_path / "cifar-10-binary.tar.gz", {"cifar-10-batches-bin/test_batch.bin": b"x"})
    registered("cifar10")
    with pytest.raises(EIPlatformError, match=r"cifar-10-binary.tar.gz: .*not the registered c4a38c50a1bc"):
        load("cifar10", tmp_path)


WNIDS = ["n02", "n01", "n03"]


def jpeg(colour: tuple[int, int, int] | int) -> bytes:
    stream = io.BytesIO()
    mode = "L" if isinstance(colour, int) else "RGB"
    Image.new(mode, (64, 64), colour).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def tiny_imagenet() -> dict[str, bytes]:
    contents = {"wnids.txt": "\n".join(WNIDS).encode()}
    for k, wnid in enumerate(sorted(WNIDS)):
        for number in range(2):
            contents[f"train/{wnid}/images/{wnid}_{number}.JPEG"] = jpeg((80 * k, 10 * number, 0))
        contents[f"train/{wnid}/{wnid}_boxes.txt"] = b"no image"
        contents[f"val/images/val_{k}.JPEG"] = jpeg(50 * k)
    lines = [f"val_{k}.JPEG\t{wnid}\t0\t0\t62\t57" for k, wnid in enumerate(reversed(sorted(WNIDS)))]
    contents["val/val_annotations.txt"] = "\n".join(reversed(lines)).encode()
    return contents


@pytest.mark.parametrize("packed", [False, True])
def test_tiny_imagenet(registered: Registered, tmp_path: Path, packed: bool) -> None:
    archives: dict[str, Any] = {}
    if packed:
        place = tmp_path / "tiny-imagenet-200.zip"
        with zipfile.ZipFile(place, "w") as archive:
            for name, content in tiny_imagenet().items():
                archive.writestr(f"tiny-imagenet-200/{name}", content)
        archives[place.name] = {"url": "unused", "md5": hashlib.md5(place.read_bytes()).hexdigest()}
    else:
        for name, content in tiny_imagenet().items():
            path = tmp_path / "tiny-imagenet" / "tiny-imagenet-200" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    registered("tiny-imagenet", samples=[6, 3], n_classes=3, archives=archives)
    data = load("tiny-imagenet", tmp_path)
    assert data.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.test.labels.tolist() == [2, 1, 0]
    pixels = data.train.stored_at(slice(None)).astype(int)
    assert pixels.shape == (6, 3, 64, 64)
    assert np.abs(pixels[:, 0] - np.array([0, 0, 80, 80, 160, 160])[:, None, None]).max() <= 3  # red
    assert pixels[:, 2].max() <= 5  # blue
    grey = data.test.stored_at(slice(None)).astype(int)
    assert np.abs(grey - 50 * np.arange(3)[:, None, None, None]).max() <= 3
    assert data.info.verified == (["tiny-imagenet-200.zip"] if packed else [])
    assert len(data.info.sha256["train images"]) == 64


def test_what_is_no_jpeg_is_named(registered: Registered, tmp_path: Path) -> None:
    registered("tiny-imagenet", samples=[6, 3], n_classes=3)
    contents = tiny_imagenet() | {"train/n01/images/n01_1.JPEG": b"GIF89a"}
    for name, content in contents.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with pytest.raises(EIPlatformError, match=r"n01_1.JPEG: this is not a JPEG"):
        load("tiny-imagenet", tmp_path)


def mnist_files() -> dict[str, bytes]:
    found = {}
    for part, n in (("train", 5), ("t10k", 3)):
        images = RNG.integers(0, 256, (n, 28, 28)).astype(np.uint8)
        found[f"{part}-images-idx3-ubyte"] = bytes([0, 0, 8, 3]) + struct.pack(">3I", n, 28, 28) + images.tobytes()
        found[f"{part}-labels-idx1-ubyte"] = bytes([0, 0, 8, 1]) + struct.pack(">I", n) + bytes(range(n))
    return found


def test_mnist_is_verified_by_the_files_as_they_are_served(registered: Registered, tmp_path: Path) -> None:
    served = {f"{name}.gz": gzip.compress(content) for name, content in mnist_files().items()}
    entry = registered(
        "mnist",
        samples=[5, 3],
        archives={name: {"url": "u", "sha256": sha256(content)} for name, content in served.items()},
    )
    for name, content in served.items():
        (tmp_path / name).write_bytes(content)
    data = load("mnist", tmp_path)
    assert data.test.labels.tolist() == [0, 1, 2]
    assert set(data.info.verified) == set(served)
    for name, content in served.items():
        (tmp_path / name).unlink()
        (tmp_path / name.removesuffix(".gz")).write_bytes(gzip.decompress(content))
    data = load("mnist", tmp_path)
    assert data.info.verified == [] and set(data.info.sha256) <= set(entry["files"])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", folder
        running.shutdown()
        thread.join()


def test_downloads_only_when_asked_and_checked(
    registered: Registered, tmp_path: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pooch")
    address, folder = server
    archives = {}
    for name, content in mnist_files().items():
        packed = gzip.compress(content)
        (folder / f"{name}.gz").write_bytes(packed)
        archives[f"{name}.gz"] = {"url": f"{address}/{name}.gz", "sha256": sha256(packed)}
    registered("mnist", samples=[5, 3], archives=archives)
    root = tmp_path / "root"
    with pytest.raises(EIPlatformError, match="download=True"):
        load("mnist", root)
    assert not root.exists()
    with pytest.raises(EIPlatformError, match="no folder is named"):
        load("mnist", download=True)
    monkeypatch.setenv(files.DATA_VARIABLE, str(root))
    assert len(load("mnist", download=True).train) == 5
    assert len(list((root / "mnist").iterdir())) == 4
    # What is there is not asked for again, and what is served must be what was published.
    for path in folder.iterdir():
        path.unlink()
    assert len(load("mnist", download=True).test) == 3
    (root / "mnist" / "train-images-idx3-ubyte.gz").unlink()
    (folder / "train-images-idx3-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(EIPlatformError, match="cannot be downloaded"):
        load("mnist", download=True)
    (folder / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(EIPlatformError, match="cannot be downloaded"):
        load("mnist", download=True)
    assert not (root / "mnist" / "train-images-idx3-ubyte.gz").exists()


def test_what_cannot_be_checked_is_not_downloaded(
    registered: Registered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = {"cifar-100-binary.tar.gz": {"url": "http://127.0.0.1:9/x", "sha256": None}}
    registered("cifar100", archives=unknown)
    with pytest.raises(EIPlatformError, match="no checksum of cifar-100-binary.tar.gz was published"):
        load("cifar100", tmp_path, download=True)
    registered_again = {"cifar-100-binary.tar.gz": {"url": "http://127.0.0.1:9/x", "sha256": "0" * 64}}
    entry = registry._registry()["cifar100"] | {"archives": registered_again}
    monkeypatch.setattr(registry, "_registry", lambda: {"cifar100": entry})
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingDependencyError, match=r"eiplatform\[data\]"):
        load("cifar100", tmp_path, download=True)


def test_every_entry_says_where_from_and_under_which_licence() -> None:
    for name, entry in registry._registry().items():
        assert entry["licence"] and entry["source"].startswith("http") and entry["citation"], name
        assert entry["n_classes"] > 1 and len(entry["samples"]) == 2
        for facts in entry.get("archives", {}).values():
            assert len(facts.get("sha256") or "") == 64 or len(facts.get("md5") or "") == 32


def test_splits_share_their_pixels() -> None:
    stored = RNG.integers(0, 256, (10, 1, 2, 2)).astype(np.uint8)
    split = Split(stored, np.arange(10), np.arange(10), 255)
    part = split.take(np.array([7, 3, 5])).take(np.array([2, 0]))
    assert part.labels.tolist() == part.ids.tolist() == [5, 7]
    np.testing.assert_array_equal(part.images, stored[[5, 7]].astype(np.float32) / np.float32(255))
    assert part._stored is stored and part.images.dtype == np.float32
    with pytest.raises(EIPlatformError, match="10 images, 9 labels"):
        Split(stored, np.arange(9), np.arange(10))
