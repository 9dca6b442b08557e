"""Products of float32 by the matrix unit, against products of the rounded operands in float64."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from eiplatform.config import load_config
from eiplatform.networks import EILinear, initialise_ei
from eiplatform.networks.kernels import backend, fused_compiled, products
from eiplatform.training import describe

if "amx_bf16" not in Path("/proc/cpuinfo").read_text():
    pytest.skip("needs a processor with a matrix unit (AMX)", allow_module_level=True)


def rounded(x: Tensor, n_parts: int) -> list[Tensor]:
    """Return the bfloat16 that a matrix is rounded to the sum of."""
    parts = []
    for _ in range(n_parts):
        parts.append(x.bfloat16().double())
        x = x - x.bfloat16().float()
    return parts


def expected(a: Tensor, b: Tensor, n_parts: int) -> Tensor:
    left, right = rounded(a, n_parts), rounded(b, n_parts)
    pairs = [(p, q) for p in range(n_parts) for q in range(n_parts) if p + q < n_parts]
    return sum((left[p] @ right[q] for p, q in pairs), torch.zeros(()))


def test_what_multiplies_is_said() -> None:
    for precision, said in (("bf16", "bf16, compiled with the matrix unit,"), ("float32", "float32, compiled,")):
        config = load_config(None, ["training.backend=compiled", f"training.precision={precision}"])
        assert said in describe(config)


@pytest.fixture
def normal() -> Iterator[torch.Generator]:
    yield torch.Generator().manual_seed(3)


@pytest.mark.parametrize("n_parts", [1, 2])
@pytest.mark.parametrize("turn_a", [False, True])
@pytest.mark.parametrize("turn_b", [False, True])
@pytest.mark.parametrize(("n", "terms", "m"), [(1, 1, 1), (37, 70, 45), (70, 1100, 300), (1100, 5, 40)])
def test_multiply_is_the_product_of_the_rounded_operands(
    n: int, terms: int, m: int, turn_a: bool, turn_b: bool, n_parts: int, normal: torch.Generator
) -> None:
    a, b = torch.randn(n, terms, generator=normal), torch.randn(terms, m, generator=normal)
    given_a, given_b = (x.T.contiguous() if turn else x for x, turn in ((a, turn_a), (b, turn_b)))
    out = torch.full((n, m), torch.nan)
    products.multiply((given_a,), (given_b,), (out,), n_parts, turn_a=turn_a, turn_b=turn_b)
    bound = 1e-6 * (a.abs() @ b.abs()).double()  # what adding in float32 may lose
    assert bool(((out - expected(a, b, n_parts)).abs() <= bound).all())


@pytest.mark.parametrize("turn_a", [False, True])
@pytest.mark.parametrize("turn_b", [False, True])
@pytest.mark.parametrize("n_parts", [1, 2])
def test_rounded_operands_give_the_same_bits(turn_a: bool, turn_b: bool, n_parts: int, normal: torch.Generator) -> None:
    """Rows that lie apart and in two places, of lengths that fill no tile."""
    n, terms, m = 77, 41, 107

    def matrix(rows: int, columns: int) -> products.Rows:
        wide = torch.randn(rows, columns + 20, generator=normal).bfloat16()[:, 9 : columns + 9]
        return wide[:30], wide[30:].clone()

    a = matrix(terms, n) if turn_a else matrix(n, terms)
    b = matrix(m, terms) if turn_b else matrix(terms, m)
    found = []
    for kind in (torch.bfloat16, torch.float32):
        out = torch.full((n, m), torch.nan)
        given_a, given_b = (tuple(part.to(kind) for part in rows) for rows in (a, b))
        products.multiply(given_a, given_b, (out,), n_parts, turn_a=turn_a, turn_b=turn_b)
        found.append(out)
    exact = (torch.cat(a).T if turn_a else torch.cat(a)).double() @ (
        torch.cat(b).T if turn_b else torch.cat(b)
    ).double()
    assert torch.equal(*found)
    torch.testing.assert_close(found[0].double(), exact, rtol=0, atol=1e-4)


def test_gradients_that_are_written_rounded_give_the_same_bits(
    normal: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = EILinear(80, 40, 10)
    x = torch.rand(4, 30, 80, generator=normal)
    initialise_ei(layer, x, normal)
    weight = torch.randn(4, 30, 40, generator=normal)
    kinds, multiply = [], products.multiply

    def watched(a: products.Rows, *args: Any, **options: Any) -> None:
        kinds.append(a[0].dtype)
        multiply(a, *args, **options)

    def run() -> list[Tensor]:
        layer.zero_grad()
        kinds.clear()
        inputs = x.clone().requires_grad_()
        with backend.use_backend("compiled"), torch.autocast("cpu", torch.bfloat16):
            _, spikes, _ = layer(inputs)
        (spikes * weight).sum().backward()
        return [p.grad.clone() for p in (*layer.parameters(), inputs) if p.grad is not None]

    monkeypatch.setattr(products, "multiply", watched)
    short = run()
    assert torch.bfloat16 in kinds
    monkeypatch.setattr(fused_compiled, "_plain", lambda *_: False)
    long = run()
    assert torch.bfloat16 not in kinds
    assert len(short) == 7 and all(bool(grad.any()) for grad in short)
    assert all(torch.equal(a, b) for a, b in zip(short, long, strict=True))


def test_matrices_may_be_in_two_places_and_parts_of_others(normal: torch.Generator) -> None:
    wide = torch.randn(50, 90, generator=normal)
    a, first, second = wide[:, 20:61], torch.randn(19, 41, generator=normal), torch.randn(30, 41, generator=normal)
    target = torch.zeros(50, 60)
    products.multiply((a,), (first, second), (target[:, 4:53],), 2, turn_b=True)
    torch.testing.assert_close(
        target[:, 4:53].double(), expected(a, torch.cat((first, second)).T, 2), rtol=0, atol=1e-4
    )
    assert not target[:, :4].any() and not target[:, 53:].any()
    outs = torch.empty(19, 41), torch.empty(30, 41)
    products.multiply((target[:, 4:53],), (a,), outs, 1, turn_a=True)
    torch.testing.assert_close(torch.cat(outs).double(), expected(target[:, 4:53].T, a, 1), rtol=0, atol=1e-3)


def test_spikes_are_exact_and_bits_depend_on_neither_threads_nor_rows(normal: torch.Generator) -> None:
    spikes = (torch.rand(300, 700, generator=normal) < 0.3).float()
    weight = torch.randn(90, 700, generator=normal)

    def product(rows: Tensor) -> Tensor:
        out = torch.empty(len(rows), 90)
        products.multiply((rows,), (weight,), (out,), 2, turn_b=True)
        return out

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = product(spikes)
        torch.set_num_threads(2)
        assert torch.equal(product(spikes), one)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(product(spikes[250:253]), one[250:253])
    # Two bfloat16 of the weights; nothing is lost of the spikes.
    parts = sum(rounded(weight, 2), torch.zeros(()))
    torch.testing.assert_close(one.double(), spikes.double() @ parts.T, rtol=0, atol=2e-5)


def test_a_layer_in_bf16_is_as_in_float32_up_to_the_rounding_and_keeps_float32(normal: torch.Generator) -> None:
    layer = EILinear(80, 40, 10)
    x = torch.rand(1, 64, 80, generator=normal)
    initialise_ei(layer, x, normal)
    record = frozenset({"E/drive", "E/current_inh"})

    def run(bf16: bool) -> tuple[dict[str, Tensor], Tensor]:
        layer.zero_grad()
        with backend.use_backend("compiled"), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            _, spikes, signals = layer(x, record=record)
        signals["E/drive"].square().mean().backward()
        assert spikes.dtype == torch.float32 and layer.weight_exc.grad is not None
        grads = [p.grad.flatten() for p in layer.parameters() if p.grad is not None]
        return {name: values.detach() for name, values in signals.items()}, torch.cat(grads)

    (exact, exact_grad), (found, grad) = run(False), run(True)
    scale = exact["E/drive"].abs().max()
    assert float((found["E/drive"] - exact["E/drive"]).abs().max() / scale) < 1e-3
    assert not torch.equal(found["E/drive"], exact["E/drive"])  # the unit was used
    torch.testing.assert_close(found["E/current_inh"], exact["E/current_inh"], rtol=1e-4, atol=1e-5)
    assert float((grad - exact_grad).norm() / exact_grad.norm()) < 1e-2
