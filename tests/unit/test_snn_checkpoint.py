import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from eiplatform import networks
from eiplatform.config import Config, config_hash, load_config
from eiplatform.errors import ConfigError
from eiplatform.networks import CheckpointError, dale
from eiplatform.networks.checkpoint import tensors_hash

CONFIG = load_config(None, ["network.hidden=[12, 8]", "network.steps=3"])


@pytest.fixture
def network() -> networks.Network:
    network = networks.build_network(CONFIG, (1, 4, 4), 5)
    images = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(1))  # others may leave a layer silent
    networks.initialise_ei(network, images, torch.Generator().manual_seed(1))
    return network


@pytest.fixture
def path(network: networks.Network, tmp_path: Path) -> Path:
    return networks.save(tmp_path / "deep" / "net.safetensors", network, CONFIG, epoch=3)


def meta_of(path: Path) -> dict[str, object]:
    header = path.read_bytes()
    size = int.from_bytes(header[:8], "little")
    found: dict[str, object] = json.loads(json.loads(header[8 : 8 + size])["__metadata__"]["eiplatform"])
    return found


def rewrite(path: Path, change_tensors: object = None, **meta: object) -> None:
    tensors = load_file(path)
    description = meta_of(path) | meta
    if callable(change_tensors):
        change_tensors(tensors)
    description["weights_sha256"] = tensors_hash(tensors)  # as whoever writes such a file would
    save_file(tensors, path, {"eiplatform": json.dumps(description)})


def test_round_trip_is_exact(network: networks.Network, path: Path) -> None:
    loaded, config = networks.load(path)
    assert config == CONFIG
    x = torch.rand(3, 1, 4, 4)
    assert torch.equal(loaded.run(x).logits, network.run(x).logits)
    assert loaded.steps == 3
    assert meta_of(path)["info"] == {"epoch": 3}
    assert [file.name for file in path.parent.iterdir()] == ["net.safetensors"]


def test_same_network_same_bytes(network: networks.Network, path: Path, tmp_path: Path) -> None:
    again = networks.save(tmp_path / "again.safetensors", network, CONFIG, epoch=3)
    assert again.read_bytes() == path.read_bytes()


def test_double_precision_is_kept(network: networks.Network, tmp_path: Path) -> None:
    loaded, _ = networks.load(networks.save(tmp_path / "d.safetensors", network.double(), CONFIG))
    assert {p.dtype for p in loaded.parameters()} == {torch.float64}


def test_a_killed_write_leaves_the_old_file(
    network: networks.Network, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("eiplatform.files.os.fsync", killed)
    with torch.no_grad():
        network.named_layers()["fc1"].weight_exc.mul_(2)
    with pytest.raises(KeyboardInterrupt):
        networks.save(path, network, CONFIG)
    assert path.read_bytes() == before


def test_negative_weights_are_neither_saved_nor_loaded(network: networks.Network, path: Path, tmp_path: Path) -> None:
    rewrite(path, lambda tensors: tensors["layers.fc2.weight_inh_out"][0].fill_(-1e-9))
    with pytest.raises(CheckpointError, match=r"fc2.weight_inh_out' has values that are negative.*Dale"):
        networks.load(path)
    with torch.no_grad():
        network.named_layers()["readout"].weight_exc[0, 0] = -1
    with pytest.raises(CheckpointError, match="readout.weight_exc"):
        networks.save(tmp_path / "bad.safetensors", network, CONFIG)
    assert not (tmp_path / "bad.safetensors").exists()


def test_an_uninitialised_network_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not finite"):
        networks.save(tmp_path / "x.safetensors", networks.build_network(CONFIG, (1, 4, 4), 5), CONFIG)


@pytest.mark.parametrize(
    ("change", "meta", "message"),
    [
        (lambda t: t.pop("layers.fc1.bias"), {}, "'layers.fc1.bias' is missing"),
        (lambda t: t.update(extra=torch.ones(1)), {}, "'extra' does not belong"),
        (lambda t: t.update({"layers.fc1.bias": torch.ones(3)}), {}, r"shape \(3,\).*shape \(12,\)"),
        (lambda t: t.update({"layers.fc1.bias": torch.ones(12, dtype=torch.int32)}), {}, "int32"),
        (lambda t: t.update({"layers.fc1.bias": torch.ones(12, dtype=torch.float64)}), {}, "several dtypes"),
        (lambda t: t.update({"layers.fc1.bias": torch.full((12,), torch.nan)}), {}, "fc1.bias' has values.*not finite"),
        (None, {"format": 99}, r"describes itself as \(99"),
        (None, {"n_classes": None}, "garbled"),
        (None, {"config_hash": "0"}, "does not match its hash"),
    ],
)
def test_damage_is_named(path: Path, change: object, meta: dict[str, object], message: str) -> None:
    rewrite(path, change, **meta)
    with pytest.raises(CheckpointError, match=message):
        networks.load(path)


def test_foreign_configurations_and_files(path: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="checkpoint does not exist"):
        networks.load(tmp_path / "none.safetensors")
    config = Config().model_dump(mode="json") | {"sed": 1}
    rewrite(path, None, config=config)
    with pytest.raises(ConfigError, match="did you mean 'seed'"):
        networks.load(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(CheckpointError, match="damaged"):
        networks.load(path)
    save_file({"a": torch.ones(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="nothing"):
        networks.load(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.AdamW])
def test_dale_projection_after_each_step(network: networks.Network, optimiser: type[torch.optim.Optimizer]) -> None:
    step = optimiser(network.parameters(), lr=1.0)  # type: ignore[call-arg]
    handle = dale.attach(step, network)
    target = torch.arange(8) % 5
    touched = False
    for _ in range(3):
        loss = torch.nn.functional.cross_entropy(network.run(torch.rand(8, 1, 4, 4)).logits, target)
        step.zero_grad()
        loss.backward()
        step.step()
        assert not dale.violations(network)
        touched |= any(bool((p == 0).any()) for p in dale.signed_parameters(network).values())
    assert touched, "the case must push weights against the bound"
    assert any(bool((layer.bias < 0).any()) for layer in network.modules() if isinstance(layer, networks.EILayer))
    handle.remove()
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 10.0)
    step.step()
    assert dale.violations(network), "without the projection the same step breaks the law"


def test_signed_parameters_are_all_but_the_biases(network: networks.Network) -> None:
    names = set(dict(network.named_parameters()))
    assert names - set(dale.signed_parameters(network)) == {"layers.fc1.bias", "layers.fc2.bias"}


def test_a_checkpoint_of_an_earlier_version_without_a_later_field_opens(
    network: networks.Network, path: Path, tmp_path: Path
) -> None:
    from eiplatform.networks.checkpoint import read_tensors, write_tensors

    tensors, meta = read_tensors(path, "network")
    del meta["config"]["training"]["threads"]
    meta["config_hash"] = config_hash(meta["config"])
    write_tensors(tmp_path / "old.safetensors", tensors, meta)
    assert networks.load(tmp_path / "old.safetensors")[1] == CONFIG
    meta["config"]["training"]["epochs"] += 1
    write_tensors(tmp_path / "changed.safetensors", tensors, meta)
    with pytest.raises(networks.CheckpointError, match="does not match its hash"):
        networks.load(tmp_path / "changed.safetensors")
