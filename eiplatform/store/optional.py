"""Packages that only some ways of reading or converting a recording need."""

from __future__ import annotations

import importlib
from types import ModuleType

from eiplatform.errors import MissingDependencyError

__all__ = ["need"]


def need(package: str, purpose: str) -> ModuleType:
    """Import an optional package.

    Parameters
    ----------
    package : str
        E.g. ``"dask"``, ``"zarr"``, ``"pynwb"``, ``"pynapple"``, ``"neo"``, ``"nir"``.
    purpose : str
        What it is needed for, in the message.

    Raises
    ------
    MissingDependencyError
        If it is not installed; the message names the extra that brings it.
    """
    extra = {"pynwb": "nwb", "distributed": "cluster"}.get(package, package)
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise MissingDependencyError(
            f"{purpose} needs {package}, which is not installed", remedy=f"pip install 'eiplatform[{extra}]'"
        ) from None
