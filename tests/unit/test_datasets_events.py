"""Event data become sequences of frames; the files are tonic's business, stubbed or real."""

import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eiplatform.datasets import files, load, registry
from eiplatform.datasets.events import bin_events
from eiplatform.errors import EIPlatformError, MissingDependencyError
from tests.examples import examples
from tests.refusals import refusing

CAMERA = np.dtype([("x", np.int16), ("y", np.int16), ("p", bool), ("t", np.int64)])
SHAPE, SENSOR = (2, 3, 4), (7, 9)


def random_events(n: int, seed: int, sensor: tuple[int, int] = SENSOR) -> np.ndarray:
    rng = np.random.default_rng(seed)
    events = np.zeros(n, CAMERA)
    events["y"], events["x"] = (rng.integers(0, limit, n) for limit in sensor)
    events["p"] = rng.integers(0, 2, n)
    events["t"] = np.sort(rng.integers(0, 100_000, n))
    return events


@examples(30)
@given(st.integers(1, 300), st.integers(1, 7), st.integers(0, 99), st.sampled_from(["number", "time"]))
def test_every_event_is_counted_once(n: int, steps: int, seed: int, bins: Any) -> None:
    events = random_events(n, seed)
    frames = bin_events(events, steps=steps, shape=SHAPE, sensor=SENSOR, saturation=255, bins=bins)
    assert frames.shape == (steps, *SHAPE) and frames.dtype == np.uint8
    assert frames.sum() == n or frames.max() == 255
    assert frames[:, 1].sum() == events["p"].sum()
    # An independent count, event by event.
    slow = np.zeros((steps, *SHAPE), int)
    start, duration = events["t"].min(), events["t"].max() - events["t"].min() + 1
    for k, (x, y, p, t) in enumerate(events.tolist()):
        step = k * steps // n if bins == "number" else int((t - start) * steps // duration)
        slow[step, int(p), y * 3 // 7, x * 4 // 9] += 1
    np.testing.assert_array_equal(frames, slow)
    if bins == "number":
        assert np.ptp(frames.reshape(steps, -1).sum(1, dtype=int)) <= 1


def test_order_in_time_decides_not_order_in_the_file() -> None:
    events = random_events(200, 3)
    events["t"] = np.arange(200) * 7
    shuffled = events[np.random.default_rng(0).permutation(200)]
    a, b = (bin_events(e, steps=4, shape=SHAPE, sensor=SENSOR, saturation=255) for e in (events, shuffled))
    np.testing.assert_array_equal(a, b)


def test_counts_are_cut_and_bad_events_named() -> None:
    events = np.repeat(random_events(1, 1), 500)
    frames = bin_events(events, steps=1, shape=SHAPE, sensor=SENSOR, saturation=64)
    assert frames.max() == 64 and (frames > 0).sum() == 1
    with pytest.raises(EIPlatformError, match="no events"):
        bin_events(events[:0], steps=1, shape=SHAPE, sensor=SENSOR, saturation=64)
    with pytest.raises(EIPlatformError, match="outside of the sensor"):
        bin_events(events, steps=1, shape=SHAPE, sensor=(1, 1), saturation=64)


class Cameras:
    """What tonic's data sets look like from outside: files in no order, labels beside them."""

    n = 40

    def __init__(self, save_to: str, train: bool | None = None) -> None:
        self.folder = Path(save_to) / type(self).__name__
        if not self.folder.is_dir():
            self.download()
        shuffled = np.random.default_rng(1).permutation(self.n)
        self.data = [f"{k:03}.bin" for k in shuffled]
        self.targets = [int(k) % 11 for k in shuffled]
        self.train = train

    def download(self) -> None:
        raise AssertionError("the network was used")

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        number = int(self.data[index][:3])
        return random_events(50 + number, number + (0 if self.train else 1000), (128, 128)), self.targets[index]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    module, datasets = types.ModuleType("tonic"), types.ModuleType("tonic.datasets")
    datasets.DVSGesture = type("DVSGesture", (Cameras,), {})  # type: ignore[attr-defined]
    datasets.CIFAR10DVS = type("CIFAR10DVS", (Cameras,), {})  # type: ignore[attr-defined]
    module.datasets = datasets  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tonic", module)
    monkeypatch.setitem(sys.modules, "tonic.datasets", datasets)
    monkeypatch.delenv(files.DATA_VARIABLE, raising=False)
    entries = registry._registry()
    changed = {
        "dvs-gesture": entries["dvs-gesture"] | {"samples": [40, 40]},
        "cifar10-dvs": entries["cifar10-dvs"] | {"samples": [29, 11], "n_classes": 11},
    }
    monkeypatch.setattr(registry, "_registry", lambda: changed)
    return tmp_path


def test_frames_through_the_whole_path(stub: Path) -> None:
    (stub / "dvs-gesture" / "DVSGesture").mkdir(parents=True)
    data = load("dvs-gesture", stub, steps=5)
    assert data.info.input_shape == (2, 48, 48)
    assert data.train.sequence and data.train.images.shape == (40, 5, 2, 48, 48)
    assert 0 < data.train.images.max() <= 1
    # In the order of the files' names, whatever a folder lists first.
    assert data.train.labels.tolist() == [k % 11 for k in range(40)]
    expected = bin_events(
        random_events(53, 3, (128, 128)), steps=5, shape=(2, 48, 48), sensor=(128, 128), saturation=64
    )
    np.testing.assert_array_equal(data.train.stored_at(np.array([3]))[0], expected)
    assert data.test.ids.tolist() == list(range(40, 80))
    assert not np.array_equal(data.test.images, data.train.images)
    assert data.info.verified == [] and len(data.info.sha256) == 2
    other = load("dvs-gesture", stub, steps=5, bins="time")
    assert not np.array_equal(other.train.images, data.train.images)


def test_a_test_split_is_made_where_there_is_none(stub: Path) -> None:
    (stub / "CIFAR10DVS").mkdir()
    data = load("cifar10-dvs", stub, steps=2)
    assert sorted([*data.train.ids, *data.test.ids]) == list(range(40))
    assert data.train.labels.tolist() == [k % 11 for k in data.train.ids]
    assert set(data.test.labels) == set(range(11))


def test_nothing_is_downloaded_unasked(stub: Path) -> None:
    with refusing(EIPlatformError, what="'dvs-gesture'", remedy="download=True"):
        load("dvs-gesture", stub)
    with pytest.raises(AssertionError, match="the network was used"):
        load("dvs-gesture", stub, download=True)


def test_missing_packages(monkeypatch: pytest.MonkeyPatch, stub: Path) -> None:
    (stub / "DVSGesture").mkdir()

    def needs_more(self: Any, index: int) -> None:
        raise ModuleNotFoundError("No module named 'aedat'", name="aedat")

    monkeypatch.setattr(Cameras, "__getitem__", needs_more)
    with pytest.raises(MissingDependencyError, match=r"tonic needs aedat.*eiplatform\[events\]"):
        load("dvs-gesture", stub)
    monkeypatch.setitem(sys.modules, "tonic", None)
    with refusing(MissingDependencyError, remedy="eiplatform[events]"):
        load("cifar10-dvs", stub)


def test_real_tonic_reads_spiking_heidelberg_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tonic")
    import h5py

    rng = np.random.default_rng(2)
    folder = tmp_path / "SHD"
    folder.mkdir()
    spikes: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for part in ("train", "test"):
        spikes[part] = [(np.sort(rng.random(60)).astype(np.float16), rng.integers(0, 700, 60)) for _ in range(3)]
        with h5py.File(folder / f"shd_{part}.h5", "w") as file:
            for key, place, kind in (("times", 0, np.float16), ("units", 1, np.int64)):
                made = file.create_dataset(f"spikes/{key}", (3,), h5py.vlen_dtype(kind))
                for k in range(3):
                    made[k] = spikes[part][k][place]
            file["labels"] = np.array([4, 19, 0])
            file["extra/keys"] = np.array([b"zero"])
            file["extra/speaker"] = np.arange(3)
        with zipfile.ZipFile(folder / f"shd_{part}.h5.zip", "w"):
            pass
    entry = registry._registry()["shd"] | {"samples": [3, 3]}
    monkeypatch.setattr(registry, "_registry", lambda: {"shd": entry})
    data = load("shd", tmp_path, steps=4, bins="time")
    assert data.train.labels.tolist() == [4, 19, 0]
    frames = data.test.stored_at(slice(None))
    assert frames.shape == (3, 4, 700)
    assert [np.flatnonzero(frame.sum(0)).tolist() for frame in frames] == [
        sorted(set(units.tolist())) for _, units in spikes["test"]
    ]
    assert frames.sum((1, 2)).tolist() == [60, 60, 60]


def test_real_tonic_reads_n_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tonic = pytest.importorskip("tonic")
    monkeypatch.setattr(tonic.datasets.NMNIST, "_folder_contains_at_least_n_files_of_type", lambda *_: True)
    folder = tmp_path / "NMNIST"
    for part, label in (("Train", 7), ("Test", 2)):
        (folder / part / str(label)).mkdir(parents=True)
        (folder / f"{part.lower()}.zip").write_bytes(b"")
        # 40 bits an event: x, y, polarity and 23 bits of time in microseconds.
        events = bytes([5, 30, 0x80, 0, 10]) + bytes([33, 0, 0x00, 1, 0])
        (folder / part / str(label) / "00001.bin").write_bytes(events)
    entry = registry._registry()["n-mnist"] | {"samples": [1, 1]}
    monkeypatch.setattr(registry, "_registry", lambda: {"n-mnist": entry})
    data = load("n-mnist", tmp_path, steps=2)
    assert (data.train.labels.tolist(), data.test.labels.tolist()) == ([7], [2])
    assert np.argwhere(data.train.stored_at(np.array([0]))[0]).tolist() == [[0, 1, 30, 5], [1, 0, 0, 33]]
