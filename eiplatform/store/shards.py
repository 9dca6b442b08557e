"""One shard: a valid netCDF-4/HDF5 file, complete on the disk or absent.

Spikes are stored as bits, eight neurons a byte, the first neuron in the lowest bit: one line of
numpy reads them (``np.unpackbits(file["fc1/E/spikes_packed"], axis=-1, count=n, bitorder="little")``),
and no compression has to run while a network is waiting.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
import xxhash

from eiplatform.files import atomic_write
from eiplatform.store.blocks import BLOCK_BYTES, slabs
from eiplatform.store.guarded import guarded

__all__ = ["PACKED", "checksum_of", "pack_spikes", "write_shard"]

PACKED = "spikes_packed"
"""Name under which bit-packed spikes are stored; readers of this package see ``spikes``."""

_TEXT = h5py.h5t.py_create(h5py.string_dtype(), logical=True)
_SCALAR = h5py.h5s.create(h5py.h5s.SCALAR)
_EVENTS = ("spike_time", "spike_neuron", "spike_sample")


def checksum_of(path: Path) -> str:
    """Return the checksum of a file's bytes, ``"xxh3:<128 bits in hexadecimal>"``."""
    with path.open("rb") as handle:
        digest = xxhash.xxh3_128()
        while block := handle.read(1 << 18):
            digest.update(block)
    return f"xxh3:{digest.hexdigest()}"


def pack_spikes(data: xr.Dataset) -> xr.Dataset:
    """Replace boolean ``spikes`` (sample, time, neuron) by their bits.

    Examples
    --------
    >>> spikes = np.array([[[True, False, True]]])
    >>> data = xr.Dataset({"spikes": (("sample", "time", "neuron"), spikes)})
    >>> pack_spikes(data)["spikes_packed"].values.tolist()
    [[[5]]]
    """
    if "spikes" not in data or data["spikes"].dtype != bool:
        return data
    spikes = data["spikes"]
    bits = np.packbits(spikes.values, axis=-1, bitorder="little")
    attrs = {**spikes.attrs, "packed": "8 neurons a byte, the first in the lowest bit", "n_neurons": spikes.shape[-1]}
    return data.drop_vars("spikes").assign({PACKED: ((*spikes.dims[:-1], "spike_byte"), bits, attrs)})


def write_shard(path: Path, populations: Mapping[str, xr.Dataset], attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Write populations to one file, flushed to the disk before it gets its name.

    Parameters
    ----------
    path : Path
        Final name.
    populations : mapping of str to xarray.Dataset
        One group each.
    attrs : mapping
        Attributes of the file.

    Returns
    -------
    dict
        ``file``, ``bytes`` and ``checksum``, as the manifest keeps them.

    Raises
    ------
    OSError
        If the disk is full or the folder cannot be written; no file is left.
    """
    found: dict[str, Any] = {"file": path.name}

    def write(temporary: Path) -> None:
        with guarded(temporary) as held:
            _write(held, populations, attrs)

    def describe(temporary: Path) -> None:
        found["bytes"], found["checksum"] = temporary.stat().st_size, checksum_of(temporary)

    atomic_write(path, write, describe)
    return found


def _write(target: io.RawIOBase, populations: Mapping[str, xr.Dataset], attrs: Mapping[str, Any]) -> None:
    with h5py.File(target, "w") as file:
        for key, value in attrs.items():
            file.attrs[key] = value
        ids = itertools.count()
        for name, data in populations.items():
            _write_group(file.create_group(name, track_order=True), data, ids)


def _write_group(group: h5py.Group, data: xr.Dataset, ids: Iterator[int]) -> None:
    """Write one population as netCDF-4 lays it out: a dimension is an HDF5 dimension scale."""
    for key, value in data.attrs.items():
        _write_attribute(group, str(key), value)
    others = [str(key) for key in data.coords if key not in data.dims]
    if others:
        group.attrs["coordinates"] = " ".join(others)  # where xarray looks for them
    scales = {}
    sizes = {str(name): size for name, size in data.sizes.items()}
    for dim, size in sizes.items():
        if dim in data.coords:
            scales[dim] = _write_variable(group, dim, data[dim].variable)
            scales[dim].make_scale(dim)
        else:
            scales[dim] = group.create_dataset(dim, (size,), ">f4")
            scales[dim].make_scale(f"This is a netCDF dimension but not a netCDF variable. {size:10d}")
        scales[dim].attrs["_Netcdf4Dimid"] = np.int32(next(ids))
    for key, variable in data.variables.items():
        if str(key) not in scales:
            stored = _write_variable(group, str(key), variable)
            for axis, along in enumerate(variable.dims):
                stored.dims[axis].attach_scale(scales[str(along)])


def _write_variable(group: h5py.Group, name: str, variable: xr.Variable) -> h5py.Dataset:
    attrs, dtype = dict(variable.attrs), variable.dtype
    options: dict[str, Any] = {}
    if dtype.kind == "b":  # netCDF has none; the convention of xarray
        dtype, attrs["dtype"] = np.dtype(np.int8), "bool"
    if variable.size and (name in _EVENTS or attrs.get("dtype") == "bool"):
        options = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    if dtype.kind in "UO":
        dtype = h5py.string_dtype()
        stored = group.create_dataset(name, data=variable.values.astype(object), dtype=dtype)
    elif variable.nbytes <= BLOCK_BYTES:
        stored = group.create_dataset(name, data=variable.values.astype(dtype, copy=False), **options)
    else:  # piece by piece: what is read from files when it is used is never in memory as a whole
        stored = group.create_dataset(name, variable.shape, dtype, **options)
        for slab in slabs(variable.shape, dtype.itemsize):
            stored[slab] = variable[slab].values
    for key, value in attrs.items():
        _write_attribute(stored, key, value)
    return stored


def _write_attribute(place: h5py.HLObject, key: str, value: Any) -> None:
    """Write an attribute; strings, most of all, as ``place.attrs`` does but in a sixth of its time."""
    if not isinstance(value, str):
        place.attrs[key] = value
        return
    attribute = h5py.h5a.create(place.id, key.encode(), _TEXT, _SCALAR)
    attribute.write(np.array(value, dtype=h5py.string_dtype()))
