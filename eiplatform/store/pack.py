"""A recording as one HDF5 file, and back.

A packed recording holds every population once, its shards joined along ``sample`` (events
along ``spike``), with the names, units and dimension scales of the shards, the manifest as a
JSON string, and a SHA-256 of every variable.  Nothing is decoded on the way.  What was reduced
while it was recorded has the state of every shard, along a first dimension ``shard``; it is merged
when the file is opened, as that of the shards is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np

from eiplatform.errors import StoreError
from eiplatform.files import atomic_directory, atomic_write, check_directory, claim_file, write_json
from eiplatform.store.assemble import SHARD, populations_in
from eiplatform.store.blocks import require_space, slabs
from eiplatform.store.forms import form_of, lengths_in
from eiplatform.store.guarded import guarded
from eiplatform.store.hdf5 import open_netcdf
from eiplatform.store.packed import MANIFEST, changed_variables, described, update_digest
from eiplatform.store.reader import read_manifest
from eiplatform.store.reduced import MERGED
from eiplatform.store.shards import checksum_of
from eiplatform.untrusted import inside, reading

__all__ = ["pack", "unpack"]

Progress = Callable[[int, int, str], None]
GROWING = ("sample", "spike")
"""Dimensions along which shards continue one another."""


def pack(path: str | Path, out: str | Path, *, overwrite: bool = False, progress: Progress | None = None) -> Path:
    """Write a complete recording as one HDF5 file; memory does not grow with the recording.

    Parameters
    ----------
    path : str or Path
        Recording directory.
    out : str or Path
        File to write, e.g. ``recording.h5``; appears only when it is complete.
    overwrite : bool
        Replace an earlier file.
    progress : callable, optional
        Called with (shards done, shards in all, message).

    Returns
    -------
    Path
        `out`; :func:`eiplatform.open` opens it.

    Raises
    ------
    StoreError
        If the recording is incomplete or a shard is damaged.
    OutputExistsError
        If `out` is taken.
    """
    path, out = Path(path), claim_file(Path(out), overwrite=overwrite)
    manifest = read_manifest(path)
    if "packed" in manifest:
        raise StoreError("packed already", where=str(path), remedy="copy the file")
    if "zarr" in manifest:
        raise StoreError("a Zarr store, not shards", where=str(path), remedy="pack the recording it was made from")
    told = [f"shard {file} is {problem}" for file, problem in form_of(path, manifest).problems().items()]
    if manifest["status"] != "complete":
        told.append("the recording was interrupted")
    if not manifest["shards"]:
        told.append("it has no shards")
    if told:
        raise StoreError(f"cannot be packed: {'; '.join(told)}", where=str(path), remedy="record it again")
    require_space(out.parent, sum(shard["bytes"] for shard in manifest["shards"]))
    out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(out, lambda temporary: _join(path, manifest, temporary, progress))
    return out


def _join(path: Path, manifest: dict[str, Any], target: Path, progress: Progress | None) -> None:
    """Copy all shards into `target`, which is complete and closed on return."""
    files = [inside(path / "shards", shard["file"], where=path) for shard in manifest["shards"]]
    populations = populations_in(files[0])
    lengths = [lengths_in(file, populations) for file in files]
    totals = {name: {dim: sum(part[name][dim] for part in lengths) for dim in lengths[0][name]} for name in populations}
    digests: dict[str, dict[str, Any]] = {name: {} for name in populations}
    attrs: list[dict[str, Any]] = []
    with guarded(target) as held, h5netcdf.File(held, "w") as whole:
        offsets = {name: dict.fromkeys(totals[name], 0) for name in populations}
        for index, file in enumerate(files):
            if checksum_of(file) != manifest["shards"][index]["checksum"]:
                raise StoreError(
                    f"cannot be packed: shard {file.name} has changed since it was written (checksum)",
                    where=str(path),
                    remedy="record it again",
                )
            with open_netcdf(file) as shard, reading(file, what="cannot be packed: damaged"):
                attrs.append({key: np.asarray(value).tolist() for key, value in shard.attrs.items()})
                for name in populations:
                    if index == 0:
                        digests[name] = _create(whole, shard[name], name, totals[name], len(files))
                    _append(whole[name], shard[name], offsets[name], digests[name], index)
                    for dim, length in lengths[index][name].items():
                        offsets[name][dim] += length
            held.check()
            if progress:
                progress(index + 1, len(files), "packing")
        packed = {
            "shards": [{"lengths": part, "attrs": own} for part, own in zip(lengths, attrs, strict=True)],
            "checksums": {
                name: {key: digest.hexdigest() for key, digest in own.items()} for name, own in digests.items()
            },
        }
        with reading(path, what="cannot be packed: the manifest, or an attribute of a shard, is damaged"):
            text = json.dumps({**manifest, "packed": packed}, allow_nan=False)
        whole.create_variable(f"/{MANIFEST}", (), dtype=h5py.string_dtype(), data=np.array(text, dtype=object))
        whole.attrs["manifest_sha256"] = hashlib.sha256(text.encode()).hexdigest()
        whole.attrs["populations"] = populations
        for key in ("format", "schema_version", "recording_id"):
            whole.attrs[key] = attrs[0][key]


def _create(
    whole: h5netcdf.File, shard: h5netcdf.Group, name: str, totals: dict[str, int], n_shards: int | None = None
) -> dict[str, Any]:
    """Lay out one population; return a running checksum per variable.

    States of reductions have a first dimension for `n_shards`; None: a single shard is laid out.
    """
    group = whole.create_group(name)
    for key, value in shard.attrs.items():
        group.attrs[key] = value
    sizes = {dim: totals.get(dim, int(held.size)) for dim, held in shard.dimensions.items() if dim != SHARD}
    reduced = set(MERGED).intersection(shard.variables) if "n" in shard.variables else set()
    if n_shards is not None and reduced:
        sizes[SHARD] = n_shards
    group.dimensions = sizes
    digests = {}
    for key, variable in shard.variables.items():
        attrs = dict(variable.attrs)
        dims = tuple(dim for dim in variable.dimensions if dim != SHARD)
        if n_shards is not None and key in reduced:
            dims = (SHARD, *dims)
        shape = tuple(int(group.dimensions[dim].size) for dim in dims)
        options: dict[str, Any] = {}
        if variable.chunks is not None:
            chunks = tuple(max(1, min(chunk, size)) for chunk, size in zip(variable.chunks, shape, strict=True))
            options = {"chunks": chunks, "shuffle": variable.shuffle}
            if variable.compression:
                options |= {"compression": variable.compression, "compression_opts": variable.compression_opts}
        dtype = h5py.string_dtype() if variable.dtype is str else variable.dtype
        copy = group.create_variable(key, dims, dtype=dtype, fillvalue=attrs.pop("_FillValue", None), **options)
        for attr, value in attrs.items():
            copy.attrs[attr] = value
        digests[key] = hashlib.sha256(json.dumps(described(copy)).encode())
    return digests


def _append(
    group: h5netcdf.Group, shard: h5netcdf.Group, offsets: dict[str, int], digests: dict[str, Any], index: int
) -> None:
    """Copy the values of one shard's population behind those of the earlier shards."""
    for key, variable in shard.variables.items():
        if SHARD in group[key].dimensions:
            values = np.asarray(variable[...])
            group[key][index] = values
            update_digest(digests[key], values)
            continue
        grows = variable.dimensions[:1] and variable.dimensions[0] in GROWING
        if not grows and index:
            if not np.array_equal(variable[...], group[key][...]):
                raise StoreError(
                    f"'{key}' differs between shards, so they cannot be joined", where=f"population '{group.name}'"
                )
            continue
        start = offsets[variable.dimensions[0]] if grows else 0
        for block, values in _pieces(variable, 0, variable.shape[0] if variable.shape else 0):
            group[key][(_moved(block[0], start), *block[1:]) if block else ...] = values
            update_digest(digests[key], values)


def _pieces(variable: h5netcdf.Variable, start: int, stop: int) -> Iterator[tuple[Any, np.ndarray]]:
    """Yield (index relative to `start`, values) of the rows from `start` to `stop`."""
    if not variable.shape:
        yield (), np.asarray(variable[...])
        return
    itemsize = 64 if variable.dtype is str else np.dtype(variable.dtype).itemsize
    for rows, *rest in slabs((stop - start, *variable.shape[1:]), itemsize):
        yield (rows, *rest), np.asarray(variable[(_moved(rows, start), *rest)])


def _moved(rows: slice, by: int) -> slice:
    return slice(rows.start + by, rows.stop + by)


def unpack(path: str | Path, out: str | Path, *, overwrite: bool = False, progress: Progress | None = None) -> Path:
    """Write a packed recording as the directory of shards that it was made from.

    Parameters
    ----------
    path : str or Path
        File made by :func:`pack`.
    out : str or Path
        Recording directory to write.
    overwrite : bool
        Delete an earlier result of eiplatform there.
    progress : callable, optional
        Called with (shards done, shards in all, message).

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    StoreError
        If this is not a packed recording, or it fails its checksums.
    OutputExistsError
        If `out` is taken.
    """
    path, out = Path(path), Path(out)
    check_directory(out, overwrite=overwrite)
    manifest = read_manifest(path)
    packed = manifest.pop("packed", None)
    if packed is None:
        raise StoreError("not packed", where=str(path), valid="a file made by 'eiplatform pack'")
    if changed := changed_variables(path, {"packed": packed}):
        raise StoreError(
            f"{', '.join(changed)} changed since the file was written (checksum)",
            where=str(path),
            remedy="copy the file again, or pack the recording again",
        )
    require_space(out.parent, path.stat().st_size)
    with atomic_directory(out, overwrite=overwrite) as directory, open_netcdf(path) as whole:
        (directory / "shards").mkdir()
        offsets = {name: dict.fromkeys(own, 0) for name, own in packed["shards"][0]["lengths"].items()}
        for index, (record, part) in enumerate(zip(manifest["shards"], packed["shards"], strict=True)):
            file = inside(directory / "shards", record["file"], where=path)
            with reading(path, what="cannot be unpacked: damaged"):
                _split(whole, file, part, offsets, index)
            record |= {"bytes": file.stat().st_size, "checksum": checksum_of(file)}
            write_json(file.with_suffix(".json"), {"recording_id": manifest["id"], **record})
            for name, own in part["lengths"].items():
                for dim, length in own.items():
                    offsets[name][dim] += length
            if progress:
                progress(index + 1, len(packed["shards"]), "unpacking")
        manifest["bytes"] = sum(record["bytes"] for record in manifest["shards"])
        write_json(directory / "manifest.json", manifest)
    return out


def _split(
    whole: h5netcdf.File, target: Path, part: dict[str, Any], offsets: dict[str, dict[str, int]], index: int
) -> None:
    """Write one shard from the rows of the packed file that belong to it."""
    with guarded(target) as held, h5netcdf.File(held, "w") as shard:
        for key, value in part["attrs"].items():
            shard.attrs[key] = value
        for name, lengths in part["lengths"].items():
            source = whole[name]
            _create(shard, source, name, lengths)
            for key, variable in source.variables.items():
                if SHARD in variable.dimensions:
                    shard[name][key][...] = variable[index]
                    continue
                dim = variable.dimensions[0] if variable.dimensions else ""
                start = offsets[name].get(dim, 0)
                length = lengths.get(dim, variable.shape[0] if variable.shape else 0)
                for block, values in _pieces(variable, start, start + length):
                    shard[name][key][block or ...] = values
