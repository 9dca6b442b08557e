"""Finds data sets by name and checks that their content is what the registry says."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from eiplatform.datasets.base import DataBundle, DataInfo, Split, stratified_order
from eiplatform.errors import EIPlatformError, MissingDependencyError, choose

__all__ = ["DATA_VARIABLE", "DEBIAN_ROOT", "dataset_names", "load", "read_idx"]

DATA_VARIABLE = "EIPLATFORM_DATA"
"""Environment variable that names the folder with the data sets' files."""
DEBIAN_ROOT = Path("/usr/share/datasets")
"""Where Debian's ``dataset-*`` packages put theirs."""

DIGITS_TEST_FRACTION = 0.2


def dataset_names() -> tuple[str, ...]:
    """Return the names of all data sets.

    Examples
    --------
    >>> "digits" in dataset_names()
    True
    """
    return tuple(_READERS)


def load(name: str, root: Path | str | None = None) -> DataBundle:
    """Load a data set by name.  Nothing is downloaded.

    Parameters
    ----------
    name : str
        ``digits`` (inside scikit-learn) or ``fashion-mnist`` (IDX files).
    root : path, optional
        Folder that holds ``<name>/`` or the files themselves.  By default the folder named by
        the environment variable ``EIPLATFORM_DATA``, then ``/usr/share/datasets``.

    Returns
    -------
    DataBundle
        Its test split does not depend on any seed.

    Raises
    ------
    UnknownNameError
        For another name.
    MissingDependencyError
        If scikit-learn is needed and not installed.
    EIPlatformError
        If files are missing or their content is not the registered one.

    Examples
    --------
    >>> data = load("digits")
    >>> data.train.images.shape, len(data.test)
    ((1438, 1, 8, 8), 359)
    """
    entry = _registry()[choose(name, _READERS, "data set", where="dataset.name")]
    info = DataInfo(
        name=name,
        title=entry["title"],
        source=entry["source"],
        licence=entry["licence"],
        citation=entry["citation"],
        input_shape=tuple(entry["input_shape"]),
        n_classes=entry["n_classes"],
        sha256=entry["sha256"],
    )
    train, read_test = _READERS[name](info, None if root is None else Path(root))
    return DataBundle(train, info, read_test)


@cache
def _registry() -> dict[str, Any]:
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_data", package.parent / "data"):
        if (folder / "registry.yml").is_file():
            content: dict[str, Any] = yaml.safe_load((folder / "registry.yml").read_text(encoding="utf-8"))
            return content
    raise EIPlatformError("the data registry is not installed", where=str(package), remedy="install eiplatform again")


def _check(content: bytes, expected: str, where: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise EIPlatformError(
            f"the content has sha256 {found[:12]}.., not the registered {expected[:12]}..",
            where=where,
            remedy="get the file again from the source in data/registry.yml",
        )


def _digits(info: DataInfo, root: Path | None) -> tuple[Split, Callable[[], Split]]:
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
    _check(pixels.tobytes() + labels.tobytes(), info.sha256["pixels+labels"], "scikit-learn's digits")
    images = (pixels[:, None] / np.float32(16)).astype(np.float32)
    every = Split(images, labels.astype(np.int64), np.arange(len(labels)))
    test, train = stratified_order(every.labels, every.ids, DIGITS_TEST_FRACTION, "digits-test")
    return every.take(train), lambda: every.take(test)


def _fashion_mnist(info: DataInfo, root: Path | None) -> tuple[Split, Callable[[], Split]]:
    folder = _find(info, root)

    def read(part: str, first_id: int) -> Split:
        pixels = _idx(folder, f"{part}-images-idx3-ubyte", info)
        labels = _idx(folder, f"{part}-labels-idx1-ubyte", info)
        images = pixels[:, None].astype(np.float32)
        images /= 255
        return Split(images, labels.astype(np.int64), np.arange(first_id, first_id + len(labels)))

    train = read("train", 0)
    return train, lambda: read("t10k", len(train))


_READERS: dict[str, Callable[[DataInfo, Path | None], tuple[Split, Callable[[], Split]]]] = {
    "digits": _digits,
    "fashion-mnist": _fashion_mnist,
}


def _find(info: DataInfo, root: Path | None) -> Path:
    """Return the folder with all files of a data set."""
    if root is not None:
        roots = [root]
    else:
        named = os.environ.get(DATA_VARIABLE)
        roots = [*([Path(named)] if named else []), DEBIAN_ROOT]
    for folder in (place for base in roots for place in (base / info.name, base)):
        if all(_file(folder, name) for name in info.sha256):
            return folder
    package = _registry()[info.name].get("debian_package")
    hint = f"apt-get install {package}, or " if package else ""
    raise EIPlatformError(
        f"the files of data set '{info.name}' are not there",
        where=", ".join(str(base) for base in roots),
        valid=" ".join(f"{name}[.gz]" for name in info.sha256),
        remedy=f"{hint}get them from {info.source} and name their folder with --data-root or {DATA_VARIABLE}",
    )


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def _idx(folder: Path, name: str, info: DataInfo) -> np.ndarray:
    path = _file(folder, name)
    assert path is not None
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise EIPlatformError(f"the file cannot be read ({error})", where=str(path)) from None
    _check(content, info.sha256[name], str(path))
    return read_idx(content, str(path))


def read_idx(content: bytes, where: str = "IDX data") -> np.ndarray:
    """Parse the IDX format of MNIST-like data sets (unsigned bytes only).

    Parameters
    ----------
    content : bytes
        Uncompressed.
    where : str
        Named in errors.

    Returns
    -------
    array of uint8
        With the shape that the header gives.

    Raises
    ------
    EIPlatformError
        If the header is another one or the length does not fit it.

    Examples
    --------
    >>> read_idx(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9])).tolist()
    [7, 9]
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08" or not content[3]:
        raise EIPlatformError("this is not IDX data of unsigned bytes", where=where)
    n_dims = content[3]
    start = 4 + 4 * n_dims
    if len(content) < start:
        raise EIPlatformError("the IDX header is cut short", where=where)
    shape = struct.unpack(f">{n_dims}I", content[4:start])
    if len(content) - start != int(np.prod(shape, dtype=np.int64)):
        raise EIPlatformError(f"{len(content) - start} bytes follow an IDX header of shape {shape}", where=where)
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
