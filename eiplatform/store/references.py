"""Summaries of reference circuits as files: statistics per population with their spread over seeds."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.store.hdf5 import load_netcdf

__all__ = ["at_step", "is_reference", "read_reference", "reference_file", "shipped_references"]


def _folders() -> list[Path]:
    inside = Path(__file__).resolve().parents[1]
    return [inside / "_data" / "reference", inside.parent / "data" / "reference"]


def reference_file(name: str) -> Path:
    """Return the file of a summary that ships with the platform.

    Parameters
    ----------
    name : str
        Its name without ending, e.g. ``"brunel-2000-C"``.

    Raises
    ------
    StoreError
        If it does not ship.

    Examples
    --------
    >>> reference_file("brunel-2000-C").name
    'brunel-2000-C.nc'
    """
    files = shipped_references()
    if name in files:
        return files[name]
    raise StoreError(
        f"{name}.nc does not exist",
        where="data/reference",
        valid=files,
        remedy=f"make reference CASES={name}",
    )


def shipped_references() -> dict[str, Path]:
    """Return the files of all summaries that are there, by name."""
    return dict(sorted({path.stem: path for folder in _folders() for path in folder.glob("*.nc")}.items()))


def at_step(values: xr.DataArray) -> xr.DataArray:
    """Return a statistic of a summary at the interval that matches a network's step, where it has intervals."""
    return values.sel(interval="step", drop=True) if "interval" in values.dims else values


def is_reference(path: str | Path) -> bool:
    """Whether a path is named like a summary, and not a directory."""
    return Path(path).suffix == ".nc" and not Path(path).is_dir()


def read_reference(path: str | Path) -> xr.Dataset:
    """Read a summary.

    Returns
    -------
    xarray.Dataset, dims (over_seeds, population, ...)
        See :func:`eiplatform.reference.over_seeds`.

    Raises
    ------
    StoreError
        If it is missing or something else.

    Examples
    --------
    >>> read_reference(reference_file("brunel-2000-C")).attrs["circuit"]
    'brunel-2000'
    """
    found = load_netcdf(path)
    if "over_seeds" not in found.dims or "circuit" not in found.attrs or "interval_ms" not in found:
        raise StoreError(
            "not the summary of a circuit, or one of an earlier version",
            where=str(path),
            remedy="make one with 'python -m eiplatform.reference'",
        )
    return found
