"""Every way of convolving against the library's."""

import pytest
import torch
from torch.nn import functional

from eiplatform.networks.kernels import convolution
from eiplatform.networks.kernels.convolution import convolve

CASES = [
    # map, kernel, stride, padding: the first five are dense, the others are not.
    ((2, 2), (3, 3), (1, 1), (1, 1)),
    ((1, 1), (3, 3), (1, 1), (1, 1)),
    ((3, 3), (3, 3), (2, 2), (1, 1)),
    ((2, 4), (3, 3), (1, 2), (1, 1)),
    ((3, 2), (2, 3), (1, 1), (1, 2)),
    ((4, 4), (3, 3), (1, 1), (1, 1)),
    ((4, 3), (2, 3), (2, 1), (0, 1)),
    ((8, 8), (3, 3), (2, 2), (1, 1)),
    ((4, 4), (1, 1), (1, 1), (0, 0)),
]


@pytest.mark.parametrize(("places", "kernel", "stride", "padding"), CASES)
def test_values_and_gradients(
    places: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(5, 6, *places, dtype=torch.float64, generator=generator).requires_grad_()
    weight = torch.rand(7, 6, *kernel, dtype=torch.float64, generator=generator).requires_grad_()
    theirs = functional.conv2d(x, weight, None, stride, padding)
    ours = convolve(x, weight, stride, padding)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    seed = torch.randn(theirs.shape, dtype=torch.float64, generator=generator)
    for a, b in zip(
        torch.autograd.grad(ours, (x, weight), seed), torch.autograd.grad(theirs, (x, weight), seed), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("places", "kernel", "stride", "padding"), CASES)
def test_values_and_gradients_in_half_precision(
    places: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(2)
    # Numbers that bfloat16 holds, so that only sums are rounded.
    x = torch.randint(0, 5, (5, 6, *places), generator=generator).div(4).requires_grad_()
    weight = torch.rand(7, 6, *kernel, generator=generator).bfloat16().float().requires_grad_()
    exact = functional.conv2d(x, weight, None, stride, padding)
    with torch.autocast("cpu", torch.bfloat16):
        ours = convolve(x, weight, stride, padding)
    assert ours.dtype == torch.bfloat16
    assert (ours - exact).norm() < 0.005 * exact.norm()
    seed = torch.randn(exact.shape, generator=generator).bfloat16()
    found = torch.autograd.grad(ours, (x, weight), seed)
    for a, b in zip(found, torch.autograd.grad(exact, (x, weight), seed.float()), strict=True):
        assert a.dtype == torch.float32
        assert (a - b).norm() < 0.005 * b.norm()


def test_groups_and_layout() -> None:
    x, weight = torch.rand(2, 4, 2, 2), torch.rand(6, 2, 3, 3)
    ours = convolve(x, weight, padding=(1, 1), groups=2)
    torch.testing.assert_close(ours, functional.conv2d(x, weight, padding=1, groups=2))
    for size in (2, 5):
        ours = convolve(torch.rand(2, 4, size, size), torch.rand(6, 4, 3, 3), padding=(1, 1))
        assert ours.is_contiguous(memory_format=torch.channels_last)


def test_tiny_maps_are_dense_and_small_ones_have_their_own_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    dense, few = convolution._dense, convolution._FewPlaces.apply
    monkeypatch.setattr(convolution, "_dense", lambda *a: used.append("dense") or dense(*a))
    monkeypatch.setattr(convolution._FewPlaces, "apply", lambda *a: used.append("few") or few(*a))
    for size in (2, 3, 4, 5):
        with torch.autocast("cpu", torch.bfloat16):
            convolve(torch.rand(1, 2, size, size), torch.rand(2, 2, 3, 3), padding=(1, 1))
    assert used == ["dense", "dense", "few"]
