"""How a data set of one's own is declared: one function in one file of the project's folder ``datasets/``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from eiplatform.datasets.arrays import bundle_of
from eiplatform.datasets.base import DataBundle, DataInfo
from eiplatform.discovery import gather
from eiplatform.errors import ConfigError

__all__ = ["Declared", "dataset", "declared_datasets"]

Read = Callable[[Path | None], Any]


@dataclass(frozen=True)
class Declared:
    """A data set that a project or an installed package declares.

    Attributes
    ----------
    name, title, source, licence, citation : str
    read : callable
        Takes the folder of the files (``dataset.root``, or None) and returns what :func:`eiplatform.train` takes as
        ``data``: ``(images, labels)``, or ``(train, test)``.
    """

    name: str
    title: str
    source: str
    licence: str
    citation: str
    read: Read

    def load(self, root: Path | None) -> DataBundle:
        """Read the data set.

        Raises
        ------
        ConfigError
            If what the function returns is not images and labels.
        """
        try:
            found = bundle_of(self.read(root), self.name)
        except ConfigError as error:
            where = f"data set '{self.name}'"
            raise ConfigError(error.what, where=where, valid=error.valid, remedy=error.alternatives) from error
        part = found.info
        info = DataInfo(
            self.name, self.title, self.source, self.licence, self.citation, part.input_shape, part.n_classes
        )
        return DataBundle(found.train, info, found.read_test)


def dataset(
    name: str, *, title: str, source: str = "not stated", licence: str = "not stated", citation: str = "not stated"
) -> Callable[[Read], Declared]:
    """Declare a data set.

    Parameters
    ----------
    name : str
        As configurations call it: ``dataset: {name: ...}``.
    title, source, licence, citation : str
        What it is, where it comes from, what one may do with it, what to cite.

    Examples
    --------
    >>> import numpy as np
    >>> @dataset("stripes", title="Horizontal and vertical stripes")
    ... def stripes(root):
    ...     images = np.indices((10, 8, 8))[0] % 2
    ...     return images.astype(np.uint8) * 255, np.arange(10) % 2
    >>> stripes.load(None).info.n_classes
    2
    """

    def declare(read: Read) -> Declared:
        return Declared(name, title, source, licence, citation, read)

    return declare


def declared_datasets() -> dict[str, Declared]:
    """Return the data sets of the project and of installed packages by name."""

    def found(module: ModuleType) -> list[tuple[str, Declared]]:
        return [(thing.name, thing) for thing in vars(module).values() if isinstance(thing, Declared)]

    return gather("datasets", found)
