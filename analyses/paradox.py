"""Do inhibitory neurons fire less when they are driven more?

In a network that inhibition stabilises, more drive of I lowers the rate of I, because E falls and takes its drive of I
with it (Tsodyks et al. 1997).  With E frozen the effect is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.inputs import Role
from eiplatform.analyses.parts.stabilisation import protocol_at
from eiplatform.analyses.parts.tables import Table, interval_text, number_text
from eiplatform.errors import ConfigError
from eiplatform.statistics.kernels.intervals import student

__all__ = ["Paradox"]

Protocol = Annotated[str | Path | xr.Dataset, Role("perturbation", "a protocol.nc of perturb-I", single=True)]
LEVEL = 0.95
_CURRENTS = ("current_exc", "current_inh")


class Paradox(Analysis):
    """Rates and currents of a circuit against the drive of its inhibitory neurons, free and with others frozen."""

    question = "Do inhibitory neurons fire less when they are driven more?"
    place = 105

    def run(self, perturbation: Protocol) -> Result:
        """Read the responses of a circuit to more and less drive of one population.

        Parameters
        ----------
        perturbation : str, Path or xarray.Dataset
            The ``protocol.nc`` of ``eiplatform simulate ... --protocol perturb-I``.

        Returns
        -------
        xarray.Dataset, dims (freezing, level, population)
            ``seed_value`` (with seed): rate minus the rate without a change, in Hz; ``value`` its mean with ``low``
            and ``high`` (Student t over seeds; NaN with one); the same change of ``current_exc`` and ``current_inh``.
            ``slope`` with ``slope_low``, ``slope_high`` (freezing, population): response to the smallest rise, per unit
            of drive.

        Raises
        ------
        ConfigError
            If the file holds another protocol or none.
        """
        data = perturbation if isinstance(perturbation, xr.Dataset) else protocol_at(Path(perturbation))
        protocol = str(data.attrs.get("protocol"))
        if not protocol.startswith("perturb-"):
            raise ConfigError(f"the protocol is '{protocol}'", where="perturbation", valid="perturb-I or perturb-E")
        levels = np.unique(data["level"].values)
        kinds = [kind for kind in (False, True) if bool((data["frozen"] == kind).any())]
        parts = [_free_or_frozen(data, levels, kind) for kind in kinds]
        names = ["free" if not kind else f"{data.attrs['freeze']} frozen" for kind in kinds]
        result = xr.concat(parts, xr.Variable("freezing", names))
        about = {key: data.attrs[key] for key in ("circuit", "reference", "target", "parameter")}
        about |= {"level": LEVEL, "recordings": [str(data.attrs["circuit"])], "protocol": protocol}
        return self.result(result.assign_attrs(about))

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give the slopes at the smallest rise of the drive."""
        rows = []
        for freezing in result["freezing"].values.astype(str):
            one = result.sel(freezing=freezing)
            for population in result["population"].values.astype(str):
                ends = [float(one[f"slope{end}"].sel(population=population)) for end in ("", "_low", "_high")]
                text = interval_text(*ends) if np.isfinite(ends[1]) else number_text(ends[0])
                rows.append((freezing, population, text))
        note = (
            f"Change of rate in Hz per unit of {result.attrs['parameter']}, at the smallest rise; "
            f"{result.sizes['seed']} seeds, Student's 95 % interval. Below 0 in the driven population: paradoxical."
        )
        columns = ("condition", "population", "initial slope")
        yield Table(f"Response of '{result.attrs['circuit']}' to drive", columns, tuple(rows), note)

    def findings(self, result: xr.Dataset) -> Iterable[str]:
        """Say whether the driven population answers paradoxically."""
        target, circuit = str(result.attrs["target"]), result.attrs["circuit"]
        one = result.sel(population=target)
        free = one.sel(freezing="free")
        slope, high = float(free["slope"]), float(free["slope_high"])
        sure = "" if np.isfinite(high) else " (one seed: no interval)"
        if slope < 0 and not high >= 0:
            yield f"{circuit}: {target} fires less when it is driven more ({number_text(slope)} Hz per unit{sure})."
        else:
            yield f"{circuit}: no paradoxical response of {target} was found ({number_text(slope)} Hz per unit{sure})."


def _free_or_frozen(data: xr.Dataset, levels: np.ndarray, frozen: bool) -> xr.Dataset:
    chosen = data.isel(condition=np.flatnonzero((data["frozen"] == frozen).values))
    order = [int(np.flatnonzero(chosen["level"].values == level)[0]) for level in levels]
    chosen = chosen.isel(condition=order).swap_dims(condition="level").drop_vars("condition")
    found: dict[str, Any] = {"seed_value": chosen["response"].transpose("level", "seed", "population")}
    zero = chosen.sel(level=0.0)
    for name in _CURRENTS:
        if name in chosen:
            found[name] = (chosen[name] - zero[name]).mean("seed").transpose("level", "population")
    values = found["seed_value"].values
    place = int(np.flatnonzero(levels > 0)[0])
    for name, part, dims in (
        ("value", values, ("level", "population")),
        ("slope", values[place] / levels[place], ("population",)),
    ):
        found_here = student(part, LEVEL, axis=-2)
        prefix = "" if name == "value" else "slope_"
        found |= {name: (dims, found_here.mean)}
        found |= {f"{prefix}low": (dims, found_here.low), f"{prefix}high": (dims, found_here.high)}
    return xr.Dataset(found).drop_vars("frozen", errors="ignore")
