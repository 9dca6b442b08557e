"""Opening HDF5 files that anybody may have written.

HDF5 can do much that a recording never needs and that can do harm: read other files (external storage, external
links, virtual data sets), load code (filters as plugins), follow references that crash the library, and declare
sizes that are not there.  A file that holds any of it is refused before anything of it is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import xarray as xr
from h5py import h5a, h5d, h5g, h5l, h5o, h5r, h5s, h5t, h5z

from eiplatform.errors import EIPlatformError, StoreError
from eiplatform.untrusted import reading

__all__ = ["NO_VARIABLE", "REMEDY", "load_netcdf", "open_hdf5", "open_netcdf"]

NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"
"""How netCDF-4 marks a dimension without values."""
REMEDY = "copy the file again, or make it again"
DEEPEST, MOST_OBJECTS, LARGEST_CHUNK = 16, 2**20, 2**28
_PLAIN = {h5t.INTEGER, h5t.FLOAT, h5t.STRING, h5t.ENUM}
_FILTERS = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32, h5z.FILTER_LZF}
_FREE, _RATIO = 2**26, 100
"""A file that is read as a whole holds at most this many bytes, or this many times its own size."""

_REFERENCES = h5py.vlen_dtype(h5py.ref_dtype)

_Stamp = tuple[int, int, int, int]
_checked: dict[_Stamp, int] = {}


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file to read it, once it is known to hold plain data only.

    Raises
    ------
    StoreError
        If it is not an HDF5 file, or holds what can read other files, run code, or crash the library.
    """
    with _opened(path) as file:
        _check_once(file, path)
        yield file


@contextmanager
def open_netcdf(path: Path) -> Iterator[h5netcdf.File]:
    """Open a netCDF-4 file to read it, checked as by :func:`open_hdf5`."""
    with open_hdf5(path):
        pass
    with reading(path, what="not readable as netCDF", remedy=REMEDY):
        opened = h5netcdf.File(path, "r")
    with opened as file:
        yield file


def load_netcdf(path: str | Path, *, error: type[EIPlatformError] = StoreError, remedy: str = REMEDY) -> xr.Dataset:
    """Read a netCDF-4 file into memory as a whole.

    Raises
    ------
    EIPlatformError
        Of the type `error`: if the file is missing, damaged, or holds more than it is worth.
    """
    path = Path(path)
    if not path.is_file():
        raise error("this file does not exist", where=str(path), remedy=remedy)
    with reading(path, what="not readable as netCDF", remedy=remedy, error=error):
        with _opened(path) as file:
            held = _check_once(file, path)
        size = path.stat().st_size
        if held > max(_FREE, _RATIO * size):
            raise error(f"declares {held} bytes of data in a file of {size}", where=str(path), remedy=remedy)
        return xr.load_dataset(path, engine="h5netcdf")


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    with reading(path, what="damaged: not readable as HDF5", remedy=REMEDY):
        file = h5py.File(path, "r")
    with file:
        yield file


def _check_once(file: h5py.File, path: Path) -> int:
    """Check a file unless it has been, and return how many bytes of data it declares."""
    facts = path.stat()
    stamp = (facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_size)
    if stamp not in _checked:
        with reading(path, what="damaged: not readable as HDF5", remedy=REMEDY):
            _checked[stamp] = _Check(path).group(h5g.open(file.id, b"/"), "", 0)
    return _checked[stamp]


class _Check:
    """Go through all that a file holds, without reading data or following a link out of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: set[Any] = set()

    def refuse(self, name: str, what: str) -> StoreError:
        return StoreError(
            f"'{name or '/'}' {what}",
            where=str(self.path),
            valid="plain HDF5: numbers and text in this file",
            remedy="do not use this file: no recording or result of eiplatform holds such a thing",
        )

    def group(self, group: h5g.GroupID, name: str, depth: int, above: frozenset[int] = frozenset()) -> int:
        """Check a group and what is in it; return the bytes of data that it declares.

        `above` are the addresses of data sets in the groups around it, which dimensions may be.
        """
        if depth > DEEPEST or len(self.seen) > MOST_OBJECTS:
            raise self.refuse(name, "has too many groups in it")
        self.attributes(group, name)
        links: list[tuple[bytes, int]] = []
        group.links.iterate(lambda key, info: links.append((bytes(key), info.type)), info=True)
        groups: list[tuple[h5g.GroupID, str]] = []
        sets: dict[int, tuple[h5d.DatasetID, str]] = {}
        for key, kind in links:
            inner = f"{name}/{key.decode(errors='replace')}"
            if kind != h5l.TYPE_HARD:
                raise self.refuse(inner, "is a link to elsewhere")
            found = h5o.open(group, key)
            place = h5o.get_info(found).addr  # in this file: links lead nowhere else
            if place in self.seen:
                raise self.refuse(inner, "has two names")
            self.seen.add(place)
            if isinstance(found, h5g.GroupID):
                groups.append((found, inner))
            elif isinstance(found, h5d.DatasetID):
                sets[place] = (found, inner)
            else:
                raise self.refuse(inner, "is a type of data, not data")
        near = above | sets.keys()
        total = sum(self.dataset(found, inner, near) for found, inner in sets.values())
        return total + sum(self.group(found, inner, depth + 1, near) for found, inner in groups)

    def dataset(self, data: h5d.DatasetID, name: str, near: frozenset[int]) -> int:
        """Check how a data set is stored; return the bytes that it declares."""
        kind, space, stored = data.get_type(), data.get_space(), data.get_create_plist()
        if kind.get_class() not in _PLAIN:
            raise self.refuse(name, "holds something else than numbers and text")
        if space.get_simple_extent_type() == h5s.NULL:
            raise self.refuse(name, "holds nothing")
        size = kind.get_size() * math.prod(space.shape)
        layout = stored.get_layout()
        if stored.get_external_count() or layout not in (h5d.COMPACT, h5d.CONTIGUOUS, h5d.CHUNKED):
            raise self.refuse(name, "is stored in another file")
        if any(stored.get_filter(k)[0] not in _FILTERS for k in range(stored.get_nfilters())):
            raise self.refuse(name, "is compressed by a plugin")
        scale = self.attributes(data, name, space.shape, near)
        if layout == h5d.CHUNKED:
            chunks = stored.get_chunk()
            if math.prod(chunks) * kind.get_size() > LARGEST_CHUNK:
                raise self.refuse(name, f"has chunks of shape {chunks}")
            expected = math.prod(-(-length // chunk) for length, chunk in zip(space.shape, chunks, strict=True))
            if not scale and data.get_num_chunks() != expected:
                raise self.refuse(name, f"has lost some of its {expected} chunks")
        elif not scale and data.get_storage_size() < size:
            raise self.refuse(name, f"has {data.get_storage_size()} of {size} bytes")
        return 0 if scale else size

    def attributes(
        self, held: Any, name: str, shape: tuple[int, ...] | None = None, near: frozenset[int] = frozenset()
    ) -> bool:
        """Check the attributes of an object; return whether it is a dimension without values."""
        empty = False
        for number in range(h5a.get_num_attrs(held)):
            attribute = h5a.open(held, index=number)
            key, kind, space = attribute.name, attribute.get_type(), attribute.get_space()
            if key == b"DIMENSION_LIST":
                reference = kind.get_super() if kind.get_class() == h5t.VLEN else None
                if reference is None or reference != h5t.STD_REF_OBJ or space.shape != (len(shape or ()),) or not shape:
                    raise self.refuse(name, "has damaged dimensions")
                self.dimensions(held, attribute, name, shape, near)
            elif key == b"REFERENCE_LIST":
                pass  # never read: it says again what the other end says
            elif kind.get_class() not in _PLAIN:
                raise self.refuse(name, f"has the attribute '{key.decode(errors='replace')}' of an unknown type")
            elif key == b"NAME" and isinstance(kind, h5t.TypeStringID) and not kind.is_variable_str():
                text = np.empty(space.shape, f"S{kind.get_size()}")
                attribute.read(text)
                empty = bytes(text.ravel()[0]).startswith(NO_VARIABLE)
        return empty

    def dimensions(
        self, data: h5d.DatasetID, attribute: h5a.AttrID, name: str, shape: tuple[int, ...], near: frozenset[int]
    ) -> None:
        """Check that every axis has one dimension: a data set beside this one, or above, of the axis' length."""
        lists = np.empty(len(shape), dtype=_REFERENCES)
        attribute.read(lists)
        for length, references in zip(shape, lists, strict=True):
            scale = h5r.dereference(references[0], data) if len(references) == 1 and references[0] else None
            if not isinstance(scale, h5d.DatasetID) or h5o.get_info(scale).addr not in near or scale.shape != (length,):
                raise self.refuse(name, "has damaged dimensions")
