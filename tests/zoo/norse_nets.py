"""Norse: cells that take and return their state, modules of whole sequences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.cases import Net, case, package, positive
from tests.zoo.oracle import Seen, Signals, by, split

norse = package("norse.torch")

T = 5


def carried(module: nn.Module, x: Tensor) -> None:
    """Run one call per step; the state is handed on."""
    state = None
    for _ in range(T):
        _, state = module(x, state)


def delayed(x: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])


@case
def cells_one_call_per_step() -> Net:
    module = norse.SequentialState(nn.Linear(6, 9), norse.LIFCell(), nn.Linear(9, 4), norse.LICell())
    wants = {"1": by("0", neuron="1"), "3": by("2")}
    return Net(module, positive(6, scale=60), wants, T, play=carried, options={"steps": T})


class Looped(nn.Module):
    """A loop over a sequence, with states by name."""

    def __init__(self, last: bool) -> None:
        super().__init__()
        self.fc, self.lif, self.out, self.li = nn.Linear(6, 9), norse.LIFCell(), nn.Linear(9, 3), norse.LICell()
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        state, reading, voltages = None, None, []
        for frame in x:
            spikes, state = self.lif(self.fc(frame), state)
            voltage, reading = self.li(self.out(spikes), reading)
            voltages.append(voltage)
        return voltages[-1] if self.last else torch.stack(voltages)


def _sequence(batch: int) -> Tensor:
    return torch.rand(T, batch, 6) * 60


@case
def loop_over_a_sequence() -> Net:
    wants = {"lif": by("fc", neuron="lif"), "li": by("out")}
    return Net(Looped(False), _sequence, wants, T, "TB", options={"time": "sequence"})


@case
def last_voltage_of_a_sequence() -> Net:
    wants = {"lif": by("fc", neuron="lif"), "li": by("out")}
    return Net(Looped(True), _sequence, wants, T, "TB", options={"time": "sequence"})


def _recurrent(seen: Seen, name: str, given: Tensor, spikes: Tensor) -> Signals:
    cell: Any = seen.module.get_submodule(name)
    ahead, back = split(cell.input_weights, given), split(cell.recurrent_weights, delayed(spikes))
    signals = {"spikes": spikes}
    for side in ("exc", "inh"):
        external, recurrent = getattr(ahead, side), getattr(back, side)
        signals[f"current_{side}"] = external + recurrent
        signals[f"current_{side}_external"], signals[f"current_{side}_recurrent"] = external, recurrent
    return signals


@case
def recurrent_cell() -> Net:
    def compute(seen: Seen) -> Signals:
        calls = seen.calls["2"]
        given, spikes = (torch.stack(values) for values in ([c.given[0] for c in calls], [c.made[0] for c in calls]))
        return _recurrent(seen, "2", given, spikes)

    module = norse.SequentialState(nn.Linear(6, 9), norse.LIFCell(), norse.LIFRecurrentCell(9, 5))
    wants = {"1": by("0", neuron="1"), "2": compute}
    return Net(module, positive(6, scale=90), wants, T, play=carried, options={"steps": T})


@case
def modules_of_whole_sequences() -> Net:
    module = norse.SequentialState(nn.Linear(6, 9), norse.LIF(), nn.Linear(9, 3), norse.LI())

    wants = {"1": by("0", neuron="1"), "3": by("2")}
    return Net(module, _sequence, wants, T, "TB")


@case
def recurrent_module_of_whole_sequences() -> Net:
    def compute(seen: Seen) -> Signals:
        (call,) = seen.calls["1"]
        return _recurrent(seen, "1", call.given[0], call.made[0])

    module = norse.SequentialState(nn.Linear(6, 9), norse.LIFRecurrent(9, 5), nn.Linear(5, 2))
    return Net(module, lambda batch: torch.rand(T, batch, 6) * 90, {"0": by("0"), "1": compute, "2": by("2")}, T, "TB")


@case
def lifted_convolution() -> Net:
    module = norse.SequentialState(
        norse.Lift(nn.Conv2d(1, 3, 3)), norse.LIF(), nn.Flatten(2), nn.Linear(48, 3), norse.LI()
    )
    wants = {"1": by("0.lifted_module", neuron="1"), "4": by("3")}
    return Net(module, lambda batch: torch.rand(T, batch, 1, 6, 6) * 60, wants, T, "TB")


@case
def integrator_with_weights_of_its_own() -> Net:
    class Readout(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif, self.read = nn.Linear(6, 9), norse.LIFCell(), norse.LILinearCell(9, 3)

        def forward(self, x: Tensor) -> Tensor:
            state, reading, voltages = None, None, []
            for _ in range(T):
                spikes, state = self.lif(self.fc(x), state)
                voltage, reading = self.read(spikes, reading)
                voltages.append(voltage)
            return torch.stack(voltages)

    def compute(seen: Seen) -> Signals:
        spikes = torch.stack([call.made[0] for call in seen.calls["lif"]])
        parts = split(seen.module.read.input_weights, spikes)  # type: ignore[operator,union-attr]
        return {"current_exc": parts.exc, "current_inh": parts.inh}

    wants = {"lif": by("fc", neuron="lif"), "read.input_weights": compute}
    return Net(Readout(), positive(6, scale=60), wants, T)
