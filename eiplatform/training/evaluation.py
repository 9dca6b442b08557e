"""How well a network does on a split, and how much its layers fire."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from eiplatform.datasets import Split
from eiplatform.datasets.encoding import spike_trains
from eiplatform.errors import ConfigError
from eiplatform.networks import Network
from eiplatform.training.losses import task_loss
from eiplatform.training.parallel import World

__all__ = ["Evaluation", "as_tensors", "evaluate", "inputs", "shown"]


class Evaluation(NamedTuple):
    """How a network does on a split.

    Attributes
    ----------
    loss, accuracy : float
        Mean error and part of the samples that are classified rightly.
    rates : dict of str to float
        Mean spikes, of either sign, per neuron and step of each hidden layer's E neurons; nothing
        of layers that do not spike.
    silent : dict of str to float
        Part of each hidden layer's E neurons that never fire on this split.
    """

    loss: float
    accuracy: float
    rates: dict[str, float]
    silent: dict[str, float]


def evaluate(
    network: Network,
    split: Split,
    *,
    batch_size: int = 256,
    steps: int | None = None,
    world: World | None = None,
    loss: str = "cross-entropy",
) -> Evaluation:
    """Measure loss, accuracy and firing rates of a network, lesions included, on a split.

    The network is run in evaluation mode and in the precision of its weights.  Spikes are
    counted layer by layer, while the network runs; no layer's signals are kept.

    Parameters
    ----------
    network : Network
    split : Split
    batch_size : int
    steps : int, optional
        Time steps of static images (default: those of training).
    world : World, optional
        Processes that share the work; all get the whole result.
    loss : {"cross-entropy", "mse"}
    """
    device = next(network.parameters()).device
    world = World(0, 1, device) if world is None else world
    mode = network.training
    network.eval()
    totals = torch.zeros(3, dtype=torch.float64, device=device)  # loss, correct, shown (samples times steps)
    starts = range(0, len(split), batch_size)[world.rank :: world.size]
    with torch.no_grad(), _spikes_counted(network) as counts:
        for start in starts:
            x, y = inputs(network, split, slice(start, start + batch_size), device, steps)
            sequence = x.ndim == len(network.input_shape) + 2
            logits = network.run(x, None if sequence else steps).logits
            error = task_loss(logits.float(), y, loss).double()
            n_steps = x.shape[0] if sequence else (network.steps if steps is None else steps)
            totals += torch.stack((error, (logits.argmax(1) == y).sum().double(), error.new_tensor(n_steps * len(y))))
        counts = _complete(network, counts, device)
        world.add_([totals, *counts.values()])
    network.train(mode)
    loss_sum, correct, n_shown = totals.tolist()
    return Evaluation(
        loss_sum / len(split),
        round(correct) / len(split),
        {name: count.mean().item() / n_shown for name, count in counts.items()},
        {name: (count == 0).double().mean().item() for name, count in counts.items()},
    )


@contextmanager
def _spikes_counted(network: Network) -> Iterator[dict[str, Tensor]]:
    """Count the spikes of every hidden neuron over time and samples, in the order of the layers."""
    counts: dict[str, Tensor] = {}
    handles = []
    signed = network.signed_spikes
    for name, layer in network.named_layers().items():
        if not layer.fires:
            continue

        def count(module: torch.nn.Module, args: Any, output: Any, name: str = name) -> None:
            del module, args
            spikes: Tensor = output[1].abs() if signed else output[1]
            fired = spikes.sum((0, 1), dtype=torch.float32).double().flatten()  # whole numbers: exact
            counts[name] = counts[name] + fired if name in counts else fired

        handles.append(layer.register_forward_hook(count))
    try:
        yield counts
    finally:
        for handle in handles:
            handle.remove()


def _complete(network: Network, counts: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Return the counts in the order of the layers; zeros where a process had no batch of its own."""
    found = {}
    for name, layer in network.named_layers().items():
        if layer.fires:
            n_neurons = layer.populations()["E"].n_neurons if name not in counts else 0
            found[name] = counts.get(name, torch.zeros(n_neurons, dtype=torch.float64, device=device))
    return found


def inputs(
    network: Network, split: Split, index: np.ndarray | slice, device: torch.device, steps: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return what a network sees of these samples outside training, encoded as it was trained, and their labels.

    The spikes of a sample are those that a recording with its default seed shows.

    Raises
    ------
    ConfigError
        If event data are to be encoded once more.
    """
    x, y = as_tensors(split, index, device)
    if network.encoding == "constant":
        return x, y
    if split.sequence:
        raise ConfigError("event data are spikes already", where="network.encoding", valid="constant")
    trains = spike_trains(x.cpu().numpy(), split.ids[index], steps or network.steps, network.encoding)
    return torch.from_numpy(trains).to(device), y


def as_tensors(split: Split, index: np.ndarray | slice, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return what a network sees of these samples, and their labels, on `device`."""
    stored = torch.from_numpy(split.stored_at(index)).to(device)
    return shown(stored, split), torch.from_numpy(split.labels[index]).to(device)


def shown(stored: Tensor, split: Split) -> Tensor:
    """Turn stored pixels (B, ...) into float32 in [0, 1]; of sequences, time comes first."""
    # A tensor as divisor: a plain number would be multiplied by its reciprocal on a GPU, which rounds otherwise.
    values = stored.float() / torch.tensor(float(split.scale), device=stored.device)
    return values.transpose(0, 1) if split.sequence else values
