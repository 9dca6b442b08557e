"""Differences over seeds against scipy, by hand, and where they must be silent."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from eiplatform.errors import StatisticError, StoreError
from eiplatform.statistics.kernels.contrasts import paired, unpaired
from eiplatform.statistics.kernels.multiple import benjamini_hochberg
from eiplatform.statistics.references import reference_table
from eiplatform.store.references import read_reference, reference_file


@pytest.fixture
def groups() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    return rng.normal(1.0, 1.0, (5, 2, 3)), rng.normal(0.3, 2.0, (5, 2, 3))


def test_paired_is_students(groups: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = groups
    found, known = paired(first, second), stats.ttest_rel(first, second)
    ends = known.confidence_interval(0.95)
    np.testing.assert_allclose(found.p, known.pvalue)
    np.testing.assert_allclose([found.low, found.high], [ends.low, ends.high])
    for cell in np.ndindex(2, 3):
        exact = stats.permutation_test(
            (first[:, *cell], second[:, *cell]), lambda a, b: np.mean(a - b), permutation_type="samples"
        )
        assert found.p_exact[cell] == pytest.approx(exact.pvalue)


def test_unpaired_is_welchs(groups: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = groups[0], groups[1][:4]
    found, known = unpaired(first, second), stats.ttest_ind(first, second, equal_var=False)
    ends = known.confidence_interval(0.95)
    np.testing.assert_allclose(found.p, known.pvalue)
    np.testing.assert_allclose([found.low, found.high], [ends.low, ends.high])
    equal = unpaired(*groups)  # of groups of one size the two tails mirror each other, and scipy's p is the same
    for cell in np.ndindex(2, 3):
        pair = (groups[0][:, *cell], groups[1][:, *cell])
        exact = stats.permutation_test(pair, lambda a, b: np.mean(a) - np.mean(b), permutation_type="independent")
        assert equal.p_exact[cell] == pytest.approx(exact.pvalue)


def test_the_smallest_exact_p_is_that_of_the_labels() -> None:
    low, high = np.arange(5.0), np.arange(5.0) + 100
    assert paired(high, low).p_exact == pytest.approx(2 / 2**5)
    assert unpaired(high, low).p_exact == pytest.approx(2 / 252)


def test_exchanging_the_sides_turns_the_sign_alone(groups: tuple[np.ndarray, np.ndarray]) -> None:
    for test in (paired, unpaired):
        one, other = test(*groups), test(*groups[::-1])
        np.testing.assert_allclose(one.difference, -other.difference)
        np.testing.assert_allclose(one.low, -other.high)
        np.testing.assert_allclose(one.p, other.p)
        np.testing.assert_allclose(one.p_exact, other.p_exact)


def test_the_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.5, 1, (5, 2000)), rng.normal(0, 2, (5, 2000))
    for test in (paired, unpaired):
        found = test(first, second)
        covered = ((found.low < 0.5) & (found.high > 0.5)).mean()
        assert 0.935 < covered < 0.975, test


def test_missing_seeds_are_left_out_cell_by_cell() -> None:
    first = np.array([[1.0, np.nan], [2.0, np.nan], [4.0, 1.0]])
    found = paired(first, np.zeros((3, 2)))
    assert found.n.tolist() == [3, 1] and found.difference[1] == 1.0
    assert np.isnan([found.low[1], found.p[1], found.p_exact[1]]).all()
    nothing = unpaired(np.full((2, 1), np.nan), np.ones((3, 1)))
    assert np.isnan(nothing.difference).all() and nothing.n.tolist() == [0]
    with pytest.raises(StatisticError, match="unequal shape"):
        paired(np.ones(3), np.ones(4))
    with pytest.raises(StatisticError, match="unequal cells"):
        unpaired(np.ones((3, 2)), np.ones((3, 1)))


def test_what_does_not_vary_has_no_p() -> None:
    """Own and other correlation are equal at initialisation up to rounding: that is no finding."""
    rounding = 1e-12 * np.random.default_rng(1).normal(size=5)
    assert np.isnan(paired(0.7 + rounding, np.full(5, 0.7)).p)


def test_false_discoveries_as_in_the_paper() -> None:
    """Benjamini and Hochberg 1995, section 4: four of fifteen are rejected at 0.05."""
    p = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1.0,
    ]
    q = benjamini_hochberg(np.array([*p, np.nan]))
    assert (q[:-1] < 0.05).sum() == 4 and np.isnan(q[-1])
    assert np.isnan(benjamini_hochberg([np.nan, np.nan])).all()


def test_references_stand_under_the_names_of_statistics() -> None:
    files = [reference_file("brunel-2000-C"), reference_file("potjans-diesmann-2014-10")]
    table = reference_table(files, ["ei_ratio", "balance_index", "ei_correlation_time", "gain"])
    assert table["reference"].values.tolist() == [
        "brunel-2000: E",
        *(f"potjans-diesmann-2014: {name}" for name in ("L23E", "L4E", "L5E", "L6E")),
    ]
    summary = read_reference(files[1]).sel(population="L4E", over_seeds="mean")
    l4 = table["reference_value"].sel(reference="potjans-diesmann-2014: L4E")
    exc, inh = float(summary["current_exc"]), float(summary["current_inh"])
    assert float(l4.sel(statistic="ei_ratio")) == pytest.approx(
        exc / inh, rel=0.05
    )  # geometric mean of neurons' ratios
    assert float(l4.sel(statistic="balance_index")) == pytest.approx((exc - inh) / exc, abs=0.02)
    at_step = summary["ei_correlation_time"].sel(interval="step")
    assert float(l4.sel(statistic="ei_correlation_time")) == pytest.approx(float(at_step))
    assert table["comparable"].values.tolist() == [False, False, True, False]
    ratio = table.sel(statistic="ei_ratio")
    assert bool((ratio["reference_low"] < ratio["reference_value"]).all())
    assert bool((ratio["reference_value"] < ratio["reference_high"]).all())


def test_a_reference_that_is_none_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(StoreError, match=r"brunel\.nc does not exist.*valid: brunel-2000-.*potjans"):
        reference_file("brunel")
    (tmp_path / "x.nc").write_bytes(b"nothing")
    with pytest.raises(StoreError, match=r"x\.nc: damaged: not readable"):
        read_reference(tmp_path / "x.nc")
