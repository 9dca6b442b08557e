import math

import pytest
import torch

from eiplatform.errors import ConfigError, UnknownNameError
from eiplatform.networks import SURROGATES, make_surrogate


@pytest.mark.parametrize("name", sorted(SURROGATES))
@pytest.mark.parametrize("alpha", [None, 0.7, 3.0])
def test_derivative_is_the_derivative_of_the_primitive(name: str, alpha: float | None) -> None:
    form = make_surrogate(name, alpha)
    # Off the kinks of the piecewise forms, which lie at 0, 1/alpha and 1/(2 alpha).
    x = torch.linspace(-2.013, 2.017, 61, dtype=torch.float64)
    h = 1e-6
    numeric = (form.primitive(x + h) - form.primitive(x - h)) / (2 * h)
    torch.testing.assert_close(form.derivative(x), numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["sigmoid", "atan", "triangle", "rectangle"])
def test_primitive_is_a_step_from_0_to_1(name: str) -> None:
    form = make_surrogate(name)
    ends = form.primitive(torch.tensor([-1e6, 0.0, 1e6], dtype=torch.float64))
    torch.testing.assert_close(ends, torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64), rtol=0, atol=1e-5)


def test_default_peaks() -> None:
    peaks = {name: make_surrogate(name).derivative(torch.zeros(1)).item() for name in SURROGATES}
    assert peaks == {"sigmoid": 1.0, "atan": 1.0, "fast-sigmoid": 1.0, "triangle": 1.0, "rectangle": 1.0}


def test_spike_is_a_step_with_the_surrogate_gradient() -> None:
    x = torch.tensor([-0.3, 0.0, 0.3], requires_grad=True)
    form = make_surrogate("atan", 3.0)
    spikes = form.spike(x)
    assert spikes.tolist() == [0.0, 1.0, 1.0]
    spikes.backward(torch.tensor([1.0, 2.0, -1.0]))
    torch.testing.assert_close(x.grad, form.derivative(x.detach()) * torch.tensor([1.0, 2.0, -1.0]))


def test_errors_name_the_valid_choices() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'sigmoid'"):
        make_surrogate("sigmoyd")
    for alpha in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ConfigError, match="> 0"):
            make_surrogate("sigmoid", alpha)
