"""How well a network does on a split, and how much its layers fire."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from eiplatform.datasets import Split
from eiplatform.snn import EILayer, Network

__all__ = ["Evaluation", "as_tensors", "evaluate"]


class Evaluation(NamedTuple):
    """How a network does on a split.

    Attributes
    ----------
    loss, accuracy : float
        Mean cross entropy and part of the samples that are classified rightly.
    rates : dict of str to float
        Mean spikes per neuron and step of each hidden layer's E neurons.
    silent : dict of str to float
        Part of each hidden layer's E neurons that never fire on this split.
    """

    loss: float
    accuracy: float
    rates: dict[str, float]
    silent: dict[str, float]


def evaluate(network: Network, split: Split, *, batch_size: int = 256, steps: int | None = None) -> Evaluation:
    """Measure loss, accuracy and firing rates of a network, lesions included, on a split.

    Parameters
    ----------
    network : Network
    split : Split
    batch_size : int
    steps : int, optional
        Time steps (default: those of training).

    Returns
    -------
    Evaluation
    """
    device = next(network.parameters()).device
    hidden = [name for name, layer in network.circuits().items() if isinstance(layer, EILayer)]
    record = {f"{name}/E": frozenset({"spikes"}) for name in hidden}
    counts: dict[str, Tensor] = {}
    loss, correct = 0.0, 0
    n_steps = 0
    with torch.no_grad():
        for start in range(0, len(split), batch_size):
            x, y = as_tensors(split, slice(start, start + batch_size), device)
            logits, signals, _ = network.run(x, steps, record)
            loss += functional.cross_entropy(logits, y, reduction="sum").item()
            correct += int((logits.argmax(1) == y).sum())
            for name in hidden:
                spikes = signals[f"{name}/E"]["spikes"]
                n_steps = spikes.shape[0]
                fired = spikes.double().sum((0, 1)).flatten()
                counts[name] = counts[name] + fired if name in counts else fired
    return Evaluation(
        loss / len(split),
        correct / len(split),
        {name: counts[name].mean().item() / (n_steps * len(split)) for name in hidden},
        {name: (counts[name] == 0).double().mean().item() for name in hidden},
    )


def as_tensors(split: Split, index: np.ndarray | slice, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return images and labels of these samples on `device`."""
    return torch.from_numpy(split.images[index]).to(device), torch.from_numpy(split.labels[index]).to(device)
