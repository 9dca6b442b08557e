"""The gradient of an equilibrium against dense algebra, finite differences, autograd and the published table."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from eiplatform.config import load_config
from eiplatform.config.feedback import FeedbackConfig
from eiplatform.errors import EIPlatformError, TrainingError, UnknownNameError
from eiplatform.networks import LIF, initialise_network
from eiplatform.networks.equilibrium.implicit import fixed_point, implicit_rate
from eiplatform.networks.equilibrium.monitor import check_convergence
from eiplatform.networks.equilibrium.network import FeedbackNetwork
from eiplatform.networks.equilibrium.neuron import advance, feedback_tau, rate_weights
from eiplatform.networks.equilibrium.solvers import SOLVERS, Solution, Solver, solve
from eiplatform.networks.equilibrium.spide import BackwardPhase, ternary_phase

TIGHT = {"dropout": 0.0, "tolerance": 1e-12, "max_iterations": 200}
"""A small error in the gradient's equation would hide in nothing."""


def contraction(n: int, norm: float, seed: int = 1) -> Tensor:
    weight = torch.randn(n, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return weight * (norm / torch.linalg.matrix_norm(weight, 2))


def build(layers: str, shape: tuple[int, ...], *, layer_type: str = "bn", decay: float = 1.0, **settings: object):
    feedback = FeedbackConfig.model_validate({"layers": layers, "decay": decay, **settings})
    neuron = LIF(tau=feedback_tau(decay), threshold=2.0)
    network = FeedbackNetwork(shape, 3, feedback, layer=layer_type, neuron=neuron, readout_bias=True, steps=20)
    x = torch.rand(6, *shape, generator=torch.Generator().manual_seed(2))
    initialise_network(network, x, torch.Generator().manual_seed(3))
    if layer_type == "bn":  # saved statistics that are those of the data
        network.train()
        for _ in range(60):
            network.run(x)
        network.convergence()
    return network.double().eval(), x.double()


@pytest.mark.parametrize("method", SOLVERS)
def test_both_solvers_give_the_dense_solution(method: str) -> None:
    jacobian = torch.stack([contraction(30, 0.8, seed) for seed in range(4)])
    g = torch.randn(4, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    found = solve(lambda v: torch.einsum("bij,bi->bj", jacobian, v), g, Solver(method, 1e-10, 300))
    dense = torch.linalg.solve(torch.eye(30) - jacobian.mT, g)
    assert found.converged and found.residual <= 1e-10
    assert float((found.value - dense).norm() / dense.norm()) < 1e-9


def test_a_damped_step_keeps_the_solution_where_the_shrunken_one_does_not() -> None:
    weight, g = contraction(10, 0.9), torch.ones(1, 10, dtype=torch.float64)
    dense = torch.linalg.solve(torch.eye(10) - weight.mT, g[0])
    found = solve(lambda v: v @ weight, g, Solver("fixed-point", 1e-11, 2000, 0.5))
    torch.testing.assert_close(found.value[0], dense, rtol=1e-8, atol=1e-8)
    halved = g
    for _ in range(500):
        halved = (halved @ weight + g) / 2
    assert float((halved[0] - dense).norm() / dense.norm()) > 0.3


def test_broyden_needs_fewer_products_than_a_slow_series() -> None:
    weight, g = contraction(8, 0.97), torch.ones(1, 8, dtype=torch.float64)
    weight = (weight + weight.mT) / 2
    weight *= 0.97 / torch.linalg.matrix_norm(weight, 2)
    counts = {method: solve(lambda v: v @ weight, g, Solver(method, 1e-8, 3000)).iterations for method in SOLVERS}
    assert counts["broyden"] < 0.2 * counts["fixed-point"]


def test_what_does_not_converge_says_so_and_keeps_the_best() -> None:
    weight, g = contraction(8, 3.0), torch.ones(2, 8, dtype=torch.float64)
    found = solve(lambda v: v @ weight, g, Solver("fixed-point", 1e-3, 500))
    assert not found.converged and found.iterations < 100
    residual = (g + found.value @ weight - found.value).norm() / g.norm()
    assert found.residual == pytest.approx(float(residual), rel=1e-12)
    assert found.residual <= float((g @ weight).norm() / g.norm())
    with pytest.raises(UnknownNameError, match="broyden"):
        solve(lambda v: v, g, Solver("newton"))
    with pytest.raises(EIPlatformError, match="norm_limit"):
        fixed_point(lambda a: a + 1, g, max_iterations=5)


def test_the_gradient_equals_finite_differences_of_the_fixed_point() -> None:
    generator = torch.Generator().manual_seed(4)
    weight, bias = contraction(12, 1.5), torch.rand(5, 12, dtype=torch.float64, generator=generator) * 3 - 0.5
    reads = torch.randn(5, 12, dtype=torch.float64, generator=generator)

    def equation(a: Tensor) -> Tensor:
        return ((a @ weight.mT + bias) / 2).clamp(0, 1)

    def loss() -> Tensor:
        return (reads * fixed_point(equation, torch.zeros_like(bias), 1e-14)).sum()

    star = fixed_point(equation, torch.zeros_like(bias), 1e-14)
    assert 0.1 < ((star > 0) & (star < 1)).double().mean() < 0.9
    weight.requires_grad_()
    bias.requires_grad_()
    rate, distance = implicit_rate(star, equation, equation, Solver("broyden", 1e-12, 100), lambda found: None)
    assert torch.equal(rate, star) and distance < 1e-12
    (reads * rate).sum().backward()
    for parameter in (weight, bias):
        assert parameter.grad is not None
        flat, h = parameter.data.view(-1), 1e-6
        for index in range(0, flat.numel(), 7):
            kept = float(flat[index])
            flat[index] = kept + h
            above = loss()
            flat[index] = kept - h
            difference = float(above - loss()) / (2 * h)
            flat[index] = kept
            assert float(parameter.grad.view(-1)[index]) == pytest.approx(difference, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ("9(F9)", (7,)),
        ("9-8(F9)", (7,)),
        ("9-8(F7-F9)", (7,)),
        ("3C3s(F3C5)", (2, 6, 6)),
        ("2C3-3C3s(F2C3u)", (1, 4, 4)),
    ],
)
def test_a_networks_gradient_is_that_of_the_dense_solve(layers: str, shape: tuple[int, ...], solver: str) -> None:
    network, x = build(layers, shape, solver=solver, **TIGHT)
    with torch.no_grad():
        next(iter(network.layers.values())).feedback.alpha.fill_(0.9)  # not at its limit, where it has no gradient
    reads = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(8))
    (network.run(x).logits * reads).sum().backward()
    found = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
    network.zero_grad()

    # The equation, written anew: rates of all layers around the loop, from the one that is read out.
    with torch.no_grad():
        record = {f"{name}/E": frozenset({"spikes"}) for name in network.named_layers() if name != "readout"}
        trains = network.run(x, record=record).signals
    names = [name.partition("/")[0] for name in trains]
    read = names[network.read]
    start = trains[f"{read}/E"]["spikes"].mean(0)
    around = [names[(network.read + 1 + k) % len(names)] for k in range(len(names))]

    def equation(a: Tensor) -> Tensor:
        for name in around:
            layer = network.layers[name]
            if name == names[0]:
                own = layer.transform.apply(layer.weight, (x if x.ndim > 2 else x.flatten(1))[None])[0]
                current = normalised(layer, own) + layer.feedback.transform.apply(layer.feedback(), a[None])[0]
            else:
                current = normalised(layer, layer.transform.apply(layer.weight, a[None])[0])
            a = (current / 2).clamp(0, 1)
        return a

    def normalised(layer: torch.nn.Module, raw: Tensor) -> Tensor:
        norm = layer.norm
        return torch.nn.functional.batch_norm(raw, norm.running_mean, norm.running_var, norm.weight, norm.bias)

    readout = network.layers["readout"]
    g = (reads @ readout.weight.detach()).view_as(start)
    value = equation(start)
    size = start[0].numel()
    adjoint = []
    for sample in range(len(start)):
        rows = torch.autograd.functional.jacobian(
            lambda a, sample=sample: equation(torch.cat((start[:sample], a[None], start[sample + 1 :])))[
                sample
            ].flatten(),
            start[sample],
        )
        adjoint.append(torch.linalg.solve(torch.eye(size) - rows.reshape(size, size).mT, g[sample].flatten()))
    v = torch.stack(adjoint).view_as(start)
    assert float((v - g).norm() / g.norm()) > 0.01  # the feedback does matter
    value.backward(v)
    for name, parameter in network.named_parameters():
        if name.startswith("layers.readout"):
            continue
        assert parameter.grad is not None and parameter.grad.norm() > 0, name
        assert float((found[name] - parameter.grad).norm() / parameter.grad.norm()) < 1e-6, name
    expected = reads.T @ start.flatten(1)
    torch.testing.assert_close(found["layers.readout.weight"], expected, rtol=1e-9, atol=1e-9)
    reached = network.convergence()
    assert reached["unconverged"] == 0 and reached["residual"] < 1e-12


def simulated(weight: Tensor, bias: Tensor, steps: int, decay: float) -> Tensor:
    neuron = LIF(feedback_tau(decay), 2.0)
    membrane, rate = None, torch.zeros_like(bias)
    spikes = torch.zeros_like(bias)
    for share in rate_weights(steps, decay):
        membrane, spikes, _ = advance(bias + spikes @ weight.mT, membrane, neuron, 2.0)
        rate += share * spikes
    return rate


def test_rates_approach_the_fixed_point_as_one_over_t_and_leak_leaves_a_floor() -> None:
    weight = contraction(200, 0.9)
    bias = torch.randn(4, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(5)) + 0.5
    star = fixed_point(lambda a: ((a @ weight.mT + bias) / 2).clamp(0, 1), torch.zeros_like(bias))
    steps = np.array([10, 30, 100, 300, 1000])
    errors = {
        decay: np.array([float((simulated(weight, bias, int(t), decay) - star).abs().mean()) for t in steps])
        for decay in (1.0, 0.99, 0.95)
    }
    slope = np.polyfit(np.log(steps), np.log(errors[1.0]), 1)[0]
    assert -1.1 < slope < -0.9
    assert errors[0.95][-1] > 0.7 * errors[0.95][-2] > 20 * errors[1.0][-1]  # does not fall any more
    assert 3 < errors[0.95][-1] / errors[0.99][-1] < 7  # as 1 - lambda


# Relative error of beta by largest |beta| and T_B, as tabulated in the reference (n = 200, norm 0.9, d = 2).
TABLE = {
    0.63: {30: 0.055, 100: 0.015, 250: 0.006, 1000: 0.002},
    0.2: {30: 0.19, 100: 0.059, 250: 0.026, 1000: 0.006},
    0.015: {30: 1.0, 100: 0.66, 250: 0.26, 1000: 0.06},
}


def spide_error(largest: float, steps: int) -> tuple[float, float, float]:
    weight = contraction(200, 0.9)
    generator = torch.Generator().manual_seed(6)
    gate = (torch.rand(1, 200, dtype=torch.float64, generator=generator) < 0.5).double()
    g = torch.randn(1, 200, dtype=torch.float64, generator=generator)
    matrix = torch.eye(200) - (weight * gate.mT).mT / 2
    dense = torch.linalg.solve(matrix, g[0])
    g, dense = (values * largest / dense.abs().max() for values in (g, dense))
    phase = BackwardPhase(steps, scale=1.0)
    found = ternary_phase([lambda v: (gate * v) @ weight / 2], g, 0, [g.shape], phase)
    error = float((found.values[0][0] - dense).norm() / dense.norm())
    assert found.residual == pytest.approx(error, rel=1.0, abs=0.02)  # what is reported tells the error
    return error, found.saturated, found.silent


@pytest.mark.parametrize("largest", sorted(TABLE))
def test_the_error_of_ternary_spikes_falls_as_tabulated(largest: float) -> None:
    found = {steps: spide_error(largest, steps)[0] for steps in TABLE[largest]}
    for steps, tabulated in TABLE[largest].items():
        assert 0.4 < found[steps] / tabulated < 2.5, (steps, found[steps])
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_saturation_and_silence_are_seen() -> None:
    errors = [spide_error(1.58, steps) for steps in (100, 1000)]
    assert errors[1][0] > 0.7 * errors[0][0] > 0.01  # more steps do not help
    assert min(saturated for _, saturated, _ in errors) > 0.02
    assert spide_error(0.63, 100)[1:] == (0.0, pytest.approx(0.0, abs=0.05))
    assert spide_error(0.015, 30)[2] == 1.0
    scaled = check_convergence({"residual": 0.1, "residual_max": 0.1, "saturated": 0.2, "silent": 0.95})
    assert [("lower" in line, "raise" in line) for line in scaled] == [(True, False), (False, True)]


@pytest.mark.parametrize("layers", ["9(F9)", "9-8(F9)", "9-8(F7-F9)"])
@pytest.mark.parametrize("rest", [0.0, -2.0])
def test_spide_finds_the_gradient_of_ide(layers: str, rest: float) -> None:
    """At rates that are the equilibrium the two must agree, up to the error of the spikes."""
    gradients = []
    for settings in (
        {"gradient": "spide", "back_steps": 1500, "gradient_scale": 0.3},
        {"gradient": "ide", "tolerance": 1e-9, "max_iterations": 100},
    ):
        network, x = build(layers, (7,), layer_type="none", rest=rest, dropout=0.0, **settings)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name.endswith("bias"):
                    parameter += 0.8  # away from 0, where one spike of the transient opens the gate of a rate
        network.run(x, steps=1500).logits[:, 0].sum().backward()
        parameters = [parameter.grad for name, parameter in network.named_parameters() if "readout" not in name]
        gradients.append(torch.cat([grad.flatten() for grad in parameters]))
    assert float((gradients[0] - gradients[1]).norm() / gradients[1].norm()) < 0.04


@pytest.mark.parametrize("decay", [1.0, 0.9])
def test_through_time_the_gradient_is_autograds_own(decay: float) -> None:
    network, x = build("9(F9)", (7,), layer_type="none", decay=decay, gradient="bptt", dropout=0.0)
    network.run(x, steps=6).logits.square().sum().backward()
    found = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
    network.zero_grad()
    layer, readout = network.layers["fc1"], network.layers["readout"]
    weight = layer.feedback()
    current = x @ layer.weight.T + layer.bias
    spikes, membrane, rate, total = torch.zeros_like(current), torch.zeros_like(current), 0.0, 0.0
    for step in range(6):
        voltage = decay * membrane + current + spikes @ weight.T
        smooth = torch.sigmoid(4 * (voltage - 2))
        spikes = (voltage >= 2).double() + smooth - smooth.detach()
        membrane = voltage - 2 * spikes.detach()
        rate, total = rate + decay ** (5 - step) * spikes, total + decay ** (5 - step)
    assert rate.detach().sum() > 0
    (rate / total @ readout.weight.T + readout.bias).square().sum().backward()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-9, atol=1e-12)


def saved_bytes(gradient: str, steps: int) -> int:
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    network, x = build("9(F9)", (7,), layer_type="none", gradient=gradient, dropout=0.0)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = network.run(x, steps=steps).logits
    del logits
    return sum(kept.values())


def test_what_the_backward_pass_needs_does_not_grow_with_time() -> None:
    assert saved_bytes("ide", 100) == saved_bytes("ide", 5)
    assert saved_bytes("spide", 100) == saved_bytes("spide", 5)
    assert saved_bytes("bptt", 100) > 8 * saved_bytes("bptt", 5)


def test_an_epoch_of_meaningless_gradients_is_an_error() -> None:
    warned = check_convergence({"residual": 0.01, "residual_max": 0.2, "unconverged": 0.3})
    assert len(warned) == 1 and "30%" in warned[0] and "max_iterations" in warned[0]
    for residual in (0.7, math.nan, math.inf):
        with pytest.raises(TrainingError, match="norm_limit"):
            check_convergence({"residual": residual, "residual_max": residual, "unconverged": 1.0})
    with pytest.raises(TrainingError, match="gradient_scale"):
        check_convergence({"residual": 0.7, "residual_max": 0.7, "saturated": 0.0, "silent": 1.0})


def test_a_solver_that_stops_early_is_in_the_report() -> None:
    network, x = build("9(F9)", (7,), layer_type="none", dropout=0.0, tolerance=1e-12, max_iterations=1)
    network.run(x).logits.sum().backward()
    reached = network.convergence()
    assert reached["unconverged"] == 1 and reached["residual"] > 1e-12 and reached["iterations"] == 2
    assert reached["forward_residual"] > 0
    assert network.convergence() == {}
    assert load_config(None, []).network.feedback.max_iterations == 30
    assert isinstance(Solution(x, 0.0, 1, True), tuple)
