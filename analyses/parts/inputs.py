"""What the analyses share: what they are made from, opening recordings, and naming where a result came from.

The annotations of ``Analysis.run`` say what an analysis is made from.  :class:`Role` is what the command line, the
studies and :func:`eiplatform.analyses.analyse` read of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import xarray as xr

from eiplatform.errors import ConfigError, StatisticError
from eiplatform.statistics import populations_of
from eiplatform.store.identity import recording_hash
from eiplatform.store.reader import open_recording

__all__ = [
    "Nulls",
    "OneRecording",
    "Perturbation",
    "Recording",
    "Recordings",
    "Reference",
    "References",
    "Role",
    "Series",
    "Summaries",
    "Training",
    "active",
    "describe_inputs",
    "excitatory",
    "label_of",
    "nothing_fires",
    "open_kind",
    "opened",
    "require",
    "samples_of",
    "setting_of",
    "spiking",
]


@dataclass(frozen=True)
class Role:
    """What an argument of an analysis is, where a user names files only.

    Attributes
    ----------
    name : str
    text : str
        For help and messages.
    single : bool
        Whether it is one thing.
    """

    name: str
    text: str
    single: bool = False


Recording = str | Path | xr.DataTree
"""Where a recording is, or an open one (which may be partial)."""
Reference = Recording | Sequence[Recording]
"""A recording; several (the seeds of one network); or the name of a shipped summary."""

OneRecording = Annotated[Recording, Role("recording", "a recording", single=True)]
Recordings = Annotated[Sequence[Recording], Role("recordings", "recordings, or directories of them")]
Nulls = Annotated[Sequence[Recording], Role("nulls", "null recordings of one kind, or directories of them")]
References = Annotated[Sequence[Reference], Role("references", "recordings, directories or names of shipped summaries")]
Summaries = Annotated[Sequence[str | Path] | None, Role("summaries", "summaries of circuits (data/reference/*.nc)")]
Series = Annotated[Sequence[str | Path], Role("series", "series of recordings made while training")]
Training = Annotated[str | Path, Role("training", "the directory of a training", single=True)]
Perturbation = Annotated[
    str | Path | xr.Dataset | None, Role("perturbation", "a protocol.nc of perturb-I", single=True)
]


def opened(recordings: Iterable[Recording]) -> list[xr.DataTree]:
    """Open those recordings that are not open yet; complete ones only."""
    return [found if isinstance(found, xr.DataTree) else open_recording(found) for found in recordings]


def open_kind(recordings: Sequence[Recording], kind: str, *, purpose: str) -> list[xr.DataTree]:
    """Open recordings that must all be of one kind.

    Parameters
    ----------
    recordings : sequence of str, Path or DataTree
    kind : {"network", "circuit"}
    purpose : str
        What they are for, in the message.

    Raises
    ------
    ConfigError
        If one is of the other kind.
    """
    trees = opened(recordings)
    for tree in trees:
        found = tree.attrs["source"]["kind"]
        if found != kind:
            raise ConfigError(f"{purpose} must be of a {kind}, this is of a {found}", where=tree.attrs["path"])
    return trees


def require(data: xr.Dataset, names: Iterable[str], where: str) -> xr.Dataset:
    """Return a population that holds all of these signals and coordinates.

    Raises
    ------
    StatisticError
        If one was not recorded.
    """
    if absent := [name for name in names if name not in data.variables]:
        raise StatisticError(f"{', '.join(absent)} was not recorded", where=where, remedy="record it too")
    return data


def label_of(tree: xr.DataTree) -> str:
    """Return the name of a recording in tables and figures."""
    source = tree.attrs["source"]
    return str(source.get("label") or source["name"])


def excitatory(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    """Return the excitatory populations of a recording (of a foreign network all), in its order."""
    return {name: data for name, data in populations_of(tree).items() if data.attrs["role"] in ("E", "mixed")}


def spiking(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    """Return the excitatory populations that fire (a readout does not)."""
    return {name: data for name, data in excitatory(tree).items() if "spikes" in data or "spike_time" in data}


def active(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    """Return the excitatory populations that fire; of a network of rates, those that have one."""
    return spiking(tree) or {name: data for name, data in excitatory(tree).items() if "activity" in data}


def nothing_fires(trees: Iterable[xr.DataTree], where: str | None = None) -> StatisticError:
    """Return the error for recordings without a firing population, which says why there is none."""
    if any("activity" in data for tree in trees for data in excitatory(tree).values()):
        remedy = "'eiplatform analyse balance' reads its currents, 'compare' compares it with other networks"
        return StatisticError("this network has rates, not spikes", where=where, remedy=remedy)
    return StatisticError("no firing population was recorded", where=where, remedy="record 'spikes'")


def samples_of(tree: xr.DataTree) -> np.ndarray:
    """Return the ids of the samples of a recording, shape (sample,)."""
    samples: np.ndarray = next(iter(populations_of(tree).values()))["sample"].values
    return samples


def describe_inputs(trees: Iterable[xr.DataTree]) -> dict[str, Any]:
    """Return attributes that identify the recordings a result was made from."""
    trees = list(trees)
    found: dict[str, Any] = {
        "recordings": [label_of(tree) for tree in trees],
        "recording_ids": [tree.attrs["id"] for tree in trees],
        "recording_hashes": [recording_hash(tree.attrs) for tree in trees],
    }
    partial = [f"{label_of(tree)}: {tree.attrs['problems']}" for tree in trees if not tree.attrs["complete"]]
    return found | {"partial": partial} if partial else found


def setting_of(tree: xr.DataTree) -> str:
    """Say in a word or two how a network was driven when it was recorded, e.g. ``"constant, 4 steps"``.

    Recordings of one setting can be compared with each other.
    """
    source = tree.attrs["source"]
    spec = source.get("spec", {})
    absent = [name for name in ("input", "warmup") if name not in spec] + ["steps"] * ("steps" not in source)
    if absent:
        raise StatisticError(
            f"the recording does not say how the network was driven: {', '.join(absent)}",
            where=str(tree.attrs.get("path", "")) or None,
            remedy="record it with 'eiplatform record', or give source={'steps': ..., 'spec': {'input', 'warmup'}}",
        )
    return f"{spec['input']}, {int(source['steps']) - int(spec['warmup'])} steps"
