"""Own images, as they come, as a data set: arrays, torch data sets, ``.npz`` files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eiplatform.datasets.base import DataBundle, DataInfo, Split, stratified_order
from eiplatform.errors import ConfigError

__all__ = ["OWN_DATA", "bundle_of", "split_from", "split_of_arrays"]

OWN_DATA = "own-data"
"""Name of own data in a configuration that names none."""
TEST_FRACTION = 0.2
"""Part of own data that is kept for the test, if none is given."""
_FILE_NAMES = (("images", "labels", "test_images", "test_labels"), ("x_train", "y_train", "x_test", "y_test"))


def bundle_of(data: Any, name: str = OWN_DATA) -> DataBundle:
    """Return own data as a data set with a training and a test split.

    Parameters
    ----------
    data : tuple, torch Dataset, path or DataBundle
        ``(images, labels)``, where a fifth of every class is kept for the test; ``(train, test)``, each of
        them ``(images, labels)`` or a torch ``Dataset``; a torch ``Dataset`` of pairs; an ``.npz`` file with
        ``images``, ``labels`` and perhaps ``test_images``, ``test_labels``.  Images have shape (n, channels,
        rows, columns), (n, rows, columns) or (n, features), sequences (n, time, channels, rows, columns); values are
        floats in [0, 1] or whole numbers of one byte.
    name : str
        How configuration and manifests call the data.

    Raises
    ------
    ConfigError
        If shapes, values or labels do not fit.
    """
    if isinstance(data, DataBundle):
        return data
    parts = _parts(data)
    train = split_of_arrays(*parts[0], name=name)
    if not train.labelled:
        raise ConfigError("training needs labels", where="data", valid="(images, labels)")
    if len(parts) == 1:
        chosen, others = stratified_order(train.labels, train.ids, TEST_FRACTION, "own-data-test")
        train, test = train.take(others), train.take(chosen)
    else:
        test = split_of_arrays(*parts[1], name=name, first_id=len(train))
        if _shape(test) != _shape(train):
            raise ConfigError(
                f"test images have the shape {_shape(test)}, training images {_shape(train)}", where="data"
            )
    labels = np.unique(np.concatenate([train.labels, test.labels]))
    n_classes = int(labels[-1]) + 1
    if labels[0] < 0 or n_classes < 2:
        raise ConfigError(f"the labels are {labels[:5].tolist()}", where="data", valid="0, 1, ..., classes - 1")
    if len(labels) < n_classes:
        absent = np.setdiff1d(np.arange(min(n_classes, len(labels) + 5)), labels)[:5].tolist()
        raise ConfigError(
            f"the labels reach from {labels[0]} to {labels[-1]}, and no image has the label "
            f"{', '.join(map(str, absent))}{', ...' if n_classes - len(labels) > len(absent) else ''}",
            where="data",
            valid="0, 1, ..., classes - 1, each with images: every label has a readout neuron",
            remedy="number the classes anew, from 0 (numpy.unique)",
        )
    if set(labels) != set(np.unique(train.labels)):
        missing = sorted(set(labels.tolist()) - set(train.labels.tolist()))
        raise ConfigError(f"no training image has the label {missing[:5]} of the test images", where="data")
    info = DataInfo(name, "own data", "given by the user", "not stated", "not stated", _shape(train), n_classes)
    return DataBundle(train, info, lambda: test)


def split_from(data: Any) -> Split:
    """Return images, with or without labels, as they come: arrays, tensors, a torch Dataset, a file or a split."""
    if isinstance(data, Split):
        return data
    if hasattr(data, "shape"):
        return split_of_arrays(data)
    parts = _parts(data)
    if len(parts) > 1:
        raise ConfigError(
            "these are a training and a test part", where="data", remedy="give the images that are to be shown"
        )
    return split_of_arrays(*parts[0])


def split_of_arrays(
    images: Any, labels: Any = None, *, name: str | None = None, first_id: int = 0, any_values: bool = False
) -> Split:
    """Return arrays as a split.

    Parameters
    ----------
    images, labels : array-like
        As of :func:`bundle_of`; labels may be missing.
    name : str, optional
    first_id : int
        Id of the first image.
    any_values : bool
        Whether values beyond [0, 1] are possible, of a foreign network.
    """
    stored = _array(images)
    if stored.ndim == 3:
        stored = stored[:, None]
    if stored.ndim not in (2, 4, 5) or not len(stored):
        raise ConfigError(
            f"the images have the shape {stored.shape}",
            where="data",
            valid="(n, features), (n, rows, columns), (n, channels, rows, columns) or, for sequences, (n, time, "
            "channels, rows, columns)",
        )
    scale = 1
    if stored.dtype == np.uint8:
        scale = 255
    elif stored.dtype.kind not in "fb":
        raise ConfigError(f"the images are of type {stored.dtype}", where="data", valid="floats in [0, 1], or uint8")
    else:
        stored = stored.astype(np.float32, copy=False)
        low, high = float(stored.min()), float(stored.max())
        if not np.isfinite([low, high]).all():
            broken = np.argwhere(~np.isfinite(stored))
            raise ConfigError(
                f"{len(np.unique(broken[:, 0]))} of {len(stored)} images are not finite (NaN or infinite); the first "
                f"such value is at {broken[0].tolist()}",
                where="data",
                valid="finite values",
                remedy="leave out these images, or replace what is missing: np.nan_to_num(images)",
            )
        if not any_values and not 0 <= low <= high <= 1:
            raise ConfigError(
                f"the images reach from {low:.3g} to {high:.3g}",
                where="data",
                valid="0 to 1: E-I layers take inputs of at least 0",
                remedy="scale them: (images - images.min()) / (images.max() - images.min())",
            )
    known = None if labels is None else _labels(labels, len(stored))
    ids = first_id + np.arange(len(stored))
    return Split(stored, known, ids, scale, sequence=stored.ndim == 5, name=name)


def _parts(data: Any) -> list[tuple[Any, ...]]:
    """Return ``(images, labels)`` once or, with a test part, twice."""
    if isinstance(data, str | Path):
        return _of_file(Path(data))
    if isinstance(data, Sequence) and len(data) == 2 and all(map(_is_part, data)):
        return [part for one in data for part in _parts(one)]
    if isinstance(data, Sequence) and len(data) == 2:
        return [tuple(data)]
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        pairs = [data[index] for index in range(len(data))]
        if not pairs or not all(isinstance(pair, Sequence) and len(pair) == 2 for pair in pairs):
            raise ConfigError("the data set does not give pairs of an image and a label", where="data")
        return [(np.stack([_array(image) for image, _ in pairs]), np.array([int(label) for _, label in pairs]))]
    raise ConfigError(
        f"a {type(data).__name__} is not understood as data",
        where="data",
        valid="(images, labels), (train, test), a torch Dataset, an .npz file",
    )


def _is_part(part: Any) -> bool:
    """Whether something is a training or a test part, rather than an array."""
    return isinstance(part, tuple | list) or (not hasattr(part, "shape") and hasattr(part, "__getitem__"))


def _of_file(path: Path) -> list[tuple[Any, ...]]:
    if path.suffix != ".npz" or not path.is_file():
        raise ConfigError(
            "this .npz file does not exist", where=str(path), valid="the name of a data set, or an .npz file"
        )
    with np.load(path, allow_pickle=False) as file:
        names = next((names for names in _FILE_NAMES if set(names[:2]) <= set(file.files)), None)
        if names is None:
            valid = " or ".join(f"{names[0]}, {names[1]} (and {names[2]}, {names[3]})" for names in _FILE_NAMES)
            raise ConfigError(f"the file holds {', '.join(file.files) or 'nothing'}", where=str(path), valid=valid)
        found = [file[name] if name in file.files else None for name in names]
    return [tuple(found[:2])] + ([tuple(found[2:])] if found[2] is not None else [])


def _array(values: Any) -> np.ndarray:
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    try:
        return np.asarray(values)
    except ValueError:
        raise ConfigError("the rows have several lengths", where="data", valid="an array of numbers") from None


def _labels(labels: Any, n: int) -> np.ndarray:
    found = _array(labels)
    if found.shape != (n,) or found.dtype.kind not in "iu":
        raise ConfigError(
            f"the labels have the shape {found.shape} and the type {found.dtype}",
            where="data",
            valid=f"whole numbers of shape ({n},)",
        )
    return found


def _shape(split: Split) -> tuple[int, ...]:
    shape: tuple[int, ...] = split.take(np.arange(1)).images.shape[2 if split.sequence else 1 :]
    return shape
