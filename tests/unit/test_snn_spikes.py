"""Sums of the rows that spikes name against products, in float64."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch import Tensor

from eiplatform.networks import EILinear, initialise_ei
from eiplatform.networks.kernels import backend, spikes
from eiplatform.networks.kernels.backend import use_backend

needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def pattern(kind: str, shape: tuple[int, ...], part: float, generator: torch.Generator) -> Tensor:
    where = torch.rand(shape, generator=generator) < part
    values = torch.ones(shape) if kind == "spikes" else torch.randn(shape, generator=generator)
    return torch.where(where, values, torch.zeros(()))


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", ["spikes", "graded"])
@pytest.mark.parametrize(
    ("rows", "n_in", "n_out", "part"), [(70, 300, 96, 0.2), (129, 200, 97, 0.05), (33, 500, 300, 0.3), (50, 400, 64, 0)]
)
def test_values_and_gradients_are_those_of_a_product(
    rows: int, n_in: int, n_out: int, part: float, kind: str, threads: int, generator: torch.Generator
) -> None:
    x = pattern(kind, (rows, n_in), part * 0.9, generator).requires_grad_()
    weight = torch.randn(n_out, n_in, generator=generator).requires_grad_()
    seed = torch.randn(rows, n_out, generator=generator)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with use_backend("compiled"):
            found = spikes.spike_product(x, weight)
        assert found is not None
        grads = torch.autograd.grad(found, (x, weight), seed)
    finally:
        torch.set_num_threads(before)
    exact_x, exact_weight = (v.detach().double().requires_grad_() for v in (x, weight))
    expected = exact_x @ exact_weight.T
    expected_grads = torch.autograd.grad(expected, (exact_x, exact_weight), seed.double())
    for a, b in zip((found, *grads), (expected, *expected_grads), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=1e-4)


@needs_compiler
def test_whole_numbers_are_exact_whatever_the_threads(generator: torch.Generator) -> None:
    x = pattern("spikes", (4, 32, 300), 0.2, generator)
    weight = torch.randint(-8, 8, (130, 300), generator=generator).float().requires_grad_()
    with use_backend("compiled"):
        found = spikes.spike_product(x, weight)
    assert found is not None and found.shape == (4, 32, 130)
    assert torch.equal(found, x @ weight.T)
    seed = torch.randint(-8, 8, found.shape, generator=generator).float()
    (grad,) = torch.autograd.grad(found, weight, seed)
    assert torch.equal(grad, seed.flatten(0, 1).T @ x.flatten(0, 1))


@needs_compiler
def test_only_training_with_few_spikes_takes_it(generator: torch.Generator) -> None:
    x = pattern("spikes", (100, 200), 0.2, generator)
    weight = torch.rand(80, 200, generator=generator).requires_grad_()
    assert spikes.spike_product(x, weight) is None  # eager
    with use_backend("compiled"):
        assert spikes.spike_product(x, weight) is not None
        assert spikes.spike_product(1 - x, weight) is None
        assert spikes.spike_product(x, weight.detach()) is None
        assert spikes.spike_product(x.double(), weight) is None
        assert spikes.spike_product(x[:10], weight) is None
        assert spikes.spike_product(x, weight[:10]) is None
        with torch.no_grad():
            assert spikes.spike_product(x, weight) is None
        with torch.autocast("cpu", torch.bfloat16):
            assert spikes.spike_product(x, weight) is None


@needs_compiler
def test_a_layer_trains_alike_with_and_without(generator: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = EILinear(300, 120, 30)
    x = pattern("spikes", (4, 40, 300), 0.2, generator)
    initialise_ei(layer, x, generator)
    seed = torch.randn(4, 40, 120, generator=generator)

    def run() -> list[Tensor]:
        layer.zero_grad()
        with backend.use_backend("compiled"):
            _, fired, signals = layer(x, record=frozenset({"E/drive"}))
        (fired * seed).sum().backward()
        return [signals["E/drive"].detach(), *(p.grad.clone() for p in layer.parameters() if p.grad is not None)]

    added = run()
    monkeypatch.setattr(spikes, "MOST", -1.0)
    multiplied = run()
    assert len(added) == 7
    assert any(not torch.equal(a, b) for a, b in zip(added, multiplied, strict=True))
    for a, b in zip(added, multiplied, strict=True):
        assert (a - b).norm() < 1e-4 * b.norm()
