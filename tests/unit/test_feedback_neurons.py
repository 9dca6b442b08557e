"""Feedback networks of neurons that can do more: trainable thresholds, several and negative spikes, learnt widths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import eiplatform
from eiplatform.config import load_config
from eiplatform.config.feedback import FeedbackConfig
from eiplatform.datasets import load
from eiplatform.errors import ConfigError
from eiplatform.lesions.design import doses_of
from eiplatform.networks import LIF, Firing, Network, build_network, initialise_network
from eiplatform.networks.equilibrium.implicit import fixed_point
from eiplatform.networks.equilibrium.network import FeedbackNetwork
from eiplatform.networks.equilibrium.neuron import feedback_tau
from eiplatform.networks.equilibrium.simulation import Simulation
from eiplatform.recording.network import record_network
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store.sumrules import check_sum_rules, sum_rule_residuals

IDLE = Firing(thresholds=True)
PIECES = {
    "thresholds": Firing(thresholds=True, spread=0.3),
    "several": Firing(max_spikes=3),
    "both signs": Firing(max_spikes=2, negative=True),
    "all": Firing(thresholds=True, spread=0.3, max_spikes=2, negative=True),
}


def build(
    firing: Firing | None,
    layers: str = "9-8(F9)",
    shape: tuple[int, ...] = (7,),
    *,
    layer_type: str = "none",
    **more: object,
) -> tuple[FeedbackNetwork, Tensor]:
    """Return a network in float64 whose neurons fire at all rates that they can have, and its input."""
    settings = {"layers": layers, "dropout": 0.0, **more}
    if settings.get("gradient", "ide") == "ide":
        settings = {"tolerance": 1e-12, "max_iterations": 200, **settings}
    decay = float(settings.get("decay", 1.0))  # type: ignore[arg-type]
    feedback = FeedbackConfig.model_validate(settings)
    neuron = LIF(tau=feedback_tau(decay), threshold=2.0)
    network = FeedbackNetwork(
        shape, 3, feedback, layer=layer_type, neuron=neuron, steps=20, model="stl" if firing else "lif", firing=firing
    )
    x = torch.rand(6, *shape, generator=torch.Generator().manual_seed(2))
    initialise_network(network, x, torch.Generator().manual_seed(3))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias") and layer_type == "none":
                wide = torch.rand(parameter.shape, generator=torch.Generator().manual_seed(4))
                low = -3.0 if firing is not None and firing.negative else -0.5
                parameter.copy_(low + (4.0 - low) * wide)
            if name.endswith("alpha"):
                parameter.fill_(0.9)  # not at its limit, where it has no gradient
    return network.double().eval(), x.double()


@pytest.mark.parametrize("layer_type", ["none", "bn"])
@pytest.mark.parametrize("gradient", ["ide", "spide", "bptt"])
def test_pieces_that_do_nothing_change_nothing_bit_for_bit(gradient: str, layer_type: str) -> None:
    found = []
    widths = Firing(thresholds=True, widths=20) if gradient == "bptt" else IDLE
    for firing in (None, widths):
        network, x = build(firing, "9-8(F7-F9)", gradient=gradient, layer_type=layer_type)
        network.float().train()
        output = network.run(x.float(), record={"fc1/E": frozenset(network.populations()["fc1/E"].signals)})
        output.logits.square().sum().backward()
        learnt = {name: p.grad for name, p in network.named_parameters() if "stepwise" not in name}
        found.append((output, learnt))
    (plain, before), (idle, after) = found
    assert torch.equal(plain.logits, idle.logits) and plain.logits.std() > 0
    for name, values in plain.signals["fc1/E"].items():
        assert torch.equal(values, idle.signals["fc1/E"][name])
    assert before.keys() == after.keys()
    for name, grad in before.items():
        assert grad is not None and torch.equal(grad, after[name]), name


def equation(network: FeedbackNetwork, x: Tensor) -> Callable[[Tensor], list[Tensor]]:
    """Return the rates of both layers from that of the second, written anew."""
    first, second = network.layers["fc1"], network.layers["fc2"]
    firing = network.firing or Firing()
    low, high = (-firing.max_spikes if firing.negative else 0), firing.max_spikes

    def theta(layer: torch.nn.Module) -> Tensor:
        learnt = layer.stepwise.threshold
        return torch.tensor(2.0, dtype=torch.float64) if learnt is None else learnt

    def apply(rate: Tensor) -> list[Tensor]:
        one = (rate @ first.feedback().T + x @ first.weight.T + first.bias) / theta(first)
        two = (one.clamp(low, high) @ second.weight.T + second.bias) / theta(second)
        return [one.clamp(low, high), two.clamp(low, high)]

    return apply


@pytest.mark.parametrize("name", PIECES)
def test_rates_approach_the_equilibrium_as_one_over_t(name: str) -> None:
    network, x = build(PIECES[name])
    apply = equation(network, x)
    with torch.no_grad():
        star = fixed_point(lambda a: apply(a)[1], torch.zeros(6, 8, dtype=torch.float64), 1e-13)
        distances = []
        for steps in (100, 1000):
            spikes = "output" if PIECES[name].negative else "spikes"
            rate = network.run(x, steps=steps, record={"fc2/E": frozenset({spikes})}).signals["fc2/E"][spikes].mean(0)
            distances.append(float((rate - star).abs().mean()))
    assert distances[1] < 0.2 * distances[0] < 0.01
    inside = (star > star.min()) & (star < star.max())
    assert 0.2 < inside.double().mean() and star.max() - star.min() > 0.9


@pytest.mark.parametrize("gradient", ["ide", "spide"])
@pytest.mark.parametrize("name", PIECES)
def test_the_gradient_is_that_of_the_fixed_point(name: str, gradient: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against central differences of the loss at the fixed point, found without any spikes."""
    more = {"back_steps": 4000, "gradient_scale": 1.0} if gradient == "spide" else {}
    network, x = build(PIECES[name], gradient=gradient, **more)
    reads = 0.1 * torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(8))

    def reached(simulation: Simulation | None = None, *args: object) -> list[Tensor]:
        apply = equation(network, x)
        with torch.no_grad():
            rates = apply(fixed_point(lambda a: apply(a)[1], torch.zeros(6, 8, dtype=torch.float64), 1e-14))
        if simulation is not None:
            simulation.fed = rates[1]
        return rates

    def loss() -> float:
        weight = network.layers["readout"].weight.detach()
        return float(((reached()[1] @ weight.T) * reads).sum())

    monkeypatch.setattr(Simulation, "run", reached)
    (network.run(x).logits * reads).sum().backward()
    checked = 0
    for label, parameter in network.named_parameters():
        assert parameter.grad is not None, label
        flat, h = parameter.data.view(-1), 1e-6
        found, expected = [], []
        for index in range(0, flat.numel(), max(1, flat.numel() // 8)):
            kept = float(flat[index])
            flat[index] = kept + h
            above = loss()
            flat[index] = kept - h
            expected.append((above - loss()) / (2 * h))
            flat[index] = kept
            found.append(float(parameter.grad.view(-1)[index]))
        tolerance = 1e-4 if gradient == "ide" else 0.03
        size = max(map(abs, expected))
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * size + 1e-9, err_msg=label)
        checked += "threshold" in label and size > 1e-3
    assert checked == (2 if PIECES[name].thresholds else 0)


@pytest.mark.parametrize("layers", ["9-8(F9)", "3C3-4C3s(F3C3u)"])
def test_negative_spikes_go_by_what_a_synapse_does_and_lesions_with_them(layers: str) -> None:
    flat = "C" not in layers
    network, x = build(PIECES["all"], layers, (7,) if flat else (1, 4, 4))
    first, second = ("fc1", "fc2") if flat else ("conv1", "conv2")
    parts = ("current_exc_external", "current_inh_external", "current_exc_recurrent", "current_inh_recurrent")
    record = {
        f"{first}/E": frozenset((*parts, "current_net", "drive")),
        f"{second}/E": frozenset({"current_exc", "current_inh", "output", "spikes", "drive"}),
    }
    with torch.no_grad():
        intact = network.run(x, record=record).signals
        output = intact[f"{second}/E"]["output"]
        assert output.min() < 0 < output.max() and torch.equal(output.abs(), intact[f"{second}/E"]["spikes"])
        assert all(values.min() >= 0 for name, values in intact[f"{second}/E"].items() if "current" in name)
        # the feedback of the last step, synapse by synapse
        if flat:
            weight = network.layers[first].feedback()
            each = weight[None] * output[:-1].unsqueeze(-2)
            for name, sign in (("current_exc_recurrent", 1), ("current_inh_recurrent", -1)):
                torch.testing.assert_close(intact[f"{first}/E"][name][1:], (sign * each).clamp(min=0).sum(-1))
        for pathway, layer, signal in (
            ("recurrent->E subtractive", first, "current_inh_recurrent"),
            ("input->E", second, "current_exc"),
        ):
            with network.intervene(*doses_of(pathway, [0.25], layer)):
                cut = network.run(x, steps=2, record=record).signals[f"{layer}/E"]
            step = 1 if layer == first else 0
            torch.testing.assert_close(cut[signal][step], 0.75 * intact[f"{layer}/E"][signal][step])
            change = 0.25 * intact[f"{layer}/E"][signal][step] * (1 if "inh" in signal else -1)
            torch.testing.assert_close(cut["drive"][step], intact[f"{layer}/E"]["drive"][step] + change)


def test_a_lesion_in_training_follows_the_sign_after_normalisation() -> None:
    network, x = build(PIECES["all"], layer_type="bn")
    record = {"fc2/E": frozenset({"drive"})}
    with torch.no_grad():
        network.layers["fc2"].norm.weight[::2] *= -1
        network.train()
        for _ in range(60):
            network.run(x)
    network.feedback = network.feedback.model_copy(update={"gradient": "bptt"})
    found = {}
    for training in (True, False):
        network.train(training)
        with network.intervene(*doses_of("input->E", [1.0], "fc2")):
            output = network.run(x, steps=1, record=record)
        found[training] = output.signals["fc2/E"]["drive"][0]
    spread = [(values - values.mean(0)).sign() for values in found.values()]  # the same up to scale and shift
    assert torch.equal(*spread)


@pytest.mark.parametrize(
    ("layers", "more"),
    [
        ("24(F24)", ["network.neuron.model=stl", "network.neuron.threshold_spread=0.2"]),
        ("24-16(F24)", ["network.neuron.max_spikes=3", "network.neuron.negative_spikes=true"]),
        ("24(F24)", ["network.layer=ei", "network.neuron.model=stl", "network.neuron.max_spikes=2"]),
    ],
)
def test_they_are_recorded_and_every_sum_rule_holds(layers: str, more: list[str], tmp_path: Path) -> None:
    network, images = small(layers, *more)
    path = record_network(network, images, tmp_path / "r", RecordingSpec(), config={}, label="x")
    moments = record_network(network, images, tmp_path / "m", RecordingSpec(keep="moments"), config={}, label="x")
    tree = eiplatform.open(path)
    for name, info in network.populations().items():
        data = tree[name].to_dataset()
        check_sum_rules(data, name)
        if name.startswith("readout"):
            continue
        rules = set(sum_rule_residuals(data))
        graded = any("max_spikes" in setting for setting in more)
        signed = any("negative" in setting for setting in more)
        assert ("signed staircase" if signed else "staircase" if graded else "threshold") in rules
        assert ("signed voltage" if signed else "voltage") in rules
        assert 0 < float(data["spikes"].mean())
        if "stl" in " ".join(more):
            assert len(np.unique(data["threshold"].values)) == info.n_neurons
        mean = eiplatform.open(moments)[name].to_dataset()
        for signal in ("drive", "voltage"):
            of = mean["mean"].sel(signal=signal).values
            np.testing.assert_allclose(of, data[signal].mean(("sample", "time")).values, rtol=1e-4, atol=1e-5)


def small(layers: str, *more: str) -> tuple[Network, eiplatform.datasets.Split]:
    settings = ["network.architecture=feedback", "network.layer=none", "network.neuron.threshold=1.0"]
    chosen = load_config(None, [*settings, f"network.feedback.layers={layers}", "network.steps=6", *more])
    images = load("digits").test.take(np.arange(12))
    network = build_network(chosen, (1, 8, 8), 10)
    initialise_network(network, torch.from_numpy(images.images), torch.Generator().manual_seed(1))
    return network.eval(), images


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("network.neuron.model=relu", "lif or stl"),
        ("network.neuron.learn_surrogate=true", "needs bptt"),
        ("network.feedback.rest=-1.0", "plain lif"),
        ("network.votes=3", "readout of currents"),
    ],
)
def test_what_has_no_equilibrium_is_one_clear_line(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small("9(F9)", "network.neuron.model=stl", override)


def test_networks_built_by_hand_refuse_the_same() -> None:
    with pytest.raises(ConfigError, match="lif or stl"):
        FeedbackNetwork((4,), 2, FeedbackConfig(), layer="none", model="relu")
    with pytest.raises(ConfigError, match="bptt"):
        FeedbackNetwork((4,), 2, FeedbackConfig(), layer="none", firing=Firing(widths=4))
    with pytest.raises(ConfigError, match="rest below 0"):
        FeedbackNetwork((4,), 2, FeedbackConfig(rest=-1.0), layer="none", firing=Firing(max_spikes=2))
