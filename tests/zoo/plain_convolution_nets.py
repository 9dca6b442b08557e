"""Plain torch: convolutions, pooling, batch normalisation, shortcuts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.zoo.cases import Net, case, positive
from tests.zoo.oracle import Parts, Seen, Signals, by, by_hand, products

T = 5


class Forward(nn.Module):
    """Parts by name, and a forward pass."""

    def __init__(self, forward: Callable[[Any, Tensor], Any], **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.run = forward

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


def normal(norm: Any) -> Any:
    """Return batch normalisation as after training, with scales of either sign."""
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return norm


def folded(norm: str) -> Callable[[nn.Module], Tensor]:
    """Return what gives the factor of a batch normalisation for (T, B, C, H, W)."""

    def factor(module: nn.Module) -> Tensor:
        part: Any = module.get_submodule(norm)
        return (part.weight / torch.sqrt(part.running_var + part.eps)).detach().double().view(-1, 1, 1)

    return factor


@case
def convolution_norm_relu_pool() -> Net:
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        normal(nn.BatchNorm2d(4)),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 3),
    ).eval()
    wants = {"0": by("0", scale=folded("1"), drive="1", activity=torch.relu), "5": by("5")}
    return Net(module, lambda batch: torch.randn(batch, 1, 8, 8), wants)


@case
def groups_depthwise_pointwise() -> Net:
    module = nn.Sequential(
        nn.Conv2d(4, 6, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, stride=2, groups=6, padding=1),
        nn.ReLU(),
        nn.Conv2d(6, 3, 1),
    )
    wants = {"0": by("0", activity=torch.relu), "2": by("2", activity=torch.relu), "4": by("4")}
    return Net(module, positive(4, 5, 6), wants)


@case
def dilation_stride_and_same_padding() -> Net:
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding="same", dilation=2), nn.ReLU(), nn.Conv2d(2, 3, (3, 2), stride=(1, 2))
    )
    return Net(module, lambda batch: torch.randn(batch, 1, 6, 6), {"0": by("0", activity=torch.relu), "2": by("2")})


@case
def transposed_convolutions() -> Net:
    module = nn.Sequential(
        nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 2, 2, groups=2),
    )
    return Net(module, positive(2, 3, 4), {"0": by("0", activity=torch.relu), "2": by("2")})


@case
def one_and_three_dimensions() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        volume = torch.relu(net.c3(x))
        return net.c1(volume.flatten(2))

    module = Forward(run, c3=nn.Conv3d(1, 2, 2), c1=nn.Conv1d(2, 3, 4, stride=3))
    return Net(module, positive(1, 3, 4, 3), {"c3": by("c3", activity=torch.relu), "c1": by("c1")})


@case
def global_average_by_mean() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        return net.fc(torch.relu(net.c(x).mean((2, 3))))

    module = Forward(run, c=nn.Conv2d(1, 5, 3), fc=nn.Linear(5, 3))
    wants = {"c": by("c", linear=lambda values: values.mean((2, 3)), activity=torch.relu), "fc": by("fc")}
    return Net(module, lambda batch: torch.randn(batch, 1, 6, 6), wants)


@case
def average_pools_before_the_neuron() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        pooled = functional.adaptive_avg_pool2d(functional.avg_pool2d(net.c(x), 2), 1)
        return net.fc(torch.relu(pooled).flatten(1))

    def linear(values: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(functional.avg_pool2d(values, 2), 1)

    module = Forward(run, c=nn.Conv2d(1, 5, 3), fc=nn.Linear(5, 3))
    return Net(module, positive(1, 8, 8), {"c": by("c", linear=linear, activity=torch.relu), "fc": by("fc")})


@case
def residual_block() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        first = torch.relu(net.a(x))
        second = torch.relu(net.b(first) + first)
        return net.head(second.mean((2, 3)))

    module = Forward(run, a=nn.Conv2d(1, 3, 3, padding=1), b=nn.Conv2d(3, 3, 3, padding=1), head=nn.Linear(3, 2))
    wants = {
        "a": by("a", activity=torch.relu),
        "b": by_hand(_residual),
        "head": by("head"),
    }
    return Net(module, positive(1, 5, 5), wants)


def _residual(net: Any, x: Tensor) -> dict[str, Any]:
    first = torch.relu(net.a(x))
    parts = products(net.b, first)
    drive = (net.b(first) + first).unsqueeze(0)
    parts = Parts(parts.exc + first, parts.inh)  # the shortcut: a weight of 1 from spikes or rates >= 0
    return {"parts": [parts], "drive": drive, "activity": torch.relu(drive)}


@case
def shortcut_by_a_convolution() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        return net.head(torch.relu(net.norm(net.a(x)) + net.down(x)).flatten(1))

    module = Forward(
        run,
        a=nn.Conv2d(2, 3, 3, stride=2, padding=1, bias=False),
        norm=normal(nn.BatchNorm2d(3)),
        down=nn.Conv2d(2, 3, 1, stride=2),
        head=nn.Linear(27, 2),
    ).eval()
    return Net(module, positive(2, 6, 6), {"a": _two_branches, "head": by("head")})


def _two_branches(seen: Seen) -> Signals:
    main, down = by("a", scale=folded("norm"), drive="norm")(seen), by("down")(seen)
    drive = main["drive"] + down["drive"]
    return {
        "current_exc": main["current_exc"] + down["current_exc"],
        "current_inh": main["current_inh"] + down["current_inh"],
        "drive": drive,
        "activity": torch.relu(drive),
    }


@case
def dense_skips_by_cat() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        first = torch.relu(net.a(x))
        second = torch.relu(net.b(torch.cat([x, first], 1)))
        return net.c(torch.cat([x, first, second], 1))

    module = Forward(run, a=nn.Linear(4, 5), b=nn.Linear(9, 6), c=nn.Linear(15, 3))
    wants = {"a": by("a", activity=torch.relu), "b": by("b", activity=torch.relu), "c": by("c")}
    return Net(module, lambda batch: torch.randn(batch, 4), wants)


class Functional(nn.Module):
    """Weights as parameters, used by functions."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.shift = nn.Parameter(torch.randn(3, 2, 3, 3)), nn.Parameter(torch.randn(3))
        self.matrix = nn.Parameter(torch.randn(4, 12))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(functional.conv2d(x, self.kernel, self.shift, stride=2))
        return functional.linear(hidden.flatten(1), self.matrix)


def _kernel(net: Any, x: Tensor) -> dict[str, Any]:
    layer = nn.Conv2d(2, 3, 3, stride=2)
    layer.weight, layer.bias = net.kernel, net.shift
    drive = functional.conv2d(x, net.kernel, net.shift, stride=2).unsqueeze(0)
    return {"parts": [products(layer, x)], "drive": drive, "activity": torch.relu(drive)}


def _matrix(net: Any, x: Tensor) -> dict[str, Any]:
    layer = nn.Linear(12, 4, bias=False)
    layer.weight = net.matrix
    return {"parts": [products(layer, torch.relu(functional.conv2d(x, net.kernel, net.shift, stride=2)).flatten(1))]}


@case
def functional_forms() -> Net:
    return Net(Functional(), positive(2, 5, 5), {"kernel": by_hand(_kernel), "matrix": by_hand(_matrix)})


class Spiking(nn.Module):
    """A convolution in a loop; neurons written out."""

    def __init__(self, channels: int, kind: str) -> None:
        super().__init__()
        self.conv: Any = nn.Conv2d(1, channels, 3) if kind == "2d" else nn.Conv1d(1, channels, 3)
        self.head = nn.Linear(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        mem: Any = 0
        out: Any = 0
        for _ in range(T):
            mem = 0.8 * mem + self.conv(x)
            spikes = (mem > 0.3).float()
            mem = mem * (1 - spikes)
            out = out + self.head(spikes.flatten(2).mean(-1))
        return out / T


@case
def convolution_in_a_loop() -> Net:
    return Net(Spiking(5, "2d"), positive(1, 6, 6), {"conv": by("conv"), "head": by("head")}, T)


@case
def as_many_channels_as_steps() -> Net:
    return Net(Spiking(T, "2d"), positive(1, T, T), {"conv": by("conv"), "head": by("head")}, T)


@case
def convolution_over_time_series_in_a_loop() -> Net:
    return Net(Spiking(4, "1d"), positive(1, 9), {"conv": by("conv"), "head": by("head")}, T)


@case
def norm_in_a_loop() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        mem: Any = 0
        outs = []
        for _ in range(5):
            mem = 0.8 * mem + net.norm(net.conv(x))
            outs.append(torch.sigmoid(4 * (mem - 0.5)))
        return net.head(torch.stack(outs).mean(0).flatten(1))

    module = Forward(run, conv=nn.Conv2d(1, 3, 3), norm=normal(nn.BatchNorm2d(3)), head=nn.Linear(48, 2)).eval()
    wants = {"conv": by("conv", scale=folded("norm")), "head": by("head", axes="held")}
    return Net(module, positive(1, 6, 6), wants, 5)
