"""Recordings as tidy tables: one value per row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.files import atomic_write, claim_file
from eiplatform.memory import available_memory
from eiplatform.store.blocks import BLOCK_BYTES, row_blocks, sample_blocks
from eiplatform.store.csvw import write_sidecar
from eiplatform.store.export.selection import opened, select
from eiplatform.store.identity import recording_hash
from eiplatform.store.schema import EVENTS, SIGNALS

__all__ = ["COLUMNS", "export_csv", "to_frame"]

COLUMNS = ("population", "sample", "time", "neuron", "signal", "value")
_ROW_BYTES = 2 * (3 * 8 + 8 + 2 * 2)  # the pieces and their concatenation


def to_frame(
    source: str | Path | xr.DataTree,
    *,
    populations: Iterable[str] | None = None,
    signals: Iterable[str] | None = None,
    samples: Iterable[int] | None = None,
    neurons: Iterable[int] | None = None,
    partial: bool = False,
    max_bytes: int | None = None,
) -> pd.DataFrame:
    """Return a recording in long form: population, sample, time, neuron, signal, value.

    Parameters
    ----------
    source : str, Path or xarray.DataTree
        A recording, or what :func:`eiplatform.open` gave.
    populations, signals : iterable of str, optional
        Names or wildcards, e.g. ``["fc*/E"]``, ``["current_*"]``.  Default: all.  Spike events are
        rows of the signal ``spikes`` with value 1 at their time (not an interval's start);
        dense spikes have a row for every interval, 0 or 1.
    samples, neurons : iterable of int, optional
        Ids as in the coordinates.  Default: all.
    partial : bool
        Passed to :func:`eiplatform.open`.
    max_bytes : int, optional
        Refuse a larger table; default: half of the memory that is free.

    Returns
    -------
    pandas.DataFrame
        Time in the recording's unit, values in the signal's: see ``.attrs["units"]``.

    Raises
    ------
    UnknownNameError
        If a name matches nothing.
    StoreError
        If the table would not fit.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from eiplatform.store.schema import population_dataset
    >>> data = population_dataset(
    ...     {"current_exc": np.arange(4.0).reshape(2, 1, 2)}, sample=[7, 8], time=[0], neuron=[0, 5],
    ...     dt=1.0, time_units="step", current_units="1", n_neurons=9, role="E")
    >>> to_frame(xr.DataTree.from_dict({"fc1/E": data}), samples=[8])[["sample", "neuron", "value"]].values.tolist()
    [[8.0, 0.0, 2.0], [8.0, 5.0, 3.0]]
    """
    parts = select(
        opened(source, partial=partial), populations=populations, signals=signals, samples=samples, neurons=neurons
    )
    n_rows = sum(map(_rows, parts.values()))
    needed, allowed = n_rows * _ROW_BYTES, available_memory() // 2 if max_bytes is None else max_bytes
    if needed > allowed:
        raise StoreError(
            f"a table of {n_rows:,} rows takes about {needed / 1e6:,.1f} MB, {allowed / 1e6:,.1f} MB are allowed",
            remedy="choose fewer populations, signals, samples or neurons, raise max_bytes, "
            "or write it piece by piece with 'eiplatform export csv'",
        )
    pieces = [piece for name, data in parts.items() for piece in _pieces(name, data, neurons)]
    table = pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame(columns=list(COLUMNS))
    for column, categories in (("population", list(parts)), ("signal", list(SIGNALS))):
        present = [name for name in categories if (table[column] == name).any()]
        table[column] = pd.Categorical(table[column], categories=present)
    table.attrs["units"] = {
        name: {str(key): variable.attrs.get("units", "1") for key, variable in data.data_vars.items()}
        | {"time": data.attrs["dt_units"]}
        for name, data in parts.items()
    }
    return table


def export_csv(
    source: str | Path | xr.DataTree,
    out: str | Path,
    *,
    populations: Iterable[str] | None = None,
    signals: Iterable[str] | None = None,
    samples: Iterable[int] | None = None,
    neurons: Iterable[int] | None = None,
    partial: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write the table of :func:`to_frame` as CSV, piece by piece; memory does not grow with its length.

    Parameters
    ----------
    out : str or Path
        File, e.g. ``table.csv``.
    overwrite : bool
        Replace an earlier file.
    source, populations, signals, samples, neurons, partial
        As in :func:`to_frame`.

    Raises
    ------
    UnknownNameError
        If a name matches nothing.
    OutputExistsError
        If `out` is taken.
    """
    out = claim_file(Path(out), overwrite=overwrite)
    tree = opened(source, partial=partial)
    parts = select(tree, populations=populations, signals=signals, samples=samples, neurons=neurons)

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as handle:
            handle.write(",".join(COLUMNS) + "\n")
            for name, data in parts.items():
                for piece in _pieces(name, data, neurons):
                    piece.to_csv(handle, header=False, index=False, lineterminator="\n")

    out.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(out, write)
    held = tree.attrs.get("source", {})
    name = str(held.get("label") or held.get("name", out.stem))
    write_sidecar(out, COLUMNS, name, {"recordings": f"{name} ({recording_hash(tree.attrs)})"} if held else {})
    return out


def _rows(data: xr.Dataset) -> int:
    """Return the number of rows of one population, events of samples or neurons left out included."""
    dense = sum(variable.size for key, variable in data.data_vars.items() if key in SIGNALS)
    return int(dense) + int(data.sizes.get("spike", 0))


def _pieces(name: str, data: xr.Dataset, neurons: Iterable[int] | None) -> Iterator[pd.DataFrame]:
    """Yield the rows of one population, a bounded number at a time."""
    signals = [str(key) for key in data.data_vars if key in SIGNALS]
    for block in sample_blocks(data[signals], budget=BLOCK_BYTES // 8) if signals else ():
        part = data.isel(sample=block)
        axes = (part[axis].values for axis in ("sample", "time", "neuron"))
        sample, time, neuron = (grid.ravel() for grid in np.meshgrid(*axes, indexing="ij"))
        for signal in signals:
            values = part[signal].values
            yield _frame(name, sample, time, neuron, signal, values.ravel())
    if set(EVENTS) <= set(data.data_vars) and "spikes" not in signals:
        for block in row_blocks((data.sizes["spike"],), 8, BLOCK_BYTES // 8):
            time, neuron, sample = (data[key][block].values for key in EVENTS)
            kept = np.isin(sample, data["sample"].values)
            if neurons is not None:
                kept &= np.isin(neuron, data["neuron"].values)
            yield _frame(name, sample[kept], time[kept], neuron[kept], "spikes", np.ones(int(kept.sum()), np.float32))


def _frame(
    name: str, sample: np.ndarray, time: np.ndarray, neuron: np.ndarray, signal: str, value: np.ndarray
) -> pd.DataFrame:
    columns = (name, sample, time, neuron, signal, value if value.dtype.kind == "f" else value.astype(np.float32))
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))
