"""Initialising any network: scales with depth and residual sums, signed weights, several ranks."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed

from eiplatform.errors import TrainingError, UnknownNameError
from eiplatform.networks import MLP, ConvNet, EIBase, EILayer, Network, ResNet, initialise_ei, initialise_network
from eiplatform.networks.convnet import VGG
from eiplatform.networks.resnet import RESNET
from eiplatform.networks.weights import ei_init_scales, input_moments
from tests.ranks import together


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(*shape: int) -> Tensor:
    return torch.rand(shape, generator=generator(7))


def test_every_layer_of_a_residual_network_is_scaled_by_its_own_input() -> None:
    x = pictures(8, 3, 8, 8)
    network = ResNet((3, 8, 8), 10, RESNET["resnet18"], width=0.5)
    initialise_network(network, x, generator())
    seen: dict[str, Tensor] = {}
    for name, layer in network.named_layers().items():
        layer.register_forward_pre_hook(lambda module, args, name=name: seen.__setitem__(name, args[0]))
    network.run(x)
    for name, layer in network.named_layers().items():
        assert isinstance(layer, EIBase)
        moments = input_moments(seen[name], 4 if name == "stem" else None)
        scale, gain = ei_init_scales(moments, layer.transform.fan_in)
        both = torch.cat((layer.weight_exc, layer.weight_inh_in)).detach()
        assert both.mean().item() == pytest.approx(scale, rel=6 / math.sqrt(both.numel()))
        if isinstance(layer, EILayer):
            torch.testing.assert_close(layer.gain_inh, torch.full_like(layer.gain_inh, gain))
    assert seen["stage1_block2_conv1"].max() >= 2
    assert network.named_layers()["stage1_block2_conv1"].transform.fan_in == 32 * 9


@pytest.mark.parametrize("build", ["vgg8", "resnet18"])
def test_e_i_init_keeps_every_depth_alive(build: str) -> None:
    x = pictures(8, 3, 32, 32) if build == "vgg8" else pictures(8, 3, 8, 8)
    shape = tuple(x.shape[1:])
    network: Network = (
        ConvNet(shape, 10, VGG["vgg8"], 0.25) if build == "vgg8" else ResNet(shape, 10, RESNET["resnet18"], 0.25)
    )
    initialise_network(network, x, generator())
    record = {n: frozenset({"spikes", "drive"}) for n, i in network.populations().items() if "spikes" in i.signals}
    for name, signals in network.run(x, record=record).signals.items():
        assert 0.02 < signals["spikes"].mean() < 0.6, name
        assert 0.2 < signals["drive"].std() < 3, name


@pytest.mark.parametrize(("layer_type", "factor"), [("bn", 2.0), ("none", 5.0)])
def test_signed_weights_have_the_variance_of_their_fan_in(layer_type: str, factor: float) -> None:
    network = ConvNet((3, 16, 16), 100, (64, "P", 128, "P"), layer=layer_type)
    assert network.named_layers()["conv2"].get_parameter("weight").isnan().all()
    initialise_network(network, pictures(4, 3, 16, 16), generator())
    for layer in network.named_layers().values():
        weight = layer.get_parameter("weight").detach()
        expected = (factor if layer.spiking else 1.0) / layer.transform.fan_in
        assert weight.var().item() == pytest.approx(expected, rel=0.1)
        assert abs(weight.mean().item()) < 4 * math.sqrt(expected / weight.numel())
    assert all(not p.any() for name, p in network.named_parameters() if name.endswith("bias"))
    first = {name: values.clone() for name, values in network.state_dict().items()}
    network.train()(pictures(4, 3, 16, 16))
    initialise_network(network, pictures(4, 3, 16, 16), generator())
    assert all(torch.equal(values, first[name]) for name, values in network.state_dict().items())


def test_a_plain_network_without_normalisation_is_alive_at_every_depth() -> None:
    x = pictures(16, 6, 6)
    network = MLP((6, 6), 10, (200,) * 8, layer="none")
    initialise_network(network, x, generator())
    record = {f"fc{i}/E": frozenset({"spikes"}) for i in range(1, 9)}
    rates = [s["spikes"].mean().item() for s in network.run(x, record=record).signals.values()]
    assert all(0.1 < rate < 0.5 for rate in rates)


def test_without_e_i_init_the_scales_ignore_the_data() -> None:
    networks = [MLP((30,), 10, (200, 100)) for _ in range(2)]
    for network, factor in zip(networks, (1.0, 0.1), strict=True):
        initialise_network(network, pictures(8, 30) * factor, generator(), "fan-in")
    first, second = (network.state_dict() for network in networks)
    assert all(torch.equal(first[name], second[name]) for name in first)
    layer = networks[0].named_layers()["fc1"]
    assert isinstance(layer, EILayer)
    assert layer.weight_exc.mean().item() == pytest.approx(1 / math.sqrt(30), rel=0.05)
    assert layer.gain_inh.eq(1).all()
    with pytest.raises(UnknownNameError, match="unknown initialisation 'he'"):
        initialise_network(networks[0], pictures(8, 30), generator(), "he")


def test_all_ranks_start_with_the_weights_of_rank_0(tmp_path: Path) -> None:
    def program(rank: int) -> None:
        distributed.init_process_group("gloo")
        try:
            x = pictures(8, 2, 8, 8) * (1 + rank)  # every rank has a batch, and a seed, of its own
            for layer_type in ("ei", "bn"):
                network = ConvNet((2, 8, 8), 3, (8, "P", 8), layer=layer_type)
                initialise_network(network, x, generator(rank), "ei")
                torch.save(network.state_dict(), tmp_path / f"{layer_type}{rank}")
            with pytest.raises(TrainingError) as caught:
                initialise_network(ConvNet((2, 8, 8), 3, (8,)), x * rank, generator())
            (tmp_path / f"error{rank}").write_text(str(caught.value))
        finally:
            distributed.destroy_process_group()

    assert together(tmp_path, program) == [(0, ""), (0, "")]
    for layer_type in ("ei", "bn"):
        alone = ConvNet((2, 8, 8), 3, (8, "P", 8), layer=layer_type)
        (initialise_ei if layer_type == "ei" else initialise_network)(alone, pictures(8, 2, 8, 8), generator(0))
        for rank in range(2):
            found = torch.load(tmp_path / f"{layer_type}{rank}", weights_only=True)
            for name, values in alone.state_dict().items():
                torch.testing.assert_close(found[name], values, rtol=1e-5, atol=0)
        zero, one = (torch.load(tmp_path / f"{layer_type}{rank}", weights_only=True) for rank in range(2))
        assert all(torch.equal(zero[name], one[name]) for name in zero)
    errors = [(tmp_path / f"error{rank}").read_text() for rank in range(2)]
    assert "no input reaches this layer" in errors[0]
    assert "rank 0" in errors[1]
    assert "no input reaches this layer" in errors[1]
