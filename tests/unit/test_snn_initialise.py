"""E-I Init: closed forms, and the moments it promises."""

import math

import pytest
import torch
from torch import Tensor

from eiplatform.errors import TrainingError
from eiplatform.networks import MLP, EILayer, EILinear, initialise_ei
from eiplatform.networks.weights import InputMoments, ei_init_scales, input_moments


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bernoulli(*shape: int, p: float) -> Tensor:
    return (torch.rand(shape, generator=generator(7)) < p).double()


@pytest.mark.parametrize("p", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("d", [9, 576])
def test_bernoulli_closed_forms(p: float, d: int) -> None:
    scale, gain = ei_init_scales(InputMoments(p, p * (1 - p), p), d)
    assert math.isclose(scale, math.sqrt((1 - p) / (d * (2 - p))), rel_tol=1e-12)
    assert math.isclose(gain, math.sqrt((2 - p) / (d * p)), rel_tol=1e-12)


def test_moments_of_a_repeated_image_are_those_of_the_repetition() -> None:
    x = torch.rand(5, 2, 3, 3, generator=generator())
    for repeats in (1, 4, 200):
        assert input_moments(x, repeats) == pytest.approx(input_moments(x.expand(repeats, 5, 2, 3, 3)), rel=1e-13)
    assert input_moments(x, 4).variance == pytest.approx(x.double().repeat(4, 1, 1, 1).var(0).mean().item(), rel=1e-12)


def test_promised_moments() -> None:
    # (i) mean excitation = mean subtractive inhibition; (ii) mean divisive inhibition = std of excitation.
    p, d = 0.2, 400
    x = bernoulli(8, 400, d, p=p)
    network = MLP((d,), 10, (512,)).double()
    initialise_ei(network, x, generator())
    signals = network.run(x, record={"fc1/E": frozenset({"current_exc", "current_inh", "inhibition_div"})}).signals
    exc, inh, div = (signals["fc1/E"][name] for name in ("current_exc", "current_inh", "inhibition_div"))
    scale = math.sqrt((1 - p) / (d * (2 - p)))
    assert exc.mean().item() == pytest.approx(d * p * scale, rel=0.01)
    assert inh.mean().item() == pytest.approx(exc.mean().item(), rel=0.01)
    assert exc.std().item() == pytest.approx(math.sqrt(p * (1 - p)), rel=0.03)
    assert div.mean().item() == pytest.approx(exc.std().item(), rel=0.03)


def test_null_correlation_between_excitation_and_inhibition() -> None:
    # Random exponential weights alone correlate E and I over samples: 1 / sqrt(2 (1 + 1/n_I)).
    x = bernoulli(1, 4000, 300, p=0.3)
    layer = EILinear(300, 200, 50).double()
    initialise_ei(layer, x, generator())
    signals = layer(x, record=frozenset({"E/current_exc", "E/current_inh"}))[2]
    exc, inh = (v[0] - v[0].mean(0) for v in signals.values())
    correlation = ((exc * inh).mean(0) / (exc.square().mean(0) * inh.square().mean(0)).sqrt()).mean().item()
    assert correlation == pytest.approx(1 / math.sqrt(2 * (1 + 1 / 50)), abs=0.01)


def test_every_layer_is_scaled_by_its_own_input() -> None:
    x = torch.rand(64, 3, 4, generator=generator())
    network = MLP((3, 4), 6, (40, 30, 20))
    initialise_ei(network, x, generator())
    seen: dict[str, Tensor] = {}
    for name, layer in network.named_layers().items():
        layer.register_forward_pre_hook(lambda module, args, name=name: seen.__setitem__(name, args[0]))
    network.run(x)
    for name, layer in network.named_layers().items():
        scale, gain = ei_init_scales(input_moments(seen[name], 4 if name == "fc1" else None), layer.transform.fan_in)
        both = torch.cat((layer.weight_exc, layer.weight_inh_in))
        assert both.mean().item() == pytest.approx(scale, rel=0.2)
        assert torch.equal(layer.weight_inh_out, torch.full_like(layer.weight_inh_out, 1 / layer.n_inh))
        if isinstance(layer, EILayer):
            torch.testing.assert_close(layer.gain_inh, torch.full_like(layer.gain_inh, gain))
            assert layer.gain_exc.eq(1).all()
            assert not layer.bias.any()


def test_weights_depend_on_the_seed_only_and_hooks_are_gone() -> None:
    x = torch.rand(16, 8, generator=generator())
    networks = [MLP((8,), 3, (12, 8)) for _ in range(3)]
    for network, seed in zip(networks, (1, 1, 2), strict=True):
        initialise_ei(network, x, generator(seed))
    a, b, c = (network.state_dict() for network in networks)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["layers.fc1.weight_exc"], c["layers.fc1.weight_exc"])
    networks[0](torch.rand(16, 8))
    assert torch.equal(networks[0].state_dict()["layers.fc1.weight_exc"], b["layers.fc1.weight_exc"])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(4, 8), "fc1: no input"),
        (torch.ones(4, 8), "fc1: the input of this layer is constant"),
        (torch.rand(4, 8) - 0.5, "fc1: the input of this layer has negative values"),
        (torch.full((4, 8), torch.nan), "fc1: the input of this layer is not finite"),
    ],
)
def test_impossible_inputs_name_the_layer(x: Tensor, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        initialise_ei(MLP((8,), 3, (12,)), x, generator())


def test_a_layer_behind_a_silent_one_is_named() -> None:
    network = MLP((8,), 3, (12, 12))
    first = network.layers["fc1"]
    assert isinstance(first, EILayer)
    first.neuron = first.neuron._replace(threshold=1e9)
    with pytest.raises(TrainingError, match="fc2: no input reaches this layer"):
        initialise_ei(network, torch.rand(4, 8), generator())
