"""MLP-4, VGG-8 and ResNet-18 against numbers of the paper's public implementation.

``deepeisnn_deep.json`` says how its numbers were made.  Weights, images and labels are not
stored: both sides compute them from the formula in ``formula.py``.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eiplatform.config import load_config
from eiplatform.networks import Network, build_network
from eiplatform.networks.weights import ei_init_scales, input_moments
from tests.reference.formula import fill, numbers, pictures

CASES = json.loads((Path(__file__).parent / "deepeisnn_deep.json").read_text(encoding="utf-8"))["cases"]
SHAPES = {"mlp4": (3, 16, 16), "vgg8": (3, 32, 32), "resnet18": (3, 16, 16)}


def prepare(case: dict[str, Any], dtype: torch.dtype) -> tuple[Network, Tensor]:
    architecture = case["architecture"]
    config = load_config(
        None, [f"network.architecture={architecture.replace('mlp4', 'mlp')}", f"network.steps={case['steps']}"]
    )
    shape = SHAPES[architecture]
    network = build_network(config, shape, 10).double()
    fill(network)
    return network.to(dtype), torch.tensor(pictures(case["batch"], shape[-1], case["salt"]), dtype=dtype)


def gradients(case: dict[str, Any], dtype: torch.dtype) -> tuple[float, np.ndarray, dict[str, np.ndarray]]:
    """Loss, logits and gradients, in float64 whatever they were computed in."""
    network, x = prepare(case, dtype)
    output = network.run(x)
    loss = nn.functional.cross_entropy(output.logits, torch.arange(case["batch"]) * 3)
    loss.backward()
    found = {}
    for name, parameter in network.layers.named_parameters():
        assert parameter.grad is not None
        found[name] = parameter.grad.double().numpy()
    return loss.item(), output.logits.detach().double().numpy(), found


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("name", sorted(CASES))
def test_logits_and_every_gradient_in_double_precision(name: str) -> None:
    case = CASES[name]
    loss, logits, found = gradients(case, torch.float64)
    largest = np.abs(case["logits"]).max()
    assert largest > 1
    assert loss == pytest.approx(case["loss"], rel=1e-10)
    np.testing.assert_allclose(logits, case["logits"], rtol=1e-10, atol=1e-10 * largest)
    assert set(found) == set(case["gradients"])
    for parameter, golden in case["gradients"].items():
        g = found[parameter]
        three = [np.linalg.norm(g), (g * numbers(g.shape, 700)).sum(), (g * numbers(g.shape, 701)).sum()]
        assert golden[0] > 1e-6
        np.testing.assert_allclose(three, golden, rtol=1e-10, atol=1e-10 * golden[0], err_msg=parameter)


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("name", sorted(name for name in CASES if name.endswith("-apart")))
def test_logits_and_every_gradient_in_single_precision(name: str) -> None:
    # Double precision, which the test above compares with the public numbers, stands for them here:
    # so every element is compared, and not three numbers a parameter.
    case = CASES[name]
    loss, logits, found = gradients(case, torch.float32)
    exact = gradients(case, torch.float64)[2]
    assert loss == pytest.approx(case["loss"], rel=1e-4)
    np.testing.assert_allclose(logits, case["logits"], rtol=1e-4, atol=1e-4 * np.abs(case["logits"]).max())
    for parameter, g in exact.items():
        deviation = np.abs(found[parameter] - g).max() / np.abs(g).max()
        assert deviation < 1e-4, parameter
        assert np.linalg.norm(found[parameter] - g) < 1e-4 * np.linalg.norm(g), parameter


@pytest.mark.parametrize("name", ["vgg8", "resnet18"])
def test_the_cases_are_not_trivial(name: str) -> None:
    network, x = prepare(CASES[name], torch.float64)
    wanted = frozenset({"spikes", "inhibition_div"})
    record = {p: wanted for p, info in network.populations().items() if wanted <= set(info.signals)}
    with torch.no_grad():
        signals = network.run(x, record=record).signals
    assert all(0.2 < s["spikes"].mean() < 0.8 for s in signals.values())
    replaced = [s["inhibition_div"].flatten(2) == 0 for s in signals.values()]
    assert sum(bool((zero.any(-1) & ~zero.all(-1)).any()) for zero in replaced) >= 3, "stabilisation must be at work"


@pytest.mark.parametrize("name", ["mlp4", "vgg8", "resnet18"])
def test_initialisation_of_every_layer(name: str) -> None:
    network, x = prepare(CASES[name], torch.float64)
    found: list[tuple[float, float]] = []
    largest = 0.0

    def measure(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        nonlocal largest
        largest = max(largest, args[0].max().item())
        found.append(ei_init_scales(input_moments(args[0], kwargs.get("steps")), layer.transform.fan_in))

    for layer in network.named_layers().values():
        layer.register_forward_pre_hook(measure, with_kwargs=True)
    with torch.no_grad():
        network.run(x)
    scales, gains = np.array(found).T
    golden_scales, golden_gains = np.array(CASES[name]["init"]).T
    np.testing.assert_allclose(scales, golden_scales, rtol=1e-10)
    np.testing.assert_allclose(gains, golden_gains, rtol=1e-6)
    assert (largest > 1) == (name == "resnet18"), "sums of spikes enter as they are"
