"""Deep networks of every layer_type through the real writer: sum rules hold, and every neuron has its place."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

import eiplatform
from eiplatform.config import Config, load_config
from eiplatform.datasets import Split
from eiplatform.networks import Network, build_network, initialise_network
from eiplatform.recording.estimate import estimate
from eiplatform.recording.network import record_network
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store import validate
from eiplatform.store.sumrules import sum_rule_residuals

SHAPES = {"vgg8": (3, 32, 32), "resnet18": (3, 8, 8)}


def prepare(architecture: str, layer_type: str) -> tuple[Network, Config, Split]:
    config = load_config(
        None, [f"network.architecture={architecture}", f"network.layer={layer_type}", "network.width=0.1"]
    )
    shape = SHAPES[architecture]
    network = build_network(config, shape, 10)
    rng = np.random.default_rng(0)
    pictures = rng.random((6, *shape), dtype=np.float32)
    pictures[1] = 0
    data = Split(pictures, np.arange(6) % 3, np.arange(6) + 100)
    initialise_network(network, torch.from_numpy(pictures), torch.Generator().manual_seed(1))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0.1, 0.3, generator=torch.Generator().manual_seed(2))
            elif name.endswith("norm.weight"):
                parameter.normal_(0.5, 1, generator=torch.Generator().manual_seed(3))
        for _ in range(20 if layer_type == "bn" else 0):
            network.train()(torch.from_numpy(pictures))
    return network, config, data


def record(network: Network, config: Config, data: Split, path: Path, **spec: object) -> Path:
    chosen = RecordingSpec(**spec)  # type: ignore[arg-type]
    return record_network(network, data, path, chosen, config=config.model_dump(mode="json"), label="deep")


@pytest.mark.parametrize("layer_type", ["ei", "bn", "none"])
@pytest.mark.parametrize("architecture", sorted(SHAPES))
def test_sum_rules_hold_in_what_is_stored(architecture: str, layer_type: str, tmp_path: Path) -> None:
    network, config, data = prepare(architecture, layer_type)
    wanted = {
        "vgg8": ("conv[135]/*", "readout/*"),
        "resnet18": ("stage2_block1_*", "stage4_block2_conv2/*", "readout/*"),
    }
    spec = {"populations": wanted[architecture], "shard_samples": 6, "neurons": 300}
    path = record(network, config, data, tmp_path / "r", **spec)
    assert validate(path).problems == []
    tree = eiplatform.open(path)
    stored_names = {node.path.lstrip("/") for node in tree.leaves}
    assert len(stored_names) == (2 if layer_type == "ei" else 1) * (4 if architecture == "vgg8" else 5)
    for name in stored_names:
        info = network.populations()[name]
        stored = tree[name].to_dataset().load()
        rules = {"net", "drive", "voltage", "threshold"} if "spikes" in info.signals else {"net"}
        if layer_type == "ei":
            rules |= {"gain"} if "gain" in info.signals else set()
        residuals = sum_rule_residuals(stored)
        assert set(residuals) == (set() if info.role == "I" else rules)
        assert all(residual < 1e-5 for residual in residuals.values())
        if "spikes" in info.signals and name != "readout/E":
            assert 0 < float(stored["spikes"].mean()) < 1, name
        if layer_type != "ei" and "gain" in info.signals:
            assert float((stored["gain"].max("sample") - stored["gain"].min("sample")).max()) == 0
    with torch.inference_mode():
        shown = network.eval().run(torch.from_numpy(data.images)).logits
    net = tree["readout/E"].ds["current_net"].values
    np.testing.assert_array_equal(torch.from_numpy(net).transpose(0, 1).mean(0).numpy(), shown.numpy())


@pytest.mark.parametrize("neurons", [None, 50])
def test_every_neuron_has_its_place(neurons: int | None, tmp_path: Path) -> None:
    network, config, data = prepare("vgg8", "ei")
    spec = {"populations": ("conv1/E", "conv2/E", "conv2/I", "readout/E"), "neurons": neurons, "shard_samples": 6}
    tree = eiplatform.open(record(network, config, data, tmp_path / "r", **spec))
    asked = {
        "conv2/E": frozenset({"current_exc"}),
        "conv2/I": frozenset({"activity"}),
        "conv1/E": frozenset({"spikes"}),
    }
    with torch.inference_mode():
        signals = network.eval().run(torch.from_numpy(data.images), record=asked).signals
    for name, signal in (("conv2/E", "current_exc"), ("conv2/I", "activity")):
        stored = tree[name].to_dataset().load()
        channel, row, col = (stored[axis].values for axis in ("channel", "row", "col"))
        n_channels, rows, cols = network.populations()[name].shape
        np.testing.assert_array_equal(stored["neuron"], (channel * rows + row) * cols + col)
        assert channel.max() < n_channels
        assert stored.attrs["n_neurons"] == n_channels * rows * cols
        expected = signals[name][signal].numpy()[:, :, channel, row, col].transpose(1, 0, 2)
        np.testing.assert_array_equal(stored[signal].values, expected)
        assert len(stored["neuron"]) == (neurons or stored.attrs["n_neurons"])
    assert "channel" not in tree["readout/E"].ds.coords
    if neurons is None:  # the store alone rebuilds the convolution from the spikes below
        spikes = tree["conv1/E"].to_dataset().load()["spikes"].values.astype(np.float32)
        below = functional.avg_pool2d(torch.from_numpy(spikes.reshape(-1, *network.populations()["conv1/E"].shape)), 2)
        weight = network.get_parameter("layers.conv2.weight_exc").detach()
        rebuilt = functional.conv2d(below, weight, padding=1).flatten(1).numpy()
        exc = tree["conv2/E"].ds["current_exc"].values
        np.testing.assert_allclose(rebuilt.reshape(exc.shape), exc, rtol=1e-4, atol=1e-6)


def test_the_estimate_counts_what_is_written(tmp_path: Path) -> None:
    network, config, data = prepare("resnet18", "bn")
    spec = {"populations": ("stage1_*",), "neurons": 40, "steps": 5, "every": 2}
    expected = estimate(network, data, RecordingSpec(**spec))  # type: ignore[arg-type]
    path = record(network, config, data, tmp_path / "r", **spec)
    written = sum(file.stat().st_size for file in (path / "shards").glob("*.h5"))
    assert abs(expected.bytes - written) < 0.02 * written
    tree = eiplatform.open(path)
    assert tree["stage1_block1_conv1/E"].ds["time"].values.tolist() == [0, 2, 4]
