"""snnTorch: the loops of its tutorials and of the networks that people publish."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.zoo.cases import Net, case, package, positive
from tests.zoo.oracle import Seen, Signals, by, split

snn = package("snntorch")

T = 5


class Tutorial(nn.Module):
    """Two layers of neurons; `loop` is the forward pass of a case."""

    def __init__(self, loop: Callable[[Any, Tensor], Any], out: int = 4, **neuron: Any) -> None:
        super().__init__()
        options = {"beta": 0.9} | neuron
        self.fc1, self.lif1 = nn.Linear(6, 9), snn.Leaky(**options)
        self.fc2, self.lif2 = nn.Linear(9, out), snn.Leaky(**options)
        self.loop = loop

    def forward(self, x: Tensor) -> Any:
        return self.loop(self, x)


def tutorial(loop: Callable[[Any, Tensor], Any], out: int = 4, **neuron: Any) -> Net:
    wants = {"lif1": by("fc1", neuron="lif1"), "lif2": by("fc2", neuron="lif2")}
    return Net(Tutorial(loop, out, **neuron), positive(6, scale=3), wants, T)


def both(net: Any, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Return spikes and membranes of the last layer, step by step."""
    mem1, mem2 = net.lif1.reset_mem(), net.lif2.reset_mem()
    spikes, membranes = [], []
    for _ in range(T):
        spk1, mem1 = net.lif1(net.fc1(x), mem1)
        spk2, mem2 = net.lif2(net.fc2(spk1), mem2)
        spikes.append(spk2)
        membranes.append(mem2)
    return spikes, membranes


@case
def first_tutorial() -> Net:
    return tutorial(lambda net, x: tuple(torch.stack(values) for values in both(net, x)))


@case
def spike_count() -> Net:
    return tutorial(lambda net, x: torch.stack(both(net, x)[0]).sum(0))


@case
def population_vote() -> Net:
    return tutorial(lambda net, x: torch.stack(both(net, x)[0]).sum(0).view(-1, 2, 3).sum(-1), out=6)


@case
def membrane_of_the_last_step() -> Net:
    return tutorial(lambda net, x: both(net, x)[1][-1])


@case
def largest_membrane() -> Net:
    return tutorial(lambda net, x: torch.stack(both(net, x)[1]).max(0).values, reset_mechanism="none")


@case
def reset_to_zero_and_learned_constants() -> Net:
    return tutorial(
        lambda net, x: torch.stack(both(net, x)[0]),
        reset_mechanism="zero",
        learn_beta=True,
        learn_threshold=True,
        beta=torch.rand(1),
    )


@case
def sequence_in_a_loop() -> Net:
    def loop(net: Any, x: Tensor) -> Tensor:
        mem1, mem2 = net.lif1.reset_mem(), net.lif2.reset_mem()
        spikes = []
        for t in range(x.shape[0]):
            spk1, mem1 = net.lif1(net.fc1(x[t]), mem1)
            spk2, mem2 = net.lif2(net.fc2(spk1), mem2)
            spikes.append(spk2)
        return torch.stack(spikes)

    net = tutorial(loop)
    return Net(net.module, lambda batch: torch.rand(T, batch, 6) * 3, net.wants, T, "TB")


@case
def sequence_batch_first_in_a_loop() -> Net:
    def loop(net: Any, x: Tensor) -> Tensor:
        mem1, mem2 = net.lif1.init_leaky(), net.lif2.init_leaky()
        total: Any = 0
        for frame in torch.unbind(x, 1):
            spk1, mem1 = net.lif1(net.fc1(frame), mem1)
            spk2, mem2 = net.lif2(net.fc2(spk1), mem2)
            total = total + spk2
        return total

    net = tutorial(loop)
    options = {"time": "sequence", "time_axis": 1}
    return Net(net.module, lambda batch: torch.rand(batch, T, 6) * 3, net.wants, T, "BT", options=options)


class Readout(nn.Module):
    """A hidden layer of neurons and a readout without neurons."""

    def __init__(self, gather: Callable[[Any, Any, int], Any], start: Any = 0) -> None:
        super().__init__()
        self.a, self.l, self.b = nn.Linear(6, 8), snn.Leaky(beta=0.9), nn.Linear(8, 3, bias=False)
        self.gather, self.start = gather, start

    def forward(self, x: Tensor) -> Any:
        mem, out = self.l.reset_mem(), self.start
        for t in range(T):
            spikes, mem = self.l(self.a(x), mem)
            out = self.gather(out, self.b(spikes), t)
        return out


def readout(gather: Callable[[Any, Any, int], Any], start: Any = 0) -> Net:
    wants = {"l": by("a", neuron="l"), "b": by("b")}
    return Net(Readout(gather, start), positive(6, scale=3), wants, T)


@case
def readout_summed_from_0() -> Net:
    return readout(lambda out, now, t: out + now)


@case
def readout_integrated_with_a_leak() -> Net:
    return readout(lambda out, now, t: 0.9 * out + now)


@case
def readout_as_a_running_mean() -> Net:
    return readout(lambda out, now, t: out + (now - out) / (t + 1))


@case
def readout_of_the_last_step() -> Net:
    return readout(lambda out, now, t: now)


@case
def readout_in_a_tuple_that_grows() -> Net:
    return readout(lambda out, now, t: (*out, now), ())


@case
def hidden_states_one_call_per_step() -> Net:
    module = nn.Sequential(
        nn.Linear(6, 9),
        snn.Leaky(beta=0.8, init_hidden=True),
        nn.Linear(9, 4),
        snn.Leaky(beta=0.8, init_hidden=True, output=True),
    )

    def play(module: nn.Module, x: Tensor) -> None:
        module.get_submodule("1").reset_mem()  # type: ignore[operator]
        module.get_submodule("3").reset_mem()  # type: ignore[operator]
        for _ in range(5):
            module(x)

    wants = {"1": by("0", neuron="1"), "3": by("2", neuron="3")}
    return Net(module, positive(6, scale=3), wants, 5, play=play, options={"steps": 5})


class Mixed(nn.Module):
    """Second-order and recurrent neurons."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.syn = nn.Linear(6, 9), snn.Synaptic(alpha=0.6, beta=0.8)
        self.fc2, self.rec = nn.Linear(9, 7), snn.RLeaky(beta=0.8, linear_features=7)
        self.fc3, self.one = nn.Linear(7, 5), snn.RSynaptic(alpha=0.5, beta=0.7, all_to_all=False, V=-0.4)
        self.fc4, self.lap = nn.Linear(5, 4), snn.Lapicque(beta=0.8)

    def forward(self, x: Tensor) -> Tensor:
        syn, mem = self.syn.reset_mem()
        spk2, mem2 = self.rec.reset_mem()
        spk3, syn3, mem3 = self.one.reset_mem()
        mem4, outs = self.lap.reset_mem(), []
        for _ in range(T):
            spk, syn, mem = self.syn(self.fc1(x), syn, mem)
            spk2, mem2 = self.rec(self.fc2(spk), spk2, mem2)
            spk3, syn3, mem3 = self.one(self.fc3(spk2), spk3, syn3, mem3)
            spk4, mem4 = self.lap(self.fc4(spk3), mem4)
            outs.append(spk4)
        return torch.stack(outs)


def delayed(x: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])


def _with_recurrence(layer: str, name: str, matrix: Callable[[Any], Tensor]) -> Callable[[Seen], Signals]:
    """Return what adds the recurrent current of snnTorch, from its own spikes of the step before."""

    def compute(seen: Seen) -> Signals:
        signals = by(layer, neuron=name)(seen)
        neuron: Any = seen.module.get_submodule(name)
        back = split(matrix(neuron), delayed(signals["spikes"]))
        bias = neuron.recurrent.bias.detach() if isinstance(neuron.recurrent, nn.Linear) else 0.0
        signals["drive"] = signals["drive"] + back.exc - back.inh + bias
        for side, part in (("exc", back.exc), ("inh", back.inh)):
            signals[f"current_{side}_recurrent"] = part
            signals[f"current_{side}"] = signals[f"current_{side}"] + part
        signals.pop("voltage", None)
        return signals

    return compute


@case
def synaptic_recurrent_and_lapicque_neurons() -> Net:
    wants = {
        "syn": by("fc1", neuron="syn"),
        "rec": _with_recurrence("fc2", "rec", lambda neuron: neuron.recurrent.weight),
        "one": _with_recurrence("fc3", "one", lambda neuron: neuron.recurrent.V * torch.eye(5)),
        "lap": by("fc4", neuron="lap"),
    }
    module = Mixed()
    with torch.no_grad():
        for layer in (module.fc2, module.fc3, module.fc4):
            layer.weight.mul_(3)
    return Net(module, positive(6, scale=4), wants, T)


@case
def alpha_neurons() -> Net:
    class Alpha(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(6, 5), snn.Alpha(alpha=0.9, beta=0.8)

        def forward(self, x: Tensor) -> Tensor:
            exc, inh, mem = self.lif.reset_mem()
            outs = []
            for _ in range(T):
                spikes, exc, inh, mem = self.lif(self.fc(x), exc, inh, mem)
                outs.append(spikes)
            return torch.stack(outs)

    return Net(Alpha(), positive(6, scale=6), {"lif": by("fc", neuron="lif")}, T)


@case
def convolutional_tutorial() -> Net:
    class Convolutional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.lif1 = nn.Conv2d(1, 4, 3), snn.Leaky(beta=0.7)
            self.conv2, self.lif2 = nn.Conv2d(4, T, 3), snn.Leaky(beta=0.7)
            self.fc, self.lif3 = nn.Linear(T, 3), snn.Leaky(beta=0.7)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            mem1, mem2, mem3 = self.lif1.reset_mem(), self.lif2.reset_mem(), self.lif3.reset_mem()
            spikes, membranes = [], []
            for _ in range(T):
                spk1, mem1 = self.lif1(functional.max_pool2d(self.conv1(x), 2), mem1)
                spk2, mem2 = self.lif2(self.conv2(spk1), mem2)
                spk3, mem3 = self.lif3(self.fc(spk2.flatten(1)), mem3)
                spikes.append(spk3)
                membranes.append(mem3)
            return torch.stack(spikes), torch.stack(membranes)

    # Max pooling lies between conv1 and its neurons: the convolution is a population of its own.
    wants = {"conv1": by("conv1"), "lif2": by("conv2", neuron="lif2"), "lif3": by("fc", neuron="lif3")}
    module = Convolutional()
    with torch.no_grad():
        module.conv2.weight.add_(0.2)
    return Net(module, positive(1, 8, 8, scale=3), wants, T)


@case
def channels_steps_and_samples_are_as_many() -> Net:
    class Equal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.c, self.l = nn.Conv2d(1, T, 3, bias=False), snn.Leaky(beta=0.8)

        def forward(self, x: Tensor) -> Tensor:
            mem, out = self.l.reset_mem(), []
            for _ in range(T):
                spikes, mem = self.l(self.c(x), mem)
                out.append(spikes)
            return torch.stack(out)

    return Net(Equal(), positive(1, T, T), {"l": by("c", neuron="l")}, T)


@case
def norm_through_time() -> Net:
    class Norms(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif, self.out = nn.Linear(6, 5, bias=False), snn.Leaky(beta=0.8), nn.Linear(5, 2)
            self.norms = nn.ModuleList(nn.BatchNorm1d(5, eps=1e-4) for _ in range(T))

        def forward(self, x: Tensor) -> Tensor:
            mem, outs = self.lif.reset_mem(), []
            for norm in self.norms:
                spikes, mem = self.lif(norm(self.fc(x)), mem)
                outs.append(self.out(spikes))
            return torch.stack(outs)

    def reference(seen: Seen) -> Signals:
        signals = by("fc", neuron="lif")(seen)
        norms: Any = seen.module.get_submodule("norms")
        factors = torch.stack([n.weight / torch.sqrt(n.running_var + n.eps) for n in norms]).detach().double()
        for side in ("exc", "inh"):
            signals[f"current_{side}"] = signals[f"current_{side}_external"] = (
                signals[f"current_{side}"] * factors[:, None]
            )
        signals["drive"] = torch.stack([seen.calls[f"norms.{t}"][0].made[0] for t in range(T)])
        return signals

    module = Norms()
    with torch.no_grad():
        for norm in module.norms:
            norm.running_var.uniform_(0.5, 2)  # type: ignore[operator,union-attr]
            norm.weight.uniform_(0.5, 2)  # type: ignore[operator,union-attr]
    return Net(module.eval(), positive(6), {"lif": reference, "out": by("out")}, T)


@case
def layer_and_neurons_used_twice_per_step() -> Net:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.l = nn.Linear(6, 6), snn.Leaky(beta=0.9)

        def forward(self, x: Tensor) -> Tensor:
            mem, out = self.l.reset_mem(), []
            for _ in range(T):
                spikes, mem = self.l(torch.relu(self.f(torch.relu(self.f(x)))), mem)
                out.append(spikes)
            return torch.stack(out)

    def rates(seen: Seen) -> list[Tensor]:
        return [seen.timed([torch.relu(call.made[0]) for call in seen.calls["f"][1::2]])]

    wants = {
        "f": by("f", calls=slice(0, None, 2), activity=torch.relu),
        "f@2": by("f", calls=slice(1, None, 2), activity=torch.relu),
        "l": by(copies=rates, neuron="l"),  # rates arrive as they are, through weights of 1
    }
    return Net(Twice(), positive(6), wants, T)


@case
def leaky_parallel() -> Net:
    # Its leak and its recurrence are one matrix: current and state cannot be told apart.
    module = nn.Sequential(snn.LeakyParallel(6, 6), nn.Linear(6, 2))
    return Net(module, lambda batch: torch.rand(7, batch, 6) * 3, {"1": by("1")}, 7, "TB", missing=("0",))


@case
def spiking_lstm() -> Net:
    class Long(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.out = snn.SLSTM(6, 5), nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            syn, mem = self.lstm.reset_mem()
            outs = []
            for _ in range(T):
                spikes, syn, mem = self.lstm(x, syn, mem)
                outs.append(self.out(spikes + mem))
            return torch.stack(outs)

    # Gates multiply signals: the weights of the LSTM have no excitation and inhibition of a membrane.
    missing = ("lstm.lstm_cell.weight_ih", "lstm.lstm_cell.weight_hh")
    return Net(Long(), positive(6), {"out": by("out")}, T, missing=missing)


@case
def functional_currents_into_neurons() -> Net:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.l = nn.Parameter(torch.randn(6, 5)), snn.Leaky(beta=0.9)

        def forward(self, x: Tensor) -> Tensor:
            mem, out = self.l.reset_mem(), 0
            for _ in range(T):
                spikes, mem = self.l(torch.einsum("bi,io->bo", x, self.w), mem)
                out = out + spikes
            return out

    def compute(seen: Seen) -> Signals:
        parts = split(seen.module.w.T, seen.x)  # type: ignore[operator,union-attr]
        signals = {f"current_{s}": getattr(parts, s).expand(T, *parts.exc.shape) for s in ("exc", "inh")}
        return by_spikes(seen, "l", signals)

    return Net(Bare(), positive(6), {"l": compute}, T)


def by_spikes(seen: Seen, name: str, signals: Signals) -> Signals:
    """Return the signals with the spikes and membranes of a module of neurons."""
    calls = seen.calls[name]
    spikes = torch.stack([call.made[0] for call in calls])
    return signals | {"spikes": spikes, "voltage": torch.stack([call.state["mem"] for call in calls])}


@case
def declared_neurons_with_weights_of_their_own() -> Net:
    from eiplatform.foreign import Neuron

    class Own(nn.Module):
        """A neuron that multiplies its input and its spikes with weights itself."""

        def __init__(self) -> None:
            super().__init__()
            self.w, self.r = nn.Parameter(torch.randn(5, 6)), nn.Parameter(torch.randn(5, 5))
            self.mem: Any = 0.0
            self.spikes: Any = None

        def forward(self, x: Tensor) -> Tensor:
            last = torch.zeros(x.shape[0], 5) if self.spikes is None else self.spikes
            self.mem = 0.8 * self.mem + x @ self.w.T + last @ self.r.T
            self.spikes = (self.mem > 1).float()
            self.mem = self.mem - self.spikes
            return self.spikes

    def reset(module: Any) -> None:
        module[0].mem, module[0].spikes = 0.0, None

    def play(module: nn.Module, x: Tensor) -> None:
        reset(module)
        for _ in range(5):
            module(x)

    def compute(seen: Seen) -> Signals:
        neuron: Any = seen.module.get_submodule("0")
        spikes = torch.stack([call.made[0] for call in seen.calls["0"]])
        ahead, back = split(neuron.w, seen.x.expand(5, *seen.x.shape)), split(neuron.r, delayed(spikes))
        signals = {"spikes": spikes}
        for side in ("exc", "inh"):
            external, recurrent = getattr(ahead, side), getattr(back, side)
            signals |= {f"current_{side}": external + recurrent, f"current_{side}_recurrent": recurrent}
            signals[f"current_{side}_external"] = external
        return signals

    options = {"neurons": {"0": Neuron(voltage="mem", spikes="output")}, "reset": reset, "steps": 5, "time": "steps"}
    return Net(
        nn.Sequential(Own(), nn.Linear(5, 2)), positive(6), {"0": compute, "1": by("1")}, 5, play=play, options=options
    )
