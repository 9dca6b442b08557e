"""Joining the shards of a recording without reading their signals."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import xarray as xr
from xarray.core import indexing

from eiplatform.errors import StoreError
from eiplatform.store.hdf5 import NO_VARIABLE, open_hdf5
from eiplatform.store.lazy import PackedArray, ShardedArray
from eiplatform.store.reduced import MERGED, merge
from eiplatform.store.shards import PACKED

__all__ = ["SHARD", "assemble", "populations_in"]

SHARD = "shard"
"""First dimension of the states of reductions in a packed recording, which are those of its shards."""
_OF_NETCDF = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_FillValue"}


class _Stored(NamedTuple):
    """What a file says of one variable."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    attrs: dict[str, Any]


def assemble(files: list[Path]) -> dict[str, xr.Dataset]:
    """Return every population of a recording, in the order in which they were written.

    The first shard is the template; of the others only coordinates, lengths and reduced states are read.

    Parameters
    ----------
    files : list of Path
        Shards in order.

    Raises
    ------
    StoreError
        If shards hold a sample twice.
    """
    names = populations_in(files[0])
    with open_hdf5(files[0]) as first:
        attrs = {name: _attributes(first[name]) for name in names}
        stored = {name: _variables(first[name]) for name in names}
    values: dict[str, dict[str, list[np.ndarray]]] = {
        name: {key: [] for key in variables} for name, variables in stored.items()
    }
    lengths: dict[str, dict[str, list[int]]] = {name: {"sample": [], "spike": []} for name in names}
    for index, file in enumerate(files):
        with open_hdf5(file) as opened:
            for name in names:
                group, coords = opened[name], attrs[name].get("coordinates", "").split()
                for key, variable in stored[name].items():
                    lazy = variable.dims[:1] in (("sample",), ("spike",)) and key != "sample" and key not in coords
                    if lazy:
                        rows = len(group["spike_time" if variable.dims[0] == "spike" else "sample"])
                        _require_shape(group[key], (rows, *variable.shape[1:]), file)
                        if key == "spike_time":
                            lengths[name]["spike"].append(rows)
                    elif index == 0 or "sample" in variable.dims or key in MERGED:
                        values[name][key].append(_values(group[key], variable))
                lengths[name]["sample"].append(len(group["sample"]))
    return {name: _population(files, name, attrs[name], stored[name], values[name], lengths[name]) for name in names}


def _require_shape(item: h5py.Dataset, expected: tuple[int, ...], file: Path) -> None:
    if item.shape != expected:
        raise StoreError(f"'{item.name}' has shape {item.shape} in this shard, not {expected}", where=str(file))


def populations_in(file: Path) -> list[str]:
    """Return the populations in the order in which they were written (HDF5 sorts its groups)."""
    with open_hdf5(file) as opened:
        return [_text(name) for name in np.atleast_1d(opened.attrs["populations"])]


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _attributes(item: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    found = {}
    for key, value in item.attrs.items():
        if key not in _OF_NETCDF:
            single = isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.size == 1)
            found[key] = _text(value.item() if single else value)
    return found


def _variables(group: h5py.Group) -> dict[str, _Stored]:
    found = {}
    for key, item in group.items():
        scale = item.attrs.get("CLASS") == b"DIMENSION_SCALE"
        if scale and item.attrs["NAME"].startswith(NO_VARIABLE):
            continue
        dims = (key,) if scale else tuple(dim[0].name.rpartition("/")[2] for dim in item.dims)
        attrs = _attributes(item)
        text = h5py.check_string_dtype(item.dtype) is not None
        dtype = np.dtype(bool) if attrs.pop("dtype", None) == "bool" else np.dtype(object) if text else item.dtype
        found[key] = _Stored(dims, item.shape, dtype, attrs)
    return found


def _values(item: h5py.Dataset, variable: _Stored) -> np.ndarray:
    if variable.dtype == object:
        return np.asarray(item.asstr()[...], dtype=str)
    return np.asarray(item[...]).astype(variable.dtype, copy=False)


def _population(
    files: list[Path],
    name: str,
    attrs: dict[str, Any],
    stored: dict[str, _Stored],
    values: dict[str, list[np.ndarray]],
    lengths: dict[str, list[int]],
) -> xr.Dataset:
    coords = {*attrs.pop("coordinates", "").split(), *(key for key, v in stored.items() if v.dims == (key,))}
    variables: dict[str, xr.Variable] = {}
    for key, variable in stored.items():
        if not values[key]:
            new, lazy = _lazy(files, f"{name}/{key}", variable, lengths[variable.dims[0]])
            variables[new] = lazy
        elif key not in MERGED:
            joined = np.concatenate(values[key]) if "sample" in variable.dims else values[key][0]
            variables[key] = xr.Variable(variable.dims, joined, variable.attrs)
    if len(np.unique(variables["sample"].values)) != variables["sample"].size:
        raise StoreError("shards hold a sample twice", where=f"population '{name}'")
    if "n" in stored:
        reduced = [key for key in MERGED if key in stored]
        states = [
            xr.Dataset({key: xr.Variable(stored[key].dims, values[key][index], stored[key].attrs) for key in reduced})
            for index in range(len(files))
        ]
        if SHARD in states[0].dims:
            states = [states[0].isel({SHARD: index}) for index in range(states[0].sizes[SHARD])]
        variables |= merge(states)
    return xr.Dataset(
        {key: variable for key, variable in variables.items() if key not in coords},
        coords={key: variable for key, variable in variables.items() if key in coords},
        attrs=attrs,
    )


def _lazy(files: list[Path], where: str, variable: _Stored, lengths: list[int]) -> tuple[str, xr.Variable]:
    """Return the name and the variable as users see it: spikes as booleans, float16 as float32."""
    key, dims, attrs = where.rpartition("/")[2], variable.dims, dict(variable.attrs)
    shape: tuple[int, ...] = (sum(lengths), *variable.shape[1:])
    if key == PACKED:
        shape = (*shape[:-1], int(attrs.pop("n_neurons")))
        attrs.pop("packed")
        array: ShardedArray = PackedArray(files, where, lengths, shape, np.dtype(bool))
        key, dims = "spikes", (*dims[:-1], "neuron")
    else:
        dtype = np.dtype(np.float32) if variable.dtype == np.float16 else variable.dtype
        array = ShardedArray(files, where, lengths, shape, dtype)
    return key, xr.Variable(dims, indexing.LazilyIndexedArray(array), attrs, fastpath=True)
