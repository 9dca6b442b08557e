"""Convolutions: against explicit patches and the fully connected core, and groups against parts."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from eiplatform.errors import ConfigError
from eiplatform.networks import EIConv2d, EIParameters, EIProp, PathwayScale, ei_layer
from eiplatform.networks.kernels.ei import EXC_SIGNALS, INH_SIGNALS
from eiplatform.networks.kernels.kernel import FusedKernel
from eiplatform.networks.kernels.lif import LIF
from eiplatform.networks.transform import Conv2d, Linear, Transform, average_pool

T, B, C, N_E, N_I = 3, 2, 4, 6, 2
ALL = frozenset([f"E/{name}" for name in EXC_SIGNALS] + [f"I/{name}" for name in INH_SIGNALS])


def make(transform: Transform, seed: int = 0, zeros: float = 0.4) -> EIParameters:
    rng = np.random.default_rng(seed)

    def positive(*shape: int) -> Tensor:
        return torch.tensor(rng.exponential(size=shape) * (rng.random(shape) >= zeros))

    return EIParameters(
        positive(*transform.weight_shape(N_E)),
        positive(*transform.weight_shape(N_I)),
        positive(N_E, N_I),
        positive(N_I) + 0.1,
        positive(N_E) + 0.5,
        torch.tensor(rng.normal(size=N_E)) * 0.2,
    )


def spikes(*shape: int, rate: float = 0.15) -> Tensor:
    return torch.tensor((np.random.default_rng(9).random(shape) < rate).astype(float))


def patches(x: Tensor, transform: Conv2d) -> Tensor:
    """(T, B, C, H, W) -> (T, B * places, inputs of one neuron)."""
    unfolded = functional.unfold(x.flatten(0, 1), transform.kernel, 1, transform.padding, transform.stride)
    return unfolded.transpose(1, 2).reshape(T, -1, transform.fan_in)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (1, 2, 0), ((3, 2), (1, 2), (0, 1)), (2, 1, 0)]
)
def test_a_convolution_is_the_linear_core_on_patches(
    kernel: int | tuple[int, int], stride: int | tuple[int, int], padding: int | tuple[int, int]
) -> None:
    transform = Conv2d((C, 7, 6), kernel, stride, padding)
    parameters = make(transform)
    x = spikes(T, B, C, 7, 6)
    x[0, 1, :, :4] = 0
    _, _, found = ei_layer(parameters, None, x, ALL, transform=transform, kernel=FusedKernel(LIF()))
    flat = EIParameters(*(p.flatten(1) if p.ndim == 4 else p for p in parameters))
    linear = Linear(transform.fan_in)
    _, _, dense = ei_layer(flat, None, patches(x, transform), ALL, transform=linear, kernel=FusedKernel(LIF()))
    rows, cols = transform.map_shape

    def maps(name: str) -> Tensor:
        return dense[name].reshape(T, B, rows, cols, -1).permute(0, 1, 4, 2, 3)

    for name in ("E/current_exc", "E/current_inh", "E/current_net", "E/inhibition_div", "I/activity"):
        torch.testing.assert_close(found[name], maps(name), rtol=1e-12, atol=1e-13)
    # The smallest non-zero divisive inhibition is that of all channels and places of one (t, b).
    div, net = found["E/inhibition_div"].numpy(), found["E/current_net"].numpy()
    seen = 0
    for t, b in itertools.product(range(T), range(B)):
        one = div[t, b]
        denominator = np.where(one == 0, one[one > 0].min(), one)
        seen += int((one == 0).sum())
        gain = parameters.gain_exc.numpy()[:, None, None] / denominator
        np.testing.assert_allclose(found["E/gain"][t, b], gain, rtol=1e-12)
        drive = gain * net[t, b] + parameters.bias.numpy()[:, None, None]
        np.testing.assert_allclose(found["E/drive"][t, b], drive, rtol=1e-12, atol=1e-12)
    assert seen > 0, "the case must contain zero divisive inhibition"


def test_groups_see_their_own_channels_only() -> None:
    transform, half = Conv2d((C, 5, 5), groups=2), Conv2d((C // 2, 5, 5))
    assert transform.fan_in == half.fan_in == 18
    parameters = make(transform, zeros=0)
    x = spikes(T, B, C, 5, 5)
    both = transform.apply_pair(parameters.weight_exc, parameters.weight_inh_in, x)
    exc, inh = torch.split(both, [N_E, N_I], -3)
    for group in range(2):
        seen = x[:, :, 2 * group : 2 * group + 2]
        for whole, weight in ((exc, parameters.weight_exc), (inh, parameters.weight_inh_in)):
            n = len(weight) // 2
            own = slice(group * n, (group + 1) * n)
            torch.testing.assert_close(whole[:, :, own], half.apply(weight[own], seen), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(exc, transform.apply(parameters.weight_exc, x), rtol=1e-12, atol=1e-13)


def test_the_inhibitory_gradient_is_divided_by_the_inputs_of_a_neuron() -> None:
    transform = Conv2d((C, 5, 5), groups=2)
    for p in (parameters := make(transform, zeros=0)):
        p.requires_grad_()
    x = spikes(T, B, C, 5, 5, rate=0.6)

    def gradient(**options: bool) -> Tensor:
        _, fired, _ = ei_layer(
            parameters, None, x, transform=transform, kernel=FusedKernel(LIF()), prop=EIProp(**options)
        )
        return torch.autograd.grad(fired.sum(), parameters.weight_inh_out)[0]

    torch.testing.assert_close(gradient() * 18, gradient(scale_gradient=False), rtol=1e-12, atol=0)


def test_lesions_by_channel() -> None:
    layer = EIConv2d((C, 5, 5), N_E, N_I).double()
    layer.load_state_dict(dict(zip(EIParameters._fields, make(layer.transform, zeros=0), strict=True)))
    x = spikes(T, B, C, 5, 5)
    intact = layer(x, record=ALL)[2]
    factor = torch.linspace(0, 2, N_E)
    for field, signal in (("input_exc", "E/current_exc"), ("subtractive", "E/current_inh")):
        layer.lesion = PathwayScale(**{field: factor})
        torch.testing.assert_close(layer(x, record=ALL)[2][signal], intact[signal] * factor[:, None, None].double())
    layer.lesion = PathwayScale(mask_inh=torch.tensor([0.0, 1.0]))
    assert not layer(x, record=ALL)[2]["I/activity"][:, :, 0].any()


def test_pooling_averages_and_drops_what_is_left_over() -> None:
    x = torch.arange(2 * 3 * 2 * 5 * 4, dtype=torch.float64).reshape(2, 3, 2, 5, 4)
    expected = x[..., :4, :].reshape(2, 3, 2, 2, 2, 2, 2).mean((-3, -1))
    assert torch.equal(average_pool(x), expected)
    assert torch.equal(average_pool(x[0]), expected[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (3, 8)}, r"input of shape \(3, 8\).*\(channels, rows, columns\)"),
        ({"input_shape": (0, 8, 8)}, "input of shape"),
        ({"input_shape": (3, 8, 8), "stride": 0}, "stride"),
        ({"input_shape": (3, 8, 8), "padding": -1}, "padding at least 0"),
        ({"input_shape": (3, 8, 8), "groups": 2}, "2 groups do not divide 3 channels"),
        ({"input_shape": (3, 2, 8), "padding": 0}, r"kernel of \(3, 3\) finds no place on maps of \(2, 8\)"),
    ],
)
def test_impossible_convolutions(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Conv2d(**arguments)  # type: ignore[arg-type]


def test_groups_must_divide_both_populations() -> None:
    EIConv2d((4, 8, 8), 8, 2, groups=2)
    with pytest.raises(ConfigError, match="2 groups do not divide 3 channels"):
        EIConv2d((4, 8, 8), 8, 3, groups=2)
