"""The fused E-I operation against plain automatic differentiation, part by part and over blocks, by either backend."""

import ctypes
import itertools
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from eiplatform.errors import DeviceError, EIPlatformError
from eiplatform.networks import LIF, make_surrogate
from eiplatform.networks.kernels import backend, compiled
from eiplatform.networks.kernels import lif as neuron_module
from eiplatform.networks.kernels.fused import SIGNALS, Fused, ei_spikes, replace_zeros

B, PLACES, N_E, N_I, T = 5, (3, 2), 7, 3, 4
NEURONS = [
    LIF(tau=2.5, threshold=0.8, reset=reset, detach_reset=detach, surrogate=make_surrogate(name))
    for reset, detach, name in itertools.product(("soft", "hard"), (True, False), ("sigmoid", "atan"))
]
needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")


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


@pytest.mark.usefixtures("_block", "each_backend")
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


@pytest.mark.usefixtures("each_backend")
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


@pytest.mark.usefixtures("each_backend")
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


@pytest.mark.usefixtures("each_backend")
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


@needs_compiler
@pytest.mark.usefixtures("_block")
@pytest.mark.parametrize("name", ["sigmoid", "atan", "fast-sigmoid", "triangle", "rectangle"])
@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_compiled_is_eager_up_to_rounding(name: str, dtype: torch.dtype, rtol: float, n_threads: int) -> None:
    x = make(T, seed=5, dtype=torch.float32 if dtype == torch.bfloat16 else dtype)
    x = x._replace(currents=3 * x.currents.to(dtype))
    neuron = LIF(surrogate=make_surrogate(name))
    before = torch.get_num_threads()
    found = []
    try:
        torch.set_num_threads(n_threads)
        for used in backend.BACKENDS:
            leaves = Inputs(*(v.clone().requires_grad_() for v in x))
            with backend.use_backend(used):
                result = run(leaves, neuron, False, True, True, frozenset({"drive", "voltage"}))
                # Gradients that do not lie contiguous, and one that is the same at every step.
                weight = torch.linspace(-1, 1, B).view(B, 1, 1, 1).to(dtype)
                loss = (weight * result.spikes).sum().double() + result.voltage[:, :, ::2].square().sum().double()
                found.append((result, torch.autograd.grad(loss, leaves)))
    finally:
        torch.set_num_threads(before)
    (eager, eager_grads), (ours, our_grads) = found
    assert torch.equal(eager.spikes, ours.spikes)
    for a, b in ((eager.drive, ours.drive), (eager.voltage, ours.voltage), (eager.membrane, ours.membrane)):
        torch.testing.assert_close(a, b, rtol=min(rtol, 1e-5), atol=1e-5 * rtol)
    for field, a, b in zip(Inputs._fields, eager_grads, our_grads, strict=True):
        assert a.dtype == b.dtype
        assert a.abs().max() > 0
        torch.testing.assert_close(a, b, rtol=rtol, atol=rtol * a.abs().max().item(), msg=field)


@needs_compiler
def test_rounding_to_bfloat16_is_pytorchs() -> None:
    generator = torch.Generator().manual_seed(0)
    x = make(T, dtype=torch.float32)
    currents = x.currents.bfloat16()
    weight = torch.randn((T, B, *PLACES, N_E), generator=generator).bfloat16()
    grads = []
    for used in backend.BACKENDS:
        leaf = currents.clone().requires_grad_()
        with backend.use_backend(used):
            result = ei_spikes(leaf, *x[1:], neuron=LIF(surrogate=make_surrogate("atan")))
            (grad,) = torch.autograd.grad(result.spikes, leaf, weight)
        assert grad.dtype == torch.bfloat16
        grads.append(grad[..., :N_E])
    assert (grads[0] == grads[1]).float().mean() > 0.99  # a truncation would change half of them


@needs_compiler
def test_nothing_is_left_over_between_backends() -> None:
    assert backend.current() == "eager"
    with backend.use_backend("compiled"):
        assert backend.current() == "compiled"
        with backend.use_backend("eager"):
            assert backend.current() == "eager"
        x = make(T)
        with pytest.raises(DeviceError, match=r"float16.*float32, float64, bfloat16"):
            ei_spikes(x.currents.half(), *(v.half() for v in x[1:]), neuron=LIF())
    assert backend.current() == "eager"


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache without a library."""
    monkeypatch.setenv("EIPLATFORM_CACHE", str(tmp_path))
    compiled.library.cache_clear()
    yield tmp_path
    compiled.library.cache_clear()


def test_without_a_compiler_compiled_is_an_error_and_auto_is_eager(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(DeviceError, match=r"CXX=no-such-compiler.*eager"), backend.use_backend("compiled"):
        pass
    assert backend.resolve("auto") == "eager"
    assert backend.resolve("compiled") == "compiled"
    assert not list(fresh.iterdir())


def test_a_failing_compiler_is_quoted(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = fresh / "broken"
    script.write_text("#!/bin/sh\ncase $1 in -std*) echo 'error: out of order' >&2; exit 3;; esac\n")
    script.chmod(0o755)
    monkeypatch.setenv("CXX", str(script))
    with pytest.raises(DeviceError, match=r"status 3.*out of order"):
        compiled.library()
    assert not list(fresh.glob("compiled/*"))


@needs_compiler
def test_the_library_is_compiled_once(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled.library()
    (built,) = (fresh / "compiled").iterdir()
    before = built.stat().st_mtime_ns
    compiled.library.cache_clear()
    compiled.library()
    assert [path.stat().st_mtime_ns for path in (fresh / "compiled").iterdir()] == [before]
    assert backend.resolve("auto") == "compiled"
    assert backend.resolve("auto", "cuda") == "eager"


@needs_compiler
def test_a_library_of_another_layout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled.library()

    class Longer(compiled.Block):
        _fields_ = [("one_more", ctypes.c_int64)]

    monkeypatch.setattr(compiled, "Block", Longer)
    compiled.library.cache_clear()
    with pytest.raises(DeviceError) as caught:
        compiled.library()
    assert caught.value.where.endswith(".so") and caught.value.remedy
    monkeypatch.undo()
    compiled.library.cache_clear()
    assert compiled.available()


@needs_compiler
def test_an_update_of_the_kernel_of_the_system_builds_nothing_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    before = compiled.library()._name
    monkeypatch.setattr(platform, "release", lambda: "99.0")
    monkeypatch.setattr(platform, "platform", lambda: "Linux-99.0")
    compiled.library.cache_clear()
    assert compiled.library()._name == before


@pytest.mark.parametrize("name_of_backend", ["eager", "compiled"])
@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("architecture", ["cnn", "mlp"])
@pytest.mark.parametrize("layer_type", ["ei", "bn"])
def test_selected_neurons_have_the_signals_that_all_have(
    name_of_backend: str, static: bool, architecture: str, layer_type: str
) -> None:
    """Bit for bit, in any order of the indices, of E and I, of every layer."""
    from tests.unit.test_snn_deep import images, small

    network = small(architecture, layer_type).eval()
    x = images(network.input_shape)
    x = x if static else torch.stack([x, x.flip(0), x * 0.5])
    infos = network.populations()
    record = {name: frozenset(info.signals) for name, info in infos.items()}
    generator = torch.Generator().manual_seed(1)
    select = {name: torch.randperm(info.n_neurons, generator=generator)[:3] for name, info in infos.items()}
    with torch.inference_mode(), backend.use_backend(name_of_backend):
        whole = network.run(x, record=record)
        some = network.run(x, record=record, select=select)
    assert torch.equal(whole.logits, some.logits)
    for name, signals in whole.signals.items():
        for signal, values in signals.items():
            assert torch.equal(some.signals[name][signal], values.flatten(2)[..., select[name]]), (name, signal)
    if layer_type == "ei":
        with pytest.raises(EIPlatformError, match="without gradients"):
            network.run(x, record=record, select=select)
