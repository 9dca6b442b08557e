"""Kernels of balance against closed forms and against explicit, slow computations."""

import numpy as np
import pytest

from eiplatform.errors import UnknownNameError
from eiplatform.statistics import kernels


def one(n):
    return np.ones((1, n))


def test_weighted_moments_equal_explicit_resampling():
    rng = np.random.default_rng(1)
    exc, inh = rng.gamma(2.0, size=(40, 6)), rng.gamma(3.0, size=(40, 6))
    pair = kernels.CurrentPair(exc, inh)
    drawn = rng.integers(0, 40, size=(5, 40))
    counts = np.stack([np.bincount(row, minlength=40) for row in drawn])
    moments = pair.moments(counts)
    for b, row in enumerate(drawn):
        e, i = exc[row], inh[row]
        np.testing.assert_allclose(moments.mean_exc[b], e.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(moments.mean_inh[b], i.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(moments.var_exc[b], e.var(axis=0), rtol=1e-10)
        np.testing.assert_allclose(moments.var_inh[b], i.var(axis=0), rtol=1e-10)
        np.testing.assert_allclose(
            moments.cov[b], [np.cov(e[:, n], i[:, n], ddof=0)[0, 1] for n in range(6)], rtol=1e-9
        )


@pytest.mark.parametrize("pairs", kernels.PAIRS)
def test_weighted_correlations_equal_explicit_resampling(pairs):
    rng = np.random.default_rng(2)
    common = rng.normal(size=(60, 1))
    exc, inh = common + rng.normal(size=(60, 5)), 0.5 * common + rng.normal(size=(60, 5))
    row = rng.integers(0, 60, size=60)
    weights = np.bincount(row, minlength=60)[None]
    got = kernels.pair_correlation(weights, kernels.CurrentPair(exc, inh), pairs)[0]
    np.testing.assert_allclose(got, explicit_correlation(exc[row], inh[row], pairs), rtol=1e-9, atol=1e-12)


def explicit_correlation(exc, inh, pairs):
    """Loop over neurons and pairs, with np.corrcoef and least squares."""
    n = exc.shape[1]
    own = np.array([np.corrcoef(exc[:, i], inh[:, i])[0, 1] for i in range(n)])
    cross = np.array([np.mean([np.corrcoef(exc[:, i], inh[:, j])[0, 1] for j in range(n) if j != i]) for i in range(n)])
    if pairs == "partial":
        partial = []
        for i in range(n):
            others = np.delete(exc, i, axis=1).mean(axis=1)
            design = np.stack([np.ones_like(others), others], axis=1)
            e, h = (x - design @ np.linalg.lstsq(design, x, rcond=None)[0] for x in (exc[:, i], inh[:, i]))
            partial.append(np.corrcoef(e, h)[0, 1])
        return np.array(partial)
    return {"own": own, "cross": cross, "excess": own - cross}[pairs]


def test_moments_keep_their_digits_far_from_zero():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(500, 3))
    moments = kernels.CurrentPair(1e3 + x, 1e3 - x).moments(one(500))
    np.testing.assert_allclose(moments.var_exc[0], x.var(axis=0), rtol=1e-8)
    np.testing.assert_allclose(moments.cov[0], -x.var(axis=0), rtol=1e-8)


def test_constant_currents_up_to_float32_rounding_have_no_correlation():
    rng = np.random.default_rng(4)
    rounding = (rng.integers(-2, 3, size=(100, 2)) * 2.0**-23).astype(np.float32)
    exc = (np.float32(1.0) + rounding).astype(np.float32)
    inh = rng.normal(5.0, 1.0, size=(100, 2))
    assert exc.std() > 0
    for pairs in kernels.PAIRS:
        assert np.isnan(kernels.pair_correlation(one(100), kernels.CurrentPair(exc, inh), pairs)).all()
        assert np.isnan(kernels.pair_correlation(one(100), kernels.CurrentPair(inh, exc), pairs)).all()


def test_constant_neurons_do_not_touch_the_cross_correlation_of_others():
    rng = np.random.default_rng(5)
    exc, inh = rng.normal(size=(80, 4)), rng.normal(size=(80, 4))
    dead = np.concatenate([exc, np.full((80, 1), 3.0)], axis=1), np.concatenate([inh, np.zeros((80, 1))], axis=1)
    for pairs in kernels.PAIRS:
        alive = kernels.pair_correlation(one(80), kernels.CurrentPair(exc, inh), pairs)[0]
        got = kernels.pair_correlation(one(80), kernels.CurrentPair(*dead), pairs)[0]
        np.testing.assert_allclose(got[:4], alive, rtol=1e-10)
        assert np.isnan(got[4])


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.3, 0.9])
def test_known_correlation_is_recovered(rho):
    rng = np.random.default_rng(6)
    n, s = 200, 400
    exc = rng.normal(size=(s, n))
    inh = rho * exc + np.sqrt(1 - rho**2) * rng.normal(size=(s, n))
    pair = kernels.CurrentPair(exc, inh)
    values = {pairs: kernels.pair_correlation(one(s), pair, pairs)[0].mean() for pairs in kernels.PAIRS}
    bound = 4 * (1 - rho**2) / np.sqrt(s * n) + abs(rho) / s
    assert abs(values["own"] - rho) < bound
    assert abs(values["cross"]) < 4 / np.sqrt(s * n)
    # Neurons are independent: nothing is shared, so neither excess nor partial differs from own.
    assert abs(values["excess"] - rho) < 2 * bound
    assert abs(values["partial"] - rho) < 2 * bound


def test_pure_common_mode_leaves_no_excess_and_no_partial():
    rng = np.random.default_rng(7)
    s, n = 1000, 100
    common = rng.normal(size=(s, 1))
    exc, inh = common + 0.5 * rng.normal(size=(s, n)), common + 0.5 * rng.normal(size=(s, n))
    pair = kernels.CurrentPair(exc, inh)
    own, cross, excess, partial = (kernels.pair_correlation(one(s), pair, pairs)[0].mean() for pairs in kernels.PAIRS)
    assert own == pytest.approx(1 / 1.25, abs=0.02)
    assert cross == pytest.approx(own, abs=0.003)
    assert abs(excess) < 0.003
    assert abs(partial) < 0.02


def test_ei_init_null_has_its_closed_form():
    """Random exponential weights alone give corr(E, I) = 1/sqrt(2(1 + 1/n_I)) over samples."""
    rng = np.random.default_rng(8)
    d, n, n_inh, s, p = 400, 128, 8, 2000, 0.2
    x = (rng.random((s, d)) < p).astype(float)
    exc = x @ rng.exponential(size=(n, d)).T
    inh = np.repeat((x @ rng.exponential(size=(n_inh, d)).T).mean(axis=1, keepdims=True), n, axis=1)
    pair = kernels.CurrentPair(exc, inh)
    expected = 1 / np.sqrt(2 * (1 + 1 / n_inh))
    assert kernels.pair_correlation(one(s), pair, "own")[0].mean() == pytest.approx(expected, abs=0.015)
    # All neurons share one inhibition, so none of it is detailed.
    np.testing.assert_allclose(kernels.pair_correlation(one(s), pair, "excess")[0].mean(), 0.0, atol=1e-10)


def test_correlation_over_time_is_the_correlation_within_each_sample():
    rng = np.random.default_rng(9)
    exc, inh = rng.normal(size=(3, 70, 4)), rng.normal(size=(3, 70, 4))
    exc += 100 * np.arange(3)[:, None, None]  # differences between samples must not matter
    inh += 100 * np.arange(3)[:, None, None]
    got = kernels.correlation_over_time(exc, inh, "own")
    want = [[np.corrcoef(exc[s, :, n], inh[s, :, n])[0, 1] for n in range(4)] for s in range(3)]
    np.testing.assert_allclose(got, want, rtol=1e-10)


def test_single_neuron_has_own_but_no_cross():
    rng = np.random.default_rng(10)
    pair = kernels.CurrentPair(rng.normal(size=(50, 1)), rng.normal(size=(50, 1)))
    assert np.isfinite(kernels.pair_correlation(one(50), pair, "own")).all()
    for pairs in ("cross", "excess", "partial"):
        assert np.isnan(kernels.pair_correlation(one(50), pair, pairs)).all()


def test_unknown_pairing_is_named():
    with pytest.raises(UnknownNameError, match="did you mean 'cross'"):
        kernels.pair_correlation(one(4), kernels.CurrentPair(np.ones((4, 1)), np.ones((4, 1))), "cros")


def test_ratio_and_index_are_undefined_without_a_positive_mean():
    exc, inh = np.array([2.0, 2.0, 0.0, -1.0]), np.array([1.0, 0.0, 1.0, 1.0])
    np.testing.assert_array_equal(kernels.ei_ratio(exc, inh), [2.0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(kernels.balance_index(exc, inh), [0.5, 1.0, np.nan, np.nan])
