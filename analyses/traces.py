"""How do excitation and inhibition of single neurons move in time?"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.inputs import (
    Recordings,
    label_of,
    nothing_fires,
    opened,
    require,
    spiking,
)
from eiplatform.errors import StatisticError
from eiplatform.statistics.population import Population
from eiplatform.store.events import bare

__all__ = ["Traces"]

SIGNALS = ("current_exc", "current_inh", "current_net")


class Traces(Analysis):
    """Currents of one neuron per excitatory population, and a raster."""

    question = "How do excitation and inhibition of single neurons move in time?"
    place = 140

    def run(self, recordings: Recordings, *, points: int = 200, raster_neurons: int = 60, sample: int = 0) -> Result:
        """Cut out the currents of one neuron per excitatory population, and a raster.

        The neuron is the recorded one whose mean net current is the median, so that it is chosen
        by a rule and not by its looks.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree
            Networks or circuits.
        points : int
            Number of intervals shown, from the start of the recording.
        raster_neurons : int
            Neurons in the raster (the first ones of the population).
        sample : int
            Position of the sample (image, trial) shown.

        Returns
        -------
        xarray.Dataset
            ``current`` (panel, signal, point), ``time`` (panel, point) in ``time_units`` (panel),
            NaN beyond the recording's end; ``neuron``, ``recording``, ``population``, ``units``
            per panel; ``spike_panel``, ``spike_time``, ``spike_neuron`` (spike).

        Raises
        ------
        StatisticError
            If a recording has no such sample.
        """
        trees = opened(recordings)
        panels: list[dict[str, Any]] = []
        rasters = []
        for tree in trees:
            for name, data in spiking(tree).items():
                if sample >= data.sizes["sample"]:
                    raise StatisticError(
                        f"sample {sample} is not in the recording",
                        where=tree.attrs["path"],
                        valid=f"0 to {data.sizes['sample'] - 1}",
                    )
                require(data, (*SIGNALS, "current_net", "time", "neuron"), f"population '{name}'")
                chosen = data.isel(sample=[sample], time=slice(points))
                shown = bare(chosen).drop_dims("spike", errors="ignore").isel(sample=0).load()
                net = shown["current_net"].mean("time").values
                neuron = int(np.argsort(net, kind="stable")[len(net) // 2])
                current = np.full((len(SIGNALS), points), np.nan)
                time = np.full(points, np.nan)
                time[: shown.sizes["time"]] = shown["time"].values
                for s, signal in enumerate(SIGNALS):
                    current[s, : shown.sizes["time"]] = shown[signal].values[:, neuron]
                rasters.append(_raster(chosen, len(panels), raster_neurons))
                panels.append(
                    {
                        "recording": label_of(tree),
                        "population": name,
                        "neuron": int(shown["neuron"].values[neuron]),
                        "sample": str(shown["sample"].item()),
                        "time_units": str(shown["time"].attrs.get("units", shown.attrs["dt_units"])),
                        "units": str(shown["current_exc"].attrs.get("units", "1")),
                        "current": current,
                        "time": time,
                    }
                )
        if not panels:
            raise nothing_fires(trees, "traces")
        spikes = np.concatenate(rasters, axis=1)
        described = ("recording", "population", "neuron", "sample", "time_units", "units")
        data = xr.Dataset(
            {
                "current": (("panel", "signal", "point"), np.stack([panel["current"] for panel in panels])),
                "time": (("panel", "point"), np.stack([panel["time"] for panel in panels])),
                "spike_panel": ("spike", spikes[0].astype(np.int64)),
                "spike_time": ("spike", spikes[1]),
                "spike_neuron": ("spike", spikes[2].astype(np.int64)),
                **{key: ("panel", [panel[key] for panel in panels]) for key in described},
            },
            coords={"signal": list(SIGNALS)},
        )
        return self.result(data, trees)


def _raster(data: xr.Dataset, panel: int, neurons: int) -> np.ndarray:
    """Return (panel, time, neuron) of the spikes of the first neurons of one sample, shape (3, spike)."""
    if "spikes" in data:
        step, neuron = np.nonzero(data["spikes"].values[0, :, :neurons])
        return np.stack([np.full(step.size, panel), data["time"].values[step], neuron]).astype(np.float64)
    trains, start = Population(data).trains, float(data["time"].values[0])
    kept = trains.neuron < neurons
    found = np.stack([np.full(int(kept.sum()), panel), start + trains.time[kept], trains.neuron[kept]])
    return found.astype(np.float64)
