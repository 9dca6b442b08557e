"""Dale's law: every weight and gain stays >= 0, kept by a projection after each optimiser step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from eiplatform.networks.layer import Layer

__all__ = ["attach", "signed_parameters", "violations"]


def signed_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters of all layers that must be >= 0, by their full name."""
    found = {}
    for prefix, module in network.named_modules():
        if isinstance(module, Layer):
            for name, parameter in module.signed_parameters().items():
                found[f"{prefix}.{name}" if prefix else name] = parameter
    return found


def violations(network: nn.Module) -> list[str]:
    """Return the names of parameters that break Dale's law or are not finite."""
    return [
        name
        for name, parameter in signed_parameters(network).items()
        if not bool(((parameter >= 0) & parameter.isfinite()).all())
    ]


def attach(optimiser: Optimizer, network: nn.Module) -> RemovableHandle:
    """Project onto Dale's law after every step of `optimiser`.

    Parameters
    ----------
    optimiser : torch.optim.Optimizer
        Any; its step stays its own.
    network : nn.Module
        Contains E-I layers.

    Returns
    -------
    RemovableHandle
        ``handle.remove()`` ends the projection.

    Examples
    --------
    >>> from eiplatform.networks import EILinear
    >>> layer = EILinear(2, 1, 1)
    >>> optimiser = torch.optim.SGD(layer.parameters(), lr=1.0)
    >>> handle = attach(optimiser, layer)
    >>> layer.gain_exc.grad = torch.full((1,), 5.0)
    >>> optimiser.step()
    >>> layer.gain_exc.item()
    0.0
    """
    parameters: list[Tensor] = list(signed_parameters(network).values())

    def project(*_: Any) -> None:
        if parameters:
            with torch.no_grad():
                torch._foreach_clamp_min_(parameters, 0)

    return optimiser.register_step_post_hook(project)
