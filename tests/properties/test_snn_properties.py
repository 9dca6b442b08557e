"""What must hold for every network, input and choice of recording."""

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from eiplatform.networks import LIF, MLP, EILayer, Network, make_surrogate
from eiplatform.networks.kernels.prop import stabilise
from tests.examples import examples

NEURONS = st.builds(
    LIF,
    tau=st.sampled_from([1.0, 2.0, 5.0]),
    threshold=st.sampled_from([0.5, 1.0]),
    reset=st.sampled_from(["soft", "hard"]),
    surrogate=st.sampled_from(["sigmoid", "atan"]).map(make_surrogate),
)
RUNS = examples(20)


def make(hidden: list[int], ratio: int, neuron: LIF, seed: int) -> tuple[Network, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(6, 3, 3, generator=generator) * (torch.rand(6, 3, 3, generator=generator) < 0.6)
    x[0] = 0
    network = MLP((3, 3), 4, tuple(hidden), ei_ratio=ratio, neuron=neuron)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0.2, 0.3, generator=generator)
            else:
                # Zeros, as Dale's projection leaves them, bring zero divisive inhibition about.
                kept = (torch.rand(parameter.shape, generator=generator) < 0.7).float()
                parameter.exponential_(generator=generator).mul_(kept)
    return network, x


NETWORKS = {
    "hidden": st.lists(st.integers(4, 20), min_size=1, max_size=3),
    "ratio": st.integers(1, 5),
    "neuron": NEURONS,
    "seed": st.integers(0, 1000),
    "steps": st.integers(1, 6),
}


@RUNS
@given(**NETWORKS, data=st.data())
def test_recording_changes_nothing(
    hidden: list[int], ratio: int, neuron: LIF, seed: int, steps: int, data: st.DataObject
) -> None:
    network, x = make(hidden, ratio, neuron, seed)
    everything = [(p, s) for p, info in network.populations().items() for s in info.signals]
    chosen = data.draw(st.lists(st.sampled_from(everything), unique=True))
    record = {p: frozenset(s for q, s in chosen if q == p) for p, _ in chosen}
    target = torch.arange(6) % 4
    found = []
    for asked in (None, record):
        network.zero_grad()
        output = network.run(x, steps, asked)
        torch.nn.functional.cross_entropy(output.logits, target).backward()
        found.append((output, [p.grad.clone() for p in network.parameters() if p.grad is not None]))
    (plain, grads), (recorded, recorded_grads) = found
    assert torch.equal(plain.logits, recorded.logits)
    assert all(torch.equal(plain.state[name].membrane, recorded.state[name].membrane) for name in plain.state)
    assert all(torch.equal(a, b) for a, b in zip(grads, recorded_grads, strict=True))
    assert all(bool(g.isfinite().all()) for g in grads)
    with torch.no_grad():
        assert torch.equal(network.run(x, steps).logits, plain.logits), "evaluation equals training"
    assert not plain.signals
    assert {p: frozenset(s) for p, s in recorded.signals.items()} == record


@RUNS
@given(**NETWORKS)
def test_sum_rules_hold_on_what_is_recorded(hidden: list[int], ratio: int, neuron: LIF, seed: int, steps: int) -> None:
    network, x = make(hidden, ratio, neuron, seed)
    record = {p: frozenset(info.signals) for p, info in network.populations().items()}
    with torch.no_grad():
        signals = network.run(x, steps, record).signals
    for name, layer in network.named_layers().items():
        e, i = signals[f"{name}/E"], signals[f"{name}/I"]
        assert torch.equal(e["current_net"], e["current_exc"] - e["current_inh"])
        assert torch.equal(i["activity"], i["current_exc"])
        assert all(bool((v >= 0).all()) for v in (e["current_exc"], e["current_inh"], i["activity"]))
        if not isinstance(layer, EILayer):
            continue
        assert torch.equal(e["drive"], e["gain"] * e["current_net"] + layer.bias)
        given_ = e["inhibition_div"] > 0
        product = (e["gain"] * e["inhibition_div"])[given_]
        torch.testing.assert_close(product, layer.gain_exc.detach().expand_as(given_)[given_], rtol=1e-5, atol=0)
        u, s = e["voltage"], e["spikes"]
        assert torch.equal(s, (u >= neuron.threshold).float())
        after = u - neuron.threshold * s if neuron.reset == "soft" else u * (1 - s)
        rebuilt = neuron.decay * torch.cat((torch.zeros_like(after[:1]), after[:-1])) + e["drive"]
        torch.testing.assert_close(u, rebuilt, rtol=1e-5, atol=1e-5)


@RUNS
@given(**NETWORKS)
def test_order_of_samples_is_irrelevant(hidden: list[int], ratio: int, neuron: LIF, seed: int, steps: int) -> None:
    network, x = make(hidden, ratio, neuron, seed)
    network, x = network.double(), x.double()
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(network.run(x[order], steps).logits, network.run(x, steps).logits[order])


@RUNS
@given(
    st.lists(st.lists(st.one_of(st.just(0.0), st.floats(1e-20, 1e20)), min_size=4, max_size=4), min_size=1, max_size=4)
)
def test_stabilised_inhibition(rows: list[list[float]]) -> None:
    values = torch.tensor([rows], dtype=torch.float64)
    found = stabilise(values)[0].tolist()
    for row, result in zip(rows, found, strict=True):
        smallest = min((v for v in row if v > 0), default=float("inf"))
        assert result == [v if v > 0 else smallest for v in row]


def test_every_subset_of_signals_can_be_asked_for() -> None:
    network, x = make([8], 4, LIF(), 1)
    names = network.populations()["fc1/E"].signals
    for pair in itertools.combinations(names, 2):
        assert set(network.run(x, 2, {"fc1/E": frozenset(pair)}).signals["fc1/E"]) == set(pair)
