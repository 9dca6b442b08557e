"""The Poisson drive: the inverse of the cumulative distribution, for any mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, poisson

from eiplatform.microcircuits.drive import poisson_quantile
from tests.examples import examples


@examples(30)
@given(st.floats(0.01, 400), st.floats(1e-6, 1 - 1e-6))
def test_it_is_the_quantile(mean, u):
    count = int(poisson_quantile(np.array([u]), mean, np.exp(-mean))[0])
    assert poisson.cdf(count, mean) >= u * (1 - 1e-10)
    assert count == 0 or poisson.cdf(count - 1, mean) <= u * (1 + 1e-10)


def test_means_may_differ_between_neurons():
    u = np.random.default_rng(0).random(1000)
    means = np.where(np.arange(1000) < 400, 1.5, 7.0)
    counts = poisson_quantile(u, means, np.exp(-means))
    assert np.array_equal(counts[:400], poisson_quantile(u[:400], 1.5, np.exp(-1.5)))
    assert np.array_equal(counts[400:], poisson_quantile(u[400:], 7.0, np.exp(-7.0)))


def test_counts_are_poisson():
    counts = poisson_quantile(np.random.default_rng(1).random(200_000), 2.0, np.exp(-2.0))
    observed = np.bincount(np.minimum(counts, 9), minlength=10)
    expected = np.append(poisson.pmf(np.arange(9), 2.0), poisson.sf(8, 2.0)) * 200_000
    assert chisquare(observed, expected).pvalue > 1e-3


@pytest.mark.parametrize("mean", [0.0, 2.0, 500.0])
def test_extremes_of_the_uniform_number_end(mean):
    low, high = poisson_quantile(np.array([0.0, 1 - 2**-53]), mean, np.exp(-mean))
    assert low == 0
    assert mean <= high < mean + 60 + 10 * np.sqrt(mean)
    assert mean > 0 or high == 0
