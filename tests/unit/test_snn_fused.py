"""The fused E-I operation against plain automatic differentiation, part by part and over blocks."""

import itertools
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from eiplatform.snn import LIF, make_surrogate
from eiplatform.snn import neuron as neuron_module
from eiplatform.snn.fused import SIGNALS, Fused, ei_spikes, replace_zeros

B, PLACES, N_E, N_I, T = 5, (3, 2), 7, 3, 4
NEURONS = [
    LIF(tau=2.5, threshold=0.8, reset=reset, detach_reset=detach, surrogate=make_surrogate(name))
    for reset, detach, name in itertools.product(("soft", "hard"), (True, False), ("sigmoid", "atan"))
]


class Inputs(NamedTuple):
    currents: Tensor
    weight_sub: Tensor
    weight_div: Tensor
    gain_exc: Tensor
    bias: Tensor
    membrane: Tensor


def make(steps: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Inputs:
    """Draw inputs with zeros of the inhibition here and there, and one sample without any."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=dtype)

    currents = uniform(steps, B, *PLACES, N_E + N_I)
    silent = uniform(steps, B, *PLACES, N_I) < 0.5
    silent[:, 2] = True
    currents[..., N_E:].masked_fill_(silent, 0)
    membrane = 0.6 * uniform(B, *PLACES, N_E) - 0.2
    return Inputs(
        currents, 0.3 * uniform(N_E, N_I), uniform(N_E, N_I), 0.5 + uniform(N_E), uniform(N_E) - 0.5, membrane
    )


def oracle(x: Inputs, neuron: LIF, steps: int, stabilised: bool, through: bool) -> Fused:
    """Compute all by single operations."""
    exc, activity = x.currents[..., :N_E], x.currents[..., N_E:]
    inh, div = activity @ x.weight_sub.T, activity @ x.weight_div.T
    denominator = div
    if stabilised:
        infinite = torch.where(div == 0, torch.inf, div)
        smallest = infinite.flatten(2).amin(2)[..., None, None, None]
        denominator = torch.where(div == 0, smallest, div)
        if through:
            # The value of one and the derivative of the other, also where the value is infinite.
            denominator = torch.where(
                denominator.isinf(), denominator.detach(), denominator.detach() + div - div.detach()
            )
    gain = x.gain_exc / denominator
    net = exc - inh
    drive = gain * net + x.bias
    membrane, spikes, voltages = x.membrane, [], []
    for t in range(steps):
        u = neuron.decay * membrane + drive[t if len(drive) > 1 else 0]
        smooth = neuron.surrogate.primitive(u - neuron.threshold)
        s = (u.detach() >= neuron.threshold).to(u.dtype) + smooth - smooth.detach()
        r = s.detach() if neuron.detach_reset else s
        membrane = u - neuron.threshold * r if neuron.reset == "soft" else u * (1 - r)
        spikes.append(s)
        voltages.append(u)
    return Fused(torch.stack(spikes), membrane, torch.stack(voltages), inh, net, div, gain, drive)


def run(x: Inputs, neuron: LIF, static: bool, stabilised: bool, through: bool, keep: frozenset[str]) -> Fused:
    steps = T if static else None
    return ei_spikes(*x, neuron=neuron, steps=steps, stabilised=stabilised, straight_through=through, keep=keep)


@pytest.fixture(params=[40, 10**6], ids=["blocks", "whole"])
def _block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neuron_module, "BLOCK", request.param)


@pytest.mark.usefixtures("_block")
@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize(("stabilised", "through"), [(True, True), (True, False), (False, True)])
def test_values_and_gradients(neuron: LIF, static: bool, stabilised: bool, through: bool) -> None:
    x = make(1 if static else T)
    if not stabilised:
        x.currents[..., N_E:] += 0.1
    everything = frozenset(SIGNALS)
    # What the loss is made of: all that is returned, or what training uses.
    for used in (everything | {"spikes", "membrane"}, {"spikes"}):
        found = []
        for side in ("ours", "oracle"):
            leaves = Inputs(*(v.clone().requires_grad_() for v in x))
            if side == "ours":
                result = run(leaves, neuron, static, stabilised, through, everything & used)
            else:
                result = oracle(leaves, neuron, T, stabilised, through)
            generator = torch.Generator().manual_seed(3)
            loss = torch.zeros((), dtype=torch.float64)
            for name in Fused._fields:
                values = getattr(result, name)
                if name in used:
                    loss = loss + (torch.randn(values.shape, generator=generator, dtype=values.dtype) * values).sum()
            found.append((result, torch.autograd.grad(loss, leaves)))
        (ours, our_grads), (theirs, their_grads) = found
        assert 0.1 < ours.spikes.mean() < 0.9
        for name in sorted(used):
            torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), rtol=1e-12, atol=1e-12)
        for name, a, b in zip(Inputs._fields, our_grads, their_grads, strict=True):
            assert b.abs().max() > 0, name
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11, msg=name)


@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_kept_changes_nothing(static: bool, dtype: torch.dtype) -> None:
    found = []
    for keep in (frozenset[str](), frozenset({"inh"}), frozenset(SIGNALS)):
        leaves = Inputs(*(v.requires_grad_() for v in make(1 if static else T, dtype=dtype)))
        result = run(leaves, LIF(), static, True, True, keep)
        grads = torch.autograd.grad(result.spikes.square().sum() + result.membrane.sum(), leaves)
        found.append((result.spikes, result.membrane, *grads))
        assert {name for name in SIGNALS if getattr(result, name) is not None} == keep
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_the_net_current_may_be_given() -> None:
    x = make(T)
    net = x.currents[..., :N_E] - x.currents[..., N_E:] @ x.weight_sub.T
    whole = run(x, LIF(), False, True, True, frozenset({"drive"}))
    given = ei_spikes(
        torch.cat((net, x.currents[..., N_E:]), -1),
        None,
        *x[2:],
        neuron=LIF(),
        keep=frozenset({"drive"}),
    )
    assert whole.drive is not None
    assert given.drive is not None
    torch.testing.assert_close(given.drive, whole.drive, rtol=1e-12, atol=1e-12)
    assert torch.equal(given.spikes, whole.spikes)


def test_half_precision_currents_are_computed_with_in_single_precision() -> None:
    x = make(T, dtype=torch.float32)
    rounded = x.currents.bfloat16().requires_grad_()
    half = ei_spikes(rounded, *x[1:], neuron=LIF(), keep=frozenset({"drive"}))
    same = ei_spikes(rounded.detach().float(), *x[1:], neuron=LIF(), keep=frozenset({"drive"}))
    assert half.spikes.dtype == torch.bfloat16
    assert half.membrane.dtype == torch.float32
    assert half.drive is not None
    assert same.drive is not None
    assert torch.equal(half.drive, same.drive)
    assert torch.equal(half.spikes.float(), same.spikes)
    half.spikes.sum().backward()
    assert rounded.grad is not None
    assert bool(rounded.grad.isfinite().all())
    assert rounded.grad.abs().max() > 0


def test_zeros_become_the_smallest_of_their_row() -> None:
    rows = torch.tensor([[0.0, 3.0, 2.0], [0.0, 0.0, 0.0], [1.0, 5.0, 4.0]])
    assert replace_zeros(rows).tolist() == [[2, 3, 2], [torch.inf] * 3, [1, 5, 4]]
    torch.testing.assert_close(replace_zeros(rows[2:]), rows[2:], rtol=0, atol=0)
