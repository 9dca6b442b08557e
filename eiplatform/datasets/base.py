"""Labelled images and deterministic, stratified splits of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eiplatform.errors import ConfigError, EIPlatformError

__all__ = ["OWN", "DataBundle", "DataInfo", "Split", "split_validation", "stratified_order"]


OWN = "own data, not named"
"""What a manifest says of samples whose data set has no name; a name is never guessed."""


class Split:
    """Images with labels and stable ids; pixels are kept as they were stored until they are shown.

    Parameters
    ----------
    stored : array, shape (n, ...) or, for sequences, (n, T, ...)
        Whole numbers in [0, scale], or floats in [0, 1] with a scale of 1.
    labels : array of int, shape (n,), or None
        None: not known; nothing that needs classes can be done with these samples.
    ids : array of int, shape (n,)
        Ids within the whole data set.
    scale : int
        What to divide by.
    sequence : bool
        Whether a sample has a time axis.
    rows : array of int, optional
        Rows of `stored` that are this split's samples (default: all); several splits share one array.
    name : str, optional
        Of the data set, e.g. ``"digits"``; own data have the name that is given here, or none.

    Attributes
    ----------
    labels, ids : array, int64, shape (n,)
        Labels are all -1 where they are not known.
    labelled : bool
        Whether the labels are known.
    scale : int
    sequence : bool
    name : str or None

    Examples
    --------
    >>> split = Split(np.array([[0], [255]], np.uint8), np.array([3, 4]), np.arange(2), 255)
    >>> split.images.tolist(), split.take(np.array([1])).labels.tolist()
    ([[0.0], [1.0]], [4])
    """

    def __init__(
        self,
        stored: np.ndarray,
        labels: np.ndarray | None,
        ids: np.ndarray,
        scale: int = 1,
        sequence: bool = False,
        rows: np.ndarray | None = None,
        name: str | None = None,
    ) -> None:
        self.name = name
        self._stored = stored
        self._rows = np.arange(len(stored)) if rows is None else rows
        self.labelled = labels is not None
        labels = np.full(len(self._rows), -1) if labels is None else labels
        self.labels = labels.astype(np.int64, copy=False)
        self.ids = ids.astype(np.int64, copy=False)
        self.scale = scale
        self.sequence = sequence
        if not len(self._rows) == len(labels) == len(ids):
            raise EIPlatformError(
                f"{len(self._rows)} images, {len(labels)} labels and {len(ids)} ids", where="data set"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def images(self) -> np.ndarray:
        """Every image as float32 in [0, 1]; of a large split take a part first."""
        return self.stored_at(slice(None)).astype(np.float32) / np.float32(self.scale)

    def stored_at(self, index: np.ndarray | slice) -> np.ndarray:
        """Return a copy of the pixels of these samples as they are stored."""
        found: np.ndarray = self._stored[self._rows[index]]
        return found

    def take(self, index: np.ndarray) -> Split:
        """Return the samples at these positions, in this order; the pixels are shared, not copied."""
        rows, labels = self._rows[index], self.labels[index] if self.labelled else None
        return Split(self._stored, labels, self.ids[index], self.scale, self.sequence, rows, self.name)

    def describe(self) -> dict[str, Any]:
        """Return what identifies these samples: name, number and SHA-256 of pixels, labels and ids.

        Examples
        --------
        >>> split = Split(np.array([[0], [255]], np.uint8), np.array([3, 4]), np.arange(2), 255)
        >>> told = split.describe()
        >>> told["name"], told["samples"], told["sha256"][:12]
        ('own data, not named', 2, '718724c23b2f')
        """
        digest = hashlib.sha256()
        shape, kind = self._stored.shape[1:], self._stored.dtype.str
        digest.update(f"{len(self)} {shape} {kind} {self.scale} {self.sequence};".encode())
        for start in range(0, len(self), 1024):
            digest.update(np.ascontiguousarray(self._pixels(slice(start, start + 1024))).data)
        for numbers in (self.labels, self.ids):
            digest.update(np.ascontiguousarray(numbers).data)
        return {"name": self.name or OWN, "samples": len(self), "sha256": digest.hexdigest()}

    def _pixels(self, index: slice) -> np.ndarray:
        """Return pixels as they came, whatever is done to them when they are shown."""
        found: np.ndarray = self._stored[self._rows[index]]
        return found


@dataclass(frozen=True)
class DataInfo:
    """What a data set is.

    Attributes
    ----------
    name, title, source, licence, citation : str
    input_shape : tuple of int
        Of one image, or of one step of a sequence.
    n_classes : int
    sha256 : dict of str to str
        Of the content that has been read so far.
    verified : list of str
        What of it agrees with a published checksum.
    """

    name: str
    title: str
    source: str
    licence: str
    citation: str
    input_shape: tuple[int, ...]
    n_classes: int
    sha256: dict[str, str] = field(default_factory=dict)
    verified: list[str] = field(default_factory=list)


@dataclass
class DataBundle:
    """A data set with its training split; the test split is read when first asked for.

    Attributes
    ----------
    train : Split
    info : DataInfo
    """

    train: Split
    info: DataInfo
    read_test: Callable[[], Split]
    _test: Split | None = field(default=None, repr=False)

    @property
    def test(self) -> Split:
        """The test split, the same whatever the seed; read it once, at the end."""
        if self._test is None:
            self._test = self.read_test()
        return self._test


def stratified_order(labels: np.ndarray, ids: np.ndarray, fraction: float, salt: str) -> tuple[np.ndarray, np.ndarray]:
    """Choose a fraction of every class, independent of any random generator's version.

    Within a class, samples are ordered by the SHA-256 of ``salt`` and their id; the first
    ``round(fraction * n)`` of a class are chosen, at least 1.

    Parameters
    ----------
    labels, ids : array of int, shape (n,)
    fraction : float
        In (0, 1).
    salt : str
        Another salt, another choice.

    Returns
    -------
    chosen, others : array of int
        Positions, ascending.

    Raises
    ------
    ConfigError
        If a class would be left empty.

    Examples
    --------
    >>> chosen, others = stratified_order(np.repeat([0, 1], 10), np.arange(20), 0.2, "a")
    >>> len(chosen), len(others), int((chosen < 10).sum())
    (4, 16, 2)
    """
    keys = np.array([hashlib.sha256(f"{salt}:{i}".encode()).hexdigest() for i in ids])
    chosen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = max(1, round(fraction * len(members)))
        if count >= len(members):
            raise ConfigError(
                f"a fraction of {fraction} takes {count} of the {len(members)} samples of class {label}",
                where="dataset.validation",
                remedy="take a smaller fraction",
            )
        chosen[members[np.argsort(keys[members])[:count]]] = True
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


def split_validation(train: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """Split the training images into training and validation, stratified, decided by `seed`.

    Parameters
    ----------
    train : Split
    fraction : float
        Part that validates, in (0, 1).
    seed : int

    Returns
    -------
    train, validation : Split
    """
    chosen, others = stratified_order(train.labels, train.ids, fraction, f"validation-{seed}")
    return train.take(others), train.take(chosen)
