"""Training beyond the plain loop: gradient accumulation, bf16, sequences, batch normalisation, TensorBoard."""

import json
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eiplatform import networks
from eiplatform.cli import main
from eiplatform.config import Config, config_hash, load_config
from eiplatform.datasets import DataBundle, DataInfo, Split, load
from eiplatform.errors import ConfigError, DeviceError, MissingDependencyError, TrainingError
from eiplatform.networks.diagnosis import check_rates, first_non_finite
from eiplatform.networks.kernels import backend, compiled
from eiplatform.training import describe, evaluate, fit, initialise, loop, losses

SMALL = [
    "network.hidden=[32, 24]",
    "network.steps=3",
    "training.epochs=2",
    "training.warmup_epochs=1",
    "training.batch_size=48",
    "training.learning_rate=2e-2",
    "training.threads=1",
]


def small(*overrides: str) -> Config:
    return load_config(None, [*SMALL, *overrides])


def weights(path: Path) -> dict[str, torch.Tensor]:
    return networks.load(path)[0].state_dict()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return fit(small(), tmp_path_factory.mktemp("plain") / "a")


def batch_gradients(config: Config, monkeypatch: pytest.MonkeyPatch, out: Path) -> list[torch.Tensor]:
    """Return what the optimiser sees in the first step of a run."""
    seen: list[torch.Tensor] = []

    class Stop(Exception):
        pass

    def step(self: torch.optim.Optimizer, *_: Any) -> None:
        seen.extend(p.grad.clone() for group in self.param_groups for p in group["params"])
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.SGD, "step", step)
        with pytest.raises(Stop):
            fit(config, out)
    return seen


def test_parts_of_a_batch_give_the_gradient_of_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("training.label_smoothing=0.1", "dataset.augment=[crop, cutout]", "dataset.crop_padding=1")
    whole = batch_gradients(small(*options), monkeypatch, tmp_path / "a")
    parts = batch_gradients(small(*options, "training.accumulate=5"), monkeypatch, tmp_path / "b")
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6 * float(a.abs().max()) + 1e-9)
    other = batch_gradients(small(*options[1:]), monkeypatch, tmp_path / "c")
    assert not torch.allclose(whole[0], other[0], rtol=1e-3)  # smoothing matters
    other = batch_gradients(small(options[0]), monkeypatch, tmp_path / "d")
    assert not torch.allclose(whole[0], other[0], rtol=1e-3)  # augmentation matters


def test_accumulation_trains_alike(tmp_path: Path) -> None:
    few = ("training.batch_size=321", "training.epochs=1", "training.warmup_epochs=0")
    whole = fit(small(*few), tmp_path / "a")
    parts = fit(small(*few, "training.accumulate=7"), tmp_path / "b")
    # The last batch has 10 samples: parts of unequal size must not weigh unequally.
    start, a, b = weights(whole.untrained), weights(whole.last), weights(parts.last)
    for name in a:
        moved = float((a[name] - start[name]).abs().max())
        torch.testing.assert_close(b[name], a[name], rtol=1e-5, atol=1e-3 * moved, msg=name)
    with pytest.raises(ConfigError, match=r"accumulate \(49\) must not exceed batch_size \(48\)"):
        small("training.accumulate=49")


def test_label_smoothing_is_the_textbooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    eps = 0.2
    config = small(f"training.label_smoothing={eps}")
    found = batch_gradients(config, monkeypatch, tmp_path / "a")
    network = initialise(config)
    data = load("digits")
    from eiplatform.datasets import split_validation
    from eiplatform.training import epoch_order

    train, _ = split_validation(data.train, 0.1, config.seed)
    index = epoch_order(len(train), config.seed, 1)[:48]
    target = torch.full((48, 10), eps / 10)
    target[torch.arange(48), torch.from_numpy(train.labels[index])] += 1 - eps
    logits = network.run(torch.from_numpy(train.images[index])).logits
    (-(target * logits.log_softmax(1)).sum() / 48).backward()
    for a, p in zip(found, network.parameters(), strict=True):
        torch.testing.assert_close(a, p.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.filterwarnings("ignore::eiplatform.training.machine.SlowPrecisionWarning")  # as the processor has it
def test_bf16_is_opt_in_and_said(tmp_path: Path, plain: Any) -> None:
    seen: list[torch.dtype] = []
    real = losses.functional.cross_entropy

    def watched(logits: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        seen.append(logits.dtype)
        return real(logits, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses.functional, "cross_entropy", watched)
        result = fit(small("training.precision=bf16"), tmp_path / "b")
    assert set(seen) == {torch.float32}  # the loss is never computed in bf16
    a, b = weights(plain.last), weights(result.last)
    assert {tensor.dtype for tensor in b.values()} == {torch.float32}
    assert any(not torch.equal(a[name], b[name]) for name in a)
    assert result.validation_accuracy > plain.validation_accuracy - 0.2
    facts = json.loads((result.out / "result.json").read_text())["software"]
    assert facts["precision"] == "bf16" and facts["processes"] == 1
    assert facts["runs_on"] == "cpu, 1 thread, bf16, eager, 1 process" == describe(small("training.precision=bf16"))
    assert json.loads((plain.out / "result.json").read_text())["software"]["precision"] == "float32"


@pytest.mark.skipif(backend.resolve("auto") == "eager", reason="needs a C++ compiler")
@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_compiled_is_opt_in_said_and_the_same_training(tmp_path: Path, optimiser: str) -> None:
    options = [f"training.optimiser={optimiser}", "training.learning_rate=1e-4", "training.epochs=1"]
    options.append("training.warmup_epochs=0")
    eager = fit(small(*options), tmp_path / "eager")
    found = {}
    for name in ("compiled", "auto"):
        found[name] = fit(small(*options, f"training.backend={name}"), tmp_path / name)
        facts = json.loads((tmp_path / name / "result.json").read_text())["software"]
        assert facts["backend"] == "compiled"
        assert facts["runs_on"] == "cpu, 1 thread, float32, compiled, 1 process"
    assert json.loads((eager.out / "result.json").read_text())["software"]["backend"] == "eager"
    assert backend.current() == "eager"
    a, b, c = (weights(result.last) for result in (eager, found["compiled"], found["auto"]))
    assert all(torch.equal(b[name], c[name]) for name in b)
    start = weights(eager.untrained)
    for name in a:
        # Spikes are discrete: now and then one differs, and all that follows from it.
        moved = (a[name] - start[name]).norm()
        assert moved > 0
        assert (a[name] - b[name]).norm() < 0.02 * moved, name


def test_a_missing_compiler_is_an_error_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    compiled.library.cache_clear()
    with pytest.raises(DeviceError, match="no-such-compiler"):
        fit(small("training.backend=compiled"), tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert describe(small("training.backend=auto")) == "cpu, 1 thread, float32, eager, 1 process"
    compiled.library.cache_clear()
    with pytest.raises(ConfigError, match=r"compiled backend is for device cpu"):
        small("training.backend=compiled", "training.device=cuda")


def test_augmented_runs_resume_bit_for_bit(tmp_path: Path) -> None:
    more = ["training.accumulate=2", "training.centre_gradients=true"]
    config = small("dataset.augment=[crop, flip, cutout]", "dataset.cutout_size=2", *more)
    whole = fit(config, tmp_path / "a")

    def kill(done: int, total: int, message: str) -> None:
        if done == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(config, tmp_path / "b", progress=kill)
    again = fit(config, tmp_path / "b", resume=True)
    for name in ("best", "last"):
        assert (whole.out / f"{name}.safetensors").read_bytes() == (again.out / f"{name}.safetensors").read_bytes()


def blobs(n: int, steps: int, first_id: int, seed: int) -> Split:
    """Return event frames of two classes that differ in where events happen."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    frames = rng.poisson(1.0, (n, steps, 2, 6, 6))
    frames[labels == 1, :, :, :3] += rng.poisson(4.0, (n // 2, steps, 2, 3, 6))
    return Split(frames.clip(0, 16).astype(np.uint8), labels, np.arange(first_id, first_id + n), 16, sequence=True)


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> None:
    info = DataInfo("blobs", "", "", "", "", (2, 6, 6), 2)

    def opened(config: Config) -> DataBundle:
        steps = config.network.steps
        return DataBundle(blobs(120, steps, 0, 1), info, lambda: blobs(40, steps, 120, 2))

    monkeypatch.setattr(loop, "open_dataset", opened)


@pytest.mark.parametrize(
    "network", [["network.hidden=[16]"], ["network.architecture=cnn", "network.channels=[4, P, 8]"]]
)
def test_sequences_train(events: None, tmp_path: Path, network: list[str]) -> None:
    options = ["training.epochs=4", "training.batch_size=16", "dataset.augment=[flip]", "network.steps=5"]
    base = [o for o in SMALL if not o.startswith("network.hidden")]
    result = fit(load_config(None, [*base, *options, *network]), tmp_path / "s")
    assert result.test_accuracy > 0.9


def test_convolutional_layers_are_diagnosed_by_name(tmp_path: Path) -> None:
    config = load_config(None, ["network.architecture=cnn", "network.channels=[4, P, 8, P]", "network.steps=2"])
    network = initialise(config)
    data = load("digits").train.take(np.arange(40))
    found = evaluate(network, data)
    assert list(found.rates) == list(found.silent) == ["conv1", "conv2"]
    assert check_rates([(0, found.rates), (1, found.rates | {"conv2": 0.0})])[0].startswith("conv2 is nearly silent")
    with pytest.raises(TrainingError, match="conv2: the layer is silent"):
        check_rates([(k, found.rates | {"conv2": 0.0}) for k in range(3)])
    with torch.no_grad():
        network.named_layers()["conv2"].get_parameter("gain_exc").fill_(3e38)
    assert first_non_finite(network, torch.from_numpy(data.images)) == "signal gain of conv2/E"


def test_batch_normalised_twin_is_evaluated_as_it_will_be_used(tmp_path: Path) -> None:
    config = small("network.layer=bn", "training.learning_rate=0.05")
    result = fit(config, tmp_path / "bn")
    network, _ = networks.load(result.checkpoint)
    test = load("digits").test
    assert evaluate(network.eval(), test).accuracy == result.test_accuracy
    alone = [evaluate(network, test.take(np.array([k]))).accuracy for k in range(60)]
    assert np.mean(alone) == evaluate(network, test.take(np.arange(60))).accuracy
    assert result.test_accuracy > 0.5


def test_evaluation_keeps_no_layers_spikes() -> None:
    config = small()
    network = initialise(config)
    alive: list[weakref.ref[torch.Tensor]] = []
    most = 0

    def watch(module: torch.nn.Module, args: Any, output: Any) -> None:
        nonlocal most
        alive.append(weakref.ref(output[1]))
        most = max(most, sum(ref() is not None for ref in alive))

    for layer in network.named_layers().values():
        if layer.spiking:
            layer.register_forward_hook(watch)
    split = load("digits").test
    evaluate(network, split, batch_size=30)
    assert len(alive) == 24
    assert most <= 2  # a layer's own and the one before it, never those of earlier batches
    assert network.training
    with torch.no_grad():
        record = {name: frozenset({"spikes"}) for name in ("fc1/E", "fc2/E")}
        signals = network.run(torch.from_numpy(split.images), record=record).signals
    found = evaluate(network, split, batch_size=30)
    for name in ("fc1", "fc2"):
        assert found.rates[name] == pytest.approx(signals[f"{name}/E"]["spikes"].double().mean().item(), rel=1e-9)


def test_tensorboard_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: Any) -> None:
    config = small("training.tensorboard=true")
    assert config_hash(config) == config_hash(small())
    with monkeypatch.context() as patch:
        patch.setattr(loop.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(MissingDependencyError, match=r"eiplatform\[track\]"):
            fit(config, tmp_path / "none")
    assert not (tmp_path / "none").exists()
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = fit(config, tmp_path / "t")
    read = EventAccumulator(str(result.out / "tensorboard")).Reload()
    lines = [json.loads(line) for line in (result.out / "metrics.jsonl").read_text().splitlines()]
    for key in ("validation_loss", "rates/fc2"):
        name, _, layer = key.partition("/")
        expected = [line[name][layer] if layer else line[name] for line in lines]
        assert [event.step for event in read.Scalars(key)] == [0, 1, 2]
        np.testing.assert_allclose([event.value for event in read.Scalars(key)], expected, rtol=1e-6)


def test_the_command_line_says_what_it_computes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    arguments = ["train", "--out", str(tmp_path / "o"), "--set", *SMALL, "network.hidden=[8]"]
    assert main([*arguments, "--data-root", str(tmp_path / "data")]) == 0
    assert capsys.readouterr().out.startswith("computing on cpu, 1 thread, float32, eager, 1 process\n")
    assert load_config(tmp_path / "o" / "config.yml").dataset.root == str(tmp_path / "data")
    monkeypatch.setitem(sys.modules, "pooch", None)
    other = ["train", "--out", str(tmp_path / "p"), "--set", *SMALL, "dataset.name=cifar10"]
    assert main([*other, "--data-root", str(tmp_path)]) == 2
    assert "--download" in capsys.readouterr().err
    assert main([*other, "--data-root", str(tmp_path), "--download"]) == 2
    assert "eiplatform[data]" in capsys.readouterr().err
