"""What every writer asks of a piece of a recording before it stores it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import xarray as xr

from eiplatform.errors import StoreError
from eiplatform.store.blocks import time_pieces
from eiplatform.store.sumrules import check_sum_rules

__all__ = ["Acceptance", "Accepted", "Writer"]


class Accepted(NamedTuple):
    """What is known of a piece that may be stored.

    Attributes
    ----------
    populations : dict
        Role, sizes, signals and their units per population, for the manifest.
    axes : dict
        Digests of times and neurons per population.
    samples : list of int
    residuals : dict of str to float
        Largest relative residual of each sum rule.
    """

    populations: dict[str, dict[str, Any]]
    axes: dict[str, tuple[str, ...]]
    samples: list[int]
    residuals: dict[str, float]


class Acceptance:
    """Check the pieces of one recording: each against the sum rules and against those before it.

    Parameters
    ----------
    path : Path
        The recording, for messages.
    checked_samples : int, optional
        Check the sum rules on this many samples of every piece, spread evenly; default: on all.
        0: of what was checked when it was recorded.
    """

    def __init__(self, path: Path, checked_samples: int | None = None) -> None:
        self._path, self._checked = path, checked_samples
        self._first: Accepted | None = None
        self._samples: set[int] = set()

    def check(self, populations: Mapping[str, xr.Dataset]) -> Accepted:
        """Return what a piece holds.

        Raises
        ------
        SumRuleError
            If recorded parts do not rebuild the whole.
        StoreError
            If samples repeat, differ between populations, or populations, times or neurons changed.
        """
        described = {name: _describe(data) for name, data in populations.items()}
        if self._first and described != self._first.populations:
            raise StoreError("a shard must hold the same populations and signals as the first", where=str(self._path))
        axes = {name: tuple(_digest(data, axis) for axis in ("time", "neuron")) for name, data in populations.items()}
        if self._first and axes != self._first.axes:
            raise StoreError("a shard must hold the same times and neurons as the first", where=str(self._path))
        samples = next(iter(populations.values()))["sample"].values
        for name, data in populations.items():
            if not np.array_equal(data["sample"].values, samples):
                raise StoreError("populations of one shard hold different samples", where=f"population '{name}'")
        listed = samples.tolist()
        repeated = self._samples.intersection(listed)
        if repeated or len(set(listed)) < len(listed):
            raise StoreError(f"samples recorded twice: {sorted(repeated)[:5]}", where=str(self._path))
        residuals: dict[str, float] = {}
        for name, data in populations.items() if self._checked != 0 else ():
            for piece in time_pieces(self._some(data)):
                for rule, residual in check_sum_rules(piece, name).items():
                    residuals[rule] = max(residuals.get(rule, 0.0), residual)
        return Accepted(described, axes, listed, residuals)

    def keep(self, accepted: Accepted) -> None:
        """Note a piece that has been stored; those that follow must fit it."""
        self._first = self._first or accepted
        self._samples.update(accepted.samples)

    def _some(self, data: xr.Dataset) -> xr.Dataset:
        """Return the samples on which the sum rules are checked."""
        n_samples = data.sizes["sample"]
        if self._checked is None or self._checked >= n_samples:
            return data
        return data.isel(sample=np.unique(np.linspace(0, n_samples - 1, self._checked).astype(int)))


class Writer(ABC):
    """What recordings are written with, piece by piece; as a context it completes the recording on leaving.

    Attributes
    ----------
    present : frozenset of int
        Pieces that are stored already.
    """

    present: frozenset[int] = frozenset()

    @abstractmethod
    def append(self, populations: Mapping[str, xr.Dataset], index: int | None = None) -> None:
        """Check and store some samples of every population.

        Parameters
        ----------
        populations : mapping of str to xarray.Dataset
            The same populations and signals in every call.
        index : int, optional
            Place of the piece in the recording; default: after the last one.

        Raises
        ------
        SumRuleError
            If recorded parts do not rebuild the whole; nothing is stored.
        StoreError
            If samples repeat, differ between populations, or populations, times or neurons changed.
        """

    @abstractmethod
    def complete(self) -> None:
        """Finish the recording; it is complete from here on.

        Raises
        ------
        StoreError
            If nothing was stored.
        """

    @abstractmethod
    def abandon(self, error: BaseException) -> None:
        """Stop, because of an error."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.complete()
        else:
            self.abandon(error)


def _describe(data: xr.Dataset) -> dict[str, Any]:
    return {
        "role": data.attrs["role"],
        "n_neurons": data.attrs["n_neurons"],
        "n_recorded": data.sizes["neuron"],
        "n_time": data.sizes["time"] if "time" in data.sizes else data.attrs["n_time"],
        "dt": data.attrs["dt"],
        "dt_units": data.attrs["dt_units"],
        "signals": {
            str(name): {
                "dims": list(map(str, variable.dims)),
                "dtype": str(variable.dtype),
                "units": variable.attrs.get("units", "1"),
            }
            for name, variable in data.data_vars.items()
        },
    }


def _digest(data: xr.Dataset, axis: str) -> str:
    return hashlib.sha256(data[axis].values.tobytes()).hexdigest() if axis in data else ""
