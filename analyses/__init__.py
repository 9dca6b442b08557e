"""Analyses: one module per scientific question; each reads recordings and gives a Dataset.

An analysis module has ``run(...) -> xarray.Dataset``.  The result carries ``attrs["analysis"]``
(the module's name), what it was made from, and every number with its interval, its n and what
was excluded.  Nothing here runs a network or a circuit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import xarray as xr

from eiplatform.errors import StoreError

__all__ = ["ANALYSES", "defined", "load_result", "read_with_care", "save_result"]

_SEAL, _UNSEALED = "seal", "unsealed"

ANALYSES: dict[str, str] = {
    "balance": "How balanced is every layer, and is it more than initialisation gives?",
    "balance_across_depth": "Does balance tighten or loosen from layer to layer?",
    "balance_emergence": "When in training does the balance of every layer tighten or loosen?",
    "comparison": "How close is every layer to a cortical circuit or another network, where they can be compared?",
    "distributions": "How are excitatory, inhibitory and net currents and gain distributed?",
    "ei_versus_bn": "What does training do to balance, with E-I circuits, with batch normalisation, with neither?",
    "gain_modulation": "What does the gain vary with: neurons, inputs, time, or the activity of the population?",
    "learning": "How did training go, and how well does the network do on unseen images?",
    "lesions": "What does removing an inhibition pathway do to accuracy, firing and balance?",
    "reference_check": "Does a simulated circuit do what its closed form says?",
    "regime_scorecard": "Where does each layer sit among the regimes of cortical circuits, and how sure is that?",
    "systems": "How balanced are trained systems of every kind on the same data, and how far is each from cortex?",
    "timescales": "How long do currents and spikes remember, and does inhibition follow excitation?",
    "traces": "How do excitation and inhibition of single neurons move in time?",
}
"""Every analysis and the question that it answers."""


@contextmanager
def read_with_care(result: xr.Dataset) -> Iterator[None]:
    """Say in one line what a result lacks that eiplatform, as it is now, did not write.

    Parameters
    ----------
    result : xarray.Dataset
        From :func:`load_result`, or an analysis.

    Raises
    ------
    StoreError
        If an earlier version or another program wrote it, and something of it cannot be read.
    """
    from eiplatform.untrusted import reading

    if _UNSEALED not in result.encoding:
        yield
        return
    remedy = "make it again with this version of eiplatform"
    with reading(result.encoding[_UNSEALED], what="this result lacks or garbles what is drawn from it", remedy=remedy):
        yield


def defined(result: xr.Dataset, statistics: Iterable[str], variable: str = "value") -> list[str]:
    """Return those of some statistics that a result holds with at least one value.

    Parameters
    ----------
    result : xarray.Dataset
        With the dimension ``statistic``.
    statistics : iterable of str
        Keys, in the order in which they are wanted.
    variable : str
    """
    held = result["statistic"].values.tolist()
    return [key for key in statistics if key in held and bool(result[variable].sel(statistic=key).notnull().any())]


def save_result(result: xr.Dataset, path: str | Path) -> Path:
    """Write the result of an analysis as netCDF, atomically.

    Parameters
    ----------
    result : xarray.Dataset
    path : str or Path
    """
    from eiplatform.files import write_bytes
    from eiplatform.seal import BLANK, sealed

    path = Path(path)
    # In memory first: when a disk is full, the HDF5 library crashes the process on closing its file.
    content = result.assign_attrs({_SEAL: BLANK}).to_netcdf(engine="h5netcdf")
    write_bytes(path, sealed(bytes(content)))
    return path


def load_result(path: str | Path) -> xr.Dataset:
    """Read the result of an analysis.

    Raises
    ------
    StoreError
        If the file is missing or is not such a result.
    """
    from eiplatform.seal import is_sealed
    from eiplatform.store.hdf5 import load_netcdf

    remedy = "make it again with 'eiplatform analyse'"
    result = load_netcdf(path, remedy=remedy)
    intact = is_sealed(Path(path).read_bytes())
    if intact is False:
        raise StoreError("the result has changed since it was written (checksum)", where=str(path), remedy=remedy)
    result.attrs.pop(_SEAL, None)
    if intact is None:
        result.encoding[_UNSEALED] = str(path)
    if result.attrs.get("analysis") not in ANALYSES:
        raise StoreError("not the result of an analysis of eiplatform", where=str(path), valid=ANALYSES)
    return result
