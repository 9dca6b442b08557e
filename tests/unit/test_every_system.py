"""Every architecture takes every piece, and every published feedback network trains, is recorded and lesioned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import eiplatform
from eiplatform.analyses.comparison import Comparison
from eiplatform.analyses.regime_scorecard import RegimeScorecard
from eiplatform.analyses.traces import Traces
from eiplatform.config import load_config
from eiplatform.datasets import load
from eiplatform.errors import StatisticError
from eiplatform.lesions.design import doses_of
from eiplatform.networks import Network, build_network, dale, initialise_network
from eiplatform.recording.network import record_network
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store.sumrules import check_sum_rules
from eiplatform.training.losses import balance_loss, task_loss

CONFIGS = Path(eiplatform.__file__).parents[1] / "analyses" / "configs"
ARCHITECTURES = {
    "mlp": ["network.hidden=[12, 8]"],
    "cnn": ["network.architecture=cnn", "network.channels=[3, P, 4]"],
    "vgg": ["network.architecture=vgg8", "network.width=0.05"],
    "resnet": ["network.architecture=resnet18", "network.width=0.05"],
    "feedback": [
        "network.architecture=feedback",
        "network.feedback.layers=12-8(F12)",
        "network.feedback.gradient=bptt",
    ],
}
PIECES = {
    "stl": ["network.neuron.model=stl", "network.neuron.surrogate=atan"],
    "circulate": ["network.neuron.max_spikes=3", "network.neuron.negative_spikes=true"],
    "learnt": ["network.neuron.learn_surrogate=true"],
    "balance": ["training.balance=0.1"],
}


def made(*settings: str) -> tuple[Network, torch.Tensor, float]:
    """Return a network, its input, and the weight of the balanced loss."""
    chosen = load_config(None, [*settings, "network.steps=3"])
    network = build_network(chosen, (1, 32, 32), 10)
    x = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    initialise_network(network, x, torch.Generator().manual_seed(1))
    return network.train(), x, chosen.training.balance


@pytest.mark.parametrize("layer_type", ["none", "bn", "ei"])
@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_piece_learns_in_every_network(architecture: str, piece: str, layer_type: str) -> None:
    settings = [*ARCHITECTURES[architecture], *PIECES[piece], f"network.layer={layer_type}"]
    if layer_type == "ei":  # no negative spikes, and of feedback networks one layer
        settings = [setting.replace("12-8(F12)", "12(F12)") for setting in settings if "negative" not in setting]
    network, x, balance = made(*settings)
    fires = [f"{name}/E" for name, layer in network.named_layers().items() if layer.fires]
    output = network.run(x, record={name: frozenset({"voltage"}) for name in fires})
    voltages = [signals["voltage"] for signals in output.signals.values()]
    imbalance = balance_loss(voltages)
    (torch.nn.functional.cross_entropy(output.logits, torch.arange(4)) + balance * imbalance).backward()
    own = [p for name, p in network.named_parameters() if name.endswith(("threshold", "log_width"))]
    assert bool(own) == (piece in ("stl", "learnt"))
    assert all(parameter.grad is not None for parameter in network.parameters())
    if own:  # of the layer that is nearest to the input
        assert own[0].grad is not None and own[0].grad.isfinite().all() and float(own[0].grad.abs().max()) > 0
    if piece == "balance":
        assert 0 < float(imbalance.detach()) <= 4
    assert bool(dale.signed_parameters(network)) == (layer_type == "ei")


@pytest.mark.parametrize(
    "name", ["fashion-mnist-400f400", "mnist-64c5s-f64c5", "cifar10-alexnet-f", "cifar10-cifarnet-f"]
)
def test_the_published_networks_train_and_are_recorded_and_lesioned(name: str, tmp_path: Path) -> None:
    """With all their neurons and parameters, on small images and for few steps."""
    settings = ["network.steps=3", "network.feedback.max_iterations=3", "network.feedback.tolerance=0.5"]
    network = build_network(load_config(CONFIGS / f"{name}.yml", settings), (1, 8, 8), 10)
    images = load("digits").test.take(np.arange(4))
    x = torch.from_numpy(images.images)
    initialise_network(network, x, torch.Generator().manual_seed(1))
    with torch.no_grad():
        for label, parameter in network.named_parameters():
            if label.endswith("norm.bias"):
                parameter += 2.0  # so that something comes back
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05)
    before = {label: p.detach().clone() for label, p in network.named_parameters()}
    torch.nn.functional.cross_entropy(network.train().run(x).logits, torch.from_numpy(images.labels)).backward()
    optimiser.step()
    reached = network.convergence()
    assert {"residual", "iterations", "unconverged", "forward_residual"} <= set(reached) and reached["residual"] < 0.5
    moved = {label for label, p in network.named_parameters() if not torch.equal(p, before[label])}
    assert {label for label in before if label.endswith("weight") and "norm" not in label} <= moved
    network.eval()
    first = next(iter(network.named_layers()))
    spec = RecordingSpec(neurons=12, populations=(f"{first}/E", "readout/E"))
    cut: dict[bool, np.ndarray] = {}
    for lesion in (False, True):
        with network.intervene(*doses_of("recurrent->E subtractive", [1.0] if lesion else [0.0])):
            path = record_network(network, images, tmp_path / str(lesion), spec, config={}, label="x")
        tree = eiplatform.open(path)
        for leaf in tree.leaves:
            check_sum_rules(leaf.to_dataset(), leaf.path)
        cut[lesion] = tree[f"{first}/E"]["current_inh_recurrent"].values
        assert (tree[f"{first}/E"]["current_inh_external"].values > 0).any()
    assert cut[False].max() > 0 and cut[True].max() == 0


def test_rates_are_compared_with_other_networks_and_say_what_they_lack(tmp_path: Path) -> None:
    images = load("digits").test.take(np.arange(8))
    paths = {}
    for name, more in {"rates": ["network.layer=dann", "network.neuron.model=relu"], "spikes": []}.items():
        network = build_network(load_config(None, ["network.hidden=[12]", *more]), (1, 8, 8), 10)
        initialise_network(network, torch.from_numpy(images.images), torch.Generator().manual_seed(1))
        paths[name] = record_network(network.eval(), images, tmp_path / name, RecordingSpec(), config={}, label=name)
    keys = ["ei_ratio", "balance_index", "rate"]
    for ours, theirs in (("rates", "spikes"), ("spikes", "rates")):
        found = Comparison().run(str(paths[ours]), [str(paths[theirs])], statistics=keys, n_bootstrap=20).data
        assert np.isfinite(found["difference"].sel(statistic=["ei_ratio", "balance_index"])).all()
        assert np.isnan(found["difference"].sel(statistic="rate")).all()
    with pytest.raises(StatisticError, match="compare them with other networks"):
        Comparison().run(str(paths["rates"]), ["brunel-2000-C"], statistics=keys)
    for analysis in (RegimeScorecard(), Traces()):
        with pytest.raises(StatisticError, match="rates, not spikes"):
            analysis.run([str(paths["rates"])])


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("mnist-stl", {"conv1/E": 128 * 28 * 28, "conv2/E": 128 * 14 * 14, "fc1/E": 2048, "readout/E": 100}),
        ("mnist-backei", {"conv1/E": 15 * 28 * 28, "conv2/E": 40 * 14 * 14, "fc1/E": 300, "readout/E": 10}),
        ("fashion-mnist-backei", {"conv1/E": 32 * 28 * 28, "conv2/E": 64 * 14 * 14, "fc1/E": 1024, "readout/E": 10}),
        ("mnist-dann", {"fc1/E": 500, "fc2/E": 500, "fc3/E": 500, "readout/E": 10}),
    ],
)
def test_the_published_networks_of_other_systems_take_a_training_step(name: str, hidden: dict[str, int]) -> None:
    chosen = load_config(CONFIGS / f"{name}.yml", [] if "dann" in name else ["network.steps=2"])
    network = build_network(chosen, (1, 28, 28), 10)
    excitatory = {label: info.n_neurons for label, info in network.populations().items() if info.role == "E"}
    assert [*excitatory.values()] == [*hidden.values()], excitatory
    x = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    shown = x if chosen.network.encoding == "constant" else (torch.rand(2, *x.shape) < x).float()
    initialise_network(network, x, torch.Generator().manual_seed(1))
    logits = network.train().run(shown).logits
    task_loss(logits, torch.tensor([3, 8]), chosen.training.loss).backward()
    assert logits.shape == (2, 10)
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())
    assert any(float(p.grad.abs().max()) > 0 for p in network.parameters() if p.grad is not None)
