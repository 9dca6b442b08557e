"""Whether a circuit is inhibition-stabilised: its answer to more drive of inhibition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from scipy import stats

from eiplatform.errors import ConfigError
from eiplatform.statistics.kernels.moments import FloatArray
from eiplatform.store.hdf5 import load_netcdf

__all__ = ["protocol_at", "responses", "stabilised"]


def stabilised(
    kinds: Sequence[str],
    trees: Sequence[xr.DataTree],
    perturbation: str | Path | xr.Dataset | None,
    n_bootstrap: int,
    seed: int,
) -> xr.Dataset:
    """Tell whether the circuit given answers paradoxically to drive of I.

    Parameters
    ----------
    kinds : sequence of str
        Of every population: network, circuit or summary.
    trees : sequence of DataTree
        The recordings, which must be of the perturbation's circuit.
    perturbation : str, Path, Dataset or None
        Result of the protocol perturb-I.
    n_bootstrap, seed : int

    Returns
    -------
    xarray.Dataset, dims (population)
        ``paradoxical``, ``paradoxical_lost`` (NaN where not determined) and ``isn_note``.

    Raises
    ------
    ConfigError
        If the perturbation is of another protocol or circuit, has no rise, or has one seed.
    """
    note = "not determined: needs the protocol perturb-I (eiplatform simulate ... --protocol perturb-I)"
    falls, lost = np.full(len(kinds), np.nan), np.full(len(kinds), np.nan)
    notes = [note + ("; without recurrent excitation a layer cannot be" if kind == "network" else "") for kind in kinds]
    if perturbation is not None:
        data = perturbation if isinstance(perturbation, xr.Dataset) else protocol_at(Path(perturbation))
        if data.attrs.get("protocol") != "perturb-I":
            raise ConfigError(
                f"the perturbation is of the protocol '{data.attrs.get('protocol')}'",
                valid="perturb-I",
                where="perturbation",
            )
        circuits = {str(tree.attrs["source"]["name"]) for tree in trees}
        if circuits != {str(data.attrs["circuit"])}:
            raise ConfigError(
                f"the perturbation is of '{data.attrs['circuit']}'",
                where="perturbation",
                valid=circuits or "a circuit's",
            )
        free, frozen, means = responses(data, n_bootstrap, seed)
        falls[:] = (free < 0).mean()
        if frozen is not None:
            lost[:] = ((free < 0) & (frozen >= 0)).mean()
        notes = [means] * len(kinds)
    return xr.Dataset(
        {
            "paradoxical": ("population", falls),
            "paradoxical_lost": ("population", lost),
            "isn_note": ("population", notes),
        }
    )


def protocol_at(path: Path) -> xr.Dataset:
    """Read the file in which a protocol of a circuit was stored."""
    if not path.is_file():
        raise ConfigError(
            "this file does not exist", where=str(path), remedy="give the protocol.nc that 'eiplatform simulate' wrote"
        )
    return load_netcdf(path)


def responses(data: xr.Dataset, n_bootstrap: int, seed: int) -> tuple[FloatArray, FloatArray | None, str]:
    """Return draws of the mean response of I to the smallest rise of its drive, free and with E frozen.

    Parameters
    ----------
    data : xarray.Dataset
        Of :func:`eiplatform.microcircuits.protocols.run_protocol`, at least two seeds.
    n_bootstrap, seed : int
        Draws of Student's t about the mean over seeds.

    Returns
    -------
    free, frozen : array, shape (draw,)
        In Hz; frozen is None where that was not simulated.
    means : str
        The means, in words.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, 7]))
    rise = float(data["level"].where(data["level"] > 0).min())
    found: list[FloatArray | None] = []
    means = []
    for frozen in (False, True):
        chosen = ((data["level"] == rise) & (data["frozen"] == frozen)).values
        if not chosen.any():
            found.append(None)
            continue
        values = data["response"].sel(population=data.attrs["target"]).values[chosen][0]
        n = len(values)
        if n < 2:
            raise ConfigError("one seed gives no interval", where="perturbation", valid="two seeds or more")
        scale = values.std(ddof=1) / np.sqrt(n)
        found.append(values.mean() + scale * stats.t.rvs(n - 1, size=n_bootstrap, random_state=rng))
        means.append(f"{'E frozen' if frozen else 'free'}: {values.mean():+.2f} Hz")
    free, frozen_draws = found
    if free is None:
        raise ConfigError("no rise of the drive without freezing", where="perturbation", valid="a level above 0")
    seeds = data.sizes["seed"]
    return free, frozen_draws, f"response of I to {100 * rise:g} % more drive, {seeds} seeds: " + ", ".join(means)
