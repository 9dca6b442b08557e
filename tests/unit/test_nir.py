"""NIR graphs against loops over NIR's equations in NumPy, and against the frameworks that wrote them."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import eiplatform as ei
from eiplatform.config import load_config
from eiplatform.errors import ConfigError, EIPlatformError, MissingDependencyError, StoreError, UnknownNameError
from eiplatform.foreign.nir.order import delayed_edges
from eiplatform.networks import Network, build_network, initialise_network
from tests.unit.test_foreign_frameworks import package

nir = pytest.importorskip("nir", minversion="1.0.6")
T, B = 40, 4
DT = 1e-3
RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """Draw the same whichever tests run."""
    RNG.bit_generator.state = np.random.default_rng(3).bit_generator.state


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Leave the frameworks' own warnings alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def ends(n_in: int, n_out: int, **nodes: Any) -> dict[str, Any]:
    return {"input": nir.Input(np.array([n_in])), **nodes, "output": nir.Output(np.array([n_out]))}


def recorded(graph: Any, x: np.ndarray, **options: Any) -> Any:
    return ei.record(ei.read_nir(graph, **{"dt": DT, **options}), x.astype(np.float32), steps=T, quiet=True)


# Against the equations


def fields(n: int, kind: str) -> dict[str, np.ndarray]:
    """Return different constants for every neuron."""
    found = {
        "tau": RNG.uniform(4, 20, n) * DT,
        "tau_mem": RNG.uniform(4, 20, n) * DT,
        "tau_syn": RNG.uniform(2, 8, n) * DT,
        "r": RNG.uniform(0.5, 2, n) * (1 / DT if kind in ("I", "IF") else 1),
        "v_leak": RNG.uniform(-0.1, 0.1, n),
        "v_threshold": RNG.uniform(0.3, 0.9, n),
        "v_reset": RNG.uniform(-0.2, 0.2, n),
        "w_in": RNG.uniform(0.5, 2, n),
    }
    wanted = {
        "I": "r",
        "IF": "r v_threshold v_reset",
        "LI": "tau r v_leak",
        "LIF": "tau r v_leak v_threshold v_reset",
        "CubaLI": "tau_syn tau_mem r v_leak w_in",
        "CubaLIF": "tau_syn tau_mem r v_leak v_threshold v_reset w_in",
    }[kind]
    return {key: found[key] for key in wanted.split()}


def by_hand(current: np.ndarray, values: dict[str, np.ndarray], method: str, subtract: bool) -> tuple[Any, Any]:
    """Return potential before the reset and spikes of one population, neuron by neuron, from the definition."""
    n = current.shape[-1]
    potential, spikes = np.zeros((T, B, n)), np.zeros((T, B, n))

    def step(value: float, towards: float, tau: float) -> float:
        """Advance ``tau dx/dt = towards - x``."""
        if method == "euler":
            return value + DT / tau * (towards - value)
        return towards + (value - towards) * np.exp(-DT / tau)

    for k in range(n):
        one = {key: float(value[k]) for key, value in values.items()}
        tau = one.get("tau_mem", one.get("tau"))
        rest = one["v_leak"] if "v_leak" in one else 0.0 if subtract else one.get("v_reset", 0.0)
        for b in range(B):
            v, i = rest, 0.0
            for t in range(T):
                x = float(current[t, b, k])
                if "tau_syn" in one:
                    x = i = step(i, one["w_in"] * x, one["tau_syn"])
                v = v + DT * one["r"] * x if tau is None else step(v, one["v_leak"] + one["r"] * x, tau)
                potential[t, b, k] = v
                if "v_threshold" in one and v > one["v_threshold"]:
                    spikes[t, b, k] = 1
                    v = v - one["v_threshold"] if subtract else one["v_reset"]
    return potential, spikes


@pytest.mark.parametrize("method", ["euler", "exponential"])
@pytest.mark.parametrize("kind", ["I", "IF", "LI", "LIF", "CubaLI", "CubaLIF"])
def test_neurons_obey_nirs_equations(kind: str, method: str, tmp_path: Path) -> None:
    values = fields(5, kind)
    weight, bias = RNG.normal(size=(5, 6)), RNG.random(5)
    nodes = ends(6, 5, fc=nir.Affine(weight, bias), cells=getattr(nir, kind)(**values))
    graph = nir.NIRGraph(nodes, [("input", "fc"), ("fc", "cells"), ("cells", "output")])
    nir.write(tmp_path / "g.nir", graph)
    x = RNG.random((B, 6))
    for subtract in (False, True) if "v_threshold" in values else (False,):
        data = recorded(tmp_path / "g.nir", x, method=method, reset="subtract" if subtract else None)["cells"].ds
        current = np.broadcast_to(x @ weight.T + bias, (T, B, 5))
        potential, spikes = by_hand(current, values, method, subtract)
        found = data["voltage"].values.swapaxes(0, 1)
        assert "spikes" in data if kind in ("IF", "LIF", "CubaLIF") else "spikes" not in data
        if "spikes" in data:
            np.testing.assert_array_equal(data["spikes"].values.swapaxes(0, 1), spikes)
            assert 0.01 < spikes.mean() < 0.9
        np.testing.assert_allclose(found, potential, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(data["current_exc"].values[:, 0], x @ weight.clip(0).T, rtol=1e-5)
        np.testing.assert_allclose(data["current_inh"].values[:, 0], x @ (-weight).clip(0).T, rtol=1e-5)


def test_a_loop_brings_the_spikes_of_the_step_before() -> None:
    """Two populations with feedback and a recurrent bias, against a loop over the equations."""
    sizes = {"a": 7, "b": 5}
    values = {name: fields(n, "LIF") for name, n in sizes.items()}
    shapes = {"in": (7, 6), "aa": (7, 7), "ab": (5, 7), "ba": (7, 5)}
    w = {name: RNG.normal(size=shape) * 0.5 for name, shape in shapes.items()}
    w["ab"] = 2 * np.abs(w["ab"])
    bias = RNG.normal(size=7) * 0.1
    weights = {name: nir.Linear(w[name]) for name in ("in", "ab", "ba")} | {"aa": nir.Affine(w["aa"], bias)}
    nodes = ends(6, 5, **weights, **{name: nir.LIF(**one) for name, one in values.items()})
    edges = "input-in in-a a-aa aa-a a-ab ab-b b-ba ba-a b-output".split()
    network = ei.read_nir(nir.NIRGraph(nodes, [tuple(edge.split("-")) for edge in edges]), dt=DT)
    assert set(network.module.delayed) == {("a", "aa"), ("b", "ba")}
    x = RNG.random((B, 6)) * 2
    tree = ei.record(network, x.astype(np.float32), steps=T, quiet=True)
    sent = {name: np.zeros((B, n)) for name, n in sizes.items()}
    v = {name: np.broadcast_to(values[name]["v_leak"], (B, n)).copy() for name, n in sizes.items()}
    for t in range(T):
        into = {"a": x @ w["in"].T + sent["a"] @ w["aa"].T + bias + sent["b"] @ w["ba"].T}
        for name in ("a", "b"):
            one = values[name]
            if name == "b":
                into["b"] = sent["a"] @ w["ab"].T  # of this step
            v[name] += DT / one["tau"] * (one["v_leak"] - v[name] + one["r"] * into[name])
            sent[name] = (v[name] > one["v_threshold"]).astype(float)
            v[name] = np.where(sent[name] > 0, one["v_reset"], v[name])
            np.testing.assert_array_equal(tree[name].ds["spikes"].values[:, t], sent[name])
            net = tree[name].ds["current_net"].values[:, t] + tree[name].ds["bias"].values
            np.testing.assert_allclose(net, into[name], rtol=1e-4, atol=1e-5)
    assert 0.02 < tree["b"].ds["spikes"].values.mean() < 0.9
    recurrent = (tree["a"].ds["current_exc_recurrent"] - tree["a"].ds["current_inh_recurrent"]).values
    np.testing.assert_allclose(recurrent[:, 1:], tree["a"].ds["spikes"].values[:, :-1] @ w["aa"].T, atol=1e-5)
    assert not recurrent[:, 0].any()


def test_maps_delays_and_scales() -> None:
    kernel, bias = RNG.normal(size=(3, 2, 3, 3)), RNG.normal(size=3)
    one = np.ones(24)
    nodes = {
        "input": nir.Input(np.array([2, 8, 8])),
        "conv": nir.Conv2d((8, 8), kernel, (1, 1), "same", (1, 1), 1, bias),
        "spike": nir.Threshold(np.full((3, 8, 8), 0.5)),
        "sum": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "mean": nir.AvgPool2d(np.array([2, 2]), np.array([1, 2]), np.array([0, 0])),
        "flat": nir.Flatten(np.array([3, 3, 2]), 0, -1),
        "scale": nir.Scale(np.linspace(1, 2, 18)),
        "late": nir.Delay(np.arange(18) % 3 * DT),
        "fc": nir.Linear(RNG.normal(size=(24, 18))),
        "li": nir.LI(tau=DT * one, r=one, v_leak=0 * one),
        "output": nir.Output(np.array([24])),
    }
    names = list(nodes)
    graph = nir.NIRGraph(nodes, list(zip(names, names[1:], strict=False)), type_check=False)
    x = RNG.random((B, 2, 8, 8)).astype(np.float32)
    network = ei.read_nir(graph, dt=DT)
    tree = ei.record(network, x, steps=4, quiet=True)
    with torch.no_grad():
        mapped = nn.functional.conv2d(
            torch.tensor(x), torch.tensor(kernel).float(), torch.tensor(bias).float(), padding=1
        )
    fired = (mapped > 0.5).float()
    np.testing.assert_array_equal(tree["spike"].ds["spikes"].values[:, 2], fired.flatten(1))
    pooled = nn.functional.avg_pool2d(4 * nn.functional.avg_pool2d(fired, 2), 2, (1, 2)).flatten(1).numpy()
    scaled = pooled * np.linspace(1, 2, 18)
    for t in range(4):
        seen = np.where(np.arange(18) % 3 <= t, scaled, 0.0)
        expected = seen @ nodes["fc"].weight.T  # tau = dt: the integrator follows at once
        np.testing.assert_allclose(tree["li"].ds["voltage"].values[:, t], expected, rtol=1e-4, atol=1e-4)


# Against the frameworks


def chain(first: Any, second: Any, made: type[nn.Sequential] = nn.Sequential) -> nn.Sequential:
    torch.manual_seed(0)
    net = made(nn.Linear(6, 12), first, nn.Linear(12, 5), second)
    with torch.no_grad():
        for layer in (net[0], net[2]):
            layer.weight.mul_(2)
            layer.bias.add_(0.5)
    return net


def assert_same_run(graph: Any, net: nn.Module, x: torch.Tensor, own: list[torch.Tensor], **options: Any) -> None:
    """Compare currents and output of both populations with the framework's own run (T, B, n)."""
    tree = recorded(graph, x.numpy(), **options)
    names = [node.path.lstrip("/") for node in tree.leaves]
    inputs = [x.expand(T, *x.shape), own[0]]
    for name, layer, given, sent in zip(names, (net[0], net[2]), inputs, own, strict=True):
        data = tree[name].ds
        if "spikes" in data:
            np.testing.assert_array_equal(data["spikes"].values.swapaxes(0, 1), sent.numpy())
            assert 0.01 < float(sent.mean()) < 0.9
        else:
            np.testing.assert_allclose(data["voltage"].values.swapaxes(0, 1), sent.numpy(), rtol=1e-5, atol=1e-6)
        for part, sign in (("current_exc", 1), ("current_inh", -1)):
            expected = given @ (sign * layer.weight.detach()).clamp(min=0).T
            np.testing.assert_allclose(data[part].values.swapaxes(0, 1), expected.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("neuron", "mechanism", "delay"),
    [("Leaky", "zero", True), ("Leaky", "zero", False), ("Leaky", "subtract", False), ("Synaptic", "zero", False)],
)
def test_snntorch(neuron: str, mechanism: str, delay: bool, tmp_path: Path) -> None:
    snn = package("snntorch")
    export = package("snntorch.export_nir").export_to_nir

    def made(n: int) -> Any:
        beta = {"beta": torch.full((n,), 0.9), "threshold": torch.full((n,), 3.0)}
        beta |= {"alpha": torch.full((n,), 0.5)} if neuron == "Synaptic" else {}
        return getattr(snn, neuron)(**beta, reset_mechanism=mechanism, reset_delay=delay, init_hidden=True)

    net, x = chain(made(12), made(5)), torch.rand(B, 6)
    with quiet(), torch.no_grad():
        graph = export(net, x[:1], ignore_dims=[0])
        for part in (net[1], net[3]):
            part.reset_mem()
        own: list[list[torch.Tensor]] = [[], []]
        for _ in range(T):
            own[0].append(net[1](net[0](x)))
            own[1].append(net[3](net[2](own[0][-1])))
    nir.write(tmp_path / "g.nir", graph)
    reset = "subtract" if mechanism == "subtract" else None
    assert_same_run(tmp_path / "g.nir", net, x, [torch.stack(one) for one in own], dt=1e-4, reset=reset)


def test_snntorch_recurrent(tmp_path: Path) -> None:
    snn = package("snntorch")
    export = package("snntorch.export_nir").export_to_nir

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 12)
            rest = {"reset_mechanism": "zero", "reset_delay": False, "init_hidden": True}
            self.lif = snn.RLeaky(beta=0.9, linear_features=12, **rest)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            spikes: torch.Tensor = self.lif(self.fc(x))
            return spikes

    torch.manual_seed(0)
    net, x = Net(), torch.rand(B, 6) * 2
    with quiet(), torch.no_grad():
        nir.write(tmp_path / "g.nir", export(net, x[:1], ignore_dims=[0]))
        net.lif.reset_mem()
        own = torch.stack([net(x) for _ in range(T)])
    network = ei.read_nir(tmp_path / "g.nir", dt=1e-4)
    assert network.module.delayed == (("lif.lif", "lif.w_rec"),)
    data = ei.record(network, x.numpy(), steps=T, quiet=True)["lif_lif"].ds
    np.testing.assert_array_equal(data["spikes"].values.swapaxes(0, 1), own.numpy())
    assert 0.01 < float(own.mean()) < 0.9


def test_norse() -> None:
    norse = package("norse.torch")
    export = package("norse.torch.utils.export_nir").to_nir
    net, x = chain(norse.LIFBoxCell(), norse.LIBoxCell(), norse.SequentialState), torch.rand(B, 6) * 8
    with quiet(), torch.no_grad():
        graph = export(net, x[:1], dt=1e-3)
        first, second, own = None, None, ([], [])  # type: ignore[var-annotated]
        for _ in range(T):
            spikes, first = net[1](net[0](x), first)
            voltage, second = net[3](net[2](spikes), second)
            own[0].append(spikes)
            own[1].append(voltage)
    # Norse 1.1.0 writes dt / tau_inverse = dt * tau for tau, and the batch in the shape of the input.
    both = [torch.stack(one) for one in own]
    assert_same_run(graph, net, x, both, dt=1e-3**2, input_shape=(6,))
    with pytest.raises(ConfigError) as caught:
        ei.read_nir(graph, dt=1e-3, input_shape=(6,))
    assert caught.value.where == "node '1'" and "dt=dt**2" in str(caught.value.remedy)


def test_sinabs() -> None:
    package("sinabs")
    layers = package("sinabs.layers")
    single = package("sinabs.activation").SingleSpike
    export = package("sinabs.nir").to_nir
    one = torch.tensor(1.0)
    lif = layers.LIF(tau_mem=torch.tensor(10.0), spike_threshold=one, spike_fn=single)
    net, x = chain(lif, layers.IAF(spike_threshold=one, spike_fn=single)), torch.rand(B, 6) * 4
    sequence = x[:, None].expand(B, T, 6)
    with quiet(), torch.no_grad():
        hidden = lif(net[0](sequence))
        own = [hidden.swapaxes(0, 1), net[3](net[2](hidden)).swapaxes(0, 1)]
        graph = export(net, sequence[:1])
    # sinabs steps exactly, counts time in steps, subtracts the threshold, and takes time for an axis of the input.
    assert_same_run(graph, net, x, own, dt=1, method="exponential", reset="subtract", input_shape=(6,))


@pytest.mark.parametrize("kind", ["LIF", "LIF that adds the whole input", "IF", "CUBA"])
def test_spikingjelly(kind: str, tmp_path: Path) -> None:
    neuron = package("spikingjelly.activation_based.neuron")
    functional = package("spikingjelly.activation_based.functional")
    export = package("spikingjelly.activation_based.nir_exchange").export_to_nir
    made: Callable[[], Any] = {
        "LIF": lambda: neuron.LIFNode(tau=2.0),
        "LIF that adds the whole input": lambda: neuron.LIFNode(tau=3.0, decay_input=False),
        "IF": neuron.IFNode,
        "CUBA": lambda: neuron.CUBALIFNode(c_decay=0.5, v_decay=0.8),
    }[kind]
    net, x = chain(made(), made()), torch.rand(B, 6) * 4
    with quiet(), torch.no_grad():
        export(net, x[:1], save_path=tmp_path / "g.nir", dt=1e-4)
        functional.reset_net(net)
        own: list[list[torch.Tensor]] = [[], []]
        for _ in range(T):
            own[0].append(net[1](net[0](x)))
            own[1].append(net[3](net[2](own[0][-1])))
    assert_same_run(tmp_path / "g.nir", net, x, [torch.stack(one) for one in own], dt=1e-4)


# Our networks


def ours(shape: tuple[int, ...], *settings: str) -> Network:
    """Return a network with weights, and a normalisation that is no identity."""
    network = build_network(load_config(None, [f"network.{setting}" for setting in settings]), shape, 3)
    generator = torch.Generator().manual_seed(1)
    initialise_network(network, torch.rand(8, *shape, generator=generator), generator)
    with torch.no_grad():
        for name, values in [*network.named_parameters(), *network.named_buffers()]:
            part = name.rpartition(".")[2]
            if "norm" in name and part in ("weight", "running_var", "bias", "running_mean"):
                low, high = {"weight": (-1.5, 1.5), "running_var": (0.5, 2)}.get(part, (-0.2, 0.4))
                values.uniform_(low, high, generator=generator)
    return network.eval()


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((1, 2, 3), ("layer=none", "hidden=[12, 9]")),
        ((6,), ("layer=bn", "hidden=[12, 9]", "neuron.reset=hard", "neuron.tau=3.7")),
        ((1, 9, 9), ("layer=bn", "architecture=cnn", "channels=[4, P, 6, P]", "neuron.reset=hard")),
        ((1, 8, 8), ("layer=none", "architecture=resnet18", "width=0.0625")),
    ],
    ids=["mlp", "mlp, normalised", "cnn", "resnet"],
)
def test_a_round_trip_gives_the_same_spikes(shape: tuple[int, ...], settings: tuple[str, ...], tmp_path: Path) -> None:
    network = ours(shape, *settings)
    graph = ei.to_nir(network, tmp_path / "n.nir", reset="subtract")
    assert set(nir.read(tmp_path / "n.nir").nodes) == set(graph.nodes)
    x = RNG.random((6, *shape)).astype(np.float32)
    before = ei.record(network, x, steps=12, quiet=True)
    after = ei.record(ei.read_nir(tmp_path / "n.nir", dt=1e-3), x, steps=12, quiet=True)
    assert {node.path for node in after.leaves} == {node.path.removesuffix("/E") for node in before.leaves}
    for node in before.leaves:
        first, second = node.ds, after[node.path.removesuffix("/E")].ds
        for key in ("spikes", "drive", "current_net"):
            scale = 1 if key != "current_net" or "gain" not in first else first["gain"].values
            if key in first and key in second:
                np.testing.assert_allclose(first[key].values * scale, second[key].values, rtol=1e-4, atol=1e-5)
        if "spikes" in first:
            np.testing.assert_array_equal(first["spikes"].values, second["spikes"].values)


@pytest.mark.parametrize("settings", [("layer=bn", "neuron.reset=hard", "neuron.model=stl"), ("layer=none", "votes=4")])
def test_own_thresholds_and_votes(settings: tuple[str, ...]) -> None:
    network = ours((6,), "hidden=[12]", *settings)
    with torch.no_grad():
        for name, values in network.named_parameters():
            if name.endswith("threshold"):
                values.uniform_(0.3, 1.2, generator=torch.Generator().manual_seed(2))
        read = ei.read_nir(ei.to_nir(network, reset="subtract"), dt=1e-3)
        x = torch.rand(5, 6)
        first, second = network.run(x, steps=10).logits, read.run(x, steps=10).logits
    torch.testing.assert_close(first, second)
    assert float(first.abs().max()) > 0.1


@pytest.mark.parametrize(
    ("shape", "settings", "reset", "where"),
    [
        ((6,), ("layer=ei", "hidden=[8]"), "subtract", "layer 'fc1'"),
        ((6,), ("layer=none", "hidden=[8]"), None, "layer 'fc1'"),
        ((6,), ("layer=none", "hidden=[8]", "neuron.model=relu"), "subtract", "layer 'fc1'"),
    ],
    ids=["divisive", "subtracts", "rates"],
)
def test_what_nir_cannot_say_is_refused(
    shape: tuple[int, ...], settings: tuple[str, ...], reset: Any, where: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        ei.to_nir(ours(shape, *settings), reset=reset)
    assert caught.value.where == where and (caught.value.valid or caught.value.remedy)


def test_a_lesioned_network_and_a_missing_package_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network = ours((6,), "layer=none", "hidden=[8]", "neuron.reset=hard")
    with network.intervene(ei.Scale("input->E", 0.5)), pytest.raises(ConfigError):
        ei.to_nir(network)
    monkeypatch.setitem(__import__("sys").modules, "nir", None)
    with pytest.raises(MissingDependencyError) as missing:
        ei.to_nir(network)
    assert "eiplatform[nir]" in str(missing.value.remedy)


@pytest.mark.parametrize("number", range(3))
def test_examples_of_the_page_run(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("neo" if number == 1 else "pynwb")
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).resolve().parents[2] / "docs" / "exchange.md").read_text()
    example = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[number]
    exec(compile(example, f"docs/exchange.md example {number}", "exec"), {"__name__": "example"})


# What does not fit


def lif(n: int, **more: Any) -> Any:
    one = np.ones(n)
    return nir.LIF(**{"tau": 0.01 * one, "r": one, "v_leak": 0 * one, "v_threshold": one, **more})


class Drawn:
    """A graph as its fields, for what the package nir would not make."""

    def __init__(self, nodes: dict[str, Any], edges: list[tuple[str, str]]) -> None:
        self.nodes, self.edges = nodes, edges

    def to_dict(self) -> dict[str, Any]:
        made = {name: node if isinstance(node, dict) else node.to_dict() for name, node in self.nodes.items()}
        return {"type": "NIRGraph", "nodes": made, "edges": self.edges}


def straight(*names: str) -> list[tuple[str, str]]:
    return list(zip(names, names[1:], strict=False))


@pytest.mark.parametrize(
    ("nodes", "edges", "options", "error", "where"),
    [
        ({"x": {"type": "Izhikevich"}}, straight("input", "x", "output"), {}, UnknownNameError, "node 'x'"),
        ({"x": {"type": "LIF", "tau": 1.0}}, straight("input", "x", "output"), {}, StoreError, "node 'x'"),
        ({"x": lif(4)}, straight("input", "x", "output"), {}, StoreError, "node 'x'"),
        ({"x": lif(3)}, straight("input", "x", "output"), {"dt": 0.02}, ConfigError, "node 'x'"),
        ({"x": lif(3), "y": lif(3)}, straight("input", "x", "output"), {}, StoreError, "node 'y'"),
        (
            {"x": nir.Linear(np.ones((3, 3)))},
            [*straight("input", "x", "output"), ("x", "x")],
            {},
            StoreError,
            "nodes x",
        ),
        (
            {"x": nir.Linear(np.ones((3, 3)))},
            straight("input", "x", "output"),
            {"input_shape": (1, 3)},
            StoreError,
            "node 'x'",
        ),
        ({"x": nir.Delay(np.full(3, 0.0015))}, straight("input", "x", "output"), {}, StoreError, "node 'x'"),
        ({"x": nir.Linear(np.full((3, 3), np.nan))}, straight("input", "x", "output"), {}, StoreError, "node 'x'"),
        ({"x": lif(3)}, straight("input", "z", "output"), {}, UnknownNameError, "Drawn: an edge"),
        ({"x": lif(3)}, straight("input", "x", "output"), {"method": "rk4"}, UnknownNameError, "method"),
        ({"x": lif(3)}, straight("input", "x", "output"), {"dt": 0}, ConfigError, "dt"),
        ({"x": lif(3)}, straight("input", "x", "output"), {"delayed": [("input", "x")]}, ConfigError, "delayed"),
    ],
    ids="kind field size step unreached loop batch delay nan edge method dt delayed".split(),
)
def test_a_graph_that_does_not_fit_is_refused(
    nodes: dict[str, Any],
    edges: list[tuple[str, str]],
    options: dict[str, Any],
    error: type[EIPlatformError],
    where: str,
) -> None:
    with pytest.raises(error) as caught:
        ei.read_nir(Drawn(ends(3, 3, **nodes), edges), **{"dt": 1e-3, **options})
    assert caught.value.where == where


def test_a_loop_with_two_ways_in_has_to_be_named() -> None:
    edges = [("x", "e"), ("x", "i"), ("e", "i"), ("i", "e"), ("e", "y")]
    with pytest.raises(ConfigError):
        delayed_edges(["x", "e", "i", "y"], edges, "x", {"e", "i"})
    weights = {"we": np.eye(3), "wi": np.eye(3), "ei": np.eye(3), "ie": -np.eye(3)}
    nodes = ends(3, 3, e=lif(3), i=lif(3), **{name: nir.Linear(weight) for name, weight in weights.items()})
    edges = [*straight("input", "we", "e", "ei", "i", "ie", "e"), *straight("input", "wi", "i"), ("e", "output")]
    with pytest.raises(ConfigError) as caught:
        ei.read_nir(Drawn(nodes, edges), dt=1e-3)
    assert "delayed=" in str(caught.value.remedy)
    network = ei.read_nir(Drawn(nodes, edges), dt=1e-3, delayed=[("e", "ei"), ("i", "ie")])
    assert set(network.populations()) == {"e", "i"}


def test_files_that_are_no_graphs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.nir").write_text("not HDF5")
    for name in ("text.nir", "none.nir"):
        with pytest.raises(StoreError) as caught:
            ei.read_nir(tmp_path / name, dt=1e-3)
        assert caught.value.where == str(tmp_path / name)
    with pytest.raises(ConfigError):
        ei.read_nir(nn.Linear(2, 3), dt=1e-3)  # type: ignore[arg-type]
    nir.write(tmp_path / "one.nir", nir.Linear(np.ones((2, 2))))
    with pytest.raises(StoreError):
        ei.read_nir(tmp_path / "one.nir", dt=1e-3)


def test_a_file_without_v_reset_subtracts(tmp_path: Path) -> None:
    """As NIR defined it before version 1.0.6; the package itself would now reset to 0."""
    fields = {key: value for key, value in lif(3, r=np.full(3, 8.0)).to_dict().items() if key != "v_reset"}
    graph = Drawn(ends(3, 3, x=nir.Linear(np.eye(3)), y=fields), straight("input", "x", "y", "output"))
    x = np.ones((2, 3), np.float32)
    rates = {
        reset: recorded(graph, x, reset=reset)["y"].ds["spikes"].values.mean() for reset in (None, "subtract", "zero")
    }
    assert rates[None] == rates["subtract"] > rates["zero"] > 0
