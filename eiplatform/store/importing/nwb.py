"""Neurodata Without Borders files as recordings: sorted units, and voltage-clamp sweeps; read with h5py alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from eiplatform.errors import ConfigError, StoreError, choose
from eiplatform.store.importing.arrays import from_arrays
from eiplatform.store.importing.nwb_exported import exported_notes, read_exported
from eiplatform.store.importing.values import numbers
from eiplatform.store.memory_writer import check_room
from eiplatform.store.tree import Recording
from eiplatform.untrusted import reading

__all__ = ["read_nwb"]

EXCITATORY = ("E", "exc", "excitatory", "RS", "regular spiking", "pyramidal", "putative pyramidal")
INHIBITORY = ("I", "inh", "inhibitory", "FS", "fast spiking", "interneuron", "putative interneuron")
TOLERANCE_MV = 10.0
"""How far a holding potential may be from the one that is asked for."""

Windows = Sequence[tuple[float, float]]


def read_nwb(
    path: str | Path,
    what: Literal["units", "clamp", "recording"] | None = None,
    *,
    labels: str = "cell_type",
    exc: Iterable[str] = EXCITATORY,
    inh: Iterable[str] = INHIBITORY,
    windows: Windows | None = None,
    dt: float = 1.0,
    exc_at: float = -70.0,
    inh_at: float = 0.0,
    baseline: tuple[float, float] | None = None,
    clip: bool = False,
    **options: Any,
) -> Recording:
    """Read spikes of sorted units, voltage-clamp sweeps, or what :func:`eiplatform.to_nwb` wrote, from an NWB 2 file.

    Parameters
    ----------
    path : str or Path
        File on disk.  Of a remote file only ``units`` is needed: download that, or stream it to a local copy.
    what : {"units", "clamp", "recording"}, optional
        Default: the recording if eiplatform wrote the file, else units if the file has them, else clamp.
    labels : str
        Column of the table ``units`` that says which unit is excitatory or inhibitory.
    exc, inh : iterable of str
        Its values for either kind, compared without regard to case; units with other values are left out, and
        counted in the source of the recording.
    windows : sequence of (float, float), optional
        Start and stop of each sample in s, all equally long; default: one sample, over the valid time
        (``obs_intervals``), else from 0 to the last spike.  Rates are over these windows.
    dt : float
        Interval of the time axis in ms, for units.
    exc_at, inh_at : float
        Holding potentials in mV, at which excitation (the reversal potential of inhibition) and inhibition (that of
        excitation) were recorded.
    baseline : (float, float), optional
        Part of every sweep in s whose mean is subtracted: leak and holding current.
    clip : bool
        Set currents of the wrong sign to 0, which noise makes after subtraction.
    **options
        ``label``, ``tau_membrane``, ... as of :func:`eiplatform.from_arrays`.

    Returns
    -------
    Recording
        Units: populations ``E`` and ``I`` with spike events.  Clamp: population ``E`` with ``current_exc`` and
        ``current_inh`` in pA; a pair of sweeps of an electrode is a sample, an electrode a neuron.  Recording: what
        was exported, in its own units of time, without the options.

    Raises
    ------
    StoreError
        If the file holds neither, windows overlap invalid times, or sweeps do not pair.

    Examples
    --------
    >>> import eiplatform as ei
    >>> cortex = ei.read_nwb("session.nwb", labels="cell_type", exc=["RS"], inh=["FS"])  # doctest: +SKIP
    >>> cortex["E"].ds.ei.rate()  # doctest: +SKIP
    """
    path = Path(path)
    with reading(path, what="not an NWB file that can be read"), h5py.File(path, "r") as file:
        for name in ("units", "intervals", "acquisition", "stimulus", "processing"):
            _require_inside(file, name, path)
        notes = exported_notes(file, path)
        held = {
            "recording": notes is not None,
            "units": "units" in file,
            "clamp": bool(_series(file, "acquisition", "VoltageClampSeries")),
        }
        kind: str = what or next((name for name, there in held.items() if there), "clamp")
        if not held[choose(kind, held, "kind of data", where="what")]:
            found = [name for name, there in held.items() if there]
            raise StoreError(f"the file holds no {kind}", where=str(path), valid=found or "a file with units or sweeps")
        if kind == "recording" and notes is not None:
            if options or windows is not None:
                raise ConfigError(
                    f"a recording of eiplatform is read as it was, without {', '.join([*options] or ['windows'])}",
                    where=str(path),
                    remedy="what='units' reads its units as those of any other file",
                )
            return read_exported(file, notes, path)
        options = {"label": path.stem, **options}
        if kind == "clamp":
            return _clamp(file, path, exc_at, inh_at, baseline, clip, options)
        return _units(file, path, labels, {"E": exc, "I": inh}, windows, dt, options)


def _require_inside(group: h5py.Group, name: str, path: Path, depth: int = 4) -> None:
    """Raise if something of a file lies in another file; links within it are common in NWB."""
    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        raise StoreError(
            f"'{group.name}/{name}' lies in another file", where=str(path), remedy="give a file that holds its data"
        )
    item = group.get(name)
    if isinstance(item, h5py.Group) and depth and not isinstance(link, h5py.SoftLink):
        for inner in item:
            _require_inside(item, inner, path, depth - 1)


def _units(
    file: h5py.File,
    path: Path,
    column: str,
    kinds: Mapping[str, Iterable[str]],
    windows: Windows | None,
    dt: float,
    options: dict[str, Any],
) -> Recording:
    units = file["units"]
    columns = [_text(name) for name in np.atleast_1d(units.attrs.get("colnames", list(units)))]
    told = [_text(value).strip() for value in units[choose(column, columns, "column of units", where=str(path))][...]]
    ends = units["spike_times_index"][...].astype(np.int64)
    spikes = units["spike_times"]
    if len(ends) != len(told) or (np.diff(ends) < 0).any() or (len(ends) and ends[-1] != len(spikes)):
        raise StoreError("spike_times_index does not fit the units", where=str(path))
    check_room(3 * spikes.size * 8)
    times = numbers(spikes[...], f"{path}: units/spike_times").astype(np.float64)
    starts = np.r_[0, ends[:-1]]
    chosen = {}
    for role, names in kinds.items():
        wanted = {name.lower() for name in ([names] if isinstance(names, str) else names)}
        chosen[role] = [unit for unit, value in enumerate(told) if value.lower() in wanted]
    if not any(chosen.values()):
        raise StoreError(
            f"no unit is called excitatory or inhibitory in the column '{column}'",
            where=str(path),
            valid=f"exc=[...], inh=[...] of its values {', '.join(sorted(set(told))[:20])}",
        )
    edges = _windows(file, path, windows, units, times)
    populations = {}
    for role, members in chosen.items():
        if not members:
            continue
        trains = [[_within(times[starts[unit] : ends[unit]], first, last) for unit in members] for first, last in edges]
        populations[role] = {"spikes": trains, "role": role}
    length = round((edges[0][1] - edges[0][0]) * 1000.0, 6)
    intervals = max(1, int(length // dt))
    return from_arrays(
        dt=dt, duration=intervals * dt, time_units="ms", populations=_cut(populations, intervals * dt), **options
    )


def _cut(populations: dict[str, dict[str, Any]], length: float) -> dict[str, dict[str, Any]]:
    """Leave out spikes of a last interval that is not complete."""
    return {
        name: part | {"spikes": [[train[train < length] for train in sample] for sample in part["spikes"]]}
        for name, part in populations.items()
    }


def _within(times: np.ndarray, first: float, last: float) -> np.ndarray:
    """Return spike times in ms from the start of a window."""
    return (times[(times >= first) & (times < last)] - first) * 1000.0


def _windows(
    file: h5py.File, path: Path, windows: Windows | None, units: h5py.Group, times: np.ndarray
) -> list[tuple[float, float]]:
    if windows is None:
        valid = units["obs_intervals"][...].reshape(-1, 2) if "obs_intervals" in units else np.zeros((0, 2))
        if len(np.unique(valid, axis=0)) > 1:
            raise StoreError(
                "the units were observed in several intervals",
                where=str(path),
                remedy="name the windows: windows=[(0, 60)]",
            )
        stop = np.nextafter(times.max(), np.inf) if times.size else 0.0
        edges = [(float(valid[0, 0]), float(valid[0, 1])) if len(valid) else (0.0, float(stop))]
    else:
        edges = [(float(first), float(last)) for first, last in windows]
    lengths = {round(last - first, 9) for first, last in edges}
    if not edges or len(lengths) > 1 or min(lengths) <= 0:
        raise ConfigError(
            f"windows of {sorted(lengths)} s", where="windows", valid="one length above 0 for all of them"
        )
    invalid = file.get("intervals/invalid_times")
    if invalid is not None:
        for first, last in zip(invalid["start_time"][...], invalid["stop_time"][...], strict=True):
            if any(start < last and first < stop for start, stop in edges):
                raise StoreError(
                    f"the time from {first:g} to {last:g} s is invalid",
                    where=str(path),
                    remedy="name windows without it",
                )
    return edges


def _clamp(
    file: h5py.File,
    path: Path,
    exc_at: float,
    inh_at: float,
    baseline: tuple[float, float] | None,
    clip: bool,
    options: dict[str, Any],
) -> Recording:
    """Pair the sweeps of every electrode: the k-th at `exc_at` with the k-th at `inh_at`."""
    held: dict[int, dict[str, list[h5py.Group]]] = {}
    for series in _series(file, "acquisition", "VoltageClampSeries"):
        potential = _holding(file, series, path)
        kind = next((k for k, at in (("exc", exc_at), ("inh", inh_at)) if abs(potential - at) <= TOLERANCE_MV), None)
        if kind is not None:
            held.setdefault(_electrode(series), {"exc": [], "inh": []})[kind].append(series)
    pairs = {name: list(zip(found["exc"], found["inh"], strict=False)) for name, found in held.items()}
    n_sweeps = {len(found) for found in pairs.values()}
    if not held or n_sweeps == {0}:
        raise StoreError(
            f"no electrode has sweeps both at {exc_at:g} and at {inh_at:g} mV",
            where=str(path),
            remedy="exc_at=, inh_at=",
        )
    if len(n_sweeps) > 1:
        raise StoreError(f"electrodes have {sorted(n_sweeps)} pairs of sweeps", where=str(path), valid="as many each")
    rates = {float(_rate(one)) for found in pairs.values() for pair in found for one in pair}
    sizes = {one["data"].shape for found in pairs.values() for pair in found for one in pair}
    if len(rates) > 1 or len(sizes) > 1:
        raise StoreError(f"sweeps have rates {sorted(rates)} and shapes {sorted(sizes)}", where=str(path), valid="one")
    rate = rates.pop()
    size = len(pairs) * n_sweeps.pop() * next(iter(sizes))[0]
    check_room(2 * 4 * size)
    currents: dict[str, np.ndarray] = {}
    for index, (kind, sign) in enumerate((("exc", -1.0), ("inh", 1.0))):
        sweeps = [[_pico(pair[index], rate, baseline, path) for pair in found] for found in pairs.values()]
        values = sign * np.moveaxis(np.array(sweeps), 0, -1)  # (sweep, time, electrode)
        currents[kind] = np.maximum(values, 0.0) if clip else values
        if not clip and values.min() < 0 < values.max():
            raise StoreError(
                f"the {'excitatory' if kind == 'exc' else 'inhibitory'} currents have both signs",
                where=str(path),
                remedy=("subtract leak and holding current: baseline=(start, stop)", "clip the noise: clip=True"),
            )
    return from_arrays(currents["exc"], currents["inh"], dt=1000.0 / rate, units="pA", **options)


def _pico(series: h5py.Group, rate: float, baseline: tuple[float, float] | None, path: Path) -> np.ndarray:
    data = series["data"]
    factor, offset = float(data.attrs.get("conversion", 1.0)), float(data.attrs.get("offset", 0.0))
    values: np.ndarray = (numbers(data[...], f"{path}: {data.name}").astype(np.float64) * factor + offset) * 1e12
    if baseline is not None:
        first, last = (round(edge * rate) for edge in baseline)
        if not 0 <= first < last <= len(values):
            raise ConfigError(f"{baseline}", where="baseline", valid=f"a part of 0 to {len(values) / rate:g} s")
        values = values - values[first:last].mean()
    return values


def _holding(file: h5py.File, series: h5py.Group, path: Path) -> float:
    """Return the holding potential of a sweep in mV, from the stimulus of the same sweep and electrode."""
    number = series.attrs.get("sweep_number")
    for stimulus in _series(file, "stimulus/presentation", "VoltageClampStimulusSeries"):
        same = number is None or stimulus.attrs.get("sweep_number") == number
        if same and _electrode(stimulus) in (0, _electrode(series)):
            data = stimulus["data"]
            factor, offset = float(data.attrs.get("conversion", 1.0)), float(data.attrs.get("offset", 0.0))
            return 1000.0 * (float(np.median(data[...])) * factor + offset)
    raise StoreError(f"the sweep '{series.name}' has no stimulus that says its holding potential", where=str(path))


def _electrode(series: h5py.Group) -> int:
    """Return what tells an electrode from others, whatever link leads to it; 0 if none is named."""
    return int(h5py.h5o.get_info(series["electrode"].id).addr) if "electrode" in series else 0


def _rate(series: h5py.Group) -> float:
    if "starting_time" in series:
        return float(series["starting_time"].attrs["rate"])
    return 1.0 / float(np.diff(series["timestamps"][:2])[0])


def _series(file: h5py.File, place: str, kind: str) -> list[h5py.Group]:
    folder = file.get(place)
    if folder is None:
        return []
    found = [item for item in folder.values() if _text(item.attrs.get("neurodata_type", "")) == kind]
    return sorted(found, key=lambda item: (int(item.attrs.get("sweep_number", 0)), item.name))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
