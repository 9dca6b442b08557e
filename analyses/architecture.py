"""What is connected to what, in a network or a circuit?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.parts.analysis import Analysis, Result
from eiplatform.analyses.parts.inputs import Recordings, label_of, opened
from eiplatform.analyses.parts.tables import Table, texts
from eiplatform.statistics import populations_of

__all__ = ["Architecture"]


class Architecture(Analysis):
    """Populations and the pathways between them, as the recordings show them."""

    question = "What is connected to what, in a network or a circuit?"
    place = 5

    def run(self, recordings: Recordings) -> Result:
        """Read populations and pathways from the recordings' own descriptions and signals.

        Parameters
        ----------
        recordings : sequence of str, Path or DataTree

        Returns
        -------
        xarray.Dataset, dims (node) and (edge)
            ``recording``, ``kind``, ``place`` (layer), ``role`` (input, E, I), ``size`` and ``recorded``: whether it
            is in the recording (node); ``source``, ``target`` (numbers of nodes) and ``sign`` (``+``, ``-`` or ``/``)
            (edge).  A pathway is there if its current was recorded, or the configuration states it.
        """
        trees = opened(recordings)
        nodes: list[dict[str, Any]] = []
        edges: list[dict[str, Any]] = []
        for tree in trees:
            (_network if tree.attrs["source"]["kind"] == "network" else _circuit)(tree, nodes, edges)
        data = xr.Dataset(
            {name: ("node", [node[name] for node in nodes]) for name in nodes[0]}
            | {name: ("edge", [edge[name] for edge in edges]) for name in ("source", "target", "sign")}
        )
        return self.result(data, trees)

    def tables(self, result: xr.Dataset) -> Iterable[Table]:
        """Give the populations with their sizes."""
        names = zip(*(texts(result[name]) for name in ("recording", "place", "role")), strict=True)
        sizes = result["size"].values
        rows = tuple((*name, str(int(size)) if size > 0 else "–") for name, size in zip(names, sizes, strict=True))
        yield Table("Populations", ("recording", "place", "role", "neurons"), rows, "Sizes of the whole population.")


def _add(nodes: list[dict[str, Any]], tree: xr.DataTree, place: str, role: str, size: int, recorded: bool) -> int:
    kind = str(tree.attrs["source"]["kind"])
    about = {"recording": label_of(tree), "kind": kind, "place": place, "role": role}
    nodes.append(about | {"size": int(size), "recorded": recorded})
    return len(nodes) - 1


def _network(tree: xr.DataTree, nodes: list[dict[str, Any]], edges: list[dict[str, Any]]) -> None:
    """Add the layers of a network, one behind the other; I that was not recorded stands in the configuration."""
    found = populations_of(tree)
    told = (tree.attrs.get("config") or {}).get("network", {})
    ratio = float(told.get("ei_ratio", np.nan)) if isinstance(told, Mapping) else float("nan")
    kind = str(told.get("layer", "")) if isinstance(told, Mapping) else ""
    last = _add(nodes, tree, "input", "input", 0, True)
    places = list(dict.fromkeys(name.partition("/")[0] for name in found))
    for place in places:
        exc, inh = found.get(f"{place}/E"), found.get(f"{place}/I")
        whole = (
            exc if exc is not None else next(data for name, data in found.items() if name.partition("/")[0] == place)
        )
        e = _add(nodes, tree, place, str(whole.attrs["role"]), int(whole.attrs["n_neurons"]), True)
        edges.append({"source": last, "target": e, "sign": "+"})
        if inh is not None or (kind == "ei" and np.isfinite(ratio)):
            size = int(inh.attrs["n_neurons"]) if inh is not None else round(whole.attrs["n_neurons"] / ratio)
            i = _add(nodes, tree, place, "I", size, inh is not None)
            edges.append({"source": last, "target": i, "sign": "+"})
            if "current_inh" in whole:
                edges.append({"source": i, "target": e, "sign": "-"})
            if "gain" in whole or "inhibition_div" in whole:
                edges.append({"source": i, "target": e, "sign": "/"})
        elif "current_inh" in whole:  # weights of both signs: their negative part inhibits
            edges.append({"source": last, "target": e, "sign": "-"})
        last = e


def _circuit(tree: xr.DataTree, nodes: list[dict[str, Any]], edges: list[dict[str, Any]]) -> None:
    """Add the populations of a circuit or of own recordings, with the inputs whose currents were recorded."""
    found = populations_of(tree)
    outside = any("current_exc_external" in data for data in found.values())
    source = _add(nodes, tree, "input", "input", 0, True) if outside else -1
    numbers = {}
    for name, data in found.items():
        role = str(data.attrs["role"])
        place = name.removesuffix("/E").removesuffix("/I")
        place = place[:-1] if place.endswith(role) else place
        numbers[name] = _add(nodes, tree, place, role, int(data.attrs["n_neurons"]), True)
    for name, data in found.items():
        target = numbers[name]
        own = {
            role: [
                k
                for other, k in numbers.items()
                if found[other].attrs["role"] == role and nodes[k]["place"] == nodes[target]["place"]
            ]
            for role in "EI"
        }
        if "current_exc_external" in data and source >= 0:
            edges.append({"source": source, "target": target, "sign": "+"})
        if "current_exc" in data or "current_exc_recurrent" in data:
            edges += [{"source": k, "target": target, "sign": "+"} for k in own["E"]]
        if "current_inh" in data or "inhibition_div" in data:
            edges += [{"source": k, "target": target, "sign": "-"} for k in own["I"]]
