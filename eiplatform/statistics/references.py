"""What the shipped summaries of circuits say of some statistics, as one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from eiplatform.statistics.registry import STATISTICS
from eiplatform.store.references import at_step, read_reference

__all__ = ["reference_table"]


def reference_table(paths: Sequence[str | Path], statistics: Sequence[str]) -> xr.Dataset:
    """Return what summaries of circuits say of some statistics, for their excitatory populations.

    Parameters
    ----------
    paths : sequence of path
        Files as :func:`eiplatform.store.references.reference_file` gives them.
    statistics : sequence of str
        Keys of :data:`~eiplatform.statistics.STATISTICS`; those that no summary holds are NaN.

    Returns
    -------
    xarray.Dataset, dims (reference, statistic)
        ``reference_value``, ``reference_low``, ``reference_high`` (Student t over the circuit's seeds; currents
        averaged over what a step of a network lasts there);
        ``comparable`` and ``caution`` (statistic).  References are called ``circuit: population``.

    Examples
    --------
    >>> from eiplatform.store.references import reference_file
    >>> table = reference_table([reference_file("brunel-2000-C")], ["balance_index", "gain"])
    >>> table["reference"].values.tolist(), round(float(table["reference_value"][0, 0]), 2)
    (['brunel-2000: E'], 0.18)
    """
    names: list[str] = []
    rows: list[np.ndarray] = []
    for path in paths:
        summary = read_reference(path)
        for population in summary["population"].values.tolist():
            if not population.endswith("E"):
                continue
            one = summary.sel(population=population)
            row = np.full((3, len(statistics)), np.nan)
            for index, key in enumerate(statistics):
                if key in one:
                    row[:, index] = at_step(one[key]).sel(over_seeds=["mean", "low", "high"]).values
            names.append(f"{summary.attrs['circuit']}: {population}")
            rows.append(row)
    values = np.array(rows).reshape(len(names), 3, len(statistics))
    dims = ("reference", "statistic")
    entries = [STATISTICS[key] for key in statistics]
    return xr.Dataset(
        {
            **{f"reference_{end}": (dims, values[:, index]) for index, end in enumerate(("value", "low", "high"))},
            "comparable": ("statistic", [entry.comparable for entry in entries]),
            "caution": ("statistic", [entry.comparable_reason for entry in entries]),
        },
        coords={"reference": np.array(names, dtype=str), "statistic": list(statistics)},
    )
