"""What training minimises: the error of the answers, and an imbalance of membrane potentials."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from eiplatform.errors import choose

__all__ = ["LOSSES", "balance_loss", "task_loss"]

LOSSES = ("cross-entropy", "mse")


def task_loss(logits: Tensor, labels: Tensor, kind: str = "cross-entropy", label_smoothing: float = 0.0) -> Tensor:
    """Return the summed error of some answers.

    Parameters
    ----------
    logits : Tensor, shape (B, classes)
    labels : Tensor of int, shape (B,)
    kind : {"cross-entropy", "mse"}
        ``mse``: squared distance to the one-hot label, averaged over classes (as STL-SNN and BackEISNN).
    label_smoothing : float
        Of the cross entropy.

    Raises
    ------
    UnknownNameError
        For another kind.

    Examples
    --------
    >>> task_loss(torch.tensor([[0.5, 0.0]]), torch.tensor([0]), "mse").item()
    0.125
    """
    if choose(kind, LOSSES, "loss") == "mse":
        wanted = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
        return (logits - wanted).square().mean(1).sum()
    return functional.cross_entropy(logits, labels, reduction="sum", label_smoothing=label_smoothing)


_AT_REST = 0.01
"""Mean size of the potentials, in thresholds, below which their imbalance counts less and less."""


def balance_loss(voltages: Iterable[Tensor], threshold: float = 1.0) -> Tensor:
    """Return the summed imbalance of positive and negative membrane potentials, 0 to 1 per sample.

    Our reading of the positive-negative balanced loss of arXiv 2605.27412; only its
    abstract is public ("equilibrium between positive and negative membrane potentials"): with P
    and N the sums over the M steps and neurons of the positive and of the negative potentials'
    sizes, a layer's imbalance is ``((P - N) / (P + N + 0.01 M threshold))^2``.  The last term hardly
    counts unless nothing reaches the layer: without it the smallest potentials had the largest
    gradients, and one such image could undo all learning.  It is averaged over layers.

    Parameters
    ----------
    voltages : iterable of Tensor, shape (T, B, ...)
        Of every spiking layer, before the reset.
    threshold : float
        Of the neurons, what potentials are measured by.

    Examples
    --------
    >>> balance_loss([torch.tensor([[[1.0, -1.0]], [[2.0, 0.0]]])], 100.0).item()  # ((3 - 1) / (4 + 4))^2
    0.0625
    """
    found = []
    for voltage in voltages:
        values = voltage.float() if voltage.dtype in (torch.bfloat16, torch.float16) else voltage
        by_sample = values.transpose(0, 1).flatten(1)
        at_rest = _AT_REST * threshold * by_sample.shape[1]
        found.append((by_sample.sum(1) / (by_sample.abs().sum(1) + at_rest)).square().sum())
    return torch.stack(found).mean()
