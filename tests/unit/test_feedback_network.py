"""Feedback networks as networks of the platform: simulation, recording, lesions, training, checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import eiplatform
from eiplatform.analyses.lesions import accuracy
from eiplatform.config import Config, load_config
from eiplatform.config.feedback import parse_layers
from eiplatform.datasets import Split, load
from eiplatform.errors import ConfigError, UnknownNameError
from eiplatform.lesions.design import doses_of
from eiplatform.networks import Network, PathwayScale, build_network, initialise_network, save
from eiplatform.networks import load as load_checkpoint
from eiplatform.networks.equilibrium.norm import FeedbackWeight
from eiplatform.networks.equilibrium.transposed import TransposedConv2d
from eiplatform.networks.transform import Conv2d, Linear
from eiplatform.recording.network import record_network
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store.sumrules import check_sum_rules, sum_rule_residuals
from eiplatform.training import fit, initialise
from eiplatform.training.evaluation import evaluate
from eiplatform.training.schedule import learning_rate

NETWORK = ["network.architecture=feedback", "network.layer=bn", "network.readout_bias=true", "network.steps=5"]
SMALL = [*NETWORK, "network.neuron.threshold=2.0", "network.feedback.layers=24(F24)"]


def config(*overrides: str) -> Config:
    return load_config(None, [*SMALL, *overrides])


def made(chosen: Config, shape: tuple[int, ...] = (1, 8, 8)) -> tuple[Network, Tensor]:
    """Return an initialised network in float64 with the saved statistics of its data, and the data."""
    network = build_network(chosen, shape, 10)
    x = torch.rand(16, *shape, generator=torch.Generator().manual_seed(1))
    initialise_network(network, x, torch.Generator().manual_seed(2))
    with torch.no_grad():
        for _ in range(50):
            network.run(x)
        network.double()
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter += 0.8  # so that every layer fires
    return network.eval(), x.double()


@pytest.fixture(scope="module")
def images() -> Split:
    return load("digits").test.take(np.arange(40))


@pytest.mark.parametrize(("decay", "rest"), [(1.0, 0.0), (0.95, 0.0), (0.9, -1.0)])
def test_the_simulation_is_the_papers(decay: float, rest: float) -> None:
    """A plain loop over steps and layers, on numpy arrays."""
    network, x = made(
        config(
            "network.feedback.layers=24-16(F12-F24)",
            f"network.feedback.decay={decay}",
            f"network.feedback.rest={rest}",
            "network.layer=none",
        )
    )
    record = {f"{name}/E": frozenset({"spikes", "voltage"}) for name in ("fc1", "fc2", "back1")}
    output = network.run(x, steps=9, record=record)
    weights = {name: layer.weight.detach().numpy() for name, layer in network.layers.items()}
    feedback = network.layers["fc1"].feedback().detach().numpy()
    drop, fed = 2.0 - rest, np.zeros((16, 12))
    u = {"fc1": np.zeros((16, 24)), "fc2": np.zeros((16, 16)), "back1": np.zeros((16, 12))}
    rate, total = np.zeros((16, 16)), 0.0
    for step in range(9):
        below = x.flatten(1).numpy()
        for name in u:
            u[name] = decay * u[name] + below @ weights[name].T + 0.8 + (fed @ feedback.T if name == "fc1" else 0)
            below = (u[name] >= 2.0).astype(float)
            signals = output.signals[f"{name}/E"]
            np.testing.assert_allclose(signals["voltage"][step].detach(), u[name], atol=1e-12)
            np.testing.assert_array_equal(signals["spikes"][step], below)
            u[name] -= drop * below
            if name == "fc2":
                rate, total = decay * rate + below, decay * total + 1
        fed = below
    assert rate.mean() > 0.1 and fed.mean() > 0.02
    expected = rate / total @ weights["readout"].T + network.layers["readout"].bias.detach().numpy()
    np.testing.assert_allclose(output.logits.detach(), expected, atol=1e-12)


@pytest.mark.parametrize("layers", ["24(F24)", "4C3s(F4C3)", "3C3-4C3s(F3C3u)"])
@pytest.mark.parametrize("layer_type", ["bn", "none"])
def test_recording_changes_nothing_and_obeys_every_sum_rule(
    layers: str, layer_type: str, images: Split, tmp_path: Path
) -> None:
    chosen = config(
        f"network.feedback.layers={layers}",
        f"network.layer={layer_type}",
        "network.feedback.decay=0.9",
        "network.feedback.rest=-0.5",
    )
    network, _ = made(chosen)
    network.float()
    x = torch.from_numpy(images.images)
    everything = {name: frozenset(info.signals) for name, info in network.populations().items()}
    with torch.no_grad():
        assert torch.equal(network.run(x, record=everything).logits, network.run(x).logits)
    path = record_network(network, images, tmp_path / "r", RecordingSpec(), config={}, label="x")
    tree = eiplatform.open(path)
    first = next(name for name in everything if name.endswith("1/E"))
    data = tree[first].to_dataset()
    rules = {"net", "excitation", "inhibition", "shifted drive", "voltage", "threshold"}
    assert rules <= set(sum_rule_residuals(data))
    check_sum_rules(data, first)
    for part in ("exc_recurrent", "inh_recurrent", "exc_external", "inh_external"):
        assert float(data[f"current_{part}"].mean()) > 0
    assert float(data["current_exc_recurrent"].isel(time=0).max()) == 0  # nothing has come back yet
    assert data.attrs["reset_by"] == 2.5
    # What the readout records, a leaky neuron's spikes weighted, gives the same answers as the network.
    value, _, _ = accuracy(tree["readout/E"].to_dataset())
    assert value == evaluate(network, images, batch_size=16).accuracy
    spikes = data["spikes"].values.astype(float)
    assert evaluate(network, images).rates[first.partition("/")[0]] == pytest.approx(spikes.mean(), rel=1e-6)
    if layer_type == "bn":
        data["drive"] = data["drive"] + 0.01
        with pytest.raises(eiplatform.errors.SumRuleError, match="norm_shift"):
            check_sum_rules(data, first)


def test_the_pathways_are_separate_and_can_be_cut() -> None:
    network, x = made(config("network.feedback.layers=24-16(F24)"))
    paths = {(path.layer, path.name): path for path in network.pathways()}
    assert paths["fc1", "recurrent->E"].source == "fc2/E" and paths["fc1", "recurrent->E subtractive"].sign == "-"
    assert ("fc2", "recurrent->E") not in paths and paths["fc2", "input->E"].source == "fc1/E"
    names = ("current_exc_external", "current_inh_external", "current_exc_recurrent", "current_inh_recurrent")
    cut_by = dict(
        zip(("input->E", "input->E subtractive", "recurrent->E", "recurrent->E subtractive"), names, strict=True)
    )
    record = {"fc1/E": frozenset((*names, "drive")), "fc2/E": frozenset({"spikes"})}
    with torch.no_grad():
        intact = network.run(x, steps=9, record=record)
        for pathway, signal in cut_by.items():
            with network.intervene(*doses_of(pathway, [0.25], "fc1")):
                cut = network.run(x, steps=1, record=record).signals["fc1/E"]
            for name in names:
                factor = 0.75 if name == signal else 1.0
                torch.testing.assert_close(cut[name][0], factor * intact.signals["fc1/E"][name][0], rtol=1e-12, atol=0)
        both = [*doses_of("recurrent->E", [1.0]), *doses_of("recurrent->E subtractive", [1.0])]
        with network.intervene(*both):
            alone = network.run(x, steps=9, record=record)
    assert not torch.equal(alone.logits, intact.logits)
    assert torch.equal(alone.signals["fc1/E"]["drive"][0], intact.signals["fc1/E"]["drive"][0])
    assert alone.signals["fc1/E"]["current_exc_recurrent"].max() == 0
    network.layers["fc1"].lesion = PathwayScale(divisive=0.5)
    with pytest.raises(UnknownNameError, match="recurrent_exc"):
        network.run(x)
    with (
        pytest.raises(UnknownNameError, match="no pathway"),
        network.intervene(*doses_of("I->E divisive", [0.5])),
    ):
        pass


def test_a_cut_follows_the_sign_after_normalisation_in_training_too() -> None:
    network, x = made(config("network.feedback.dropout=0.0"))
    layer = network.layers["fc1"]
    record = {"fc1/E": frozenset({"current_exc_external", "current_inh_external", "drive"})}
    with torch.no_grad():
        layer.norm.weight[::2] *= -1
        layer.norm.momentum = 0.0
        for mode in (False, True):
            network.train(mode)
            intact = network.run(x, steps=1, record=record).signals["fc1/E"]
            with network.intervene(*doses_of("input->E", [1.0], "fc1")):
                cut = network.run(x, steps=1, record=record).signals["fc1/E"]
            assert intact["current_exc_external"].min() > 0 and cut["current_exc_external"].max() == 0
            assert cut["current_inh_external"].min() > 0
            shift = cut["drive"] + cut["current_inh_external"]  # the same for all samples
            torch.testing.assert_close(shift, shift[:, :1].expand_as(shift), rtol=1e-9, atol=1e-9)


def test_a_run_can_be_continued_and_frames_are_what_an_image_is() -> None:
    network, x = made(config("network.feedback.layers=24-16(F24)", "network.feedback.decay=0.9"))
    record = {"fc2/E": frozenset({"spikes"})}
    with torch.no_grad():
        whole = network.run(x, steps=7, record=record)
        first = network.run(x, steps=3, record=record)
        second = network.run(x, steps=4, record=record, state=first.state)
        frames = network.run(x.expand(7, *x.shape), record=record)
        few = network.run(x, steps=7, record=record, select={"fc2/E": torch.tensor([3, 5])})
    spikes = whole.signals["fc2/E"]["spikes"]
    assert torch.equal(spikes, torch.cat((first.signals["fc2/E"]["spikes"], second.signals["fc2/E"]["spikes"])))
    assert torch.equal(spikes, frames.signals["fc2/E"]["spikes"])
    torch.testing.assert_close(whole.logits, frames.logits, rtol=1e-12, atol=1e-12)
    assert torch.equal(few.signals["fc2/E"]["spikes"], spikes[..., [3, 5]])
    network.train()  # frames are normalised by the statistics of their mean
    with torch.no_grad():
        for other in (network.layers["fc1"].norm, network.layers["fc2"].norm):
            other.momentum = 0.0
        network.feedback = network.feedback.model_copy(update={"dropout": 0.0})
        torch.testing.assert_close(network.run(x, steps=7).logits, network.run(x.expand(7, *x.shape)).logits)


def test_dropout_is_the_same_at_all_steps_and_another_at_each_pass() -> None:
    network, x = made(config("network.feedback.dropout=0.5"))
    network.train()
    record = {"fc1/E": frozenset({"drive", "current_exc_recurrent", "current_exc_external"})}
    with torch.no_grad():
        first, second = (network.run(x, steps=8, record=record).signals["fc1/E"] for _ in range(2))
    silent = first["current_exc_external"] == 0
    assert 0.4 < silent.double().mean() < 0.6
    assert torch.equal(silent, silent[:1].expand_as(silent))
    assert not torch.equal(silent, second["current_exc_external"] == 0)
    assert int(network.drawn) >= 2
    network.eval()
    assert (network.run(x, record=record).signals["fc1/E"]["current_exc_external"] > 0).all()


@pytest.mark.parametrize("gradient", ["ide", "spide", "bptt"])
def test_training_learns_resumes_to_the_bit_and_reports_convergence(gradient: str, tmp_path: Path) -> None:
    chosen = config(
        "training.epochs=3",
        "training.warmup_epochs=0",
        "training.learning_rate=0.1",
        "training.threads=1",
        "training.batch_size=64",
        f"network.feedback.gradient={gradient}",
        *(["network.feedback.back_steps=40"] if gradient == "spide" else []),
    )
    result = fit(chosen, tmp_path / "whole")
    assert result.test_accuracy > 0.7
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    reports = {
        "ide": {"residual", "unconverged", "iterations", "forward_residual", "residual_max"},
        "spide": {"residual", "saturated", "silent", "forward_residual", "residual_max"},
    }
    if gradient == "bptt":
        assert all("convergence" not in line for line in lines)
    else:
        assert set(lines[-1]["convergence"]) == reports[gradient] and "convergence" not in lines[0]

    class Killed(Exception):
        pass

    def kill(network: Network, iterations: int, per_epoch: int) -> None:
        if iterations == 2 * per_epoch + 3:
            raise Killed

    with pytest.raises(Killed):
        fit(chosen, tmp_path / "cut", observe=kill)
    fit(chosen, tmp_path / "cut", resume=True)
    for name in ("last.safetensors", "best.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    loaded, _ = load_checkpoint(tmp_path / "whole" / "best.safetensors")
    assert evaluate(loaded, load("digits").test).accuracy == result.test_accuracy


def test_an_epoch_that_does_not_converge_is_warned_of(tmp_path: Path) -> None:
    chosen = config(
        "training.epochs=1",
        "training.warmup_epochs=0",
        "network.feedback.tolerance=1e-9",
        "network.feedback.max_iterations=2",
    )
    (warning,) = fit(chosen, tmp_path / "run").warnings
    assert "100% of the steps" in warning and "max_iterations" in warning


def test_a_checkpoint_holds_everything(tmp_path: Path) -> None:
    chosen = config("network.feedback.layers=3C3-4C3s(F3C3u)")
    network = initialise(chosen)
    x = torch.rand(4, 1, 8, 8)
    network.train()
    with torch.no_grad():
        network.run(x)
    loaded, read = load_checkpoint(save(tmp_path / "n.safetensors", network, chosen))
    assert read == chosen
    network.eval()
    assert torch.equal(loaded.eval().run(x).logits, network.run(x).logits)


@pytest.mark.parametrize(
    ("name", "shape", "classes", "parameters", "neurons"),
    [
        ("64C5s(F64C5)", (1, 28, 28), 10, 229e3, 13e3),
        ("400(F400)", (1, 28, 28), 10, 478e3, 1.2e3),
        ("96C3s-256C3-384C3s-384C3-256C3(F96C3u)", (3, 32, 32), 10, 3.7e6, 159e3),
        ("128C3s-256C3-512C3s-1024C3-512C3(F128C3u)", (3, 32, 32), 10, 11.8e6, 232e3),
        ("96C3s-256C3-384C3s-384C3-256C3(F96C3u)", (3, 32, 32), 100, 5.2e6, 159e3),
        ("128C3s-256C3-512C3s-1024C3-512C3(F128C3u)", (3, 32, 32), 100, 14.8e6, 232e3),
    ],
)
def test_the_published_networks_have_the_published_size(
    name: str, shape: tuple[int, ...], classes: int, parameters: float, neurons: float
) -> None:
    network = build_network(config(f"network.feedback.layers={name}"), shape, classes)
    found = sum(parameter.numel() for parameter in network.parameters())
    assert found == pytest.approx(parameters, rel=0.02)
    hidden = sum(info.n_neurons for info in network.populations().values()) - classes
    assert hidden + np.prod(shape) == pytest.approx(neurons, rel=0.03)  # the papers count the input


def test_the_configurations_build_what_they_are_called() -> None:
    folder = Path(eiplatform.__file__).parents[1] / "analyses" / "configs"
    shapes = {"cifar10": (3, 32, 32), "n-mnist": (2, 34, 34)}
    expected = {"400f400": 478e3, "64c5s": 229e3, "alexnet": 3.7e6, "cifarnet": 11.8e6}
    found = []
    for path in sorted(folder.glob("*.yml")):
        chosen = load_config(path)
        if chosen.network.architecture == "feedback" and chosen.dataset.name != "digits":  # published networks
            network = build_network(chosen, shapes.get(chosen.dataset.name, (1, 28, 28)), 10)
            size = (
                291e3
                if chosen.dataset.name == "n-mnist"
                else next(n for name, n in expected.items() if name in path.stem)
            )
            assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(size, rel=0.02)
            found.append(path.stem)
    assert len(found) >= 8


def test_a_rate_that_falls_in_steps() -> None:
    training = config(
        "training.schedule=step",
        "training.milestones=[3, 5]",
        "training.epochs=6",
        "training.learning_rate=0.5",
        "training.warmup_epochs=1",
        "training.warmup_from=0.0",
    ).training
    rates = [learning_rate(training, iteration, 2) for iteration in range(12)]
    assert rates == pytest.approx([0, 0.25, *[0.5] * 4, *[0.05] * 4, *[0.005] * 2])


@pytest.mark.parametrize("transform", [Linear(9), Conv2d((4, 6, 6), 3), TransposedConv2d((4, 3, 3), 3)])
def test_the_feedback_weight_stays_within_its_norm(transform: Linear | Conv2d | TransposedConv2d) -> None:
    weight = FeedbackWeight(transform, 5, 1.0)
    weight.init_(torch.Generator().manual_seed(1))

    def norm() -> float:
        matrix = weight()
        matrix = matrix.transpose(0, 1) if isinstance(transform, TransposedConv2d) else matrix
        return float(torch.linalg.matrix_norm(matrix.detach().reshape(matrix.shape[0], -1), 2))

    assert weight.alpha > 1 and norm() == pytest.approx(1.0, rel=0.05)
    for _ in range(100):
        weight()
    assert norm() == pytest.approx(1.0, rel=1e-4)
    target = torch.randn(weight().shape, generator=torch.Generator().manual_seed(3))
    (weight() * target).sum().backward()
    assert weight.alpha.grad == 0  # at its limit
    # What is normalised does not depend on the size of W0: its gradient has no part along it.
    along = float(
        (weight.weight.grad * weight.weight.detach()).sum() / weight.weight.grad.norm() / weight.weight.detach().norm()
    )
    assert abs(along) < 1e-4
    with torch.no_grad():
        weight.alpha.fill_(-0.3)
    assert norm() == pytest.approx(0.3, rel=1e-3)
    assert torch.equal(
        FeedbackWeight(transform, 5, None).double()().isnan(), torch.ones(transform.weight_shape(5)).bool()
    )


def test_the_transposed_convolution_is_the_adjoint_of_the_strided_one() -> None:
    down, up = Conv2d((2, 6, 8), 5, 2, 2), TransposedConv2d((3, 3, 4), 5)
    weight = torch.randn(3, 2, 5, 5, dtype=torch.float64)
    x, y = torch.randn(1, 2, 2, 6, 8, dtype=torch.float64), torch.randn(1, 2, 3, 3, 4, dtype=torch.float64)
    forward, back = down.apply(weight, x), up.apply(weight.transpose(0, 1), y)
    torch.testing.assert_close((forward * y).sum(), (x * back).sum())
    mixed = up.mix(torch.ones(1, 3, dtype=torch.float64), y)
    torch.testing.assert_close(mixed[:, :, 0], y.sum(2))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("400", "does not name layers and their feedback"),
        ("400(400)", "begin with F"),
        ("400(F300)", "300 neurons or channels, the first layer has 400"),
        ("400-8C3(F400)", "mixes"),
        ("8C3u(F8C3)", "only the last stage"),
        ("8C4(F8C3)", "even side"),
        ("8D3(F8C3)", "'8D3' in"),
        ("0(F0)", "'0' in"),
    ],
)
def test_layers_that_make_no_sense_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_layers(text)
    assert complaint in str(caught.value)
    with pytest.raises(ConfigError, match="network.feedback.layers"):
        config(f"network.feedback.layers={text}")


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("network.neuron.tau=3.0", "feedback.decay"),
        ("network.feedback.damping=0.5", "damping does not apply to gradient ide with solver broyden"),
        ("network.feedback.back_steps=9", "back_steps does not apply"),
        ("network.hidden=[9]", "hidden does not apply"),
        ("network.width=0.5", "width does not apply"),
        ("training.schedule=step", "milestones"),
        ("training.milestones=[3]", "milestones"),
        ("training.decay_epochs=3", "milestones or decay_epochs"),
        ("training.decay=0.5", "decay does not apply"),
        ("network.architecture=mlp", "feedback does not apply"),
        ("network.neuron.learn_surrogate=true", "needs bptt"),
        ("network.neuron.model=backei", "lif or stl"),
        ("training.balance=0.1", "bptt"),
    ],
)
def test_settings_that_do_nothing_are_refused(override: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        config(override)


def test_maps_that_do_not_meet_are_refused() -> None:
    with pytest.raises(ConfigError, match="strides"):
        build_network(config("network.feedback.layers=3C3-4C3s(F3C3)"), (1, 8, 8), 10)
    with pytest.raises(ConfigError, match="strides"):
        build_network(config("network.feedback.layers=3C3-4C3s(F3C3u)"), (1, 7, 7), 10)
    with pytest.raises(ConfigError, match="channels"):
        build_network(config("network.feedback.layers=3C3(F3C3)"), (8,), 10)


@pytest.mark.parametrize("gradient", ["ide", "spide", "bptt"])
def test_under_autocast_only_currents_lose_precision(gradient: str) -> None:
    chosen = config(f"network.feedback.gradient={gradient}", "network.feedback.dropout=0.0")
    network, x = made(chosen)
    network.float()
    found = []
    for reduced in (False, True):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            output = network.run(x.float(), record={"fc1/E": frozenset({"voltage"})})
        assert output.signals["fc1/E"]["voltage"].dtype == torch.float32
        output.logits.float().square().sum().backward()
        found.append(torch.cat([parameter.grad.flatten() for parameter in network.parameters()]))
    assert 0 < float((found[0] - found[1]).norm() / found[0].norm()) < 0.2
