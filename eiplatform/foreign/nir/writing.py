"""Networks of ours as NIR graphs."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from eiplatform.errors import ConfigError, MissingDependencyError, choose
from eiplatform.files import atomic_write, claim_file
from eiplatform.networks.convnet import POOL, ConvNet
from eiplatform.networks.layer import Layer
from eiplatform.networks.mlp import MLP
from eiplatform.networks.network import Network
from eiplatform.networks.resnet import ResNet
from eiplatform.networks.signed import SignedLayer, SignedReadout
from eiplatform.networks.transform import Conv2d
from eiplatform.store.optional import need

if TYPE_CHECKING:
    import nir

__all__ = ["to_nir"]


def to_nir(
    network: Any,
    path: str | Path | None = None,
    *,
    dt: float = 1e-3,
    reset: Literal["subtract"] | None = None,
    overwrite: bool = False,
) -> nir.NIRGraph:
    """Write a network in the Neuromorphic Intermediate Representation, which many frameworks read.

    Layers of signed weights with integrate-and-fire neurons can be expressed, fully connected and convolutional,
    residual too: weights and bias, with the batch normalisation of evaluation folded into them, then LIF (IF without
    a leak) with ``tau = dt * tau_steps`` and ``r = tau_steps``, so that Euler's method gives our step. Neurons fire
    where ``v >= threshold``, in NIR where ``v > threshold``: a note in the nodes' metadata says so to
    :func:`eiplatform.read_nir`; for other readers it matters where a potential hits the threshold exactly.

    Parameters
    ----------
    network : Network or Run
    path : str or Path, optional
        File to write, ``*.nir``.
    dt : float
        What a step is taken to last, in s.
    reset : {"subtract"}, optional
        Of networks that subtract the threshold after a spike (``reset: soft``): write them although NIR has had no
        such neurons since version 1.0.6.  Other readers reset to 0 unless you tell them; ours finds a note.
    overwrite : bool
        Replace an earlier file.

    Returns
    -------
    nir.NIRGraph

    Raises
    ------
    MissingDependencyError
        If the package nir is not installed, or too old to know a reset potential.
    ConfigError
        If NIR has no such layers or neurons: divisive inhibition, rates, several spikes per step, max pooling.

    Examples
    --------
    >>> import eiplatform as ei
    >>> from eiplatform.config import load_config
    >>> from eiplatform.networks import build_network
    >>> settings = ["network.hidden=[8]", "network.layer=none", "network.neuron.reset=hard"]
    >>> sorted(ei.to_nir(build_network(load_config(None, settings), (4,), 2)).nodes)
    ['fc1', 'fc1_weights', 'input', 'output', 'readout']
    """
    network = getattr(network, "network", network)
    if not isinstance(network, Network):
        raise ConfigError(
            f"a {type(network).__name__} cannot be written", where="to_nir", valid="a network of ei.train or ei.load"
        )
    if network.interventions:
        raise ConfigError("is under interventions at the moment", where="network", valid="an intact network")
    if not (math.isfinite(dt) and dt > 0):
        raise ConfigError(f"{dt!r} is not possible", where="dt", valid="a number above 0, in s")
    if reset is not None:
        choose(reset, ("subtract",), "reset", where="reset")
    flow = next((one for kind, one in _FLOWS.items() if type(network) is kind), None)
    if flow is None:
        valid = [kind.__name__ for kind in _FLOWS]
        raise ConfigError(f"NIR cannot express a network of type {type(network).__name__}", where="to_nir", valid=valid)
    package = need("nir", "writing NIR")
    if "v_reset" not in inspect.signature(package.LIF).parameters:
        raise MissingDependencyError(
            f"writing NIR needs nir 1.0.6 or newer, and {package.version} is installed",
            remedy="pip install 'nir>=1.0.6'",
        )
    writer = _Writer(package, network, dt, reset)
    flow(network, writer)
    graph = writer.graph()
    if path is not None:
        out = claim_file(Path(path), overwrite=overwrite)
        out.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(out, lambda temporary: writer.nir.write(temporary, graph))
    return graph


class _Writer:
    """Collects nodes and edges; ``at`` are the nodes whose sum the next one sees."""

    def __init__(self, nir: Any, network: Network, dt: float, reset: str | None) -> None:
        self.nir, self.network, self.dt, self.reset = nir, network, dt, reset
        self.nodes: dict[str, Any] = {"input": nir.Input(input_type=np.array(network.input_shape))}
        self.edges: list[tuple[str, str]] = []
        self.at: tuple[str, ...] = ("input",)
        self.shape = tuple(network.input_shape)

    def add(self, name: str, node: Any, shape: tuple[int, ...]) -> None:
        """Add a node that sees what came last."""
        self.nodes[name] = node
        self.edges += [(source, name) for source in self.at]
        self.at, self.shape = (name,), shape

    def flatten(self) -> None:
        """Turn maps into rows, if they are not."""
        if len(self.shape) > 1:
            self.add("flatten", self.nir.Flatten(np.array(self.shape), 0, -1), (math.prod(self.shape),))

    def pool(self, name: str, kernel: tuple[int, int]) -> None:
        """Average over patches; an odd last row or column is dropped."""
        channels, *maps = self.shape
        sizes = [length // size for length, size in zip(maps, kernel, strict=True)]
        node = self.nir.AvgPool2d(np.array(kernel), np.array(kernel), np.zeros(2, int))
        self.add(name, node, (channels, *sizes))

    def layer(self, name: str) -> None:
        """Add the weights of a layer, and its neurons if it has any."""
        layer = self.network.named_layers()[name]
        _check(layer, name, self.reset)
        weight, bias = _weights(layer)
        shape = layer.transform.output_shape(layer.n_exc)
        made: Any
        if isinstance(layer.transform, Conv2d):
            form = layer.transform
            rows = tuple(int(length) for length in self.shape[1:])
            made = self.nir.Conv2d(rows, weight, form.stride, form.padding, (1, 1), form.groups, bias)
        else:
            made = self.nir.Affine(weight, bias)
        if not layer.spiking:
            self.add(name, made, shape)
            return
        self.add(f"{name}_weights", made, shape)
        self.add(name, self._neurons(layer, shape), shape)
        if layer.votes:
            mean = np.kron(np.eye(layer.n_exc // layer.votes), np.full((1, layer.votes), 1 / layer.votes))
            self.add("votes", self.nir.Linear(mean.astype(np.float32)), (len(mean),))

    def _neurons(self, layer: Layer, shape: tuple[int, ...]) -> Any:
        assert isinstance(layer, SignedLayer)
        lif = layer.neuron
        threshold = np.full(shape, lif.threshold)
        if layer.stepwise is not None and layer.stepwise.threshold is not None:
            threshold = layer.stepwise.threshold.detach().double().cpu().numpy()
        ours: dict[str, Any] = {"eiplatform_fires_at_threshold": 1}
        ours |= {"eiplatform_reset": "subtract"} if lif.reset == "soft" else {}
        more = {"v_threshold": threshold, "v_reset": np.zeros(shape), "metadata": ours}
        if math.isinf(lif.tau):
            return self.nir.IF(r=np.full(shape, 1 / self.dt), **more)
        tau, zeros = np.full(shape, lif.tau), np.zeros(shape)
        return self.nir.LIF(tau=self.dt * tau, r=tau, v_leak=zeros, **more)

    def graph(self) -> Any:
        """Return the graph, whose output is what came last."""
        self.add("output", self.nir.Output(np.array(self.shape)), self.shape)
        return self.nir.NIRGraph(self.nodes, self.edges)


def _check(layer: Layer, name: str, reset: str | None) -> None:
    """Raise if NIR cannot express a layer."""
    if type(layer) not in (SignedLayer, SignedReadout):
        why = "it has no divisive inhibition" if "I" in layer.channels else "it has no such neurons"
        raise ConfigError(
            f"NIR cannot express a layer of type {type(layer).__name__}: {why}",
            where=f"layer '{name}'",
            valid="layers of signed weights: network.layer bn or none",
        )
    if not layer.spiking:
        return
    assert isinstance(layer, SignedLayer)
    graded = layer.stepwise is not None and layer.stepwise.graded
    if not layer.fires or graded:
        what = "several or negative spikes per step" if graded else "rates in place of spikes"
        raise ConfigError(f"NIR cannot express {what}", where=f"layer '{name}'", valid="a spike or none per step")
    if layer.neuron.reset == "soft" and reset is None:
        raise ConfigError(
            "its neurons subtract the threshold after a spike, which NIR has not been able to say since version 1.0.6",
            where=f"layer '{name}'",
            remedy="reset='subtract' writes it with a note for ei.read_nir; tell other readers yourself",
        )


def _weights(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and bias, with the normalisation of evaluation in them."""
    assert isinstance(layer, SignedLayer | SignedReadout)
    weight = layer.weight.detach().double()
    if isinstance(layer, SignedLayer) and layer.norm is not None:
        scale, shift = layer.norm.folded()
        weight = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    else:
        shift = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().double()
    return tuple(values.detach().float().cpu().numpy() for values in (weight, shift))  # type: ignore[return-value]


def _mlp(network: MLP, writer: _Writer) -> None:
    writer.flatten()
    for name in network.named_layers():
        writer.layer(name)


def _convnet(network: ConvNet, writer: _Writer) -> None:
    if POOL in network.plan and network.form.pooling != "average":
        raise ConfigError("NIR cannot express max pooling", where="to_nir", valid="pooling: average")
    for name in network.plan:
        if name == POOL:
            writer.pool(f"{writer.at[0]}_pool", (2, 2))
        else:
            writer.layer(name)
    writer.flatten()
    for name in network.named_layers():
        if name not in network.plan:
            writer.layer(name)


def _resnet(network: ResNet, writer: _Writer) -> None:
    writer.layer("stem")
    for block in network.blocks:
        seen, shape = writer.at, writer.shape
        for name in block.convolutions:
            writer.layer(name)
        inner = writer.at
        if block.shortcut is not None:
            writer.at, writer.shape = seen, shape
            writer.layer(block.shortcut)
            seen = writer.at
        writer.at = (*seen, *inner)
    writer.pool("average", (writer.shape[1], writer.shape[2]))
    writer.flatten()
    writer.layer("readout")


_FLOWS: dict[type[Network], Callable[[Any, _Writer], None]] = {MLP: _mlp, ConvNet: _convnet, ResNet: _resnet}
