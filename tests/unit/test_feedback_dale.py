"""Feedback networks with E and I populations: signs, parts, lesions, and the same gradient as any other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import eiplatform
from eiplatform.config import load_config
from eiplatform.datasets import load
from eiplatform.errors import ConfigError, UnknownNameError
from eiplatform.lesions.design import doses_of
from eiplatform.networks import Network, PathwayScale, build_network, dale, save
from eiplatform.networks.checkpoint import CheckpointError
from eiplatform.recording.network import record_network
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store.sumrules import sum_rule_residuals
from eiplatform.training import fit, initialise

OVERRIDES = [
    "network.architecture=feedback",
    "network.steps=10",
    "network.neuron.threshold=2.0",
    "network.ei_ratio=3",
    "network.feedback.layers=18(F18)",
    "network.feedback.dropout=0.0",
    "training.threads=1",
]
CONFIG = load_config(None, OVERRIDES)
BLOCKS = {
    "recurrent->E": ("E", "exc"),
    "I->E subtractive": ("E", "inh"),
    "recurrent->I": ("I", "exc"),
    "I->I subtractive": ("I", "inh"),
}


@pytest.fixture
def network() -> Network:
    return initialise(CONFIG).double().eval()


@pytest.fixture(scope="module")
def x() -> Tensor:
    return torch.from_numpy(load("digits").test.images[:20]).double()


def test_every_neuron_has_one_sign_and_both_populations_fire(network: Network, x: Tensor) -> None:
    layer = network.layers["fc1"]
    assert {name: info.n_neurons for name, info in network.populations().items()} == {
        "fc1/E": 18,
        "fc1/I": 6,
        "readout/E": 10,
        "readout/I": 3,
    }
    weight = layer.back_edge().weight
    assert (weight[:, :18] > 0).all() and (weight[:, 18:] < 0).all() and (layer.weight > 0).all()
    assert float(torch.linalg.matrix_norm(weight.detach(), 2)) < 1.01
    record = {name: frozenset(network.populations()[name].signals) for name in ("fc1/E", "fc1/I")}
    with torch.no_grad():
        output = network.run(x, record=record)
    edge = layer.back_edge()
    before = torch.zeros(20, 24, dtype=torch.float64)
    for step in range(10):
        for role, part in (("E", slice(0, 18)), ("I", slice(18, 24))):
            signals = {name: values[step] for name, values in output.signals[f"fc1/{role}"].items()}
            torch.testing.assert_close(signals["current_exc_external"], x.flatten(1) @ layer.weight[part].T)
            assert signals["current_inh_external"].max() == 0
            for name, source in (("exc", slice(0, 18)), ("inh", slice(18, 24))):
                expected = before[:, source] @ edge.weight[part, source].abs().T
                torch.testing.assert_close(signals[f"current_{name}_recurrent"], expected)
        before = torch.cat([output.signals[f"fc1/{role}"]["spikes"][step] for role in "EI"], 1)
    for role in "EI":
        assert 0.05 < output.signals[f"fc1/{role}"]["spikes"].mean() < 0.95


def test_the_readout_sees_the_rate_of_e_alone(network: Network, x: Tensor) -> None:
    with torch.no_grad():
        output = network.run(x, record={"fc1/E": frozenset({"spikes"}), "readout/E": frozenset({"current_net"})})
        rate = output.signals["fc1/E"]["spikes"].mean(0)
        readout = network.layers["readout"]
        inhibition = rate @ readout.weight_inh_in.T @ readout.weight_inh_out.T
    torch.testing.assert_close(output.logits, rate @ readout.weight_exc.T - inhibition)
    torch.testing.assert_close(output.signals["readout/E"]["current_net"].mean(0), output.logits)


@pytest.mark.parametrize("pathway", [*BLOCKS, "input->E", "input->I"])
def test_each_pathway_is_cut_alone(network: Network, x: Tensor, pathway: str) -> None:
    parts = ("current_exc_external", "current_exc_recurrent", "current_inh_recurrent")
    record = {"fc1/E": frozenset(parts), "fc1/I": frozenset(parts)}
    with torch.no_grad():
        state = network.run(x, steps=4).state
        whole = network.run(x, steps=1, record=record, state=state).signals
        with network.intervene(*doses_of(pathway, [0.25])):
            cut = network.run(x, steps=1, record=record, state=state).signals
    role, part = (
        (BLOCKS[pathway][0], f"current_{BLOCKS[pathway][1]}_recurrent")
        if pathway in BLOCKS
        else (pathway[-1], parts[0])
    )
    for target in "EI":
        for name in parts:
            values = whole[f"fc1/{target}"][name]
            assert values.max() > 0
            factor = 0.75 if (target, name) == (role, part) else 1.0
            torch.testing.assert_close(cut[f"fc1/{target}"][name], factor * values, rtol=1e-12, atol=0)


def test_lesions_of_another_kind_are_refused(network: Network, x: Tensor) -> None:
    network.layers["fc1"].lesion = PathwayScale(divisive=0.5)
    with pytest.raises(UnknownNameError, match="inh_to_inh"):
        network.run(x)
    assert {path.name: (path.source, path.target) for path in network.pathways()}["I->I subtractive"] == (
        "fc1/I",
        "fc1/I",
    )


def test_the_gradient_is_that_of_the_dense_solve(x: Tensor) -> None:
    chosen = load_config(None, [*OVERRIDES, "network.feedback.tolerance=1e-12", "network.feedback.max_iterations=200"])
    network = initialise(chosen).double().eval()
    layer, readout = network.layers["fc1"], network.layers["readout"]
    with torch.no_grad():
        layer.feedback.alpha.fill_(0.8)
        layer.bias -= 0.3
    reads = torch.randn(20, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (network.run(x).logits * reads).sum().backward()
    found = {name: parameter.grad.clone() for name, parameter in layer.named_parameters()}
    network.zero_grad()
    with torch.no_grad():
        signals = network.run(x, record={f"fc1/{role}": frozenset({"spikes"}) for role in "EI"}).signals
    a = torch.cat([signals[f"fc1/{role}"]["spikes"].mean(0) for role in "EI"], 1)
    signs = torch.tensor([1.0] * 18 + [-1.0] * 6, dtype=torch.float64)
    weight = layer.feedback() * signs
    current = x.flatten(1) @ layer.weight.T + a @ weight.T + layer.bias
    value = (current / 2).clamp(0, 1)
    seen = readout.weight_exc - readout.weight_inh_out @ readout.weight_inh_in
    g = torch.cat((reads @ seen, torch.zeros(20, 6, dtype=torch.float64)), 1).detach()
    gate = ((current > 0) & (current < 2)).double() / 2
    jacobian = gate[:, :, None] * weight
    v = torch.linalg.solve(torch.eye(24) - jacobian.mT, g)
    value.backward(v.detach())
    for name, parameter in layer.named_parameters():
        assert parameter.grad.norm() > 0
        assert float((found[name] - parameter.grad).norm() / parameter.grad.norm()) < 1e-6, name


def test_training_keeps_dales_law_and_learns(tmp_path: Path) -> None:
    chosen = load_config(
        None,
        [
            *OVERRIDES,
            "network.feedback.layers=60(F60)",
            "training.epochs=5",
            "training.warmup_epochs=0",
            "training.learning_rate=0.2",
            "training.batch_size=64",
        ],
    )
    smallest = []

    def observe(network: Network, iterations: int, per_epoch: int) -> None:
        smallest.append(min(float(parameter.detach().min()) for parameter in dale.signed_parameters(network).values()))

    result = fit(chosen, tmp_path / "run", observe=observe)
    assert min(smallest) == 0.0  # the projection had something to do
    assert result.test_accuracy > 0.7
    network, _ = eiplatform.networks.load(result.checkpoint)
    path = record_network(
        network, load("digits").test.take(range(20)), tmp_path / "r", RecordingSpec(), config={}, label="x"
    )
    tree = eiplatform.open(path)
    for name in ("fc1/E", "fc1/I"):
        data = tree[name].to_dataset()
        assert {"net", "excitation", "inhibition", "shifted drive", "voltage"} <= set(sum_rule_residuals(data))
        assert data.attrs["role"] == name[-1]
    with torch.no_grad():
        network.layers["fc1"].feedback.weight[0, 0] = -1e-3
    with pytest.raises(CheckpointError, match="feedback.weight"):
        save(tmp_path / "bad.safetensors", network, chosen)


@pytest.mark.parametrize("layers", ["18-9(F18)", "4C3(F4C3)"])
def test_other_shapes_are_refused(layers: str) -> None:
    settings = load_config(None, [*OVERRIDES, f"network.feedback.layers={layers}"])
    shape = (1, 8, 8) if "C" in layers else (64,)
    with pytest.raises(ConfigError) as caught:
        build_network(settings, shape, 10)
    assert caught.value.where == "network.feedback.layers"
