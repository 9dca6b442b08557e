"""The training loop: it learns, resumes bit for bit, reads the test split once, and says what is wrong."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from eiplatform import networks, training
from eiplatform.config import Config, TrainingConfig, load_config
from eiplatform.datasets import DataBundle, load, open_dataset, split_validation
from eiplatform.errors import ConfigError, DeviceError, OutputExistsError, TrainingError, UnknownNameError
from eiplatform.networks import CheckpointError, dale
from eiplatform.networks.build import build_network
from eiplatform.networks.diagnosis import check_rates, first_non_finite
from eiplatform.training import epoch_order, evaluate, fit, initialise, learning_rate, loop
from eiplatform.training import run as running
from eiplatform.training.optimiser import centre_gradients, clip_gradient
from tests.refusals import refusing

SMALL = [
    "network.hidden=[48, 32]",
    "network.steps=3",
    "training.epochs=4",
    "training.warmup_epochs=1",
    "training.batch_size=32",
    "training.learning_rate=2e-2",
]


def small(*overrides: str) -> Config:
    return load_config(None, [*SMALL, *overrides])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> training.TrainResult:
    return fit(small(), tmp_path_factory.mktemp("run") / "a")


def test_it_learns_and_leaves_what_it_promises(finished: training.TrainResult) -> None:
    assert finished.test_accuracy > 0.8
    assert finished.n_test == 359
    names = {path.name for path in finished.out.iterdir()}
    assert names == {
        ".eiplatform",
        "config.yml",
        "metrics.jsonl",
        "result.json",
        *(f"{name}.safetensors" for name in ("untrained", "best", "last", "state")),
    }
    lines = metrics(finished.out)
    assert [line["epoch"] for line in lines] == [0, 1, 2, 3, 4]
    assert lines[0]["loss"] is None and lines[0]["validation_accuracy"] < 0.3
    assert lines[-1]["loss"] < lines[1]["loss"]
    assert set(lines[-1]["rates"]) == {"fc1", "fc2"} and all(0 < rate < 1 for rate in lines[-1]["rates"].values())
    accuracies = [line["validation_accuracy"] for line in lines]
    assert finished.validation_accuracy == max(accuracies[1:]) == accuracies[finished.best_epoch]
    result = json.loads((finished.out / "result.json").read_text())
    assert result["test_accuracy"] == finished.test_accuracy
    assert result["dataset"]["sha256"]
    assert load_config(finished.out / "config.yml") == small()


def test_the_reported_accuracy_is_that_of_the_checkpoint(finished: training.TrainResult) -> None:
    network, _ = networks.load(finished.checkpoint)
    test = load("digits").test
    with torch.no_grad():
        right = network.run(torch.from_numpy(test.images)).logits.argmax(1).numpy() == test.labels
    assert right.mean() == finished.test_accuracy


def test_every_weight_obeys_dale(finished: training.TrainResult) -> None:
    for path in (finished.checkpoint, finished.last):
        network, _ = networks.load(path)
        assert not networks.dale.violations(network)
        assert any(bool((layer.bias < 0).any()) for layer in network.modules() if isinstance(layer, networks.EILayer))


def test_the_untrained_network_is_ei_init_alone(finished: training.TrainResult) -> None:
    untrained, _ = networks.load(finished.untrained)
    null = initialise(small())
    assert all(torch.equal(a, b) for a, b in zip(untrained.parameters(), null.parameters(), strict=True))
    other = initialise(small(), seed=99)
    first, second = null.named_layers()["fc1"], other.named_layers()["fc1"]
    assert not torch.equal(first.weight_exc, second.weight_exc)
    # The inputs are the same, so the data-dependent gain of the first layer is too.
    assert torch.equal(first.get_parameter("gain_inh"), second.get_parameter("gain_inh"))


def metrics(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_the_learning_rate_is_applied_per_iteration(finished: training.TrainResult) -> None:
    used = [line["learning_rate"] for line in metrics(finished.out)]
    last = [learning_rate(small().training, 41 * epoch - 1, 41) for epoch in (1, 2, 3, 4)]
    assert used == [None, *last]


@pytest.mark.parametrize(("centred", "clip"), [(False, 0.0), (True, 0.0), (False, 0.2), (True, 0.2)])
@pytest.mark.parametrize(("optimiser", "average"), [("sgd", 0.0), ("adamw", 0.0), ("sgd", 0.25)])
def test_steps_are_those_of_the_textbook(
    tmp_path: Path, optimiser: str, average: float, centred: bool, clip: float
) -> None:
    rate, decay, momentum = 1e-2, 0.1, 0.8
    config = small(
        f"training.optimiser={optimiser}",
        f"training.learning_rate={rate}",
        f"training.weight_decay={decay}",
        f"training.momentum={momentum}",
        f"training.centre_gradients={str(centred).lower()}",
        f"training.average={average}",
        f"training.clip={clip}",
        "training.batch_size=500",
        "training.epochs=1",
        "training.warmup_epochs=0",
        "training.schedule=constant",
    )
    network = initialise(config)
    train, _ = split_validation(load("digits").train, 0.1, config.seed)
    order = epoch_order(len(train), config.seed, 1)
    memory = {name: [torch.zeros_like(p), torch.zeros_like(p)] for name, p in network.named_parameters()}
    averaged = {name: p.detach().clone() for name, p in network.named_parameters()}
    for step, index in enumerate((order[:500], order[500:1000], order[1000:]), 1):
        network.zero_grad()
        logits = network.run(torch.from_numpy(train.images[index])).logits
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(train.labels[index])).backward()
        with torch.no_grad():
            for name, p in network.named_parameters():
                assert p.grad is not None
                if centred and ".weight_" in name:
                    p.grad = p.grad - p.grad.mean(1, keepdim=True)
            length = sum(float(p.grad.square().sum()) for p in network.parameters() if p.grad is not None) ** 0.5
            assert length > 1.5 * clip  # so that clip does something
            for name, p in network.named_parameters():
                assert p.grad is not None
                p.grad = p.grad * clip / length if clip else p.grad
                first, second = memory[name]
                if optimiser == "sgd":
                    first.mul_(momentum).add_(p.grad + decay * p)
                    p -= rate * first
                else:
                    first.mul_(0.9).add_(0.1 * p.grad)
                    second.mul_(0.999).add_(0.001 * p.grad.square())
                    p -= rate * decay * p
                    p -= rate * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
                if not name.endswith("bias"):
                    p.clamp_(min=0)
                share = {0.0: 0.0, 0.25: (2 / 11, 3 / 12, 0.25)[step - 1]}[average]
                averaged[name] = share * averaged[name] + (1 - share) * p
    trained, _ = networks.load(fit(config, tmp_path / "t").last)
    for name, ours in trained.named_parameters():
        torch.testing.assert_close(ours, averaged[name], rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("layer_type", ["ei", "bn"])
def test_an_average_of_the_weights_is_kept_and_does_not_disturb_the_training(tmp_path: Path, layer_type: str) -> None:
    runs = {
        decay: fit(
            small(f"network.layer={layer_type}", f"training.average={decay}", "training.epochs=2"),
            tmp_path / str(decay),
        )
        for decay in (0.0, 0.9)
    }
    plain, averaged = (load_file(run.out / "state.safetensors") for run in runs.values())
    assert {name for name in averaged if name.startswith("average.")} == {
        name.replace("network.", "average.", 1) for name in plain if name.startswith("network.")
    }
    assert all(torch.equal(averaged[name], values) for name, values in plain.items())
    lines = [metrics(run.out) for run in runs.values()]
    for key in ("loss", "train_accuracy"):
        assert [line[key] for line in lines[0]] == [line[key] for line in lines[1]]
    assert [line["validation_loss"] for line in lines[0][1:]] != [line["validation_loss"] for line in lines[1][1:]]
    kept = load_file(runs[0.9].last)
    assert all(torch.equal(values, averaged[f"average.{name}"]) for name, values in kept.items())
    # The buffers of batch normalisation are averaged, but for its counters, which are not real.
    assert all(torch.equal(v, plain[f"network.{n}"]) == (not v.is_floating_point()) for n, v in kept.items())
    network, _ = networks.load(runs[0.9].checkpoint)
    assert not dale.violations(network)
    test = load("digits").test
    assert evaluate(network, test, batch_size=100).accuracy == runs[0.9].test_accuracy


@pytest.mark.parametrize("more", [["network.layer=ei"], ["network.layer=none", "network.neuron.model=stl"]])
def test_centred_are_weights_and_nothing_else_until_the_handle_is_removed(more: list[str]) -> None:
    """Also of convolutions; a threshold per neuron of a map has three axes and is no weight."""
    network = build_network(load_config(None, ["network.architecture=cnn", *more]), (1, 8, 8), 10)
    optimiser = torch.optim.SGD(network.parameters(), lr=1.0)
    handle = centre_gradients(optimiser, network)
    generator = torch.Generator().manual_seed(1)
    given = {name: torch.randn(p.shape, generator=generator) for name, p in network.named_parameters()}

    def after_a_step() -> dict[str, torch.Tensor]:
        for name, p in network.named_parameters():
            p.grad = given[name].clone()
        optimiser.step()
        return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}

    found = after_a_step()
    centred = {name for name in given if not torch.equal(found[name], given[name])}
    assert centred == {name for name in given if ".weight" in name}
    assert {given[name].ndim for name in centred} == {2, 4}
    for name in centred:
        rows = given[name].flatten(1)
        torch.testing.assert_close(found[name].flatten(1), rows - rows.mean(1, keepdim=True))
    handle.remove()
    assert all(torch.equal(gradient, given[name]) for name, gradient in after_a_step().items())


def test_a_short_gradient_is_not_clipped_and_a_long_one_keeps_its_direction() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.0)
    handle = clip_gradient(optimiser, 2.0)
    given = torch.randn(sum(p.numel() for p in network.parameters()), generator=torch.Generator().manual_seed(1))

    def after_a_step(length: float) -> torch.Tensor:
        torch.nn.utils.vector_to_parameters(given * length / given.norm(), network.parameters())
        for p in network.parameters():
            p.grad = p.detach().clone()
        optimiser.step()
        return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])

    for length in (0.1, 1.99, 2.01, 100.0):
        wanted = given * min(length, 2.0) / given.norm()
        torch.testing.assert_close(after_a_step(length), wanted, rtol=1e-5, atol=0)
    handle.remove()
    torch.testing.assert_close(after_a_step(9.0).norm(), torch.tensor(9.0))


class Killed(Exception):
    pass


needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")


@pytest.mark.parametrize("kind", ["sgd", "adamw", "averaged", pytest.param("compiled", marks=needs_compiler)])
def test_a_killed_run_resumes_bit_for_bit(tmp_path: Path, finished: training.TrainResult, kind: str) -> None:
    changes = {
        "sgd": [],
        "adamw": ["training.optimiser=adamw", "training.learning_rate=2e-3", "training.epochs=2"],
        "averaged": ["training.average=0.98", "training.epochs=2"],
        "compiled": ["training.backend=compiled", "training.epochs=2"],
    }
    config = small(*changes[kind])
    whole = finished if kind == "sgd" else fit(config, tmp_path / "whole")
    out = tmp_path / "killed"
    stops = iter([60, 150] if kind == "sgd" else [20, 60])  # of 164 or 82 iterations

    def kill_at(step: int) -> running.Progress:
        def progress(done: int, total: int, message: str) -> None:
            if done == step:
                raise Killed

        return progress

    with pytest.raises(Killed):
        fit(config, out, progress=kill_at(next(stops)))
    with pytest.raises(Killed):
        fit(config, out, progress=kill_at(next(stops)), resume=True)
    assert not (out / "result.json").exists()
    resumed = fit(config, out, resume=True)
    for name in ("untrained", "best", "last"):
        assert (out / f"{name}.safetensors").read_bytes() == (whole.out / f"{name}.safetensors").read_bytes(), name
    a, b = load_file(whole.out / "state.safetensors"), load_file(out / "state.safetensors")
    assert set(a) == set(b) and any(name.startswith("optimiser.") for name in a)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert resumed.test_accuracy == whole.test_accuracy
    both = [[{k: v for k, v in line.items() if k != "seconds"} for line in metrics(run)] for run in (whole.out, out)]
    assert both[0] == both[1]
    # A finished run is not trained again.
    again = fit(config, out, resume=True, progress=kill_at(1))
    assert again == resumed


def test_another_seed_is_another_run(tmp_path: Path, finished: training.TrainResult) -> None:
    other = fit(small("seed=2", "training.epochs=2"), tmp_path / "b")
    a, b = load_file(finished.untrained), load_file(other.untrained)
    assert not torch.equal(a["layers.fc1.weight_exc"], b["layers.fc1.weight_exc"])


def test_the_test_split_is_read_once_and_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []

    def watched(config: Config) -> DataBundle:
        data = open_dataset(config)
        read = data.read_test
        data.read_test = lambda: events.append("test") or read()  # type: ignore[func-returns-value]
        return data

    monkeypatch.setattr(loop, "open_dataset", watched)
    fit(
        small("training.epochs=2"),
        tmp_path / "c",
        progress=lambda done, total, message: events.append(f"{done}/{total}"),
    )
    assert events.count("test") == 1
    assert events[-2:] == ["test", "82/82"]
    assert events[:-2] == [f"{k}/82" for k in range(1, 83)]


def test_learning_rate_rises_and_falls() -> None:
    part = TrainingConfig(epochs=5, warmup_epochs=2, learning_rate=0.1, warmup_from=0.01)
    rates = [learning_rate(part, i, 10) for i in range(50)]
    assert rates[0] == 0.01 and rates[20] == 0.1
    assert rates[10] == pytest.approx(0.055)
    assert rates[35] == pytest.approx(0.05)
    assert np.all(np.diff(rates[:21]) > 0) and np.all(np.diff(rates[20:]) < 0)
    assert rates[-1] == pytest.approx(0.05 * (1 + math.cos(math.pi * 29 / 30)))
    constant = TrainingConfig(epochs=5, warmup_epochs=0, schedule="constant", learning_rate=0.1)
    assert {learning_rate(constant, i, 10) for i in range(50)} == {0.1}


def test_order_is_a_permutation_that_changes_with_epoch_and_seed() -> None:
    orders = [epoch_order(50, seed, epoch) for seed, epoch in ((1, 1), (1, 2), (2, 1), (1, 1))]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert np.array_equal(orders[0], orders[3])
    assert not np.array_equal(orders[0], orders[1]) and not np.array_equal(orders[0], orders[2])


def test_evaluation_counts_rightly(finished: training.TrainResult) -> None:
    network, _ = networks.load(finished.checkpoint)
    test = load("digits").test
    a, b = (evaluate(network, test, batch_size=size) for size in (359, 50))
    assert a.accuracy == b.accuracy and a.rates == pytest.approx(b.rates)
    assert a.loss == pytest.approx(b.loss, rel=1e-5)
    spikes = network.run(torch.from_numpy(test.images), record={"fc2/E": frozenset({"spikes"})}).signals
    rate = spikes["fc2/E"]["spikes"].mean().item()
    assert a.rates["fc2"] == pytest.approx(rate, rel=1e-5)
    silent = (spikes["fc2/E"]["spikes"].sum((0, 1)) == 0).float().mean().item()
    assert a.silent["fc2"] == pytest.approx(silent)


def test_places_are_protected(tmp_path: Path, finished: training.TrainResult) -> None:
    before = finished.checkpoint.read_bytes()
    with pytest.raises(OutputExistsError, match="not empty.*overwrite=True"):
        fit(small(), finished.out)
    with pytest.raises(ConfigError, match="network.steps was 3, is 5"):
        fit(small("network.steps=5"), finished.out, resume=True)
    assert finished.checkpoint.read_bytes() == before
    with pytest.raises(TrainingError, match="no training was begun"):
        fit(small(), tmp_path / "nothing", resume=True)
    assert not (tmp_path / "nothing").exists()
    with refusing(UnknownNameError, what="'digits'?"):
        fit(small("dataset.name=digitz"), tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("name", ["untrained", "best", "last", "state"])
def test_a_finished_run_with_a_damaged_file_is_not_called_finished(tmp_path: Path, name: str) -> None:
    quick = small("training.epochs=1", "training.warmup_epochs=0", "network.hidden=[8]")
    fit(quick, tmp_path / "o")
    with pytest.raises(ConfigError, match="exclude each other"):
        fit(quick, tmp_path / "o", resume=True, overwrite=True)
    file = tmp_path / "o" / f"{name}.safetensors"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match=f"{name}.safetensors.*damaged"):
        fit(quick, tmp_path / "o", resume=True)


def test_overwriting_replaces_the_run(tmp_path: Path) -> None:
    out = tmp_path / "o"
    quick = small("training.epochs=2", "network.hidden=[8]")
    fit(quick, out)
    fit(small("training.epochs=2", "network.hidden=[9]"), out, overwrite=True)
    assert networks.load(out / "best.safetensors")[1].network.hidden == (9,)
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "mine.txt").write_text("kept")
    with pytest.raises(OutputExistsError, match="did not make"):
        fit(quick, foreign, overwrite=True)
    assert (foreign / "mine.txt").read_text() == "kept"


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    out = tmp_path / "s"
    with pytest.raises(Killed):
        fit(small(), out, progress=lambda *_: (_ for _ in ()).throw(Killed()))
    state = out / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-100])
    with refusing(CheckpointError, where="state.safetensors"):
        fit(small(), out, resume=True)


def test_weights_that_are_not_finite_are_named_though_the_loss_is_finite(tmp_path: Path) -> None:
    """Without stabilisation a convolution over black pixels divides by zero."""
    shape = ["network.architecture=cnn", "network.channels=[8, P]", "network.prop.stabilise=false"]
    with pytest.raises(TrainingError, match=r"'layers.conv1.* is not finite after epoch 1.*stabilise"):
        fit(
            load_config(None, ["dataset.name=digits", "training.epochs=2", "training.warmup_epochs=1", *shape]),
            tmp_path,
        )


def test_divergence_says_when_and_where(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"not finite \(epoch 1, iteration \d+ of 41\).*first not finite: .*lower"):
        fit(small("training.learning_rate=1e38", "training.warmup_epochs=0"), tmp_path / "n")


def test_first_non_finite_looks_in_order() -> None:
    network = initialise(small())
    x = torch.from_numpy(load("digits").train.images[:4])
    assert first_non_finite(network, x) == "only the loss"
    with torch.no_grad():
        network.named_layers()["fc2"].get_parameter("gain_exc").fill_(3e38)
    assert first_non_finite(network, x) == "signal gain of fc2/E"
    with torch.no_grad():
        network.named_layers()["fc2"].weight_exc[0, 0] = torch.nan
    assert first_non_finite(network, x) == "parameter fc2.weight_exc"


def test_dead_and_saturated_layers() -> None:
    fine = (0, {"fc1": 0.2, "fc2": 0.3})
    assert check_rates([fine]) == []
    assert check_rates([fine, (1, {"fc1": 0.2, "fc2": 0.0})]) == [
        "fc2 is nearly silent since epoch 1 (0 spikes per step)"
    ]
    with pytest.raises(
        TrainingError, match="fc2: the layer is silent .* since epoch 1.*lower network.neuron.threshold"
    ):
        check_rates([fine, (1, {"fc1": 0.2, "fc2": 0.0}), (2, {"fc1": 0.2, "fc2": 0.0})])
    low = [(k, {"fc1": 5e-4}) for k in range(5)]
    assert check_rates(low) == ["fc1 is nearly silent since epoch 0 (0.0005 spikes per step)"]
    high = [(0, {"fc1": 0.5}), (1, {"fc1": 0.97}), (2, {"fc1": 1.0})]
    assert check_rates(high) == ["fc1 is nearly saturated since epoch 1 (1 spikes per step)"]
    with pytest.raises(TrainingError, match="saturated .* since epoch 2.*raise network.neuron.threshold"):
        check_rates([*high, (3, {"fc1": 1.0})])


def test_a_layer_that_dies_stops_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = initialise

    def killing(config: Config, seed: int | None = None, *, data: DataBundle | None = None) -> networks.Network:
        network = real(config, seed, data=data)
        with torch.no_grad():
            network.named_layers()["fc2"].get_parameter("bias").fill_(-1e6)
        return network

    monkeypatch.setattr(running, "initialise", killing)
    with pytest.raises(TrainingError, match="fc2: the layer is silent on every validation image since epoch 0"):
        fit(small(), tmp_path / "dead")


def test_no_hidden_fallback_to_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="no CUDA device"):
        fit(small("training.device=cuda"), tmp_path / "g")


def test_global_settings_are_restored(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    seen = []
    config = small(
        "training.epochs=1", "training.warmup_epochs=0", "network.hidden=[8]", f"training.threads={before + 1}"
    )
    result = fit(config, tmp_path / "r", progress=lambda *_: seen.append(torch.get_num_threads()))
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before
    assert not torch.are_deterministic_algorithms_enabled()
    assert json.loads((result.out / "result.json").read_text())["software"]["threads"] == before + 1
