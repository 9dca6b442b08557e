"""The real packages, where they are installed: their neurons' own equations, from what was recorded.

Ran with snntorch 1.0.0, spikingjelly 2.0.0, norse 1.1.0 and sinabs 3.1.3 (torch 2.13.0).
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from eiplatform.foreign import ForeignNetwork, adapt
from tests.unit.test_foreign_currents import everything


def package(name: str) -> Any:
    """Import a package, whose own warnings are no concern here, or skip."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, exc_type=ImportError)


def split_by_sign(layer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return excitation and inhibition of a linear layer from non-negative inputs (..., F), in float64."""
    weight = layer.weight.detach().double()
    return x.double() @ weight.clamp(min=0).T, x.double() @ (-weight).clamp(min=0).T


def assert_driven_by(signals: dict[str, Tensor], layer: nn.Module, x: Tensor, part: str = "") -> None:
    exc, inh = split_by_sign(layer, x)
    torch.testing.assert_close(signals[f"current_exc{part}"].double(), exc, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(signals[f"current_inh{part}"].double(), inh, rtol=1e-5, atol=1e-5)


def delayed(x: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])


def sources(network: ForeignNetwork) -> dict[str, tuple[str, str]]:
    return {path.name: (path.source, path.target) for path in network.pathways() if path.sign == "+"}


@pytest.mark.parametrize("mechanism", ["subtract", "zero", "none"])
def test_snntorch_with_explicit_states(mechanism: str) -> None:
    snn = package("snntorch")

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.lif1 = nn.Linear(6, 12), snn.Leaky(beta=0.9, reset_mechanism=mechanism)
            self.fc2, self.lif2 = nn.Linear(12, 8), snn.RLeaky(beta=0.8, linear_features=8, reset_mechanism=mechanism)
            self.fc3, self.lif3 = nn.Linear(8, 3), snn.Synaptic(alpha=0.5, beta=0.8, reset_mechanism=mechanism)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            mem1, (spk2, mem2), (syn3, mem3) = self.lif1.reset_mem(), self.lif2.reset_mem(), self.lif3.reset_mem()
            spikes, membranes = [], []
            for _ in range(9):
                spk1, mem1 = self.lif1(self.fc1(x), mem1)
                spk2, mem2 = self.lif2(self.fc2(spk1), spk2, mem2)
                spk3, syn3, mem3 = self.lif3(self.fc3(spk2), syn3, mem3)
                spikes.append(spk3)
                membranes.append(mem3)
            return torch.stack(spikes), torch.stack(membranes)

    torch.manual_seed(0)
    net, x = Net(), torch.rand(5, 6) * 3
    with torch.no_grad():
        net.fc2.weight.mul_(3)
        net.fc3.weight.mul_(3)
    network = adapt(net, x)
    assert (network.time, network.steps) == ("inside", 9)
    signals = everything(network, x)
    with torch.inference_mode():
        spikes, membranes = net(x)
    assert torch.equal(signals["lif3"]["spikes"], spikes) and torch.equal(signals["lif3"]["voltage"], membranes)
    for name in ("lif1", "lif2"):  # the membrane from the recorded drive: the reset of a spike acts one step later
        data, beta = signals[name], getattr(net, name).beta
        assert 0.02 < data["spikes"].mean() < 0.98
        before, fired = delayed(data["voltage"]), delayed(data["spikes"])
        charged = beta * before + data["drive"]
        zeroed = beta * before * (1 - fired) + data["drive"] if name == "lif1" else charged * (1 - fired)
        expected = {"subtract": charged - fired, "zero": zeroed, "none": charged}[mechanism]
        torch.testing.assert_close(data["voltage"], expected, rtol=1e-5, atol=1e-5)
    infos = network.populations()
    assert infos["lif1"].attrs["voltage_read"] == "before reset" and infos["lif1"].attrs["voltage_source"] == "mem"
    assert_driven_by(signals["lif1"], net.fc1, x.expand(9, 5, 6))
    assert_driven_by(signals["lif2"], net.fc2, signals["lif1"]["spikes"], "_external")
    assert_driven_by(signals["lif2"], net.lif2.recurrent, delayed(signals["lif2"]["spikes"]), "_recurrent")
    assert sources(network) == {
        "fc1": ("input", "lif1"),
        "fc2": ("lif1", "lif2"),
        "lif2.recurrent": ("lif2", "lif2"),
        "fc3": ("lif2", "lif3"),
    }


def test_snntorch_with_hidden_states_is_left_as_it_was() -> None:
    snn = package("snntorch")
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        snn.Leaky(beta=0.9, init_hidden=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(36, 10),
        snn.RSynaptic(alpha=0.5, beta=0.5, all_to_all=False, V=-0.3, init_hidden=True),
    ).eval()
    x = torch.rand(3, 1, 8, 8) * 5
    with torch.no_grad():
        net(x)
    state = {name: buffer.clone() for name, buffer in net.named_buffers()}
    mem = net[2].mem
    network = adapt(net, x, steps=6)
    signals = everything(network, x, 8)
    assert net[2].mem is mem and all(torch.equal(buffer, state[name]) for name, buffer in net.named_buffers())
    one_to_one = 0.3 * delayed(signals["6"]["spikes"])
    torch.testing.assert_close(signals["6"]["current_inh_recurrent"], one_to_one)
    assert float(signals["6"]["current_exc_recurrent"].abs().max()) == 0 and one_to_one.max() > 0
    pooled = nn.functional.max_pool2d(signals["2"]["spikes"].flatten(0, 1), 2).reshape(8, 3, -1)
    assert_driven_by(signals["6"], net[5], pooled, "_external")


def test_snntorch_graded_spikes_are_activity() -> None:
    snn = package("snntorch")
    net = nn.Sequential(nn.Linear(4, 3), snn.Leaky(beta=0.9, init_hidden=True, graded_spikes_factor=2.0))
    network = adapt(net, torch.rand(2, 4) * 9)
    assert "activity" in network.populations()["1"].signals and "spikes" not in network.populations()["1"].signals
    assert set(everything(network, torch.rand(2, 4) * 9)["1"]["activity"].unique().tolist()) <= {0.0, 2.0}


@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize("v_reset", [0.0, None])
def test_spikingjelly(mode: str, v_reset: float | None) -> None:
    functional, layer, neuron = (
        package(f"spikingjelly.activation_based.{name}") for name in ("functional", "layer", "neuron")
    )
    torch.manual_seed(2)
    net = nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1, bias=False),
        layer.BatchNorm2d(4),
        neuron.LIFNode(tau=2.0, v_reset=v_reset, decay_input=False),
        layer.AvgPool2d(2),
        layer.Flatten(),
        layer.Linear(64, 10),
        neuron.IFNode(v_reset=v_reset),
        layer.Linear(10, 3),
    )
    with torch.no_grad():
        net[1].running_mean.normal_()
        net[1].running_var.uniform_(0.2, 1)
        net[1].weight.normal_()
        net[5].weight.normal_(0, 0.5)
    functional.set_step_mode(net, mode)
    x = torch.rand(6, 3, 1, 8, 8) * 2
    network = adapt(net, x if mode == "m" else x[0])
    assert network.time == ("sequence" if mode == "m" else "steps")
    signals = everything(network, x)
    assert net[2].store_v_seq is False and isinstance(net[2].v, float)  # as they were found
    for name, decay in (("2", 0.5), ("6", 1.0)):
        data = signals[name]
        assert 0.01 < data["spikes"].mean() < 0.99
        charged = decay * delayed(data["voltage"]) + data["drive"]
        fired = (charged >= 1).float()
        assert (fired != data["spikes"]).float().mean() < 1e-3  # a membrane at the threshold may round either way
        after = charged * (1 - data["spikes"]) if v_reset == 0.0 else charged - data["spikes"]
        torch.testing.assert_close(data["voltage"], after, rtol=1e-4, atol=1e-5)
    pooled = nn.functional.avg_pool2d(signals["2"]["spikes"].flatten(0, 1), 2).reshape(6, 3, -1)
    assert_driven_by(signals["6"], net[5], pooled)
    assert network.populations()["2"].attrs["voltage_read"] == "after reset"
    assert network.populations()["2"].parameters["norm_shift"].any()
    net.eval()
    functional.reset_net(net)
    with torch.inference_mode():
        own = net(x) if mode == "m" else torch.stack([net(frame) for frame in x])
    assert torch.equal(network.run(x).logits, own.mean(0))


def test_spikingjelly_repeats_a_static_image_inside() -> None:
    layer, neuron = (package(f"spikingjelly.activation_based.{name}") for name in ("layer", "neuron"))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.static = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2))
            self.first = neuron.IFNode(step_mode="m")
            self.body = layer.SeqToANNContainer(nn.Flatten(), nn.Linear(72, 5, bias=False))
            self.last = neuron.IFNode(step_mode="m")

        def forward(self, x: Tensor) -> Tensor:
            repeated = self.static(x).unsqueeze(0).repeat(4, 1, 1, 1, 1)
            return self.last(self.body(self.first(repeated))).mean(0)

    torch.manual_seed(3)
    net, x = Net(), torch.rand(3, 1, 8, 8) * 3
    network = adapt(net, x)
    assert (network.time, network.steps) == ("inside", 4)
    signals = everything(network, x)
    assert signals["first"]["voltage"].shape == (4, 3, 2, 6, 6)
    assert_driven_by(signals["last"], net.body[1], signals["first"]["spikes"].flatten(2))


def test_norse_cells_and_integrator() -> None:
    norse = package("norse.torch")
    torch.manual_seed(4)
    net = norse.SequentialState(
        nn.Linear(6, 10), norse.LIFCell(), norse.LIFRecurrentCell(10, 8), nn.Linear(8, 3), norse.LICell()
    )
    x = torch.rand(3, 6) * 60
    network = adapt(net, x, steps=12)
    assert network.time == "steps"
    signals = everything(network, x)
    cell = signals["1"]
    assert 0.02 < cell["spikes"].mean() < 0.98
    current, membrane = torch.zeros(3, 10), torch.zeros(3, 10)
    for t in range(12):  # norse's Euler step with its default constants (1/s) and dt = 1 ms
        current = current + cell["drive"][t]
        decayed = membrane + 1e-3 * 100 * (current - membrane)
        current = current - 1e-3 * 200 * current
        spikes = (decayed > 1).float()
        membrane = (1 - spikes) * decayed
        torch.testing.assert_close(cell["voltage"][t], membrane, rtol=1e-4, atol=1e-4)
    weights = net[2]
    ahead, back = (nn.Linear(n, 8, bias=False) for n in (10, 8))
    ahead.weight, back.weight = weights.input_weights, weights.recurrent_weights
    assert_driven_by(signals["2"], ahead, cell["spikes"], "_external")
    assert_driven_by(signals["2"], back, delayed(signals["2"]["spikes"]), "_recurrent")
    assert_driven_by(signals["4"], net[3], signals["2"]["spikes"])
    assert set(network.populations()["4"].signals) >= {"voltage", "drive"}


@pytest.mark.parametrize("record_states", [False, True])
def test_norse_sequences(record_states: bool) -> None:
    norse = package("norse.torch")
    torch.manual_seed(5)
    net = nn.Sequential(nn.Linear(6, 10), norse.LIFRecurrent(10, 8, record_states=record_states))
    x = torch.rand(14, 3, 6) * 60
    network = adapt(net, x)
    assert (network.time, network.steps) == ("sequence", 14)
    signals = everything(network, x)
    assert ("voltage" in signals["1"]) == record_states
    told = [entry.why for entry in network.probe().missing if entry.what == "voltage"]
    assert record_states or "record_states=True" in told[0]
    back = nn.Linear(8, 8, bias=False)
    back.weight = net[1].recurrent_weights
    assert signals["1"]["spikes"].mean() > 0.02
    assert_driven_by(signals["1"], back, delayed(signals["1"]["spikes"]), "_recurrent")
    torch.testing.assert_close(signals["0"]["drive"], net[0](x).detach())
    assert sources(network)["1.input_weights"] == ("0", "1")


def test_sinabs() -> None:
    layers, activation = package("sinabs.layers"), package("sinabs.activation")
    torch.manual_seed(6)
    net = nn.Sequential(
        nn.Linear(6, 10),
        layers.LIF(tau_mem=20.0, spike_fn=activation.SingleSpike),
        nn.Linear(10, 4),
        layers.IAFRecurrent(rec_connect=nn.Linear(4, 4, bias=False)),
        nn.Linear(4, 3),
        layers.ExpLeak(tau_mem=10.0),
    )
    with torch.no_grad():
        net[2].weight.mul_(4)
    x = torch.rand(9, 3, 6) * 40
    network = adapt(net, x.transpose(0, 1))
    assert (network.time, network.time_axis, network.steps) == ("sequence", 1, 9)
    signals = everything(network, x)
    assert not net[1].record_states
    assert signals["1"]["spikes"].mean() > 0.02
    recurrent = signals["3"]
    assert "spikes" not in recurrent and recurrent["activity"].sum() > 3  # several spikes per step
    assert "voltage" not in recurrent  # sinabs records it one step late
    reservoir = torch.zeros(3, 4)
    for t in range(9):  # integrate and fire, several spikes at once
        reservoir = reservoir + recurrent["drive"][t]
        fired = torch.trunc(reservoir).clamp(min=0)
        reservoir = reservoir - fired
        torch.testing.assert_close(recurrent["activity"][t], fired)
    leaky, alpha = signals["1"], float(torch.exp(torch.tensor(-1 / 20)))
    charged = alpha * delayed(leaky["voltage"]) + (1 - alpha) * leaky["drive"] - leaky["spikes"]
    torch.testing.assert_close(leaky["voltage"], charged, rtol=1e-4, atol=1e-4)
    assert_driven_by(recurrent, net[2], signals["1"]["spikes"], "_external")
    assert_driven_by(recurrent, net[3].rec_connect, delayed(recurrent["activity"]), "_recurrent")
    assert "voltage" in signals["5"]
    assert torch.equal(network.run(x).logits, network.run(x).logits)  # from rest, every time


def test_sinabs_with_merged_axes() -> None:
    layers, activation = package("sinabs.layers"), package("sinabs.activation")
    torch.manual_seed(7)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3),
        layers.IAFSqueeze(num_timesteps=5, spike_fn=activation.SingleSpike),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(27, 4),
    )
    x = torch.rand(5, 3, 1, 8, 8)
    network = adapt(
        net, x.transpose(0, 1), time="sequence", time_axis=1, forward=lambda module, given: module(given.flatten(0, 1))
    )
    signals = everything(network, x)
    assert_driven_by(
        signals["4"], net[4], nn.functional.avg_pool2d(signals["1"]["spikes"].flatten(0, 1), 2).reshape(5, 3, -1)
    )
    torch.testing.assert_close(signals["1"]["drive"], net[0](x.flatten(0, 1)).detach().reshape(5, 3, 3, 6, 6))
    assert signals["1"]["voltage"].shape == (5, 3, 3, 6, 6)


@pytest.mark.parametrize("number", range(3))
def test_examples_of_the_page_run(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "foreign.md").read_text()
    example = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[number]
    for name in ("snntorch", "spikingjelly"):
        if name in example:
            package(f"{name}.activation_based.layer" if name == "spikingjelly" else name)
    exec(compile(example, f"docs/foreign.md example {number}", "exec"), {"__name__": "example"})
    told = capsys.readouterr().out
    assert "current_exc" in told and "populations" in told
    if number == 0:
        assert float(told.splitlines()[-1]) < 1e-5
