"""A CSV table of own measurements as a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from eiplatform.errors import StoreError, choose
from eiplatform.store.importing.arrays import from_arrays
from eiplatform.store.importing.values import numbers
from eiplatform.store.schema import SIGNALS
from eiplatform.store.tree import Recording
from eiplatform.untrusted import reading

__all__ = ["read_csv"]

_AXES = ("population", "sample", "time", "neuron")
_SHORT = {"exc": "current_exc", "inh": "current_inh"}
SPIKE_TIME = "spike_time"


def read_csv(path: str | Path, *, dt: float | None = None, **options: Any) -> Recording:
    r"""Read a long table: one row per sample, time and neuron, or one row per spike.

    Parameters
    ----------
    path : str or Path
        CSV file with a header.  Columns ``time`` and ``neuron``, ``sample`` and ``population`` where there are
        several, and one column per signal: ``current_exc`` (or ``exc``), ``current_inh`` (or ``inh``), ``spikes``,
        ``voltage``, ...  Or the columns ``spike_time`` and ``neuron``, a row per spike, with ``duration=``.
        A table that ``eiplatform export csv`` wrote is read back.
    dt : float, optional
        Length of an interval; default: the distance of the times.  Needed with spike times.
    **options
        ``time_units``, ``units``, ``label``, ``duration``, ``tau_membrane``, ... as of
        :func:`eiplatform.from_arrays`.

    Returns
    -------
    Recording

    Raises
    ------
    StoreError
        If columns are missing, times are not evenly spaced, or rows are missing or double.

    Examples
    --------
    >>> import eiplatform as ei, tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "clamp.csv"
    >>> _ = file.write_text("time,neuron,exc,inh\n0,0,1,2\n1,0,2,3\n0,1,4,5\n1,1,5,6\n")
    >>> ei.read_csv(file, units="pA")["E"].ds["current_inh"].values.tolist()
    [[[2.0, 5.0], [3.0, 6.0]]]
    """
    path = Path(path)
    if not path.is_file():
        raise StoreError("this file does not exist", where=str(path))
    with reading(path, what="the table cannot be read"):
        table = pd.read_csv(path, comment="#")
    table = table.rename(columns={name: str(name).strip() for name in table.columns}).rename(columns=_SHORT)
    if {"signal", "value"} <= set(table.columns):  # as 'eiplatform export csv' writes it
        index = [name for name in table.columns if name not in ("signal", "value")]
        table = table.pivot(index=index, columns="signal", values="value").reset_index()
    signals = [name for name in table.columns if name in SIGNALS]
    spiking = SPIKE_TIME in table.columns
    needed = ["neuron"] if spiking else ["time", "neuron"]
    missing = [name for name in needed if name not in table.columns]
    if missing or not (signals or spiking):
        raise StoreError(
            f"the table has the columns {', '.join(map(str, table.columns))}",
            where=str(path),
            valid=f"{', '.join(needed)} and signals such as exc, inh, spikes, voltage; or spike_time, neuron",
        )
    known = {*_AXES, *SIGNALS, SPIKE_TIME, "label", "role", "channel", "row", "col"}
    for name in table.columns:
        choose(str(name), known, "column", where=str(path))
    for name in {*_AXES, SPIKE_TIME, "label"} & set(table.columns):
        if table[name].isna().any():
            raise StoreError(
                f"the column '{name}' is empty in row {int(table[name].isna().argmax()) + 1}",
                where=str(path),
                remedy="fill the cell, or delete the row",
            )
    for name in {"time", SPIKE_TIME, *(["neuron"] if spiking else [])} & set(table.columns):
        numbers(table[name].to_numpy(), f"{path}: column '{name}'")
    if spiking and ((table["neuron"] < 0) | (table["neuron"] % 1 != 0)).any():
        raise StoreError("a neuron has no whole number", where=f"{path}: column 'neuron'", valid="0, 1, 2, ...")
    for axis, value in (("population", options.get("population", "E")), ("sample", 0)):
        if axis not in table.columns:
            table[axis] = value
    if spiking and (dt is None or "duration" not in options):
        raise StoreError("a table of spikes needs dt= and duration=", where=str(path))
    samples = sorted(table["sample"].unique().tolist())
    populations: dict[str, dict[str, Any]] = {}
    for name_of, part in table.groupby("population", sort=False):
        place = str(name_of)
        if spiking:
            populations[place] = {"spikes": _trains(part, samples)}
            continue
        arrays, interval = _arrays(part, signals, f"{path}: population '{place}'")
        dt = interval if dt is None else dt
        if not np.isclose(dt, interval, rtol=1e-3):
            raise StoreError(f"the times are {interval:g} apart, and dt is {dt:g}", where=str(path))
        own: dict[str, Any] = {"signals": {key: values for key, values in arrays.items() if key not in _OWN}}
        populations[place] = own | {_OWN[key]: arrays[key] for key in _OWN if key in arrays}
    labels = _labels(table, path) if "label" in table.columns else None
    options = {"label": path.stem, **options}
    options.pop("population", None)
    assert dt is not None
    return from_arrays(dt=dt, populations=populations, labels=labels, **options)


_OWN = {"current_exc": "exc", "current_inh": "inh", "spikes": "spikes"}


def _arrays(part: pd.DataFrame, signals: list[str], where: str) -> tuple[dict[str, np.ndarray], float]:
    """Return the signals of a population with the dimensions (sample, time, neuron), and the interval."""
    axes = [np.sort(part[axis].unique()) for axis in ("sample", "time", "neuron")]
    if part.duplicated(["sample", "time", "neuron"]).any():
        raise StoreError("some samples, times and neurons are there twice", where=where)
    shape = tuple(map(len, axes))
    if len(part) != np.prod(shape):
        raise StoreError(
            f"{len(part)} rows, but {shape[0]} samples x {shape[1]} times x {shape[2]} neurons",
            where=where,
            valid="a row for every sample, time and neuron",
        )
    steps = np.diff(axes[1].astype(float))
    if not steps.size or not np.allclose(steps, steps.mean(), rtol=1e-3):
        raise StoreError("the times are not evenly spaced", where=where, remedy="resample the signals first")
    ordered = part.sort_values(["sample", "time", "neuron"])
    held = [name for name in signals if ordered[name].notna().any()]
    return {name: ordered[name].to_numpy().reshape(shape) for name in held}, float(steps.mean())


def _trains(part: pd.DataFrame, samples: list[Any]) -> list[list[np.ndarray]]:
    """Return the spike times by sample and neuron; neurons are 0, 1, ... up to the highest that fired."""
    n_neurons = int(part["neuron"].max()) + 1
    return [
        [
            part.loc[(part["sample"] == sample) & (part["neuron"] == neuron), SPIKE_TIME].to_numpy()
            for neuron in range(n_neurons)
        ]
        for sample in samples
    ]


def _labels(table: pd.DataFrame, path: Path) -> np.ndarray:
    found = table.groupby("sample", sort=True)["label"].agg(["min", "max"])
    if (found["min"] != found["max"]).any():
        raise StoreError("a sample has several labels", where=str(path))
    labels: np.ndarray = found["min"].to_numpy()
    return labels
