"""Event data as sequences of frames: how often each cell saw each polarity in each bin.

The files are decoded by tonic (an extra); binning is ours, so that every data set is binned the same way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, Protocol

import numpy as np

from eiplatform.datasets.base import DataInfo, Split, stratified_order
from eiplatform.datasets.files import DATA_VARIABLE, FilesMissingError, download_root, places
from eiplatform.errors import EIPlatformError, MissingDependencyError
from eiplatform.untrusted import reading

__all__ = ["bin_events", "frames_of", "read_events"]


class EventSource(Protocol):
    """What tonic's data sets have in common."""

    def __getitem__(self, index: int, /) -> tuple[np.ndarray, Any]: ...

    def __len__(self) -> int: ...


def bin_events(
    events: np.ndarray,
    *,
    steps: int,
    shape: tuple[int, ...],
    sensor: Sequence[int],
    saturation: int,
    bins: Literal["number", "time"] = "number",
) -> np.ndarray:
    """Count the events of one sample in every step, polarity and cell.

    Parameters
    ----------
    events : structured array, shape (n,)
        Fields ``t``, ``x``, ``p`` and, for cameras, ``y``; in any order of time.
    steps : int
        Number of frames, T.
    shape : tuple of int
        Of a frame: (polarities, rows, columns), or (channels,) for sensors of one dimension.
    sensor : (height, width)
        Of the sensor; its pixels are joined to the rows and columns of `shape`.
    saturation : int
        Largest count; more are cut, so that single flickering pixels do not set the scale.
    bins : {"number", "time"}
        Frames of equally many events (up to 1), or of equal duration.

    Returns
    -------
    array of uint8, shape (T, *shape)
        In [0, saturation].

    Raises
    ------
    EIPlatformError
        If the file has no events, or events outside the sensor.

    Examples
    --------
    >>> events = np.array([(0, 5, 1), (9, 5, 1), (10, 2, 1)], dtype=[("t", int), ("x", int), ("p", int)])
    >>> bin_events(events, steps=2, shape=(3,), sensor=(1, 6), saturation=9, bins="time").tolist()
    [[0, 0, 1], [0, 1, 1]]
    """
    if not len(events):
        raise EIPlatformError("a sample has no events", where="event data")
    t = events["t"].astype(np.int64)
    if bins == "number":
        step = np.empty(len(t), dtype=np.int64)
        step[np.argsort(t, kind="stable")] = np.arange(len(t)) * steps // len(t)
    else:
        start, duration = int(t.min()), int(t.max()) - int(t.min()) + 1
        step = (t - start) * steps // duration
    columns = events["x"].astype(np.int64)
    rows = events["y"].astype(np.int64) if len(shape) == 3 else np.zeros_like(columns)
    polarity = events["p"].astype(np.int64) if len(shape) == 3 else np.zeros_like(columns)
    n_polarities, height, width = shape if len(shape) == 3 else (1, 1, *shape)
    bounds = ((columns, sensor[1]), (rows, sensor[0]), (polarity, n_polarities))
    if any(int(values.min()) < 0 or int(values.max()) >= limit for values, limit in bounds):
        raise EIPlatformError("there are events outside of the sensor", where="event data", valid=str(tuple(sensor)))
    cell = (rows * height // sensor[0]) * width + columns * width // sensor[1]
    place = (step * n_polarities + polarity) * height * width + cell
    counts = np.bincount(place, minlength=steps * n_polarities * height * width)
    return np.minimum(counts, saturation).astype(np.uint8).reshape(steps, *shape)


def frames_of(
    source: EventSource,
    order: Sequence[int],
    ids: np.ndarray,
    info: DataInfo,
    entry: Mapping[str, Any],
    *,
    steps: int,
    bins: Literal["number", "time"],
) -> Split:
    """Bin the samples `order` of a source of events and labels; they get these ids."""
    frames = np.empty((len(order), steps, *info.input_shape), dtype=np.uint8)
    labels = np.empty(len(order), dtype=np.int64)
    for row, index in enumerate(order):
        events, label = source[index]
        labels[row] = int(label)
        frames[row] = bin_events(
            events,
            steps=steps,
            shape=info.input_shape,
            sensor=entry["sensor"],
            saturation=entry["saturation"],
            bins=bins,
        )
    return Split(frames, labels, ids, entry["saturation"], sequence=True)


def read_events(
    info: DataInfo,
    entry: Mapping[str, Any],
    root: Path | None,
    *,
    steps: int,
    bins: Literal["number", "time"],
    download: bool,
) -> tuple[Split, Callable[[], Split]]:
    """Return the training frames of a data set and what reads the test frames.

    Raises
    ------
    MissingDependencyError
        If tonic, or what it needs for this format, is not installed.
    FilesMissingError
        If tonic does not find its files and no download was asked for.
    """
    try:
        from tonic import datasets
    except ImportError:
        raise MissingDependencyError(
            f"the event data '{info.name}' are read with tonic, which is not installed",
            remedy="pip install 'eiplatform[events]'",
        ) from None
    kind = getattr(datasets, entry["tonic"])

    def read(options: Mapping[str, Any], first_id: int, chosen: np.ndarray | None = None) -> Split:
        source = _open(kind, info, root, download, options)
        every = _order(source)
        kept = np.arange(len(every)) if chosen is None else chosen
        try:
            with reading(info.name, what="an event file cannot be read", error=EIPlatformError):
                order = [every[k] for k in kept]
                split = frames_of(source, order, kept + first_id, info, entry, steps=steps, bins=bins)
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"tonic needs {error.name} to read '{info.name}', which is not installed",
                remedy="pip install 'eiplatform[events]'",
            ) from None
        # The files are too many and too large to hash: what the network sees is hashed.
        frames = hashlib.sha256(split.stored_at(slice(None)).data)
        info.sha256[f"frames from sample {split.ids[0]}, T {steps}, by {bins}"] = frames.hexdigest()
        return split

    if "test_fraction" not in entry:
        train = read({"train": True}, 0)
        return train, lambda: read({"train": False}, len(train))
    # No test split of its own: a fraction of every class, the same for ever.
    source = _open(kind, info, root, download, {})
    labels = np.array([int(source.targets[k]) for k in _order(source)])
    test, others = stratified_order(labels, np.arange(len(labels)), entry["test_fraction"], f"{info.name}-test")
    return read({}, 0, others), lambda: read({}, 0, test)


def _open(kind: Any, info: DataInfo, root: Path | None, download: bool, options: Mapping[str, Any]) -> Any:
    """Open one of tonic's data sets where its folder is; it downloads, and checks, only if asked to."""
    name = kind.__name__
    candidates = places(info.name, root)

    def refuse(_: Any) -> NoReturn:
        raise FilesMissingError(
            f"tonic does not find the files of data set '{info.name}'",
            where=", ".join(str(place / name) for place in candidates),
            valid="the archives as tonic names them, and beside them what they contain",
            remedy=(
                f"get them from {info.source} and name the folder above {name}/ in {DATA_VARIABLE}",
                "name that folder: data_root=...",
                "pass download=True",
            ),
        )

    # The same class with the same name (tonic's folder bears it) that cannot reach the network.
    offline = type(name, (kind,), {"download": refuse})
    found = next((place for place in candidates if (place / name).is_dir()), None)
    try:
        return offline(str(found or candidates[0]), **options)
    except FilesMissingError:
        if not download:
            raise
    return kind(str(found or download_root(info.name, root) / info.name), **options)


def _order(source: Any) -> list[int]:
    """Return the samples in the order of their files' names: a directory's own order is not the same everywhere."""
    files = list(source.data)
    return sorted(range(len(files)), key=lambda k: str(files[k])) if files else list(range(len(source)))
