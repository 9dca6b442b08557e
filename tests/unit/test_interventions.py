"""Interventions against known answers: weights by hand, moments of the intact network, restoration bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import eiplatform as ei
from eiplatform.config import load_config
from eiplatform.errors import ConfigError, UnknownNameError
from eiplatform.interventions.checking import check
from eiplatform.interventions.intervention import intervention_from, kinds
from eiplatform.networks import Network, build_network, initialise_network
from eiplatform.networks.intervening import UnchangedWarning, intact

SUB = "I->E subtractive"
SIGNED = "input->E subtractive"
Signals = dict[str, dict[str, torch.Tensor]]

MAPS = ["network.architecture=cnn", "network.channels=[8,'P',8]"]
LOOP = ["network.architecture=feedback", "network.feedback.layers=12(F12)"]
MAKERS: dict[str, tuple[list[str], tuple[int, ...], str]] = {
    "ei": (["network.hidden=[12,8]"], (20,), SUB),
    "ei-cnn": (MAPS, (1, 8, 8), SUB),
    "bn": (["network.layer=bn", "network.hidden=[12,8]"], (20,), SIGNED),
    "none-cnn": ([*MAPS, "network.layer=none"], (1, 8, 8), SIGNED),
    "dann": (["network.layer=dann", "network.neuron.model=relu", "network.hidden=[12,8]"], (20,), SUB),
    "feedback": ([*LOOP, "network.layer=none"], (20,), SIGNED),
    "feedback-ei": ([*LOOP, "network.layer=ei"], (20,), SUB),
}  # fmt: skip


def _make(name: str, samples: int = 7) -> tuple[Network, torch.Tensor]:
    settings, shape, _ = MAKERS[name]
    network = build_network(load_config(None, settings), shape, 4).double().eval()
    random = torch.Generator().manual_seed(3)
    x = torch.rand(samples, *shape, generator=random, dtype=torch.float64)
    with torch.no_grad():
        initialise_network(network, x, torch.Generator().manual_seed(1))
        for layer in network.named_layers().values():  # neurons of E-I layers start alike
            if "weight_inh_out" in dict(layer.named_parameters()):
                weight = layer.get_parameter("weight_inh_out")
                weight.mul_(torch.rand(weight.shape, generator=random, dtype=torch.float64) + 0.5)
    return network, x


@pytest.fixture(params=list(MAKERS))
def made(request: pytest.FixtureRequest) -> tuple[str, Network, torch.Tensor]:
    return request.param, *_make(request.param)


def _run(network: Network, x: torch.Tensor, steps: int | None = None) -> tuple[torch.Tensor, Signals]:
    record = {name: frozenset(info.signals) for name, info in network.populations().items()}
    with torch.no_grad():
        output = network.run(x, steps, record)
    return output.logits, output.signals


def _first(network: Network, pathway: str) -> str:
    return next(path.layer for path in network.pathways() if path.name == pathway)


def _net(signals: Signals, layer: str) -> torch.Tensor:
    return signals[f"{layer}/E"]["current_net"].flatten(2)


def test_without_inhibition_the_net_current_is_the_excitation_bit_for_bit() -> None:
    for name in ("ei", "ei-cnn", "dann"):
        network, x = _make(name)
        with network.intervene(ei.Scale(SUB, 0)):
            _, signals = _run(network, x)
        for data in (values for key, values in signals.items() if key.endswith("/E")):
            assert (data["current_inh"] == 0).all() and torch.equal(data["current_net"], data["current_exc"])


ALL: list[Callable[[str, str], Any]] = [
    lambda p, _: ei.Scale(p, 0.5),
    lambda p, _: ei.Scale(p, 1.5, steps=slice(1, 3)),
    lambda p, _: ei.Scale(p, 0.0, neurons=[0, 2], samples=[1, 4]),
    lambda p, _: ei.Mean(p),
    lambda p, _: ei.Mean(p, per_step=True, fraction=0.5),
    lambda p, _: ei.Mean(p, 0.25),
    lambda p, _: ei.MeanShift(p, 0.5),
    lambda p, _: ei.MeanShift(p, -0.5),
    lambda _, layer: ei.Bias(0.5, layers=layer),
    lambda p, _: ei.Resample(p),
    lambda p, _: ei.ShuffleNeurons(p),
    lambda p, _: ei.Noise(p, 0.5),
    lambda p, _: ei.Delay(p, 2),
    lambda p, _: ei.Clamp(p, 0.3),
    lambda _, layer: ei.Add(f"{layer}/E", 0.4, fraction=0.5),
    lambda _, layer: ei.Add(f"{layer}/E", -0.4),
    lambda _, layer: ei.Add(f"{layer}/E", 0.5, unit="mean"),
    lambda _, layer: ei.Silence(f"{layer}/E", fraction=0.5),
    lambda _, layer: ei.Silence(f"{layer}/E", range(8), cuts="both"),
    lambda _, layer: ei.Silence(f"{layer}/E", fraction=0.5, cuts="incoming"),
]  # fmt: skip


@pytest.mark.parametrize("make", ALL)
def test_every_kind_changes_something_and_is_taken_back_bit_for_bit(
    made: tuple[str, Network, torch.Tensor], make: Callable[[str, str], Any]
) -> None:
    name, network, x = made
    pathway = MAKERS[name][2]
    one = make(pathway, _first(network, pathway))
    before, intact_signals = _run(network, x, 5)
    weights = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(RuntimeError), network.intervene(one):
        _, during = _run(network, x, 5)
        raise RuntimeError
    changed = [
        (population, signal)
        for population, data in intact_signals.items()
        for signal, values in data.items()
        if not torch.equal(values, during[population][signal])
    ]
    assert changed, one
    for population, data in during.items():  # the sum rule holds whatever is changed
        if population.endswith("/E"):
            torch.testing.assert_close(data["current_net"], data["current_exc"] - data["current_inh"])
            assert (data["current_exc"] >= 0).all() and (data["current_inh"] >= 0).all()
    after, signals = _run(network, x, 5)
    assert torch.equal(before, after)
    assert all(torch.equal(v, signals[p][s]) for p, data in intact_signals.items() for s, v in data.items())
    assert all(torch.equal(value, weights[key]) for key, value in network.state_dict().items())
    assert network.prepare is None and network.interventions == ()
    assert all(layer.lesion is None and layer.edits is None for layer in network.named_layers().values())


def test_where_it_does_not_act_nothing_changes_in_a_single_bit(made: tuple[str, Network, torch.Tensor]) -> None:
    name, network, x = made
    pathway = MAKERS[name][2]
    _, before = _run(network, x, 5)
    layer = _first(network, pathway)
    with network.intervene(ei.Scale(pathway, 0.3, steps=(2, 4), samples=[1, 3], neurons=[0], layers=layer)):
        _, after = _run(network, x, 5)
    others = [0, 2, 4, 5, 6]
    for population, data in before.items():
        for signal, values in data.items():
            assert torch.equal(values[:, others], after[population][signal][:, others]), (population, signal)
            assert torch.equal(values[:2], after[population][signal][:2]), (population, signal)
    inhibition = [signals[f"{layer}/E"]["current_inh"].flatten(2) for signals in (before, after)]
    if not name.startswith("feedback"):
        assert torch.equal(inhibition[0][:, :, 1:], inhibition[1][:, :, 1:])
        torch.testing.assert_close(inhibition[1][2:4, [1, 3], 0], 0.3 * inhibition[0][2:4, [1, 3], 0])


def test_an_edit_is_the_factor_on_the_weights(made: tuple[str, Network, torch.Tensor]) -> None:
    name, network, x = made
    pathway = MAKERS[name][2]
    with network.intervene(ei.Scale(pathway, 0.5)):
        logits, _ = _run(network, x, 5)
    with network.intervene(ei.Scale(pathway, 0.5, samples=range(7))):
        edited, _ = _run(network, x, 5)
    torch.testing.assert_close(edited, logits)


@pytest.mark.parametrize("name", ["ei", "ei-cnn", "bn", "none-cnn"])
def test_means_and_variances_follow_from_the_intact_network(name: str) -> None:
    """Section 2.1: from means and covariances by numpy, without the code of any intervention."""
    network, x = _make(name, 40)
    pathway = MAKERS[name][2]
    layer = list(network.named_layers())[1]  # its input changes in time
    _, signals = _run(network, x, 6)
    exc, inh = (signals[f"{layer}/E"][s].flatten(2).numpy() for s in ("current_exc", "current_inh"))
    v_e, v_i, m_e, m_i = exc.var((0, 1)), inh.var((0, 1)), exc.mean((0, 1)), inh.mean((0, 1))
    cov = ((exc - m_e) * (inh - m_i)).mean((0, 1))

    def net(one: Any) -> tuple[np.ndarray, np.ndarray]:
        with network.intervene(one):
            values = _net(_run(network, x, 6)[1], layer).numpy()
        return values.mean((0, 1)), values.var((0, 1))

    close = {"rtol": 1e-6, "atol": 1e-9}
    for dose in (0.4, -0.4):  # the mean moves as under the lesion, the variance stays
        mean, variance = net(ei.MeanShift(pathway, dose, layers=layer))
        np.testing.assert_allclose(mean, m_e - (1 - dose) * m_i, **close)
        np.testing.assert_allclose(variance, v_e + v_i - 2 * cov, **close)
    mean, variance = net(ei.Mean(pathway, 0.3, layers=layer))  # the mean stays, the variance is that of the lesion
    np.testing.assert_allclose(mean, m_e - m_i, **close)
    np.testing.assert_allclose(variance, v_e + 0.49 * v_i - 1.4 * cov, **close)
    for factor in (0.0, 0.4, 1.7):
        mean, variance = net(ei.Scale(pathway, factor, layers=layer))
        np.testing.assert_allclose(mean, m_e - factor * m_i, **close)
        np.testing.assert_allclose(variance, v_e + factor**2 * v_i - 2 * factor * cov, **close)
    mean, variance = net(ei.Mean(pathway, layers=layer))
    np.testing.assert_allclose(mean, m_e - m_i, **close)
    np.testing.assert_allclose(variance, v_e, **close)
    # Over all partners (cyclic shifts, the sample itself among them) the covariance with other samples cancels.
    shifted = np.stack([np.roll(inh, shift, 1) for shift in range(inh.shape[1])])
    over_all = ((exc - m_e) * (shifted - m_i)).mean((0, 1, 2))
    mean_over_steps = ((exc.mean(1) - m_e) * (inh.mean(1) - m_i)).mean(0)
    np.testing.assert_allclose(over_all, mean_over_steps, rtol=1e-6, atol=1e-9)
    mean, variance = net(ei.Resample(pathway, layers=layer))
    partner = np.roll(inh, 1, 1)
    np.testing.assert_allclose(mean, m_e - m_i, **close)
    np.testing.assert_allclose(variance, v_e + v_i - 2 * ((exc - m_e) * (partner - m_i)).mean((0, 1)), **close)
    late = np.zeros_like(inh)
    late[2:] = inh[:-2]
    mean, variance = net(ei.Delay(pathway, 2, layers=layer))
    np.testing.assert_allclose(mean, m_e - late.mean((0, 1)), **close)
    np.testing.assert_allclose(variance, (exc - late).var((0, 1)), **close)
    mean, variance = net(ei.Clamp(pathway, 0.25, layers=layer))
    np.testing.assert_allclose(mean, m_e - 0.25, **close)
    np.testing.assert_allclose(variance, v_e, **close)
    shuffle = ei.ShuffleNeurons(pathway, layers=layer)
    order = shuffle.order(shuffle.places(network)[0])
    assert sorted(order) == list(range(len(order))) and (order != np.arange(len(order))).all()
    cross = ((exc - m_e) * (inh[..., order] - m_i[order])).mean((0, 1))
    mean, variance = net(shuffle)
    np.testing.assert_allclose(mean, m_e - m_i[order], **close)
    np.testing.assert_allclose(variance, v_e + v_i[order] - 2 * cross, **close)


def test_shuffling_neurons_keeps_the_variance_where_own_and_cross_correlation_are_equal() -> None:
    network, x = _make("ei", 40)
    with torch.no_grad():  # one I neuron inhibits all E neurons alike: own inhibition is everybody's
        network.named_layers()["fc1"].get_parameter("weight_inh_out").fill_(0.2)
    _, before = _run(network, x)
    with network.intervene(ei.ShuffleNeurons(SUB, layers="fc1")):
        _, after = _run(network, x)
    torch.testing.assert_close(_net(before, "fc1"), _net(after, "fc1"), rtol=1e-12, atol=1e-12)
    with pytest.warns(UnchangedWarning, match="changed nothing"):
        pair = (torch.rand(4, 20), torch.arange(4))
        with network.float().intervene(ei.Freeze("fc1/E")), pytest.raises(ConfigError):
            ei.record(network, pair, quiet=True, samples=["x"])  # a message of its own, before any check
        with network.intervene(ei.Scale(SUB, 1.0)):
            ei.record(network, pair, quiet=True)


def test_noise_keeps_the_mean_and_adds_its_variance() -> None:
    network, x = _make("ei", 60)
    _, before = _run(network, x, 20)
    drawn = []
    for seed in range(1, 9):
        with network.intervene(ei.Noise(SUB, 0.8, layers="fc2", seed=seed)):
            drawn.append(_run(network, x, 20)[1]["fc2/E"]["current_inh"])
    inh = before["fc2/E"]["current_inh"]
    noise = torch.stack(drawn) - inh
    sd = inh.std((0, 1), correction=0)
    error = 5 * 0.8 * sd / np.sqrt(len(drawn) * 20 * 60)
    assert (noise.mean((0, 1, 2)).abs() < error).all()
    torch.testing.assert_close((noise**2).mean((0, 1, 2)).sqrt() / sd, torch.full_like(sd, 0.8), rtol=0.06, atol=0)
    with network.intervene(ei.Noise(SUB, 0.8, layers="fc2", seed=1)):
        some = _run(network, x[:10], 20)[1]["fc2/E"]["current_inh"]
    assert some.shape[1] == 10 and not torch.equal(some, drawn[0][:, :10])  # another sd, of ten samples


def test_freezing_opens_the_loop() -> None:
    for name, upstream in (("ei", "fc1"), ("feedback-ei", "fc1")):
        network, x = _make(name)
        layer = "fc2" if name == "ei" else "fc1"
        _, before = _run(network, x, 5)
        signal = "current_inh" if name == "ei" else "current_inh_recurrent"
        with network.intervene(ei.Scale("input->E", 1.5, layers=upstream)):
            _, closed = _run(network, x, 5)
            with network.intervene(ei.Freeze(SUB, layers=layer)):
                _, opened = _run(network, x, 5)
        assert not torch.equal(closed[f"{layer}/E"][signal], before[f"{layer}/E"][signal])
        assert torch.equal(opened[f"{layer}/E"][signal], before[f"{layer}/E"][signal])


def test_silence_cuts_what_it_says() -> None:
    network, x = _make("ei")
    weight = network.named_layers()["fc2"].get_parameter("weight_exc")
    _, before = _run(network, x, 5)
    chosen = np.zeros(12, bool)
    chosen[[0, 3, 5]] = True
    kept = torch.from_numpy(~chosen).double()
    with network.intervene(ei.Silence("fc1/E", chosen)):
        _, after = _run(network, x, 5)
    assert torch.equal(after["fc1/E"]["spikes"], before["fc1/E"]["spikes"])  # they fire, and nobody notices
    torch.testing.assert_close(after["fc2/E"]["current_exc"], (before["fc1/E"]["spikes"] * kept) @ weight.T)
    with network.intervene(ei.Silence("fc1/E", chosen, cuts="incoming")):
        _, after = _run(network, x, 5)
    for signal in ("current_exc", "current_inh"):
        assert (after["fc1/E"][signal][..., chosen] == 0).all()
        assert torch.equal(after["fc1/E"][signal][..., ~chosen], before["fc1/E"][signal][..., ~chosen])
    mask = torch.ones(3, dtype=torch.float64)
    mask[1] = 0
    out = network.named_layers()["fc1"].get_parameter("weight_inh_out")
    for one in (ei.Silence("fc1/I", [1]), ei.Silence("fc1/I", [1], steps=(0, 9))):  # in the weights, and as an edit
        with network.intervene(one):
            _, after = _run(network, x, 5)
        torch.testing.assert_close(after["fc1/E"]["current_inh"], (before["fc1/I"]["activity"] * mask) @ out.T)


def test_neurons_are_silenced_by_their_tuning() -> None:
    network, x = _make("ei", 40)
    labels = np.arange(40) % 4
    tree = ei.record(network, (x.float().numpy(), labels), quiet=True)
    one = ei.Silence.tuned(tree, "fc1/E", 2, part=0.25, steps=(0, 3))
    rates = tree["fc1/E"]["spikes"].mean("time").transpose("sample", "neuron").values
    own, other = rates[labels == 2].mean(0), rates[labels != 2].mean(0)
    preference = np.where(own + other > 0, (own - other) / np.maximum(own + other, 1e-12), -1)
    best = sorted(int(n) for n in np.argsort(-preference)[:3] if preference[n] > 0)
    assert one.neurons == tuple(best) and (one.population, one.steps) == ("fc1/E", (0, 3))
    assert intervention_from(one.to_dict()) == one
    some = ei.record(network, (x.float().numpy(), labels), neurons=5, quiet=True)
    for tree_, population, label in ((tree, "fc1/E", 7), (some, "fc1/E", 2), (tree, "fc9/E", 2)):
        with pytest.raises((ConfigError, UnknownNameError)):
            ei.Silence.tuned(tree_, population, label)
    with pytest.raises(ConfigError):
        ei.Silence("fc1/I", [0], neurons=[1])


def test_biases_are_untouched() -> None:
    network, x = _make("ei")
    with torch.no_grad():
        network.named_layers()["fc1"].get_parameter("bias").fill_(0.7)
    with network.intervene(ei.Scale("input->E", 0), ei.Scale(SUB, 0)):
        _, signals = _run(network, x)
    assert (signals["fc1/E"]["drive"] == 0.7).all()


def test_adding_current_shifts_the_net_input_by_as_much() -> None:
    network, x = _make("ei")
    _, before = _run(network, x)
    mean = before["fc1/E"]["current_exc"].mean()
    for one, shift in (
        (ei.Add("fc1/E", 0.5), 0.5),
        (ei.Add("fc1/E", -0.5), -0.5),
        (ei.Add("fc1/E", 0.1, unit="mean"), 0.1 * mean),
    ):
        with network.intervene(one):
            _, after = _run(network, x)
        torch.testing.assert_close(_net(after, "fc1") - _net(before, "fc1"), torch.full_like(_net(after, "fc1"), shift))
    half = ei.Add("fc1/E", 0.5, fraction=0.5)
    with network.intervene(half):
        _, after = _run(network, x)
    moved = (_net(after, "fc1") - _net(before, "fc1")).abs().amax((0, 1)) > 0
    assert moved.sum() == 6 and np.array_equal(np.flatnonzero(moved), half.chosen(half.places(network)[0]))


def test_order_nesting_and_composition() -> None:
    network, x = _make("ei")
    _, before = _run(network, x, 4)
    inh = before["fc1/E"]["current_inh"]
    mean = inh.mean((0, 1)).expand_as(inh)
    cases: list[tuple[tuple[Any, ...], torch.Tensor]] = [
        ((ei.Scale(SUB, 0.5, layers="fc1"), ei.Scale(SUB, 0.5, layers="fc1")), 0.25 * inh),
        ((ei.Mean(SUB, layers="fc1"), ei.Scale(SUB, 0.5, layers="fc1")), 0.5 * mean),
        ((ei.Scale(SUB, 0.5, layers="fc1"), ei.Mean(SUB, layers="fc1")), mean),
        ((ei.Scale(SUB, 0.5, layers="fc1"), ei.Scale(SUB, 0.5, layers="fc1", steps=(0, 2))), None),
    ]  # type: ignore[list-item]
    for interventions, expected in cases:
        with network.intervene(*interventions):
            _, together = _run(network, x, 4)
        with network.intervene(interventions[0]), network.intervene(interventions[1]):
            assert len(network.interventions) == 2
            _, nested = _run(network, x, 4)
        found = together["fc1/E"]["current_inh"]
        torch.testing.assert_close(found, nested["fc1/E"]["current_inh"])
        if expected is None:
            expected = torch.cat([0.25 * inh[:2], 0.5 * inh[2:]])
        torch.testing.assert_close(found, expected)


EXAMPLES: Mapping[str, Any] = {
    "Scale": ei.Scale(SUB, 0.5, layers="fc1", steps=slice(1, None)),
    "Silence": ei.Silence("fc1/I", [0, 2], cuts="both"),
    "Mean": ei.Mean(SUB, 0.5, per_step=True),
    "MeanShift": ei.MeanShift(SUB, 0.2),
    "Bias": ei.Bias([0.1, 0.2], layers="fc1"),
    "Resample": ei.Resample(SUB, seed=4),
    "ShuffleNeurons": ei.ShuffleNeurons(SUB, within="place"),
    "Noise": ei.Noise(SUB, 0.5, samples=[3, 1]),
    "Freeze": ei.Freeze("fc1/I"),
    "Delay": ei.Delay(SUB, 3),
    "Clamp": ei.Clamp("fc*/I", 0.5),
    "Add": ei.Add("fc1/E", -0.5, unit="mean", fraction=0.25),
    "RandomSynapseLoss": ei.RandomSynapseLoss(0.25, layers="fc*", seed=9),
}


def test_every_kind_is_a_value_that_survives_yaml() -> None:
    assert set(EXAMPLES) == set(kinds()) == set(ei.list("interventions"))
    for one in EXAMPLES.values():
        read = intervention_from(yaml.safe_load(yaml.safe_dump(one.to_dict())))
        assert read == one and hash(read) == hash(one) and repr(read) == repr(one)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (
            lambda n: n.intervene(ei.Scale("I->E subtractiv", 0.5)),
            "input->E, input->I, I->E subtractive, I->E divisive",
        ),
        (lambda n: n.intervene(ei.Mean("fc9/I")), "fc1/E"),
        (lambda n: n.intervene(ei.Silence("fc1/I", [99])), "0 to 2"),
        (lambda n: n.intervene(ei.Scale(SUB, 0.5, fraction=0.01, layers="fc1")), None),
        (lambda _: ei.Scale(SUB, -1), "0 or more"),
        (lambda _: ei.Scale("I->E divisive", 0), None),
        (lambda _: ei.Add(SUB, -1), None),
        (lambda _: ei.Delay(SUB, 0), "1 step or more"),
        (lambda _: ei.Scale(SUB, 0.5, steps=(3, 2)), None),
        (lambda _: ei.Scale(SUB, 0.5, neurons=[0], fraction=0.5), None),
        (lambda _: intervention_from({"kind": "Scal", "target": SUB}), "Scale"),
        (lambda _: intervention_from({"kind": "Scale", "target": SUB, "dose": 1}), "factor"),
        (lambda _: intervention_from({"kind": "Scale", "target": SUB, "factor": "much"}), None),
    ],
)
def test_bad_input_is_one_message(make: Callable[[Network], Any], names: str | None) -> None:
    network, _ = _make("ei")
    with pytest.raises((ConfigError, UnknownNameError)) as caught, make(network):
        pass
    assert names is None or names in (caught.value.valid or "")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["ei", "ei-cnn", "bn", "feedback-ei"])
def test_checks_predict_the_outcome_and_see_a_wrong_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = _make(name, 12)
    pathway = MAKERS[name][2]
    layer = _first(network, pathway)
    for make in ALL:
        result = check(network, make(pathway, layer), x, 5)
        assert result.changed
        if result.variance is not None and "Noise" not in result.intervention:
            assert result.variance[0] == pytest.approx(result.variance[1], rel=1e-6)
    if name == "ei":
        change = ei.Mean.change
        monkeypatch.setattr(ei.Mean, "change", lambda self, values, at: 1.01 * change(self, values, at))
        with pytest.raises(ei.EIPlatformError) as caught:
            check(network, ei.Mean(pathway, layers="fc2"), x, 5)
        assert "fault of eiplatform" in (caught.value.remedy or "")


def test_a_recording_says_what_was_done_and_refers_to_all_its_samples() -> None:
    network, _ = _make("ei")
    network = network.float()
    images = (torch.rand(30, 20, generator=torch.Generator().manual_seed(1)), torch.arange(30) % 4)
    whole = ei.record(network, images, quiet=True)
    mean = whole["fc2/E"]["current_inh"].mean(("sample", "time"))
    with network.intervene(ei.Mean(SUB, layers="fc2"), ei.Scale("input->E", 0.9, layers="fc1", samples=[29])):
        tree = ei.record(network, images, quiet=True, batch_samples=7)
        other = ei.record(network, images, quiet=True, batch_samples=30, backend="compiled")
    found = tree["fc2/E"]["current_inh"]
    np.testing.assert_allclose(found, mean.broadcast_like(found), rtol=1e-5)
    for population in ("fc1/E", "fc2/E"):
        np.testing.assert_allclose(tree[population]["drive"], other[population]["drive"], rtol=1e-4, atol=1e-5)
    lesions = tree.attrs["source"]["lesions"]
    assert [one["kind"] for one in lesions] == ["Mean", "Scale"]
    assert all(one["check"]["changed"] for one in lesions)
    assert intervention_from(lesions[1]["spec"]) == ei.Scale("input->E", 0.9, layers="fc1", samples=[29])
    with network.intervene(ei.Resample(SUB, layers="fc1", seed=5)):
        tree = ei.record(network, images, quiet=True, batch_samples=7)
    theirs = tree["fc1/E"]["current_inh"].values
    ours = whole["fc1/E"]["current_inh"].values
    partner = [next(j for j in range(30) if np.allclose(theirs[i], ours[j], rtol=1e-5)) for i in range(30)]
    assert sorted(partner) == list(range(30)) and all(i != j for i, j in enumerate(partner))


def test_the_intact_network_can_be_run_inside() -> None:
    network, x = _make("ei")
    before, _ = _run(network, x)
    with network.intervene(ei.Scale(SUB, 0.2)):
        during, _ = _run(network, x)
        with intact(network):
            inside, _ = _run(network, x)
        again, _ = _run(network, x)
    assert torch.equal(before, inside) and torch.equal(during, again) and not torch.equal(before, during)
