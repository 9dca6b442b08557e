"""spikingjelly: one call per step and whole sequences, its containers, blocks and loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.cases import Net, case, package, positive
from tests.zoo.oracle import Seen, Signals, by

functional, layer, neuron = (
    package(f"spikingjelly.activation_based.{name}") for name in ("functional", "layer", "neuron")
)

T = 4


def steps(module: nn.Module, x: Tensor) -> None:
    """Run one call per step, as its tutorials do."""
    functional.reset_net(module)
    for _ in range(T):
        module(x)
    functional.reset_net(module)


def at_once(module: nn.Module, x: Tensor) -> None:
    """Run a whole sequence."""
    functional.reset_net(module)
    module(x)
    functional.reset_net(module)


def sequences(*shape: int, scale: float = 2.0) -> Callable[[int], Tensor]:
    """Return what makes inputs (T, batch, *shape)."""
    return lambda batch: torch.rand(T, batch, *shape) * scale


def normal(norm: Any) -> Any:
    """Return batch normalisation as after training."""
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
        norm.running_mean.normal_(0, 0.2)
        norm.running_var.uniform_(0.5, 2)
    return norm


def folded(norm: str) -> Callable[[nn.Module], Tensor]:
    """Return what gives the factor of a batch normalisation for (T, B, C, H, W)."""

    def factor(module: nn.Module) -> Tensor:
        part: Any = module.get_submodule(norm)
        return (part.weight / torch.sqrt(part.running_var + part.eps)).detach().double().view(-1, 1, 1)

    return factor


def strong(part: Any) -> Any:
    """Return a layer whose weights are large enough to make neurons fire."""
    with torch.no_grad():
        part.weight.add_(0.1).mul_(3)
    return part


@case
def one_call_per_step() -> Net:
    module = nn.Sequential(
        layer.Linear(6, 9, bias=False), neuron.LIFNode(tau=2.0, decay_input=False), layer.Linear(9, 4), neuron.IFNode()
    )
    wants = {"1": by("0", neuron="1"), "3": by("2", neuron="3")}
    return Net(module, positive(6, scale=3), wants, T, play=steps, options={"steps": T})


@case
def whole_sequences() -> Net:
    module = nn.Sequential(
        layer.Linear(6, 9, bias=False), neuron.LIFNode(tau=2.0), layer.Linear(9, 4), neuron.ParametricLIFNode()
    )
    functional.set_step_mode(module, "m")
    wants = {"1": by("0", neuron="1"), "3": by("2", neuron="3")}
    return Net(module, sequences(6, scale=5), wants, T, "TB", play=at_once)


@case
def convolutions_of_whole_sequences() -> Net:
    module = nn.Sequential(
        layer.Conv2d(1, T, 3, bias=False),
        normal(layer.BatchNorm2d(T)),
        neuron.IFNode(),
        layer.AvgPool2d(2),
        strong(layer.Conv2d(T, 3, 2)),
        neuron.LIFNode(v_reset=None),
        layer.Flatten(),
        layer.Linear(12, 3),
    )
    functional.set_step_mode(module, "m")
    wants = {"2": by("0", scale=folded("1"), drive="1", neuron="2"), "5": by("4", neuron="5"), "7": by("7")}
    return Net(module.eval(), sequences(1, 8, 8, scale=4), wants, T, "TB", play=at_once)


@case
def convolutions_one_call_per_step() -> Net:
    module = nn.Sequential(
        layer.Conv2d(1, 3, 3),
        neuron.IFNode(),
        layer.MaxPool2d(2),
        layer.Flatten(),
        layer.Linear(27, 3),
        neuron.IFNode(),
    )
    wants = {"1": by("0", neuron="1"), "5": by("4", neuron="5")}
    return Net(module, positive(1, 8, 8, scale=3), wants, T, play=steps, options={"steps": T})


class Looped(nn.Module):
    """The classic loop: firing rates are averaged inside."""

    def __init__(self, gather: str) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(6, 9), neuron.LIFNode(decay_input=False)
        self.out, self.last, self.gather = nn.Linear(9, 4), neuron.IFNode(), gather

    def forward(self, x: Tensor) -> Tensor:
        total = self.last(self.out(self.lif(self.fc(x))))
        for _ in range(1, T):
            now = self.last(self.out(self.lif(self.fc(x))))
            if self.gather == "in place":
                total += now
            else:
                total = total + now
        return total / T


@case
def rates_averaged_in_the_loop() -> Net:
    wants = {"lif": by("fc", neuron="lif"), "last": by("out", neuron="last")}
    return Net(Looped("new"), positive(6, scale=3), wants, T, play=at_once)


@case
def rates_averaged_in_place_onto_the_first_step() -> Net:
    wants = {"lif": by("fc", neuron="lif"), "last": by("out", neuron="last")}
    return Net(Looped("in place"), positive(6, scale=3), wants, T, play=at_once)


@case
def static_image_repeated_inside() -> Net:
    class Repeated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.static = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), normal(nn.BatchNorm2d(3)))
            self.first = neuron.IFNode(step_mode="m")
            self.body = layer.SeqToANNContainer(nn.Flatten(), nn.Linear(48, 5, bias=False))
            self.last = neuron.IFNode(step_mode="m")

        def forward(self, x: Tensor) -> Tensor:
            repeated = self.static(x).unsqueeze(0).repeat(T, 1, 1, 1, 1)
            return self.last(self.body(self.first(repeated))).mean(0)

    def first(seen: Seen) -> Signals:
        signals = by("static.0", scale=folded("static.1"), axes="held")(seen)
        return signals | {key: value for key, value in _spikes(seen, "first").items()}

    wants = {"first": first, "last": by("body.1", axes="flat TB", neuron="last")}
    return Net(Repeated().eval(), positive(1, 6, 6), wants, T, play=at_once)


def _spikes(seen: Seen, name: str) -> Signals:
    (call,) = seen.calls[name]
    return {"spikes": call.made[0]}


@case
def multi_step_container() -> Net:
    module = nn.Sequential(
        layer.MultiStepContainer(nn.Linear(6, 5), neuron.IFNode()), layer.SeqToANNContainer(nn.Linear(5, 3))
    )
    wants = {"0.1": by("0.0", neuron="0.1"), "1.0": by("1.0", axes="flat TB")}
    return Net(module, sequences(6, scale=3), wants, T, "TB", play=at_once, options={"time": "sequence"})


@case
def spike_element_wise_residual_block() -> Net:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.sn0 = layer.Conv2d(1, 3, 3, padding=1), neuron.IFNode()
            self.conv, self.sn1 = layer.Conv2d(3, 3, 3, padding=1), neuron.IFNode()
            self.pool, self.flat, self.fc = layer.AvgPool2d(6), layer.Flatten(), layer.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            shortcut = self.sn0(self.stem(x))
            return self.fc(self.flat(self.pool(self.sn1(self.conv(shortcut)) + shortcut)))

    module = Block()
    functional.set_step_mode(module, "m")
    wants = {"sn0": by("stem", neuron="sn0"), "sn1": by("conv", neuron="sn1"), "fc": by("fc")}
    return Net(module, sequences(1, 6, 6, scale=3), wants, T, "TB", play=at_once)


@case
def currents_added_before_the_neuron() -> Net:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.sn0 = layer.Linear(6, 5), neuron.IFNode()
            self.conv, self.sn1 = layer.Linear(5, 5), neuron.IFNode()

        def forward(self, x: Tensor) -> Tensor:
            shortcut = self.sn0(self.stem(x))
            return self.sn1(self.conv(shortcut) + shortcut)

    def spikes(seen: Seen) -> list[Tensor]:
        return [seen.calls["sn0"][0].made[0]]

    module = Block()
    functional.set_step_mode(module, "m")
    wants = {"sn0": by("stem", neuron="sn0"), "sn1": _with_copy}
    return Net(module, sequences(6, scale=3), wants, T, "TB", play=at_once)


def _with_copy(seen: Seen) -> Signals:
    spikes = seen.calls["sn0"][0].made[0]
    signals = by("conv", copies=lambda seen: [spikes], neuron="sn1")(seen)
    signals["drive"] = signals["drive"] + 0 * spikes
    return signals


@case
def voting_and_dropout() -> Net:
    module = nn.Sequential(
        layer.Linear(6, 9),
        neuron.LIFNode(),
        layer.Dropout(0.3),
        layer.Linear(9, 8),
        neuron.LIFNode(),
        layer.VotingLayer(2),
    )
    functional.set_step_mode(module, "m")
    wants = {"1": by("0", neuron="1"), "4": by("3", neuron="4")}
    return Net(module, sequences(6, scale=9), wants, T, "TB", play=at_once)


@case
def recurrent_container() -> Net:
    module = nn.Sequential(
        layer.Linear(6, 5),
        layer.LinearRecurrentContainer(neuron.IFNode(), in_features=5, out_features=5, bias=False),
        layer.Linear(5, 2),
    )
    # The container joins input and spikes, and one matrix acts on both.
    wants = {"0": by("0"), "1.sub_module": by("1.rc", neuron="1.sub_module"), "2": by("2")}
    return Net(module, positive(6, scale=3), wants, T, play=steps, options={"steps": T})


@case
def state_left_by_the_user() -> Net:
    module = nn.Sequential(layer.Linear(6, 9), neuron.LIFNode(), layer.Linear(9, 4), neuron.IFNode())
    with torch.no_grad():
        module(torch.rand(2, 6) * 4)
    wants = {"1": by("0", neuron="1"), "3": by("2", neuron="3")}
    return Net(module, positive(6, scale=6), wants, T, play=steps, options={"steps": T})
