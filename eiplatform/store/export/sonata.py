"""SONATA: spikes and reports, as simulators of circuits write them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.files import atomic_directory, write_json
from eiplatform.store.blocks import BLOCK_BYTES, require_space, row_blocks
from eiplatform.store.export.selection import select
from eiplatform.store.export.timeline import Timeline, common_timeline, has_spikes, spikes_by_sample
from eiplatform.store.guarded import guarded
from eiplatform.store.reader import open_recording, read_manifest
from eiplatform.store.schema import SIGNALS

__all__ = ["export_sonata"]

_SORTING = {"none": 0, "by_id": 1, "by_time": 2}
_MAGIC, _VERSION = 0x0A7A, (0, 1)


def export_sonata(
    path: str | Path,
    out: str | Path,
    *,
    ms_per_step: float | None = None,
    populations: Iterable[str] | None = None,
    signals: Iterable[str] | None = None,
    samples: Iterable[int] | None = None,
    partial: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a recording as SONATA files in one directory; memory does not grow with the recording.

    ``spikes.h5`` holds ``/spikes/<population>/{timestamps,node_ids}`` sorted by time;
    ``<signal>_report.h5`` holds ``/report/<population>/data`` (time, neuron) with its mapping;
    ``samples.json`` says where each sample lies on the common time axis, and where it came from.
    In names of populations ``/`` becomes ``_``.

    Parameters
    ----------
    path : str or Path
        A recording.
    out : str or Path
        Directory.
    ms_per_step : float, optional
        For recordings in steps: what a step is taken to last.  Nothing is assumed.
    populations, signals, samples
        Which part, as in :func:`eiplatform.to_frame`.
    partial : bool
        Passed to :func:`eiplatform.open`.
    overwrite : bool
        Delete an earlier result of eiplatform in that directory.

    Returns
    -------
    Path

    Raises
    ------
    ConfigError
        If a recording in steps comes without `ms_per_step`.
    StoreError
        If spikes of some steps are unknown, or intervals leave gaps that a report cannot show.
    """
    out = Path(out)
    manifest = read_manifest(path)
    tree = open_recording(path, partial=partial)
    parts = select(tree, populations=populations, signals=signals, samples=samples)
    timeline = common_timeline(parts, ms_per_step)
    names = {name: re.sub(r"/", "_", name) for name in parts}
    if len(set(names.values())) < len(names):
        raise StoreError("two populations have one name in SONATA", where=", ".join(names))
    reports = [key for key in SIGNALS if key != "spikes" and any(key in data for data in parts.values())]
    if reports:
        timeline.require_gapless("SONATA reports are regular in time")
    require_space(out.parent, sum(data.nbytes for data in parts.values()))
    with atomic_directory(out, overwrite=overwrite) as directory:
        if any(map(has_spikes, parts.values())):
            with guarded(directory / "spikes.h5") as held, h5py.File(held, "w") as file:
                _sign(file)
                for name, data in parts.items():
                    if has_spikes(data):
                        _write_spikes(file, names[name], name, data, timeline)
        for key in reports:
            with guarded(directory / f"{key}_report.h5") as held, h5py.File(held, "w") as file:
                _sign(file)
                for name, data in parts.items():
                    if key in data:
                        _write_report(file, names[name], data[key], timeline)
        samples_of = next(iter(parts.values()))
        coords = {str(key): v.values.tolist() for key, v in samples_of.coords.items() if v.dims == ("sample",)}
        write_json(
            directory / "samples.json",
            {
                "recording_id": manifest["id"],
                "complete": tree.attrs["complete"],
                "source": json.loads(json.dumps(manifest["source"])),
                "populations": {names[name]: name for name in names},
                "ms_per_step": ms_per_step,
                "start_ms": timeline.starts.tolist(),
                "length_ms": timeline.length,
                **coords,
            },
        )
    return out


def _sign(file: h5py.File) -> None:
    file.attrs["magic"] = np.uint32(_MAGIC)
    file.attrs["version"] = np.array(_VERSION, np.uint32)


def _write_spikes(file: h5py.File, target: str, name: str, data: xr.Dataset, timeline: Timeline) -> None:
    """Append the spikes of one sample after the other; the samples ascend in time, so all do."""
    group = file.create_group(f"spikes/{target}")
    group.attrs.create("sorting", _SORTING["by_time"], dtype=h5py.enum_dtype(_SORTING, basetype="u1"))
    times = group.create_dataset("timestamps", (0,), "f8", maxshape=(None,), chunks=(65536,))
    nodes = group.create_dataset("node_ids", (0,), "u8", maxshape=(None,), chunks=(65536,))
    times.attrs["units"] = "ms"
    held: list[tuple[np.ndarray, np.ndarray]] = []

    def flush() -> None:
        end = len(times) + sum(len(time) for time, _ in held)
        for dataset, column in ((times, 0), (nodes, 1)):
            start = len(dataset)
            dataset.resize((end,))
            if end > start:
                dataset[start:] = np.concatenate([pair[column] for pair in held])
        held.clear()

    for time, node in spikes_by_sample(name, data, timeline):
        order = np.lexsort((node, time))
        held.append((time[order], node[order].astype(np.uint64)))
        if sum(part.nbytes for part, _ in held) > BLOCK_BYTES:
            flush()
    flush()


def _write_report(file: h5py.File, target: str, signal: xr.DataArray, timeline: Timeline) -> None:
    """Write one signal of one population, (sample x time, neuron)."""
    n_samples, n_time, n_neurons = signal.shape
    group = file.create_group(f"report/{target}")
    data = group.create_dataset("data", (n_samples * n_time, n_neurons), "f4")
    data.attrs["units"] = str(signal.attrs.get("units", "1"))
    for block in row_blocks(signal.shape, signal.dtype.itemsize):
        values = signal[block].values
        data[block.start * n_time : block.stop * n_time] = values.reshape(-1, n_neurons)
    mapping = group.create_group("mapping")
    mapping["node_ids"] = signal["neuron"].values.astype(np.uint64)
    mapping["index_pointers"] = np.arange(n_neurons + 1, dtype=np.uint64)
    mapping["element_ids"] = np.zeros(n_neurons, np.uint32)
    mapping["time"] = np.array([0.0, n_samples * n_time * timeline.dt, timeline.dt])
    mapping["time"].attrs["units"] = "ms"
    sorted_ids = bool((np.diff(signal["neuron"].values) > 0).all())
    mapping["node_ids"].attrs["sorted"] = np.uint8(sorted_ids)
