"""A NIR graph as a network that is recorded without the framework it comes from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from eiplatform.errors import ConfigError, EIPlatformError, StoreError, choose
from eiplatform.foreign.entry import adapt
from eiplatform.foreign.network import ForeignNetwork
from eiplatform.foreign.nir.graph import Edge, Graph, load_graph
from eiplatform.foreign.nir.neurons import METHODS, RESETS, Held, NIRDelay, NIRNeurons, Stepping
from eiplatform.foreign.nir.nodes import build
from eiplatform.foreign.nir.order import delayed_edges, ordered

if TYPE_CHECKING:
    import nir

__all__ = ["NIRNetwork", "read_nir"]

_LARGEST = 2**28
"""Values in an input."""


def read_nir(
    source: str | Path | nir.NIRGraph,
    *,
    dt: float,
    method: Literal["euler", "exponential"] = "euler",
    reset: Literal["subtract", "zero"] | None = None,
    input_shape: Sequence[int] | None = None,
    output: str | None = None,
    delayed: Iterable[tuple[str, str]] | None = None,
    steps: int = 4,
    signs: Literal["contribution", "weight"] = "contribution",
) -> ForeignNetwork:
    """Read a network in the Neuromorphic Intermediate Representation, which many frameworks write.

    NIR (Pedersen et al. 2024, https://doi.org/10.1038/s41467-024-52259-9) states differential equations.  With the
    factor ``k = 1 - dt/tau`` (Euler) or ``k = exp(-dt/tau)`` (exponential), one step of length `dt` is, in this order,

        i <- k_syn i + (1 - k_syn) w_in x           CubaLIF, CubaLI; of the others i = x
        v <- k v + (1 - k) (R i + v_leak)           LIF, LI, CubaLIF, CubaLI
        v <- v + dt R i                             IF, I
        spike where v > v_threshold
        v <- v_reset after a spike; v <- v - v_threshold in graphs without v_reset (NIR up to 1.0.5)

    from ``i = 0`` and ``v = v_leak`` (IF: ``v_reset``).  Edges that lead back bring the spikes of the step before.

    Parameters
    ----------
    source : str, Path or nir.NIRGraph
        A file (``*.nir``; the package nir is not needed), or a graph.
    dt : float
        Length of a time step, in the unit of the graph's time constants: 1e-4 for graphs of snnTorch and
        spikingjelly (s), 1 for those of sinabs (steps).  See ``docs/exchange.md``.
    method : {"euler", "exponential"}
        Euler: as snnTorch, Norse, spikingjelly and Lava step.  Exponential: as sinabs does.
    reset : {"subtract", "zero"}, optional
        What a spike does to the potential, in place of what the graph says.  snnTorch and sinabs write a reset to 0
        whatever their neurons do.
    input_shape : sequence of int, optional
        Shape of one input, without batch and time, where the graph does not say it.
    output : str, optional
        Which node ``Output`` gives the logits, where there are several.
    delayed : iterable of (str, str), optional
        Edges that bring the spikes of the step before, where the graph does not determine them.
    steps : int
        Time steps of a run when none are asked for.
    signs : {"contribution", "weight"}
        Sign rule of the currents, as of :func:`eiplatform.adapt`.

    Returns
    -------
    ForeignNetwork
        For :func:`eiplatform.record`; populations have the names of the nodes.  The torch module is its ``.module``.

    Raises
    ------
    UnknownNameError
        If a node is of a kind that is not known.
    StoreError
        If the file is not a NIR file, or the nodes do not fit together.
    ConfigError
        If the step is too long, or something has to be said that the graph leaves open.

    Examples
    --------
    >>> import numpy as np, nir, eiplatform as ei
    >>> one = np.ones(3)
    >>> neurons = nir.LIF(tau=0.02 * one, r=20 * one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)
    >>> graph = nir.NIRGraph.from_list(nir.Linear(np.eye(3)), neurons)
    >>> network = ei.read_nir(graph, dt=0.001)
    >>> tree = ei.record(network, np.ones((2, 3), "float32"), steps=5, quiet=True)
    >>> tree["lif"].ds["spikes"].values[0, :, 0].tolist()
    [False, True, False, True, False]
    """
    if not (isinstance(dt, int | float) and math.isfinite(dt) and dt > 0):
        raise ConfigError(f"{dt!r} is not possible", where="dt", valid="a number above 0")
    choose(method, METHODS, "method", where="method")
    if reset is not None:
        choose(reset, RESETS, "reset", where="reset")
    shape = None if input_shape is None else tuple(int(length) for length in input_shape)
    module = NIRNetwork(load_graph(source), Stepping(float(dt), method, reset), shape, output, delayed)
    drawn = torch.rand(2, *module.input_shape, generator=torch.Generator().manual_seed(0))
    return adapt(module.eval(), drawn, time="steps", steps=steps, signs=signs)


class NIRNetwork(nn.Module):
    """The nodes of a graph, run one step per call.

    Parameters
    ----------
    graph : Graph
    stepping : Stepping
    input_shape : tuple of int, optional
        Default: that of the node ``Input``.
    output : str, optional
        Default: the only node ``Output``.
    delayed : iterable of (str, str), optional
        Default: the edges that lead back.

    Attributes
    ----------
    input_shape : tuple of int
    delayed : tuple of (str, str)
        Edges that bring the spikes of the step before.
    """

    def __init__(
        self,
        graph: Graph,
        stepping: Stepping,
        input_shape: tuple[int, ...] | None = None,
        output: str | None = None,
        delayed: Iterable[Edge] | None = None,
    ) -> None:
        super().__init__()
        self.stepping = stepping
        ends = {kind: [name for name, node in graph.nodes.items() if node.kind == kind] for kind in ("Input", "Output")}
        if len(ends["Input"]) != 1 or not ends["Output"]:
            raise StoreError(
                f"{len(ends['Input'])} nodes Input and {len(ends['Output'])} nodes Output",
                where="NIR graph",
                valid="one Input, at least one Output",
            )
        if output is None and len(ends["Output"]) > 1:
            raise ConfigError("several nodes Output", where="output", valid=ends["Output"], remedy="name one: output=")
        self._start = ends["Input"][0]
        self._end = ends["Output"][0] if output is None else choose(output, ends["Output"], "Output", where="output")
        self._parts: dict[str, str] = {}
        for name, node in graph.nodes.items():
            if node.kind not in ends:
                self._parts[name] = self._free(name)
                self.add_module(self._parts[name], build(name, node, stepping))
        names, edges = list(graph.nodes), list(graph.edges)
        self._inputs = {name: [source for source, target in edges if target == name] for name in names}
        for name in names:
            if name != self._start and not self._inputs[name]:
                raise StoreError("nothing leads to it", where=f"node '{name}'")
        neurons = {name for name in self._parts if isinstance(self._module(name), NIRNeurons)}
        if delayed is None:
            self.delayed = delayed_edges(names, edges, self._start, neurons)
        else:
            self.delayed = tuple((str(source), str(target)) for source, target in delayed)
            for edge in self.delayed:
                if edge not in edges or edge[0] not in neurons:
                    known = [edge for edge in edges if edge[0] in neurons]
                    raise ConfigError(f"{edge} is not an edge out of neurons", where="delayed", valid=map(str, known))
        self._order = ordered(names, [edge for edge in edges if edge not in self.delayed])
        self.input_shape = input_shape or _shape(graph.nodes[self._start].values)
        if math.prod(self.input_shape) > _LARGEST:
            raise StoreError(f"its input has the shape {self.input_shape}", where=f"node '{self._start}'")
        self._shapes = self._find_shapes()
        self._sent: dict[str, Tensor] = {}

    def reset(self) -> None:
        """Return to rest."""
        self._sent = {}
        for part in self.children():
            if isinstance(part, Held):
                part.reset()

    def forward(self, x: Tensor) -> Tensor:
        """Return what reaches the node Output in one step.

        Parameters
        ----------
        x : Tensor, shape (B, *input_shape)
        """
        values = {self._start: x}
        for name in self._order:
            if name == self._start:
                continue
            given = [
                self._before(source, x) if (source, name) in self.delayed else values[source]
                for source in self._inputs[name]
            ]
            total = given[0]
            for one in given[1:]:
                total = total + one
            values[name] = self._module(name)(total) if name in self._parts else total
        self._sent = {source: values[source] for source, _ in self.delayed}
        return values[self._end]

    def _before(self, source: str, x: Tensor) -> Tensor:
        """Return what neurons sent in the step before; at rest nothing."""
        sent = self._sent.get(source)
        return x.new_zeros(len(x), *self._shapes[source]) if sent is None else sent

    def _module(self, name: str) -> nn.Module:
        return self.get_submodule(self._parts[name])

    def _free(self, name: str) -> str:
        """Return a name that torch and the store allow."""
        free = name.replace(".", "_").replace("/", "_") or "_"
        while hasattr(self, free):
            free += "_"
        return free

    def _find_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of what every node gives; raise where nodes do not fit together."""
        shapes = {self._start: self.input_shape}
        waiting = [name for name in self._order if name != self._start]
        while waiting:
            ready = [name for name in waiting if any(source in shapes for source in self._inputs[name])]
            if not ready:
                raise StoreError("nothing leads to them from the Input", where=f"nodes {', '.join(waiting)}")
            for name in ready:
                given = next(shapes[source] for source in self._inputs[name] if source in shapes)
                shapes[name] = self._given(name, given)
            waiting = [name for name in waiting if name not in ready]
        for name, sources in self._inputs.items():
            arriving = {source: shapes[source] for source in sources}
            if len(set(arriving.values())) > 1:
                raise StoreError(f"what leads to it has the shapes {arriving}", where=f"node '{name}'")
        return shapes

    def _given(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of what a node gives for an input of a shape."""
        part = self._module(name) if name in self._parts else None
        if isinstance(part, NIRNeurons | NIRDelay):
            if math.prod(part.shape) != 1 and part.shape != shape:
                what = f"its fields have the shape {part.shape}, its input {shape}"
                raise StoreError(what, where=f"node '{name}'", valid="one shape, or a single number")
            return shape
        if part is None:
            return shape
        if isinstance(part, nn.Linear) and len(shape) != 1:
            raise StoreError(
                f"its input has the shape {shape}",
                where=f"node '{name}'",
                valid=f"({part.in_features},)",
                remedy="if the graph counts batch or time as axes of its input: input_shape=(...) without them",
            )
        try:
            with torch.no_grad():
                return tuple(part(torch.zeros(1, *shape)).shape[1:])
        except (RuntimeError, IndexError, ValueError) as error:
            hint = "its axes are to be counted without the batch" if isinstance(part, nn.Flatten) else None
            raise StoreError(
                f"does not take an input of shape {shape}: {' '.join(str(error).split())[:160]}",
                where=f"node '{name}'",
                valid=hint,
            ) from error


def _shape(values: dict[str, Any]) -> tuple[int, ...]:
    """Return the shape that the node Input states."""
    found = values.get("shape", values.get("input_type"))
    found = found.get("input") if isinstance(found, dict) else found
    lengths = () if found is None else tuple(int(length) for length in found.reshape(-1))
    if not lengths or min(lengths) < 1:
        raise EIPlatformError(
            "the graph does not say the shape of its input", where="node Input", remedy="input_shape=(...)"
        )
    return lengths
