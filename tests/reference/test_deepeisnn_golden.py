"""Our network against numbers of the paper's public implementation.

``deepeisnn_golden.json`` says how its numbers were made.  The weights, images and labels are
not stored: both sides compute them from the formula in ``formula.py``.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from eiplatform.networks import LIF, MLP, make_surrogate
from eiplatform.networks.weights import ei_init_scales, input_moments
from tests.reference.formula import fill, numbers

GOLDEN = json.loads((Path(__file__).parent / "deepeisnn_golden.json").read_text(encoding="utf-8"))
N_IN, HIDDEN, N_CLASSES, BATCH, STEPS = 20, (16, 12, 8), 8, 8, 4
NEURONS = {
    "soft": LIF(),
    "hard": LIF(tau=3.0, reset="hard", detach_reset=False, surrogate=make_surrogate("atan")),
}


def images() -> np.ndarray:
    x = numbers((BATCH, N_IN), 900)
    x = np.where(x < 0.4, 0.0, x)
    x[0] = 0.0
    return x


def network(neuron: LIF) -> MLP:
    built = MLP((N_IN,), N_CLASSES, HIDDEN, steps=STEPS, neuron=neuron).double()
    fill(built)
    return built


@pytest.mark.usefixtures("each_backend")
@pytest.mark.parametrize("case", sorted(NEURONS))
def test_logits_and_every_gradient(case: str) -> None:
    golden = GOLDEN["cases"][case]
    net = network(NEURONS[case])
    record = {f"fc{i}/E": frozenset({"spikes", "inhibition_div"}) for i in (1, 2, 3)}
    output = net.run(torch.tensor(images()), record=record)
    for signals in output.signals.values():
        assert 0.2 < signals["spikes"].mean() < 0.8
        zero = signals["inhibition_div"] == 0
        assert bool((zero.any(-1) & ~zero.all(-1)).any()), "stabilisation must be at work"
    loss = torch.nn.functional.cross_entropy(output.logits, torch.arange(BATCH) % N_CLASSES)
    loss.backward()
    assert loss.item() == pytest.approx(golden["loss"], rel=1e-12)
    np.testing.assert_allclose(output.logits.detach().numpy(), golden["logits"], rtol=1e-10, atol=1e-12)
    found = {}
    for name, parameter in net.layers.named_parameters():
        assert parameter.grad is not None
        g = parameter.grad.numpy()
        found[name] = [np.linalg.norm(g), (g * numbers(g.shape, 700)).sum(), (g * numbers(g.shape, 701)).sum()]
    assert set(found) == set(golden["gradients"])
    for name, three in found.items():
        norm = golden["gradients"][name][0]
        assert norm > 1e-4
        np.testing.assert_allclose(three, golden["gradients"][name], rtol=1e-10, atol=1e-10 * norm, err_msg=name)


@pytest.mark.usefixtures("each_backend")
def test_single_precision_is_close() -> None:
    output = network(LIF()).float().run(torch.tensor(images(), dtype=torch.float32))
    np.testing.assert_allclose(output.logits.detach().numpy(), GOLDEN["cases"]["soft"]["logits"], rtol=0, atol=1e-5)


def test_initialisation_scales() -> None:
    still = torch.tensor(images())
    spikes = torch.tensor((numbers((STEPS, BATCH, N_IN), 800) < 0.3).astype(np.float64))
    found = {
        "static": ei_init_scales(input_moments(still, repeats=STEPS), N_IN),
        "spikes": ei_init_scales(input_moments(spikes), N_IN),
    }
    for name, scales in found.items():
        np.testing.assert_allclose(scales, GOLDEN["init"][name], rtol=1e-12, err_msg=name)
