"""What ``eiplatform.open`` returns: a DataTree that knows which recording it is."""

from __future__ import annotations

from html import escape
from typing import Any

import xarray as xr

from eiplatform.errors import UnknownNameError, suggest

__all__ = ["RecordingTree", "UnknownPopulationError"]


class UnknownPopulationError(UnknownNameError, KeyError):
    """A recording has no population or signal of that name; a KeyError, as of any mapping."""


class RecordingTree(xr.DataTree):  # type: ignore[no-untyped-call]
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

    def __repr__(self, *levels: Any) -> str:
        return f"{self.headline()}\n{super().__repr__(*levels)}".lstrip()

    def _repr_html_(self) -> str:
        tree = super()._repr_html_()  # type: ignore[no-untyped-call]
        return f"<div><b>{escape(self.headline())}</b></div>{tree}"
