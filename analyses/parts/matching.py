"""Matching of time and units between a network and what it is compared with, and what forbids it."""

from __future__ import annotations

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.measured import Side
from eiplatform.errors import StatisticError
from eiplatform.statistics import Statistic
from eiplatform.store import tie
from eiplatform.store.chosen import plain
from eiplatform.store.schema import EVENTS

__all__ = ["BY_SIZE", "comparability", "match_time", "step_in_ms"]

BY_SIZE = (
    *("ei_ratio", "balance_index", "imbalance_index", "ei_ratio_sd"),
    *("mean_to_fluctuation_samples", "mean_to_fluctuation_time"),
)
"""Statistics that depend on the in-degree: of networks only the same layers at the same sizes are compared."""

CONVERTED = ("rate",)
"""Statistics with a unit of time, compared after conversion by the stated length of a step."""


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
    for side, name, whose in ((layer, "membrane_decay", "network"), (circuit, "tau_membrane", "circuit")):
        if name not in side.attrs:
            raise StatisticError(f"the {whose} does not say how fast its membrane forgets ({name})", where=whose)
    decay = float(layer.attrs["membrane_decay"])
    if decay <= 0:
        raise StatisticError("a membrane that forgets everything in a step has no time scale", where="membrane_decay")
    return -float(circuit.attrs["tau_membrane"]) * float(np.log(decay))


def match_time(circuit: xr.Dataset, interval_ms: float) -> xr.Dataset:
    """Average the currents of a circuit over intervals of about a given length.

    The length is the nearest whole number of recorded intervals; a remainder at the end is
    left out, and the attribute ``dt`` tells the length used.  Spikes stay as they are.
    """
    factor = max(1, round(interval_ms / float(circuit.attrs["dt"])))
    listed = plain(circuit)
    # An average of the voltage is not a voltage "before reset"; it is not compared.
    dense = listed.drop_vars("voltage", errors="ignore").drop_dims("spike", errors="ignore")
    averaged = dense.coarsen(time=factor, boundary="trim")
    matched: xr.Dataset = averaged.mean(keep_attrs=True)
    matched = matched.assign_coords(time=circuit["time"].values[: factor * matched.sizes["time"] : factor])
    matched["time"].attrs = circuit["time"].attrs
    spikes = {name: listed[name] for name in EVENTS if name in listed}
    return tie(matched.assign(spikes).assign_attrs(listed.attrs, dt=factor * float(circuit.attrs["dt"])))


def comparability(entry: Statistic, own: Side, reference: Side) -> tuple[bool, str, float]:
    """Say whether a statistic may be compared, why, and by what the network's value is multiplied for it.

    Parameters
    ----------
    entry : Statistic
    own : Side
        Of a network.
    reference : Side
        Of a network, a circuit or a shipped summary.

    Returns
    -------
    comparable : bool
    reason : str
        Why not, or with what caution.
    factor : float
        From the network's unit to the reference's.
    """
    mine, other = own.cells[entry.key], reference.cells[entry.key]
    if other.not_comparable:
        return False, other.not_comparable, 1.0
    if reference.kind == "circuit" and "voltage" in entry.needs:
        return (
            False,
            "the circuit's time is matched to steps, and an average of the voltage is none before a reset",
            1.0,
        )
    if reference.kind != "network":
        if entry.key in CONVERTED:
            return (
                True,
                f"spikes per step in Hz: a step is taken as {reference.step_ms:.3g} ms",
                1e3 / reference.step_ms,
            )
        return entry.comparable, entry.comparable_reason, 1.0
    sizes, others = own.facts["sizes"], reference.facts["sizes"]
    unlike = [name for name in sizes if name in others and sizes[name] != others[name]]
    if entry.key in BY_SIZE and unlike:
        return False, f"other sizes ({', '.join(unlike)}): it depends on the in-degree", 1.0
    if mine.units != other.units:
        return False, f"other units: {mine.units} against {other.units}", 1.0
    if own.facts["dt"] != reference.facts["dt"] and entry.over != "sample":
        return False, f"every {own.facts['dt']:g} steps recorded against every {reference.facts['dt']:g}", 1.0
    if mine.window and other.window and mine.window != other.window:
        return False, f"other windows: {mine.window} against {other.window}", 1.0
    if "time" in entry.over and entry.over != "sample and time" and own.facts["n_time"] != reference.facts["n_time"]:
        steps = f"{own.facts['n_time']} against {reference.facts['n_time']}"
        return False, f"estimated over other lengths: {steps} recorded intervals", 1.0
    cautions = []
    if own.facts["input"] != reference.facts["input"]:
        cautions.append(f"other input: {own.facts['input'] or '?'} against {reference.facts['input'] or '?'}")
    if any(own.facts[name] != reference.facts[name] for name in ("sample", "shown")):
        cautions.append("other samples: the difference is of networks and samples together")
    return True, "; ".join(cautions), 1.0
