"""How do excitation and inhibition of single neurons move in time?"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.inputs import (
    Recordings,
    excitatory,
    label_of,
    nothing_fires,
    opened,
    require,
    spiking,
)
from eiplatform.analyses.parts.single_neurons import fires, spikes_of
from eiplatform.errors import NotApplicableError, StatisticError, TooShortError
from eiplatform.statistics import per_neuron, populations_of
from eiplatform.statistics.population import Population
from eiplatform.store.events import bare

__all__ = ["Traces"]

SIGNALS = ("current_exc", "current_inh", "current_net")


class Traces(Analysis):
    """Currents of one neuron per excitatory population, its voltage and spikes, and rasters of E and I."""

    question = "How do excitation and inhibition of single neurons move in time?"
    place = 140

    def run(self, recordings: Recordings, *, points: int = 200, raster_neurons: int = 60, sample: int = 0) -> Result:
        """Cut out the currents of one neuron per excitatory population, and rasters of E and I.

        The neuron is the recorded one whose mean net current is the median, so that it is chosen
        by a rule and not by its looks.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree
            Networks or circuits.
        points : int
            Number of intervals shown, from the start of the recording.
        raster_neurons : int
            Neurons in the raster of E, evenly spaced by number; of I a quarter.  They are sorted by their spikes.
        sample : int
            Position of the sample (image, trial) shown.

        Returns
        -------
        xarray.Dataset
            ``current`` (panel, signal, point), ``voltage`` (panel, point), ``time`` (panel, point) in ``time_units``
            (panel), NaN beyond the recording's end and where nothing was recorded; ``rate_exc``, ``rate_inh``
            (panel, point): spikes per neuron and interval, of a graded I its mean activity; ``neuron``, ``recording``,
            ``population``, ``units``, ``threshold``, ``correlation`` (of its E and I over all samples), ``lag``
            (positive: I later) and ``raster_rows`` per panel; ``spike_panel``, ``spike_time``, ``spike_neuron`` (its
            row; -1 the neuron whose currents are shown) and ``spike_role`` (spike).

        Raises
        ------
        StatisticError
            If a recording has no such sample.
        """
        trees = opened(recordings)
        panels: list[dict[str, Any]] = []
        spikes: list[dict[str, np.ndarray]] = []
        for tree in trees:
            for name, data in (spiking(tree) or _with_currents(tree)).items():
                if sample >= data.sizes["sample"]:
                    raise StatisticError(
                        f"sample {sample} is not in the recording",
                        where=tree.attrs["path"],
                        valid=f"0 to {data.sizes['sample'] - 1}",
                    )
                require(data, (*SIGNALS, "time", "neuron"), f"population '{name}'")
                partner = _partner(tree, name)
                panel, events = _panel(data, partner, points, raster_neurons, sample)
                panels.append({"recording": label_of(tree), "population": name, **panel})
                spikes.append({"panel": np.full(len(events["time"]), len(panels) - 1), **events})
        if not panels:
            raise nothing_fires(trees, "traces")
        dims: dict[str, tuple[str, ...]] = {"current": ("panel", "signal", "point")}
        dims |= dict.fromkeys(("voltage", "time", "rate_exc", "rate_inh"), ("panel", "point"))
        data = xr.Dataset(
            {key: (dims.get(key, ("panel",)), np.array([panel[key] for panel in panels])) for key in panels[0]}
            | {f"spike_{key}": ("spike", np.concatenate([part[key] for part in spikes])) for key in spikes[0]},
            coords={"signal": list(SIGNALS)},
        )
        return self.result(data, trees)


def _with_currents(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    """Return populations of currents without spikes, as in voltage clamp; not those of a network of rates."""
    found = excitatory(tree)
    rates = any("activity" in data for data in found.values())
    return {} if rates else {name: data for name, data in found.items() if set(SIGNALS) <= set(data.data_vars)}


def _partner(tree: xr.DataTree, name: str) -> xr.Dataset | None:
    """Return the population of I that belongs to one of E, by its name, if it was recorded."""
    other = name.removesuffix("E") + "I" if name.endswith("E") else ""
    return populations_of(tree).get(other)


def _panel(
    data: xr.Dataset, partner: xr.Dataset | None, points: int, rows: int, sample: int
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    chosen = data.isel(sample=[sample], time=slice(points))
    shown = bare(chosen).drop_dims("spike", errors="ignore").isel(sample=0).load()
    length = shown.sizes["time"]
    net = shown["current_net"].mean("time").values
    neuron = int(np.argsort(net, kind="stable")[len(net) // 2])

    def row(values: np.ndarray) -> np.ndarray:
        return np.pad(values.astype(float), (0, points - len(values)), constant_values=np.nan)

    number = int(shown["neuron"].values[neuron])
    step, cell = spikes_of(chosen)
    own = step[cell == number]
    raster_step, raster_row, n_rows = _sorted(step, cell, _recorded(chosen), rows)
    events = {"time": raster_step, "neuron": raster_row, "role": np.full(len(raster_step), "E")}
    events = _joined(events, own, np.full(len(own), -1), "E")
    rates = dict.fromkeys(("rate_exc", "rate_inh"), np.full(points, np.nan))
    if fires(chosen):
        rates["rate_exc"] = row(_rate(step, shown, len(_recorded(chosen))))
    if partner is not None:
        inhibitory = partner.isel(sample=[sample], time=slice(points))
        if "activity" in inhibitory:
            rates["rate_inh"] = row(inhibitory["activity"].mean(("sample", "neuron")).values)
        elif fires(inhibitory):
            there, who = spikes_of(inhibitory)
            rates["rate_inh"] = row(_rate(there, shown, len(_recorded(inhibitory))))
            there, who, n_inh = _sorted(there, who, _recorded(inhibitory), max(1, rows // 4))
            events = _joined(events, there, who + n_rows, "I")
            n_rows += n_inh
    measured = {
        name: _of_neuron(data, key, number) for name, key in (("correlation", "ei_correlation_time"), ("lag", "ei_lag"))
    }
    panel = {
        "neuron": number,
        "sample": str(shown["sample"].item()),
        "time_units": str(shown["time"].attrs.get("units", shown.attrs["dt_units"])),
        "dt": float(shown.attrs["dt"]),
        "units": str(shown["current_exc"].attrs.get("units", "1")),
        "threshold": float(shown.attrs.get("threshold", np.nan)),
        "raster_rows": n_rows,
        "current": np.stack([row(shown[signal].values[:, neuron]) for signal in SIGNALS]),
        "voltage": row(shown["voltage"].values[:, neuron] if "voltage" in shown else np.full(length, np.nan)),
        "time": row(shown["time"].values),
        **rates,
        **measured,
    }
    return panel, events


def _joined(events: dict[str, np.ndarray], time: np.ndarray, row: np.ndarray, role: str) -> dict[str, np.ndarray]:
    more = {"time": time, "neuron": row, "role": np.full(len(time), role)}
    return {key: np.concatenate([values, more[key]]) for key, values in events.items()}


def _recorded(data: xr.Dataset) -> np.ndarray:
    """Return the numbers of the neurons whose spikes were recorded."""
    events = "spikes" not in data and fires(data)
    numbers: np.ndarray = Population(data).spiking_neuron if events else data["neuron"].values
    return numbers


def _sorted(time: np.ndarray, cell: np.ndarray, numbers: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the spikes of evenly spaced neurons, and their rows: those that fire most are on top."""
    kept = numbers[np.unique(np.linspace(0, len(numbers) - 1, min(most, len(numbers))).round().astype(int))]
    inside = np.isin(cell, kept)
    place = np.searchsorted(kept, cell[inside])
    order = np.argsort(np.argsort(np.bincount(place, minlength=len(kept)), kind="stable"), kind="stable")
    return time[inside], order[place], len(kept)


def _rate(time: np.ndarray, shown: xr.Dataset, neurons: int) -> np.ndarray:
    """Return spikes per neuron and recorded interval."""
    start, dt = float(shown["time"].values[0]), float(shown.attrs["dt"])
    place = np.floor((time - start) / dt + 1e-9).astype(int)
    counts = np.bincount(place[(place >= 0) & (place < shown.sizes["time"])], minlength=shown.sizes["time"])
    rate: np.ndarray = counts / neurons
    return rate


def _of_neuron(data: xr.Dataset, key: str, number: int) -> float:
    """Return a statistic of one neuron; NaN where the recording does not allow it."""
    with suppress(TooShortError, NotApplicableError):
        return float(per_neuron(data, key).sel(neuron=number))
    return float("nan")
