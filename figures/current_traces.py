"""Currents of single neurons in time, with a raster, in the network and in the cortical circuit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from eiplatform.figures.parts.page import AnyFigure, Drawable, Drawn, numbers_of, page
from eiplatform.figures.parts.style import COLOURS, letters

ANALYSIS = "traces"


def caption(result: xr.Dataset) -> str:
    """Return the caption; it says by which rule the neurons were chosen."""
    panels = "; ".join(
        f"{recording}, {population}, neuron {neuron}, sample {sample}"
        for recording, population, neuron, sample in zip(
            *(result[key].values for key in ("recording", "population", "neuron", "sample")), strict=True
        )
    )
    return (
        "Excitatory (orange), inhibitory (blue, drawn negative) and net (dark) current of one neuron per population "
        f"(n = 1 each: {panels}), and below it the spikes of the population's first neurons. The neuron is the one "
        "with the median mean net current among those recorded. A network's time runs in steps, a circuit's in ms."
    )


def table(result: xr.Dataset) -> pd.DataFrame:
    """Return rows: panel, kind (a signal or ``spike``), time, value (current, or the neuron that fired)."""
    rows = []
    for panel in range(result.sizes["panel"]):
        chosen = result.isel(panel=panel)
        about = {key: chosen[key].item() for key in ("recording", "population", "units", "time_units")}
        time = chosen["time"].values
        kept = np.isfinite(time)
        for signal in result["signal"].values:
            values = chosen["current"].sel(signal=signal).values
            rows.append(
                pd.DataFrame({"panel": panel, **about, "kind": signal, "time": time[kept], "value": values[kept]})
            )
        here = result["spike_panel"].values == panel
        spikes = {"time": result["spike_time"].values[here], "value": result["spike_neuron"].values[here]}
        rows.append(pd.DataFrame({"panel": panel, **about, "kind": "spike", **spikes}))
    return pd.concat(rows, ignore_index=True)


def draw(result: Drawable, *, ax: Axes | None = None, figure: AnyFigure | None = None) -> Drawn:
    """Draw currents above, raster below, one column per population."""
    numbers = numbers_of(result, ANALYSIS, table)
    with page(ax, figure) as sheet:
        panels = sorted(numbers["panel"].unique())
        axes = sheet.panels(2, len(panels), height_mm=78)
        for column, panel in enumerate(panels):
            rows = numbers[numbers["panel"] == panel]
            above, below = axes[column], axes[len(panels) + column]
            first = rows.iloc[0]
            for signal, key, sign in (("current_exc", "exc", 1), ("current_inh", "inh", -1), ("current_net", "net", 1)):
                line = rows[rows["kind"] == signal]
                above.plot(line["time"], sign * line["value"], color=COLOURS[key], linewidth=0.8)
            above.axhline(0, color=COLOURS["null"], linewidth=0.5)
            unit = "threshold = 1" if first["units"] == "1" else first["units"]
            above.set_ylabel(f"current ({unit})")
            above.set_title(f"{first['recording']}\n{first['population']}")
            above.tick_params(labelbottom=False)
            spikes = rows[rows["kind"] == "spike"]
            below.plot(spikes["time"], spikes["value"], linestyle="", marker="|", markersize=1.6, color=COLOURS["net"])
            below.set_xlim(above.get_xlim())
            below.set_ylabel("neuron")
            below.set_xlabel(f"time ({first['time_units']})")
        letters(axes[: len(panels)])
    return sheet.drawn
