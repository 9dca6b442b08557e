"""Layers without Dale's law, against torch's own modules and the definitions of their signals."""

import pytest
import torch
from torch import Tensor, nn

from eiplatform.errors import EIPlatformError, UnknownNameError
from eiplatform.networks import LIF, BatchNorm, PathwayScale, SignedLayer, SignedReadout, lif_step
from eiplatform.networks.signed import SIGNED_SIGNALS
from eiplatform.networks.transform import Conv2d, Linear, Transform

T, B = 3, 4
ALL = frozenset(f"E/{name}" for name in SIGNED_SIGNALS)
GEOMETRIES = {"linear": (Linear(9), (9,)), "conv": (Conv2d((3, 6, 5), 3, 2, 1), (3, 6, 5))}


def randomise(module: nn.Module, seed: int = 1) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, values in module.state_dict().items():
            values.normal_(generator=generator)
            if name.endswith("running_var"):
                values.abs_().add_(0.5)


def make(geometry: str, *, batch_norm: bool) -> tuple[SignedLayer, Tensor]:
    transform, shape = GEOMETRIES[geometry]
    layer = SignedLayer(transform, 7, batch_norm=batch_norm).double()
    randomise(layer)
    x = (torch.rand(T, B, *shape, generator=torch.Generator().manual_seed(2)) < 0.4).double()
    return layer, x


class Reference(nn.Module):
    """torch's own convolution (or linear map), batch normalisation and a loop over the steps."""

    def __init__(self, layer: SignedLayer) -> None:
        super().__init__()
        transform: Transform = layer.transform
        bias = layer.norm is None
        if isinstance(transform, Conv2d):
            self.map: nn.Module = nn.Conv2d(3, 7, transform.kernel, transform.stride, transform.padding, bias=bias)
            self.norm: nn.Module = nn.Identity() if bias else nn.BatchNorm2d(7)
        else:
            self.map = nn.Linear(transform.fan_in, 7, bias=bias)
            self.norm = nn.Identity() if bias else nn.BatchNorm1d(7)
        state = {f"map.{name}" if "." not in name else name: v for name, v in layer.state_dict().items()}
        self.double().load_state_dict(state, strict=False)

    def forward(self, x: Tensor) -> Tensor:
        drive = self.norm(self.map(x.flatten(0, 1))).unflatten(0, x.shape[:2])
        state, fired = None, []
        for t in range(len(drive)):
            state, spikes, _ = lif_step(drive[t], state, LIF())
            fired.append(spikes)
        return torch.stack(fired)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("geometry", sorted(GEOMETRIES))
def test_the_layer_is_torchs_own(geometry: str, batch_norm: bool, training: bool) -> None:
    layer, x = make(geometry, batch_norm=batch_norm)
    reference = Reference(layer)
    layer.train(training)
    reference.train(training)
    weights = torch.randn(T, B, *layer.transform.output_shape(7), dtype=torch.float64)
    spikes = layer(x)[1]
    expected = reference(x)
    assert 0.1 < spikes.mean() < 0.9
    assert torch.equal(spikes, expected)
    (spikes * weights).sum().backward()
    (expected * weights).sum().backward()
    gradients = {f"map.{name}" if "." not in name else name: p.grad for name, p in layer.named_parameters()}
    assert set(gradients) == {name for name, _ in reference.named_parameters()}
    for name, parameter in reference.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-9, atol=1e-11)
    for name, buffer in layer.named_buffers():
        torch.testing.assert_close(buffer, reference.get_buffer(name), rtol=1e-12, atol=1e-12)


def test_normalisation_of_a_repeated_pattern_counts_every_showing() -> None:
    norm, same = BatchNorm(3).double(), BatchNorm(3).double()
    x = torch.rand(1, 4, 3, 2, 2, dtype=torch.float64)
    first, second = norm(x, repeats=5), same(x.repeat(5, 1, 1, 1, 1))
    torch.testing.assert_close(first.values.expand(5, -1, -1, -1, -1), second.values)
    for name, buffer in norm.named_buffers():
        torch.testing.assert_close(buffer, same.get_buffer(name), rtol=1e-13, atol=0)
        assert not torch.equal(buffer, BatchNorm(3).get_buffer(name).double())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("geometry", sorted(GEOMETRIES))
def test_signals(geometry: str, batch_norm: bool, training: bool) -> None:
    layer, x = make(geometry, batch_norm=batch_norm)
    layer.train(training)
    _, spikes, signals = layer(x, record=ALL)
    assert set(signals) == ALL
    exc, inh, net, gain, drive = (
        signals[f"E/{name}"] for name in ("current_exc", "current_inh", "current_net", "gain", "drive")
    )
    assert exc.min() >= 0
    assert inh.min() >= 0
    assert gain.min() >= 0
    torch.testing.assert_close(net, exc - inh, rtol=1e-12, atol=1e-12)
    assert torch.equal(signals["E/spikes"], (signals["E/voltage"] >= 1).double())
    assert torch.equal(signals["E/spikes"], spikes)
    # Excitation is what arrives through the positive weights, once the sign of the scale is folded in.
    sign = torch.where(layer.norm.weight < 0, -1.0, 1.0).double() if layer.norm is not None else torch.ones(7).double()
    assert not batch_norm or (sign < 0).any()
    rows = (layer.weight.flatten(1) * sign[:, None]).clamp(min=0).reshape(layer.weight.shape)
    torch.testing.assert_close(exc, layer.transform.apply(rows, x))
    if not training:  # the stored bias is that of evaluation
        bias = layer.transform.per_channel(layer.neuron_parameters()["bias"])
        torch.testing.assert_close(drive, gain * net + bias, rtol=1e-12, atol=1e-12)
    else:
        rest = drive - gain * net  # one number per channel
        flat = rest.movedim(layer.transform.channel_axis, 0).flatten(1)
        torch.testing.assert_close(flat, flat[:, :1].expand_as(flat), rtol=1e-10, atol=1e-10)


def test_lesions_of_signed_weights() -> None:
    for batch_norm in (True, False):
        layer, x = make("conv", batch_norm=batch_norm)
        layer.eval()
        intact = layer(x, record=ALL)[2]
        layer.lesion = PathwayScale(subtractive=0.5)
        cut = layer(x, record=ALL)[2]
        torch.testing.assert_close(cut["E/current_inh"], intact["E/current_inh"] * 0.5)
        assert torch.equal(cut["E/current_exc"], intact["E/current_exc"])
        torch.testing.assert_close(cut["E/current_net"], cut["E/current_exc"] - cut["E/current_inh"])
        torch.testing.assert_close(
            cut["E/drive"] - intact["E/drive"], intact["E/gain"] * (cut["E/current_net"] - intact["E/current_net"])
        )
        layer.lesion = PathwayScale(input_exc=torch.linspace(0, 1, 7))
        scaled = intact["E/current_exc"] * torch.linspace(0, 1, 7)[:, None, None].double()
        torch.testing.assert_close(layer(x, record=ALL)[2]["E/current_exc"], scaled)
        layer.lesion = PathwayScale()
        torch.testing.assert_close(layer(x, record=ALL)[2]["E/drive"], intact["E/drive"])
        for field in ("input_inh", "divisive"):
            layer.lesion = PathwayScale(**{field: 0.5})
            with pytest.raises(UnknownNameError, match="no I neurons"):
                layer(x)


def test_readout() -> None:
    readout = SignedReadout(Linear(9), 5).double()
    randomise(readout)
    x = torch.rand(B, 9, dtype=torch.float64)
    net, signals = readout(x, steps=T, record=frozenset({"E/current_exc", "E/current_inh", "E/current_net"}))
    torch.testing.assert_close(net, (x @ readout.weight.T).expand(T, B, 5))
    torch.testing.assert_close(signals["E/current_exc"][0], x @ readout.weight.clamp(min=0).T)
    torch.testing.assert_close(signals["E/current_exc"] - signals["E/current_inh"], net)
    assert torch.equal(signals["E/current_net"], net)
    with pytest.raises(UnknownNameError, match="unknown signal 'E/spikes'"):
        readout(x, record=frozenset({"E/spikes"}))


def test_a_single_value_cannot_be_normalised() -> None:
    with pytest.raises(EIPlatformError, match="a larger batch"):
        BatchNorm(3)(torch.ones(1, 1, 3))
    layer, _ = make("linear", batch_norm=True)
    assert bool(layer.eval()(torch.ones(1, 1, 9, dtype=torch.float64))[1].isfinite().all())
