"""The numbers that a user gives: real, finite, and with the dimensions of a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from eiplatform.errors import StoreError

__all__ = ["counts", "dense", "magnitude", "numbers"]


def numbers(values: Any, where: str) -> np.ndarray:
    """Return values as an array of real numbers.

    Parameters
    ----------
    values : array-like
    where : str
        What they are, for the message.

    Raises
    ------
    StoreError
        If they are complex, text, objects, masked, or rows of several lengths: nothing is converted or dropped.

    Examples
    --------
    >>> numbers([1, 2], "exc").dtype.kind
    'i'
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    if isinstance(values, str | Path):
        raise StoreError("a file is given in place of numbers", where=where, remedy="ei.read_csv, ei.read_nwb")
    try:
        masked, found = np.ma.is_masked(values), np.asarray(values)
    except ValueError:
        raise StoreError("the rows have several lengths", where=where, valid="an array of real numbers") from None
    if masked or found.dtype.kind not in "biuf":
        remedy = "take the real part or the size: x.real, np.abs(x)" if found.dtype.kind == "c" else None
        raise StoreError(
            "some values are masked" if masked else f"the values are of type {found.dtype}",
            where=where,
            valid="real numbers",
            remedy=remedy or "leave out what was not measured, and convert the rest: np.asarray(x, float)",
        )
    return found


def dense(values: Any, name: str, kind: type = np.float32) -> np.ndarray:
    """Return values with the dimensions (sample, time, neuron)."""
    found: np.ndarray = numbers(values, name).astype(kind, copy=False)
    if found.ndim not in (1, 2, 3) or not found.size:
        raise StoreError(
            f"has the shape {found.shape}", where=name, valid="(sample, time, neuron), (time, neuron) or (time,)"
        )
    found = found[:, None] if found.ndim == 1 else found
    found = found[None] if found.ndim == 2 else found
    if not np.isfinite(found).all():
        where = np.argwhere(~np.isfinite(found))[0].tolist()
        raise StoreError(
            f"is not finite at (sample, time, neuron) {where}",
            where=name,
            remedy="leave out what was not measured: whole samples, times or neurons",
        )
    return found


def magnitude(values: np.ndarray, name: str) -> np.ndarray:
    """Return a current by its size; one that has both signs is not a current of one kind."""
    if values.max() <= 0:
        return -values
    if values.min() < 0:
        raise StoreError(
            f"has both signs, from {values.min():.3g} to {values.max():.3g}",
            where=name,
            valid="one sign throughout: the size of the current, or its negative",
            remedy="subtract the holding current (baseline) first, or clip small noise around 0: np.maximum(x, 0)",
        )
    return values


def counts(values: np.ndarray) -> np.ndarray:
    """Return spikes per interval in their smallest type."""
    broken = values[(values < 0) | (values != np.round(values)) | (values > 127)]
    if broken.size:
        raise StoreError(
            f"{broken[0]:g} is not a number of spikes in an interval",
            where="spikes",
            valid="0, 1, ..., 127 per interval",
            remedy="spike times are a list of one array per neuron, with duration=: spikes=[times], duration=...",
        )
    return values.astype(bool if values.max() <= 1 else np.int8)
