"""Arrays of own measurements or simulations as a recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr

from eiplatform.errors import ConfigError, StoreError, choose
from eiplatform.store.attributes import ATTRIBUTES
from eiplatform.store.importing.values import counts, dense, magnitude, numbers
from eiplatform.store.memory_writer import MemoryWriter
from eiplatform.store.schema import SIGNALS, population_dataset
from eiplatform.store.tree import Recording
from eiplatform.store.units import POTENTIAL_UNITS, SI_UNITS, known_unit
from eiplatform.untrusted import is_plain

__all__ = ["from_arrays", "measured"]

_MS = {"ms": 1.0, "s": 1000.0, "us": 1e-3}
_GIVEN = ("role", "n_neurons", "dt", "dt_units", "n_time", "duration", "stored_as")
"""Attributes that the arrays and other arguments decide."""


def from_arrays(
    exc: Any = None,
    inh: Any = None,
    spikes: Any = None,
    *,
    dt: float,
    time_units: Literal["ms", "s", "us", "step"] = "ms",
    units: str = "1",
    population: str = "E",
    role: Literal["E", "I", "mixed"] | None = None,
    signals: Mapping[str, Any] | None = None,
    potential_units: str | None = None,
    labels: Any = None,
    label: str = "own recording",
    duration: float | None = None,
    n_neurons: int | None = None,
    populations: Mapping[str, Mapping[str, Any]] | None = None,
    **attributes: Any,
) -> Recording:
    """Make a recording of own arrays; every statistic, comparison and figure takes it.

    Parameters
    ----------
    exc, inh : array-like, shape (sample, time, neuron), (time, neuron) or (time,), optional
        Excitatory and inhibitory current of each neuron.  Inhibition may be given by its size (positive) or with
        its sign (negative throughout); excitation likewise, as an inward current (negative throughout).
    spikes : array-like or sequence, optional
        Spikes per interval (0 and 1, or counts), shaped like `exc`, without `duration`; or a list of one array of
        spike times per neuron, in `time_units` from the start, with `duration`; or a list of such lists, one per
        sample.
    dt : float
        Length of an interval, in `time_units`.
    time_units : {"ms", "s", "us", "step"}
        Of `dt` and spike times; stored as ms.  ``"step"``: time steps of a network, without a length.
    units : str
        Of the currents: ``"pA"``, ``"nA"``, ``"A"``, ``"mV"``, ``"nS"``, ``"pA/pF"``, ``"Hz"``, ..., or ``"1"``
        (``"a.u."``): arbitrary.
    population : str
        Name of the population, e.g. ``"E"`` or ``"L5E"``.
    role : {"E", "I", "mixed"}, optional
        Which neurons these are; default: by the last letter of `population`, else ``"mixed"``.
    signals : mapping of str to array-like, optional
        Further signals by name: ``voltage``, ``conductance_exc``, ``gain``, ... (``ei.list("signals")``).
    potential_units : str, optional
        Of ``voltage``: ``"mV"``, ``"V"``, ``"uV"`` or ``"1"``; default: `units`.
    labels : array-like of int, shape (sample,), optional
        Class of every sample (stimulus).
    label : str
        Name in tables and figures.
    duration : float, optional
        Length of a sample, in `time_units`, a whole number of intervals `dt`; needed with spike times alone, and
        refused with spikes per interval, which have their length.
    n_neurons : int, optional
        Neurons in the population, if more than were recorded.
    populations : mapping of str to mapping, optional
        Several populations at once: for each name a mapping with ``exc``, ``inh``, ``spikes``, ``signals``,
        ``role``, ``n_neurons`` and attributes, which go before those given here.
    **attributes
        What is known of the neurons: ``tau_membrane`` (ms; a comparison with a network matches time by it),
        ``threshold``, ``reversal_exc``, ``g_leak``, ``refractory``, ...

    Returns
    -------
    Recording
        An :class:`xarray.DataTree`; ``.save(path)`` writes it.

    Raises
    ------
    StoreError
        If shapes do not fit, values are not finite real numbers, or a current has both signs.
    ConfigError
        If `dt` or `duration` is not possible, or contradicts the arrays.
    UnknownNameError
        For a signal, attribute or unit that does not exist.

    Examples
    --------
    >>> import eiplatform as ei, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> clamp = ei.from_arrays(rng.random((300, 4)), -rng.random((300, 4)), dt=0.5, time_units="ms", units="pA")
    >>> clamp["E"].ds["current_inh"].dims, float(clamp["E"].ds["current_inh"].min()) >= 0
    (('sample', 'time', 'neuron'), True)
    """
    choose(time_units, (*_MS, "step"), "unit of time", where="time_units")
    units = known_unit(units, SI_UNITS, "units")
    potential_units = (
        None if potential_units is None else known_unit(potential_units, POTENTIAL_UNITS, "potential_units")
    )
    if not (isinstance(dt, int | float) and np.isfinite(dt) and dt > 0):
        raise ConfigError(f"{dt!r} is not possible", where="dt", valid="a number above 0")
    own = {"exc": exc, "inh": inh, "spikes": spikes, "signals": signals, "role": role, "n_neurons": n_neurons}
    if populations is None:
        parts = {population: {**own, **attributes}}
    else:
        if any(value is not None for value in own.values()):
            raise ConfigError(
                "populations says what each of them holds", where="from_arrays", remedy="leave out exc, ..."
            )
        parts = {name: {**own, **attributes, **part} for name, part in populations.items()}
    _check_names(parts)
    scale = 1.0 if time_units == "step" else _MS[time_units]
    grid = _Grid(float(dt) * scale, "step" if time_units == "step" else "ms", scale, duration)
    made = {
        name: _population(name, grid=grid, units=units, potential_units=potential_units, labels=labels, **part)
        for name, part in parts.items()
    }
    return measured(made, label=label, network=time_units == "step")


def measured(populations: Mapping[str, xr.Dataset], *, label: str, network: bool = False, **source: Any) -> Recording:
    """Return populations that eiplatform did not record as a recording."""
    about = {"kind": "network" if network else "measured", "label": label, "name": label, **source}
    with MemoryWriter(source=about, config={}) as writer:
        writer.append(populations)
    return writer.tree


class _Grid:
    """Intervals of time: their length, and how times given by the user become those of the store."""

    def __init__(self, dt: float, units: str, scale: float, duration: float | None) -> None:
        self.dt, self.units, self.scale = dt, units, scale
        self.duration: float | None = None
        if duration is None:
            return
        if not (isinstance(duration, int | float | np.number) and np.isfinite(duration) and duration > 0):
            raise ConfigError(f"{duration!r} is not possible", where="duration", valid="a number above 0")
        self.duration = float(duration) * scale
        intervals = round(self.duration / dt)
        if not intervals or not np.isclose(self.duration, intervals * dt, rtol=1e-6):
            raise ConfigError(
                f"{duration:g} is not a whole number of intervals of {dt / scale:g}",
                where="duration",
                valid="a multiple of dt",
                remedy="choose a smaller dt, or cut the spikes to whole intervals",
            )

    def check(self, n_time: int, name: str) -> None:
        """Raise if the signals of a population do not last as long as the user says."""
        if self.duration is not None and not np.isclose(self.duration, n_time * self.dt, rtol=1e-6):
            raise ConfigError(
                f"{self.duration / self.scale:g} was given, and the signals have {n_time} intervals of "
                f"{self.dt / self.scale:g}, which is {n_time * self.dt / self.scale:g}",
                where=f"duration of the population '{name}'",
                remedy="correct dt= or duration=, or leave out duration=",
            )


def _check_names(names: Iterable[Any]) -> None:
    """Raise if a population has a name that a recording cannot hold."""
    known = list(names)
    if not known:
        raise StoreError("no population is given", where="populations", valid="{'E': {'exc': ..., 'inh': ...}}")
    for name in known:
        if not (isinstance(name, str) and name == name.strip() and all(map(is_plain, name.split("/")))):
            raise StoreError(
                f"{name!r} is not possible as the name of a population",
                where="population",
                valid="a name such as 'E', 'L5E' or 'fc1/E'",
            )
        for other in known:
            if str(other).startswith(f"{name}/"):
                raise StoreError(
                    f"'{name}' cannot be a population and hold the population '{other}'",
                    where="populations",
                    remedy=f"rename one of them, e.g. '{name}/all'",
                )


def _population(
    name: str,
    *,
    grid: _Grid,
    units: str,
    potential_units: str | None,
    labels: Any,
    exc: Any = None,
    inh: Any = None,
    spikes: Any = None,
    signals: Mapping[str, Any] | None = None,
    role: str | None = None,
    n_neurons: int | None = None,
    **attributes: Any,
) -> xr.Dataset:
    known = [key for key in ATTRIBUTES if key not in _GIVEN]
    attrs = {choose(key, known, "attribute", where=f"population '{name}'"): attributes[key] for key in attributes}
    arrays: dict[str, np.ndarray] = {}
    for key, values in (("current_exc", exc), ("current_inh", inh)):
        if values is not None:
            arrays[key] = magnitude(dense(values, key), key)
    for key, values in (signals or {}).items():
        if choose(key, SIGNALS, "signal", where=f"population '{name}'") in arrays:
            raise StoreError(f"'{key}' is given twice", where=f"population '{name}'")
        arrays[key] = dense(values, key)
    if {"current_exc", "current_inh"} <= arrays.keys() and "current_net" not in arrays:
        _same_shape(arrays, name)
        arrays["current_net"] = arrays["current_exc"] - arrays["current_inh"]
    trains = None
    if spikes is not None:
        trains = _trains(spikes)
        if trains is None:
            arrays["spikes"] = counts(dense(spikes, "spikes", np.float64))
            if grid.duration is not None:
                form = arrays["spikes"].shape
                raise StoreError(
                    f"these are read as spikes per interval (sample, time, neuron) {form}, and duration= is for "
                    "spike times",
                    where=f"spikes of the population '{name}'",
                    valid="spike times with duration=: a list of one array per neuron; or spikes per interval without",
                    remedy=("spike times of one neuron: spikes=[times]", "spikes per interval: leave out duration="),
                )
    if potential_units is None and units not in POTENTIAL_UNITS:
        potentials = [key for key in arrays if SIGNALS[key].dimension == "potential"]
        if potentials:
            raise ConfigError(
                f"'{potentials[0]}' has no unit: '{units}' is one of currents",
                where=f"population '{name}'",
                valid=POTENTIAL_UNITS,
                remedy="potential_units='mV'",
            )
    if not arrays and trains is None:
        raise StoreError("nothing is given", where=f"population '{name}'", valid="exc=, inh=, spikes= or signals=")
    _same_shape(arrays, name)
    shape = next(iter(arrays.values())).shape if arrays else None
    events: dict[str, np.ndarray] | None = None
    if trains is not None:
        if grid.units == "step":
            raise StoreError("spike times need a unit of time", where=f"population '{name}'", valid="time_units='ms'")
        if grid.duration is None and shape is not None and _looksdense(spikes, shape):
            raise StoreError(
                "these could be spike times or spikes per interval",
                where=f"spikes of the population '{name}'",
                valid="spike times with duration=, or spikes per interval as one array",
                remedy=("spike times: duration=...", "spikes per interval: spikes=np.array(...)"),
            )
        shape = shape or _shape_of(trains, grid, name)
        attrs["duration"] = shape[1] * grid.dt
        events = _events(trains, shape, grid, name)
    assert shape is not None
    n_samples, n_time, recorded = shape
    grid.check(n_time, name)
    time = np.arange(n_time) if grid.units == "step" else np.arange(n_time) * grid.dt
    stimulus = None if labels is None else numbers(labels, "labels")
    if stimulus is not None and (stimulus.shape != (n_samples,) or stimulus.dtype.kind not in "iu"):
        raise StoreError(
            f"the labels have the shape {stimulus.shape}",
            where="labels",
            valid=f"whole numbers of shape ({n_samples},)",
        )
    return population_dataset(
        arrays,
        sample=np.arange(n_samples),
        time=time,
        neuron=np.arange(recorded),
        dt=grid.dt,
        time_units=grid.units,
        current_units=units,
        potential_units=potential_units,
        n_neurons=recorded if n_neurons is None else n_neurons,
        role=role or _role(name),
        events=events,
        sample_coords=None if stimulus is None else {"label": stimulus},
        attrs=attrs,
    )


def _role(name: str) -> str:
    return name[-1:] if name[-1:] in ("E", "I") else "mixed"


def _same_shape(arrays: Mapping[str, np.ndarray], name: str) -> None:
    shapes = {key: values.shape for key, values in arrays.items()}
    if len(set(shapes.values())) > 1:
        told = ", ".join(f"{key} {shape}" for key, shape in shapes.items())
        raise StoreError(f"the shapes differ: {told}", where=f"population '{name}'", valid="one shape for all signals")


Trains = list[list[np.ndarray]]


def _trains(spikes: Any) -> Trains | None:
    """Return spike times by sample and neuron; None if these are spikes per interval."""
    if not isinstance(spikes, Sequence) or isinstance(spikes, str | bytes) or not len(spikes):
        return None
    nested = isinstance(spikes[0], list | tuple) and len(spikes[0]) > 0 and numbers(spikes[0][0], "spikes").ndim > 0
    samples = spikes if nested else [spikes]
    if not nested and numbers(spikes[0], "spikes").ndim != 1:
        return None
    trains = [[numbers(train, "spikes").astype(np.float64) for train in sample] for sample in samples]
    for train in (train for sample in trains for train in sample):
        if train.ndim != 1:
            raise StoreError(
                f"the spike times of a neuron have the shape {train.shape}",
                where="spikes",
                valid="a list of one row of times per neuron, or one such list per sample",
            )
    return trains


def _looksdense(spikes: Any, shape: tuple[int, ...]) -> bool:
    """Whether spike times would also fit as spikes per interval of that shape."""
    try:
        found = np.asarray(spikes)
    except ValueError:
        return False
    return found.shape in (shape, shape[1:]) and not (found % 1).any()


def _shape_of(trains: Trains, grid: _Grid, name: str) -> tuple[int, int, int]:
    if grid.duration is None:
        raise StoreError(
            "spike times do not say how long was recorded", where=f"population '{name}'", remedy="duration=..."
        )
    return len(trains), max(1, round(grid.duration / grid.dt)), len(trains[0])


def _events(trains: Trains, shape: tuple[int, ...], grid: _Grid, name: str) -> dict[str, np.ndarray]:
    n_samples, n_time, n_neurons = shape
    if len(trains) != n_samples or any(len(sample) != n_neurons for sample in trains):
        found = (len(trains), sorted({len(sample) for sample in trains}))
        raise StoreError(
            f"spike times of {found[0]} samples and {found[1]} neurons",
            where=f"population '{name}'",
            valid=f"{n_samples} samples of {n_neurons} neurons each",
        )
    length = n_time * grid.dt
    times, neurons, samples = [], [], []
    for sample, trains_of in enumerate(trains):
        for neuron, train in enumerate(trains_of):
            scaled = np.sort(train) * grid.scale
            if scaled.size and not (np.isfinite(scaled).all() and 0 <= scaled[0] and scaled[-1] < length):
                raise StoreError(
                    f"neuron {neuron} has spikes from {scaled[0]:.6g} to {scaled[-1]:.6g} ms",
                    where=f"population '{name}'",
                    valid=f"from 0 to {length:g} ms, from the start of the sample",
                )
            times.append(scaled)
            neurons.append(np.full(scaled.size, neuron))
            samples.append(np.full(scaled.size, sample))
    time, neuron_of, sample_of = (np.concatenate(parts) for parts in (times, neurons, samples))
    order = np.lexsort((time, sample_of))
    return {"spike_time": time[order], "spike_neuron": neuron_of[order], "spike_sample": sample_of[order]}
