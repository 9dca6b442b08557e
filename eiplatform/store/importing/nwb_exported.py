"""NWB files that eiplatform wrote, read back as the recording they were."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.store.memory_writer import MemoryWriter, check_room
from eiplatform.store.schema import PARAMETERS, SIGNALS, population_dataset
from eiplatform.store.tree import Recording
from eiplatform.untrusted import parse_json

__all__ = ["exported_notes", "read_exported"]

NOTES, SIGNAL_MODULE = "general/notes", "processing/signals"


def exported_notes(file: h5py.File, path: Path) -> dict[str, Any] | None:
    """Return what eiplatform noted in a file that it wrote, None of other files."""
    if NOTES not in file or "intervals/trials" not in file:
        return None
    text = file[NOTES][()]
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    if not text.startswith("{") or '"populations"' not in text:
        return None
    notes = parse_json(text, where=path, nan=True)
    return notes if isinstance(notes, dict) and isinstance(notes.get("populations"), dict) else None


def read_exported(file: h5py.File, notes: Mapping[str, Any], path: Path) -> Recording:
    """Return a recording with the populations, signals, spikes, units, attributes and times that were exported.

    Parameters
    ----------
    file : h5py.File
    notes : mapping
        Of :func:`exported_notes`.
    path : Path

    Raises
    ------
    StoreError
        If a part of what the notes name is missing.
    """
    module = file.get(SIGNAL_MODULE)
    total = sum(item["data"].nbytes for item in (module or {}).values() if "data" in item)
    check_room(2 * total)
    trials = file["intervals/trials"]
    scale = float(notes.get("ms_per_step") or 1.0)
    made = {}
    for name, about in notes["populations"].items():
        made[name] = _Population(file, str(name), about, trials, scale, path).dataset()
    with MemoryWriter(source=notes["source"], config=notes.get("config", {})) as writer:
        writer.append(made)
    return writer.tree


class _Population:
    def __init__(
        self, file: h5py.File, name: str, about: Mapping[str, Any], trials: h5py.Group, scale: float, path: Path
    ) -> None:
        self.file, self.name, self.about, self.trials, self.scale, self.path = file, name, about, trials, scale, path
        self.attrs = dict(about["attrs"])
        self.plain = name.replace("/", "_").replace(":", "_")
        self.units: dict[str, str] = dict(about["units"])
        self.starts = trials["start_time"][...] * 1000.0 / scale  # in the recording's unit of time
        self.dt = float(self.attrs["dt"])

    def dataset(self) -> xr.Dataset:
        """Return the population."""
        table = self._need(f"{SIGNAL_MODULE}/{self.plain}_neurons")
        neuron = table["neuron"][...]
        known = {key: table[key][...] for key in table if key not in ("id", "neuron")}
        series = {key: f"{SIGNAL_MODULE}/{self.plain}_{key}" for key in SIGNALS if key in self.units}
        n_samples = len(self.starts)
        signals = {
            key: self._need(place)["data"][...].reshape(n_samples, -1, len(neuron))
            for key, place in series.items()
            if key != "spikes"
        }
        n_time = next((values.shape[1] for values in signals.values()), self._intervals())
        events = None
        kind = str(self.about.get("spikes", ""))
        if kind == "events":
            events = self._events()
        elif kind:
            signals["spikes"] = self._dense(neuron, n_time, np.dtype(kind))
        time = self.about.get("origin", 0) + np.arange(n_time) * self.dt
        given = ("role", "n_neurons", "dt", "dt_units")
        return population_dataset(
            signals,
            sample=self.trials["sample"][...],
            time=time,
            neuron=neuron,
            dt=self.dt,
            time_units=self.attrs["dt_units"],
            current_units=self._unit("current"),
            potential_units=self._unit("potential"),
            n_neurons=self.attrs["n_neurons"],
            role=self.attrs["role"],
            parameters={key: values for key, values in known.items() if key in PARAMETERS},
            events=events,
            sample_coords={key: self.trials[key][...] for key in self.trials if key not in _TRIAL},
            neuron_coords={key: values for key, values in known.items() if key not in PARAMETERS},
            attrs={key: value for key, value in self.attrs.items() if key not in given},
        )

    def _need(self, place: str) -> Any:
        if place not in self.file:
            raise StoreError(f"'{place}' is missing", where=str(self.path), remedy="write the file again")
        return self.file[place]

    def _unit(self, dimension: str) -> str:
        known = {key: SIGNALS.get(key) or PARAMETERS.get(key) for key in self.units}
        return next((self.units[key] for key, one in known.items() if one and one.dimension == dimension), "1")

    def _intervals(self) -> int:
        length = (self.trials["stop_time"][0] - self.trials["start_time"][0]) * 1000.0 / self.scale
        return max(1, round(float(length) / self.dt))

    def _spikes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return time in the sample, index of the sample, and neuron of every spike, sample by sample."""
        units = self._need("units")
        mine = np.array([_text(value) == self.name for value in units["population"][...]], bool)
        ends = units["spike_times_index"][...].astype(np.int64)
        counts = np.diff(ends, prepend=0)
        if ends.size and ((counts < 0).any() or ends[-1] != len(units["spike_times"])):
            raise StoreError("spike_times_index does not fit the units", where=str(self.path))
        owner = np.repeat(np.arange(len(ends)), counts)
        chosen = mine[owner]
        times = units["spike_times"][...][chosen] * 1000.0 / self.scale
        neuron = units["neuron"][...][owner[chosen]]
        # A spike at the start of a sample may lie before it by rounding.
        sample = np.searchsorted(self.starts - 1e-6 * self.dt, times, side="right") - 1
        order = np.lexsort((times, sample))
        within = np.maximum(times - self.starts[sample], 0.0)
        return within[order], sample[order], neuron[order]

    def _events(self) -> dict[str, np.ndarray]:
        time, sample, neuron = self._spikes()
        return {"spike_time": time, "spike_neuron": neuron, "spike_sample": self.trials["sample"][...][sample]}

    def _dense(self, neuron: np.ndarray, n_time: int, kind: np.dtype[Any]) -> np.ndarray:
        time, sample, of = self._spikes()
        found = np.zeros((len(self.starts), n_time, len(neuron)), np.int64)
        order = np.argsort(neuron)
        place = order[np.searchsorted(neuron, of, sorter=order)]
        step = np.rint(time / self.dt).astype(np.int64)
        flat = np.ravel_multi_index((sample, step, place), found.shape)
        found += np.bincount(flat, minlength=found.size).reshape(found.shape)
        return found.astype(kind)


_TRIAL = ("id", "start_time", "stop_time", "sample", "tags", "timeseries", "timeseries_index", "tags_index")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
