import gzip
import hashlib
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from eiplatform.datasets import dataset_names, files, formats, load, registry, split_validation, stratified_order
from eiplatform.errors import ConfigError, EIPlatformError, MissingDependencyError, UnknownNameError


def test_digits_are_what_they_should_be() -> None:
    data = load("digits")
    train, test = data.train, data.test
    assert (train.images.shape, test.images.shape) == ((1438, 1, 8, 8), (359, 1, 8, 8))
    assert train.images.dtype == np.float32
    assert (train.images.min(), train.images.max()) == (0.0, 1.0)
    assert set(np.unique(train.images * 16)) == set(range(17))
    assert sorted([*train.ids, *test.ids]) == list(range(1797))
    assert data.info.n_classes == 10 and data.info.input_shape == (1, 8, 8)
    assert data.info.licence == "CC BY 4.0"
    # Stratified: a fifth of every class.
    every = np.bincount(np.concatenate((train.labels, test.labels)))
    assert np.abs(np.bincount(test.labels) - every / 5).max() <= 0.5
    # The very same test images for ever: published accuracies refer to them.
    assert test.ids[:8].tolist() == TEST_START
    assert hashlib.sha256(test.ids.astype("<i8").tobytes()).hexdigest()[:16] == TEST_HASH


TEST_START = [9, 12, 27, 28, 39, 46, 49, 58]
TEST_HASH = "7b7608bb99131bc5"


def test_labels_belong_to_images() -> None:
    from sklearn.datasets import load_digits

    source = load_digits()
    for split in (load("digits").train, load("digits").test):
        np.testing.assert_array_equal(source.target[split.ids], split.labels)
        np.testing.assert_allclose(source.images[split.ids], split.images[:, 0] * 16)


def test_validation_is_stratified_and_decided_by_the_seed() -> None:
    train = load("digits").train
    kept, validation = split_validation(train, 0.1, seed=1)
    again = split_validation(train, 0.1, seed=1)[1]
    other = split_validation(train, 0.1, seed=2)[1]
    assert sorted([*kept.ids, *validation.ids]) == sorted(train.ids)
    np.testing.assert_array_equal(validation.ids, again.ids)
    assert len(np.intersect1d(validation.ids, other.ids)) < len(validation) / 2
    assert np.abs(np.bincount(validation.labels) - np.bincount(train.labels) / 10).max() <= 0.5


def test_every_class_validates_and_none_is_emptied() -> None:
    labels = np.repeat([0, 1], [100, 3])
    chosen, others = stratified_order(labels, np.arange(103), 0.05, "s")
    assert np.bincount(labels[chosen]).tolist() == [5, 1]
    assert len(np.intersect1d(chosen, others)) == 0
    with pytest.raises(ConfigError, match="takes 3 of the 3 samples of class 1"):
        stratified_order(labels, np.arange(103), 0.9, "s")


def test_the_test_split_is_read_late_and_once() -> None:
    data = load("digits")
    reads = []
    read = data.read_test
    data.read_test = lambda: reads.append(1) or read()  # type: ignore[func-returns-value]
    assert not reads
    assert data.test is data.test
    assert len(reads) == 1


def test_unknown_names_are_suggested() -> None:
    with pytest.raises(UnknownNameError, match="unknown data set 'digit' – did you mean 'digits'"):
        load("digit")
    assert set(dataset_names()) == {
        *("digits", "mnist", "fashion-mnist", "cifar10", "cifar100", "tiny-imagenet"),
        *("cifar10-dvs", "dvs-gesture", "n-mnist", "shd"),
    }


def test_missing_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(MissingDependencyError, match=r"eiplatform\[train\]"):
        load("digits")


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def small_fashion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of the same format with its own hashes; the test files are stored uncompressed."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "fashion-mnist"
    folder.mkdir()
    hashes = {}
    for part, n in (("train", 20), ("t10k", 6)):
        arrays = {
            f"{part}-images-idx3-ubyte": rng.integers(0, 256, (n, 28, 28)).astype(np.uint8),
            f"{part}-labels-idx1-ubyte": (np.arange(n) % 10).astype(np.uint8),
        }
        for name, array in arrays.items():
            content = idx(array)
            hashes[name] = hashlib.sha256(content).hexdigest()
            if part == "train":
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
    entry = registry._registry()["fashion-mnist"] | {"files": hashes, "samples": [20, 6]}
    monkeypatch.setattr(registry, "_registry", lambda: {"fashion-mnist": entry})
    monkeypatch.setattr(files, "DEBIAN_ROOT", tmp_path / "nowhere")
    monkeypatch.delenv(files.DATA_VARIABLE, raising=False)
    return folder


def test_idx_files_are_found_by_root_and_by_variable(small_fashion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for root in (small_fashion, small_fashion.parent):
        data = load("fashion-mnist", root)
        assert data.train.images.shape == (20, 1, 28, 28)
        assert data.train.images.max() <= 1 and data.train.images.dtype == np.float32
        assert data.test.ids.tolist() == list(range(20, 26))
        assert data.test.labels.tolist() == [0, 1, 2, 3, 4, 5]
    monkeypatch.setenv(files.DATA_VARIABLE, str(small_fashion.parent))
    assert len(load("fashion-mnist").test) == 6
    # A folder that is named and wrong is not silently replaced by another.
    with pytest.raises(EIPlatformError, match="not there"):
        load("fashion-mnist", small_fashion / "typo")


def test_missing_and_damaged_files(small_fashion: Path) -> None:
    with pytest.raises(EIPlatformError, match="apt-get install dataset-fashion-mnist.*EIPLATFORM_DATA"):
        load("fashion-mnist")
    path = small_fashion / "train-images-idx3-ubyte.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[100] ^= 1
    path.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(EIPlatformError, match="sha256 .* not the registered"):
        load("fashion-mnist", small_fashion)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(EIPlatformError, match="cannot be read"):
        load("fashion-mnist", small_fashion)


@pytest.mark.parametrize(
    "content", [b"", b"\0\0\x0b\1\0\0\0\1a", b"\0\0\x08\0", b"\0\0\x08\3\0\0\0\1", idx(np.ones(3, np.uint8)) + b"x"]
)
def test_bad_idx(content: bytes) -> None:
    with pytest.raises(EIPlatformError, match="IDX"):
        formats.read_idx(content)


@pytest.mark.skipif(not (files.DEBIAN_ROOT / "fashion-mnist").is_dir(), reason="dataset-fashion-mnist not installed")
def test_real_fashion_mnist() -> None:
    data = load("fashion-mnist")
    assert data.train.images.shape == (60000, 1, 28, 28)
    assert np.bincount(data.test.labels).tolist() == [1000] * 10
    assert data.train.images.mean() == pytest.approx(0.2860, abs=1e-4)
