"""Does a simulated circuit do what its closed form says?"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.inputs import Recordings, label_of, open_kind, spiking
from eiplatform.analyses.parts.tables import Table, cell_text, number_text
from eiplatform.errors import StatisticError
from eiplatform.statistics.counts import rate_table
from eiplatform.statistics.kernels import student
from eiplatform.statistics.population import Population

__all__ = ["ReferenceCheck"]

QUANTITIES = ("rate", "current_exc", "current_exc_recurrent", "current_exc_external", "current_inh", "current_net")


class ReferenceCheck(Analysis):
    """Mean rates and currents of circuits against their closed form."""

    question = "Does a simulated circuit do what its closed form says?"
    place = 110

    def run(self, references: Recordings, *, level: float = 0.95) -> Result:
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
                    # per population, or of all
                    expected = theory.get(f"{name}/{quantity}", theory.get(quantity, np.nan))
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
        )
        result["deviation"] = result["value"] / result["theory"] - 1
        result["n_seeds"] = ("reference", seeds)
        return self.result(result, trees, level=level)

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give the table."""
        rows = []
        for reference in result["reference"].values:
            for quantity in result["quantity"].values:
                cell = result.sel(reference=reference, quantity=quantity)
                rows.append(
                    (
                        str(reference),
                        f"{str(quantity).replace('_', ' ')} ({cell['units'].item()})",
                        cell_text(cell),
                        number_text(float(cell["theory"])),
                        f"{100 * float(cell['deviation']):+.1f} %",
                    )
                )
        columns = ("circuit", "quantity", "simulated [95 %]", "closed form", "deviation")
        note = f"Mean over {int(result['n_seeds'].max())} seeds, Student t interval over seeds."
        yield Table("Reference circuit against its closed form", columns, tuple(rows), note)

    def findings(self, result: xr.Dataset) -> Iterable[str]:
        """Say what came out."""
        worst = float(np.abs(result["deviation"]).max())
        return [
            f"Mean rates and currents of the simulated circuit lie within {100 * worst:.1f} % of its closed form "
            f"(rate {float(result['value'].sel(quantity='rate')[0]):.2f} Hz, "
            f"closed form {float(result['theory'].sel(quantity='rate')[0]):.2f} Hz)."
        ]


def _per_seed(data: xr.Dataset, quantity: str) -> np.ndarray:
    """Return the mean over neurons and time of every seed, shape (seed,)."""
    if quantity != "rate":
        means: np.ndarray = data[quantity].mean(["time", "neuron"], dtype=np.float64).values
        return means
    rate: np.ndarray = rate_table(Population(data), "the rate")[0].mean(axis=1)
    return rate
