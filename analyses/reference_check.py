"""Does a simulated circuit do what its closed form says?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from eiplatform.analyses.inputs import Recording, describe_inputs, label_of, open_kind, spiking
from eiplatform.errors import StatisticError
from eiplatform.statistics.kernels import student
from eiplatform.statistics.estimates import rate_table
from eiplatform.statistics.population import Population

__all__ = ["run"]

QUANTITIES = ("rate", "current_exc", "current_exc_recurrent", "current_exc_external", "current_inh", "current_net")


def run(references: Sequence[Recording], *, level: float = 0.95) -> xr.Dataset:
    """Compare mean rates and currents of circuits with their closed form.

    Parameters
    ----------
    references : sequence of str, Path or DataTree
        Recordings of circuits.
    level : float
        Nominal coverage of the interval (Student t over seeds).

    Returns
    -------
    xarray.Dataset, dims (reference, quantity)
        ``value`` (mean over seeds, neurons and time), ``low``, ``high`` (NaN with one seed),
        ``theory``, ``deviation`` (relative), ``n_seeds`` and ``units``.

    Raises
    ------
    StatisticError
        If a circuit has no closed form.
    """
    trees = open_kind(references, "circuit", purpose="a reference")
    rows: list[dict[str, list[float | str]]] = []
    names, seeds = [], []
    for tree in trees:
        theory = tree.attrs["source"].get("theory")
        if not theory:
            raise StatisticError("this circuit has no closed form", where=tree.attrs["path"])
        for name, data in spiking(tree).items():
            row: dict[str, list[float | str]] = {key: [] for key in ("value", "low", "high", "theory", "units")}
            for quantity in QUANTITIES:
                if quantity not in ("rate", *data.data_vars):  # a part that this circuit does not have
                    for key in row:
                        row[key].append("" if key == "units" else np.nan)
                    continue
                found = student(_per_seed(data, quantity), level)
                units = "Hz" if quantity == "rate" else data[quantity].attrs.get("units", "1")
                expected = theory.get(f"{name}/{quantity}", theory.get(quantity, np.nan))  # per population, or of all
                entries = (found.mean, found.low, found.high, expected, units)
                for key, entry in zip(row, entries, strict=True):
                    row[key].append(entry)
            rows.append(row)
            names.append(f"{label_of(tree)}: {name}")
            seeds.append(data.sizes["sample"])
    dims = ("reference", "quantity")
    result = xr.Dataset(
        {key: (dims, np.array([row[key] for row in rows])) for key in rows[0]},
        coords={"reference": names, "quantity": list(QUANTITIES)},
        attrs={"analysis": "reference_check", "level": level, **describe_inputs(trees)},
    )
    result["deviation"] = result["value"] / result["theory"] - 1
    result["n_seeds"] = ("reference", seeds)
    return result


def _per_seed(data: xr.Dataset, quantity: str) -> np.ndarray:
    """Return the mean over neurons and time of every seed, shape (seed,)."""
    if quantity != "rate":
        means: np.ndarray = data[quantity].mean(["time", "neuron"], dtype=np.float64).values
        return means
    rate: np.ndarray = rate_table(Population(data), "the rate")[0].mean(axis=1)
    return rate
