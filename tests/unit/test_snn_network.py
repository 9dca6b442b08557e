import pytest
import torch

from eiplatform.config import Config, load_config
from eiplatform.errors import ConfigError, EIPlatformError, UnknownNameError
from eiplatform.networks import Network, PathwayScale, build_network, initialise_ei
from eiplatform.store.schema import SIGNALS


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def network(images: torch.Tensor) -> Network:
    config = load_config(None, ["network.hidden=[24, 16]"])
    network = build_network(config, (1, 4, 4), 5)
    initialise_ei(network, images, torch.Generator().manual_seed(1))
    return network


def test_populations_and_pathways(network: Network) -> None:
    populations = network.populations()
    assert list(populations) == ["fc1/E", "fc1/I", "fc2/E", "fc2/I", "readout/E", "readout/I"]
    assert [info.n_neurons for info in populations.values()] == [24, 6, 16, 4, 5, 1]
    assert {name for info in populations.values() for name in info.signals} <= set(SIGNALS)
    first, readout = populations["fc1/E"], populations["readout/E"]
    assert (first.role, first.threshold, first.decay, first.reset) == ("E", 1.0, 0.5, "soft")
    assert {name: len(values) for name, values in first.parameters.items()} == {"bias": 24, "gain_exc": 24}
    assert readout.threshold is None and not readout.parameters
    pathways = network.pathways()
    assert [(p.source, p.target, p.sign) for p in pathways[:4]] == [
        ("input", "fc1/E", "+"),
        ("input", "fc1/I", "+"),
        ("fc1/I", "fc1/E", "-"),
        ("fc1/I", "fc1/E", "/"),
    ]
    assert [p.source for p in pathways if p.name == "input->E"] == ["input", "fc1/E", "fc2/E"]
    assert {p.mode for p in pathways if p.layer == "readout"} == {"additive", "subtractive"}
    assert {p.factor for p in pathways} <= set(PathwayScale._fields)


def test_logits_are_the_mean_net_current_of_the_readout(network: Network, images: torch.Tensor) -> None:
    output = network.run(images, 7, {"readout/E": frozenset({"current_net"})})
    current = output.signals["readout/E"]["current_net"]
    assert current.shape == (7, 12, 5)
    assert torch.equal(output.logits, current.mean(0))
    assert torch.equal(network(images, 7), output.logits)
    logits, recorded = network(images, 7, {"fc1/I": frozenset({"activity"})})
    assert torch.equal(logits, output.logits)
    assert recorded["fc1/I"]["activity"].shape == (7, 12, 6)


def test_the_input_matters_and_samples_do_not_mix(network: Network, images: torch.Tensor) -> None:
    logits = network.run(images).logits
    assert logits.std(0).min() > 0
    changed = images.clone()
    changed[0] = images[0].flip(-1)
    other = network.run(changed).logits
    assert not torch.equal(other[0], logits[0])
    assert torch.equal(other[1:], logits[1:])


def test_a_blank_image_gives_what_the_biases_give(network: Network, images: torch.Tensor) -> None:
    images[0] = 0
    output = network.run(images, record={"fc1/E": frozenset({"drive", "spikes"})})
    assert output.logits.isfinite().all()
    assert not output.signals["fc1/E"]["spikes"][:, 0].any()
    assert not output.logits[0].any()


def test_a_run_can_be_continued(network: Network, images: torch.Tensor) -> None:
    record = {"fc2/E": frozenset({"spikes"})}
    whole = network.run(images, 10, record)
    first = network.run(images, 4, record)
    second = network.run(images, 6, record, state=first.state)
    parts = [part.signals["fc2/E"]["spikes"] for part in (first, second)]
    assert torch.equal(whole.signals["fc2/E"]["spikes"], torch.cat(parts))
    torch.testing.assert_close(whole.logits, (4 * first.logits + 6 * second.logits) / 10)
    assert not torch.equal(second.logits, network.run(images, 6).logits), "the state must matter"


def test_sequences(network: Network, images: torch.Tensor) -> None:
    still = images.expand(4, *images.shape)
    torch.testing.assert_close(network.run(still).logits, network.run(images, 4).logits)
    moving = torch.rand(6, 12, 1, 4, 4, generator=torch.Generator().manual_seed(4))
    backwards = network.run(moving.flip(0)).logits
    assert not torch.equal(network.run(moving, 6).logits, backwards)


def test_lesions_are_attributes_of_layers(network: Network, images: torch.Tensor) -> None:
    intact = network.run(images).logits
    network.named_layers()["fc1"].lesion = PathwayScale(subtractive=0.2)
    assert not torch.equal(network.run(images).logits, intact)
    network.named_layers()["fc1"].lesion = None
    assert torch.equal(network.run(images).logits, intact)


def test_errors(network: Network, images: torch.Tensor) -> None:
    with pytest.raises(EIPlatformError, match=r"shape \(12, 16\).*\(batch, 1, 4, 4\)"):
        network.run(images.flatten(1))
    with pytest.raises(EIPlatformError, match="at least 1"):
        network.run(images, 0)
    with pytest.raises(EIPlatformError, match="3 steps were requested of a sequence of 4"):
        network.run(images.expand(4, *images.shape), 3)
    with pytest.raises(UnknownNameError, match="unknown population 'fc9/E'"):
        network.run(images, record={"fc9/E": frozenset({"spikes"})})
    with pytest.raises(UnknownNameError, match="fc1/I: unknown signal 'spikes'"):
        network.run(images, record={"fc1/I": frozenset({"spikes"})})
    with pytest.raises(UnknownNameError, match="unknown layer"):
        network.run(images, state={"fc7": network.run(images).state["fc1"]})
    with pytest.raises(ConfigError, match="at least 1"):
        build_network(Config(), (0,), 5)


def test_a_network_without_weights_cannot_be_mistaken_for_one_with(images: torch.Tensor) -> None:
    assert build_network(Config(), (1, 4, 4), 5).run(images).logits.isnan().all()


def test_one_inhibitory_neuron_at_least() -> None:
    network = build_network(load_config(None, ["network.hidden=[3]", "network.ei_ratio=8"]), (1, 4, 4), 2)
    assert [info.n_neurons for info in network.populations().values()] == [3, 1, 2, 1]


def test_dropout_silences_in_training_alone_and_keeps_the_mean(images: torch.Tensor) -> None:
    """What reaches fc2 is spikes of fc1, a part of them gone; fc1 itself and evaluation are as without dropout."""
    plain, network = (
        build_network(load_config(None, ["network.hidden=[60, 20]", f"network.dropout={part}"]), (1, 4, 4), 5)
        for part in (0.0, 0.4)
    )
    initialise_ei(plain, images, torch.Generator().manual_seed(1))
    network.load_state_dict(plain.state_dict())
    x = images.repeat(100, *[1] * (images.ndim - 1))
    record = {"fc1/E": frozenset({"spikes"}), "fc2/E": frozenset({"current_exc"})}
    with torch.no_grad():
        without = plain.eval().run(x, record=record).signals
    assert torch.equal(
        network.eval().run(x, record=record).signals["fc2/E"]["current_exc"], without["fc2/E"]["current_exc"]
    )
    network.train()
    with torch.no_grad():
        first, again = network.run(x, record=record).signals, network.run(x, record=record).signals
        network.noise = 1
        other = network.run(x, record=record).signals
    assert torch.equal(first["fc1/E"]["spikes"], without["fc1/E"]["spikes"])
    current = first["fc2/E"]["current_exc"]
    assert torch.equal(current, again["fc2/E"]["current_exc"])
    assert not torch.equal(current, other["fc2/E"]["current_exc"])
    weights = network.named_layers()["fc2"].weight_exc.detach()
    spikes = without["fc1/E"]["spikes"].float()
    # Each spike counts 1/0.6 or nothing: mean and variance of the current over the draws follow.
    copies = (current - without["fc2/E"]["current_exc"]).unflatten(1, (100, -1))
    expected = (0.4 / 0.6) * (spikes[:, : len(images)] ** 2 @ (weights.T**2))
    assert float((copies.var(1) / expected)[expected > 0].mean()) == pytest.approx(1, abs=0.05)
    assert bool((copies.mean(1).abs() <= 5 * (expected / 100).sqrt() + 1e-6).all())
