"""Names and shapes of the tensors in checkpoints of the public code of arXiv 2509.23253."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from eiplatform.config import Config
from eiplatform.networks.convnet import POOL, VGG
from eiplatform.networks.layer import Layer
from eiplatform.networks.network import Network
from eiplatform.networks.transform import Conv2d

__all__ = ["Entry", "counts", "layout"]


class Entry(NamedTuple):
    """A public tensor."""

    ours: str | None
    """Our tensor of the same values; None: there is none."""
    shape: tuple[int, ...]
    non_negative: bool = False
    default: float = 0.0
    """Of a tensor that changes no output, if nothing else is known."""
    mean: str | None = None
    """Of a bias before a batch normalisation: our running mean, from which it is subtracted."""


def layout(network: Network, config: Config) -> dict[str, Entry]:
    """Return all public tensors of a network by name.

    Examples
    --------
    >>> from eiplatform.config import load_config
    >>> from eiplatform.networks import build_network
    >>> config = load_config(None, ["network.layer=bn", "network.hidden=[500]"])
    >>> list(layout(build_network(config, (1, 28, 28), 10), config))[:3]
    ['layers.2.linear.weight', 'layers.2.linear.bias', 'layers.3.bn.weight']
    """
    found: dict[str, Entry] = {}
    for name, layer, first, norm in _modules(network, config):
        ours, n = f"layers.{name}", layer.n_exc
        conv = isinstance(layer.transform, Conv2d)
        if config.network.layer == "ei":
            n_inh = layer.channels["I"]
            shape = layer.transform.weight_shape
            exc, inh = ("conv_ee.weight", "conv_ie.weight") if conv else ("weight_ee", "weight_ie")
            found[f"{first}.{exc}"] = Entry(f"{ours}.weight_exc", shape(n), non_negative=True)
            found[f"{first}.{inh}"] = Entry(f"{ours}.weight_inh_in", shape(n_inh), non_negative=True)
            found[f"{norm}.weight_ei"] = Entry(f"{ours}.weight_inh_out", (n, n_inh), non_negative=True)
            for public, mine, size in (("gain_i", "gain_inh", n_inh), ("gain_e", "gain_exc", n), ("bias", "bias", n)):
                there = f"{ours}.{mine}" if layer.spiking else None
                gain = public != "bias"
                found[f"{norm}.{public}"] = Entry(there, (size, 1, 1) if conv else (1, size), gain, float(gain))
            continue
        kind = "conv" if conv else "linear"
        found[f"{first}.{kind}.weight"] = Entry(f"{ours}.weight", layer.transform.weight_shape(n))
        if not layer.spiking:
            found[f"{first}.linear.bias"] = Entry(f"{ours}.bias", (n,))
            continue
        if not conv:
            found[f"{first}.linear.bias"] = Entry(None, (n,), mean=f"{ours}.norm.running_mean")
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{norm}.bn.{part}"] = Entry(f"{ours}.norm.{part}", (n,), part == "running_var")
        found[f"{norm}.bn.num_batches_tracked"] = Entry(None, (), non_negative=True)
    return found


def counts(name: str) -> bool:
    """Return whether a public tensor counts batches: the only one of integers."""
    return name.endswith("num_batches_tracked")


def _modules(network: Network, config: Config) -> Iterator[tuple[str, Layer, str, str]]:
    """Yield our layers with the public names of their linear map and of their normalisation."""
    ei = config.network.layer == "ei"
    architecture = config.network.architecture
    layers = network.named_layers()
    if architecture.startswith("resnet"):
        norm = "norm" if ei else "bn"
        for name, layer in layers.items():
            if name in ("stem", "readout"):
                yield name, layer, *(("conv1", f"{norm}1") if name == "stem" else ("fc", "final_ei_norm"))
                continue
            stage, block, part = name.removeprefix("stage").replace("block", "").split("_")
            prefix = f"layer{stage}.{int(block) - 1}"
            if part == "shortcut":
                yield name, layer, f"{prefix}.downsample.0", f"{prefix}.downsample.1"
            else:
                yield name, layer, f"{prefix}.{part}", f"{prefix}.{norm}{part[-1]}"
        return
    # A list of modules, some without tensors: two (event data: one) that repeat an image, then per layer its map,
    # its normalisation, splitting time off, neurons, (in E-I VGG: dropout,) merging time; poolings; a flattening.
    position = 1 if "dvs" in config.dataset.name else 2
    names = iter(layers.items())
    plan = VGG.get(architecture, (0,) * (len(layers) - 1))
    for entry in plan:
        if entry == POOL:
            position += 1
            continue
        yield *next(names), f"layers.{position}", f"layers.{position + 1}"
        position += 6 if ei and architecture in VGG else 5
    position += architecture in VGG
    yield *next(names), f"layers.{position}", f"layers.{position + 1}"
