"""Whether the variables and axes of a population are what the schema says."""

from __future__ import annotations

import numpy as np
import xarray as xr

from eiplatform.store.attributes import attribute_problems
from eiplatform.store.blocks import row_blocks
from eiplatform.store.reduced import MERGED
from eiplatform.store.schema import EVENTS, PARAMETERS, SIGNALS

__all__ = ["axis_problems", "event_problems", "label_problems"]

_FIXED = dict.fromkeys(("inhibition_div", "gain", "gain_exc", "spikes", "output", "feedback", "activity"), "1")


def label_problems(name: str, data: xr.Dataset) -> list[str]:
    """Return what is wrong with role, names, axes and units of one population."""
    problems = attribute_problems(name, data)
    if data.attrs.get("n_neurons", np.inf) < data.sizes.get("neuron", 0):
        problems.append(f"'{name}': {data.sizes['neuron']} neurons recorded of {data.attrs['n_neurons']}")
    currents = set()
    for key, variable in data.data_vars.items():
        expected = ("sample", "time", "neuron") if key in SIGNALS else ("neuron",) if key in PARAMETERS else ("spike",)
        units = variable.attrs.get("units")
        if key in MERGED:
            continue
        if key not in {**SIGNALS, **PARAMETERS, **EVENTS}:
            problems.append(f"'{name}': unknown variable '{key}'")
        elif variable.dims != expected:
            problems.append(f"'{name}': '{key}' has axes {variable.dims}, expected {expected}")
        elif units is None or "long_name" not in variable.attrs:
            problems.append(f"'{name}': '{key}' has no units or long_name")
        elif key in _FIXED and units != _FIXED[str(key)]:
            problems.append(f"'{name}': '{key}' has units '{units}', expected '{_FIXED[str(key)]}'")
        elif str(key).startswith("current_") or key == "drive":
            currents.add(units)
    if len(currents) > 1:
        problems.append(f"'{name}': its currents have different units: {', '.join(sorted(currents))}")
    time = data["time"].attrs.get("units") if "time" in data.coords else None
    if time is not None and time != data.attrs.get("dt_units"):
        problems.append(f"'{name}': time is in '{time}', dt in '{data.attrs.get('dt_units')}'")
    return problems


def axis_problems(name: str, data: xr.Dataset) -> list[str]:
    """Return what is wrong with the coordinates of one population."""
    problems = []
    for axis in ("sample", "time", "neuron"):
        if axis not in data.dims:
            continue
        if axis not in data.coords:
            problems.append(f"'{name}': the axis '{axis}' has no coordinate")
            continue
        values = data[axis].values
        if len(np.unique(values)) < len(values):
            problems.append(f"'{name}': '{axis}' has {len(values) - len(np.unique(values))} repeated values")
        elif axis != "sample" and (values[1:] <= values[:-1]).any():
            problems.append(f"'{name}': '{axis}' does not ascend")
    if "neuron" in data.coords and data.sizes["neuron"] and "n_neurons" in data.attrs:
        neurons = data["neuron"].values
        if neurons.min() < 0 or neurons.max() >= data.attrs["n_neurons"]:
            problems.append(f"'{name}': neuron indices outside 0 to {data.attrs['n_neurons'] - 1}")
    return problems


def event_problems(name: str, data: xr.Dataset) -> list[str]:
    """Return how many spike events lie outside of the recording, or apart from the others of their sample."""
    present = [key for key in EVENTS if key in data]
    if not present:
        return []
    if len(present) < len(EVENTS):
        return [f"'{name}': spike events without {', '.join(sorted(set(EVENTS) - set(present)))}"]
    duration = float(data.attrs.get("duration", np.inf))
    outside = {"times outside the recording": 0, "unknown neurons": 0, "unknown samples": 0}
    samples = data["sample"].values
    order = np.argsort(samples)
    runs: list[int] = []  # samples as they follow one another
    for block in row_blocks((data.sizes["spike"],), 8):
        time, neuron, sample = (data[key][block].values for key in EVENTS)
        outside["times outside the recording"] += int(((time < 0) | (time > duration)).sum())
        outside["unknown neurons"] += int(((neuron < 0) | (neuron >= data.attrs["n_neurons"])).sum())
        place = np.minimum(np.searchsorted(samples, sample, sorter=order), len(samples) - 1)
        outside["unknown samples"] += int((samples[order][place] != sample).sum())
        new = sample[np.concatenate([[True], sample[1:] != sample[:-1]])].tolist()
        runs += new[1:] if runs and new[0] == runs[-1] else new
    problems = [f"'{name}': {count} spikes with {what}" for what, count in outside.items() if count]
    if len(set(runs)) < len(runs):
        problems.append(f"'{name}': the spikes of a sample do not follow one another")
    return problems
