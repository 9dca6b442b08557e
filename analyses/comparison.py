"""How close is every layer to a cortical circuit, where the two can be compared?

Only comparable things are compared; what is not is listed with the reason.  Time is matched
first: a network's step lasts ``-tau_m ln(decay)`` of a circuit with membrane constant ``tau_m``
(the stated assumption of the platform), and the circuit's currents are averaged over that long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from analyses.inputs import Recording, describe_inputs, label_of, open_kind, spiking
from eiplatform.errors import StatisticError
from eiplatform.statistics import STATISTICS, summarise

__all__ = ["match_time", "run", "step_in_ms"]


def step_in_ms(layer: xr.Dataset, circuit: xr.Dataset) -> float:
    """Return how long one step of a network lasts in the time of a circuit.

    The membrane of the network forgets a factor ``decay`` per step; that of the circuit
    ``exp(-t / tau_m)`` in a time t.

    Parameters
    ----------
    layer : xarray.Dataset
        Population of a network, with ``membrane_decay``.
    circuit : xarray.Dataset
        Population of a circuit, with ``tau_membrane``.

    Examples
    --------
    >>> network = xr.Dataset(attrs={"membrane_decay": 0.5})
    >>> round(step_in_ms(network, xr.Dataset(attrs={"tau_membrane": 20.0})), 2)
    13.86
    """
    decay = float(layer.attrs["membrane_decay"])
    if decay <= 0:
        raise StatisticError("a membrane that forgets everything in a step has no time scale", where="membrane_decay")
    return -float(circuit.attrs["tau_membrane"]) * float(np.log(decay))


def match_time(circuit: xr.Dataset, interval_ms: float) -> xr.Dataset:
    """Average the currents of a circuit over intervals of about a given length.

    The length is the nearest whole number of recorded intervals; a remainder at the end is
    left out, and the attribute ``dt`` tells the length used.  Spike events stay as they are.

    Parameters
    ----------
    circuit : xarray.Dataset
    interval_ms : float
    """
    factor = max(1, round(interval_ms / float(circuit.attrs["dt"])))
    # An average of the voltage is not a voltage "before reset"; it is not compared.
    averaged = circuit.drop_vars("voltage", errors="ignore").coarsen(time=factor, boundary="trim")
    matched: xr.Dataset = averaged.mean(keep_attrs=True)
    matched = matched.assign_coords(time=circuit["time"].values[: factor * matched.sizes["time"] : factor])
    matched["time"].attrs = circuit["time"].attrs
    return matched.assign_attrs(circuit.attrs, dt=factor * float(circuit.attrs["dt"]))


def run(recording: Recording, references: Sequence[Recording], *, n_bootstrap: int = 1000, seed: int = 0) -> xr.Dataset:
    """Set every firing layer beside the excitatory populations of reference circuits.

    Parameters
    ----------
    recording : str, Path or DataTree
        Of a network that ran long enough for temporal statistics (some hundred steps).
    references : sequence of str, Path or DataTree
        Recordings of circuits, with several seeds each for a ceiling.
    n_bootstrap, seed : int
        Of the intervals.

    Returns
    -------
    xarray.Dataset, dims (population, reference, statistic)
        ``value``, ``low``, ``high`` (population, statistic) of the network;
        ``reference_value``, ``reference_low``, ``reference_high`` and ``ceiling`` (reference,
        statistic), the last being the range over the reference's own seeds;
        ``difference`` with ``difference_low`` and ``difference_high``: network minus
        reference, interval after Zou & Donner (2008), Stat Med 27:1693, from the two intervals;
        ``comparable`` and ``reason`` (statistic), ``note`` (population, reference, statistic).
        Differences of what is not comparable are NaN.

    Raises
    ------
    ConfigError
        If `recording` is not of a network or a reference not of a circuit.
    StatisticError
        If nothing fires, or the layers' membranes have different time constants.
    """
    (tree,) = open_kind([recording], "network", purpose="the recording")
    circuits = open_kind(references, "circuit", purpose="a reference")
    layers = spiking(tree)
    if not layers:
        raise StatisticError("no firing layer was recorded", where=tree.attrs["path"], remedy="record 'spikes'")
    if len({float(layer.attrs["membrane_decay"]) for layer in layers.values()}) > 1:
        raise StatisticError("the layers differ in their membrane constant", where=tree.attrs["path"])
    layer = next(iter(layers.values()))
    options: dict[str, Any] = {"n_bootstrap": n_bootstrap, "seed": seed}
    own = summarise(tree, list(STATISTICS), populations=layers, **options)

    rows, ceilings, names, intervals = [], [], [], []
    for circuit in circuits:
        for name, data in spiking(circuit).items():
            step = step_in_ms(layer, data)
            matched = match_time(data, step)
            rows.append(summarise(matched, list(STATISTICS), **options).isel(population=0, drop=True))
            ceilings.append(_ceiling(matched))
            names.append(f"{label_of(circuit)}: {name}")
            intervals.append(float(matched.attrs["dt"]))
    reference = xr.concat(rows, dim=xr.Variable("reference", names))
    result = own[["value", "low", "high", "n_samples", "n_neurons", "n_excluded"]]
    for name in ("value", "low", "high", "n_samples", "n_neurons", "n_excluded"):
        result[f"reference_{name}"] = reference[name]
    result["ceiling"] = (("reference", "statistic"), np.array(ceilings))
    result["interval_ms"] = ("reference", intervals)
    result = result.drop_vars("comparable")
    result["comparable"] = ("statistic", [entry.comparable for entry in STATISTICS.values()])
    result["reason"] = ("statistic", [entry.comparable_reason for entry in STATISTICS.values()])
    for name, values in _difference(result).items():
        result[name] = values
    notes = [own["note"].broadcast_like(result["difference"]), reference["note"].broadcast_like(result["difference"])]
    joined = np.array(
        [
            "; ".join(f"{who}: {note}" for who, note in (("network", a), ("reference", b)) if note)
            for a, b in zip(*(note.transpose(*result["difference"].dims).values.ravel() for note in notes), strict=True)
        ]
    )
    result["note"] = (result["difference"].dims, joined.reshape(result["difference"].shape))
    return result.assign_attrs(
        analysis="comparison", label=label_of(tree), **options, **describe_inputs([tree, *circuits])
    )


def _ceiling(circuit: xr.Dataset) -> list[float]:
    """Return the range of every statistic over the circuit's seeds; NaN with a single seed."""
    if circuit.sizes["sample"] < 2:
        return [float("nan")] * len(STATISTICS)
    values = []
    for index, sample in enumerate(circuit["sample"].values):
        one = circuit.isel(sample=[index])
        if "spike" in one.dims:
            one = one.isel(spike=np.flatnonzero(circuit["spike_sample"].values == sample))
        values.append(summarise(one, list(STATISTICS), n_bootstrap=1)["value"].values[0])
    with np.errstate(invalid="ignore"):
        spread: list[float] = (np.max(values, axis=0) - np.min(values, axis=0)).tolist()
    return spread


def _difference(result: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return network minus reference with its interval from the two separate intervals (MOVER)."""
    comparable = result["comparable"]
    dims = ("population", "reference", "statistic")
    difference = (result["value"] - result["reference_value"]).where(comparable)
    below = np.hypot(result["value"] - result["low"], result["reference_high"] - result["reference_value"])
    above = np.hypot(result["high"] - result["value"], result["reference_value"] - result["reference_low"])
    return {
        "difference": difference.transpose(*dims),
        "difference_low": (difference - below).transpose(*dims),
        "difference_high": (difference + above).transpose(*dims),
    }
