"""Every set of weights against an independent dense oracle: its Jacobian, split by sign in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from eiplatform.errors import EIPlatformError
from eiplatform.foreign import ForeignNetwork, adapt
from tests.examples import examples


def everything(network: ForeignNetwork, x: Tensor, steps: int | None = None) -> dict[str, dict[str, Tensor]]:
    """Record all signals, and check that recording changed nothing."""
    network.eval()
    wanted = {name: frozenset(info.signals) for name, info in network.populations().items()}
    recorded = network.run(x, steps, record=wanted)
    assert torch.equal(recorded.logits, network.run(x, steps).logits)
    for name, info in network.populations().items():
        for signal, values in recorded.signals[name].items():
            assert values.shape[2:] == info.shape, (name, signal)
    return recorded.signals


def dense(function: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (exc, inh, bias) of one layer without time from its Jacobian, in float64.

    The contribution of input j to output i is J[i, j] x[j]; positive ones excite.
    """
    single = x[0].double()
    jacobian = torch.autograd.functional.jacobian(lambda v: function(v[None])[0], single)
    jacobian = jacobian.reshape(*jacobian.shape[: jacobian.ndim - single.ndim], -1)
    each = jacobian * x.double().flatten(1).reshape(len(x), *[1] * (jacobian.ndim - 1), -1)
    bias = function(torch.zeros_like(single)[None])[0]
    return each.clamp(min=0).sum(-1), (-each).clamp(min=0).sum(-1), bias.detach()


def against_oracle(module: nn.Module, x: Tensor, name: str) -> None:
    network = adapt(module, x)
    signals = everything(network, x)[name]
    exc, inh, bias = dense(_double(module), x)
    scale = float((exc + inh).max())
    for label, expected in (("current_exc", exc), ("current_inh", inh), ("current_net", exc - inh)):
        torch.testing.assert_close(signals[label][0].double(), expected, rtol=1e-5, atol=2e-6 * scale)
    parameters = network.populations()[name].parameters
    constants = (parameters["bias"] + parameters["norm_shift"]).reshape(bias.shape)
    torch.testing.assert_close(torch.from_numpy(constants), bias, rtol=1e-5, atol=1e-6)
    assert torch.equal(signals["drive"][0], module(x))


def _double(module: nn.Module) -> nn.Module:
    import copy

    return copy.deepcopy(module).double().eval()


def _signed(*shape: int) -> Tensor:
    return torch.randn(*shape)


LAYERS: list[tuple[nn.Module, tuple[int, ...]]] = [
    (nn.Linear(7, 5), (7,)),
    (nn.Linear(7, 5, bias=False), (3, 7)),
    (nn.Conv1d(2, 4, 3, stride=2, padding=1, dilation=2), (2, 11)),
    (nn.Conv2d(4, 6, (3, 2), stride=(1, 2), padding=(2, 1), groups=2), (4, 6, 7)),
    (nn.Conv2d(2, 3, 3, padding="same", dilation=2), (2, 6, 6)),
    (nn.Conv3d(1, 2, 2, stride=2, padding=1), (1, 4, 4, 5)),
    (nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 5, 6)),
    (nn.Conv1d(2, 3, 3, padding=2, padding_mode="circular"), (2, 7)),
    (nn.ConvTranspose1d(3, 2, 3, stride=2, padding=1, output_padding=1), (3, 5)),
    (nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, groups=2, dilation=2), (4, 4, 5)),
    (nn.ConvTranspose3d(2, 2, 2, stride=2), (2, 2, 3, 2)),
]


@pytest.mark.parametrize("negative", [False, True], ids=["spikes", "signed"])
@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=[f"{type(a).__name__}{b}" for a, b in LAYERS])
def test_every_layer_against_its_jacobian(layer: nn.Module, shape: tuple[int, ...], negative: bool) -> None:
    torch.manual_seed(1)
    x = _signed(3, *shape)
    against_oracle(layer, x if negative else (x > 0.3).float(), type(layer).__name__.lower())


@pytest.mark.parametrize("mode", ["circular", "reflect", "replicate"])
def test_a_pixel_that_padding_repeats_has_a_synapse_for_each_copy(mode: str) -> None:
    torch.manual_seed(1)
    layer, x = nn.Conv2d(2, 3, 3, padding=1, padding_mode=mode), _signed(3, 2, 5, 6)
    signals = everything(adapt(layer, x), x)["conv2d"]
    bare = nn.Conv2d(2, 3, 3).double()
    bare.load_state_dict(layer.state_dict())
    exc, inh, _ = dense(bare, functional.pad(x, (1, 1, 1, 1), mode=mode))
    torch.testing.assert_close(signals["current_exc"][0].double(), exc, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(signals["current_inh"][0].double(), inh, rtol=1e-5, atol=1e-5)


@examples(25)
@given(
    transpose=st.booleans(),
    dims=st.integers(1, 2),
    groups=st.integers(1, 2),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    seed=st.integers(0, 999),
)
def test_geometry(
    transpose: bool, dims: int, groups: int, kernel: int, stride: int, padding: int, dilation: int, seed: int
) -> None:
    torch.manual_seed(seed)
    padding = min(padding, dilation * (kernel - 1)) if transpose else padding
    kinds = {
        (False, 1): nn.Conv1d,
        (False, 2): nn.Conv2d,
        (True, 1): nn.ConvTranspose1d,
        (True, 2): nn.ConvTranspose2d,
    }
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    layer = kinds[transpose, dims](2 * groups, 2 * groups, kernel, **options)
    against_oracle(layer, _signed(2, 2 * groups, *(6, 5)[:dims]), type(layer).__name__.lower())


def test_what_is_linear_between_weights_and_neuron_acts_on_both_parts() -> None:
    torch.manual_seed(2)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(), nn.ReLU(inplace=True))
    x = _signed(3, 1, 8, 8)
    signals = everything(adapt(module, x), x)["0"]
    exc, inh, bias = dense(_double(nn.Sequential(*module[:4])), x)
    # several pixels reach a pooled neuron through one set of weights each: windows are summed, signs kept apart
    assert (signals["current_exc"][0].double() + 1e-5 >= exc).all()
    torch.testing.assert_close(
        (signals["current_exc"] - signals["current_inh"])[0].double(), exc - inh, rtol=1e-4, atol=1e-6
    )
    windows = functional.unfold(x, 3).reshape(3, 1, 9, 36)
    kernel = module[0].weight.detach().reshape(1, 4, 9, 1)
    by_hand = functional.avg_pool2d((kernel * windows).clamp(min=0).sum(2).reshape(3, 4, 6, 6), 2).flatten(1)
    torch.testing.assert_close(signals["current_exc"][0], by_hand, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(signals["activity"][0], module.eval()(x))
    torch.testing.assert_close(signals["drive"][0], nn.Sequential(*module[:4]).eval()(x))


def _normalised(kind: type[nn.Module], layer: nn.Module, channels: int) -> nn.Sequential:
    norm = kind(channels)
    with torch.no_grad():
        norm.weight.normal_()  # scales of either sign
        norm.bias.normal_()
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return nn.Sequential(layer, norm)


@pytest.mark.parametrize("negative", [False, True], ids=["spikes", "signed"])
@pytest.mark.parametrize(
    ("kind", "layer", "channels", "shape"),
    [
        (nn.BatchNorm1d, nn.Linear(6, 5), 5, (6,)),
        (nn.BatchNorm1d, nn.Conv1d(2, 5, 3, padding=1), 5, (2, 6)),
        (nn.BatchNorm2d, nn.Conv2d(2, 4, 3, bias=False), 4, (2, 5, 5)),
        (nn.BatchNorm3d, nn.Conv3d(1, 3, 2), 3, (1, 3, 4, 3)),
    ],
)
def test_batch_norm_is_folded(
    kind: type[nn.Module], layer: nn.Module, channels: int, shape: tuple[int, ...], negative: bool
) -> None:
    torch.manual_seed(3)
    module = _normalised(kind, layer, channels)
    x = _signed(4, *shape)
    x = x if negative else x.clamp(min=0)
    network = adapt(module, x)
    signals = everything(network, x)["0"]
    norm = module[1].double()
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach()
    place = (-1, *[1] * (len(shape) - 1))
    folded = _double(layer)
    with torch.no_grad():
        folded.weight.mul_(scale.view(-1, *[1] * (folded.weight.ndim - 1)))
        if folded.bias is not None:
            folded.bias.mul_(scale)
    exc, inh, bias = dense(folded, x)
    torch.testing.assert_close(signals["current_exc"][0].double(), exc, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(signals["current_inh"][0].double(), inh, rtol=1e-5, atol=1e-5)
    parameters = {k: torch.from_numpy(v).reshape(bias.shape) for k, v in network.populations()["0"].parameters.items()}
    torch.testing.assert_close(parameters["bias"], bias, rtol=1e-5, atol=1e-6)
    shift = (norm.bias - scale * norm.running_mean).detach().view(place).expand_as(bias)
    torch.testing.assert_close(parameters["norm_shift"], shift, rtol=1e-5, atol=1e-6)
    module.float().eval()
    assert torch.equal(signals["drive"][0], module(x))


def test_sign_rules() -> None:
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, -3.0]]))
    x = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
    signals = everything(adapt(layer, x), x)["linear"]
    assert signals["current_exc"].flatten().tolist() == [2, 3, 5, 0]
    assert signals["current_inh"].flatten().tolist() == [3, 2, 0, 5]
    strict = adapt(layer, x[:1], signs="weight")
    assert strict.populations()["linear"].attrs["sign_rule"] == "weight"
    assert everything(strict, x[:1])["linear"]["current_exc"].item() == 2
    with pytest.raises(EIPlatformError, match=r"linear: an input of -1 .*valid: inputs >= 0.*signs='contribution'"):
        everything(strict, x)
    with pytest.raises(EIPlatformError, match="unknown sign rule 'dale'"):
        adapt(layer, x, signs="dale")


def test_spikes_give_the_same_by_both_rules() -> None:
    torch.manual_seed(4)
    layer, x = nn.Conv2d(2, 3, 3), (torch.rand(4, 2, 6, 6) > 0.5).float()
    first, second = (everything(adapt(layer, x, signs=rule), x)["conv2d"] for rule in ("contribution", "weight"))
    for signal, values in first.items():
        assert torch.equal(values, second[signal])


class _Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Bilinear(3, 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x[:, :3], x[:, 3:])


def test_bilinear() -> None:
    torch.manual_seed(5)
    module, x = _Two(), _signed(6, 7)
    signals = everything(adapt(module, x), x)["mix"]
    each = module.mix.weight.detach() * (x[:, :3, None] * x[:, None, 3:])[:, None]
    torch.testing.assert_close(signals["current_exc"][0], each.clamp(min=0).sum((2, 3)), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(signals["current_inh"][0], (-each).clamp(min=0).sum((2, 3)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_simple_recurrent_network(batch_first: bool, both: bool, nonlinearity: str) -> None:
    torch.manual_seed(6)
    rnn = nn.RNN(3, 4, 2, nonlinearity=nonlinearity, batch_first=batch_first, bidirectional=both)
    x = _signed(5, 2, 3)  # (T, B, F)
    network = adapt(rnn, x.transpose(0, 1) if batch_first else x)
    assert (network.time, network.time_axis, network.steps) == ("sequence", int(batch_first), 5)
    signals = everything(network, x)
    hidden = torch.zeros(2, 4)
    for t in range(5):  # the first layer, by hand
        w_in, w_rec = rnn.weight_ih_l0.detach(), rnn.weight_hh_l0.detach()
        ahead, back = w_in * x[t][:, None], w_rec * hidden[:, None]
        found = {key: values[t] for key, values in signals["rnn.l0"].items()}
        torch.testing.assert_close(found["current_exc_external"], ahead.clamp(min=0).sum(-1))
        torch.testing.assert_close(found["current_inh_external"], (-ahead).clamp(min=0).sum(-1))
        torch.testing.assert_close(found["current_exc_recurrent"], back.clamp(min=0).sum(-1))
        torch.testing.assert_close(found["current_inh_recurrent"], (-back).clamp(min=0).sum(-1))
        torch.testing.assert_close(found["current_exc"], found["current_exc_external"] + found["current_exc_recurrent"])
        drive = ahead.sum(-1) + back.sum(-1) + (rnn.bias_ih_l0 + rnn.bias_hh_l0).detach()
        torch.testing.assert_close(found["drive"], drive)
        hidden = torch.tanh(drive) if nonlinearity == "tanh" else drive.clamp(min=0)
        torch.testing.assert_close(found["activity"], hidden)
    last = [signals[name]["activity"] for name in ("rnn.l1", "rnn.l1_reverse") if name in signals]
    with torch.no_grad():
        own = rnn(x.transpose(0, 1) if batch_first else x)[0]
    torch.testing.assert_close(torch.cat(last, -1), own.transpose(0, 1) if batch_first else own)
    sources = {path.name: path.source for path in network.pathways()}
    assert sources["rnn.weight_hh_l0"] == "rnn.l0"
    assert sources["rnn.weight_ih_l1"] == ("rnn.l0 + rnn.l0_reverse" if both else "rnn.l0")


class _Explicit(nn.Module):
    """A recurrent network written out, with a loop over the input's steps."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead, self.back, self.out = nn.Linear(3, 4), nn.Linear(4, 4, bias=False), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h, outputs = torch.zeros(x.shape[1], 4), []
        for frame in x:
            h = torch.tanh(self.ahead(frame) + self.back(h))
            outputs.append(self.out(h))
        return torch.stack(outputs)


def test_recurrent_weights_written_out() -> None:
    torch.manual_seed(7)
    module, x = _Explicit(), _signed(6, 3, 3)
    network = adapt(module, x, time="sequence")
    signals = everything(network, x)
    assert list(signals) == ["ahead", "out"]
    h = signals["ahead"]["activity"]
    before = torch.cat([torch.zeros_like(h[:1]), h[:-1]])
    each = module.back.weight.detach() * before[:, :, None]
    torch.testing.assert_close(signals["ahead"]["current_exc_recurrent"], each.clamp(min=0).sum(-1))
    torch.testing.assert_close(signals["ahead"]["current_inh_recurrent"], (-each).clamp(min=0).sum(-1))
    each = module.ahead.weight.detach() * x[:, :, None]
    torch.testing.assert_close(signals["ahead"]["current_inh_external"], (-each).clamp(min=0).sum(-1))
    paths = {path.name: (path.source, path.target) for path in network.pathways()}
    assert paths["ahead"] == ("input", "ahead") and paths["back"] == ("ahead", "ahead")
    assert paths["out"] == ("ahead", "out")
    np.testing.assert_allclose(network.populations()["ahead"].parameters["bias"], module.ahead.bias.detach().numpy())
