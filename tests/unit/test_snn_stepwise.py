"""Trainable thresholds, several spikes per step, learnt widths: against plain neurons, loops and finite differences."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from eiplatform.config import Config, load_config
from eiplatform.errors import ConfigError
from eiplatform.networks import (
    LIF,
    MLP,
    EILayer,
    Network,
    PathwayScale,
    SignedLayer,
    SignedReadout,
    build_network,
    initialise_network,
    lif_sequence,
    lif_step,
)
from eiplatform.networks.kernels.surrogate import SURROGATES, Surrogate, make_surrogate
from eiplatform.networks.neuron import Firing, StepwiseNeuron
from eiplatform.networks.signed import SIGNED_SIGNALS
from eiplatform.networks.transform import Conv2d, Linear
from tests.unit.test_snn_signed import randomise

T, B, N = 5, 4, 6
NEURONS = [
    LIF(tau=tau, threshold=threshold, reset=reset, detach_reset=detach, surrogate=make_surrogate(name))
    for tau, threshold, reset, detach, name in (
        (2.0, 1.0, "soft", True, "sigmoid"),
        (2.0, 1.0, "hard", False, "atan"),
        (3.0, 0.7, "soft", False, "triangle"),
    )
]


class Smooth(Surrogate):
    """The surrogate's primitive in place of the step."""

    def spike(self, x: Tensor) -> Tensor:
        return self.primitive(x)

    def spike_learnt(self, x: Tensor, alpha: Tensor) -> Tensor:
        return SURROGATES[self.name].primitive(x, alpha)


def drives(seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return 1.5 * torch.randn(T, B, N, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def differences(f: Callable[[], Tensor], values: Tensor, eps: float = 1e-6) -> Tensor:
    """Return central differences of a scalar function with respect to every entry of `values`."""
    flat = values.detach().view(-1)
    found = torch.empty_like(flat)
    for index in range(len(flat)):
        before = flat[index].item()
        flat[index] = before + eps
        high = f().item()
        flat[index] = before - eps
        found[index] = (high - f().item()) / (2 * eps)
        flat[index] = before
    return found.view_as(values)


@pytest.mark.parametrize("lif", NEURONS)
@pytest.mark.parametrize("firing", [Firing(), Firing(thresholds=True), Firing(widths=T)])
def test_switched_off_it_is_the_plain_neuron_bit_for_bit(lif: LIF, firing: Firing) -> None:
    """Nothing on, thresholds and widths that have learnt nothing: spikes, voltages, membrane and gradients."""
    results = []
    weight = drives(2)
    for new in (True, False):
        drive = drives().requires_grad_()
        if new:
            state, spikes, voltage = StepwiseNeuron(lif, (N,), firing)(drive, keep_voltage=True)
        else:
            state, steps = None, []
            for now in drive:
                state, fired, before = lif_step(now, state, lif)
                steps.append((fired, before))
            spikes, voltage = (torch.stack(parts) for parts in zip(*steps, strict=True))
        ((spikes * weight).sum() + (voltage * weight).sum() + state.membrane.sum()).backward()
        assert drive.grad is not None
        results.append((spikes, voltage, state.membrane, drive.grad))
    for new_values, old_values in zip(results[0][:3], results[1][:3], strict=True):
        assert torch.equal(new_values, old_values)
    if firing.widths and lif.surrogate.name == "atan":  # pi/2 alpha is rounded once more
        assert torch.allclose(results[0][3], results[1][3], rtol=1e-5, atol=1e-6)
    else:
        assert torch.equal(results[0][3], results[1][3])
    sequence = lif_sequence(drives(), None, lif, keep_voltage=True)
    assert torch.equal(sequence[1], results[0][0]) and torch.equal(sequence[2], results[0][1])
    assert 0.05 < results[0][0].mean() < 0.6


@pytest.mark.parametrize("steps", [None, T])
def test_an_ei_layer_with_nothing_on_is_the_fused_one_bit_for_bit(steps: int | None) -> None:
    torch.manual_seed(1)
    plain = EILayer(Conv2d((3, 5, 5)), 8, 2)
    for parameter in plain.parameters():
        nn.init.uniform_(parameter, 0, 0.3)
    new = EILayer(Conv2d((3, 5, 5)), 8, 2, stepwise=StepwiseNeuron(LIF(), (8, 5, 5), Firing()))
    new.load_state_dict(plain.state_dict())
    x = (torch.rand(B, 3, 5, 5) if steps else torch.rand(T, B, 3, 5, 5)).round()
    record = frozenset(f"E/{name}" for name in plain.signals["E"])
    (state, spikes, signals), (state2, spikes2, signals2) = (
        layer(x, steps=steps, record=record) for layer in (new, plain)
    )
    assert torch.equal(spikes, spikes2) and 0.02 < spikes.mean() < 0.98
    assert torch.equal(state.membrane, state2.membrane)
    assert signals.keys() == signals2.keys() and all(torch.equal(signals[name], signals2[name]) for name in record)
    gradients = []
    for layer in (new, plain):
        layer.zero_grad()
        (layer(x, steps=steps)[1] * torch.arange(8.0).view(8, 1, 1)).sum().backward()
        gradients.append([p.grad for p in layer.parameters()])
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(*gradients, strict=True))
    with torch.no_grad():
        chosen = {"E": torch.tensor([3, 77, 199])}
        some = new(x, steps=steps, record=record, select=chosen)[2]
    assert all(torch.equal(some[name], signals[name].flatten(2)[..., chosen["E"]]) for name in record)


@pytest.mark.parametrize("negative", [True, False])
def test_the_staircase_is_firing_again_and_again(negative: bool) -> None:
    """Against the loop that the description says; numbers of few bits, so that all is exact."""
    most = 3
    neuron = StepwiseNeuron(LIF(threshold=0.75), (N,), Firing(max_spikes=most, negative=negative))
    drive = (drives() * 16).round() / 8
    _, spikes, voltage = neuron(drive, keep_voltage=True)
    membrane = torch.zeros(B, N)
    for t in range(T):
        potential = 0.5 * membrane + drive[t]
        assert torch.equal(potential, voltage[t])
        for b in range(B):
            for n in range(N):
                u, fired = potential[b, n].item(), 0
                while u >= 0.75 and fired < most:
                    u, fired = u - 0.75, fired + 1
                while negative and u <= -0.75 and fired > -most:
                    u, fired = u + 0.75, fired - 1
                assert (fired, u) == (spikes[t, b, n].item(), potential[b, n].item() - 0.75 * fired)
                membrane[b, n] = u
    assert spikes.max() == most and spikes.min() == (-most if negative else 0)


@pytest.mark.parametrize("firing", [Firing(max_spikes=4, negative=True), Firing(max_spikes=2, thresholds=True)])
def test_charge_is_conserved(firing: Firing) -> None:
    """What flows in leaks, is fired, or remains."""
    neuron = StepwiseNeuron(LIF(tau=3.0, threshold=0.6), (N,), firing).double()
    if neuron.threshold is not None:
        nn.init.uniform_(neuron.threshold, 0.3, 1.2)
    drive = drives(dtype=torch.float64)
    membranes, state, fired = [torch.zeros(B, N)], None, []
    for now in drive:
        state, spikes, _ = neuron(now[None], state)
        membranes.append(state.membrane)
        fired.append(spikes[0])
    leaked = sum(membrane / 3.0 for membrane in membranes[:-1])
    threshold = 0.6 if neuron.threshold is None else neuron.threshold
    assert torch.allclose(drive.sum(0), leaked + threshold * sum(fired) + membranes[-1], rtol=0, atol=1e-13)
    assert torch.equal(neuron(drive)[1], torch.stack(fired))


def small(*overrides: str) -> Config:
    base = ("network.hidden=[6,5]", "network.steps=3", "network.neuron.detach_reset=false")
    return load_config(None, [*base, *overrides])


def smoothed(config: Config) -> tuple[Network, Callable[[], Tensor]]:
    """Return a network of smooth neurons in float64, and its squared error as a function of nothing."""
    network = build_network(config, (7,), 3)
    x = torch.rand(64, 7, generator=torch.Generator().manual_seed(3))
    initialise_network(network, x, torch.Generator().manual_seed(4))
    x = x[:4]
    network.double()
    for module in network.modules():
        if isinstance(module, StepwiseNeuron):
            module.lif = module.lif._replace(surrogate=Smooth(*module.lif.surrogate))
            if module.threshold is not None:
                nn.init.uniform_(module.threshold, 0.4, 1.1)
            if module.log_width is not None:
                nn.init.uniform_(module.log_width, -0.7, 0.7)
    wanted = torch.eye(3, dtype=torch.float64)[torch.tensor([0, 1, 2, 0])]
    return network, lambda: (network.run(x.double()).logits - wanted).square().sum()


PIECES = {
    "stl": ["network.neuron.model=stl", "network.neuron.reset=hard", "network.neuron.surrogate=atan"],
    "stl, soft": ["network.neuron.model=stl"],
    "stl, many": ["network.neuron.model=stl", "network.neuron.max_spikes=3"],
    "widths": ["network.neuron.learn_surrogate=true", "network.neuron.max_spikes=2"],
    "fast widths": ["network.neuron.learn_surrogate=true", "network.neuron.surrogate=fast-sigmoid"],
    "votes": ["network.neuron.model=stl", "network.votes=2", "network.neuron.learn_surrogate=true"],
}


@pytest.mark.parametrize("layer_type", ["ei", "none"])
@pytest.mark.parametrize("name", PIECES)
def test_gradients_of_thresholds_and_widths_are_finite_differences(name: str, layer_type: str) -> None:
    network, error = smoothed(small(*PIECES[name], f"network.layer={layer_type}"))
    error().backward()
    checked = 0
    with torch.no_grad():
        for module in network.modules():
            if not isinstance(module, StepwiseNeuron):
                continue
            for parameter in (module.threshold, module.log_width):
                if parameter is not None:
                    expected = differences(error, parameter)
                    assert parameter.grad is not None and expected.abs().max() > 1e-5
                    assert torch.allclose(parameter.grad, expected, rtol=1e-5, atol=1e-8)
                    checked += 1
    assert checked == (6 if name == "votes" else 2)


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_hard_spikes_learn_as_their_primitive(surrogate: str) -> None:
    """One step and a loss linear in the spikes: the gradient is that of the smooth staircase, to rounding."""
    form = make_surrogate(surrogate)
    neuron = StepwiseNeuron(LIF(surrogate=form), (N,), Firing(True, 0.0, 3, True, 1)).double()
    assert neuron.threshold is not None and neuron.log_width is not None
    nn.init.uniform_(neuron.threshold, 0.4, 1.1)
    nn.init.constant_(neuron.log_width, 0.3)
    drive, weight = drives(dtype=torch.float64)[:1].requires_grad_(), drives(2, torch.float64)[:1]
    _, spikes, _ = neuron(drive)
    assert set(spikes.unique().tolist()) <= {-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0} and spikes.unique().numel() > 3
    (spikes * weight).sum().backward()
    neuron.lif = neuron.lif._replace(surrogate=Smooth(*form))
    with torch.no_grad():
        for values in (drive, neuron.threshold, neuron.log_width):
            expected = differences(lambda: (neuron(drive)[1] * weight).sum(), values)
            assert values.grad is not None
            assert torch.allclose(values.grad, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("batch_norm", [True, False])
@pytest.mark.parametrize("geometry", ["linear", "conv"])
def test_currents_of_negative_spikes_go_by_the_sign_of_what_a_synapse_does(geometry: str, batch_norm: bool) -> None:
    transform, shape = {"linear": (Linear(9), (9,)), "conv": (Conv2d((3, 6, 5)), (3, 6, 5))}[geometry]
    layer = SignedLayer(transform, 4, batch_norm=batch_norm).double().eval()
    randomise(layer)
    layer.signed_input = True
    x = torch.randint(-2, 3, (T, B, *shape), generator=torch.Generator().manual_seed(5)).double()
    record = frozenset(f"E/{name}" for name in SIGNED_SIGNALS)
    _, spikes, signals = layer(x, record=record)
    if geometry == "linear":  # synapse by synapse
        each = layer.weight * x[..., None, :]
        if layer.norm is not None:  # a negative scale counts as a sign of the weights
            assert bool((layer.norm.weight < 0).any())
            each = each * layer.norm.weight.sign()[:, None]
        assert torch.allclose(signals["E/current_exc"], each.clamp(min=0).sum(-1), rtol=0, atol=1e-12)
        assert torch.allclose(signals["E/current_inh"], (-each).clamp(min=0).sum(-1), rtol=0, atol=1e-12)
    exc, inh = signals["E/current_exc"], signals["E/current_inh"]
    assert exc.min() >= 0 and inh.min() >= 0
    assert torch.allclose(exc - inh, signals["E/current_net"], rtol=0, atol=1e-12)
    layer.lesion = PathwayScale(subtractive=0.25, input_exc=0.5)
    _, cut_spikes, cut = layer(x, record=record)
    assert torch.allclose(cut["E/current_net"], 0.5 * exc - 0.25 * inh, rtol=0, atol=1e-12)
    assert torch.allclose(cut["E/current_inh"], 0.25 * inh) and not torch.equal(spikes, cut_spikes)
    intact_net = layer.transform.apply(layer.weight, x)
    layer.lesion = PathwayScale(subtractive=1.0)
    assert torch.allclose(layer._raw(x), intact_net, rtol=0, atol=1e-12)
    readout = SignedReadout(Linear(9), 3).double()
    randomise(readout)
    readout.signed_input = True
    readout.lesion = PathwayScale(subtractive=0.0)
    flat = x.flatten(2)[..., :9]
    each = readout.weight * flat[..., None, :]
    assert torch.allclose(readout(flat)[0], each.clamp(min=0).sum(-1), rtol=0, atol=1e-12)


def test_a_run_can_be_continued() -> None:
    network = build_network(small("network.neuron.model=stl", "network.neuron.max_spikes=2"), (7,), 3)
    x = torch.rand(6, 4, 7)
    initialise_network(network, x, torch.Generator().manual_seed(4))
    record = {"fc2/E": frozenset({"voltage"})}
    whole = network.run(x, record=record).signals["fc2/E"]["voltage"]
    first = network.run(x[:2], record=record)
    second = network.run(x[2:], record=record, state=first.state)
    parts = torch.cat([first.signals["fc2/E"]["voltage"], second.signals["fc2/E"]["voltage"]])
    assert torch.allclose(parts, whole, rtol=1e-6)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["network.neuron.max_spikes=2", "network.neuron.reset=hard"], "need reset soft"),
        (["network.neuron.threshold_spread=0.1"], "threshold_spread does not apply to model lif"),
        (["network.neuron.model=relu", "network.neuron.tau=3.0"], "tau does not apply to model relu"),
        (["network.neuron.model=backei"], "convolutional"),
        (["network.neuron.model=relu", "network.votes=3"], "counted in spikes"),
        (["network.neuron.model=stl", "training.backend=compiled"], "the compiled backend is for plain lif"),
        (["network.neuron.learn_surrogate=true", "training.backend=compiled"], "the compiled backend"),
        (["network.neuron.model=relu", "training.backend=compiled"], "the compiled backend"),
        (["training.trained=thresholds"], "is for network.neuron.model stl"),
        (["training.balance=0.1", "network.neuron.model=relu"], "membrane potentials"),
        (["network.dropout=0.5", "network.architecture=vgg8"], "dropout does not apply to vgg8"),
        (["network.architecture=feedback", "network.layer=bn", "network.neuron.model=relu"], "neurons lif or stl"),
        (["network.architecture=feedback", "network.layer=bn", "network.votes=3"], "a readout of currents"),
        (["network.architecture=feedback", "network.layer=bn", "training.balance=0.1"], "feedback.gradient bptt"),
        (["training.decay=0.5"], "decay does not apply"),
        (["training.loss=mse", "training.label_smoothing=0.1"], "label_smoothing does not apply"),
    ],
)
def test_what_does_not_fit_together_is_one_clear_line(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, overrides)


def test_neurons_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="reset that subtracts"):
        StepwiseNeuron(LIF(reset="hard"), (2,), Firing(max_spikes=2))
    for options in ({"model": "backei"}, {"firing": Firing(negative=True)}):
        with pytest.raises(ConfigError, match="break Dale's law"):
            MLP((4,), 2, (3,), layer="ei", **options)  # type: ignore[typeddict-item]
    with pytest.raises(ConfigError, match="type dann are not built with neurons of model lif"):
        MLP((4,), 2, (3,), layer="dann")
    with pytest.raises(ConfigError, match="at least 1"):
        StepwiseNeuron(LIF(), (2,), Firing(max_spikes=0))
