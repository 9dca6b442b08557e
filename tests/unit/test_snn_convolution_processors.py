"""Convolutions against float64 under every instruction set that this processor has, each in its own process.

A library's kernel that writes past its memory ends the process; glibc's checking allocator finds
such writes even where they do no harm at once.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from eiplatform.networks.equilibrium.transposed import TransposedConv2d
from eiplatform.networks.kernels.convolution import convolve

ROOT = Path(__file__).parents[2]
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 0.03}


def instruction_sets() -> list[tuple[str, str]]:
    """Names for oneDNN and for PyTorch of what this processor can run, oldest first."""
    found = [("SSE41", "default")]
    if torch.cpu._is_avx2_supported():
        found.append(("AVX2", "avx2"))
    if torch.cpu._is_avx512_supported():
        found.append(("AVX512_CORE", "avx512"))
    if torch.cpu._is_amx_tile_supported():
        found.append(("AVX512_CORE_AMX", "avx512"))
    return found


def random_cases(number: int) -> list[tuple[int, ...]]:
    """Return (batch, channels in and out, rows, columns, kernel, stride, padding, groups, channels last)."""
    draw, found = random.Random(1), []
    while len(found) < number:
        n_in, n_out, rows, columns = (draw.randint(*bounds) for bounds in ((1, 40), (1, 40), (3, 14), (3, 14)))
        kernel = (draw.choice((1, 1, 2, 3, 5)), draw.choice((1, 1, 2, 3, 5)))
        stride, padding = (draw.randint(1, 3), draw.randint(1, 3)), (draw.randint(0, 2), draw.randint(0, 2))
        groups = draw.choice((1, 1, 1, 2, 3, n_in))
        if n_in % groups or n_out % groups or rows + 2 * padding[0] < kernel[0] or columns + 2 * padding[1] < kernel[1]:
            continue
        found.append(
            (draw.choice((1, 4)), n_in, n_out, rows, columns, *kernel, *stride, *padding, groups, draw.randint(0, 1))
        )
    return found


def strided_points() -> list[tuple[int, ...]]:
    """Return the kind that failed: 1x1 kernels, strides, odd numbers of channels."""
    return [
        (4, n_in, n_out, size, size, 1, 1, stride, stride, padding, padding, 1, last)
        for n_in, n_out in ((1, 1), (3, 9), (5, 7), (6, 13), (13, 6), (7, 16), (33, 17))
        for size in (8, 16)
        for stride in (2, 3)
        for padding in (0, 1)
        for last in (0, 1)
    ]


def scan() -> None:
    """Compare all cases; write the first that differ, and how many were compared."""
    torch.manual_seed(1)
    wrong, cases = [], random_cases(250) + strided_points()
    for case in cases:
        batch, n_in, n_out, rows, columns, k0, k1, s0, s1, p0, p1, groups, last = case
        for dtype in (torch.float32, torch.bfloat16):
            x, weight = torch.rand(batch, n_in, rows, columns), torch.rand(n_out, n_in // groups, k0, k1) - 0.5
            if last:
                x, weight = (v.contiguous(memory_format=torch.channels_last) for v in (x, weight))
            wrong += _differs(
                (case, dtype),
                lambda x, w, s=(s0, s1), p=(p0, p1), g=groups: convolve(x, w, s, p, g),
                lambda x, w, s=(s0, s1), p=(p0, p1), g=groups: torch.nn.functional.conv2d(x, w, None, s, p, 1, g),
                x.to(dtype),
                weight.to(dtype),
            )
    for kernel in (1, 3, 5):
        for n_in, n_out in ((5, 7), (6, 13), (13, 6)):
            up = TransposedConv2d((n_in, 8, 8), kernel)
            wrong += _differs(
                (kernel, n_in, n_out),
                lambda x, w, up=up: up.apply(w, x[None])[0],
                lambda x, w, k=kernel: torch.nn.functional.conv_transpose2d(x, w.transpose(0, 1), None, 2, k // 2, 1),
                torch.rand(12, n_in, 8, 8).contiguous(memory_format=torch.channels_last),
                torch.rand(n_out, n_in, kernel, kernel) - 0.5,
            )
    print(len(cases), "compared; wrong:", wrong[:5])


def _differs(name, ours, theirs, x, weight):  # type: ignore[no-untyped-def]
    """Compare the result and both gradients."""
    pairs = []
    for function, dtype in ((ours, x.dtype), (theirs, torch.float64)):
        inputs = [v.detach().to(dtype).requires_grad_() for v in (x, weight)]
        y = function(*inputs)
        # Numbers that bfloat16 holds.
        seed = torch.rand(y.shape, generator=torch.Generator().manual_seed(1)).bfloat16().to(dtype)
        pairs.append((y, *torch.autograd.grad(y, inputs, seed)))
    largest = TOLERANCE[x.dtype]
    return [
        (name, part)
        for part, a, b in zip(("values", "input", "weight"), *pairs, strict=True)
        if not (a.double() - b).abs().max() <= largest * b.abs().max()
    ]


@pytest.mark.parametrize("names", instruction_sets(), ids=lambda names: names[0])
def test_convolutions_under_every_instruction_set(names: tuple[str, str]) -> None:
    checked = {"LD_PRELOAD": "libc_malloc_debug.so.0", "GLIBC_TUNABLES": "glibc.malloc.check=3"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"from {__name__} import scan; scan()"],
        env={**os.environ, **checked, "ONEDNN_MAX_CPU_ISA": names[0], "ATEN_CPU_CAPABILITY": names[1]},
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.strip() == f"{len(random_cases(250)) + len(strided_points())} compared; wrong: []"
