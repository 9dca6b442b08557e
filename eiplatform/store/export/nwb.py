"""NWB: spikes as units, signals as time series, samples as trials."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.files import atomic_write, claim_file
from eiplatform.memory import available_memory
from eiplatform.store.blocks import BLOCK_BYTES, require_space
from eiplatform.store.export.selection import select
from eiplatform.store.export.timeline import (
    Timeline,
    common_timeline,
    has_spikes,
    spike_count,
    spikes_by_sample,
)
from eiplatform.store.guarded import guarded
from eiplatform.store.optional import need
from eiplatform.store.reader import open_recording, read_manifest
from eiplatform.store.schema import PARAMETERS, SIGNALS

__all__ = ["SI_UNITS", "export_nwb"]

SI_UNITS = {
    "V": ("volts", 1.0),
    "mV": ("volts", 1e-3),
    "A": ("amperes", 1.0),
    "nA": ("amperes", 1e-9),
    "pA": ("amperes", 1e-12),
    "S": ("siemens", 1.0),
    "nS": ("siemens", 1e-9),
    "1": ("1", 1.0),
}
"""The SI unit of a recording's unit, and the factor that takes the stored numbers to it."""

_SPIKE_BYTES = 40  # a time and a neuron, their order, and the sorted copy


def export_nwb(
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
    """Write a recording as an NWB file.

    Samples follow one another on NWB's one time axis; the table ``trials`` says where each begins.
    A row of ``units`` is a neuron whose spikes were recorded; the module ``signals`` holds a
    TimeSeries (time, neuron) per population and signal, in the recording's numbers with the
    factor to SI units, and a table of each population's neurons.  Signals are streamed.

    Parameters
    ----------
    path : str or Path
        A recording.
    out : str or Path
        File, ``*.nwb``.
    ms_per_step : float, optional
        For recordings in steps: what a step is taken to last.  Nothing is assumed.
    populations, signals, samples
        Which part, as in :func:`eiplatform.to_frame`.
    partial : bool
        Passed to :func:`eiplatform.open`.
    overwrite : bool
        Replace an earlier file.

    Returns
    -------
    Path

    Raises
    ------
    MissingDependencyError
        If pynwb is not installed.
    ConfigError
        If a recording in steps comes without `ms_per_step`.
    StoreError
        If spikes of some steps are unknown, or do not fit into memory.
    """
    pynwb = need("pynwb", "NWB export")
    out = claim_file(Path(out), overwrite=overwrite)
    manifest = read_manifest(path)
    tree = open_recording(path, partial=partial)
    parts = select(tree, populations=populations, signals=signals, samples=samples)
    timeline = common_timeline(parts, ms_per_step)
    require_space(out.parent, sum(data.nbytes for data in parts.values()))

    about = {key: manifest[key] for key in ("id", "schema_version", "source", "config")}
    assumed = "" if ms_per_step is None else f" One step is taken to last {ms_per_step:g} ms, as the user said."
    source = manifest["source"]
    file = pynwb.NWBFile(
        session_description=f"{source['kind']} '{source.get('label', source.get('name', ''))}', recorded by "
        f"eiplatform.{assumed} Samples follow one another without pause; see trials.",
        identifier=manifest["id"],
        session_start_time=datetime.fromisoformat(manifest["provenance"]["created"]),
        notes=json.dumps(about | {"complete": tree.attrs["complete"], "ms_per_step": ms_per_step}),
        data_collection=manifest["provenance"]["command"],
        keywords=["simulation", "excitation-inhibition balance"],
    )
    _add_trials(file, timeline, next(iter(parts.values())))
    _add_units(file, parts, timeline)
    module = file.create_processing_module("signals", "currents, gain and voltage of the recorded neurons")
    for name, data in parts.items():
        _add_neurons(module, name, data)
        for key in (key for key in data.data_vars if key in SIGNALS and key != "spikes"):
            module.add(_series(name, str(key), data, timeline))

    def write(temporary: Path) -> None:
        with guarded(temporary) as held, h5py.File(held, "w") as handle, pynwb.NWBHDF5IO(file=handle, mode="w") as io:
            io.write(file)

    out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(out, write)
    return out


def _plain(name: str) -> str:
    """Return a name that NWB allows: ``fc1/E`` becomes ``fc1_E``."""
    return re.sub(r"[/:]", "_", name)


def _add_trials(file: Any, timeline: Timeline, data: xr.Dataset) -> None:
    """Say where each sample lies, with its id and its coordinates (label)."""
    coords = {
        str(key): values.values for key, values in data.coords.items() if values.dims == ("sample",) and key != "sample"
    }
    file.add_trial_column("sample", "id of the sample (image or trial)")
    for key in coords:
        file.add_trial_column(key, f"{key} of the sample")
    for index, (sample, start) in enumerate(zip(timeline.samples, timeline.starts / 1000.0, strict=True)):
        own = {key: values[index] for key, values in coords.items()}
        file.add_trial(start_time=start, stop_time=start + timeline.length / 1000.0, sample=sample, **own)


def _add_units(file: Any, parts: Mapping[str, xr.Dataset], timeline: Timeline) -> None:
    """Make one unit per neuron whose spikes are known, silent ones too."""
    spiking = {name: data for name, data in parts.items() if has_spikes(data)}
    if not spiking:
        return
    needed, available = _SPIKE_BYTES * sum(map(spike_count, spiking.values())), available_memory()
    if needed > available:
        raise StoreError(
            f"sorting the spikes by neuron takes up to {needed / 2**30:.1f} GiB, {available / 2**30:.1f} are free",
            remedy="export fewer populations or samples, or SONATA, which keeps spikes in the order of time",
        )
    from hdmf.common import VectorData, VectorIndex
    from pynwb.misc import Units

    times: list[np.ndarray] = []
    ends: list[np.ndarray] = []
    neurons: list[np.ndarray] = []
    names: list[str] = []
    roles: list[str] = []
    for name, data in spiking.items():
        found = list(spikes_by_sample(name, data, timeline))
        time, neuron = (np.concatenate([pair[axis] for pair in found]) for axis in (0, 1))
        order = np.argsort(neuron, kind="stable")  # times ascend already
        times.append(time[order] / 1000.0)
        ids = data["neuron"].values if "spikes" in data else np.arange(data.attrs["n_neurons"])
        ends.append(sum(map(len, times[:-1])) + np.searchsorted(neuron[order], ids, side="right"))
        neurons.append(ids)
        names += [name] * len(ids)
        roles += [data.attrs["role"]] * len(ids)
    spike_times = VectorData(name="spike_times", description="spike times in seconds", data=np.concatenate(times))
    columns = [
        spike_times,
        VectorIndex(name="spike_times_index", target=spike_times, data=np.concatenate(ends)),
        VectorData(name="population", description="population, e.g. fc1/E", data=names),
        VectorData(name="role", description="E or I", data=roles),
        VectorData(name="neuron", description="index within the population", data=np.concatenate(neurons)),
    ]
    file.units = Units(name="units", description="neurons whose spikes were recorded", columns=columns)


def _add_neurons(module: Any, name: str, data: xr.Dataset) -> None:
    """Store what is known of the recorded neurons: index, place, parameters."""
    from hdmf.common import DynamicTable, VectorData

    columns = {"neuron": data["neuron"]}
    columns |= {str(key): value for key, value in data.coords.items() if value.dims == ("neuron",)}
    columns |= {str(key): value for key, value in data.data_vars.items() if key in PARAMETERS}
    held = [
        VectorData(
            name=key,
            description=f"{value.attrs.get('long_name', key)} ({value.attrs.get('units', '1')})",
            data=value.values,
        )
        for key, value in columns.items()
    ]
    description = (
        f"recorded neurons of population {name} ({data.attrs['n_neurons']} in all), as in the columns of its signals"
    )
    module.add(DynamicTable(name=f"{_plain(name)}_neurons", description=description, columns=held))


def _series(name: str, key: str, data: xr.Dataset, timeline: Timeline) -> Any:
    """Return one signal of one population as a TimeSeries that is read while it is written."""
    from pynwb import TimeSeries

    signal = data[key]
    units = str(signal.attrs.get("units", "1"))
    unit, conversion = SI_UNITS.get(units, (units, 1.0))  # an unknown unit stays as it is
    if timeline.gapless:
        when: dict[str, Any] = {"starting_time": 0.0, "rate": 1000.0 / timeline.dt}
    else:
        within = np.arange(timeline.n_time) * timeline.dt
        when = {"timestamps": (timeline.starts[:, None] + within).ravel() / 1000.0}
    return TimeSeries(
        name=f"{_plain(name)}_{key}",
        description=f"{SIGNALS[key].long_name} of population {name}; axes: time, recorded neuron",
        comments=f"stored in {units}, mean over each interval of {timeline.dt:g} ms; neurons in {_plain(name)}_neurons",
        data=_streamed(signal),
        unit=unit,
        conversion=conversion,
        **when,
    )


def _streamed(signal: xr.DataArray) -> Any:
    """Return (sample, time, neuron) as rows of (sample x time, neuron) in pieces of bounded size."""
    from hdmf.data_utils import GenericDataChunkIterator

    n_samples, n_time, n_neurons = signal.shape

    class Rows(GenericDataChunkIterator):  # type: ignore[misc]
        def _get_data(self, selection: tuple[slice, ...]) -> np.ndarray:
            rows, columns = selection
            first, last = rows.start // n_time, -(-rows.stop // n_time)
            values = signal[first:last, :, columns].values
            flat = values.reshape(-1, values.shape[-1])
            return flat[rows.start - first * n_time : rows.stop - first * n_time]

        def _get_maxshape(self) -> tuple[int, ...]:
            return n_samples * n_time, n_neurons

        def _get_dtype(self) -> np.dtype[Any]:
            return signal.dtype

    return Rows(buffer_gb=BLOCK_BYTES / 1e9)
