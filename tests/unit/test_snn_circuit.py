"""The functional core against an independent computation, and the parts of E-I Prop and of lesions."""

import numpy as np
import pytest
import torch
from torch import Tensor

from eiplatform.errors import UnknownNameError
from eiplatform.networks import EIParameters, EIProp, PathwayScale, ReadoutParameters, ei_layer, ei_readout
from eiplatform.networks.kernels.ei import EXC_SIGNALS, INH_SIGNALS, READOUT_SIGNALS
from eiplatform.networks.kernels.kernel import FusedKernel
from eiplatform.networks.kernels.lif import LIF
from eiplatform.networks.kernels.prop import stabilise
from eiplatform.networks.transform import Linear

D, N_E, N_I, T, B = 6, 5, 2, 4, 3
ALL = frozenset([f"E/{name}" for name in EXC_SIGNALS] + [f"I/{name}" for name in INH_SIGNALS])
ALL_READOUT = frozenset([f"E/{name}" for name in READOUT_SIGNALS] + [f"I/{name}" for name in INH_SIGNALS])


def make(seed: int = 0, zeros: float = 0.3) -> tuple[EIParameters, Tensor]:
    rng = np.random.default_rng(seed)

    def positive(*shape: int) -> Tensor:
        return torch.tensor(rng.exponential(size=shape) * (rng.random(shape) >= zeros))

    parameters = EIParameters(
        positive(N_E, D) / 2,
        positive(N_I, D) / 2,
        positive(N_E, N_I),
        positive(N_I) + 0.1,
        positive(N_E) + 0.5,
        torch.tensor(rng.normal(size=N_E)) * 0.2,
    )
    return parameters, torch.tensor((rng.random((T, B, D)) < 0.5).astype(float))


def run(parameters: EIParameters, x: Tensor, **kwargs: object) -> dict[str, Tensor]:
    return ei_layer(parameters, None, x, ALL, transform=Linear(D), kernel=FusedKernel(LIF()), **kwargs)[2]  # type: ignore[arg-type]


def test_forward_equals_a_computation_by_loops() -> None:
    parameters, x = make()
    x[1, 2] = 0  # a sample without any input at one step
    parameters.weight_inh_out[0] = 0  # a neuron without inhibition
    signals = run(parameters, x)
    w_e, w_i, w_out, g_i, g_e, bias = (p.numpy() for p in parameters)
    membrane = np.zeros((B, N_E))
    seen_zero = False
    for t in range(T):
        for b in range(B):
            s = x[t, b].numpy()
            act = [sum(w_i[k, j] * s[j] for j in range(D)) for k in range(N_I)]
            div = [sum(w_out[n, k] * g_i[k] * act[k] for k in range(N_I)) for n in range(N_E)]
            rest = [v for v in div if v > 0]
            for n in range(N_E):
                exc = sum(w_e[n, j] * s[j] for j in range(D))
                inh = sum(w_out[n, k] * act[k] for k in range(N_I))
                seen_zero |= div[n] == 0 and bool(rest)
                denominator = div[n] if div[n] > 0 else (min(rest) if rest else np.inf)
                drive = g_e[n] * (exc - inh) / denominator + bias[n]
                u = 0.5 * membrane[b, n] + drive
                membrane[b, n] = u - (u >= 1)
                expected = {
                    "E/current_exc": exc,
                    "E/current_inh": inh,
                    "E/current_net": exc - inh,
                    "E/inhibition_div": div[n],
                    "E/gain": g_e[n] / denominator,
                    "E/drive": drive,
                    "E/voltage": u,
                    "E/spikes": float(u >= 1),
                }
                for name, value in expected.items():
                    np.testing.assert_allclose(signals[name][t, b, n].item(), value, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(signals["I/activity"][t, b], act, rtol=1e-12)
    assert seen_zero, "the case must contain zero divisive inhibition"


def test_without_input_the_bias_alone_drives_and_no_gradient_is_nan() -> None:
    parameters, x = make()
    x.zero_()
    for p in parameters:
        p.requires_grad_()
    for prop in (EIProp(), EIProp(straight_through=False)):
        _, spikes, signals = ei_layer(
            parameters,
            None,
            x,
            frozenset({"E/drive", "E/gain"}),
            transform=Linear(D),
            kernel=FusedKernel(LIF()),
            prop=prop,
        )
        assert torch.equal(signals["E/drive"], parameters.bias.expand(T, B, N_E))
        assert not signals["E/gain"].any()
        (signals["E/drive"] + spikes).sum().backward()
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in parameters)


def test_the_drive_has_the_right_derivative() -> None:
    # Without the two deliberate changes of the gradient the drive is a smooth function.
    parameters, x = make(zeros=0.0)
    x = x + 0.3
    leaves = tuple(p.clone().requires_grad_() for p in parameters)

    def drive(*values: Tensor) -> Tensor:
        return run(EIParameters(*values), x, prop=EIProp(straight_through=False, scale_gradient=False))["E/drive"]

    assert torch.autograd.gradcheck(drive, leaves, eps=1e-6, atol=1e-7, rtol=1e-5)


def test_scaled_gradient_is_exactly_one_dth_for_inhibitory_output_weights_only() -> None:
    parameters, x = make(zeros=0.0)
    grads = []
    for scale in (False, True):
        leaves = EIParameters(*(p.clone().requires_grad_() for p in parameters))
        run(leaves, x, prop=EIProp(scale_gradient=scale))["E/spikes"].sum().backward()
        grads.append(EIParameters(*(p.grad for p in leaves)))  # type: ignore[arg-type]
    for name in EIParameters._fields:
        factor = 1 / D if name == "weight_inh_out" else 1.0
        torch.testing.assert_close(getattr(grads[1], name), getattr(grads[0], name) * factor, rtol=1e-12, atol=0)


def test_straight_through_passes_the_gradient_to_the_zero_itself() -> None:
    div = torch.tensor([[[0.0, 2.0, 4.0]]], dtype=torch.float64)
    weights = torch.tensor([[[1.0, 10.0, 100.0]]], dtype=torch.float64)
    found = {}
    for through in (True, False):
        leaf = div.clone().requires_grad_()
        (stabilise(leaf, EIProp(straight_through=through)) * weights).sum().backward()
        assert leaf.grad is not None
        found[through] = leaf.grad.flatten().tolist()
    assert found == {True: [1.0, 10.0, 100.0], False: [0.0, 11.0, 100.0]}


def test_without_stabilisation_zeros_divide() -> None:
    parameters, x = make()
    x[0, 0] = 0
    assert run(parameters, x)["E/gain"].isfinite().all()
    assert not run(parameters, x, prop=EIProp(stabilise=False))["E/gain"].isfinite().all()


def test_static_input_equals_its_repetition() -> None:
    parameters, x = make()
    for p in parameters:
        p.requires_grad_()
    still = x[0]
    grads, results = [], []
    for values, steps in ((still, T), (still.expand(T, B, D), None)):
        _, spikes, signals = ei_layer(
            parameters, None, values, ALL, transform=Linear(D), kernel=FusedKernel(LIF()), steps=steps
        )
        results.append(signals)
        grads.append(torch.autograd.grad(spikes.sum(), tuple(parameters)))
    for name in ALL:
        assert results[0][name].shape == results[1][name].shape
        torch.testing.assert_close(results[0][name], results[1][name], rtol=1e-12, atol=1e-14)
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("factor", [0.25, torch.tensor([0.0, 0.5, 1.0, 2.0, 3.0])])
def test_lesions_scale_their_pathway_and_nothing_before_it(factor: float | Tensor) -> None:
    parameters, x = make(zeros=0.0)
    intact = run(parameters, x)
    changed = {
        "input_exc": "E/current_exc",
        "subtractive": "E/current_inh",
        "divisive": "E/inhibition_div",
    }
    for field, signal in changed.items():
        cut = run(parameters, x, lesion=PathwayScale(**{field: factor}))
        torch.testing.assert_close(cut[signal], intact[signal] * factor)
        for other in {"E/current_exc", "E/current_inh", "E/inhibition_div", "I/activity"} - {signal}:
            assert torch.equal(cut[other], intact[other]), (field, other)
        assert not torch.equal(cut["E/drive"], intact["E/drive"])


def test_lesions_of_inhibitory_neurons() -> None:
    parameters, x = make(zeros=0.0)
    intact = run(parameters, x)
    half = run(parameters, x, lesion=PathwayScale(input_inh=torch.tensor([0.5, 1.0])))
    torch.testing.assert_close(half["I/activity"], intact["I/activity"] * torch.tensor([0.5, 1.0]))
    silenced = run(parameters, x, lesion=PathwayScale(mask_inh=torch.tensor([0.0, 1.0])))
    torch.testing.assert_close(silenced["I/current_exc"], intact["I/current_exc"], rtol=0, atol=0)
    assert not silenced["I/activity"][..., 0].any()
    only = parameters.weight_inh_out[:, 1] * intact["I/activity"][..., 1:]
    torch.testing.assert_close(silenced["E/current_inh"], only)
    torch.testing.assert_close(silenced["E/inhibition_div"], only * parameters.gain_inh[1])


def test_dividing_less_multiplies_the_gain() -> None:
    parameters, x = make(zeros=0.0)
    x[..., 0] = 1
    torch.testing.assert_close(
        run(parameters, x, lesion=PathwayScale(divisive=0.5))["E/gain"], run(parameters, x)["E/gain"] * 2
    )
    # A total loss follows the rule of E-I Prop for a sample without inhibition.
    lost = run(parameters, x, lesion=PathwayScale(divisive=0.0))
    assert torch.equal(lost["E/drive"], parameters.bias.expand(T, B, N_E))


def test_an_empty_lesion_is_intact_to_the_last_bit() -> None:
    parameters, x = make()
    intact, empty = run(parameters, x), run(parameters, x, lesion=PathwayScale())
    assert all(torch.equal(intact[name], empty[name]) for name in ALL)


def test_readout_is_subtractive_only() -> None:
    parameters, x = make()
    three = ReadoutParameters(*parameters[:3])
    net, signals = ei_readout(three, x, ALL_READOUT, transform=Linear(D))
    activity = x @ three.weight_inh_in.T
    torch.testing.assert_close(net, x @ three.weight_exc.T - activity @ three.weight_inh_out.T)
    assert set(signals) == set(ALL_READOUT)
    assert torch.equal(signals["E/current_net"], signals["E/current_exc"] - signals["E/current_inh"])
    with pytest.raises(UnknownNameError, match="no divisive"):
        ei_readout(three, x, transform=Linear(D), lesion=PathwayScale(divisive=0.5))
    with pytest.raises(UnknownNameError, match="unknown signal 'E/gain'"):
        ei_readout(three, x, frozenset({"E/gain"}), transform=Linear(D))


def test_unknown_signals_are_refused() -> None:
    parameters, x = make()
    with pytest.raises(UnknownNameError, match="did you mean 'E/voltage'"):
        ei_layer(parameters, None, x, frozenset({"E/voltag"}), transform=Linear(D), kernel=FusedKernel(LIF()))
