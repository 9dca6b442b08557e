"""Tests of two sides against each other, by resampling what is independent: seed, then sample, then neuron.

Several networks a side: their seeds are independent.  One network a side: the answer is about these two
networks, and samples and neurons are resampled, samples alike on both sides where both saw the same.
Realisations of a circuit are independent; the neurons of one of them are not, since they share its
fluctuations.  Where nothing independent is left, no test is made, and the reason is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb, sqrt

import numpy as np
from scipy import stats

from eiplatform.statistics.kernels.crossed import crossed_variance
from eiplatform.statistics.kernels.evidence import Group, Seed, heavy
from eiplatform.statistics.kernels.intervals import resample_counts
from eiplatform.statistics.kernels.moments import FloatArray

__all__ = ["Difference", "Distributions", "distributions", "means"]

_MOST = 20_000
"""Rearrangements of seeds that are still enumerated."""
_DRAWS = 1000

_ALIKE = 1.25
"""Ratio of the numbers of samples up to which the noise of neurons' values is taken as alike."""

SEEDS = "seeds"
ONE_MORE = "seeds; the single network is taken as one more seed"
THESE = "samples and neurons: about these two networks, not about other seeds"
THIS = "samples and neurons of this network, and seeds of the other side: not about other seeds of this network"

_ONE_REALISATION = (
    "no test: one realisation of a circuit, whose neurons share its fluctuations; "
    "simulate 2 seeds or more (5 for a useful test)"
)
_PRECISION = (
    "no test of distributions: a neuron's value rests on {} samples here and on {} there, so that noise alone "
    "spreads neurons differently"
)
_ONE_SAMPLE = "no test: one sample, which all neurons share; record 2 samples or more"


@dataclass(frozen=True)
class Difference:
    """Difference of two means and what its test rests on.

    Attributes
    ----------
    value, error, freedom : float
        Standard error with Satterthwaite's degrees of freedom; NaN without a test.
    unit : str
        What was taken as independent.
    reason : str
        Why no test was made.
    """

    value: float
    error: float = float("nan")
    freedom: float = float("nan")
    unit: str = ""
    reason: str = ""

    @property
    def p(self) -> float:
        """Two-sided, Student; NaN without a test or without variation."""
        return float(2 * stats.t.sf(abs(self.value) / self.error, self.freedom)) if self.error > 0 else float("nan")

    def interval(self, level: float) -> tuple[float, float]:
        """Return the ends of Student's interval; NaN without a test."""
        half = float(stats.t.ppf((1 + level) / 2, self.freedom)) * self.error if self.error > 0 else float("nan")
        return self.value - half, self.value + half


def means(mine: Group, other: Group, *, same_samples: bool) -> Difference:
    """Test whether two sides have the same mean.

    Parameters
    ----------
    mine, other : Group
    same_samples : bool
        Both sides are networks that saw the same samples in the same order.

    Returns
    -------
    Difference
        Several seeds a side: Welch's test over seeds (Welch 1947, Biometrika 34:28); where the sides
        saw different samples, the variance that a side's seeds share because of its samples is added.
        One network against several: Student's test of one more seed, with their variance.  One network
        a side, and one network against realisations of a circuit: the bootstrap's variance over
        samples and neurons, cells counted once (Owen 2007, Ann Appl Stat 1:386).

    Examples
    --------
    >>> import numpy as np
    >>> def side(*values):
    ...     return Group.of("network", [Seed(value, 2, 1, np.zeros(1)) for value in values])
    >>> found = means(side(3.0, 4.0, 5.0), side(0.0, 1.0, 2.0), same_samples=True)
    >>> found.value, round(found.error, 4), found.freedom  # Welch: sqrt(1/3 + 1/3)
    (3.0, 0.8165, 4.0)
    """
    value = mine.mean - other.mean
    networks = mine.kind == other.kind == "network"
    if networks and mine.n == other.n == 1:
        return _pair(value, mine.seeds[0], other.seeds[0], same_samples)
    if networks and 1 in (mine.n, other.n):
        return _one_more(value, mine, other, same_samples)
    if any(group.kind != "network" and group.n < 2 for group in (mine, other)):
        return Difference(value, reason=_ONE_REALISATION)
    parts: list[tuple[float, float]] = []
    for group in (mine, other):
        if group.n > 1:
            parts.append((group.sd**2 / group.n, group.n - 1.0))
            if group.kind == "network" and not same_samples:
                parts.append(group.shared())
        else:
            parts.append(_alone(group.seeds[0]))
    if not np.isfinite(parts).all():
        return Difference(value, reason=_ONE_SAMPLE)
    return _joined(value, parts, SEEDS if min(mine.n, other.n) > 1 else THIS)


def _joined(value: float, parts: list[tuple[float, float]], unit: str) -> Difference:
    """Join independent variances, each with its degrees of freedom (Satterthwaite 1946)."""
    variance = sum(part for part, _ in parts)
    if not variance > 0:
        return Difference(value, 0.0, unit=unit, reason="no test: nothing varies")
    freedom = variance**2 / sum(part**2 / free for part, free in parts if part > 0)
    return Difference(value, sqrt(variance), freedom, unit)


def _alone(seed: Seed) -> tuple[float, float]:
    """Return the variance of one network's value over samples and neurons, and its freedom."""
    if seed.n_samples < 2:
        return float("nan"), float("nan")
    return crossed_variance(seed.variances, seed.free, known=seed.known or None, n_draws=seed.sample_draws.size)


def _pair(value: float, mine: Seed, other: Seed, same_samples: bool) -> Difference:
    if min(mine.n_samples, other.n_samples) < 2:
        return Difference(value, reason=_ONE_SAMPLE)
    if not same_samples:
        return _joined(value, [_alone(mine), _alone(other)], THESE)
    # Samples count by what they do to the difference; neurons and cells are those of both sides.
    apart = float((mine.sample_draws - other.sample_draws).var())
    neurons, cells = (mine.variances[level] + other.variances[level] for level in (1, 2))
    free = (mine.n_samples - 1.0, min(mine.n_neurons, other.n_neurons) - 1.0)
    known = np.minimum(mine.known or free, other.known or free)
    part = crossed_variance([apart, neurons, cells], free, known=known.tolist(), n_draws=mine.sample_draws.size)
    return _joined(value, [part], THESE)


def _one_more(value: float, mine: Group, other: Group, same_samples: bool) -> Difference:
    several, single = (mine, other) if mine.n > 1 else (other, mine)
    parts = [(several.sd**2 * (1 + 1 / several.n), several.n - 1.0)]
    if not same_samples:
        (seed,) = single.seeds
        parts += [several.shared(), seed.over_samples()]
    if not np.isfinite(parts).all():
        return Difference(value, reason=_ONE_SAMPLE)
    return _joined(value, parts, ONE_MORE)


@dataclass(frozen=True)
class Distributions:
    """Whether two distributions over neurons differ.

    Attributes
    ----------
    p : float
    low, high : float
        Interval of the Wasserstein distance about the value `distance`; NaN where there is none.
    smallest : float
        The least p that the test can give.
    unit, reason : str
        As of :class:`Difference`.
    """

    p: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    smallest: float = float("nan")
    unit: str = ""
    reason: str = ""


def distributions(
    mine: Group, other: Group, distance: float, *, same_samples: bool, level: float = 0.95, seed: int = 0
) -> Distributions:
    """Test whether two sides have the same distribution over neurons, by the Wasserstein distance.

    Parameters
    ----------
    mine, other : Group
    distance : float
        The distance of the values, which the interval is about.
    same_samples : bool
    level : float
    seed : int
        Of the resampling of seeds.

    Returns
    -------
    Distributions
        Networks of several seeds that saw the same samples: permutation of the seeds, all if there are
        at most 20 000 (Fisher 1935; Phipson & Smyth 2010).  Otherwise the centred bootstrap of the
        two quantile functions (van der Vaart & Wellner 1996, section 3.7): the null is the distance of
        their deviations when seeds, samples and neurons are resampled.  No test where neurons' values
        rest on different numbers of samples (a network's images, one trial of each realisation of a circuit):
        the noise of a value is part of its distribution over neurons.
    """
    groups = (mine, other)
    if any(not group.seeds or not group.seeds[0].quantiles.size for group in groups):
        return Distributions(reason="no test of distributions: a side keeps none over the neurons of its seeds")
    precision = [seed.n_samples for group in groups for seed in group.seeds]
    if max(precision) > _ALIKE * min(precision):
        return Distributions(
            reason=_PRECISION.format(*(max(seed.n_samples for seed in group.seeds) for group in groups))
        )
    networks = mine.kind == other.kind == "network"
    one = sorted(group.n for group in groups)[0] == 1 < max(group.n for group in groups)
    moved = _moved(groups, seed, same_samples)
    first, second = (np.mean([part.quantiles for part in group.seeds], axis=0) for group in groups)
    low = high = float("nan")
    if moved is not None:
        apart = np.abs(first - second + moved).mean(axis=1)
        # Recentred: draws of an estimate that cannot be negative lie too high.
        ends = distance + np.quantile(apart - apart.mean(), [(1 - level) / 2, (1 + level) / 2])
        low, high = max(float(ends[0]), 0.0), float(ends[1])
    if networks and same_samples and max(group.n for group in groups) > 1:
        p, smallest = _by_seeds(mine, other, seed)
        return Distributions(p, low, high, smallest, ONE_MORE if one else SEEDS)
    if networks and one:
        return Distributions(reason="no test of distributions: one network against seeds that saw other samples")
    if moved is None:
        few = any(group.kind != "network" and group.n < 2 for group in groups)
        return Distributions(reason=_ONE_REALISATION if few else _ONE_SAMPLE)
    observed = np.abs(first - second).mean()
    null = np.abs(moved).mean(axis=1)
    count = np.count_nonzero(null >= observed * (1 - 1e-9))
    unit = SEEDS if min(mine.n, other.n) > 1 else THESE if networks else THIS
    return Distributions((1 + count) / (1 + len(null)), low, high, 1 / (1 + len(null)), unit)


def _moved(groups: tuple[Group, Group], seed: int, same_samples: bool) -> FloatArray | None:
    """Return deviations of the difference of the quantile functions, shape (draw, point); None without any."""
    n_draws = max(len(part.sample_draws) for group in groups for part in group.seeds) or _DRAWS
    parts = [
        _of_seeds(group, n_draws, np.random.SeedSequence([seed, 6, index])) if group.n > 1 else _of_one(group)
        for index, group in enumerate(groups)
    ]
    if parts[0] is None or parts[1] is None or not (parts[0].size and parts[1].size):
        return None
    # Equal draws of samples belong together only where the samples are the same.
    there = parts[1] if same_samples else np.roll(parts[1], 1, axis=0)
    return np.asarray(parts[0] - there, dtype=np.float64)


def _of_one(group: Group) -> FloatArray | None:
    (only,) = group.seeds
    return only.quantile_draws if group.kind == "network" and only.n_samples > 1 else None


def _of_seeds(group: Group, n_draws: int, sequence: np.random.SeedSequence) -> FloatArray:
    """Return deviations when seeds are drawn with replacement, with Student's tails, and when samples are."""
    curves = np.stack([part.quantiles for part in group.seeds])
    counts = resample_counts(np.random.default_rng(sequence), n_draws, group.n)
    tails = heavy(n_draws, group.n - 1.0)[:, None] * sqrt(group.n / (group.n - 1))
    drawn: FloatArray = (counts / group.n) @ (curves - curves.mean(axis=0)) * tails
    by_seed = [part.sample_quantiles for part in group.seeds]
    if group.kind != "network" or not all(len(part) for part in by_seed):
        return drawn
    # What the seeds make of the samples together; what each makes of them alone is in their variance.
    together = np.mean(by_seed, axis=0, dtype=np.float64)
    alone = sum(float(part.var(axis=0).sum()) for part in by_seed) / group.n**2
    whole = float(together.var(axis=0).sum())
    share = max(whole - alone, 0.0) / (1 - 1 / group.n) / whole if whole > 0 else 0.0
    return drawn + sqrt(share) * together


def _by_seeds(mine: Group, other: Group, seed: int) -> tuple[float, float]:
    """Return p from dealing the seeds anew to both sides, and the least that it can be."""
    curves = np.stack([part.quantiles for group in (mine, other) for part in group.seeds])
    n, size = mine.n + other.n, mine.n
    if comb(n, size) <= _MOST:
        chosen = np.array(list(combinations(range(n), size)))
    else:
        rng = np.random.default_rng(np.random.SeedSequence([seed, 7]))
        chosen = np.argsort(rng.random((_MOST, n)), axis=1)[:, :size]
        chosen[0] = np.arange(size)
    inside = curves[chosen].sum(axis=1)
    apart = np.abs(inside / size - (curves.sum(axis=0) - inside) / (n - size)).mean(axis=1)
    # Of equal sides both namings are the same rearrangement.
    same = 2 if size == n - size else 1
    return float((apart >= apart[0] * (1 - 1e-9)).mean()), same / len(chosen)
