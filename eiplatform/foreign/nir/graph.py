"""A NIR graph as plain data: from a file, read with h5py alone, or from an object of the package nir."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from eiplatform.errors import ConfigError, StoreError, choose
from eiplatform.store.hdf5 import open_hdf5
from eiplatform.untrusted import reading

__all__ = ["Edge", "Graph", "Node", "load_graph"]

Edge = tuple[str, str]
_FREE, _RATIO = 2**26, 1000
"""A file declares no more bytes than this, or than compression by so much explains: uniform fields compress well."""


class Node(NamedTuple):
    """One node of a graph.

    Attributes
    ----------
    kind : str
        Its NIR type, e.g. ``"LIF"``.
    values : dict of str to array, str or dict
        Its fields; ``metadata`` is a dict.
    """

    kind: str
    values: dict[str, Any]


class Graph(NamedTuple):
    """Nodes and the edges between them; those of nested graphs are named ``graph.node``."""

    nodes: dict[str, Node]
    edges: tuple[Edge, ...]


def load_graph(source: Any) -> Graph:
    """Return a graph without graphs in it.

    Parameters
    ----------
    source : str, Path or nir.NIRGraph

    Raises
    ------
    StoreError
        If the file is not a NIR file, or names nodes that it does not have.
    ConfigError
        If `source` is neither a file nor a graph.
    """
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():
            raise StoreError("no file has this name", where=str(path))
        with open_hdf5(path) as file:
            if "node" not in file:
                raise StoreError("not a NIR file: it has no group 'node'", where=str(path), valid="a file of nir.write")
            with reading(path, what="not a NIR file that can be read"):
                _check_size(file, path)
                data = _held(file["node"])
        return _graph(data, str(path))
    if not callable(getattr(source, "to_dict", None)):
        raise ConfigError(
            f"a {type(source).__name__} is not a NIR graph", where="read_nir", valid="a file, or a nir.NIRGraph"
        )
    return _graph(source.to_dict(), type(source).__name__)


def _check_size(file: h5py.File, path: Path) -> None:
    """Raise if a file declares more data than compression explains: it would fill the memory."""
    declared: list[int] = []
    file.visititems(lambda _, item: declared.append(item.nbytes) if isinstance(item, h5py.Dataset) else None)
    size = path.stat().st_size
    if sum(declared) > max(_FREE, _RATIO * size):
        raise StoreError(f"declares {sum(declared)} bytes of data in a file of {size}", where=str(path))


def _held(group: h5py.Group) -> dict[str, Any]:
    return {name: _held(item) if isinstance(item, h5py.Group) else _plain(item[()]) for name, item in group.items()}


def _plain(value: Any) -> Any:
    """Return text as str, numbers as an array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple | list) and any(hasattr(one, "detach") for one in value):
        value = [_plain(one) for one in value]
    return np.asarray(value)


def _graph(data: Mapping[str, Any], where: str) -> Graph:
    with reading(where, what="not a NIR graph that can be read"):
        flat = _Flat(where)
        flat.add(data, "")
        return flat.graph()


class _Flat:
    """Graphs within a graph laid out: what goes into one goes into its Input, and comes out of its Output."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.inner: list[str] = []

    def add(self, data: Mapping[str, Any], prefix: str) -> None:
        """Add a graph whose names get a prefix."""
        held, kind = data.get("nodes"), str(_plain(data.get("type")))
        if not isinstance(held, Mapping) or kind != "NIRGraph":
            raise StoreError(f"holds a node {kind}, not a graph", where=self.where, valid="a NIRGraph")
        starts: dict[str, str] = {}
        stops: dict[str, str] = {}
        for name, fields in held.items():
            full = f"{prefix}{name}"
            if str(_plain(fields.get("type"))) != "NIRGraph":
                values = {str(key): _plain(value) for key, value in fields.items()}
                self.nodes[full] = Node(str(values.pop("type", None)), values)
                continue
            self.add(fields, f"{full}.")
            starts[full], stops[full] = (self._end(fields["nodes"], full, end) for end in ("Input", "Output"))
        known = [*(f"{prefix}{name}" for name in held)]
        for edge in data.get("edges", ()):
            source, target = (
                choose(f"{prefix}{_plain(end)}", known, "node", where=f"{self.where}: an edge") for end in edge
            )
            self.edges.append((stops.get(source, source), starts.get(target, target)))

    def _end(self, nodes: Mapping[str, Any], graph: str, kind: str) -> str:
        """Return the one Input or Output of a graph within the graph."""
        found = [f"{graph}.{name}" for name, one in nodes.items() if str(_plain(one.get("type"))) == kind]
        if len(found) != 1:
            raise StoreError(f"'{graph}' has {len(found)} nodes {kind}", where=self.where, valid="one")
        self.inner += found
        return found[0]

    def graph(self) -> Graph:
        """Return all nodes but the ends of graphs within the graph, which pass on what they get."""
        edges = dict.fromkeys(self.edges)  # a set in NIR
        for name in self.inner:
            before = [first for first, second in edges if second == name]
            after = [second for first, second in edges if first == name]
            edges = dict.fromkeys(edge for edge in edges if name not in edge)
            edges |= dict.fromkeys((first, second) for first in before for second in after)
            del self.nodes[name]
        return Graph(self.nodes, tuple(edges))
