"""Recordings of one network at several moments of its training, opened as one.

A series is a directory with ``series.json`` and a recording ``step-<iteration>`` for every moment,
each complete in itself.  Opened, every population has a leading dimension ``step`` (iterations of
training so far) with the coordinate ``epoch``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field
from xarray.backends import BackendArray
from xarray.core import indexing

from eiplatform.errors import StoreError
from eiplatform.files import read_json
from eiplatform.store.tree import Recording
from eiplatform.untrusted import checked

__all__ = ["SERIES", "is_series", "iterations_per_epoch", "join_steps", "steps_of"]

SERIES = "series.json"


class _Series(BaseModel):
    model_config = ConfigDict(strict=True)

    iterations_per_epoch: int = Field(ge=1)


def is_series(path: str | Path) -> bool:
    """Whether `path` is the directory of a series."""
    return (Path(path) / SERIES).is_file()


def steps_of(path: Path) -> dict[int, Path]:
    """Return the recordings of a series by iteration, in order."""
    named = [(entry.name.partition("-")[2], entry) for entry in path.glob("step-*") if entry.is_dir()]
    found = {int(number): entry for number, entry in named if number.isdecimal()}
    return dict(sorted(found.items()))


def iterations_per_epoch(path: Path) -> int:
    """Return how many iterations of training an epoch of a series has.

    Raises
    ------
    StoreError
        If ``series.json`` is damaged.
    """
    checked(_Series, read_json(path / SERIES), path / SERIES, what="damaged", remedy="record it again")
    return int(read_json(path / SERIES)["iterations_per_epoch"])


def join_steps(path: Path, trees: Mapping[int, xr.DataTree]) -> Recording:
    """Return one tree whose populations have a leading dimension ``step``.

    Parameters
    ----------
    path : Path
        The series.
    trees : dict of int to xarray.DataTree
        The opened recordings by iteration.

    Raises
    ------
    StoreError
        If the recordings hold different populations, samples or neurons.
    """
    per_epoch = iterations_per_epoch(path)
    steps = np.array(list(trees))
    first = next(iter(trees.values()))
    found = [{node.path.lstrip("/"): node.to_dataset() for node in tree.leaves} for tree in trees.values()]
    joined = {}
    for name in found[0]:
        parts = [populations[name] for populations in found if name in populations]
        same = len(parts) == len(trees) and all(
            part.sizes == parts[0].sizes and part.coords.to_dataset().equals(parts[0].coords.to_dataset())
            for part in parts
        )
        if not same:
            raise StoreError(
                "the recordings hold different populations, samples or neurons", where=f"population '{name}'"
            )
        coords: dict[str, Any] = {str(key): values for key, values in parts[0].coords.items()}
        coords["step"] = ("step", steps, {"long_name": "iterations of training"})
        coords["epoch"] = ("step", steps / per_epoch, {"long_name": "epochs of training"})
        variables = {key: _stacked([part[key].variable for part in parts]) for key in parts[0].data_vars}
        joined[name] = xr.Dataset(variables, coords, parts[0].attrs)
    tree = Recording.from_dict(joined)
    tree.attrs = first.attrs | {
        "path": str(path),
        "complete": all(part.attrs["complete"] for part in trees.values()),
        "problems": "; ".join(part.attrs["problems"] for part in trees.values() if part.attrs["problems"]),
    }
    return tree


def _stacked(parts: list[xr.Variable]) -> xr.Variable:
    dims = ("step", *parts[0].dims)
    if "sample" not in parts[0].dims:
        return xr.Variable(dims, np.stack([part.values for part in parts]), parts[0].attrs)
    return xr.Variable(dims, indexing.LazilyIndexedArray(_Stack(parts)), parts[0].attrs, fastpath=True)


class _Stack(BackendArray):
    """Variables of one shape along a new first dimension, read when asked for."""

    def __init__(self, parts: list[xr.Variable]) -> None:
        self._parts = parts
        self.shape, self.dtype = (len(parts), *parts[0].shape), parts[0].dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        first, rest = key[0], tuple(key[1:])
        if isinstance(first, (int, np.integer)):
            return np.asarray(self._parts[int(first)][rest].values)
        chosen = [self._parts[index][rest].values for index in range(*first.indices(self.shape[0]))]
        if not chosen:
            return np.empty((0, *self._parts[0][rest].shape), self.dtype)
        return np.stack(chosen)
