"""What does a single neuron receive, and what does it do?"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.inputs import Recordings, label_of, opened
from eiplatform.analyses.parts.single_neurons import SHOWN, signals_of, units_of
from eiplatform.analyses.parts.tables import Table
from eiplatform.errors import NotApplicableError, StatisticError, TooShortError
from eiplatform.statistics import per_neuron, populations_of

__all__ = ["NeuronSample"]


class NeuronSample(Analysis):
    """Excitation, inhibition, net, gain, voltage and spikes of a few neurons per population, for a report to show."""

    question = "What does a single neuron receive, and what does it do?"
    place = 145

    def run(self, recordings: Recordings, *, neurons: int = 16, points: int = 240, sample: int = 0) -> Result:
        """Cut out the signals of a few neurons per population.

        The neurons are spaced evenly over the ranks of the mean net current (else of the first signal) in the sample.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree
            Networks, circuits or own recordings.
        neurons : int
            Most neurons per population.
        points : int
            Recorded intervals, from the start of the recording.
        sample : int
            Position of the sample (image, trial).

        Returns
        -------
        xarray.Dataset, dims (row, signal, cell, point)
            One row per recording and population.  ``trace``, ``time`` (row, point) in ``time_units``, NaN where nothing
            was recorded; ``units`` (row, signal); ``number`` of every neuron, its ``correlation`` of E and I over time
            in all samples (row, cell); ``recording``, ``population``, ``sample``, ``threshold``, ``n_recorded``,
            ``n_neurons``; ``spike_time`` with ``spike_row`` and ``spike_cell`` (spike).

        Raises
        ------
        StatisticError
            If a recording has no such sample, or no population has a signal to show.
        """
        trees = opened(recordings)
        rows: list[dict[str, Any]] = []
        spikes: list[np.ndarray] = []
        for tree in trees:
            for name, data in populations_of(tree).items():
                if not set(SHOWN) & set(data.data_vars):
                    continue
                if sample >= data.sizes["sample"]:
                    what, valid = f"sample {sample} is not in the recording", f"0 to {data.sizes['sample'] - 1}"
                    raise StatisticError(what, where=tree.attrs["path"], valid=valid)
                row, fired = _row(data, neurons, points, sample)
                for cell, times in enumerate(fired):
                    spikes.append(np.stack([np.full(times.size, len(rows)), np.full(times.size, cell), times]))
                rows.append({"recording": label_of(tree), "population": name, **row})
        if not rows:
            raise StatisticError("no population has a signal to show", valid=SHOWN)
        dims = {"trace": ("row", "signal", "cell", "point"), "time": ("row", "point"), "units": ("row", "signal")}
        dims |= dict.fromkeys(("number", "correlation"), ("row", "cell"))
        events = np.concatenate(spikes, axis=1)
        data = xr.Dataset(
            {key: (dims.get(key, ("row",)), np.array([row[key] for row in rows])) for key in rows[0]}
            | {"spike_row": ("spike", events[0].astype(int)), "spike_cell": ("spike", events[1].astype(int))}
            | {"spike_time": ("spike", events[2])},
            coords={"signal": list(SHOWN)},
        )
        return self.result(data, trees)

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give how many neurons of each population are shown."""
        rows = [
            (
                f"{one['recording'].item()}: {one['population'].item()}",
                str(int((one["number"] >= 0).sum())),
                str(int(one["n_recorded"])),
                str(int(one["n_neurons"])),
                str(one["sample"].item()),
            )
            for one in (result.isel(row=index) for index in range(result.sizes["row"]))
        ]
        note = "The neurons shown are spaced evenly over the ranks of the mean net current."
        yield Table("Neurons shown", ("population", "shown", "recorded", "in all", "sample"), tuple(rows), note)


def _row(data: xr.Dataset, neurons: int, points: int, sample: int) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Return what is kept of a population, and the spike times of its neurons."""
    first = next(name for name in ("current_net", *SHOWN) if name in data)
    mean = data[first].isel(sample=sample, time=slice(points)).mean("time").values
    ranks = np.unique(np.linspace(0, mean.size - 1, min(neurons, mean.size)).round().astype(int))
    chosen = np.argsort(mean, kind="stable")[ranks]
    time, held, fired = signals_of(data, chosen.tolist(), sample=sample, stop=points)
    trace = np.full((len(SHOWN), neurons, points), np.nan, np.float32)
    for index, name in enumerate(SHOWN):
        if name in held:
            trace[index, : len(chosen), : time.size] = held[name]
    correlation = np.full(neurons, np.nan)
    with suppress(TooShortError, NotApplicableError):
        correlation[: len(chosen)] = per_neuron(data, "ei_correlation_time").values[chosen]
    number = np.full(neurons, -1)
    number[: len(chosen)] = data["neuron"].values[chosen]
    units = units_of(data)
    row = {
        "trace": trace,
        "time": np.pad(time, (0, points - time.size), constant_values=np.nan),
        "units": [units.get(name, "") for name in SHOWN],
        "number": number,
        "correlation": correlation,
        "sample": str(data["sample"].values[sample]),
        "time_units": str(data["time"].attrs.get("units", data.attrs["dt_units"])),
        "threshold": float(data.attrs.get("threshold", np.nan)),
        "n_recorded": data.sizes["neuron"],
        "n_neurons": int(data.attrs["n_neurons"]),
    }
    return row, fired
