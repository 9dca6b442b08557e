"""What the viewer shows of a run: any neuron of any sample, and rasters of populations, read as they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses import label_of
from eiplatform.analyses.parts.single_neurons import SHOWN, fires, signals_of, spikes_of, units_of
from eiplatform.errors import ConfigError, StoreError
from eiplatform.report.interactive import neuron_frame, neuron_panels
from eiplatform.report.widgets import Control, Frame, Options, Widget, panel, series
from eiplatform.statistics import populations_of
from eiplatform.store.reader import is_recording, open_recording

__all__ = ["Shown", "recordings_in"]

WINDOW = 500
"""Recorded intervals that are shown at once."""
ROWS = 120
"""Neurons of a raster."""


def recordings_in(run: Path) -> dict[str, Path]:
    """Return the recordings of a run by their place in it; links that lead out of it are not followed.

    Raises
    ------
    StoreError
        If there is none.
    """
    root = run.resolve()
    if is_recording(root):
        return {root.name: root}
    found = [file.parent for file in sorted(root.rglob("manifest.json"))] if root.is_dir() else []
    inside = [place for place in found if place.resolve().is_relative_to(root) and is_recording(place)]
    if not inside:
        raise StoreError(
            "no recording is in this directory" if run.exists() else "this path does not exist",
            where=str(run),
            valid="a recording, or the directory of a run, a study or a demo",
        )
    return {place.relative_to(root).as_posix(): place for place in inside}


class Shown:
    """A recording as the viewer shows it.

    Parameters
    ----------
    path : Path
    partial : bool
        Show what is complete of an interrupted or damaged recording.
    """

    def __init__(self, path: Path, *, partial: bool = False) -> None:
        self.tree = open_recording(path, partial=partial)
        self.populations: dict[str, xr.Dataset] = {
            name: data
            for name, data in populations_of(self.tree).items()
            if "step" not in data.dims and (set(SHOWN) & set(data.data_vars) or fires(data))
        }
        if not self.populations:
            raise StoreError("no population has a signal or spikes to show", where=str(path), valid=SHOWN)

    @property
    def label(self) -> str:
        """What the recording is called."""
        return label_of(self.tree)

    def widgets(self, query: str) -> list[Widget]:
        """Return the panels of the page.

        Parameters
        ----------
        query : str
            Goes before the key of a frame in its address.
        """
        about = (
            "Any neuron of any sample is read from the recording when it is chosen. "
            "Drag to zoom; the reset button goes back."
        )
        panels = neuron_panels({str(name) for data in self.populations.values() for name in data.data_vars})
        first = {"0|0|0|0": self.neuron("0|0|0|0")}
        made = [Widget("neuron", "Single neurons", about, panels, self._controls("neuron"), first, f"neuron?{query}")]
        about = f"Spikes of at most {ROWS} neurons, evenly spaced by number, and the mean rate of those."
        if any(fires(data) for data in self.populations.values()):
            first = {"0|0|0": self.raster("0|0|0")}
            made.append(
                Widget("raster", "Population", about, _raster_panels(), self._controls(""), first, f"raster?{query}")
            )
        return made

    def _controls(self, neuron: str) -> list[Control]:
        held = list(self.populations.values())
        made = [Control("population", "Population", list(self.populations))]
        if neuron:
            made.append(
                Control(
                    "neuron",
                    "Neuron, by place",
                    {str(k): data.sizes["neuron"] for k, data in enumerate(held)},
                    "number",
                )
            )
        samples: dict[str, Options] = {str(k): data.sizes["sample"] for k, data in enumerate(held)}
        windows: dict[str, Options] = {str(k): -(-data.sizes["time"] // WINDOW) for k, data in enumerate(held)}
        return [
            *made,
            Control("sample", "Sample, by place", samples, "number"),
            Control("window", "Stretch of time", windows, "range"),
        ]

    def neuron(self, key: str) -> Frame:
        """Return the frame of a neuron; `key` has the places of population, neuron, sample and stretch of time."""
        name, data, (neuron, sample, window) = self._chosen(key, ("neuron", "sample", "window"))
        start = window * WINDOW
        time, held, fired = signals_of(data, [neuron], sample=sample, start=start, stop=start + WINDOW)
        exc, inh = held.get("current_exc"), held.get("current_inh")
        r = np.nan
        if exc is not None and inh is not None and exc.std() > 0 and inh.std() > 0:
            r = float(np.corrcoef(exc[0], inh[0])[0, 1])
        return neuron_frame(
            time,
            {signal: values[0] for signal, values in held.items()},
            fired[0],
            who=f"{name}, neuron {data['neuron'].values[neuron]}, sample {data['sample'].values[sample]}",
            units=units_of(data),
            time_units=_time_units(data),
            correlation=r,
        )

    def raster(self, key: str) -> Frame:
        """Return the frame of a population's raster; `key` has the places of population, sample and stretch of time."""
        name, data, (sample, window) = self._chosen(key, ("sample", "window"))
        start = window * WINDOW
        one = data.isel(sample=[sample], time=slice(start, start + WINDOW))
        time = one["time"].values.astype(float)
        if not fires(data):
            empty: dict[str, dict[str, Any]] = {
                "fired": {"time": [], "row": []},
                "rates": {"time": time, "rate": np.full(time.size, np.nan)},
            }
            return Frame(empty, f"{name} has no spikes.", ["raster", "rate"])
        places = np.unique(np.linspace(0, one.sizes["neuron"] - 1, min(ROWS, one.sizes["neuron"])).round().astype(int))
        fired, who = spikes_of(one.isel(neuron=places))
        numbers = data["neuron"].values[places]
        kept = np.isin(who, numbers)
        fired, row = fired[kept], np.searchsorted(numbers, who[kept])
        dt = float(data.attrs["dt"])
        counts = np.bincount(np.clip((fired - time[0]) // dt, 0, time.size - 1).astype(int), minlength=time.size)
        sources = {"fired": {"time": fired, "row": row}, "rates": {"time": time, "rate": counts / places.size}}
        unit = _time_units(data)
        text = f"{name}, sample {data['sample'].values[sample]}, {time[0]:g} to {time[-1]:g} {unit}: "
        text += f"{fired.size} spikes of {places.size} of {data.sizes['neuron']} recorded neurons."
        return Frame(sources, text, labels={"rate.x": f"time ({unit})"})

    def _chosen(self, key: str, parts: tuple[str, ...]) -> tuple[str, xr.Dataset, list[int]]:
        words = key.split("|")
        if len(words) != len(parts) + 1 or not all(
            word.isascii() and word.isdecimal() and len(word) < 16 for word in words
        ):
            raise ConfigError(f"'{key[:40]}' cannot be chosen", where="view", valid=" | ".join(("population", *parts)))
        place, *rest = map(int, words)
        names = list(self.populations)
        if place >= len(names):
            raise ConfigError(f"population {place} is not there", where="view", valid=f"0 to {len(names) - 1}")
        data = self.populations[names[place]]
        sizes = {**data.sizes, "window": -(-data.sizes["time"] // WINDOW)}
        for part, value in zip(parts, rest, strict=True):
            if value >= sizes[part]:
                raise ConfigError(f"{part} {value} is not there", where="view", valid=f"0 to {sizes[part] - 1}")
        return names[place], data, rest


def _time_units(data: xr.Dataset) -> str:
    return str(data["time"].attrs.get("units", data.attrs["dt_units"]))


def _raster_panels() -> Any:
    from bokeh.layouts import column
    from bokeh.models import ColumnDataSource

    fired = ColumnDataSource({"time": [], "row": []}, name="fired")
    rate = ColumnDataSource({"time": [], "rate": []}, name="rates")
    top = panel("raster", height=280, tooltips=[("time", "@time{0.0}"), ("row", "@row")], y_axis_label="neuron")
    series(top, "scatter", fired, "ink", x="time", y="row", marker="dash", angle=np.pi / 2, size=4, line_width=1.0)
    tips = [("time", "@time{0.0}"), ("spikes per neuron and interval", "@rate{0.000}")]
    below = panel(
        "rate", height=130, tooltips=tips, mode="vline", x_range=top.x_range, y_axis_label="rate", toolbar=False
    )
    series(below, "line", rate, "ink", x="time", y="rate", line_width=1.2)
    return column(top, below, sizing_mode="stretch_width", name="population")
