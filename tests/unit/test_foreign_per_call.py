"""What weights contribute per call is a current; what is added up downstream is state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from eiplatform.errors import EIPlatformError, SumRuleError
from eiplatform.foreign import ForeignNetwork, Neuron, adapt
from eiplatform.foreign import flow as flow_module
from eiplatform.foreign.current import Current, Term
from eiplatform.foreign.event import Event
from eiplatform.foreign.recorder import Keeper
from tests.unit.test_foreign_currents import everything

T = 6


class Net(nn.Module):
    """Modules by name, and a function that runs them."""

    def __init__(self, run: Callable[[Any, Tensor], Any], **parts: Any) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


def by_hand(weight: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return excitation and inhibition, synapse by synapse."""
    each = weight.detach() * x.unsqueeze(-2)
    return each.clamp(min=0).sum(-1), (-each).clamp(min=0).sum(-1)


def assert_is(signals: dict[str, Tensor], weight: Tensor, x: Tensor, part: str = "") -> None:
    exc, inh = by_hand(weight, x)
    torch.testing.assert_close(signals[f"current_exc{part}"], exc, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(signals[f"current_inh{part}"], inh, rtol=1e-5, atol=1e-5)


def _list(net: Any, made: list[Tensor]) -> Any:
    return torch.stack(made)


READOUTS: dict[str, Callable[[Any, list[Tensor]], Any]] = {
    "listed": _list,
    "sum of a list": lambda net, made: sum(made),
    "mean of a stack": lambda net, made: torch.stack(made, 1).mean(1),
    "last": lambda net, made: made[-1],
    "leaky": lambda net, made: _leaky(made, 0),
    "leaky from a tensor": lambda net, made: _leaky(made, torch.zeros_like(made[0])),
    "scaled in place": lambda net, made: _in_place(made),
}


def _leaky(made: list[Tensor], out: Any) -> Any:
    for one in made:
        out = 0.8 * out + one
    return out


def _in_place(made: list[Tensor]) -> Tensor:
    out = torch.zeros_like(made[0])
    for one in made:
        out.mul_(0.8).add_(one)
    return out


@pytest.mark.parametrize("readout", READOUTS)
def test_a_readout_is_recorded_per_step_however_it_is_added_up(readout: str) -> None:
    fired: list[Tensor] = []

    def run(net: Any, x: Tensor) -> Any:
        mem, made = torch.zeros(x.shape[0], 5), []
        fired.clear()
        for _ in range(T):
            mem = 0.9 * mem + net.a(x)
            spikes = (mem > 0.3).float()
            mem = mem - 0.3 * spikes
            fired.append(spikes)
            made.append(net.b(spikes))
        return READOUTS[readout](net, made)

    torch.manual_seed(1)
    net, x = (
        Net(run, a=nn.Linear(4, 5), b=nn.Linear(5, 3, bias=False)),
        torch.rand(T, 4) * 2,
    )  # as many samples as steps
    network = adapt(net, x[:2])
    assert (network.time, network.steps) == ("inside", T)
    signals = everything(network, x)
    assert_is(signals["b"], net.b.weight, torch.stack(fired))
    assert_is(signals["a"], net.a.weight, x.expand(T, T, 4))


def test_axes_are_never_told_by_their_lengths() -> None:
    def run(net: Any, x: Tensor) -> Tensor:
        mem, outs = 0, []
        for _ in range(T):
            mem = 0.9 * mem + net.c(x)
            outs.append((mem > 0.5).float())
        return torch.stack(outs)

    net = Net(run, c=nn.Conv2d(1, T, 3))
    x = torch.rand(T, 1, T + 2, T + 2)  # samples, channels, rows and columns are as many as steps
    network = adapt(net, x)
    assert network.populations()["c"].shape == (T, T, T)
    drive = everything(network, x)["c"]["drive"]
    torch.testing.assert_close(drive, net.c(x).detach().expand(T, *drive.shape[1:]))


@pytest.mark.parametrize("backwards", [False, True])
def test_a_loop_that_runs_backwards_is_refused(backwards: bool) -> None:
    def run(net: Any, x: Tensor) -> Tensor:
        mem, outs = torch.zeros(x.shape[1], 5), []
        for frame in x.flip(0) if backwards else x:
            mem = 0.9 * mem + net.fc(frame)
            outs.append(mem)
        return torch.stack(outs)

    torch.manual_seed(2)
    net, x = Net(run, fc=nn.Linear(4, 5)), torch.rand(T, 3, 4)
    if backwards:
        with pytest.raises(EIPlatformError, match="backwards"):
            adapt(net, x)
        return
    network = adapt(net, x)
    assert (network.time, network.time_axis) == ("sequence", 0)
    assert_is(everything(network, x)["fc"], net.fc.weight, x)


def test_merged_axes_in_another_order_are_refused() -> None:
    def run(net: Any, x: Tensor, first: bool = False) -> Tensor:
        return net.fc(x.transpose(0, 1).flatten(0, 1))  # samples first, though time comes first

    with pytest.raises(EIPlatformError, match="samples do not change places"):
        adapt(Net(run, fc=nn.Linear(4, 5)), torch.rand(T, 3, 4), time="sequence")


def test_the_order_of_axes_is_the_same_for_adapt_and_run_or_refused() -> None:
    net, x = nn.RNN(4, 5, batch_first=True), torch.rand(3, T, 4)
    network = adapt(net, x, time_axis=1).eval()
    wanted = {"rnn": frozenset({"drive"})}
    with pytest.raises(EIPlatformError, match="time_axis=1"):
        network.run(x, record=wanted)
    first = network.run(x, record=wanted, time_axis=1).signals["rnn"]["drive"]
    assert torch.equal(first, network.run(x.transpose(0, 1), record=wanted).signals["rnn"]["drive"])
    with pytest.raises(EIPlatformError, match="time_axis is 0"):
        adapt(net, x, time_axis=0)


class Lif(nn.Module):
    """A neuron with a rule of its own."""

    def __init__(self, rule: Callable[[Any, Tensor], Tensor], **parts: Any) -> None:
        super().__init__()
        self.rule = rule
        self.u: Any = 0.0
        self.s: Any = None
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        self.s = torch.zeros(x.shape[0], 5) if self.s is None else self.s
        u = self.rule(self, x)
        self.s = (u >= 0.5).float()
        self.u = u - 0.5 * self.s
        return self.s


def _fresh(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, Lif):
            part.u, part.s = 0.0, None


def lif(rule: Callable[[Any, Tensor], Tensor], **parts: Any) -> tuple[nn.Module, ForeignNetwork]:
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(4, 5), Lif(rule, w=nn.Parameter(torch.randn(5, 5)), **parts))
    options = {"neurons": {"1": Neuron(voltage="u", spikes="output")}, "reset": _fresh, "steps": T}
    return net, adapt(net, torch.rand(3, 4) * 2, **options)


MASK = (torch.arange(25).reshape(5, 5) % 3 > 0).float()

RECURRENT: dict[str, tuple[Callable[[Any, Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "matmul": (lambda n, x: 0.9 * n.u + x + n.s @ n.w.T, lambda w: w),
    "added first": (lambda n, x: 0.9 * n.u + 0.3 * (x + n.s @ n.w.T), lambda w: w),
    "addmm": (lambda n, x: torch.addmm(0.9 * n.u + x, n.s, n.w.T), lambda w: w),
    "baddbmm": (
        lambda n, x: torch.baddbmm((0.9 * n.u + x)[None], n.s[None], n.w.T[None])[0],
        lambda w: w,
    ),
    "einsum": (lambda n, x: 0.9 * n.u + x + torch.einsum("bi,oi->bo", n.s, n.w), lambda w: w),
    "masked": (lambda n, x: 0.9 * n.u + x + n.s @ (n.w * MASK).T, lambda w: w * MASK),
    "twice, to reset": (
        lambda n, x: (0.9 * n.u + x + n.s @ n.w.T) - n.s * (0.9 * n.u + x + n.s @ n.w.T),
        lambda w: w,
    ),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_products_inside_neurons(name: str) -> None:
    rule, effective = RECURRENT[name]
    net, network = lif(rule)
    x = torch.rand(4, 4) * 2
    signals = everything(network, x)["1"]
    spikes = signals["spikes"]
    assert 0.05 < spikes.mean() < 0.95
    before = torch.cat([torch.zeros_like(spikes[:1]), spikes[:-1]])
    assert_is(signals, effective(net[1].w), before, "_recurrent")
    assert_is(signals, net[0].weight, x.expand(T, 4, 4), "_external")
    total = signals["current_exc_recurrent"] + signals["current_exc_external"]
    torch.testing.assert_close(signals["current_exc"], total)


NOT_ADDED: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "subtracted": lambda n, x: 0.9 * n.u + x - n.s @ n.w.T,
    "scaled": lambda n, x: 0.9 * n.u + x + 0.5 * (n.s @ n.w.T),
    "gated": lambda n, x: 0.9 * n.u + x + n.s * (n.s @ n.w.T),
    "squashed": lambda n, x: 0.9 * n.u + x + torch.tanh(n.s @ n.w.T),
    "of a function of the input": lambda n, x: 0.9 * n.u + torch.relu(x) @ n.w.T,
    "written as a sum": lambda n, x: 0.9 * n.u + (x[:, None] * n.w).sum(-1),
}


@pytest.mark.parametrize("name", NOT_ADDED)
def test_what_weights_inside_neurons_do_otherwise_is_refused_by_name(name: str) -> None:
    net, network = lif(NOT_ADDED[name])
    assert network.populations()["1"].signals == ("voltage", "spikes")
    lacking = {what for entry in network.probe().missing if entry.name == "1" for what in entry.what.split(", ")}
    assert lacking == {"current_exc", "current_inh", "current_net", "drive"}
    x = torch.rand(4, 4) * 2
    assert_is(everything(network, x)["0"], net[0].weight, x.expand(T, 4, 4))  # what comes before is not lost


def test_own_weights_replace_the_input() -> None:
    net, network = lif(lambda n, x: 0.9 * n.u + x @ n.w.T)
    x = torch.rand(4, 4) * 2
    signals = everything(network, x)
    assert_is(signals["1"], net[1].w, signals["0"]["drive"])


def test_two_currents_for_one_module_of_neurons_are_refused() -> None:
    class Two(nn.Module):
        def forward(self, exc: Tensor, inh: Tensor) -> Tensor:
            return ((exc - inh) > 0).float()

    net = Net(lambda n, x: n.l(n.a(x), n.b(x)), a=nn.Linear(4, 5), b=nn.Linear(4, 5), l=Two())
    network = adapt(net, torch.rand(3, 4), neurons={"l": Neuron(spikes="output")}, time="static")
    assert "current_exc" not in network.populations()["l"].signals
    assert any("first argument" in entry.why for entry in network.probe().missing)


def test_branches_without_a_module_are_in_the_account() -> None:
    net = Net(
        lambda n, x: torch.relu(torch.addmm(n.fc(x), x, n.w) + torch.einsum("bi,io->bo", x @ n.u, n.v)),
        fc=nn.Linear(4, 5),
        w=nn.Parameter(torch.randn(4, 5)),
        u=nn.Parameter(torch.randn(4, 2)),
        v=nn.Parameter(torch.randn(2, 5)),
    )
    x = torch.rand(3, 4)
    network = adapt(net, x)
    signals = everything(network, x)
    parts = [by_hand(w, v) for w, v in ((net.fc.weight, x), (net.w.T, x), (net.v.T, (x @ net.u).detach()))]
    torch.testing.assert_close(signals["fc"]["current_exc"][0], sum(exc for exc, _ in parts), rtol=1e-5, atol=1e-5)
    assert {path.name for path in network.pathways() if path.layer == "fc" and path.sign == "+"} == {"fc", "w", "v"}


def test_weights_used_side_by_side_are_no_loop() -> None:
    net = Net(
        lambda n, x: n.out(torch.relu(sum(n.fc(x[:, k]) for k in range(3)))), fc=nn.Linear(4, 5), out=nn.Linear(5, 2)
    )
    x = torch.rand(3, 3, 4)
    network = adapt(net, x)
    assert (network.time, list(network.populations())) == ("static", ["fc", "fc@2", "fc@3", "out"])
    signals = everything(network, x)
    for k, name in enumerate(("fc", "fc@2", "fc@3")):
        assert_is(signals[name], net.fc.weight, x[None, :, k])


def test_what_only_watches_changes_nothing() -> None:
    def run(net: Any, x: Tensor) -> Tensor:
        h = net.a(x)
        net.seen = float(h.detach().abs().max())
        net.spread = h.view(-1).std()
        return net.b(torch.relu(h))

    net, x = Net(run, a=nn.Linear(4, 5), b=nn.Linear(5, 2), seen=0.0, spread=None), torch.rand(3, 4)
    infos = adapt(net, x).populations()
    assert list(infos) == ["a", "b"] and "activity" in infos["a"].signals
    assert net.seen == 0.0 and net.spread is None


def test_a_part_changed_in_place_leaves_the_product() -> None:
    def run(net: Any, x: Tensor) -> Tensor:
        h = net.a(x)
        h[:, :2] *= x[:, :2]
        return net.b(torch.relu(h))

    net, x = Net(run, a=nn.Linear(4, 5), b=nn.Linear(5, 2)), torch.rand(3, 4)
    signals = everything(adapt(net, x), x)
    assert "activity" not in signals["a"]
    assert_is(signals["a"], net.a.weight, x[None])


def test_weights_that_are_not_finite_are_named() -> None:
    net, x = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)), torch.rand(3, 4)
    network = adapt(net, x).eval()
    with torch.no_grad():
        net[2].weight[0, 0] = float("nan")
    with pytest.raises(EIPlatformError, match=r"2\.weight: 1 of its 10 numbers are NaN") as caught:
        adapt(net, x)
    assert not isinstance(caught.value, SumRuleError)
    with pytest.raises(EIPlatformError, match="not finite") as caught:
        network.run(x, record={"2": frozenset({"current_exc"})})
    assert not isinstance(caught.value, SumRuleError)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_wrappers_are_taken_off() -> None:
    inner, x = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)), torch.rand(3, 4)
    assert list(adapt(nn.DataParallel(inner), x).populations()) == ["0", "2"]
    assert list(adapt(torch.compile(inner), x).populations()) == ["0", "2"]


# -- the independent check: whatever the tracer gets wrong is refused


def _spoil(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Current], Current]) -> None:
    real = flow_module.Flow.carry

    def carry(self: Any, *args: Any) -> list[Current] | None:
        found = real(self, *args)
        return None if found is None else [spoil(one) for one in found]

    monkeypatch.setattr(flow_module.Flow, "carry", carry)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_equal_parts_too_much_are_found_by_the_check_alone(monkeypatch: pytest.MonkeyPatch, shift: float) -> None:
    net, x = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.ReLU(), nn.Linear(32, 2)), torch.rand(3, 1, 6, 6)
    network = adapt(net, x).eval()

    def spoil(current: Current) -> Current:
        current.terms = {
            name: term and Term(term.exc + shift, term.inh + shift) for name, term in current.terms.items()
        }
        return current

    _spoil(monkeypatch, spoil)
    wanted = {"0": frozenset({"current_exc"})}
    if not shift:
        network.run(x, record=wanted)
        return
    with pytest.raises(SumRuleError, match="computed again"):  # exc - inh is right: the sum rule finds nothing
        network.run(x, record=wanted)


def test_another_call_is_found_by_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(net: Any, x: Tensor) -> Tensor:
        h = torch.zeros(x.shape[1], 5)
        for frame in x:
            h = torch.tanh(net.a(frame).view(-1, 5) + net.b(h))
        return h

    net, x = Net(run, a=nn.Linear(4, 5), b=nn.Linear(5, 5)), torch.rand(T, 3, 4)
    network = adapt(net, x, time="sequence").eval()

    def spoil(current: Current) -> Current:
        current.calls = {name: max(0, int(call) - 1) if name == "a" else call for name, call in current.calls.items()}  # type: ignore[arg-type]
        return current

    _spoil(monkeypatch, spoil)
    with pytest.raises(SumRuleError, match="computed again"):
        network.run(x, record={"a": frozenset({"current_exc"})})


@pytest.mark.parametrize("exchanged", [True, False])
@pytest.mark.parametrize("weights", ["0", "1.w"])
def test_excitation_and_inhibition_exchanged_are_found_by_the_check_alone(
    monkeypatch: pytest.MonkeyPatch, weights: str, exchanged: bool
) -> None:
    net, network = lif(lambda n, x: 0.9 * n.u + x + n.s @ n.w.T)
    real = Keeper.__call__

    def spoilt(self: Keeper, event: Event) -> None:
        if event.neuron is not None and event.current is not None:
            exc, inh = event.current.terms[weights]
            if exchanged:  # in the parts and in the drive alike: the sum rule finds nothing
                event.current.terms[weights] = Term(inh, exc)
                event = event._replace(drive=event.drive - 2 * (exc - inh))
        real(self, event)

    monkeypatch.setattr(Keeper, "__call__", spoilt)
    wanted = {"1": frozenset({"current_exc", "current_inh"})}
    if not exchanged:
        network.eval().run(torch.rand(4, 4) * 2, record=wanted)
        return
    with pytest.raises(SumRuleError, match="computed again"):
        network.eval().run(torch.rand(4, 4) * 2, record=wanted)
