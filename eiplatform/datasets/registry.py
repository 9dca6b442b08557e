"""Opens data sets by name; what each one is stands in data/registry.yml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import yaml

from eiplatform.datasets.base import DataBundle, DataInfo, Split, stratified_order
from eiplatform.datasets.declare import declared_datasets
from eiplatform.datasets.events import read_events
from eiplatform.datasets.files import Files, FilesMissingError
from eiplatform.datasets.files import download as download_files
from eiplatform.datasets.formats import read_cifar_split, read_idx_split, read_tiny_imagenet_split
from eiplatform.errors import EIPlatformError, MissingDependencyError, choose

if TYPE_CHECKING:
    from eiplatform.config import Config

__all__ = ["dataset_names", "entries", "load", "open_dataset"]

DIGITS_TEST_FRACTION = 0.2

Bins = Literal["number", "time"]
Reader = Callable[[DataInfo, Mapping[str, Any], Path | None], tuple[Split, Callable[[], Split]]]


def dataset_names() -> tuple[str, ...]:
    """Return the names of all data sets.

    Examples
    --------
    >>> "digits" in dataset_names()
    True
    """
    return (*_registry(), *declared_datasets())


def entries() -> dict[str, dict[str, Any]]:
    """Return what is known of every data set, by name; sizes only of those that ship."""
    own = {name: vars(one) | {"input_shape": (), "n_classes": "unknown"} for name, one in declared_datasets().items()}
    return {**_registry(), **own}


def open_dataset(config: Config) -> DataBundle:
    """Load the data set that a configuration names; event data in as many frames as the network has steps."""
    part = config.dataset
    return load(part.name, part.root, download=part.download, steps=config.network.steps, bins=part.bins)


def load(
    name: str,
    root: Path | str | None = None,
    *,
    download: bool = False,
    steps: int = 4,
    bins: Bins = "number",
) -> DataBundle:
    """Load a data set by name.  Nothing is downloaded unless asked for.

    Parameters
    ----------
    name : str
        E.g. ``digits`` (inside scikit-learn) or ``fashion-mnist``; see :func:`dataset_names`.
    root : path, optional
        Folder that holds ``<name>/`` or the files themselves.  By default the folder named by
        the environment variable ``EIPLATFORM_DATA``, then ``/usr/share/datasets``.
    download : bool
        Get files that are missing from their source and check them by their published checksum.
    steps : int
        Frames per sample of event data.
    bins : {"number", "time"}
        Whether frames of event data hold equally many events or last equally long.

    Returns
    -------
    DataBundle
        Its test split does not depend on any seed.

    Raises
    ------
    UnknownNameError
        For another name.
    MissingDependencyError
        If an optional package is needed and not installed.
    EIPlatformError
        If files are missing or their content is not the registered one.

    Examples
    --------
    >>> data = load("digits")
    >>> data.train.images.shape, len(data.test)
    ((1438, 1, 8, 8), 359)
    """
    registry = _registry()
    declared = {} if name in registry else declared_datasets()
    if name in declared:
        return declared[name].load(None if root is None else Path(root))
    entry = registry[choose(name, [*registry, *declared], "data set", where="dataset.name")]
    info = DataInfo(
        name=name,
        title=entry["title"],
        source=entry["source"],
        licence=entry["licence"],
        citation=entry["citation"],
        input_shape=tuple(entry["input_shape"]),
        n_classes=entry["n_classes"],
    )
    place = None if root is None else Path(root)
    if entry["reader"] == "events":
        train, read_test = read_events(info, entry, place, steps=steps, bins=bins, download=download)
    else:
        train, read_test = _read(_READERS[entry["reader"]], info, entry, place, download)
    n_train, n_test = entry["samples"]
    return DataBundle(_counted(train, n_train, info), info, lambda: _counted(read_test(), n_test, info))


def _read(
    reader: Reader, info: DataInfo, entry: Mapping[str, Any], root: Path | None, wanted: bool
) -> tuple[Split, Callable[[], Split]]:
    if not wanted or not entry.get("archives"):
        return reader(info, entry, root)
    try:
        return reader(info, entry, root)
    except FilesMissingError:
        download_files(info.name, entry, root)
    return reader(info, entry, root)


def _counted(split: Split, expected: int, info: DataInfo) -> Split:
    """Check that nothing is missing and that labels and pixels are possible; give it the name of its data set."""
    split.name = info.name
    if len(split) != expected:
        raise EIPlatformError(f"the split has {len(split)} samples", where=info.name, valid=str(expected))
    if len(split) and not 0 <= split.labels.min() <= split.labels.max() < info.n_classes:
        raise EIPlatformError("there are labels that belong to no class", where=info.name)
    return split


@cache
def _registry() -> dict[str, Any]:
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_data", package.parent / "data"):
        if (folder / "registry.yml").is_file():
            content: dict[str, Any] = yaml.safe_load((folder / "registry.yml").read_text(encoding="utf-8"))
            return content
    raise EIPlatformError("the data registry is not installed", where=str(package), remedy="install eiplatform again")


def _digits(info: DataInfo, entry: Mapping[str, Any], root: Path | None) -> tuple[Split, Callable[[], Split]]:
    del root  # embedded in scikit-learn
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingDependencyError(
            "the data set 'digits' is read from scikit-learn, which is not installed",
            remedy="pip install 'eiplatform[train]'",
        ) from None
    source = load_digits()
    pixels, labels = source.images.astype(np.uint8), source.target.astype(np.uint8)
    name = "pixels+labels"
    Files.note(info, entry, name, pixels.tobytes() + labels.tobytes(), "scikit-learn's digits")
    every = Split(pixels[:, None], labels, np.arange(len(labels)), 16)
    test, train = stratified_order(every.labels, every.ids, DIGITS_TEST_FRACTION, "digits-test")
    return every.take(train), lambda: every.take(test)


def _idx(info: DataInfo, entry: Mapping[str, Any], root: Path | None) -> tuple[Split, Callable[[], Split]]:
    files = Files(info, entry, entry["files"], root)
    train = read_idx_split(files, "train", 0)
    return train, lambda: read_idx_split(files, "t10k", len(train))


def _cifar(info: DataInfo, entry: Mapping[str, Any], root: Path | None) -> tuple[Split, Callable[[], Split]]:
    files = Files(info, entry, [*entry["train_files"], *entry["test_files"]], root)
    size = entry["label_bytes"]
    train = read_cifar_split(files, entry["train_files"], size, 0)
    return train, lambda: read_cifar_split(files, entry["test_files"], size, len(train))


def _tiny_imagenet(info: DataInfo, entry: Mapping[str, Any], root: Path | None) -> tuple[Split, Callable[[], Split]]:
    files = Files(info, entry, ["wnids.txt", "val/val_annotations.txt"], root)
    train = read_tiny_imagenet_split(files, info, "train", 0)
    return train, lambda: read_tiny_imagenet_split(files, info, "val", len(train))


_READERS: dict[str, Reader] = {"digits": _digits, "idx": _idx, "cifar": _cifar, "tiny-imagenet": _tiny_imagenet}
