"""What ``eiplatform.open`` returns: a DataTree that knows which recording it is."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import xarray as xr

from eiplatform.errors import StoreError, UnknownNameError, suggest

__all__ = ["IN_MEMORY", "Recording", "UnknownPopulationError", "recording_tree"]

IN_MEMORY = "in memory"
"""Stands for the path of a recording that is nowhere on disk."""


class UnknownPopulationError(UnknownNameError, KeyError):
    """A recording has no population or signal of that name; a KeyError, as of any mapping."""


class Recording(xr.DataTree):  # type: ignore[no-untyped-call]
    """A DataTree that suggests the near name for a wrong one, and heads its display with what it is.

    It adds no state: whatever makes a new tree of it (selection, copies, arithmetic) may as well
    give a plain DataTree, and only the two conveniences are lost.
    """

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        try:
            return super().__getitem__(key)
        except KeyError:
            missing = str(key)
        place = self.path.strip("/") or self.attrs.get("path")
        below = {node.relative_to(self): node for node in self.subtree if node.has_data and node is not self}
        for name, node in below.items():
            if missing.startswith(f"{name}/"):
                return node[missing.removeprefix(f"{name}/")]  # tells the signals there are
        valid = list(below) or [str(name) for name in self.variables]
        what = f"no {'population' if below else 'signal'} '{missing}'{suggest(missing, valid)}"
        raise UnknownPopulationError(what, where=place, valid=valid)

    def headline(self) -> str:
        """Return which recording this is, in a line; empty for a part of one."""
        if not {"path", "complete", "source"} <= set(self.attrs):
            return ""
        source = self.attrs["source"]
        leaves = [node.to_dataset() for node in self.leaves]
        samples = leaves[0].sizes.get("sample", 0) if leaves else 0
        state = "complete" if self.attrs["complete"] else f"PARTIAL: {self.attrs['problems']}"
        size = sum(data.nbytes for data in leaves) / 1e6
        return (
            f"Recording of the {source['kind']} '{source.get('label', source.get('name', ''))}' ({state}): "
            f"{samples} samples, {len(leaves)} populations, {size:.1f} MB when loaded, {self.attrs['path']}"
        )

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write this recording, as it is now, to a directory that :func:`eiplatform.open` opens.

        Parameters
        ----------
        path : str or Path
            Recording directory.
        overwrite : bool
            Whether an earlier recording there may be deleted.

        Raises
        ------
        SumRuleError
            If the parts of the currents do not rebuild the whole any more.
        OutputExistsError
            If the directory is taken.
        StoreError
            If this is a part of a recording.
        """
        from eiplatform.store.writer import RecordingWriter

        if "source" not in self.attrs:
            raise StoreError(
                "a part of a recording cannot be saved", where=self.path, remedy="save the whole recording"
            )
        populations = {node.path.lstrip("/"): node.to_dataset() for node in self.leaves}
        about = {"source": self.attrs["source"], "config": self.attrs["config"]}
        with RecordingWriter(path, **about, overwrite=overwrite) as writer:
            writer.append(populations)
        return Path(path)

    def __repr__(self, *levels: Any) -> str:
        return f"{self.headline()}\n{super().__repr__(*levels)}".lstrip()

    def _repr_html_(self) -> str:
        tree = super()._repr_html_()  # type: ignore[no-untyped-call]
        return f"<div><b>{escape(self.headline())}</b></div>{tree}"


def recording_tree(
    populations: Mapping[str, xr.Dataset],
    manifest: Mapping[str, Any],
    *,
    path: str = IN_MEMORY,
    complete: bool = True,
    problems: str = "",
) -> Recording:
    """Return populations as an open recording."""
    tree = Recording.from_dict(dict(populations))
    tree.attrs = {
        "path": path,
        "id": manifest["id"],
        "schema_version": manifest["schema_version"],
        "complete": complete,
        "problems": problems,
        "source": manifest["source"],
        "config": manifest["config"],
    }
    return tree
