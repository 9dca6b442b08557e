"""Training what is no plain E-I network: it resumes bit for bit, learns what it should, and is recorded whole."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import eiplatform
from eiplatform.config import Config, TrainingConfig, load_config
from eiplatform.datasets import load as load_data
from eiplatform.datasets.encoding import spike_trains, training_spikes
from eiplatform.errors import ConfigError, SumRuleError
from eiplatform.interventions import Scale
from eiplatform.networks import Network, build_network, dale, initialise_network
from eiplatform.recording.checkpoint import open_checkpoint
from eiplatform.recording.network import record_network
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store.sumrules import check_sum_rules
from eiplatform.training import describe, evaluate, fit, initialise, learning_rate
from eiplatform.training.losses import balance_loss, task_loss
from eiplatform.training.regimes import freeze

SMALL = ["network.hidden=[24,16]", "network.steps=3", "training.epochs=2", "training.warmup_epochs=0"]
STL = [
    "network.layer=none",
    "network.encoding=bernoulli",
    "network.votes=3",
    "network.neuron.model=stl",
    "network.neuron.reset=hard",
    "network.neuron.detach_reset=false",
    "network.neuron.surrogate=atan",
    "training.loss=mse",
    "training.optimiser=adam",
    "training.learning_rate=5e-3",
]
CIRCULATE = [
    "network.layer=none",
    "network.neuron.max_spikes=3",
    "network.neuron.negative_spikes=true",
    "network.neuron.learn_surrogate=true",
    "training.balance=0.2",
    "training.learning_rate=1e-2",
]
MAPS = ["network.architecture=cnn", "network.channels=[4,P,6,P]", "network.dense=[12]", "network.dropout=0.3"]
BACKEI = [*MAPS, "network.layer=bn", "network.neuron.model=backei", "network.neuron.threshold=0.5"]
DANN = ["network.layer=dann", "network.neuron.model=relu", "training.learning_rate=1e-2"]
EI_STL = ["network.neuron.model=stl", "network.neuron.max_spikes=2", "training.learning_rate=1e-2"]
SYSTEMS = {"stl": STL, "circulate": CIRCULATE, "backei": BACKEI, "dann": DANN, "ei-stl": EI_STL}


def small(*overrides: str) -> Config:
    base = [entry for entry in SMALL if "cnn" not in " ".join(overrides) or "hidden" not in entry]
    return load_config(None, [*base, *overrides])


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "last.safetensors")


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_learns_resumes_bit_for_bit_and_is_recorded(system: str, tmp_path: Path) -> None:
    config = small(*SYSTEMS[system])
    assert ("step by step" in describe(config)) == (system != "dann")
    result = fit(config, tmp_path / "whole")
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert lines[2]["validation_loss"] < lines[0]["validation_loss"]
    before = load_file(tmp_path / "whole" / "untrained.safetensors")
    assert all(not torch.equal(before[name], values) for name, values in weights(result.out).items())

    def stop(network: Network, iteration: int, per_epoch: int) -> None:
        if iteration == per_epoch + 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(config, tmp_path / "parts", observe=stop)
    fit(config, tmp_path / "parts", resume=True)
    again = weights(tmp_path / "parts")
    assert all(torch.equal(again[name], values) for name, values in weights(result.out).items())

    network, _, data = open_checkpoint(result.out, "test")
    assert not dale.violations(network) and bool(dale.signed_parameters(network)) == (system in ("dann", "ei-stl"))
    assert not any("threshold" in name for name in dale.signed_parameters(network))
    spec = RecordingSpec(samples=20)
    record_network(network, data, tmp_path / "rec", spec, config=config.model_dump(mode="json"), label="x")
    tree = eiplatform.open(tmp_path / "rec")
    assert tree.attrs["source"]["spec"]["input"] == ("bernoulli" if system == "stl" else "constant")
    rules = {rule for leaf in tree.leaves for rule in check_sum_rules(leaf.to_dataset(), leaf.path)}
    assert {
        "stl": {"net", "drive", "voltage", "threshold"},
        "circulate": {"net", "drive", "signed voltage", "signed staircase", "output"},
        "backei": {"net", "drive", "feedback voltage", "voltage", "threshold", "output"},
        "dann": {"net", "drive", "gain", "rate"},
        "ei-stl": {"net", "drive", "gain", "voltage", "staircase"},
    }[system] == rules
    # The recorded samples' answers are those of an evaluation.
    chosen = data.take(np.flatnonzero(np.isin(data.ids, tree["readout/E"]["sample"].values)))
    current = tree["readout/E"].ds
    logits = current["spikes" if system == "stl" else "current_net"].mean("time").values
    logits = logits.reshape(20, 10, -1).mean(-1)
    assert (logits.argmax(1) == chosen.labels).mean() == pytest.approx(evaluate(network, chosen).accuracy)


def test_negative_and_several_spikes_are_stored_as_whole_numbers(tmp_path: Path) -> None:
    config = small(*CIRCULATE)
    network, data = initialise(config), load_data("digits").test
    record_network(
        network, data, tmp_path / "a", RecordingSpec(samples=30), config=config.model_dump(mode="json"), label="x"
    )
    ds = eiplatform.open(tmp_path / "a")["fc2/E"].to_dataset().load()
    assert ds["spikes"].dtype == ds["output"].dtype == np.int8
    assert ds["output"].min() < -1 < 1 < ds["output"].max() and ds.attrs["max_spikes"] == 3
    assert np.array_equal(ds["spikes"], np.abs(ds["output"]))
    assert float(ds.ei.rate().mean()) == pytest.approx(float(ds["spikes"].mean()))
    rates = evaluate(network, data.take(np.flatnonzero(np.isin(data.ids, ds["sample"].values)))).rates
    assert rates["fc2"] == pytest.approx(float(ds["spikes"].mean()))
    drive = ds["drive"].values.astype(np.float64)
    leaked = 0.5 * (ds["voltage"] - ds["output"]).values[:, :-1].astype(np.float64).sum(1)
    rest = (ds["voltage"] - ds["output"]).values[:, -1]
    assert np.allclose(drive.sum(1), leaked + ds["output"].values.sum(1) + rest, atol=1e-5)

    def changed(name: str, by: int) -> None:
        wrong = ds.copy(deep=True)
        wrong[name].values[3, 1, 2] += by
        with pytest.raises(SumRuleError, match="sum rule violated"):
            check_sum_rules(wrong, "fc2/E")

    changed("output", 1)
    changed("output", -1)
    changed("spikes", 1)


def test_thresholds_are_recorded_and_checked(tmp_path: Path) -> None:
    config = small(*STL, "network.neuron.threshold_spread=0.3")
    network, data = initialise(config), load_data("digits").test
    record_network(
        network, data, tmp_path / "a", RecordingSpec(samples=9), config=config.model_dump(mode="json"), label="x"
    )
    ds = eiplatform.open(tmp_path / "a")["fc1/E"].to_dataset().load()
    stored = network.named_layers()["fc1"].stepwise
    assert stored is not None and stored.threshold is not None
    assert np.array_equal(ds["threshold"], stored.threshold.detach()) and "threshold" not in ds.attrs
    assert ds["threshold"].std() > 0.1 and ds["spikes"].dtype == bool
    assert np.array_equal(ds["spikes"], ds["voltage"] >= ds["threshold"])
    for name, by in (("threshold", 0.5), ("threshold", -0.5)):
        wrong = ds.copy(deep=True)
        wrong[name].values[:] += by
        with pytest.raises(SumRuleError, match="voltage >= threshold"):
            check_sum_rules(wrong, "fc1/E")


@pytest.mark.parametrize("regime", ["weights", "thresholds"])
def test_a_regime_trains_what_it_names(regime: str, tmp_path: Path) -> None:
    result = fit(small(*STL, f"training.trained={regime}"), tmp_path / "run")
    before, after = load_file(result.untrained), load_file(result.last)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    thresholds = {name for name in before if name.endswith("threshold")}
    assert len(thresholds) == 3
    assert changed == (thresholds if regime == "thresholds" else set(before) - thresholds)


def test_thresholds_are_drawn_apart_from_weights() -> None:
    """The same seed gives the weights of the network of plain neurons."""
    networks = [initialise(small("network.layer=none", f"network.neuron.model={model}")) for model in ("stl", "lif")]
    drawn, plain = (network.state_dict() for network in networks)
    assert all(torch.equal(drawn[name], values) for name, values in plain.items())
    thresholds = [values for name, values in drawn.items() if name not in plain]
    assert len(thresholds) == 2 and all(0 < values.std() < 3e-4 for values in thresholds)
    assert not torch.equal(thresholds[0][:16], thresholds[1])


def test_regimes_need_thresholds() -> None:
    network = build_network(small(), (64,), 10)
    with pytest.raises(ConfigError, match="without trainable thresholds"):
        freeze(network, "thresholds")
    freeze(network, "all")
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_input_spikes_depend_on_sample_and_epoch_alone() -> None:
    images = np.random.default_rng(1).random((4, 6, 6)).astype(np.float32)
    whole = training_spikes(images, np.arange(4), 50, 1, 2, 3)
    parts = [training_spikes(images[part], part, 50, 1, 2, 3) for part in (np.array([0, 1]), np.array([2, 3]))]
    assert np.array_equal(whole, np.concatenate(parts, 1))
    assert not np.array_equal(whole, training_spikes(images, np.arange(4), 50, 1, 3, 3))
    assert np.allclose(whole.mean(0), images, atol=0.35) and abs((whole.mean(0) - images).mean()) < 0.02
    edges = np.array([[0.0, 1.0]], np.float32)
    assert np.array_equal(training_spikes(edges, np.arange(1), 9, 1, 1, 1), np.repeat(edges[None], 9, 0))
    spec = RecordingSpec(input="bernoulli")
    ids = np.array([7, 3, 9, 1])
    assert np.array_equal(spec.drive(images, ids, 5), spike_trains(images, ids, 5, "bernoulli"))


def test_losses_are_their_formulas() -> None:
    logits, labels = torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 2, 1, 1])
    expected = ((logits - torch.eye(3, dtype=torch.float64)[labels]) ** 2).mean(1).sum()
    assert torch.allclose(task_loss(logits, labels, "mse"), expected)
    assert torch.allclose(task_loss(logits, labels), -logits.log_softmax(1)[range(4), labels].sum())


def test_the_balanced_loss() -> None:
    voltage = torch.randn(3, 5, 4, 2, dtype=torch.float64, requires_grad=True)
    other = torch.randn(3, 5, 7, dtype=torch.float64)
    loss = balance_loss([voltage, other])
    by_hand = 0.0
    for values in (voltage.detach(), other):
        for sample in values.transpose(0, 1):
            up, down = sample[sample > 0].sum(), -sample[sample < 0].sum()
            by_hand += ((up - down) / (up + down + 0.01 * sample.numel())) ** 2 / 2
    assert torch.allclose(loss, by_hand)
    assert torch.allclose(balance_loss([100 * voltage, 100 * other], 100.0), loss), "of no scale but the threshold"
    parts = balance_loss([voltage[:, :2], other[:, :2]]) + balance_loss([voltage[:, 2:], other[:, 2:]])
    assert torch.allclose(parts, loss), "a batch may be divided"
    assert balance_loss([torch.cat([other, -other])]) < 1e-20
    assert 4.8 < balance_loss([other.abs()]) < 5
    zero = torch.zeros(2, 1, 3, requires_grad=True)
    balance_loss([zero]).backward()
    assert zero.grad is not None and bool((zero.grad == 0).all())
    assert torch.autograd.gradcheck(lambda v: balance_loss([v, other]), (voltage,))
    faint = (1e-9 * other).requires_grad_()  # no spike arrives: what is left must not decide the step
    balance_loss([faint]).backward()
    assert faint.grad is not None and faint.grad.norm() < 1e-3


@pytest.mark.parametrize("backend", ["eager", "auto"])
def test_the_balanced_loss_acts_in_training_whatever_the_backend(backend: str, tmp_path: Path) -> None:
    """On the E-I layer, whose potentials come out of the fused operation."""
    found = []
    for weight in (0, 5):
        fit(small(f"training.balance={weight}", f"training.backend={backend}"), tmp_path / str(weight))
        network, _, data = open_checkpoint(tmp_path / str(weight), "test")
        signals = network.run(torch.from_numpy(data.images), record={"fc2/E": frozenset({"voltage"})}).signals
        found.append(balance_loss([signals["fc2/E"]["voltage"]]).item() / len(data))
    assert found[1] < 0.7 * found[0]


def test_learning_rates_that_decay() -> None:
    part = TrainingConfig(epochs=9, warmup_epochs=0, learning_rate=1.0, schedule="step", decay=0.5, decay_epochs=2)
    rates = [learning_rate(part, iteration, 3) for iteration in range(0, 27, 3)]
    assert rates == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625]
    listed = TrainingConfig(epochs=9, warmup_epochs=0, learning_rate=1.0, schedule="step", decay=0.5, milestones=(2, 4))
    assert [learning_rate(listed, iteration, 3) for iteration in range(0, 27, 3)] == [1, 1, 0.5, 0.5, *[0.25] * 5]


def test_lesions_of_both_signs_of_a_network_without_dales_law() -> None:
    config = small(*CIRCULATE)
    network = build_network(config, (64,), 10)
    x = torch.rand(8, 64, generator=torch.Generator().manual_seed(1))
    initialise_network(network, x, torch.Generator().manual_seed(1))
    record = {"fc2/E": frozenset({"current_exc", "current_inh", "current_net"})}
    intact = network.run(x, record=record).signals["fc2/E"]
    with network.intervene(Scale("input->E subtractive", 0.0, layers="fc2")):
        cut = network.run(x, record=record).signals["fc2/E"]
    assert bool((cut["current_inh"] == 0).all()) and torch.equal(cut["current_net"], cut["current_exc"])
    assert torch.equal(cut["current_exc"], intact["current_exc"])


@pytest.mark.parametrize("system", ["ei-stl", "dann", "circulate"])
def test_moments_are_those_of_the_raw_signals(system: str, tmp_path: Path) -> None:
    """Whatever a layer computes with, its reduced signals are complete."""
    config = small(*SYSTEMS[system])
    network, data = initialise(config), load_data("digits").test
    plain = config.model_dump(mode="json")
    for keep in ("raw", "moments"):
        spec = RecordingSpec(samples=12, batch_samples=5, keep=keep)
        record_network(network, data, tmp_path / keep, spec, config=plain, label="x")
    raw, reduced = (eiplatform.open(tmp_path / keep) for keep in ("raw", "moments"))
    for name in network.populations():
        for signal in reduced[name]["signal"].values.tolist():
            expected = raw[name][signal].astype(float).mean(("sample", "time"))
            assert np.allclose(reduced[name]["mean"].sel(signal=signal), expected, rtol=1e-5, atol=1e-5), signal
        assert set(reduced[name]["signal"].values) == set(network.populations()[name].signals)
