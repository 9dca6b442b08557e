"""Which statistics the shipped summaries of circuits hold, under the names of the platform."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from eiplatform.statistics.registry import STATISTICS
from eiplatform.store.references import read_reference

__all__ = ["SUMMARISED", "reference_table"]


def _ratio(summary: xr.Dataset) -> xr.DataArray:
    """Return mean excitation over mean inhibition with the interval that the spread of both gives."""
    exc, inh = summary["current_exc"], summary["current_inh"]
    mean = exc.sel(over_seeds="mean") / inh.sel(over_seeds="mean")
    # Both rise and fall together over seeds; the interval of their difference over E is that of the ratio.
    low, high = (1 / (1 - summary["balance"].sel(over_seeds=end)) for end in ("low", "high"))
    ratio: xr.DataArray = xr.concat([mean, low, high], dim="over_seeds").assign_coords(
        over_seeds=["mean", "low", "high"]
    )
    return ratio


SUMMARISED: dict[str, tuple[str | Callable[[xr.Dataset], xr.DataArray], str]] = {
    "ei_ratio": (_ratio, "ratio of the means over all neurons, of a network the geometric mean of neurons' ratios"),
    "balance_index": ("balance", "of the means over all neurons"),
    "ei_correlation_time": ("ei_own", "recurrent excitation only, at 1 ms"),
    "ei_correlation_time_cross": ("ei_cross", "recurrent excitation only, at 1 ms"),
    "cv_isi": ("cv", "neurons with at least 50 spikes"),
    "lv": ("lv", "neurons with at least 10 spikes"),
}
"""Statistic: the variable of a summary, and how its definition differs."""


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
        ``reference_value``, ``reference_low``, ``reference_high`` (Student t over the circuit's seeds);
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
            one = summary.sel(population=[population])
            row = np.full((3, len(statistics)), np.nan)
            for index, key in enumerate(statistics):
                source = SUMMARISED[key][0] if key in SUMMARISED else None
                if source is not None and (callable(source) or source in one):
                    held = source(one) if callable(source) else one[source]
                    row[:, index] = held.sel(over_seeds=["mean", "low", "high"]).values[:, 0]
            names.append(f"{summary.attrs['circuit']}: {population}")
            rows.append(row)
    values = np.array(rows).reshape(len(names), 3, len(statistics))
    dims = ("reference", "statistic")
    entries = [STATISTICS[key] for key in statistics]
    return xr.Dataset(
        {
            **{f"reference_{end}": (dims, values[:, index]) for index, end in enumerate(("value", "low", "high"))},
            "comparable": ("statistic", [entry.comparable and entry.key in SUMMARISED for entry in entries]),
            "caution": (
                "statistic",
                [
                    f"{entry.comparable_reason}; circuit: {SUMMARISED[entry.key][1]}"
                    if entry.key in SUMMARISED
                    else "not in the summaries of circuits"
                    for entry in entries
                ],
            ),
        },
        coords={"reference": np.array(names, dtype=str), "statistic": list(statistics)},
    )
