"""The optimiser of a training run, and what is done to gradients and weights around its step."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.utils.hooks import RemovableHandle

from eiplatform.config import TrainingConfig
from eiplatform.networks import Network, dale
from eiplatform.networks.kernels.backend import current

__all__ = ["centre_gradients", "clip_gradient", "make_optimiser"]


def make_optimiser(part: TrainingConfig, network: Network) -> Optimizer:
    """Return the optimiser of what learns in a network; after each step it keeps Dale's law.

    Returns
    -------
    torch.optim.Optimizer
        Of the parameters that require a gradient.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    rate, decay = part.learning_rate, part.weight_decay
    # PyTorch's compiled step: one pass over weights, gradients and momenta, two to three times faster.
    fused = True if current() == "compiled" else None
    optimiser: Optimizer
    if part.optimiser == "adamw":
        optimiser = AdamW(parameters, lr=rate, weight_decay=decay, fused=fused)
    elif part.optimiser == "adam":
        optimiser = Adam(parameters, lr=rate, weight_decay=decay, fused=fused)
    else:
        optimiser = SGD(parameters, lr=rate, momentum=part.momentum, weight_decay=decay, fused=fused)
    if part.centre_gradients:
        centre_gradients(optimiser, network)
    if part.clip:
        clip_gradient(optimiser, part.clip)
    dale.attach(optimiser, network)
    return optimiser


def centre_gradients(optimiser: Optimizer, network: nn.Module) -> RemovableHandle:
    """Before every step, subtract from the gradient of each neuron's weights their mean over its inputs.

    Gradient centralization (Yong, Huang, Hua & Zhang 2020, ECCV, arXiv 2004.01461, eq. 1).  Where
    inputs and weights are >= 0, a change that all weights of a neuron share moves its current most: the
    loss is steepest along it, and learning slow along all others.

    Parameters
    ----------
    optimiser : torch.optim.Optimizer
        Any; its step stays its own, so that weight decay and momentum come after.
    network : nn.Module
        All its parameters that are named weight and have at least two axes, the first of neurons.

    Returns
    -------
    RemovableHandle
        ``handle.remove()`` ends it.

    Examples
    --------
    >>> layer = nn.Linear(3, 1)
    >>> optimiser = SGD(layer.parameters(), lr=1.0)
    >>> handle = centre_gradients(optimiser, layer)
    >>> before = layer.weight.detach().clone()
    >>> layer(nn.Parameter(layer.weight.new_tensor([[1.0, 2.0, 6.0]]))).sum().backward()
    >>> optimiser.step()
    >>> [round(change, 4) for change in (layer.weight - before).flatten().tolist()]
    [2.0, 1.0, -3.0]
    """
    weights = [
        parameter
        for name, parameter in network.named_parameters()
        if name.rpartition(".")[2].startswith("weight") and parameter.ndim > 1
    ]

    def centre(*_: Any) -> None:
        for weight in weights:
            if weight.grad is not None:
                weight.grad -= weight.grad.mean(tuple(range(1, weight.ndim)), keepdim=True)

    return optimiser.register_step_pre_hook(centre)


def clip_gradient(optimiser: Optimizer, norm: float) -> RemovableHandle:
    """Before every step, shorten a gradient that is longer than `norm` to it; its direction stays.

    Pascanu, Mikolov & Bengio 2013, ICML, arXiv 1211.5063.  The norm is over all parameters together.

    Parameters
    ----------
    optimiser : torch.optim.Optimizer
        Any; weight decay and momentum come after.  Of centred gradients the centred ones are measured.
    norm : float

    Returns
    -------
    RemovableHandle
        ``handle.remove()`` ends it.

    Examples
    --------
    >>> import torch
    >>> weight = nn.Parameter(torch.zeros(1, 2))
    >>> optimiser = SGD([weight], lr=1.0)
    >>> handle = clip_gradient(optimiser, 1.0)
    >>> weight.grad = weight.new_tensor([[3.0, -4.0]])
    >>> optimiser.step()
    >>> [round(value, 4) for value in weight.flatten().tolist()]
    [-0.6, 0.8]
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]

    def clip(*_: Any) -> None:
        nn.utils.clip_grad_norm_(parameters, norm)

    return optimiser.register_step_pre_hook(clip)
