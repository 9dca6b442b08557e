"""One statistic of a network's population compared with that of a reference's: scores, tests, ceiling and verdict."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from eiplatform.analyses.parts.measured import Measured, Side
from eiplatform.errors import StatisticError
from eiplatform.statistics.kernels.comparison import equivalence_p, spread, standardised
from eiplatform.statistics.kernels.difference import distributions, means
from eiplatform.statistics.kernels.distance import cliffs_delta, distance, wasserstein

LEVEL, FDR = 0.95, 0.05

VERDICTS = {
    "different": "a difference at the false discovery rate, not shown to lie within the margin",
    "small difference": "a difference at the false discovery rate, but the means are equivalent within the margin",
    "like a seed": "a difference at the false discovery rate, no larger than two seeds of the reference differ by",
    "equivalent": "no difference found, and equivalent within the margin at the false discovery rate",
    "undecided": "neither a difference nor equivalence can be shown",
    "no test": "nothing independent is left on one side, so that no test holds its level: see note",
    "not compared": "not comparable, or undefined on one side: see reason and note",
}
"""What can be said of a layer compared with a reference, from the corrected tests and the reference's own seeds."""


_ROUNDING = 1e-5  # a spread below this part of the values is rounding: signals are float32


_ZERO = 1e-12  # of numbers without unit


DESCRIPTIONS = {
    "converted": "the network's value in the reference's unit",
    "difference": "network minus reference, in the reference's unit",
    "effect": "difference over the reference's standard deviation over neurons within a seed (Glass's delta)",
    "effect_seeds": "difference over the reference's standard deviation over seeds",
    "dominance": "Cliff's delta, P(network's neuron above) - P(below)",
    "distance": "Wasserstein distance over neurons, over the reference's standard deviation over neurons",
    "distance_floor": "mean distance of two samples of these sizes from the reference's distribution",
    "p": "no difference of means, two-sided, from what is independent (see unit)",
    "p_distance": "no difference of the distributions over neurons, from what is independent",
    "p_smallest": "the least p_distance that this number of seeds (or draws) can give",
    "p_equivalence": "difference beyond the margin, two one-sided tests",
    "spread": "the reference's standard deviation over neurons within a seed",
    "ceiling": "range of the reference's value over its own seeds",
    "ceiling_effect": "mean absolute effect between two seeds of the reference",
    "ceiling_distance": "mean normalised distance between two seeds of the reference",
    "ceiling_distance_maximum": "largest normalised distance between two seeds of the reference",
}


CELL = (
    *("converted", "difference", "difference_low", "difference_high", "effect", "effect_low", "effect_high"),
    *("effect_seeds", "dominance", "distance", "distance_low", "distance_high", "distance_floor"),
    *("p", "p_distance", "p_smallest", "p_equivalence"),
)


OF_REFERENCE = ("spread", "ceiling", "ceiling_effect", "ceiling_distance", "ceiling_distance_maximum")


def same_samples(own: Side, other: Side) -> bool:
    """Say whether two networks saw the same samples of the same data in the same order, with the same noise."""
    if not own.kind == other.kind == "network":
        return False
    return all(own.facts[name] == other.facts[name] for name in ("sample", "shown", "input"))


def compare_cell(
    mine: Measured,
    other: Measured,
    *,
    factor: float = 1.0,
    same_samples: bool = False,
    margin: float = 0.5,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> tuple[dict[str, float], str, str]:
    """Compare one statistic of a network's population with that of a reference's.

    Parameters
    ----------
    mine, other : Measured
    factor : float
        From the unit of `mine` to that of `other`.
    same_samples : bool
        Both networks saw the same samples in the same order.
    margin : float
        In units of the reference's spread over neurons.
    n_bootstrap, seed : int

    Returns
    -------
    scores : dict of str to float
        As described in :func:`run`; NaN where it is undefined.
    unit : str
        What the tests take as independent.
    note : str
        Why something is undefined.
    """
    if mine.group is None or other.group is None:
        raise StatisticError("a side does not say what is independent", where="compare_cell", valid="group=Group(...)")
    groups = mine.group.scaled(factor), other.group
    found = means(*groups, same_samples=same_samples)
    value, difference = factor * mine.value, factor * mine.value - other.value
    low, high = (difference - found.value + end for end in found.interval(LEVEL))
    sd, sd_error = _spread(other)
    if sd <= _ROUNDING * max(abs(value), abs(other.value)):
        sd = 0.0
    effect = standardised(difference, low, high, sd, sd_error, level=LEVEL)
    tested = found.error > _ZERO
    # The margin is estimated too: its error joins that of the difference.
    error = float(np.hypot(found.error, margin * sd * np.nan_to_num(sd_error)))
    cell = {
        "converted": value,
        **{"difference": difference, "difference_low": low, "difference_high": high},
        **dict(zip(("effect", "effect_low", "effect_high"), effect, strict=True)),
        "effect_seeds": difference / other.sd_seeds if other.sd_seeds > 0 else np.nan,
        "p": found.p if tested else np.nan,
        "p_equivalence": float(equivalence_p(difference, error, margin * sd, found.freedom))
        if tested and sd > 0
        else np.nan,
    }
    notes = [] if tested else [found.reason or "no test: nothing varies"]
    if not sd > 0:
        notes.append("no effect size, distance or equivalence: the reference has no spread over neurons")
        return cell, found.unit, "; ".join(notes)
    if not mine.seeds or mine.seeds[0].size < 2:
        return cell, found.unit, "; ".join([*notes, "no distance: one value for the whole layer"])
    values, others = factor * np.concatenate(mine.seeds), np.concatenate(other.seeds)
    if other.bin_width:  # into the bins of the histogram on the other side
        values = (np.floor(values / other.bin_width) + 0.5) * other.bin_width
        notes.append(f"distribution in bins of {other.bin_width:g} {other.units}")
    apart = distance(values, others, counts_b=other.counts, n_bootstrap=n_bootstrap, seed=seed, level=LEVEL)
    spreads = distributions(*groups, apart.value, same_samples=same_samples, level=LEVEL, seed=seed)
    cell |= {
        "distance": apart.value / sd,
        "distance_low": spreads.low / sd,
        "distance_high": spreads.high / sd,
        "distance_floor": apart.floor / sd,
        "p_distance": spreads.p,
        "p_smallest": spreads.smallest,
        "dominance": cliffs_delta(values, others, None, other.counts),
    }
    if spreads.reason and spreads.reason not in notes:
        notes.append(spreads.reason)
    if spreads.smallest > FDR:
        notes.append(f"so few seeds cannot give a p of distributions below {spreads.smallest:.2g}")
    return cell, found.unit, "; ".join(notes)


def _spread(cell: Measured) -> tuple[float, float]:
    """Return the spread over neurons and its error; that of rounding is none."""
    sd, error = spread(list(cell.seeds), cell.counts) if cell.seeds else (np.nan, np.nan)
    return (0.0, np.nan) if sd <= max(_ZERO, _ROUNDING * abs(cell.value)) else (sd, error)


def ceiling(cell: Measured) -> tuple[float, ...]:
    """Return the entries of OF_REFERENCE: what the reference's own seeds differ by."""
    sd, _ = _spread(cell)
    values = cell.seed_values[np.isfinite(cell.seed_values)]
    if len(values) < 2:
        # Two seeds of a normal distribution differ by 2 sd / sqrt(pi) on average.
        expected = 2 * cell.sd_seeds / np.sqrt(np.pi) / sd if sd > 0 else np.nan
        return sd, np.nan, expected, np.nan, np.nan
    between = float(np.mean([abs(a - b) for a, b in combinations(values, 2)]))
    if not sd > 0:
        return sd, float(np.ptp(values)), np.nan, np.nan, np.nan
    # A summary holds one histogram of all seeds.
    apart = [float(wasserstein(a, b)) / sd for a, b in combinations(cell.seeds, 2)] or [np.nan]
    return sd, float(np.ptp(values)), between / sd, float(np.mean(apart)), float(np.max(apart))


def verdict_of(q: float, q_distance: float, q_equivalence: float, *, within: bool) -> str:
    """Return one of VERDICTS from the corrected tests; a missing test shows nothing.

    Parameters
    ----------
    q, q_distance, q_equivalence : float
        Of means, distributions and equivalence; NaN without a test.
    within : bool
        The distance is no larger than the largest between two seeds of the reference.
    """
    if np.isnan([q, q_distance]).all():
        return "no test"
    differs, same = q <= FDR or q_distance <= FDR, q_equivalence <= FDR
    if not differs:
        return "equivalent" if same else "undecided"
    if same:
        return "small difference"
    return "like a seed" if within else "different"
