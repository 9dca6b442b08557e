"""The one vocabulary of a recording: signals, their units, and how a population is labelled.

A trained network and a Brian2 circuit fill the *same* schema, so that nothing downstream
asks where a recording came from.  Dimensions are always ``(sample, time, neuron)``:

``sample``
    an image shown to a network, or a trial (seed) of a circuit;
``time``
    steps of a network, milliseconds of a circuit (attribute ``units``);
``neuron``
    index within the population (a subset may be recorded; ``n_neurons`` counts all).

Spikes of all neurons of a circuit are kept as events (dimension ``spike``), because a dense
array of 0.1 ms bins would be empty space; :mod:`eiplatform.store.events` ties them to the dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.errors import StoreError, choose
from eiplatform.store.attributes import ATTRIBUTES, ROLES, TIME_UNITS
from eiplatform.store.events import tie

__all__ = [
    "EVENTS",
    "EXCITATORY_PARTS",
    "MAGNITUDES",
    "PARAMETERS",
    "SCHEMA_VERSION",
    "SIGNALS",
    "Signal",
    "population_dataset",
]

SCHEMA_VERSION = "1.0"


@dataclass(frozen=True)
class Signal:
    """One named quantity of a population.

    Attributes
    ----------
    long_name : str
        Plain description, stored with the variable.
    dimension : str
        ``current`` and ``potential`` take the recording's own unit (mV or pA in a circuit, the
        threshold's scale in a network); the others fix it: ``conductance`` (nS),
        ``dimensionless``, ``count``, ``rate``.
    attrs : dict
        Further attributes stored with the variable.
    magnitude : bool
        Whether it cannot be negative.
    """

    long_name: str
    dimension: str
    attrs: Mapping[str, Any]
    magnitude: bool = False


def _signal(long_name: str, dimension: str, magnitude: bool = False, **attrs: Any) -> Signal:
    return Signal(long_name, dimension, attrs, magnitude)


SIGNALS: dict[str, Signal] = {
    "current_exc": _signal("excitatory input current", "current", magnitude=True, sign=1),
    "current_exc_recurrent": _signal("recurrent part of the excitatory current", "current", magnitude=True, sign=1),
    "current_exc_external": _signal("external part of the excitatory current", "current", magnitude=True, sign=1),
    "current_inh_recurrent": _signal("recurrent part of the inhibitory current", "current", magnitude=True, sign=-1),
    "current_inh_external": _signal("external part of the inhibitory current", "current", magnitude=True, sign=-1),
    "current_exc_constant": _signal("constant part of the excitatory current", "current", magnitude=True, sign=1),
    "current_inh": _signal("magnitude of the subtractive inhibitory current", "current", magnitude=True, sign=-1),
    "current_net": _signal("net current, excitatory minus inhibitory", "current"),
    "current_exc_fixed": _signal(
        "excitatory synaptic current if the potential were fixed", "current", magnitude=True, sign=1
    ),
    "current_inh_fixed": _signal(
        "inhibitory synaptic current if the potential were fixed", "current", magnitude=True, sign=-1
    ),
    "conductance_exc": _signal("excitatory synaptic conductance", "conductance", magnitude=True),
    "conductance_inh": _signal("inhibitory synaptic conductance", "conductance", magnitude=True),
    "inhibition_div": _signal("divisive (shunting) inhibition", "dimensionless", magnitude=True),
    "gain": _signal("factor that multiplies the net current", "dimensionless", magnitude=True),
    "drive": _signal("input to the membrane, gain x net + bias", "current"),
    "voltage": _signal("membrane potential before reset", "potential"),
    "spikes": _signal("spikes", "count"),
    "output": _signal("what spikes send on: positive minus negative ones", "count"),
    "feedback": _signal("factor of a neuron's self-feedback on its drive", "dimensionless"),
    "activity": _signal("output of a graded (non-spiking) population", "rate", magnitude=True),
}
"""Signals per (sample, time, neuron)."""

MAGNITUDES = frozenset(name for name, signal in SIGNALS.items() if signal.magnitude)
"""Signals that cannot be negative."""

EXCITATORY_PARTS = ("current_exc_recurrent", "current_exc_external", "current_exc_constant")
"""Signals whose sum, as far as recorded, is ``current_exc``."""

PARAMETERS: dict[str, Signal] = {
    "bias": _signal("bias added after the gain", "current"),
    "gain_exc": _signal("excitatory gain g_E, the gain's numerator", "dimensionless"),
    "threshold": _signal("threshold of the neuron, where every neuron has its own", "potential"),
    "norm_shift": _signal("shift of batch normalisation, whose scale is folded into the weights", "current"),
}
"""Parameters per neuron that the sum rules need."""

EVENTS: dict[str, Signal] = {
    "spike_time": _signal("spike time since the start of the recording", "time"),
    "spike_neuron": _signal("index of the neuron that fired", "index"),
    "spike_sample": _signal("sample (trial) of the spike", "index"),
}
"""Spikes of all neurons as a list of events (dimension ``spike``)."""

_FIXED_UNITS = {"conductance": "nS", "dimensionless": "1", "count": "1", "index": "1", "rate": "1"}


def population_dataset(
    signals: Mapping[str, np.ndarray],
    *,
    sample: np.ndarray,
    time: np.ndarray,
    neuron: np.ndarray,
    dt: float,
    time_units: str,
    current_units: str,
    potential_units: str | None = None,
    n_neurons: int,
    role: str,
    parameters: Mapping[str, np.ndarray] | None = None,
    events: Mapping[str, np.ndarray] | None = None,
    sample_coords: Mapping[str, np.ndarray] | None = None,
    neuron_coords: Mapping[str, np.ndarray] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Label one population's signals as the store keeps them.

    Parameters
    ----------
    signals : mapping of str to array, shape (sample, time, neuron)
        Names from :data:`SIGNALS`.
    sample, time, neuron : array
        Coordinates: ids of the samples, start of each recorded interval, neuron indices.
    dt : float
        Length of one recorded interval, in `time_units`.
    time_units : {"step", "ms"}
    current_units : str
        Unit of currents and potentials, e.g. ``"mV"``; ``"1"`` for a network, whose
        currents are measured in the units of its threshold.
    potential_units : str, optional
        Unit of potentials, if it is another one than that of currents.
    n_neurons : int
        Size of the whole population, recorded or not.
    role : {"E", "I", "mixed"}
        ``mixed``: neurons of a foreign network, which excite and inhibit.
    parameters : mapping of str to array, shape (neuron,), optional
        Names from :data:`PARAMETERS`.
    events : mapping of str to array, shape (spike,), optional
        Names from :data:`EVENTS`, all three or none; all neurons of the population.  They need the
        attribute ``duration``, and the intervals of `time` must cover it.
    sample_coords : mapping of str to array, shape (sample,), optional
        Further coordinates of the samples, e.g. ``label``.
    neuron_coords : mapping of str to array, shape (neuron,), optional
        Further coordinates of the neurons: ``channel``, ``row``, ``col`` of a convolutional layer.
    attrs : mapping, optional
        Attributes of the population, e.g. ``threshold``.

    Returns
    -------
    xarray.Dataset
        Events are coordinates, tied to the dimensions by :func:`eiplatform.store.tie`.

    Raises
    ------
    UnknownNameError
        For a name outside the schema.
    StoreError
        For a shape that does not fit the coordinates, a negative magnitude, an attribute with a value
        that it cannot have, or events that do not fit.
    """
    choose(role, ROLES, "role")
    choose(time_units, TIME_UNITS, "time unit")
    time = np.asarray(time)
    if time_units == "step" and time.dtype.kind not in "iu":
        if not np.array_equal(time, np.floor(time)):
            raise StoreError("steps are not whole numbers", where="time", valid="0, 1, 2, ...")
        time = time.astype(np.int64)
    units = {
        **_FIXED_UNITS,
        "current": current_units,
        "potential": potential_units or current_units,
        "time": time_units,
    }
    sizes = {"sample": len(sample), "time": len(time), "neuron": len(neuron)}
    variables: dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, Any]]] = {}

    def add(names: Mapping[str, np.ndarray], table: Mapping[str, Signal], dims: tuple[str, ...], kind: str) -> None:
        for name, values in names.items():
            meta = table[choose(name, table, kind)]
            values = np.asarray(values)
            expected = tuple(sizes[dim] for dim in dims)
            if values.shape != expected:
                raise StoreError(
                    f"{kind} '{name}' has shape {values.shape}", valid=f"{dict(zip(dims, expected, strict=True))}"
                )
            if name in MAGNITUDES and values.size and values.min() < 0:
                raise StoreError(
                    f"{kind} '{name}' has negative values",
                    valid=f"magnitudes; the lowest here is {values.min()}",
                    remedy="currents are given by their size: inhibition is positive, and taken off",
                )
            variables[name] = (
                dims,
                values,
                {"long_name": meta.long_name, "units": units[meta.dimension], **meta.attrs},
            )

    add(signals, SIGNALS, ("sample", "time", "neuron"), "signal")
    add(parameters or {}, PARAMETERS, ("neuron",), "parameter")
    if events:
        if set(events) != set(EVENTS):
            raise StoreError("incomplete spike events", valid=EVENTS)
        sizes["spike"] = len(events["spike_time"])
        add(events, EVENTS, ("spike",), "event")

    coords: dict[str, Any] = {
        "sample": ("sample", np.asarray(sample), {"long_name": "sample (image or trial)"}),
        "time": ("time", np.asarray(time), {"long_name": "start of the interval", "units": time_units}),
        "neuron": ("neuron", np.asarray(neuron), {"long_name": "index within the population"}),
    }
    for name, values in (sample_coords or {}).items():
        coords[name] = ("sample", np.asarray(values), {})
    for name, values in (neuron_coords or {}).items():
        coords[name] = ("neuron", np.asarray(values), {"long_name": f"{name} of the neuron"})
    described = {"role": role, "n_neurons": int(n_neurons), "dt": float(dt), "dt_units": time_units, **(attrs or {})}
    for key, value in described.items():
        if key in ATTRIBUTES and (problem := ATTRIBUTES[key].problem(value)):
            raise StoreError(f"the attribute '{key}' {problem}", valid=ATTRIBUTES[key].meaning)
    return tie(xr.Dataset(variables, coords=coords, attrs=described))
