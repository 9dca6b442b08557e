"""BackEISNN, DANN and rates, against their formulas written out."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from torch import nn

from eiplatform.config import load_config
from eiplatform.errors import ConfigError
from eiplatform.networks import LIF, Network, PathwayScale, build_network, dale, initialise_network, make_surrogate
from eiplatform.networks.layers.dann import FLOOR, DANNLayer, DANNReadout, dann_scales
from eiplatform.networks.neurons.backei import BackEILayer
from eiplatform.networks.transform import Conv2d, Linear
from eiplatform.networks.weights import InputMoments

BACKEI = LIF(tau=1.25, threshold=0.5, reset="hard", detach_reset=False, surrogate=make_surrogate("rectangle"))
T, B = 4, 3


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(1)


def backei() -> BackEILayer:
    torch.manual_seed(1)
    layer = BackEILayer(Conv2d((2, 6, 6)), 3, BACKEI, 3).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, 0.0, 0.5)
    return layer


def over(kernel: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Return maps (channels, rows, columns) after a kernel, by scipy."""
    return np.stack([sum(correlate2d(m, k, mode="same") for m, k in zip(maps, row, strict=True)) for row in kernel])


def test_backei_is_its_equations() -> None:
    layer = backei()
    x = torch.rand(T, B, 2, 6, 6, dtype=torch.float64).round()
    record = frozenset(f"E/{name}" for name in layer.signals["E"])
    state, sent, signals = layer(x, record=record)
    kernels = {name: p.detach().numpy() for name, p in layer.named_parameters()}
    seen = set()
    for b in range(B):
        membrane, before = np.zeros((3, 6, 6)), np.zeros((3, 6, 6))
        for t in range(T):
            drive = over(kernels["weight"], x[t, b].numpy()) + kernels["bias"][:, None, None]
            feedback = 1 / (1 + np.exp(-over(kernels["feedback"], before)))
            u = 0.2 * membrane + feedback * drive
            spikes = (u >= 0.5).astype(float)
            before = np.sign(over(kernels["gate"], u)) * spikes
            membrane = u * (1 - spikes)
            found = {"drive": drive, "feedback": feedback, "voltage": u, "spikes": spikes, "output": before}
            for name, expected in found.items():
                assert np.allclose(signals[f"E/{name}"][t, b].detach(), expected, rtol=0, atol=1e-10), name
            seen |= set(np.unique(before))
        assert np.allclose(state.membrane[b].detach(), membrane, atol=1e-10)
    assert seen == {-1.0, 0.0, 1.0} and torch.equal(sent, signals["E/output"])


def test_backei_without_its_pieces_is_a_plain_layer() -> None:
    """A gate that is always positive and a feedback of one half on twice the drive: plain neurons, bit for bit."""
    layer = backei()
    plain = build_network(
        load_config(None, ["network.architecture=cnn", "network.channels=[3]", "network.layer=none"]), (2, 6, 6), 2
    )
    first = plain.named_layers()["conv1"]
    first.double()
    first.neuron = BACKEI
    nn.init.zeros_(layer.feedback)
    nn.init.zeros_(layer.gate)
    with torch.no_grad():
        layer.gate[range(3), range(3), 1, 1] = 1.0  # K_ei u = u, which is positive where there is a spike
        first.get_parameter("weight").copy_(layer.weight)
        first.get_parameter("bias").copy_(layer.bias)
        for parameter in (layer.weight, layer.bias):
            parameter.mul_(2)
    x = torch.rand(T, B, 2, 6, 6, dtype=torch.float64).round()
    state, sent, _ = layer(x)
    expected, spikes, _ = first(x)
    assert torch.equal(sent, spikes) and 0.1 < spikes.mean() < 0.9
    assert torch.equal(state.membrane, expected.membrane)


def test_backei_can_be_continued_and_learns_through_all_of_its_kernels() -> None:
    layer = backei()
    x = torch.rand(T, B, 2, 6, 6, dtype=torch.float64).round()
    _, whole, _ = layer(x)
    state, first, _ = layer(x[:2])
    _, second, _ = layer(x[2:], state)
    assert torch.equal(torch.cat([first, second]), whole)
    forgotten = layer(x[2:], state._replace(output=None))[1]
    assert not torch.equal(forgotten, second)
    (whole * torch.rand_like(whole)).sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
    with pytest.raises(ConfigError, match="convolutional"):
        BackEILayer(Linear(3), 2, BACKEI)


def test_fully_connected_layers_of_backei_are_plain() -> None:
    settings = ["network.architecture=cnn", "network.channels=[4,P,6]", "network.dense=[9]", "network.kernel=5"]
    config = load_config(None, [*settings, "network.layer=bn", "network.neuron.model=backei"])
    network = build_network(config, (1, 8, 8), 3)
    kinds = {name: isinstance(layer, BackEILayer) for name, layer in network.named_layers().items()}
    assert kinds == {"conv1": True, "conv2": True, "fc1": False, "readout": False}
    layers = network.named_layers()
    assert [getattr(layers[name], "signed_input", None) for name in kinds] == [False, True, True, True]
    assert getattr(layers["fc1"], "norm", 0) is None and getattr(layers["conv2"], "norm", None) is not None
    assert layers["conv1"].get_parameter("weight").shape == (4, 1, 5, 5)
    initialise_network(network, torch.rand(8, 1, 8, 8), torch.Generator().manual_seed(1))
    assert network.run(torch.rand(2, 1, 8, 8)).logits.isfinite().all()


def dann(*overrides: str) -> Network:
    config = load_config(
        None,
        ["network.layer=dann", "network.neuron.model=relu", "network.hidden=[12,8]", "network.steps=1", *overrides],
    )
    network = build_network(config, (20,), 3)
    initialise_network(network, torch.rand(64, 20), torch.Generator().manual_seed(2))
    return network.double()


def test_dann_is_its_equation() -> None:
    network = dann()
    x = torch.rand(5, 20, dtype=torch.float64)
    record = {name: frozenset(info.signals) for name, info in network.populations().items()}
    output = network.run(x, record=record)
    rates = x.numpy()
    for name, layer in network.named_layers().items():
        p = {key: value.detach().numpy() for key, value in layer.named_parameters()}
        activity = rates @ p["weight_inh_in"].T
        net = rates @ p["weight_exc"].T - activity @ p["weight_inh_out"].T
        if name == "readout":
            assert np.allclose(output.logits.detach(), net, rtol=1e-12)
            assert p["weight_inh_out"].shape == (3, 1)
            continue
        gamma = (activity * np.exp(p["log_gain_inh"])) @ p["weight_inh_out"].T + 1e-8
        z = p["gain_exc"] / gamma * net + p["bias"]
        signals = output.signals[f"{name}/E"]
        assert np.allclose(signals["inhibition_div"][0].detach(), gamma, rtol=1e-12)
        assert np.allclose(signals["drive"][0].detach(), z, rtol=1e-10)
        rates = np.maximum(z, 0)
        assert np.allclose(signals["activity"][0].detach(), rates, rtol=1e-10) and "spikes" not in signals
    silent = network.run(torch.zeros(2, 20, dtype=torch.float64), record={"fc1/E": frozenset({"drive", "gain"})})
    assert torch.equal(silent.signals["fc1/E"]["drive"], torch.zeros(1, 2, 12)), "the bias is 0"
    assert torch.allclose(silent.signals["fc1/E"]["gain"], torch.tensor(1 / FLOOR, dtype=torch.float64))


def test_gradients_of_dann_are_corrected_as_published() -> None:
    x = torch.rand(5, 20, dtype=torch.float64)
    gradients = []
    for scaled in ("true", "false"):
        network = dann(f"network.prop.scale_gradient={scaled}")
        network.run(x).logits.square().sum().backward()
        gradients.append({name: p.grad for name, p in network.named_layers()["fc2"].named_parameters()})
    ratios = {
        name: (gradients[0][name].norm() / gradients[1][name].norm()).item()
        for name in gradients[0]
        if gradients[1][name].abs().max() > 0
    }
    d, n_exc = 12, 8
    expected = {"weight_inh_in": n_exc**-0.5, "weight_inh_out": 1 / d, "log_gain_inh": n_exc**-0.5 / d}
    for name, ratio in ratios.items():
        assert ratio == pytest.approx(expected.get(name, 1.0)), name
    assert set(expected) < set(ratios)


def test_dann_starts_with_drives_of_unit_variance_and_a_centring_readout() -> None:
    generator = torch.Generator().manual_seed(3)
    layer = DANNLayer(Linear(400), 300, 30)
    with torch.no_grad():
        layer.init_from_input_(InputMoments(0.4, 0.3, 0.5), generator)
        x = torch.randn(1, 2000, 400, generator=generator).relu()
        drive = layer(x, record=frozenset({"E/drive", "E/inhibition_div"}))[2]
    assert drive["E/inhibition_div"].mean() == pytest.approx(1.0, abs=0.02)
    # Inhibition takes away what all neurons share, so that less than the variance 1 of the excitation is left.
    assert abs(drive["E/drive"].mean()) < 0.15 and 0.4 < drive["E/drive"].std() < 1.0
    assert layer.log_gain_inh.exp().mean().item() == pytest.approx(dann_scales(400)[1])
    readout = DANNReadout(Linear(400), 10, 1)
    with torch.no_grad():
        readout.init_from_input_(InputMoments(0.4, 0.3, 0.5), generator)
    assert torch.allclose(readout.weight_inh_in[0], readout.weight_exc.mean(0))
    assert readout(x)[0].mean().item() == pytest.approx(0.0, abs=1e-4)


def test_dann_obeys_dale_but_for_bias_and_alpha() -> None:
    network = dann().float()
    free = {name for name, _ in network.named_parameters()} - set(dale.signed_parameters(network))
    assert free == {f"layers.{name}.{what}" for name in ("fc1", "fc2") for what in ("bias", "log_gain_inh")}
    optimiser = torch.optim.SGD(network.parameters(), lr=0.5)
    dale.attach(optimiser, network)
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimiser.step()
    assert not dale.violations(network)
    assert all(bool((network.get_parameter(name) < 0).any()) for name in free)
    assert any(bool((p == 0).any()) for p in dale.signed_parameters(network).values())


def test_lesions_of_dann_act_on_its_pathways() -> None:
    network = dann()
    x = torch.rand(5, 20, dtype=torch.float64)
    record = {"fc1/E": frozenset({"current_exc", "current_inh", "inhibition_div", "drive"})}
    before = network.run(x, record=record).signals["fc1/E"]
    network.named_layers()["fc1"].lesion = PathwayScale(subtractive=0.5, divisive=0.25)
    after = network.run(x, record=record).signals["fc1/E"]
    assert torch.allclose(after["current_inh"], 0.5 * before["current_inh"])
    assert torch.allclose(after["inhibition_div"] - FLOOR, 0.25 * (before["inhibition_div"] - FLOOR))
    expected = (before["current_exc"] - 0.5 * before["current_inh"]) / after["inhibition_div"]
    assert torch.allclose(after["drive"], expected)


@pytest.mark.parametrize("layer_type", ["ei", "bn", "none"])
def test_rates_on_every_type_of_layer(layer_type: str) -> None:
    config = load_config(None, ["network.neuron.model=relu", f"network.layer={layer_type}", "network.hidden=[30,20]"])
    network = build_network(config, (20,), 3)
    initialise_network(network, torch.rand(64, 20), torch.Generator().manual_seed(2))
    network.eval()
    x = torch.rand(5, 20)
    record = {"fc2/E": frozenset({"drive", "activity"})}
    output = network.run(x, steps=2, record=record)
    signals = output.signals["fc2/E"]
    assert torch.equal(signals["activity"], signals["drive"].relu()) and signals["activity"].max() > 0
    assert torch.allclose(output.logits, network.run(x, steps=1).logits, rtol=1e-5, atol=1e-6)
    info = network.populations()["fc2/E"]
    assert info.threshold is None and "voltage" not in info.signals and math.prod(info.shape) == 20
