"""Fixed in-degree: exact numbers, no repeats, no self, no preference."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from eiplatform.errors import ConfigError
from eiplatform.microcircuits import connectivity
from eiplatform.microcircuits.brunel_2000 import Brunel2000
from eiplatform.microcircuits.connectivity import draw_sources, fixed_in_degree
from tests.examples import examples


@examples(30)
@given(st.integers(2, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.data())
def test_every_target_has_its_number_of_different_sources(n_sources, n_targets, seed, data):
    in_degree = data.draw(st.integers(0, n_sources - 1))
    first_own = data.draw(st.none() | st.integers(0, n_targets))
    edges = fixed_in_degree(np.random.default_rng(seed), n_sources, in_degree, n_targets, first_own)
    pre, post = edges.pre(), edges.post
    assert edges.degree.dtype == post.dtype == np.int32
    assert np.array_equal(np.bincount(post, minlength=n_targets), np.full(n_targets, in_degree))
    assert len(set(zip(pre.tolist(), post.tolist(), strict=True))) == len(pre)
    assert np.all(np.diff(pre) >= 0)
    assert pre.size == 0 or (pre.min() >= 0 and pre.max() < n_sources)
    if first_own is not None:
        assert not np.any(pre + first_own == post)


def test_every_subset_is_equally_likely():
    rows = draw_sources(np.random.default_rng(3), 6, 3, 40_000)
    subsets = {subset: index for index, subset in enumerate(combinations(range(6), 3))}
    counts = np.bincount([subsets[tuple(row)] for row in rows.tolist()], minlength=20)
    assert chisquare(counts).pvalue > 1e-3


def test_sources_are_uniform_among_the_others():
    own = np.tile(np.arange(12, dtype=np.int32), 3000)
    rows = draw_sources(np.random.default_rng(5), 12, 4, own.size, own)
    relative = (rows - own[:, None]) % 12
    counts = np.bincount(relative.ravel(), minlength=12)
    assert counts[0] == 0
    assert chisquare(counts[1:]).pvalue > 1e-3


def test_out_degree_of_sources_is_uniform():
    edges = fixed_in_degree(np.random.default_rng(7), 200, 20, 5000)
    # Drawing without replacement: the counts spread like a binomial, not more and not less.
    assert edges.degree.sum() == 100_000
    assert edges.degree.var() == pytest.approx(5000 * 0.1 * 0.9, rel=0.3)


def test_blocks_do_not_change_what_is_guaranteed(monkeypatch):
    monkeypatch.setattr(connectivity, "_BLOCK_ENTRIES", 100)
    edges = fixed_in_degree(np.random.default_rng(0), 50, 30, 70, first_own=10)
    assert np.array_equal(np.bincount(edges.post), np.full(70, 30))
    assert not np.any(edges.pre() + 10 == edges.post)


def test_too_few_sources():
    with pytest.raises(ConfigError, match="10 different sources out of 9"):
        fixed_in_degree(np.random.default_rng(0), 10, 10, 12, first_own=0)
    with pytest.raises(ConfigError, match="32 bits"):
        fixed_in_degree(np.random.default_rng(0), 100_000, 50_000, 100_000)


def test_circuit_connectivity_depends_on_the_seed_and_on_nothing_else():
    circuit = Brunel2000.from_parameters({"scale": 0.02})
    first, again, other = (
        np.concatenate([edges.post for _, edges in circuit.connectivity(seed)]) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.size == circuit.n_synapses == 250 * (20 + 5)
    inhibitory = dict(circuit.connectivity(1))["inh"]
    assert not np.any(inhibitory.pre() + 200 == inhibitory.post)
