"""The computation of DeepEISNN's public implementation, written anew from its description to compare times.

What decides its time (arXiv 2509.23253, and how its public code runs it): a static image is
repeated T times; excitation and inhibition are two convolutions; either kind of inhibition is
one product of I->E with a permuted copy of the I currents; weights and gains are clamped in
every forward pass; zeros of the divisive inhibition are replaced on a copy; neurons are
advanced step by step by single operations, through plain automatic differentiation, and hand
on a stacked sequence; the optimiser updates parameter by parameter.  The twin with batch
normalisation shares all of that but the circuit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["build", "copy_weights", "counterparts", "sgd_step"]

TAU, THRESHOLD, ALPHA = 2.0, 1.0, 4.0


class _SigmoidSpike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x >= 0).to(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        s = (ALPHA * x).sigmoid_()
        return grads[0] * s * (1 - s) * ALPHA


class Neurons(nn.Module):
    """Leaky integrate-and-fire, soft reset without gradient, one step after the other."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, merged: Tensor) -> Tensor:
        """Return the spikes of merged time and batch."""
        sequence = merged.unflatten(0, (self.steps, -1))
        v: float | Tensor = 0.0
        spikes = []
        for t in range(self.steps):
            if isinstance(v, float):
                v = torch.full_like(sequence[t], v)
            v = v - v / TAU + sequence[t]
            s = _SigmoidSpike.apply(v - THRESHOLD)
            v = v - s.detach() * THRESHOLD
            spikes.append(s)
        return torch.stack(spikes).flatten(0, 1).contiguous()


class Circuit(nn.Module):
    """E and I by two transforms of the input, and two products for the two kinds of inhibition."""

    def __init__(self, n_in: int, n_exc: int, *, conv: bool, readout: bool = False) -> None:
        super().__init__()
        n_inh = n_exc // 4
        kernel = (3, 3) if conv else ()
        self.conv, self.readout = conv, readout
        self.fan_in = n_in * 9 if conv else n_in
        self.weight_exc = nn.Parameter(torch.empty(n_exc, n_in, *kernel))
        self.weight_inh_in = nn.Parameter(torch.empty(n_inh, n_in, *kernel))
        self.weight_inh_out = nn.Parameter(torch.empty(n_exc, n_inh))
        self.weight_inh_out.register_hook(lambda grad: grad / self.fan_in)
        self.gain_inh = nn.Parameter(torch.empty(n_inh))
        self.gain_exc = nn.Parameter(torch.ones(n_exc))
        self.bias = nn.Parameter(torch.zeros(n_exc))

    def forward(self, x: Tensor) -> Tensor:
        """Return the drive, or the net current of a readout."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name != "bias":
                    parameter.clamp_(min=0)
        places = (..., None, None) if self.conv else (...,)
        if self.conv:
            exc = functional.conv2d(x, self.weight_exc, padding=1)
            inh_exc = functional.conv2d(x, self.weight_inh_in, padding=1)
        else:
            exc, inh_exc = (self.weight_exc @ x.T).T, (self.weight_inh_in @ x.T).T
        net = exc - self._onto_exc(inh_exc)
        div = self._onto_exc(self.gain_inh[places] * inh_exc)
        denominator = self._without_zeros(div)
        drive = self.gain_exc[places] * net / denominator + self.bias[places]
        return net if self.readout else drive

    def _onto_exc(self, inh: Tensor) -> Tensor:
        if not self.conv:
            return (self.weight_inh_out @ inh.T).T
        return (self.weight_inh_out @ inh.permute(2, 3, 1, 0)).permute(3, 2, 0, 1)

    @staticmethod
    def _without_zeros(div: Tensor) -> Tensor:
        zero = div == 0
        if not zero.any():
            return div
        rest = div.clone()
        rest[zero] = torch.inf
        smallest = rest.reshape(len(div), -1).min(1).values.view(-1, *(1,) * (div.ndim - 1))
        return torch.where(zero, smallest, div).detach() + (div - div.detach())


class _Repeat(nn.Module):
    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        return x.repeat(self.steps, *(1,) * (x.ndim - 1))


class _Average(nn.Module):
    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, merged: Tensor) -> Tensor:
        return merged.unflatten(0, (self.steps, -1)).mean(0)


def build(plan: Sequence[int | str], n_in: int, n_places: int, n_classes: int, steps: int, circuit: str) -> nn.Module:
    """Build a network of convolutions (with ``"P"`` for pooling), or of dense layers.

    Parameters
    ----------
    plan : sequence of int or "P"
    n_in : int
        Channels of the input, or inputs.
    n_places : int
        Places of the last map; 0: dense layers.
    n_classes, steps : int
    circuit : {"ei", "bn"}
    """
    conv = n_places > 0
    layers: list[nn.Module] = [_Repeat(steps)] if conv else [nn.Flatten(), _Repeat(steps)]
    for entry in plan:
        if isinstance(entry, str):
            layers.append(nn.AvgPool2d(2))
            continue
        if circuit == "ei":
            layers.append(Circuit(n_in, entry, conv=conv))
        elif conv:
            layers += [nn.Conv2d(n_in, entry, 3, padding=1, bias=False), nn.BatchNorm2d(entry)]
        else:
            layers += [nn.Linear(n_in, entry, bias=False), nn.BatchNorm1d(entry)]
        layers.append(Neurons(steps))
        n_in = entry
    n_in *= max(1, n_places)
    layers.append(nn.Flatten())
    if circuit == "ei":
        layers.append(Circuit(n_in, n_classes, conv=False, readout=True))
    else:
        layers.append(nn.Linear(n_in, n_classes, bias=False))
    return nn.Sequential(*layers, _Average(steps))


def counterparts(published: nn.Module, ours: nn.Module) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """Return each parameter of a network of ours beside the one of `published` with the same layers."""
    modules = list(published.children())
    targets = [m for m in modules if isinstance(m, Circuit | nn.Conv2d | nn.Linear)]
    norms = iter([m for m in modules if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)])
    pairs = []
    for target, layer in zip(targets, ours.layers.values(), strict=True):
        norm = next(norms, target) if not isinstance(target, Circuit) else target
        for name, parameter in layer.named_parameters():
            owner = norm if name.startswith("norm.") else target
            pairs.append((parameter, getattr(owner, name.removeprefix("norm."))))
    return pairs


def copy_weights(published: nn.Module, ours: nn.Module) -> None:
    """Give `published` the weights of a network of ours."""
    with torch.no_grad():
        for parameter, target in counterparts(published, ours):
            target.copy_(parameter)


def sgd_step(
    parameters: Sequence[nn.Parameter], momenta: dict[nn.Parameter, Tensor], rate: float, decay: float = 5e-4
) -> None:
    """Step of stochastic gradient descent with momentum 0.9, one parameter after the other."""
    with torch.no_grad():
        for p in parameters:
            if p.grad is None:
                continue
            gradient = p.grad.add(p, alpha=decay)
            if p not in momenta:
                momenta[p] = gradient.clone()
            momenta[p].mul_(0.9).add_(gradient)
            p.add_(momenta[p], alpha=-rate)
