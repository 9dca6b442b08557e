"""How long a step of a network lasts in a circuit's time, and a circuit averaged over intervals of that length."""

from __future__ import annotations

import numpy as np
import xarray as xr

from eiplatform.errors import StatisticError
from eiplatform.store import tie
from eiplatform.store.chosen import plain
from eiplatform.store.schema import EVENTS

__all__ = ["match_time", "step_in_ms"]


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
    left out, and the attribute ``dt`` is the length used.  Spikes stay as they are; windows in which they are
    counted are then as many times `interval_ms` as a network's are steps (attribute ``step_ms``).
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
    return tie(
        matched.assign(spikes).assign_attrs(listed.attrs, dt=factor * float(circuit.attrs["dt"]), step_ms=interval_ms)
    )
