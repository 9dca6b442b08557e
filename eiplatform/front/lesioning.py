"""Lesion studies in Python: ``lesion_study``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from eiplatform.analyses.lesion_study import LesionStudy
from eiplatform.analyses.parts.analysis import Result
from eiplatform.config import read_yaml
from eiplatform.errors import ConfigError
from eiplatform.front.recording import wanted_of
from eiplatform.front.training import Run, load
from eiplatform.lesions.design_kinds import design_from
from eiplatform.lesions.engine import Engine
from eiplatform.networks import Network
from eiplatform.progress import stage
from eiplatform.recording.wiring import inhibitory_weight_cv

__all__ = ["lesion_study"]

_OWN = ("interventions", "removed")
"""What a cell of one network has for itself."""


def lesion_study(
    network: Any,
    design: str | Path | Mapping[str, Any] = "dose-response",
    data: Any = "test",
    *,
    samples: Any = None,
    steps: int | None = None,
    input: str | None = None,  # noqa: A002 - the word of recordings
    path: str | Path | None = None,
    quiet: bool = False,
    **parameters: Any,
) -> Result:
    """Lesion one or several networks by a design, with its controls, and say what follows.

    Parameters
    ----------
    network : Run, Network, path of a training, or a sequence of them
        Several are seeds of one training: intervals are over networks and samples.
    design : str, path or mapping
        Name (``ei.list("designs")``), a YAML file with ``design`` and its parameters, or the same as a mapping.
    data : str or (images, labels)
        ``"test"``, ``"validation"``, ``"train"``, or own samples with labels.
    samples : int, sequence of int or mapping, optional
        As in :func:`record`; default: all.
    steps, input : optional
        As in :func:`record`.
    path : str or Path, optional
        Keep finished cells in this directory: an interrupted study goes on, and a changed one runs what is new.
    quiet : bool
        Show no progress.
    **parameters
        Of the design; see ``ei.describe(design)``.

    Returns
    -------
    Result
        With ``.findings()``, ``.tables()``, ``.plot()``; ``.data`` has accuracy, loss, rates and balance of every
        cell, and every sample's answer.

    Raises
    ------
    UnknownNameError
        For a design, pathway, layer or population that does not exist.
    ConfigError
        For impossible parameters, data without labels, or networks that differ in their layers.

    Examples
    --------
    >>> import numpy as np, eiplatform as ei
    >>> run = ei.train("digits-mlp", training={"epochs": 1, "warmup_epochs": 0}, network={"hidden": [8]}, quiet=True)
    >>> result = ei.lesion_study(run, doses=[0.5], controls=["shift"], samples=40, quiet=True)
    >>> sorted(set(result.data["role"].values.tolist()))
    ['intact', 'lesion', 'shift']
    """
    if isinstance(design, Mapping):
        told: dict[str, Any] = dict(design)
    elif str(design).endswith((".yml", ".yaml")):
        told = dict(read_yaml(Path(design)))
    else:
        told = {"design": str(design)}
    name, chosen = design_from({**told, **parameters}, where="lesion_study")
    several = isinstance(network, Sequence) and not isinstance(network, str)
    networks = [_network(one) for one in (network if several else [network])]
    if not networks:
        raise ConfigError("no network is given", where="lesion_study", valid="a Run, a network, or several")
    folder = None if path is None else Path(path) / "cells"
    found, checks, alike = [], [], []
    for index, one in enumerate(networks):
        fields = {"samples": samples, "steps": steps, "input": input}
        given = {key: value for key, value in fields.items() if value is not None}
        wanted = wanted_of(one, data, None, given, None, None, False)
        engine = Engine(one, wanted.data, wanted.spec, folder)
        label = f"lesioning network {index + 1} of {len(networks)}"
        with stage(label, quiet=quiet) as update:
            if not quiet:
                cells = chosen.cells(engine)
                update(0, len(cells), f"{len(cells)} cells, about {engine.estimate(cells):.0f} s")
            found.append(chosen.run(engine, update))
        alike.append({name: float(value) for name, value in inhibitory_weight_cv(one).items()})
        checks.append({repr(key): check.as_dict() for key, check in engine.checks.items()})
    about = {"design": name, "question": chosen.question, "parameters": chosen.model_dump(mode="json")}
    result = LesionStudy().from_cells(_joined(found), about, checks, alike)
    if path is not None:
        result.save(Path(path) / "result.nc")
    return result


def _network(one: Any) -> Network:
    found = load(one) if isinstance(one, str | Path) else one
    found = found.network if isinstance(found, Run) else found
    if not isinstance(found, Network):
        raise ConfigError(
            f"a {type(one).__name__} cannot be lesioned by a design",
            where="lesion_study",
            valid="a Run (ei.train, ei.load), its network, or the directory of a training",
        )
    return found


def _joined(found: Sequence[xr.Dataset]) -> xr.Dataset:
    """Return the cells that all networks have; what differs between networks does not become a coordinate.

    Where a dose follows from a network's currents, some may not have enough: ``left_out`` counts these cells.
    """
    keys = [_cell_keys(data) for data in found]
    common = set(keys[0]).intersection(*keys[1:])
    own = []
    for data, names in zip(found, keys, strict=True):
        kept = data.isel(cell=[index for index, name in enumerate(names) if name in common])
        own.append(kept.reset_coords([name for name in _OWN if name in kept.coords]))
    try:
        joined = xr.concat(own, dim="network", join="exact", coords="minimal", compat="equals", data_vars="all")
        if not (joined["role"] == "lesion").any():
            raise ValueError("no lesion is common to all")
    except ValueError as error:
        raise ConfigError(
            "the networks have not the same layers and samples, so that their cells differ",
            where="lesion_study",
            remedy="study them one by one",
        ) from error
    joined.attrs["left_out"] = len(set().union(*keys)) - len(common)
    return joined


def _cell_keys(data: xr.Dataset) -> list[tuple[str, ...]]:
    names = [name for name in data.coords if data[name].dims == ("cell",) and name not in _OWN]
    return list(zip(*(map(str, data[name].values) for name in names), strict=True))
