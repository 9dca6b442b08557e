"""Changes of HDF5 files by the HDF5 library itself: valid files that hold what they should not."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.fuzz.mutations import change_json

__all__ = ["change_hdf5"]

Random = random.Random


def change_hdf5(path: Path, outside: Path, rng: Random) -> None:
    """Change one thing in a file."""
    with h5py.File(path, "r+") as file:
        items: list[Any] = []
        file.visititems(lambda name, item: items.append(item))
        sets = [item for item in items if isinstance(item, h5py.Dataset)] or [None]
        groups = [file, *(item for item in items if isinstance(item, h5py.Group))]
        change: Callable[..., None] = rng.choice(_CHANGES)
        change(file, rng.choice(groups), rng.choice(sets), outside, rng)
    if path.stat().st_size > 2**24:
        raise AssertionError("a change made the file large")


def _attribute(file: Any, group: Any, data: Any, outside: Path, rng: Random) -> None:
    holder = rng.choice((file, group, data))
    names = list(holder.attrs) or ["x"]
    name, how = rng.choice(names), rng.randrange(9)
    if how < 2:
        if name in holder.attrs:
            del holder.attrs[name]
        return
    values = (
        5,
        -1.5,
        "x",
        "../x",
        np.arange(4),
        np.array([], float),
        h5py.Empty("f8"),
        2**62,
        np.nan,
        np.inf,
        b"\xff\xfe",
        np.array(["a", "b"], dtype=h5py.string_dtype()),
        "a" * 60000,
    )
    holder.attrs[name] = rng.choice(values)


def _strange_attribute(file: Any, group: Any, data: Any, outside: Path, rng: Random) -> None:
    holder = rng.choice((file, group, data))
    name = rng.choice([*holder.attrs, "units", "x"])
    if name in holder.attrs:
        del holder.attrs[name]
    ragged = np.empty(2, object)
    ragged[:] = [np.array([1]), np.array([1, 2])]
    how = rng.randrange(5)
    if how == 0:
        holder.attrs.create(name, file.ref, dtype=h5py.ref_dtype)
    elif how == 1:
        holder.attrs.create(name, ragged, dtype=h5py.vlen_dtype(np.int64))
    elif how == 2:
        holder.attrs.create(name, np.zeros(2, [("a", "i4"), ("b", "f8")]))
    elif how == 3:
        holder.attrs.create(name, np.void(b"\x01\x02"))
    else:
        holder.attrs.create(name, data.regionref[()] if data.shape else file.ref)


def _dimensions(file: Any, group: Any, data: Any, outside: Path, rng: Random) -> None:
    lists: Any = np.empty(max(1, len(data.shape)), object)
    how = rng.randrange(7)
    if "DIMENSION_LIST" in data.attrs:
        del data.attrs["DIMENSION_LIST"]
    if how == 0:
        data.attrs["DIMENSION_LIST"] = rng.choice((5, "x", 1.5))
    elif how == 1:
        lists[:] = [np.array([3])] * len(lists)
        data.attrs.create("DIMENSION_LIST", lists, dtype=h5py.vlen_dtype(np.int64))
    elif how in (2, 3, 4):
        target = (h5py.Reference(), group.ref, data.ref)[how - 2]
        lists[:] = [np.array([target], dtype=h5py.ref_dtype)] * len(lists)
        data.attrs.create("DIMENSION_LIST", lists, dtype=h5py.vlen_dtype(h5py.ref_dtype))
    elif how == 5:
        lists[:] = [np.array([], dtype=h5py.ref_dtype)] * len(lists)
        data.attrs.create("DIMENSION_LIST", lists, dtype=h5py.vlen_dtype(h5py.ref_dtype))
    elif data.shape:
        lists[:] = [np.array([data.regionref[()]], dtype=h5py.regionref_dtype)] * len(lists)
        data.attrs.create("DIMENSION_LIST", lists, dtype=h5py.vlen_dtype(h5py.regionref_dtype))


def _remove(file: Any, group: Any, data: Any, outside: Path, rng: Random) -> None:
    del file[data.name]


def _rename(file: Any, group: Any, data: Any, outside: Path, rng: Random) -> None:
    file.move(data.name, f"{data.parent.name}/{rng.choice(('x', 'spikes', 'voltage', 'time', 'sample', 'é'))}_")


def _replace(file: Any, group: Any, data: Any, outside: Path, rng: Random) -> None:
    """Put other values, of another type or shape, under the same name with the same attributes."""
    name, shape = data.name, data.shape
    attrs = (
        {key: data.attrs[key] for key in data.attrs if key not in ("REFERENCE_LIST",)} if data.dtype.kind != "O" else {}
    )
    dimensions = attrs.pop("DIMENSION_LIST", None)
    del file[name]
    ragged = np.empty(3, object)
    ragged[:] = [np.arange(k) for k in range(3)]
    kind = rng.choice(
        ("i1", "f8", "f2", "c16", "S3", "text", "compound", "ragged", "reference", "enum", "scalar", "shape", "empty")
    )
    if kind == "text":
        new = file.create_dataset(name, data=np.full(shape, "x", object), dtype=h5py.string_dtype())
    elif kind == "compound":
        new = file.create_dataset(name, shape, np.dtype([("a", "i4"), ("b", "S4")]))
    elif kind == "ragged":
        new = file.create_dataset(name, data=ragged, dtype=h5py.vlen_dtype(np.int64))
    elif kind == "reference":
        new = file.create_dataset(name, shape, h5py.ref_dtype)
    elif kind == "enum":
        new = file.create_dataset(name, shape, h5py.enum_dtype({"A": 0, "B": 1}, "i1"))
    elif kind == "scalar":
        new = file.create_dataset(name, data=3)
    elif kind == "shape":
        new = file.create_dataset(name, data=np.ones((*shape[::-1], 2) if rng.random() < 0.5 else (*shape[:-1], 1)))
    elif kind == "empty":
        new = file.create_dataset(name, data=h5py.Empty("f4"))
    else:
        new = file.create_dataset(name, data=np.ones(shape, kind))
    for key, value in attrs.items():
        new.attrs[key] = value
    if dimensions is not None and len(new.shape or ()) == len(dimensions):
        new.attrs.create("DIMENSION_LIST", dimensions, dtype=h5py.vlen_dtype(h5py.ref_dtype))


def _values(file: Any, group: Any, data: Any, outside: Path, rng: Random) -> None:
    """Put impossible numbers: NaN, infinite, negative, repeated, huge."""
    if data.dtype.kind in "iuf" and data.size and data.id.get_storage_size():
        limit = np.iinfo(data.dtype).max if data.dtype.kind in "iu" else rng.choice((np.nan, np.inf, -1.0, 1e38))
        values = data[()]
        data[...] = (
            np.full_like(values, limit)
            if rng.random() < 0.5
            else np.where(np.arange(values.size).reshape(values.shape) % 2, values, limit).astype(data.dtype)
        )


def _elsewhere(file: Any, group: Any, data: Any, outside: Path, rng: Random) -> None:
    """Lead to another file, or round in a circle."""
    name, secret = data.name, outside / "secret.txt"
    del file[name]
    how = rng.randrange(6)
    if how == 0:
        file[name] = h5py.ExternalLink(str(outside / "secret.h5"), "/secret")
    elif how == 1:
        file[name] = h5py.SoftLink(rng.choice(("/", "/nothing", name)))
    elif how == 2:
        size = secret.stat().st_size
        file.create_dataset(name, (size,), "u1", external=[(str(secret), 0, size)])
    elif how == 3:
        layout = h5py.VirtualLayout((4,), "f8")
        layout[:] = h5py.VirtualSource(str(outside / "secret.h5"), "secret", (4,))
        file.create_virtual_dataset(name, layout)
    elif how == 4:
        file[name] = group
    else:
        file[name] = np.dtype("f8")


def _huge(file: Any, group: Any, data: Any, outside: Path, rng: Random) -> None:
    """Declare what is not there."""
    name, rank = data.name, max(1, len(data.shape))
    del file[name]
    how = rng.randrange(4)
    if how == 0:
        file.create_dataset(name, (2**36, *(1,) * (rank - 1)), "f8")
    elif how == 1:
        file.create_dataset(
            name, (2**36, *(1,) * (rank - 1)), "f8", chunks=(2**20, *(1,) * (rank - 1)), compression="gzip"
        )
    elif how == 2:
        file.create_dataset(name, (2**26,), "f4", chunks=(2**26,), compression="gzip")[...] = 0
    else:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((4,))
        plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((8,))
        h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_FLOAT, space, plist)


def _manifest(file: Any, group: Any, data: Any, outside: Path, rng: Random) -> None:
    """Change the manifest in a packed file, and its hash with it."""
    if "manifest" not in file:
        return _attribute(file, group, data, outside, rng)
    text = json.dumps(change_json(json.loads(file["manifest"][()]), rng))
    del file["manifest"]
    try:
        file.create_dataset("manifest", data=text, dtype=h5py.string_dtype())
    except ValueError:
        file.create_dataset("manifest", data="{}", dtype=h5py.string_dtype())
    file.attrs["manifest_sha256"] = hashlib.sha256(file["manifest"][()]).hexdigest()
    return None


_CHANGES = (
    _attribute,
    _attribute,
    _strange_attribute,
    _dimensions,
    _remove,
    _rename,
    _replace,
    _replace,
    _values,
    _elsewhere,
    _huge,
    _manifest,
    _manifest,
)
