"""Foreign modules of every shape: time, uses, refusals, and the store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import eiplatform
from eiplatform.analyses.parts.inputs import excitatory, spiking
from eiplatform.datasets import Split
from eiplatform.errors import EIPlatformError, SumRuleError, UnknownNameError
from eiplatform.foreign import ForeignNetwork, Neuron, Probe, adapt, probe
from eiplatform.recording.network import record_network
from eiplatform.recording.spec import RecordingSpec
from eiplatform.store import validate
from tests.unit.test_foreign_currents import everything


class Block(nn.Module):
    """A residual block, with what real ones do: functional and in-place operations."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(2, 2, 3, padding=1, bias=False), nn.BatchNorm2d(2)
        self.conv2, self.norm2 = nn.Conv2d(2, 2, 3, padding=1, bias=False), nn.BatchNorm2d(2)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        first = self.relu(self.norm1(self.conv1(x)))
        second = self.norm2(self.conv2(first))
        second += first
        second = self.relu(second)
        return self.head(second.amax((2, 3))), {"features": second}


def test_residual_block_with_shared_inplace_activation_and_nested_output() -> None:
    torch.manual_seed(0)
    module, x = Block().eval(), torch.randn(4, 2, 5, 5)
    signals = everything(adapt(module, x), x)
    assert list(signals) == ["conv1", "conv2", "head"]
    first, second = signals["conv1"], signals["conv2"]
    torch.testing.assert_close(first["activity"], first["drive"].clamp(min=0))
    # the shortcut is an excitatory input with weight 1
    without = module.norm2(module.conv2(first["activity"][0]))
    torch.testing.assert_close(second["drive"][0], (without + first["activity"][0]).detach())
    with torch.no_grad():
        assert torch.equal(second["activity"][0], module(x)[1]["features"])
    network = adapt(module, x)
    assert {path.name: path.source for path in network.pathways() if path.layer == "conv2"} == {
        "conv2": "conv1",
        "conv2 subtractive": "conv1",
        "conv1 (as it is)": "conv1",
        "conv1 (as it is) subtractive": "conv1",
    }


class Leaky(nn.Module):
    """A neuron of no known framework, which keeps its own state."""

    def __init__(self) -> None:
        super().__init__()
        self.u: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        self.u = 0.5 * self.u + x
        spikes = (self.u >= 1).float()
        self.u = self.u - spikes
        return spikes


LEAKY = Neuron(voltage="u", spikes="output")


def reset(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, Leaky):
            part.u = 0.0


def test_a_shortcut_on_the_left_names_no_population() -> None:
    class Left(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(x + self.fc(x))

    module, x = Left(), torch.randn(3, 4)
    signals = everything(adapt(module, x), x)
    each = torch.cat([module.fc.weight.detach() * x[:, None], torch.diag_embed(x)], -1)
    torch.testing.assert_close(signals["fc"]["current_inh"][0], (-each).clamp(min=0).sum(-1))


def test_declared_neurons_called_in_a_loop_have_a_time_axis() -> None:
    torch.manual_seed(1)
    module, x = nn.Sequential(nn.Linear(4, 6), Leaky(), nn.Linear(6, 2)), torch.rand(3, 4) * 4
    network = adapt(module, x, neurons={"*1": LEAKY}, reset=reset, steps=5)
    assert (network.time, network.steps) == ("steps", 5)
    signals = everything(network, x, 7)
    assert signals["1"]["voltage"].shape == (7, 3, 6)
    u = torch.zeros(3, 6)
    for t in range(7):
        u = 0.5 * u + signals["1"]["drive"][t]
        spikes = (u >= 1).float()
        u = u - spikes
        assert torch.equal(signals["1"]["spikes"][t], spikes)
        torch.testing.assert_close(signals["1"]["voltage"][t], u)
    assert module[1].u == 0.0  # left as it was found
    sequence = torch.rand(4, 3, 4)  # another input at every step
    given = everything(network, sequence)["1"]["drive"]
    torch.testing.assert_close(given, module[0](sequence).detach())


class Looped(nn.Module):
    """Repeats a static input itself; the first layer is computed once."""

    def __init__(self, times: int = 5) -> None:
        super().__init__()
        self.once, self.fc, self.neuron, self.times = nn.Linear(4, 6), nn.Linear(6, 6), Leaky(), times

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.once(x))
        self.neuron.u = 0.0
        return torch.stack([self.neuron(self.fc(h)) for _ in range(self.times)])


def test_loop_inside_and_what_is_computed_once() -> None:
    torch.manual_seed(2)
    module, x = Looped(), torch.rand(3, 4) * 3
    network = adapt(module, x, neurons={"neuron": LEAKY})
    assert (network.time, network.steps) == ("inside", 5)
    signals = everything(network, x)
    assert signals["once"]["drive"].shape == (5, 3, 6) and signals["neuron"]["spikes"].shape == (5, 3, 6)
    assert torch.equal(signals["once"]["drive"][0], signals["once"]["drive"][4])
    assert network.run(x).logits.shape == (3, 6)
    with pytest.raises(
        EIPlatformError, match=r"7 steps were requested of a module, but it loops over its own steps.*valid: 5"
    ):
        network.run(x, 7)
    with pytest.raises(EIPlatformError, match="takes no sequence"):
        network.run(torch.rand(5, 3, 4))
    # a batch that is as large as T is still a batch
    assert everything(network, torch.rand(5, 4))["neuron"]["drive"].shape == (5, 5, 6)
    module.times = 6
    with pytest.raises(EIPlatformError, match="it ran 6 times in 5 steps"):
        everything(network, x)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.idle, self.odd = nn.Linear(4, 4), nn.Linear(4, 4), nn.Parameter(torch.randn(4, 4))

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.fc(x))
        h = functional.relu(self.fc(h))
        return torch.einsum("bi,ij->bj", h, self.odd)


def test_a_module_called_twice_is_two_populations_and_the_rest_is_named() -> None:
    torch.manual_seed(3)
    module, x = Twice(), torch.randn(3, 4)
    network = adapt(module, x)
    signals = everything(network, x)
    assert list(signals) == ["fc", "fc@2", "odd"]
    each = module.odd.detach().T * signals["fc@2"]["activity"][0][:, None]
    torch.testing.assert_close(signals["odd"]["current_exc"][0], each.clamp(min=0).sum(-1))
    torch.testing.assert_close(signals["fc@2"]["drive"], module.fc(signals["fc"]["activity"]).detach())
    missing = {entry.name: entry.why for entry in network.probe().missing}
    assert missing == {"idle.weight": "its module is never called"}


def test_pooling_ends_a_current_and_the_report_says_so() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), Leaky())
    report = probe(module, torch.rand(2, 1, 6, 6), neurons={"2": LEAKY}, reset=reset)
    assert report.populations["0"].signals == ("current_exc", "current_inh", "current_net", "drive")
    assert report.populations["2"].signals == ("drive", "voltage", "spikes")
    (entry,) = report.missing
    assert entry.name == "2" and "max_pool2d" in entry.why and "between 0 and its input" in entry.why


def test_a_neuron_with_more_than_one_recurrent_product_is_not_guessed() -> None:
    class Deep(Leaky):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + self.second(self.first(torch.ones_like(x))))

    module = nn.Sequential(nn.Linear(4, 6), Deep())
    report = probe(module, torch.rand(3, 4), neurons={"1": LEAKY}, reset=reset)
    assert report.populations["1"].signals == ("voltage", "spikes")
    assert {entry.what for entry in report.missing if entry.name == "1"} == {
        "current_exc, current_inh, current_net",
        "drive",
    }


def test_attention_is_named_as_not_followed() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ahead, self.attention = nn.Linear(4, 4), nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            h = functional.relu(self.ahead(x))
            return self.attention(h, h, h, need_weights=False)[0]

    torch.backends.mha.set_fastpath_enabled(False)
    try:
        report = probe(Attention(), torch.randn(2, 5, 4))
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert report.populations["ahead"].shape == (5, 4)
    assert {entry.name for entry in report.missing} == {"attention.in_proj_weight", "attention.out_proj.weight"}
    assert all("multi_head_attention_forward" in entry.why for entry in report.missing)


def test_matrix_products_with_parameters_are_weights() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w, self.b = nn.Parameter(torch.randn(5, 4)), nn.Parameter(torch.randn(5))

        def forward(self, x: Tensor) -> Tensor:
            return 2.0 * (x @ self.w.t() + self.b) - 1.0

    torch.manual_seed(4)
    module, x = Plain(), torch.randn(3, 4)
    network = adapt(module, x)
    signals = everything(network, x)["w"]
    each = 2 * module.w.detach() * x[:, None]
    torch.testing.assert_close(signals["current_exc"][0], each.clamp(min=0).sum(-1))
    np.testing.assert_allclose(
        network.populations()["w"].parameters["bias"], (2 * module.b - 1).detach().numpy(), rtol=1e-6
    )


def test_normalised_weights_and_joined_sources() -> None:
    class Dense(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 3, 3, padding=1))
            self.b, self.up = nn.Conv2d(4, 3, 3, padding=1), nn.ConvTranspose2d(6, 2, 2, stride=2)

        def forward(self, x: Tensor) -> Tensor:
            y = torch.relu_(self.a(x))
            z = functional.leaky_relu(self.b(torch.cat([x, y], 1)))
            return self.up(functional.avg_pool2d(torch.cat([y, z], 1), 2)) - 0.5

    torch.manual_seed(9)
    module, x = Dense(), torch.randn(3, 1, 6, 6)
    network = adapt(module, x)
    signals = everything(network, x)
    assert network.probe().missing == ()
    assert {path.layer: path.source for path in network.pathways()} == {"a": "input", "b": "a + input", "up": "a + b"}
    with torch.no_grad():
        weight = module.a.weight.clamp(min=0)
        exc = functional.conv2d(x.clamp(min=0), weight, padding=1)
        exc += functional.conv2d((-x).clamp(min=0), (-module.a.weight).clamp(min=0), padding=1)
    torch.testing.assert_close(signals["a"]["current_exc"][0], exc)


def test_halves_of_a_layer_are_two_populations() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.both, self.out = nn.Linear(4, 6), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            value, gate = self.both(x).chunk(2, -1)
            return self.out(functional.relu(value) * torch.sigmoid(gate))

    module, x = Gated(), torch.randn(3, 4)
    signals = everything(adapt(module, x), x)
    whole = module.both(x).detach()
    assert torch.equal(torch.cat([signals["both"]["drive"], signals["both@2"]["drive"]], -1)[0], whole)


def test_dropout_and_batch_norm_need_evaluation() -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Dropout())
    network = adapt(module, torch.randn(4, 4))
    assert module.training  # as it was
    with pytest.raises(EIPlatformError, match=r"training mode.*call \.eval\(\)"):
        network.run(torch.randn(4, 4), record={"0": frozenset({"drive"})})
    norm = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, track_running_stats=False), nn.ReLU())
    report = probe(norm, torch.randn(4, 4))
    assert list(report.populations) == ["0"] and "activity" not in report.populations["0"].signals


def test_changed_weights_are_read_again_or_refused() -> None:
    module, x = nn.Linear(4, 3), torch.randn(5, 4)
    network = adapt(module, x)
    with torch.no_grad():
        module.weight.neg_()
    everything(network, x)  # weights are read at every pass
    with torch.no_grad():
        module.bias.add_(1)
    with pytest.raises(SumRuleError, match=r"is not the current that arrives.*refresh\(\)"):
        everything(network, x)
    network.refresh()
    everything(network, x)


def test_a_wrong_current_is_refused() -> None:
    class Cheat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.fc(x)
            y.data.numpy()[:] += 1  # behind torch's back
            return functional.relu(y)

    with pytest.raises(SumRuleError, match="fc"):
        adapt(Cheat(), torch.randn(2, 4))


@pytest.mark.parametrize(
    ("module", "example", "options", "message"),
    [
        (lambda x: x, torch.rand(2, 3), {}, "function is not a torch module"),
        (nn.Linear(3, 2), np.zeros((2, 3)), {}, "ndarray is not a tensor"),
        (nn.Linear(3, 2), torch.rand(3), {}, r"an example of shape \(3,\)"),
        (nn.Linear(3, 2), torch.rand(2, 4), {}, "does not run on the example"),
        (nn.Linear(3, 2).half(), torch.rand(2, 3), {}, r"weight: its numbers are float16.*module\.float\(\)"),
        (nn.ReLU(), torch.rand(2, 3), {}, "nothing can be recorded"),
        (nn.Linear(3, 2), torch.rand(2, 3), {"time": "step"}, "unknown kind of time 'step' – did you mean 'steps'"),
        (nn.Linear(3, 2), torch.rand(2, 3), {"time": "sequence"}, "time on axis 0"),
        (nn.RNN(3, 2), torch.rand(1, 2, 3), {}, "a sequence of one step"),
        (nn.Linear(3, 2), torch.rand(2, 3), {"neurons": {"lif": LEAKY}}, "no module matches 'lif'"),
        (nn.LSTM(3, 2), torch.rand(4, 2, 3), {}, "nothing can be recorded"),
    ],
)
def test_refusals(module: nn.Module, example: Tensor, options: dict[str, object], message: str) -> None:
    with pytest.raises(EIPlatformError, match=message):
        adapt(module, example, **options)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_scripted_module_as_a_whole_is_refused() -> None:
    with pytest.raises(EIPlatformError, match="scripted module"):
        adapt(torch.jit.script(nn.Linear(3, 2)), torch.rand(2, 3))


def test_names_that_do_not_exist() -> None:
    network = adapt(nn.Linear(3, 2), torch.rand(2, 3)).eval()
    with pytest.raises(UnknownNameError, match="unknown population 'liner' – did you mean 'linear'"):
        network.run(torch.rand(2, 3), record={"liner": frozenset({"drive"})})
    with pytest.raises(UnknownNameError, match="linear: unknown signal 'spikes'"):
        network.run(torch.rand(2, 3), record={"linear": frozenset({"spikes"})})
    with pytest.raises(EIPlatformError, match=r"the input has shape \(2, 4\)"):
        network.run(torch.rand(2, 4))


def test_only_what_is_wanted_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    from eiplatform.foreign import follower

    network = adapt(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), torch.rand(2, 3)).eval()
    names: list[str] = []
    real = follower.split
    monkeypatch.setattr(follower, "split", lambda *args: (names.append(args[-1]), real(*args))[1])
    network.run(torch.rand(2, 3), record={"0": frozenset({"activity", "drive"})})
    assert names == []
    network.run(torch.rand(2, 3), record={"0": frozenset({"drive"}), "2": frozenset({"current_exc"})})
    assert names == ["2"]


def test_recorded_into_the_store(tmp_path: Path) -> None:
    torch.manual_seed(8)
    module = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), Leaky(), nn.Flatten(), nn.Linear(144, 3))
    with torch.no_grad():
        module[1].running_mean.normal_()
        module[1].bias.normal_()
    network = adapt(module, torch.rand(2, 1, 8, 8), neurons={"2": LEAKY}, reset=reset, steps=6)
    rng = np.random.default_rng(0)
    images = Split(rng.random((9, 1, 8, 8), dtype=np.float32), np.arange(9) % 3, np.arange(100, 109))
    path = record_network(network, images, tmp_path / "r", RecordingSpec(shard_samples=4), config={}, label="foreign")  # type: ignore[arg-type]
    assert validate(path).problems == []
    tree = eiplatform.open(path)
    data = tree["2"].to_dataset()
    assert data.attrs["role"] == "mixed" and data.sizes == {"sample": 9, "time": 6, "neuron": 144}
    assert {"channel", "row", "col"} <= set(data.coords) and {"bias", "norm_shift"} <= set(data.data_vars)
    assert np.abs(data["norm_shift"].values).max() > 0.1
    assert list(excitatory(tree)) == ["2", "4"] and list(spiking(tree)) == ["2"]  # what analyses read
    index = data.ei.balance_index()
    assert np.isfinite(index.values).any()
    readout = tree["4"].ds["drive"].values.mean(1)
    network.eval()
    with torch.inference_mode():
        logits = network.run(torch.from_numpy(images.images)).logits.numpy()
    np.testing.assert_allclose(readout, logits, rtol=1e-5, atol=1e-6)
    damaged = data.load().copy(deep=True)
    damaged["drive"][0, 0, 0] += 1
    from eiplatform.store.sumrules import check_sum_rules

    with pytest.raises(SumRuleError, match="norm_shift"):
        check_sum_rules(damaged, "2")


def test_the_report_can_be_read() -> None:
    report = eiplatform.probe(nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.MaxPool1d(2)), torch.rand(2, 3))
    assert isinstance(report, Probe)
    assert "populations\n  name  neurons  shape  signals\n  0     2        2" in str(report)
    assert "<td>current_exc, current_inh, current_net, drive, activity</td>" in report._repr_html_()
    assert isinstance(eiplatform.adapt(nn.Linear(3, 2), torch.rand(2, 3)), ForeignNetwork)
