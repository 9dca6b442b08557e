"""HDF5 files that hold what can read other files, run code, crash the library or fill the memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.store.hdf5 import load_netcdf, open_hdf5, open_netcdf

Change = Callable[[h5py.File, Path], None]


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Return a file as a shard is: a group with dimensions, numbers, text and compressed values."""
    path = tmp_path / "sound.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("fc1/E")
        group["sample"], group["time"] = np.arange(3), np.arange(2.0)
        group.create_dataset("neuron", (4,), ">f4").make_scale(
            "This is a netCDF dimension but not a netCDF variable.  4"
        )
        for name in ("sample", "time"):
            group[name].make_scale(name)
        values = group.create_dataset("current_exc", data=np.ones((3, 2, 4)), compression="gzip", shuffle=True)
        for axis, name in enumerate(("sample", "time", "neuron")):
            values.dims[axis].attach_scale(group[name])
        values.attrs["units"] = "1"
        group.create_dataset("name", data=np.array(["a", "b", "c"], object), dtype=h5py.string_dtype())
        group.attrs["populations"] = ["x", "y"]
    return path


def test_plain_files_are_read(sound: Path) -> None:
    with open_hdf5(sound) as file:
        assert file["fc1/E/current_exc"][0, 0, 0] == 1
    with open_netcdf(sound) as file:
        assert file["fc1/E/current_exc"].dimensions == ("sample", "time", "neuron")


def test_what_xarray_writes_is_read(tmp_path: Path) -> None:
    data = xr.Dataset(
        {
            "value": (("layer", "x"), np.array([[1.0, np.nan], [2.0, 3.0]])),
            "flag": ("layer", [True, False]),
            "text": ("layer", ["a", "é"]),
            "n": 3,
        },
        coords={"layer": ["fc1", "fc2"]},
        attrs={"analysis": "balance", "list": ["a", "b"], "empty": "", "numbers": [1, 2]},
    )
    data.to_netcdf(tmp_path / "x.nc", engine="h5netcdf", encoding={"value": {"zlib": True}})
    xr.testing.assert_identical(load_netcdf(tmp_path / "x.nc"), xr.load_dataset(tmp_path / "x.nc", engine="h5netcdf"))


def _drop(file: h5py.File, name: str) -> None:
    del file["fc1/E"][name]


def _external_link(file: h5py.File, outside: Path) -> None:
    file["x"] = h5py.ExternalLink(str(outside), "/secret")


def _soft_link(file: h5py.File, outside: Path) -> None:
    file["x"] = h5py.SoftLink("/fc1")


def _circle(file: h5py.File, outside: Path) -> None:
    file["fc1/E/again"] = file["fc1"]


def _external_storage(file: h5py.File, outside: Path) -> None:
    file.create_dataset("x", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def _virtual(file: h5py.File, outside: Path) -> None:
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(str(outside), "secret", (4,))
    file.create_virtual_dataset("x", layout)


def _plugin(file: h5py.File, outside: Path) -> None:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((4,))
    plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())
    h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((8,)), plist)


def _never_written(file: h5py.File, outside: Path) -> None:
    file.create_dataset("x", (2**40,), "f8", chunks=(2**10,), compression="gzip")


def _never_written_plain(file: h5py.File, outside: Path) -> None:
    file.create_dataset("x", (2**40,), "f8")


def _huge_chunk(file: h5py.File, outside: Path) -> None:
    file.create_dataset("x", (2**27,), "f8", chunks=(2**27,), compression="gzip")


def _reference_values(file: h5py.File, outside: Path) -> None:
    file.create_dataset("x", data=[file.ref, file.ref], dtype=h5py.ref_dtype)


def _compound(file: h5py.File, outside: Path) -> None:
    file.create_dataset("x", (2,), np.dtype([("a", "i4")]))


def _ragged(file: h5py.File, outside: Path) -> None:
    file.create_dataset("x", (2,), h5py.vlen_dtype(np.int32))


def _type(file: h5py.File, outside: Path) -> None:
    file["x"] = np.dtype("f8")


def _empty(file: h5py.File, outside: Path) -> None:
    file["x"] = h5py.Empty("f8")


def _attribute(file: h5py.File, outside: Path) -> None:
    file.attrs.create("x", file.ref, dtype=h5py.ref_dtype)


def _dimensions(kind: Any) -> Change:
    def change(file: h5py.File, outside: Path) -> None:
        values = file["fc1/E/current_exc"]
        del values.attrs["DIMENSION_LIST"]
        if kind in ("number", "text"):
            values.attrs["DIMENSION_LIST"] = 5 if kind == "number" else "x"
            return
        region, number = kind == "region", kind == "numbers"
        dtype = h5py.regionref_dtype if region else np.int64 if number else h5py.ref_dtype
        targets: dict[str, list[Any]] = {
            "region": [values.regionref[()]],
            "numbers": [1],
            "null": [h5py.Reference()],
            "group": [file["fc1"].ref],
            "none": [],
            "two": [file["fc1/E/sample"].ref] * 2,
            "short": [file["fc1/E/time"].ref],
        }
        lists = np.empty(3, object)
        lists[:] = [np.array(targets[kind], dtype=dtype)] * 3
        values.attrs.create("DIMENSION_LIST", lists, dtype=h5py.vlen_dtype(dtype))

    return change


CHANGES: dict[str, Change] = {
    **{change.__name__: change for change in (_external_link, _soft_link, _circle, _external_storage, _virtual)},
    **{change.__name__: change for change in (_plugin, _never_written, _never_written_plain, _huge_chunk)},
    **{change.__name__: change for change in (_reference_values, _compound, _ragged, _type, _empty, _attribute)},
    **{
        f"dimensions {kind}": _dimensions(kind)
        for kind in ("number", "text", "region", "numbers", "null", "group", "none", "two", "short")
    },
    "deleted dimension": lambda file, outside: _drop(file, "sample"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_harmful_files_are_refused(sound: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside.h5"
    with h5py.File(outside, "w") as file:
        file["secret"] = np.ones(4)
    with h5py.File(sound, "r+") as file:
        CHANGES[name](file, outside)
    for reader in (open_hdf5, open_netcdf):
        with pytest.raises(StoreError) as told, reader(sound):
            pass
        assert str(sound) == told.value.where
    with pytest.raises(StoreError):
        load_netcdf(sound)


def test_a_whole_file_is_worth_what_it_holds(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.nc", "w") as file:
        file.create_dataset("x", data=np.zeros(2**24), compression="gzip", chunks=(2**20,))
    assert os.path.getsize(tmp_path / "x.nc") < 2**20
    with pytest.raises(StoreError):
        load_netcdf(tmp_path / "x.nc")


def test_a_file_that_changes_is_checked_again(sound: Path, tmp_path: Path) -> None:
    with open_hdf5(sound):
        pass
    with h5py.File(sound, "r+") as file:
        _soft_link(file, tmp_path)
    with pytest.raises(StoreError), open_hdf5(sound):
        pass
