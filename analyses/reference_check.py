"""Does a simulated circuit do what its closed form says?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from analyses.inputs import Recording, describe_inputs, label_of, open_kind, spiking
from eiplatform.errors import StatisticError
from eiplatform.statistics.base import student_half_width

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
                per_seed = _per_seed(data, quantity)
                sd = per_seed.std(ddof=1) if len(per_seed) > 1 else np.nan
                half = student_half_width(sd, len(per_seed), level)
                low, high = per_seed.mean() - half, per_seed.mean() + half
                units = "Hz" if quantity == "rate" else data[quantity].attrs.get("units", "1")
                expected = theory.get(f"{name}/{quantity}", theory.get(quantity, np.nan))  # per population, or of all
                entries = (per_seed.mean(), low, high, expected, units)
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
    seconds = float(data.attrs["duration"]) / 1000.0
    events = data["spike_sample"].values
    counts = np.array([np.count_nonzero(events == sample) for sample in data["sample"].values])
    rate: np.ndarray = counts / (data.attrs["n_neurons"] * seconds)
    return rate
