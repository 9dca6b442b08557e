"""sinabs: batch first, merged axes, recurrent layers, networks made of trained ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.cases import Net, case, package
from tests.zoo.oracle import Seen, Signals, by

layers, activation = package("sinabs.layers"), package("sinabs.activation")

T = 5


def sequences(*shape: int, scale: float = 4.0) -> Callable[[int], Tensor]:
    """Return what makes inputs (batch, T, *shape)."""
    return lambda batch: torch.rand(batch, T, *shape) * scale


def rested(module: nn.Module, x: Tensor) -> None:
    """Run a whole sequence from rest."""
    for part in module.modules():
        if hasattr(part, "reset_states"):
            part.reset_states()
    module(x)


@case
def leaky_and_integrating_layers() -> Net:
    module = nn.Sequential(
        nn.Linear(6, 9),
        layers.LIF(tau_mem=20.0, spike_fn=activation.SingleSpike),
        nn.Linear(9, 4),
        layers.IAF(),
        nn.Linear(4, 3),
        layers.ExpLeak(tau_mem=10.0),
    )
    wants = {
        "1": by("0", axes="BT", neuron="1"),
        "3": by("2", axes="BT", neuron="3"),
        "5": by("4", axes="BT"),
    }
    return Net(module, sequences(6, scale=40), wants, T, "BT", play=rested)


@case
def merged_axes() -> Net:
    module = nn.Sequential(
        nn.Conv2d(1, 3, 3),
        layers.IAFSqueeze(num_timesteps=T, spike_fn=activation.SingleSpike),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(27, 4),
    )

    def merged(module: nn.Module, x: Tensor) -> Any:
        return module(x.flatten(0, 1))

    wants = {"1": by("0", axes="flat BT", neuron="1"), "4": by("4", axes="flat BT")}
    options = {"time": "sequence", "time_axis": 1, "forward": merged}
    return Net(module, sequences(1, 8, 8), wants, T, "BT", lambda module, x: rested_merged(module, x), options)


def rested_merged(module: nn.Module, x: Tensor) -> None:
    """Run with batch and time as one axis."""
    rested(module, x.flatten(0, 1))


@case
def recurrent_layer() -> Net:
    def compute(seen: Seen) -> Signals:
        signals = by("0", axes="BT", neuron="1")(seen)
        fired = signals["spikes"]
        before = torch.cat([torch.zeros_like(fired[:1]), fired[:-1]]).double()
        weight = seen.module.get_submodule("1").rec_connect.weight  # type: ignore[union-attr]
        each = weight.detach().double() * before.unsqueeze(-2)
        for side, part in (("exc", each.clamp(min=0).sum(-1)), ("inh", (-each).clamp(min=0).sum(-1))):
            signals[f"current_{side}_recurrent"] = part
            signals[f"current_{side}"] = signals[f"current_{side}_external"] + part
        signals["drive"] = signals["drive"] + each.sum(-1)
        return signals

    module = nn.Sequential(
        nn.Linear(6, 5), layers.LIFRecurrent(tau_mem=20.0, rec_connect=nn.Linear(5, 5, bias=False)), nn.Linear(5, 2)
    )
    return Net(module, sequences(6, scale=60), {"1": compute, "2": by("2", axes="BT")}, T, "BT", play=rested)


@case
def adaptive_thresholds() -> Net:
    module = nn.Sequential(nn.Linear(6, 5), layers.ALIF(tau_mem=20.0, tau_adapt=10.0), nn.Linear(5, 2))
    wants = {"1": by("0", axes="BT", neuron="1"), "2": by("2", axes="BT")}
    return Net(module, sequences(6, scale=60), wants, T, "BT", play=rested)


@case
def made_of_a_trained_network() -> Net:
    from_model = package("sinabs.from_torch").from_model
    ann = nn.Sequential(
        nn.Conv2d(1, 3, 3, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(27, 4, bias=False),
        nn.ReLU(),
    )
    module = from_model(ann, input_shape=(1, 8, 8), num_timesteps=T, synops=False).spiking_model

    def merged(module: nn.Module, x: Tensor) -> Any:
        return module(x.flatten(0, 1))

    wants = {"1": by("0", axes="flat BT", neuron="1"), "5": by("4", axes="flat BT", neuron="5")}
    options = {"time": "sequence", "time_axis": 1, "forward": merged}
    return Net(module, sequences(1, 8, 8), wants, T, "BT", rested_merged, options)
