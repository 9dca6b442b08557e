"""Plain torch: recurrent networks, ready-made and written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.cases import Net, case, positive
from tests.zoo.oracle import by, by_hand, split
from tests.zoo.plain_convolution_nets import Forward

T = 4


def sequences(*shape: int, axes: str = "TB") -> Callable[[int], Tensor]:
    """Return what makes signed sequences."""
    return lambda batch: torch.randn(T, batch, *shape) if axes == "TB" else torch.randn(batch, T, *shape)


@case
def elman_written_out() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        h, outs = torch.zeros(x.shape[1], 5), []
        for frame in x:
            h = torch.tanh(net.ahead(frame) + net.back(h))
            outs.append(net.out(h))
        return torch.stack(outs)

    module = Forward(run, ahead=nn.Linear(4, 5), back=nn.Linear(5, 5, bias=False), out=nn.Linear(5, 2))
    wants = {"ahead": by("ahead", recurrent=["back"], activity=torch.tanh), "out": by("out")}
    return Net(module, sequences(4), wants, T, "TB", options={"time": "sequence"})


@case
def elman_batch_first_last_state() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        h = torch.zeros(x.shape[0], 5)
        for t in range(x.shape[1]):
            h = torch.relu(net.ahead(x[:, t]) + net.back(h))
        return net.out(h)

    module = Forward(run, ahead=nn.Linear(4, 5), back=nn.Linear(5, 5), out=nn.Linear(5, 2))
    wants = {"ahead": by("ahead", recurrent=["back"], activity=torch.relu), "out": by("out", axes="held")}
    return Net(module, sequences(4, axes="BT"), wants, T, "BT", options={"time": "sequence", "time_axis": 1})


class Matrices(nn.Module):
    """A spiking recurrent network of bare matrices, as papers write it."""

    def __init__(self) -> None:
        super().__init__()
        self.w_in, self.w_rec = nn.Parameter(torch.randn(6, 7)), nn.Parameter(0.5 * torch.randn(7, 7))
        self.w_out = nn.Parameter(torch.randn(7, 3))

    def steps(self, x: Tensor) -> list[Tensor]:
        """Return the spikes of all steps."""
        mem, spikes, seen = torch.zeros(x.shape[0], 7), torch.zeros(x.shape[0], 7), []
        for _ in range(T):
            mem = 0.9 * mem * (1 - spikes) + x @ self.w_in + spikes @ self.w_rec
            spikes = (mem > 1).float()
            seen.append(spikes)
        return seen

    def forward(self, x: Tensor) -> Tensor:
        out: Any = 0
        for spikes in self.steps(x):
            out = 0.9 * out + spikes @ self.w_out
        return out


def _ahead(net: Any, x: Tensor) -> dict[str, Any]:
    return {"parts": [split(net.w_in.T, x) for _ in range(T)]}


def _back(net: Any, x: Tensor) -> dict[str, Any]:
    spikes = net.steps(x)
    before = [torch.zeros_like(spikes[0]), *spikes[:-1]]
    parts = [split(net.w_rec.T, s) for s in before]
    recurrent = {f"current_{side}_recurrent": torch.stack([getattr(p, side) for p in parts]) for side in ("exc", "inh")}
    return {"parts": parts, **recurrent}


def _from_spikes(net: Any, x: Tensor) -> dict[str, Any]:
    return {"parts": [split(net.w_out.T, s) for s in net.steps(x)]}


@case
def spiking_recurrent_of_bare_matrices() -> Net:
    # Neurons written out are no module: what each set of weights adds to the membrane is a population of its own.
    wants = {"w_in": by_hand(_ahead), "w_rec": by_hand(_back), "w_out": by_hand(_from_spikes)}
    return Net(Matrices(), positive(6), wants, T)


@case
def spiking_recurrent_of_layers() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        mem, spikes, outs = torch.zeros(x.shape[0], 7), torch.zeros(x.shape[0], 7), []
        for _ in range(T):
            mem = 0.8 * mem + net.ahead(x) + net.back(spikes)
            spikes = (mem > 0.7).float()
            mem = mem - 0.7 * spikes
            outs.append(net.out(spikes))
        return torch.stack(outs).mean(0)

    module = Forward(run, ahead=nn.Linear(6, 7), back=nn.Linear(7, 7, bias=False), out=nn.Linear(7, 3))
    wants = {"ahead": by("ahead"), "back": by(recurrent=["back"]), "out": by("out")}
    return Net(module, positive(6), wants, T)


@case
def spiking_recurrent_whose_currents_are_added_first() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        mem, spikes, outs = 0, torch.zeros(x.shape[0], 7), []
        for _ in range(T):
            current = net.ahead(x) + net.back(spikes)
            mem = 0.8 * mem + current
            spikes = (mem > 0.7).float()
            mem = mem - 0.7 * spikes
            outs.append(net.out(spikes))
        return torch.stack(outs).mean(0)

    module = Forward(run, ahead=nn.Linear(6, 7), back=nn.Linear(7, 7, bias=False), out=nn.Linear(7, 3))
    return Net(module, positive(6), {"ahead": by("ahead", recurrent=["back"]), "out": by("out")}, T)


def _rnn(name: str) -> Callable[[Any, Tensor], dict[str, Any]]:
    """Return the reference of the first layer of ``nn.RNN``, input (T, B, F)."""

    def reference(net: Any, x: Tensor) -> dict[str, Any]:
        rnn = net.get_submodule(name)
        h, found = torch.zeros(x.shape[1], rnn.hidden_size), []
        for frame in x:
            ahead, back = split(rnn.weight_ih_l0, frame), split(rnn.weight_hh_l0, h)
            drive = frame @ rnn.weight_ih_l0.T + h @ rnn.weight_hh_l0.T + rnn.bias_ih_l0 + rnn.bias_hh_l0
            h = torch.relu(drive) if rnn.nonlinearity == "relu" else torch.tanh(drive)
            found.append((ahead.exc, ahead.inh, back.exc, back.inh, drive, h))
        ahead_exc, ahead_inh, back_exc, back_inh, drive, h = (
            torch.stack(values) for values in zip(*found, strict=True)
        )
        return {
            "current_exc": ahead_exc + back_exc,
            "current_inh": ahead_inh + back_inh,
            "current_exc_external": ahead_exc,
            "current_inh_external": ahead_inh,
            "current_exc_recurrent": back_exc,
            "current_inh_recurrent": back_inh,
            "drive": drive,
            "activity": h,
        }

    return reference


@case
def rnn_of_torch() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        return net.out(net.rnn(x)[0])

    module = Forward(run, rnn=nn.RNN(4, 5, nonlinearity="relu"), out=nn.Linear(5, 2))
    return Net(module, sequences(4), {"rnn": by_hand(_rnn("rnn")), "out": by("out")}, T, "TB")


@case
def rnn_of_torch_last_step() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        return net.out(net.rnn(x)[0][-1])

    module = Forward(run, rnn=nn.RNN(4, 5), out=nn.Linear(5, 2))
    wants = {"rnn": by_hand(_rnn("rnn")), "out": by("out", axes="held")}
    return Net(module, sequences(4), wants, T, "TB")


@case
def gru_and_a_readout() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        return net.out(net.gru(x)[0])

    module = Forward(run, gru=nn.GRU(4, 5), out=nn.Linear(5, 2))
    return Net(module, sequences(4), {"out": by("out")}, T, "TB", missing=("gru.weight_ih_l0", "gru.weight_hh_l0"))


@case
def gru_cell_in_a_loop() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        h, outs = torch.zeros(x.shape[1], 5), []
        for frame in x:
            h = net.cell(frame, h)
            outs.append(net.out(h))
        return torch.stack(outs)

    module = Forward(run, cell=nn.GRUCell(4, 5), out=nn.Linear(5, 2))
    return Net(
        module,
        sequences(4),
        {"out": by("out")},
        T,
        "TB",
        options={"time": "sequence"},
        missing=("cell.weight_ih", "cell.weight_hh"),
    )


@case(refused="lstm|LSTM")
def lstm_alone() -> Net:
    return Net(nn.LSTM(4, 5), sequences(4), {}, T, "TB")


@case
def rnn_cell_in_a_loop() -> Net:
    def run(net: Any, x: Tensor) -> Tensor:
        h, outs = torch.zeros(x.shape[1], 5), []
        for frame in x:
            h = net.cell(frame, h)
            outs.append(net.out(h))
        return torch.stack(outs)

    def reference(net: Any, x: Tensor) -> dict[str, Any]:
        cell, rnn = net.cell, nn.RNN(4, 5)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            setattr(rnn, f"{name}_l0", getattr(cell, name))
        return _rnn("")(rnn, x)

    module = Forward(run, cell=nn.RNNCell(4, 5), out=nn.Linear(5, 2))
    wants = {"cell": by_hand(reference), "out": by("out")}
    return Net(module, sequences(4), wants, T, "TB", options={"time": "sequence"})
