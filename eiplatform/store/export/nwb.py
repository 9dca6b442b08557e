"""NWB: spikes as units, signals as time series, samples as trials."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import numpy as np
import xarray as xr

from eiplatform.errors import ConfigError, choose
from eiplatform.files import atomic_write, claim_file
from eiplatform.store.blocks import BLOCK_BYTES, require_space
from eiplatform.store.export.selection import opened, select
from eiplatform.store.export.timeline import (
    Timeline,
    common_timeline,
    has_spikes,
    recorded_signals,
    sample_coords,
    spike_trains,
)
from eiplatform.store.guarded import guarded
from eiplatform.store.optional import need
from eiplatform.store.reader import read_manifest
from eiplatform.store.schema import PARAMETERS, SCHEMA_VERSION, SIGNALS
from eiplatform.store.units import SI_UNITS

__all__ = ["POPULATIONS", "to_nwb"]

POPULATIONS = "populations"
"""Key of the notes under which reading back finds what NWB has no place for."""
_SUBJECT = {
    "subject_id": "none (simulation)",
    "description": "No animal: a simulated network. Age and sex are formal entries that archives ask for.",
    "age": "P0D",
    "sex": "U",
}
"""What is said of the subject of a simulation."""
_ABOUT = (
    "experimenter institution lab experiment_description session_id keywords related_publications protocol "
    "pharmacology surgery subject".split()
)
"""Fields of an NWB file that a user may fill in."""


def to_nwb(
    source: str | Path | xr.DataTree,
    out: str | Path,
    *,
    ms_per_step: float | None = None,
    populations: Iterable[str] | None = None,
    signals: Iterable[str] | None = None,
    samples: Iterable[int] | None = None,
    about: Mapping[str, Any] | None = None,
    partial: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a recording as an NWB file; :func:`eiplatform.read_nwb` reads it back.

    Samples follow one another on NWB's one time axis; the table ``trials`` says where each begins.
    A row of ``units`` is a neuron whose spikes were recorded; the module ``signals`` holds a
    TimeSeries (time, neuron) per population and signal, in the recording's numbers with the
    factor to SI units, and a table of each population's neurons.  Signals are streamed.

    Parameters
    ----------
    source : str, Path or xarray.DataTree
        A recording, or a population of it.
    out : str or Path
        File, ``*.nwb``.
    ms_per_step : float, optional
        For recordings in steps: what a step is taken to last.  Nothing is assumed.
    populations, signals, samples
        Which part, as in :func:`eiplatform.to_frame`.
    about : mapping, optional
        What NWB files say besides: ``experimenter``, ``institution``, ``lab``, ``session_id``, ...; ``subject`` is a
        mapping of ``subject_id``, ``species``, ``age``, ``sex``, ...  Without one, simulations say that no animal was
        involved, and measurements say nothing, which archives such as DANDI do not accept.
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
    UnknownNameError
        If `about` has a field that NWB does not know.
    StoreError
        If spikes of some steps are unknown, or do not fit into memory.

    Examples
    --------
    >>> import eiplatform as ei, numpy as np, pathlib, tempfile
    >>> rec = ei.from_arrays(np.ones((2, 30, 4)), np.ones((2, 30, 4)), dt=0.5, units="pA")
    >>> mouse = {"subject_id": "m1", "species": "Mus musculus", "age": "P60D", "sex": "F"}
    >>> file = ei.to_nwb(rec, pathlib.Path(tempfile.mkdtemp()) / "clamp.nwb", about={"subject": mouse})
    >>> ei.read_nwb(file)["E"].ds["current_inh"].dims
    ('sample', 'time', 'neuron')
    """
    pynwb = need("pynwb", "NWB export")
    out = claim_file(Path(out), overwrite=overwrite)
    tree = opened(source, partial=partial)
    fields = _fields(pynwb, about or {}, tree.root.attrs.get("source", {}))
    parts = select(tree, populations=populations, signals=signals, samples=samples)
    timeline = common_timeline(parts, ms_per_step)
    require_space(out.parent, sum(data.nbytes for data in parts.values()))
    file = pynwb.NWBFile(**_session(source, tree.root, parts, ms_per_step), **fields)
    _add_trials(file, timeline, next(iter(parts.values())))
    _add_units(file, parts, timeline)
    module = file.create_processing_module("signals", "currents, gain and voltage of the recorded neurons")
    for name, data in parts.items():
        _add_neurons(module, name, data)
        for key in recorded_signals(data):
            module.add(_series(name, key, data, timeline))

    def write(temporary: Path) -> None:
        with guarded(temporary) as held, h5py.File(held, "w") as handle, pynwb.NWBHDF5IO(file=handle, mode="w") as io:
            io.write(file)

    out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(out, write)
    return out


def _fields(pynwb: Any, about: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that the user fills in, and what is said of a simulation's subject."""
    given = {choose(key, _ABOUT, "field of an NWB file", where="about"): value for key, value in about.items()}
    subject = given.pop("subject", None if source.get("kind") == "measured" else _SUBJECT)
    if subject is not None:
        if not isinstance(subject, Mapping):
            raise ConfigError("is not a mapping", where="about: subject", valid="{'subject_id': ..., 'species': ...}")
        known = [argument["name"] for argument in pynwb.file.Subject.__init__.__docval__["args"]]
        checked = {choose(key, known, "field of a subject", where="about: subject"): subject[key] for key in subject}
        given["subject"] = pynwb.file.Subject(**checked)
    given.setdefault("keywords", ["simulation", "excitation-inhibition balance"][source.get("kind") == "measured" :])
    given.setdefault(
        "experiment_description", f"excitation and inhibition of a {source.get('kind', 'recording')}; see notes"
    )
    return given


def _session(
    given: str | Path | xr.DataTree, tree: xr.DataTree, parts: Mapping[str, xr.Dataset], ms_per_step: float | None
) -> dict[str, Any]:
    """Return what the file says of where it comes from; ``notes`` hold all that reading it back needs."""
    held = read_manifest(given) if isinstance(given, str | Path) else {}
    made = held.get("provenance", {"created": datetime.now(UTC).isoformat(), "command": "Python"})
    source = dict(tree.attrs.get("source", {"kind": "measured", "name": "recording"}))
    assumed = "" if ms_per_step is None else f" One step is taken to last {ms_per_step:g} ms, as the user said."
    notes = {
        "id": tree.attrs.get("id", ""),
        "schema_version": tree.attrs.get("schema_version", SCHEMA_VERSION),
        "source": source,
        "config": dict(tree.attrs.get("config", {})),
        "complete": tree.attrs.get("complete", True),
        "ms_per_step": ms_per_step,
        POPULATIONS: {name: _described(data) for name, data in parts.items()},
    }
    return {
        "session_description": f"{source['kind']} '{source.get('label', source.get('name', ''))}', recorded by "
        f"eiplatform.{assumed} Samples follow one another without pause; see trials.",
        "identifier": tree.attrs.get("id") or uuid4().hex,
        "session_start_time": datetime.fromisoformat(made["created"]),
        "notes": json.dumps(notes),
        "data_collection": made["command"],
    }


def _described(data: xr.Dataset) -> dict[str, Any]:
    """Return what NWB has no place for: attributes, the first instant, how spikes were kept, units."""
    dense = "spikes" in data
    return {
        "attrs": {key: np.asarray(value).item() for key, value in data.attrs.items() if np.ndim(value) == 0},
        "origin": data["time"].values[0].item() if data.sizes["time"] else 0,
        "spikes": str(data["spikes"].dtype) if dense else "events" if has_spikes(data) else "",
        "units": {str(key): str(one.attrs["units"]) for key, one in data.data_vars.items() if "units" in one.attrs},
    }


def _plain(name: str) -> str:
    """Return a name that NWB allows: ``fc1/E`` becomes ``fc1_E``."""
    return re.sub(r"[/:]", "_", name)


def _add_trials(file: Any, timeline: Timeline, data: xr.Dataset) -> None:
    """Say where each sample lies, with its id and its coordinates (label)."""
    coords = sample_coords(data)
    file.add_trial_column("sample", "id of the sample (image or trial)")
    for key in coords:
        file.add_trial_column(key, f"{key} of the sample")
    for index, (sample, start) in enumerate(zip(timeline.samples, timeline.starts / 1000.0, strict=True)):
        own = {key: values[index] for key, values in coords.items()}
        file.add_trial(start_time=start, stop_time=start + timeline.length / 1000.0, sample=sample, **own)


def _add_units(file: Any, parts: Mapping[str, xr.Dataset], timeline: Timeline) -> None:
    """Make one unit per neuron whose spikes are known, silent ones too."""
    trains = list(spike_trains(parts, timeline))
    if not trains:
        return
    from hdmf.common import VectorData, VectorIndex
    from pynwb.misc import Units

    times = np.concatenate([train.times for train in trains]) / 1000.0
    spike_times = VectorData(name="spike_times", description="spike times in seconds", data=times)
    ends = np.cumsum([len(train.times) for train in trains])
    described = {"population": "population, e.g. fc1/E", "role": "E or I", "neuron": "index within the population"}
    columns = [
        VectorData(name=name, description=text, data=[getattr(train, name) for train in trains])
        for name, text in described.items()
    ]
    file.units = Units(
        name="units",
        description="neurons whose spikes were recorded",
        columns=[spike_times, VectorIndex(name="spike_times_index", target=spike_times, data=ends), *columns],
        resolution=_resolution([data for data in parts.values() if has_spikes(data)], timeline),
    )


def _resolution(spiking: Sequence[xr.Dataset], timeline: Timeline) -> float:
    """Return the least time between two spikes in s: that of the simulation, else that of the recorded intervals."""
    simulated = (json.loads(data.attrs.get("parameters", "{}")).get("dt_ms") for data in spiking)
    finest = [float(dt) for dt in simulated if dt] or [timeline.dt]
    return min(finest) / 1000.0


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
