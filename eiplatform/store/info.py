"""A recording in a few lines: ``eiplatform info``, ``eiplatform.info(path)``, the table in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from eiplatform.earlier import as_hashed
from eiplatform.errors import StoreError
from eiplatform.files import content_hash
from eiplatform.store.blocks import row_blocks
from eiplatform.store.events import bare
from eiplatform.store.forms import form_of
from eiplatform.store.reader import open_recording, read_manifest

__all__ = ["PopulationFacts", "RecordingInfo", "info", "tree_info"]

_COLUMNS = ("population", "role", "neurons", "time", "mean rate", "MB", "signals")


@dataclass(frozen=True)
class PopulationFacts:
    """One population of a recording.

    Attributes
    ----------
    role : {"E", "I"}
    n_neurons, n_recorded, n_time : int
        Neurons in all and recorded, recorded intervals per sample.
    dt : float
        Length of an interval, in `dt_units`.
    dt_units : {"step", "ms"}
    rate : str
        Mean over all neurons (events) or the recorded ones (dense), with its unit.
    bytes : int
        On the disk.
    signals : list of str
    units : dict of str to str
        Of each signal.
    """

    role: str
    n_neurons: int
    n_recorded: int
    n_time: int
    dt: float
    dt_units: str
    rate: str
    bytes: int
    signals: list[str]
    units: dict[str, str]


@dataclass(frozen=True)
class RecordingInfo:
    """What a recording holds; prints as a table, and shows as one in a notebook.

    Attributes
    ----------
    path, kind, label, schema_version, created, command, config_hash : str
    form : {"shards", "packed", "zarr", "memory"}
    complete : bool
    problems : str
        What is missing of a partial recording.
    n_samples, n_shards, bytes : int
    source : dict
        What was recorded, from the manifest.
    populations : dict of str to PopulationFacts
    """

    path: str
    kind: str
    label: str
    form: str
    complete: bool
    problems: str
    schema_version: str
    n_samples: int
    n_shards: int
    bytes: int
    created: str
    command: str
    source: dict[str, Any]
    config_hash: str
    populations: dict[str, PopulationFacts]
    table_title: ClassVar[str] = "Populations"

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-compatible data."""
        return asdict(self)

    def head(self) -> list[str]:
        """Return the lines above the table."""
        if self.form == "memory":
            return [f"{self.kind} '{self.label}', {self.n_samples} samples, {self.bytes / 1e6:.1f} MB {self.path}"]
        forms = {"packed": "one packed file", "zarr": "a Zarr store"}
        form = forms.get(self.form, f"{self.n_shards} shard{'s' if self.n_shards != 1 else ''}")
        lines = [
            f"{self.path}: {self.kind} '{self.label}', {'complete' if self.complete else 'PARTIAL'}",
            f"{self.n_samples} samples, {self.bytes / 1e6:.1f} MB in {form}, "
            f"schema {self.schema_version}, made {self.created} by: {self.command}",
        ]
        if data := self.source.get("data"):
            weights = f", weights sha256 {self.source['weights'][:16]}" if "weights" in self.source else ""
            lines.append(f"shown: {data['name']}, {data['samples']} samples, sha256 {data['sha256'][:16]}{weights}")
        return [*lines, self.problems] if self.problems else lines

    def rows(self) -> tuple[Sequence[str], list[list[str]]]:
        """Return the table: its columns, and a row per population."""
        rows = [
            [
                name,
                part.role,
                f"{part.n_recorded} of {part.n_neurons}",
                f"{part.n_time} x {part.dt:g} {part.dt_units}",
                part.rate,
                f"{part.bytes / 1e6:.2f}",
                ", ".join(_with_units(part)),
            ]
            for name, part in self.populations.items()
        ]
        return _COLUMNS, rows

    def __str__(self) -> str:
        columns, rows = self.rows()
        widths = [max(len(row[index]) for row in [list(columns), *rows]) for index in range(len(columns))]
        table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        title = "  ".join(cell.ljust(width) for cell, width in zip(columns, widths, strict=True)).rstrip()
        return "\n".join([*self.head(), "", title, *table])

    def _repr_html_(self) -> str:
        columns, rows = self.rows()
        first, *rest = map(escape, self.head())
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        title = "".join(f"<th>{escape(column)}</th>" for column in columns)
        return (
            f"<div><b>{first}</b><br>{'<br>'.join(rest)}"
            f"<table><thead><tr>{title}</tr></thead><tbody>{body}</tbody></table></div>"
        )


def _with_units(part: PopulationFacts) -> list[str]:
    return [f"{name} ({part.units[name]})" if part.units[name] != "1" else name for name in part.signals]


def _mean_rate(data: xr.Dataset) -> str:
    """Return the mean rate over all neurons (events) or the recorded ones (dense)."""
    if "spike_time" in data and "duration" in data.attrs:
        seconds = data.attrs["duration"] / 1000.0 * data.sizes["sample"]
        return f"{data.sizes['spike'] / (data.attrs['n_neurons'] * seconds):.2f} Hz"
    if "spikes" not in data and "mean" in data and "spikes" in data["signal"].values:
        mean = float(data["mean"].sel(signal="spikes").mean())
        return f"{mean:.3f} per step"
    if "spikes" not in data:
        return "no spikes"
    spikes = data["spikes"]
    total = 0
    for block in row_blocks(spikes.shape, spikes.dtype.itemsize):
        total += int(spikes[block].values.sum(dtype=np.int64))
    mean = total / max(1, spikes.size)
    return f"{mean:.3f} per step" if data.attrs["dt_units"] == "step" else f"{1000 * mean / data.attrs['dt']:.2f} Hz"


def info(path: str | Path, *, partial: bool = False) -> RecordingInfo:
    """Return what a recording holds; reads its spikes piece by piece, and nothing else.

    Parameters
    ----------
    path : str or Path
        Recording directory, a packed recording or a Zarr store.
    partial : bool
        Tell what is complete of an interrupted or damaged recording.

    Raises
    ------
    StoreError
        If this is not a recording, or it is incomplete and `partial` is false.
    """
    path = Path(path)
    manifest = read_manifest(path)
    tree = open_recording(path, partial=partial)
    leaves = {node.path.lstrip("/"): bare(node.to_dataset()) for node in tree.leaves}
    form = form_of(path, manifest)
    files, sizes = form.files(), form.sizes(list(leaves))
    source, provenance = manifest["source"], manifest.get("provenance", {})
    return RecordingInfo(
        path=str(path),
        kind=source["kind"],
        label=source.get("label", source.get("name", "")),
        complete=tree.attrs["complete"],
        form=form.name,
        problems=tree.attrs["problems"],
        schema_version=manifest["schema_version"],
        n_samples=int(next(iter(leaves.values())).sizes["sample"]),
        n_shards=len(next(iter(form.lengths().values()))["sample"]),
        bytes=sum(file.stat().st_size for file in files),
        created=provenance.get("created", "at an unknown time"),
        command=provenance.get("command", "an unknown command"),
        source=source,
        config_hash=manifest.get("config_hash", ""),
        populations={name: _population(data, sizes[name]) for name, data in leaves.items()},
    )


def tree_info(tree: xr.DataTree) -> RecordingInfo:
    """Return what an open recording holds, as it is now.

    Raises
    ------
    StoreError
        If it is a part of a recording.
    """
    attrs = tree.attrs
    if "source" not in attrs:
        raise StoreError("this is a part of a recording", where=tree.path, remedy="ask for the whole recording")
    leaves = {node.path.lstrip("/"): bare(node.to_dataset()) for node in tree.leaves}
    source = attrs["source"]
    return RecordingInfo(
        path=attrs["path"],
        kind=source["kind"],
        label=source.get("label", source.get("name", "")),
        complete=attrs["complete"],
        form="memory",
        problems=attrs["problems"],
        schema_version=attrs["schema_version"],
        n_samples=int(next(iter(leaves.values())).sizes["sample"]),
        n_shards=1,
        bytes=sum(data.nbytes for data in leaves.values()),
        created="now",
        command="",
        source=dict(source),
        config_hash=content_hash(as_hashed(attrs["config"])),
        populations={name: _population(data, data.nbytes) for name, data in leaves.items()},
    )


def _population(data: xr.Dataset, size: int) -> PopulationFacts:
    return PopulationFacts(
        role=data.attrs["role"],
        n_neurons=int(data.attrs["n_neurons"]),
        n_recorded=data.sizes["neuron"],
        n_time=data.sizes.get("time", 0),
        dt=float(data.attrs["dt"]),
        dt_units=data.attrs["dt_units"],
        rate=_mean_rate(data),
        bytes=size,
        signals=list(map(str, data.data_vars)),
        units={str(key): str(value.attrs.get("units", "?")) for key, value in data.data_vars.items()},
    )
