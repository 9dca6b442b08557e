"""Deep networks of every architecture and layer_type: structure, and what must hold for all of them."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from eiplatform.config import load_config
from eiplatform.errors import ConfigError, EIPlatformError, UnknownNameError
from eiplatform.interventions import Scale
from eiplatform.networks import (
    LIF,
    ConvNet,
    EIBase,
    Network,
    ResNet,
    SignedLayer,
    build_network,
    dale,
    initialise_network,
    load,
    save,
)
from eiplatform.networks.convnet import VGG
from eiplatform.networks.layer import n_inhibitory
from eiplatform.networks.resnet import RESNET

LAYER_TYPES = ("ei", "bn", "none")
SMALL = {
    "mlp": ((1, 6, 6), ["network.hidden=[24, 16]"]),
    "cnn": ((2, 9, 9), ["network.channels=[8, P, 12, P]"]),
    "vgg8": ((3, 32, 32), ["network.width=0.07"]),
    "resnet18": ((1, 8, 8), ["network.width=0.1"]),
    "resnet50": ((1, 8, 8), ["network.width=0.07"]),
}
EVERY = [(architecture, layer_type) for architecture in SMALL for layer_type in LAYER_TYPES]


def images(shape: tuple[int, ...], n: int = 5) -> Tensor:
    x = torch.rand(n, *shape, generator=torch.Generator().manual_seed(3))
    x[0] = 0
    return x


def small(architecture: str, layer_type: str, *overrides: str) -> Network:
    shape, options = SMALL[architecture]
    config = load_config(
        None, [f"network.architecture={architecture}", f"network.layer={layer_type}", *options, *overrides]
    )
    network = build_network(config, shape, 4)
    initialise_network(network, images(shape, 16), torch.Generator().manual_seed(1))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0.1, 0.3, generator=torch.Generator().manual_seed(2))
            elif name.endswith("norm.weight"):
                parameter.normal_(0.5, 1, generator=torch.Generator().manual_seed(5))
    if layer_type == "bn":  # running moments that are near those of the batch, but not equal to them
        network.train()
        with torch.no_grad():
            for _ in range(20):
                network(images(shape, 16) * 0.9)
    return network.eval()


@pytest.mark.parametrize("name", sorted(VGG))
def test_vgg(name: str) -> None:
    network = ConvNet((3, 32, 32), 10, VGG[name])
    n_layers = len(network.named_layers())
    # The usual name counts three fully connected layers; this network has one.
    assert n_layers == int(name.removeprefix("vgg")) - 2
    infos = network.populations()
    assert infos["conv1/E"].shape == (64, 32, 32)
    assert infos[f"conv{n_layers - 1}/E"].shape == (512, 2, 2)
    assert infos[f"conv{n_layers - 1}/I"].shape == (128, 2, 2)
    assert network.named_layers()["readout"].transform.fan_in == 512


@pytest.mark.parametrize(("name", "shortcuts"), [("resnet18", 3), ("resnet34", 3), ("resnet50", 4), ("resnet152", 4)])
def test_resnet(name: str, shortcuts: int) -> None:
    network = ResNet((3, 32, 32), 10, RESNET[name], width=0.125)
    layers = [layer for layer in network.named_layers() if not layer.endswith("shortcut")]
    assert len(layers) == int(name.removeprefix("resnet"))
    assert len(network.named_layers()) - len(layers) == shortcuts
    shapes = {layer: info.shape for layer, info in network.populations().items()}
    wide = 4 if RESNET[name].bottleneck else 1
    for stage, (channels, size) in enumerate([(8, 32), (16, 16), (32, 8), (64, 4)], 1):
        last = "conv3" if wide == 4 else "conv2"
        assert shapes[f"stage{stage}_block1_{last}/E"] == (channels * wide, size, size)
    assert network.named_layers()["readout"].transform.fan_in == 64 * wide


def test_a_block_adds_spikes_to_those_it_sees() -> None:
    network = small("resnet18", "ei")
    seen: dict[str, Tensor] = {}
    for name, layer in network.named_layers().items():
        layer.register_forward_pre_hook(lambda module, args, name=name: seen.__setitem__(name, args[0]))
    record = {name: frozenset({"spikes"}) for name, info in network.populations().items() if "spikes" in info.signals}
    signals = network.run(images((1, 8, 8)), record=record).signals
    for pathway in network.pathways():
        if pathway.name == "input->E" and pathway.source != "input":
            total = sum(signals[source]["spikes"] for source in pathway.source.split(" + "))
            if pathway.layer == "readout":
                assert isinstance(total, Tensor)
                total = total.mean((-2, -1))
            assert torch.equal(seen[pathway.layer], total), pathway.layer
    assert max(values.max() for values in seen.values()) > 1, "sums enter as they are"
    sources = {p.layer: p.source for p in network.pathways() if p.name == "input->E"}
    assert sources["stage1_block2_conv1"] == "stem/E + stage1_block1_conv2/E"
    assert sources["stage2_block1_shortcut"] == sources["stage2_block1_conv1"]
    assert sources["readout"] == "stage4_block1_shortcut/E + stage4_block1_conv2/E + stage4_block2_conv2/E"


@pytest.mark.parametrize(("architecture", "layer_type"), EVERY)
def test_recording_changes_nothing_and_the_input_matters(architecture: str, layer_type: str) -> None:
    network = small(architecture, layer_type)
    x = images(network.input_shape)
    record = {name: frozenset(info.signals) for name, info in network.populations().items()}
    for training in (False, True):
        network.train(training)
        found = []
        for asked in (None, record):
            before = {name: values.clone() for name, values in network.state_dict().items()}
            network.zero_grad()
            output = network.run(x, record=asked)
            nn.functional.cross_entropy(output.logits, torch.arange(5) % 4).backward()
            grads = [p.grad.clone() for p in network.parameters() if p.grad is not None]
            found.append((output, grads, {name: values.clone() for name, values in network.state_dict().items()}))
            network.load_state_dict(before)
        (plain, grads, after), (recorded, recorded_grads, recorded_after) = found
        assert torch.equal(plain.logits, recorded.logits)
        assert all(torch.equal(plain.state[name].membrane, recorded.state[name].membrane) for name in plain.state)
        assert all(torch.equal(a, b) for a, b in zip(grads, recorded_grads, strict=True))
        assert all(torch.equal(after[name], recorded_after[name]) for name in after)
        moved = [name for name in after if not torch.equal(after[name], before[name])]
        assert bool(moved) == (training and layer_type == "bn")
        assert len(grads) == len(list(network.parameters()))
        assert {name: frozenset(signals) for name, signals in recorded.signals.items()} == record
        for name, info in network.populations().items():
            assert all(values.shape == (4, 5, *info.shape) for values in recorded.signals[name].values())
    assert plain.logits.std(0).min() > 0
    network.eval()
    changed = x.clone()
    changed[1] = 1 - x[1]
    logits, other = network(x), network(changed)
    assert not torch.equal(logits[1], other[1])
    torch.testing.assert_close(logits[2:], other[2:])


@pytest.mark.parametrize(("architecture", "layer_type"), EVERY)
def test_static_input_equals_its_repetition(architecture: str, layer_type: str) -> None:
    network = small(architecture, layer_type).double()
    x = images(network.input_shape).double()
    start = {name: values.clone() for name, values in network.state_dict().items()}
    for training in (False, True):
        network.train(training)
        logits, grads, moments = [], [], []
        for values in (x, x.expand(4, *x.shape)):
            network.load_state_dict(start)
            logits.append(network.run(values, 4).logits)
            grads.append(torch.autograd.grad(logits[-1].square().sum(), tuple(network.parameters())))
            moments.append({name: value.clone() for name, value in network.named_buffers()})
        torch.testing.assert_close(logits[0], logits[1], rtol=1e-9, atol=1e-12)
        for a, b in zip(*grads, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8 * float(b.abs().max()))
        for name in moments[0]:
            torch.testing.assert_close(moments[0][name], moments[1][name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("architecture", "layer_type"), [(a, c) for a in ("cnn", "resnet18") for c in LAYER_TYPES])
def test_sequences_and_continued_runs(architecture: str, layer_type: str) -> None:
    network = small(architecture, layer_type)
    moving = torch.rand(6, 5, *network.input_shape, generator=torch.Generator().manual_seed(4))
    whole = network.run(moving)
    first = network.run(moving[:2])
    second = network.run(moving[2:], state=first.state)
    torch.testing.assert_close(whole.logits, (2 * first.logits + 4 * second.logits) / 6)
    for name in whole.state:
        torch.testing.assert_close(whole.state[name].membrane, second.state[name].membrane)
    assert not torch.equal(network.run(moving.flip(0)).logits, whole.logits)


def test_what_is_kept_of_a_recording_is_chosen_layer_by_layer() -> None:
    network = small("cnn", "ei")
    x = images(network.input_shape)
    record = {"conv2/E": frozenset({"drive", "spikes"}), "conv1/I": frozenset({"activity"})}
    whole = network.run(x, record=record).signals
    kept = network.run(
        x, record=record, keep=lambda name, _, values: values[..., 0, 0] if "E" in name else values.sum()
    )
    for signal, values in whole["conv2/E"].items():
        assert torch.equal(kept.signals["conv2/E"][signal], values[..., 0, 0])
    assert torch.equal(kept.signals["conv1/I"]["activity"], whole["conv1/I"]["activity"].sum())


@pytest.mark.parametrize("architecture", ["vgg8", "resnet18"])
def test_dale_projection_covers_convolutions(architecture: str) -> None:
    network = small(architecture, "ei")
    signed = dale.signed_parameters(network)
    assert set(dict(network.named_parameters())) - set(signed) == {
        f"layers.{name}.bias" for name, layer in network.named_layers().items() if layer.spiking
    }
    optimiser = torch.optim.SGD(network.parameters(), lr=50.0)
    dale.attach(optimiser, network)
    nn.functional.cross_entropy(network(images(network.input_shape)), torch.arange(5) % 4).backward()
    optimiser.step()
    assert not dale.violations(network)
    assert any(bool((p == 0).any()) for name, p in signed.items() if "conv" in name and name.endswith("weight_exc"))
    assert not dale.signed_parameters(small(architecture, "bn"))


@pytest.mark.parametrize("architecture", ["vgg8", "resnet18"])
@pytest.mark.parametrize("pathway", ["input->E", "input->I", "I->E subtractive", "I->E divisive"])
def test_lesions_of_convolutional_networks(architecture: str, pathway: str) -> None:
    network = small(architecture, "ei")
    x = images(network.input_shape)
    layer = "conv2" if architecture == "vgg8" else "stage2_block1_conv1"
    signal = {
        "input->E": "current_exc",
        "I->E subtractive": "current_inh",
        "I->E divisive": "inhibition_div",
    }.get(pathway, "current_inh")
    record = {f"{layer}/E": frozenset({signal})}
    intact = network.run(x, record=record)
    with network.intervene(Scale(pathway, 0.75, layers=layer)):
        cut = network.run(x, record=record)
    torch.testing.assert_close(cut.signals[f"{layer}/E"][signal], intact.signals[f"{layer}/E"][signal] * 0.75)
    assert not torch.equal(cut.logits, intact.logits)
    assert torch.equal(network.run(x).logits, intact.logits)


@pytest.mark.parametrize(("architecture", "layer_type"), EVERY)
def test_checkpoints(architecture: str, layer_type: str, tmp_path: Path) -> None:
    network = small(architecture, layer_type)
    _, options = SMALL[architecture]
    config = load_config(
        None, [f"network.architecture={architecture}", f"network.layer={layer_type}", *options, "network.steps=4"]
    )
    read, found = load(save(tmp_path / "x.safetensors", network, config))
    assert found == config
    x = images(network.input_shape)
    assert torch.equal(read.eval()(x), network(x))


def test_a_ratio_may_be_any_positive_number() -> None:
    assert [n_inhibitory(n, ratio) for n, ratio in ((1, 1 / 93), (7, 0.14))] == [93, 50], "lost to rounding"
    assert [n_inhibitory(10, ratio) for ratio in (1, 2.5, 3, 11)] == [10, 4, 3, 1]
    shape, _ = SMALL["cnn"]
    for ratio, sizes in ((2.5, [4, 1]), (0.5, [20, 8]), (1, [10, 4])):
        network = ConvNet(shape, 4, (10, "P"), ei_ratio=ratio)
        assert [layer.n_inh for layer in network.named_layers().values() if isinstance(layer, EIBase)] == sizes
    for ratio in (0, -1, math.inf, math.nan):
        with pytest.raises(ConfigError, match="a ratio > 0"):
            n_inhibitory(10, ratio)


@pytest.mark.parametrize("depth", [2, 4, 8, 16])
@pytest.mark.parametrize("layer_type", LAYER_TYPES)
def test_deep_multilayer_perceptrons(depth: int, layer_type: str) -> None:
    config = load_config(None, [f"network.hidden={[40] * (depth - 1)}", f"network.layer={layer_type}"])
    network = build_network(config, (1, 5, 5), 3)
    x = torch.rand(16, 1, 5, 5, generator=torch.Generator().manual_seed(3))
    initialise_network(network, x, torch.Generator().manual_seed(1))
    assert len(network.named_layers()) == depth
    logits = network(x)
    assert isinstance(logits, Tensor)
    logits.square().sum().backward()
    first = next(network.parameters()).grad
    assert first is not None
    assert bool(first.abs().sum() > 0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ConvNet((3, 28, 28), 10, VGG["vgg8"]), "after conv5.*28x28: maps of 1x1.*at most 4 poolings.*cnn"),
        (lambda: ConvNet((3, 28), 10, VGG["vgg8"]), r"images of shape \(3, 28\)"),
        (lambda: ConvNet((3, 28, 28), 10, ("P",)), "without a convolution"),
        (lambda: ConvNet((3, 28, 28), 10, (4, "M")), "'M' is not a layer"),
        (lambda: ConvNet((3, 28, 28), 10, (4,), width=0), "0 times as wide"),
        (lambda: ConvNet((3, 28, 28), 0, (4,)), "0 classes"),
        (lambda: ResNet((28, 28), 10, RESNET["resnet18"]), "images of shape"),
        (lambda: ConvNet((3, 28, 28), 10, (4,), layer="batchnorm"), "unknown type of layer 'batchnorm'"),
    ],
)
def test_impossible_networks(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(EIPlatformError, match=message):
        build()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["architecture=vgg9"], "'vgg9' is not possible.*vgg8"),
        (["architecture=vgg8", "hidden=[8]"], "hidden does not apply to vgg8"),
        (["channels=[8]"], "channels does not apply to mlp"),
        (["width=0.5"], "width does not apply to mlp"),
        (["ei_ratio=0"], "ei_ratio"),
        (["architecture=cnn", "channels=[8, M]"], "channels"),
    ],
)
def test_impossible_configurations(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, [f"network.{override}" for override in overrides])


@pytest.mark.parametrize(
    ("layer_type", "override"),
    [
        ("bn", "ei_ratio=2"),
        ("none", "prop.stabilise=false"),
        ("none", "initialise=fan-in"),
        ("ei", "readout_bias=true"),
        ("dann", "prop.straight_through=false"),
    ],
)
def test_settings_that_a_type_of_layer_does_not_use(layer_type: str, override: str) -> None:
    model = "relu" if layer_type == "dann" else "lif"
    config = load_config(None, [f"network.{override}", f"network.layer={layer_type}", f"network.neuron.model={model}"])
    with pytest.raises(ConfigError) as raised:
        build_network(config, (1, 8, 8), 10)
    assert raised.value.where == f"network.{override.partition('=')[0]}"


def test_configurations_of_equal_meaning_are_equal() -> None:
    assert load_config(None, ["network.ei_ratio=4.0"]) == load_config(None, ["network.ei_ratio=4"])
    config = load_config(None, ["network.architecture=cnn", "network.channels=[8, P, 16]", "network.ei_ratio=2.5"])
    assert (config.network.channels, config.network.ei_ratio) == ((8, "P", 16), 2.5)


def test_neuron_and_type_reach_every_layer() -> None:
    network = small("resnet18", "bn", "network.neuron.tau=3", "network.neuron.reset=hard")
    for layer in network.named_layers().values():
        if layer.spiking:
            assert isinstance(layer, SignedLayer)
            assert layer.norm is not None
            assert layer.neuron == LIF(tau=3.0, reset="hard")
    info = network.populations()["stem/E"]
    assert (info.decay, info.reset) == (1 - 1 / 3, "hard")
    with pytest.raises(UnknownNameError, match="unknown signal 'inhibition_div'"):
        network.run(images((1, 8, 8)), record={"stem/E": frozenset({"inhibition_div"})})
