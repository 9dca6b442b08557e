"""Opening and looking: ``open`` and ``info``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Protocol

import xarray as xr

from eiplatform.errors import ConfigError, StoreError
from eiplatform.files import read_json
from eiplatform.store.info import info as recording_info
from eiplatform.store.info import tree_info
from eiplatform.store.reader import is_recording, open_recording
from eiplatform.store.series import is_series, steps_of
from eiplatform.store.tree import Recording

__all__ = ["Facts", "Seen", "info", "open"]


class Seen(Protocol):
    """What :func:`info` returns: it prints as text, and shows as a table in a notebook."""

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""

    @property
    def table_title(self) -> str:
        """What the table lists."""

    def head(self) -> list[str]:
        """Return the lines above the table."""

    def rows(self) -> tuple[Any, list[list[str]]]:
        """Return the columns of the table, and its rows."""

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-compatible data."""


@dataclass(frozen=True)
class Facts:
    """What a path holds, in a few lines and a table.

    Attributes
    ----------
    kind : {"training", "checkpoint", "result", "study", "lesions", "demo", "recordings", "training recording"}
    path : str
    lines : list of str
    columns : tuple of str
    table : list of list of str
    more : dict
        The same and more, for programs.
    complete : bool
    """

    kind: str
    path: str
    lines: list[str]
    columns: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    more: Mapping[str, Any] | None = None
    complete: bool = True

    @property
    def table_title(self) -> str:
        """What the table lists."""
        return "What it holds"

    def head(self) -> list[str]:
        """Return the lines above the table."""
        return self.lines

    def rows(self) -> tuple[tuple[str, ...], list[list[str]]]:
        """Return the columns of the table, and its rows."""
        return self.columns, [list(row) for row in self.table]

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-compatible data."""
        held = [dict(zip(self.columns, row, strict=True)) for row in self.table]
        about = {"kind": self.kind, "path": self.path, "complete": self.complete}
        return about | dict(self.more or {}) | ({"holds": held} if held else {})

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.columns, *self.table, strict=True)]
        rows = [self.columns, *self.table] if self.table else []
        table = ["  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join(["\n  ".join(self.lines), *table])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        first, *rest = map(escape, self.lines)
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self.table)
        title = "".join(f"<th>{escape(column)}</th>" for column in self.columns)
        return f"<div><b>{first}</b><br>{'<br>'.join(rest)}<table><tr>{title}</tr>{body}</table></div>"


def open(  # noqa: A001
    path: str | Path, *, partial: bool = False, chunks: Mapping[str, Any] | str | None = None
) -> Recording | Any:
    """Open a recording, or a saved result of an analysis.

    A recording is a lazy tree of populations: nothing but coordinates is read until it is used.

    Parameters
    ----------
    path : str or Path
        Recording directory, a packed recording, a Zarr store, or recordings made while training, whose populations
        have a leading dimension ``step``; or the file of a saved result (``.nc``).
    partial : bool
        Open what is complete of an interrupted or damaged recording; ``tree.attrs["problems"]`` says what is missing.
    chunks : mapping or "auto", optional
        Give dask arrays: ``{}`` one chunk per shard, ``{"neuron": 64}`` also cut along neurons.

    Returns
    -------
    Recording or Result
        Of a recording an :class:`xarray.DataTree`: one leaf per population, e.g. ``tree["fc1/E"].ds`` with dimensions
        (sample, time, neuron) and statistics in ``.ei``.  Of a saved result the
        :class:`~eiplatform.analyses.Result`.

    Raises
    ------
    StoreError
        If this is neither, or a recording is incomplete and `partial` is false.
    ConfigError
        If `partial` or `chunks` is given for a result.
    MissingDependencyError
        If `chunks` is given and dask is not installed.

    Examples
    --------
    >>> import eiplatform as ei, tempfile
    >>> folder = tempfile.mkdtemp() + "/clamp"
    >>> _ = ei.from_arrays([1.0, 2.0], [2.0, 1.0], dt=1).save(folder)
    >>> float(ei.open(folder)["E"].ds["current_exc"].mean())
    1.5
    """
    _check_place(path)
    if not _is_result(Path(path)):
        return open_recording(path, partial=partial, chunks=chunks)
    for name, given in (("partial", partial), ("chunks", chunks is not None)):
        if given:
            raise ConfigError("this is a result, which is always read as a whole", where=name, remedy="leave it out")
    from eiplatform.analyses import load_result

    return load_result(path)


def info(what: str | Path | xr.DataTree, *, partial: bool = False) -> Seen:
    """Say what a recording, training, checkpoint, result, study, lesion design or demo holds.

    Parameters
    ----------
    what : str, Path or DataTree
        A place on disk, or an open recording.
    partial : bool
        Accept an interrupted or damaged recording.

    Returns
    -------
    RecordingInfo or Facts
        Both print as a short text with a table, and have ``as_dict()``.

    Raises
    ------
    StoreError
        If there is nothing of eiplatform at that place.

    Examples
    --------
    >>> import eiplatform as ei
    >>> print(ei.info(ei.from_arrays([1.0, 2.0], [2.0, 1.0], dt=1, label="clamp")).rows()[1][0][:4])
    ['E', 'E', '1 of 1', '2 x 1 ms']
    """
    if isinstance(what, xr.DataTree):
        return tree_info(what)
    _check_place(what)
    path = Path(what)
    if is_recording(path):
        return recording_info(path, partial=partial)
    if is_series(path):
        return _series(path)
    if path.suffix == ".safetensors" or (path / "config.yml").is_file():
        return _training(path)
    if _is_result(path):
        return _result(path)
    if (path / "study.json").is_file():
        return _folder("study", path, read_json(path / "study.json").get("study"))
    if (path / "design.json").is_file():
        return _folder("lesions", path, read_json(path / "design.json").get("pathway"))
    if (path / "scorecard.json").is_file():
        return _folder("demo", path)
    if path.is_dir() and any(is_recording(entry) for entry in path.iterdir() if entry.is_dir()):
        return _folder("recordings", path)
    raise StoreError(
        "nothing of eiplatform is here" if path.exists() else "this path does not exist",
        where=str(path),
        valid="a recording, a training, a checkpoint, a result (.nc), a study, lesions, or the demo's directory",
    )


def _check_place(path: Any) -> None:
    if not isinstance(path, str | Path):
        raise ConfigError(f"an object of the type {type(path).__name__} is not a place", where="path", valid="a path")


def _is_result(path: Path) -> bool:
    return path.suffix == ".nc" and path.is_file() and not is_recording(path)


def _series(path: Path) -> Facts:
    steps = steps_of(path)
    rows = tuple((str(step), str(part)) for step, part in steps.items())
    head = f"{path}: recorded while training, at {len(steps)} moments; eiplatform.open gives all of them as one"
    return Facts("training recording", str(path), [head], ("iterations", "recording"), rows)


def _training(path: Path) -> Facts:
    from dataclasses import asdict

    from eiplatform.training.about import checkpoint_at, describe_checkpoint

    file = checkpoint_at(path)
    if file is None:
        return Facts("training", str(path), [f"{path}: a training without a checkpoint yet"], complete=False)
    found = describe_checkpoint(file)
    kind = "training" if path.is_dir() else "checkpoint"
    return Facts(kind, str(path), found.lines(), more=asdict(found), complete=not found.unfinished)


def _result(path: Path) -> Facts:
    from eiplatform.analyses import load_result

    result = load_result(path)
    data = result.data
    analysis = str(data.attrs["analysis"])
    sizes = ", ".join(f"{name} {size}" for name, size in data.sizes.items())
    lines = [f"{path}: result of the analysis '{analysis}' ({sizes})"]
    lines += [f"- {finding}" for finding in result.findings()]
    rows = tuple((str(name), ", ".join(map(str, value.dims))) for name, value in data.data_vars.items())
    return Facts("result", str(path), lines, ("variable", "dimensions"), rows, more={"analysis": analysis})


def _folder(kind: str, path: Path, name: object = None) -> Facts:
    """Describe a directory that holds recordings, trainings and results, at any depth."""
    recordings = [file.parent for file in sorted(path.rglob("manifest.json")) if is_recording(file.parent)]
    rows = [("recording", str(place.relative_to(path))) for place in recordings]
    rows += [("training", str(file.parent.relative_to(path))) for file in sorted(path.rglob("config.yml"))]
    rows += [("result", str(file.relative_to(path))) for file in sorted(path.rglob("*.nc"))]
    rows += [("report", str(file.relative_to(path))) for file in sorted(path.rglob("*.html"))]
    counts = {what: sum(row[0] == what for row in rows) for what in dict.fromkeys(row[0] for row in rows)}
    called = f" '{name}'" if name else ""
    held = ", ".join(f"{n} {what}{'s' if n > 1 else ''}" for what, n in counts.items()) or "nothing yet"
    return Facts(kind, str(path), [f"{path}: {kind}{called} with {held}"], ("what", "place"), tuple(rows))
