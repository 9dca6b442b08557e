"""Labelled images and deterministic, stratified splits of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from eiplatform.errors import ConfigError

__all__ = ["DataBundle", "DataInfo", "Split", "split_validation", "stratified_order"]


@dataclass(frozen=True)
class Split:
    """Images with labels and stable ids.

    Attributes
    ----------
    images : array, float32, shape (n, ...)
        In [0, 1].
    labels : array, int64, shape (n,)
    ids : array, int64, shape (n,)
        Ids within the whole data set.
    """

    images: np.ndarray
    labels: np.ndarray
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: np.ndarray) -> Split:
        """Return the samples at these positions, in this order."""
        return Split(self.images[index], self.labels[index], self.ids[index])


@dataclass(frozen=True)
class DataInfo:
    """What a data set is.

    Attributes
    ----------
    name, title, source, licence, citation : str
    input_shape : tuple of int
    n_classes : int
    sha256 : dict of str to str
        Of the uncompressed content that was read and checked.
    """

    name: str
    title: str
    source: str
    licence: str
    citation: str
    input_shape: tuple[int, ...]
    n_classes: int
    sha256: dict[str, str]


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
