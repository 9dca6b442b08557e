"""Which part of a recording is to be exported."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import xarray as xr

from eiplatform.errors import ConfigError, UnknownNameError, match_names
from eiplatform.store.chosen import plain
from eiplatform.store.reader import open_recording
from eiplatform.store.schema import EVENTS, SIGNALS

__all__ = ["opened", "select"]


def opened(source: str | Path | xr.DataTree, *, partial: bool = False) -> xr.DataTree:
    """Return an open recording, opening it if it is a path."""
    if isinstance(source, str | Path):
        return open_recording(source, partial=partial)
    if not isinstance(source, xr.DataTree):
        what = f"an object of the type {type(source).__name__} is not a recording"
        raise ConfigError(what, where="source", valid="an open recording, or where one is")
    return source


def select(
    tree: xr.DataTree,
    *,
    populations: Iterable[str] | None = None,
    signals: Iterable[str] | None = None,
    samples: Iterable[int] | None = None,
    neurons: Iterable[int] | None = None,
) -> dict[str, xr.Dataset]:
    """Return the chosen part of every chosen population; nothing is read.

    Parameters
    ----------
    tree : xarray.DataTree
        An open recording.
    populations, signals : iterable of str, optional
        Names or wildcards; ``spikes`` also stands for spike events.  Default: all.
    samples, neurons : iterable of int, optional
        Ids as in the coordinates.  Default: all.

    Raises
    ------
    UnknownNameError
        If a name or an id matches nothing.
    """
    leaves = {node.path.lstrip("/"): node.to_dataset() for node in tree.leaves}
    chosen = {name: plain(leaves[name]) for name in match_names(_listed(populations), leaves, "population")}
    offered = {name: _offered(data) for name, data in chosen.items()}
    wanted = match_names(_listed(signals), dict.fromkeys(key for keys in offered.values() for key in keys), "signal")
    found = {}
    for name, data in chosen.items():
        drop = [key for key in data.data_vars if key in SIGNALS and key not in wanted]
        part = data.drop_vars(drop)
        if "spikes" not in wanted:
            part = part.drop_dims("spike", errors="ignore")
        if set(offered[name]) & set(wanted):
            found[name] = _at(_at(part, "sample", samples, name), "neuron", neurons, name)
    return found


def _listed(names: Iterable[str] | None) -> list[str]:
    return ["*"] if names is None else [names] if isinstance(names, str) else list(names)


def _offered(data: xr.Dataset) -> list[str]:
    """Return the signals of a population, events as ``spikes``."""
    names = [str(key) for key in data.data_vars if key in SIGNALS]
    return [*names, "spikes"] if set(EVENTS) <= set(data.data_vars) and "spikes" not in names else names


def _at(data: xr.Dataset, axis: str, ids: Iterable[int] | None, name: str) -> xr.Dataset:
    """Keep the given ids of an axis, in their order."""
    if ids is None:
        return data
    held = data[axis].values
    wanted = np.atleast_1d(np.asarray(ids if isinstance(ids, (int, np.ndarray)) else list(ids)))
    absent = [value for value in wanted.tolist() if value not in held]
    if absent:
        raise UnknownNameError(
            f"no {axis} {absent[0]} in population '{name}'",
            valid=f"{len(held)} ids, the first are {', '.join(map(str, held[:5].tolist()))}",
        )
    order = np.argsort(held)
    return data.isel({axis: order[np.searchsorted(held, wanted, sorter=order)]})
