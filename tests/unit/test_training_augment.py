"""Augmentations: they move and hide pixels, invent none, mix no samples, and can be repeated."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eiplatform.config import DatasetConfig, load_config
from eiplatform.errors import ConfigError
from eiplatform.training.augment import Draws, augment, draw
from tests.examples import examples
from tests.refusals import refusing

NAMES = ("crop", "flip", "cutout")
orders = st.permutations(NAMES).flatmap(lambda names: st.integers(0, 3).map(lambda k: tuple(names[:k])))
shapes = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))


def images(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    # Every value once, none of them 0, so that each pixel's origin is known.
    values = np.random.default_rng(seed).permutation(np.arange(1, np.prod(shape) + 1)).reshape(shape)
    return torch.from_numpy(values.astype(np.float32) / values.size)


def plan(names: tuple[str, ...], padding: int = 2, size: int = 3) -> DatasetConfig:
    return DatasetConfig(augment=names, crop_padding=padding, cutout_size=size)  # type: ignore[arg-type]


@examples(30)
@given(orders, shapes, st.integers(0, 50), st.integers(1, 4), st.integers(1, 5))
def test_no_pixel_is_invented_and_no_sample_mixed(
    names: tuple[str, ...], shape: tuple[int, int, int, int], seed: int, padding: int, size: int
) -> None:
    x = images(shape)
    before = x.clone()
    y = augment(x, draw(shape[0], seed, 1, 0), plan(names, padding, size))
    assert torch.equal(x, before)
    assert y.shape == x.shape and y.dtype == x.dtype
    assert float(y.min()) >= 0 and float(y.max()) <= 1
    for source, varied in zip(x, y, strict=True):
        for channel, seen in zip(source, varied, strict=True):
            kept = seen[seen > 0].tolist()
            assert set(kept) <= set(channel.flatten().tolist()) and len(set(kept)) == len(kept)


@examples(30)
@given(orders, st.integers(0, 50), st.integers(2, 6))
def test_a_sample_is_varied_alike_whatever_is_beside_it(names: tuple[str, ...], seed: int, n: int) -> None:
    x, other = images((n, 2, 6, 5)), images((n, 2, 6, 5), 1)
    other[0] = x[0]
    draws = draw(n, seed, 3, 7)
    a, b = (augment(batch, draws, plan(names)) for batch in (x, other))
    assert torch.equal(a[0], b[0])
    part = np.array([n - 1, 0])
    assert torch.equal(augment(x[part], draws.take(part), plan(names)), a[part])


@examples(30)
@given(orders, st.integers(0, 50))
def test_all_steps_and_types_alike(names: tuple[str, ...], seed: int) -> None:
    x = images((3, 2, 6, 6))
    draws = draw(3, seed, 1, 1)
    y = augment(x, draws, plan(names))
    sequence = augment(torch.stack((x, x / 2), 1), draws, plan(names))
    assert torch.equal(sequence[:, 0], y) and torch.equal(sequence[:, 1], y / 2)
    whole = (x * x.numel()).round().to(torch.int32)
    assert torch.equal(augment(whole, draws, plan(names)), (y * x.numel()).round().to(torch.int32))


def test_draws_depend_on_seed_epoch_and_iteration_alone() -> None:
    first = draw(64, 1, 2, 3)
    assert all(np.array_equal(a, b) for a, b in zip(first, draw(64, 1, 2, 3), strict=True))
    for other in (draw(64, 2, 2, 3), draw(64, 1, 3, 3), draw(64, 1, 2, 4)):
        assert all(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def fixed(crop: tuple[float, float] = (0, 0), cutout: tuple[float, float] = (0, 0), flip: float = 0.9) -> Draws:
    return Draws(np.array([crop]), np.array([cutout]), np.array([flip]))


def test_what_each_one_does() -> None:
    x = images((1, 1, 4, 5))
    assert torch.equal(augment(x, fixed(flip=0.49), plan(("flip",))), x.flip(-1))
    assert torch.equal(augment(x, fixed(flip=0.5), plan(("flip",))), x)
    shifted = augment(x, fixed(crop=(0.99, 0.0)), plan(("crop",), padding=1))[0, 0]
    assert torch.equal(shifted[:3, 1:], x[0, 0, 1:, :4])
    assert not shifted[3].any() and not shifted[:, 0].any()
    hidden = augment(x, fixed(cutout=(0.5, 0.0)), plan(("cutout",), size=3))[0, 0] == 0
    assert hidden.nonzero().tolist() == [[r, c] for r in (1, 2, 3) for c in (0, 1)]


def test_shifts_flips_and_holes_are_uniform() -> None:
    n = 20_000
    x = torch.zeros(n, 1, 9, 9)
    x[:, 0, 4, 4] = 1
    draws = draw(n, 5, 1, 0)
    place = augment(x, draws, plan(("crop",), padding=2)).flatten(1).argmax(1)
    counts = torch.bincount(place, minlength=81).reshape(9, 9)[2:7, 2:7]
    assert counts.sum() == n and (counts - n / 25).abs().max() < 5 * (n / 25) ** 0.5
    x = torch.zeros(n, 1, 1, 2)
    x[..., 0] = 1
    flipped = int(augment(x, draws, plan(("flip",)))[..., 1].sum())
    assert abs(flipped - n / 2) < 5 * (n / 4) ** 0.5
    hidden = (augment(torch.ones(n, 1, 8, 8), draws, plan(("cutout",), size=2)) == 0).float().mean(0)[0]
    assert (hidden[1:7, 1:7] - 4 / 64).abs().max() < 0.01


def test_what_cannot_be_varied_is_refused() -> None:
    with pytest.raises(ConfigError, match="not images"):
        augment(torch.zeros(3, 4, 700), draw(3, 1, 1, 1), plan(("flip",)))
    with pytest.raises(ConfigError, match="dataset: augment names something twice: flip, crop, flip"):
        load_config(None, ["dataset.augment=[flip, crop, flip]"])
    with refusing(ConfigError, what=("'flop'", "'flip'?")):
        load_config(None, ["dataset.augment=[flop]"])
