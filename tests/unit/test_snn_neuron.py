"""The multi-step neuron against single steps and against plain automatic differentiation."""

import itertools

import pytest
import torch
from torch import Tensor

from eiplatform.networks import LIF, Membrane, lif_sequence, lif_step, make_surrogate

NEURONS = [
    LIF(tau=tau, threshold=threshold, reset=reset, detach_reset=detach, surrogate=make_surrogate(name))
    for reset, detach, (tau, threshold, name) in itertools.product(
        ("soft", "hard"), (True, False), ((2.0, 1.0, "sigmoid"), (3.5, 0.6, "atan"))
    )
]


def drives(steps: int = 7, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(steps, 3, 5, generator=torch.Generator().manual_seed(seed), dtype=dtype) + 0.4


def oracle(drive: Tensor, membrane: Tensor, neuron: LIF) -> tuple[Tensor, Tensor, Tensor]:
    """Steps of plain operations; the spike's derivative enters by adding and subtracting its primitive."""
    spikes, voltages = [], []
    for current in drive:
        u = (1 - 1 / neuron.tau) * membrane + current
        smooth = neuron.surrogate.primitive(u - neuron.threshold)
        s = (u.detach() >= neuron.threshold).to(u.dtype) + smooth - smooth.detach()
        r = s.detach() if neuron.detach_reset else s
        membrane = u - neuron.threshold * r if neuron.reset == "soft" else u * (1 - r)
        spikes.append(s)
        voltages.append(u)
    return torch.stack(spikes), torch.stack(voltages), membrane


@pytest.mark.parametrize("neuron", NEURONS)
def test_gradient_equals_plain_autograd(neuron: LIF) -> None:
    weights = [torch.randn(7, 3, 5, generator=torch.Generator().manual_seed(k), dtype=torch.float64) for k in (1, 2, 3)]
    found = []
    for which in ("ours", "oracle"):
        drive = drives().requires_grad_()
        start = (0.3 * drives(1, seed=9)[0]).requires_grad_()
        if which == "ours":
            state, spikes, voltage = lif_sequence(drive, Membrane(start), neuron, keep_voltage=True)
            assert voltage is not None
            last = state.membrane
        else:
            spikes, voltage, last = oracle(drive, start, neuron)
        assert 0.1 < spikes.mean() < 0.9
        # A loss on spikes, voltage and the last membrane uses every way back.
        loss = (weights[0] * spikes).sum() + (weights[1] * voltage).sum() + (weights[2][0] * last).sum()
        loss.backward()
        found.append((spikes.detach(), voltage.detach(), last.detach(), drive.grad, start.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("neuron", NEURONS)
def test_gradient_without_voltage_or_membrane_in_the_loss(neuron: LIF) -> None:
    grads = []
    for run in (lambda d: lif_sequence(d, None, neuron)[1], lambda d: oracle(d, torch.zeros(3, 5), neuron)[0]):
        drive = drives().requires_grad_()
        run(drive)[3:].square().sum().backward()
        grads.append(drive.grad)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-12, atol=1e-12)
    assert grads[0].abs().max() > 0


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sequence_equals_single_steps_to_the_last_bit(neuron: LIF, dtype: torch.dtype) -> None:
    results = []
    for single in (False, True):
        drive = drives(dtype=dtype).requires_grad_()
        if single:
            state, parts = None, []
            for current in drive:
                state, s, u = lif_step(current, state, neuron)
                parts.append((s, u))
            assert state is not None
            spikes, voltage = (torch.stack(column) for column in zip(*parts, strict=True))
        else:
            state, spikes, voltage = lif_sequence(drive, None, neuron, keep_voltage=True)
        (spikes * torch.arange(1.0, 8.0, dtype=dtype)[:, None, None]).sum().backward()
        results.append((spikes.detach(), voltage.detach(), state.membrane.detach(), drive.grad))
    for name, a, b in zip(("spikes", "voltage", "membrane"), results[0], results[1], strict=False):
        assert torch.equal(a, b), name
    torch.testing.assert_close(results[0][3], results[1][3], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("neuron", NEURONS[::2])
def test_a_sequence_can_be_cut_anywhere(neuron: LIF) -> None:
    drive = drives(dtype=torch.float32)
    state, whole, _ = lif_sequence(drive, None, neuron)
    middle, first, _ = lif_sequence(drive[:3], None, neuron)
    end, second, _ = lif_sequence(drive[3:], middle, neuron)
    assert torch.equal(whole, torch.cat((first, second)))
    assert torch.equal(state.membrane, end.membrane)


def test_known_answers() -> None:
    # decay 1/2, threshold 1: u = 0.75, 1.125 | reset to 0.125, u = 0.8125, 1.15625.
    _, spikes, voltage = lif_sequence(torch.full((4, 1), 0.75), None, LIF(), keep_voltage=True)
    assert voltage is not None
    assert voltage.flatten().tolist() == [0.75, 1.125, 0.8125, 1.15625]
    assert spikes.flatten().tolist() == [0, 1, 0, 1]
    # Exactly at the threshold is a spike; a hard reset forgets the rest.
    state, spikes, _ = lif_sequence(torch.tensor([[1.0], [1.5]]), None, LIF(reset="hard"))
    assert spikes.flatten().tolist() == [1, 1]
    assert state.membrane.item() == 0


def test_voltage_is_only_kept_when_asked_for() -> None:
    for grad in (False, True):
        drive = drives().requires_grad_(grad)
        assert lif_sequence(drive, None, LIF())[2] is None
        _, spikes, voltage = lif_sequence(drive, None, LIF(), keep_voltage=True)
        assert voltage is not None
        assert torch.equal(spikes, (voltage >= 1).to(spikes.dtype))
