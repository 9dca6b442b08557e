"""Joining the shards of a recording without reading their signals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.core import indexing

from eiplatform.errors import StoreError
from eiplatform.store.lazy import PackedArray, ShardedArray
from eiplatform.store.reduced import is_reduced, merge
from eiplatform.store.shards import PACKED

__all__ = ["assemble"]


def assemble(files: list[Path]) -> dict[str, xr.Dataset]:
    """Return every population of a recording, in the order in which they were written.

    The first shard is the template; of the others only coordinates and lengths are read.

    Parameters
    ----------
    files : list of Path
        Shards in order.

    Raises
    ------
    StoreError
        If shards hold a sample twice.
    """
    with h5py.File(files[0], "r") as opened:
        names = np.atleast_1d(opened.attrs["populations"])  # HDF5 itself sorts its groups
    names = [name if isinstance(name, str) else name.decode() for name in names]
    templates = {}
    for name in names:
        with xr.open_dataset(files[0], group=name, engine="h5netcdf") as template:
            templates[name] = template.copy()
            if is_reduced(template):
                templates[name] = template.load()
    lengths: dict[str, dict[str, list[int]]] = {name: {"sample": [], "spike": []} for name in names}
    coords: dict[str, dict[str, list[np.ndarray]]] = {
        name: {str(key): [] for key, values in data.coords.items() if values.dims == ("sample",)}
        for name, data in templates.items()
    }
    for file in files:
        with h5py.File(file, "r") as opened:
            for name in names:
                group = opened[name]
                for key, parts in coords[name].items():
                    parts.append(_values(group[key]))
                for dim, sizes in lengths[name].items():
                    sizes.append(len(group[dim if dim == "sample" else "spike_time"]) if _has(group, dim) else 0)
    return {
        name: _population(files, name, template, coords[name], lengths[name]) for name, template in templates.items()
    }


def _has(group: h5py.Group, dim: str) -> bool:
    return dim == "sample" or "spike_time" in group


def _values(dataset: h5py.Dataset) -> np.ndarray:
    text = h5py.check_string_dtype(dataset.dtype) is not None
    return np.asarray(dataset.asstr()[...] if text else dataset[...])


def _population(
    files: list[Path],
    name: str,
    template: xr.Dataset,
    along: dict[str, list[np.ndarray]],
    lengths: dict[str, list[int]],
) -> xr.Dataset:
    variables: dict[str, xr.Variable] = {}
    for name_of, variable in template.variables.items():
        key = str(name_of)
        if key in along:
            values = np.concatenate(along[key]).astype(variable.dtype, copy=False)
            variables[key] = xr.Variable(variable.dims, values, variable.attrs)
        elif variable.dims[:1] in (("sample",), ("spike",)):
            new, lazy = _lazy(files, f"{name}/{key}", variable, lengths[str(variable.dims[0])])
            variables[new] = lazy
        else:
            variables[key] = variable.load()
    if len(np.unique(variables["sample"].values)) != variables["sample"].size:
        raise StoreError("shards hold a sample twice", where=f"population '{name}'")
    if is_reduced(template):
        parts = []
        for file in files:
            with xr.open_dataset(file, group=name, engine="h5netcdf") as part:
                parts.append(part.load())
        variables |= merge(parts)
    coords = {str(key): variables.pop(str(key)) for key in template.coords}
    return xr.Dataset(variables, coords=coords, attrs=template.attrs)


def _lazy(files: list[Path], where: str, variable: xr.Variable, lengths: list[int]) -> tuple[str, xr.Variable]:
    """Return the name and the variable as users see it: spikes as booleans, float16 as float32."""
    shape: tuple[int, ...] = (sum(lengths), *variable.shape[1:])
    attrs: dict[str, Any] = dict(variable.attrs)
    key = where.rpartition("/")[2]
    dims = tuple(variable.dims)
    if key == PACKED:
        shape = (*shape[:-1], int(attrs.pop("n_neurons")))
        attrs.pop("packed")
        array: ShardedArray = PackedArray(files, where, lengths, shape, np.dtype(bool))
        key, dims = "spikes", (*dims[:-1], "neuron")
    else:
        dtype = np.dtype(np.float32) if variable.dtype == np.float16 else variable.dtype
        array = ShardedArray(files, where, lengths, shape, dtype)
    return key, xr.Variable(dims, indexing.LazilyIndexedArray(array), attrs, fastpath=True)
