"""Random connectivity, drawn in numpy: the same for every Brian2 device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from eiplatform.errors import ConfigError
from eiplatform.microcircuits.circuit import Edges

__all__ = ["draw_sources", "fixed_in_degree", "independent", "random_pairs", "truncated_normal"]

# Targets are drawn in blocks: scratch memory stays near 100 MB whatever the size of the network.
_BLOCK_ENTRIES = 5_000_000


def draw_sources(
    rng: np.random.Generator, n_sources: int, in_degree: int, n_targets: int, own_index: NDArray[np.int32] | None = None
) -> NDArray[np.int32]:
    """Draw `in_degree` different sources for each target, every subset being equally likely.

    Sources are drawn with replacement and sorted; of equal ones one is kept and the others drawn
    again until all differ.  No step prefers a label, so the resulting subsets are uniform.

    Parameters
    ----------
    rng : numpy.random.Generator
    n_sources, in_degree, n_targets : int
    own_index : array of int32, shape (n_targets,), optional
        Index of each target among the sources, which it must not draw; -1 where it is none of them.

    Returns
    -------
    array of int32, shape (n_targets, in_degree)
        Ascending within a row.

    Raises
    ------
    ConfigError
        If there are not enough sources.

    Examples
    --------
    >>> draw_sources(np.random.default_rng(0), 3, 2, 2, np.array([0, -1], np.int32))[0]
    array([1, 2], dtype=int32)
    """
    own = np.full(n_targets, -1, np.int32) if own_index is None else own_index
    available = n_sources - int((own >= 0).any())
    if in_degree > available:
        raise ConfigError(f"{in_degree} different sources out of {available} are not possible", where="in-degree")
    if in_degree == 0:
        return np.empty((n_targets, 0), np.int32)
    # A target among the sources draws from one fewer; indices from its own on then move up by one.
    limit = (n_sources - (own >= 0)).astype(np.int32)[:, None]
    rows = rng.integers(0, limit, size=(n_targets, in_degree), dtype=np.int32)
    rows.sort(axis=1)
    pending = np.arange(n_targets)
    while pending.size:
        block = rows[pending]
        row, column = np.nonzero(block[:, 1:] == block[:, :-1])
        if not row.size:
            break
        block[row, column] = rng.integers(0, limit[pending[row], 0], dtype=np.int32)
        changed = np.unique(row)
        block = np.sort(block[changed], axis=1)
        pending = pending[changed]
        rows[pending] = block
    shift = (own[:, None] >= 0) & (rows >= own[:, None])
    return rows + shift.astype(np.int32)


def independent(
    rng: np.random.Generator, n_sources: int, probability: float, n_targets: int, first_own: int | None = None
) -> Edges:
    """Connect every pair with the same probability, independently of all others; no neuron with itself.

    The gaps between connected pairs, in the order of sources and targets, are geometric: as many
    random numbers are drawn as there are synapses.

    Parameters
    ----------
    rng : numpy.random.Generator
    n_sources : int
    probability : float
        Of a synapse, from 0 to 1.
    n_targets : int
    first_own : int, optional
        Target index of source 0, if the sources are themselves targets.

    Returns
    -------
    Edges
        Sorted by source.

    Raises
    ------
    ConfigError
        For an impossible probability, or more than 2^31 synapses.

    Examples
    --------
    >>> edges = independent(np.random.default_rng(0), 3, 1.0, 3, first_own=0)
    >>> edges.pre().tolist(), edges.post.tolist()
    ([0, 0, 1, 1, 2, 2], [1, 2, 0, 2, 0, 1])
    """
    if not 0 <= probability <= 1:
        raise ConfigError(f"{probability} is not possible", where="connection probability", valid="from 0 to 1")
    if n_sources * n_targets * probability > np.iinfo(np.int32).max:
        raise ConfigError(f"{n_sources} x {n_targets} x {probability:g} synapses do not fit into 32 bits")
    width = n_targets - (first_own is not None)  # a source that is a target has one pair fewer
    pairs = n_sources * width
    if probability == 0 or pairs == 0:
        return Edges(np.zeros(n_sources, np.int32), np.empty(0, np.int32))
    parts: list[NDArray[np.int64]] = []
    last = -1
    while last < pairs:
        count = min(_BLOCK_ENTRIES, int((pairs - last) * probability * 1.05) + 100)
        # A gap beyond the last pair ends the search, however long it is: its sum must not overflow.
        parts.append(last + np.cumsum(np.minimum(rng.geometric(probability, count), pairs)))
        last = int(parts[-1][-1])
    chosen = np.concatenate(parts)
    source, target = np.divmod(chosen[chosen < pairs], width)
    if first_own is not None:
        target += target >= source + first_own
    return Edges(np.bincount(source, minlength=n_sources).astype(np.int32), target.astype(np.int32))


def fixed_in_degree(
    rng: np.random.Generator, n_sources: int, in_degree: int, n_targets: int, first_own: int | None = None
) -> Edges:
    """Connect every target to exactly `in_degree` different sources, never to itself.

    Brunel's network has this fixed in-degree.  Connecting each pair with probability p instead
    (binomial in-degree) makes rates differ between neurons far more (standard deviation
    24 Hz instead of 3 Hz in state C) and silences some of them.

    Parameters
    ----------
    rng : numpy.random.Generator
    n_sources, in_degree, n_targets : int
    first_own : int, optional
        Target index of source 0, if the sources are themselves targets.

    Returns
    -------
    Edges
        Sorted by source.

    Raises
    ------
    ConfigError
        If there are not enough sources, or more than 2^31 synapses.

    Examples
    --------
    >>> edges = fixed_in_degree(np.random.default_rng(0), 10, 4, 12, first_own=0)
    >>> np.bincount(edges.post)
    array([4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4])
    """
    if n_targets * in_degree > np.iinfo(np.int32).max:
        raise ConfigError(f"{n_targets} x {in_degree} synapses do not fit into 32 bits", where="in-degree")
    sources = np.empty((n_targets, in_degree), np.int32)
    block = max(1, _BLOCK_ENTRIES // max(in_degree, 1))
    for start in range(0, n_targets, block):
        stop = min(start + block, n_targets)
        targets = np.arange(start, stop, dtype=np.int32)
        own = None
        if first_own is not None:
            inside = (targets >= first_own) & (targets < first_own + n_sources)
            own = np.where(inside, targets - first_own, -1).astype(np.int32)
        sources[start:stop] = draw_sources(rng, n_sources, in_degree, stop - start, own)
    # Transposing the sparse matrix is a counting sort by source.
    indptr = np.arange(n_targets + 1, dtype=np.int32) * np.int32(in_degree)
    ones = np.ones(sources.size, np.int8)
    by_source = scipy.sparse.csr_array((ones, sources.ravel(), indptr), shape=(n_targets, n_sources)).tocsc()
    return Edges(np.diff(by_source.indptr).astype(np.int32), by_source.indices.astype(np.int32, copy=False))


def truncated_normal(
    rng: np.random.Generator, mean: float, std: float, low: float, high: float, size: int
) -> NDArray[np.float32]:
    """Draw normal numbers, again and again those outside [low, high].

    Parameters
    ----------
    rng : numpy.random.Generator
    mean, std, low, high : float
        The bounds have to hold a fair share of the distribution.
    size : int

    Returns
    -------
    array of float32, shape (size,)

    Examples
    --------
    >>> values = truncated_normal(np.random.default_rng(0), 1.0, 1.0, 0.0, 2.0, 1000)
    >>> bool(values.min() >= 0), bool(values.max() <= 2), bool(abs(values.mean() - 1) < 0.1)
    (True, True, True)
    """
    values = rng.standard_normal(size, np.float32) * np.float32(std) + np.float32(mean)
    outside = np.flatnonzero((values < low) | (values > high))
    while outside.size:
        again = rng.standard_normal(outside.size, np.float32) * np.float32(std) + np.float32(mean)
        values[outside] = again
        outside = outside[(again < low) | (again > high)]
    return values


def random_pairs(
    rng: np.random.Generator,
    counts: NDArray[np.int64],
    n_sources: NDArray[np.int64],
    targets: Sequence[tuple[int, int]],
    weights: NDArray[np.float64],
    *,
    weight_std: float,
    delay: float,
    delay_std: float,
) -> Edges:
    """Connect populations with exact numbers of synapses between independent random pairs of neurons.

    A pair may be drawn more than once, and a neuron may be its own target.  Given the number of
    synapses, those of the sources are multinomial and their targets independent, so that synapses
    are drawn source by source and never have to be sorted as a whole.

    Parameters
    ----------
    rng : numpy.random.Generator
    counts : array of int, shape (source population, target population)
        Numbers of synapses.
    n_sources : array of int, shape (source population,)
        Sizes of the source populations, which follow one another.
    targets : sequence of (int, int)
        Index of the first neuron and size of each target population.
    weights : array, shape (source population, target population)
        Mean weights, whole-number units.
    weight_std : float
        Standard deviation of a weight relative to its mean; normal, beyond 8 of them drawn again.
    delay, delay_std : float
        Mean and standard deviation of the delay in steps; normal, below half a step drawn again,
        rounded.

    Returns
    -------
    Edges
        With delays and the value ``"w"`` (int16), sorted by source and delay.

    Raises
    ------
    ConfigError
        For more than 2^31 synapses.
    """
    if counts.sum() > np.iinfo(np.int32).max:
        raise ConfigError(f"{counts.sum()} synapses do not fit into 32 bits", where="connectivity")
    longest = int(np.ceil(delay + 8 * delay_std))
    degrees = np.concatenate(
        [
            np.stack([rng.multinomial(count, np.full(size, 1 / size)) for count in row], axis=1)
            for row, size in zip(counts, n_sources, strict=True)
        ]
    ).astype(np.int32)
    owner = np.repeat(np.arange(len(n_sources)), n_sources)
    start, size = (np.array(column) for column in zip(*targets, strict=True))
    total, out = degrees.sum(axis=1, dtype=np.int32), int(counts.sum())
    post, weight = np.empty(out, np.int32), np.empty(out, np.int16)
    delays = np.empty(out, np.uint8 if longest < 256 else np.uint16)
    ends = np.concatenate([[0], np.cumsum(total, dtype=np.int64)])
    begin = 0
    while begin < len(total):
        # The key of source and delay has 16 bits, which numpy sorts in linear time.
        limit = min(begin + max(1, 65536 // (longest + 1)), len(total))
        stop = max(begin + 1, int(np.searchsorted(ends, ends[begin] + _BLOCK_ENTRIES, "right")) - 1)
        stop = min(stop, limit)
        source = np.repeat(np.arange(stop - begin), total[begin:stop])
        block = degrees[begin:stop]
        to = np.repeat(np.tile(np.arange(len(targets)), stop - begin), block.ravel())
        n = len(source)
        step = np.floor(truncated_normal(rng, delay, delay_std, 0.5, longest, n) + 0.5).astype(np.uint16)
        key = source.astype(np.uint16) * np.uint16(longest + 1) + step
        order = np.argsort(key, kind="stable")
        mean = weights[owner[begin:stop][source], to]
        drawn = mean * truncated_normal(rng, 1.0, weight_std, 1 - 8 * weight_std, 1 + 8 * weight_std, n)
        here = slice(ends[begin], ends[stop])
        post[here] = (start[to] + (rng.random(n) * size[to]).astype(np.int32))[order]
        weight[here] = np.rint(drawn)[order]
        delays[here] = step[order]
        begin = stop
    return Edges(total, post, delays, {"w": weight})
