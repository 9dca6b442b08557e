import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from eiplatform.config import Config, config_hash, load_config, parse_config
from eiplatform.errors import ConfigError

ROOT = Path(__file__).parents[2]


def test_defaults_are_the_papers() -> None:
    part = Config().training
    assert (part.optimiser, part.momentum, part.weight_decay, part.learning_rate) == ("sgd", 0.9, 5e-4, 2e-3)
    assert (part.epochs, part.warmup_epochs, part.batch_size, part.warmup_from) == (300, 10, 128, 1e-7)
    assert (Config().network.steps, Config().network.ei_ratio, Config().network.neuron.tau) == (4, 4, 2.0)


def test_shipped_configurations_are_valid() -> None:
    files = sorted((ROOT / "analyses" / "configs").glob("*.yml"))
    assert "digits-mlp.yml" in [file.name for file in files]
    config = load_config(ROOT / "analyses" / "configs" / "digits-mlp.yml", ["seed=7"])
    assert len(config.network.hidden) >= 3
    assert (config.seed, config.network.steps, config.dataset.name) == (7, 4, "digits")


PAPER = {  # arXiv 2509.23253: T, learning rate, warm-up epochs, batch size
    **dict.fromkeys(("cifar10-vgg8", "cifar10-vgg11"), (4, 2e-3, 10, 128)),
    **dict.fromkeys(("cifar10-vgg16", "cifar10-vgg19", "cifar10-resnet18"), (4, 1e-3, 30, 128)),
    **dict.fromkeys(("cifar100-vgg16", "cifar100-vgg19"), (4, 1e-3, 30, 128)),
    **dict.fromkeys(("cifar10-dvs-vgg8", "cifar10-dvs-vgg11"), (10, 1e-3, 10, 32)),
    "dvs-gesture-vgg8": (16, 1e-3, 10, 32),
    "tiny-imagenet-resnet18": (4, 3e-3, 10, 128),
    **dict.fromkeys(("cifar10-vgg16-bn", "cifar10-vgg19-bn", "cifar10-resnet18-bn"), (4, 0.1, 0, 128)),
}


@pytest.mark.parametrize("name", sorted(PAPER))
def test_configurations_are_the_papers_and_can_be_built(name: str) -> None:
    import torch

    from eiplatform.datasets.registry import _registry
    from eiplatform.networks import build_network

    config = load_config(ROOT / "analyses" / "configs" / f"{name}.yml")
    part = config.training
    assert (config.network.steps, part.learning_rate, part.warmup_epochs, part.batch_size) == PAPER[name]
    assert (part.epochs, part.optimiser, part.momentum) == (300, "sgd", 0.9)
    assert part.weight_decay == (1e-4 if name.endswith("-bn") else 5e-4)
    assert config.network.layer == ("bn" if name.endswith("-bn") else "ei")
    assert name.removesuffix("-bn") == f"{config.dataset.name}-{config.network.architecture}"
    entry = _registry()[config.dataset.name]
    with torch.device("meta"):  # shapes alone, no memory
        network = build_network(config, tuple(entry["input_shape"]), entry["n_classes"])
    assert network.n_classes == entry["n_classes"]
    n_layers = int("".join(filter(str.isdigit, config.network.architecture)))
    counted = [layer for layer in network.named_layers() if not layer.endswith("shortcut")]
    # The names count the fully connected layers of the original VGG, of which one is kept here.
    assert len(counted) == {8: 6, 11: 9, 16: 14, 19: 17, 18: 18}[n_layers]


def test_files_and_overrides(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    path.write_text("seed: 3\nnetwork:\n  hidden: [8, 4]\ntraining: {learning_rate: 1e-2}\n")
    config = load_config(path, ["network.neuron.tau=3", "network.hidden=[16]", "seed=4", "seed=5"])
    assert (config.seed, config.network.hidden, config.network.neuron.tau) == (5, (16,), 3.0)
    assert config.training.learning_rate == 0.01
    path.write_text("")
    assert load_config(path) == Config()


def test_a_resolved_configuration_reads_back(tmp_path: Path) -> None:
    config = load_config(None, ["network.hidden=[8]", "dataset.root=/data"])
    path = tmp_path / "c.yml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert load_config(path) == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "network.hiden=[3]",
            "network.hiden: unknown key 'hiden' – did you mean 'hidden'.*valid: architecture, layer",
        ),
        ("trainig.epochs=3", "unknown key 'trainig' – did you mean 'training'.*valid: seed, dataset"),
        ("network.neuron.theshold=3", "network.neuron.theshold: .*did you mean 'threshold'.*valid: tau, threshold"),
        ("network.circuit=bn", "network.circuit: the key 'circuit' is called 'layer' now. write layer"),
        ("network.layer=bnn", "network.layer: unknown type of layer .bnn.*did you mean .bn.*valid: bn, dann, ei"),
        ("network.neuron.surrogate=sigmod", "did you mean 'sigmoid'.*valid: sigmoid, atan"),
        ("network.hidden=[0, 3]", "network.hidden.0: 0 is not possible.*greater than or equal to 1"),
        ("network.hidden=[]", "network.hidden: .*at least 1 item"),
        ("network.hidden=3", "network.hidden: 3 is not possible.*array"),
        ("network.hidden=[1, true]", "network.hidden.1: True"),
        ("network.steps='4'", "network.steps: '4'.*integer"),
        ("network.steps=4.0", "network.steps: 4.0.*integer"),
        ("network.prop.stabilise=1", "network.prop.stabilise: 1 .*boolean"),
        ("training.learning_rate=.nan", "training.learning_rate: nan.*finite"),
        ("training.learning_rate=-1", "training.learning_rate: -1.*greater than 0"),
        ("training.epochs=5", r"training: warmup_epochs \(10\) must be less than epochs \(5\)"),
        ("network=3", "network: 3 stands where keys are needed.*valid: architecture"),
        ("seed.a=3", "'seed' has no keys of its own|seed: .*integer"),
        ("seed", "'seed' is not an override.*valid: key=value"),
        (".seed=3", "not an override"),
        ("network.hidden=[3", "not YAML"),
        ("dataset.root=2020-01-01", None),
    ],
)
def test_bad_values_are_one_clear_line(override: str, message: str | None) -> None:
    if message is None:
        assert load_config(None, [override]).dataset.root == "2020-01-01"
        return
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(None, [override])
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nseed: 2\n", "the key 'seed' occurs twice"),
        ("1: 2\n", "the key 1 is not text"),
        ("- 1\n", "holds no keys"),
        ("a: [\n", "not YAML"),
        ("seed: !!python/object/apply:os.system ['true']\n", "not YAML"),
        ("seed: x\ntraining: {epochs: y}\n", "seed: 'x' is not possible.*1 more mistake follows"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.yml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_config(tmp_path / "none.yml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    (tmp_path / "latin.yml").write_bytes(b"seed: \xff")
    with pytest.raises(ConfigError, match=r"latin\.yml: the file is not UTF-8 text"):
        load_config(tmp_path / "latin.yml")


def test_configurations_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Config().seed = 2  # type: ignore[misc]


def test_hash_covers_what_decides_the_outcome() -> None:
    base = config_hash(Config())
    assert len(base) == 64
    assert config_hash(parse_config(Config().model_dump(mode="json"))) == base
    assert config_hash(load_config(None, ["dataset.root=/elsewhere"])) == base
    for override in ("seed=2", "network.steps=5", "network.prop.straight_through=false", "dataset.validation=0.2"):
        assert config_hash(load_config(None, [override])) != base


def test_importing_the_configuration_is_cheap() -> None:
    code = "import sys, eiplatform.config, eiplatform.datasets; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["False", "False"]
