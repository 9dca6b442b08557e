"""How close is every layer to a cortical circuit (or another network), where the two can be compared?

Only comparable things are compared; what is not is listed with the reason.  Time is matched
first: a network's step lasts ``-tau_m ln(decay)`` of a circuit with membrane constant ``tau_m``
(the stated assumption of the platform), and the circuit's currents are averaged over that long.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr

from eiplatform.analyses.inputs import Recording, active, describe_inputs, label_of, open_kind, opened, spiking
from eiplatform.analyses.parts.matching import BY_SIZE, comparability, match_time, step_in_ms
from eiplatform.analyses.parts.sides import Measured, Reference, Side, sides_of, sides_of_summary
from eiplatform.errors import StatisticError, choose
from eiplatform.reference import CASES
from eiplatform.statistics import STATISTICS
from eiplatform.statistics.kernels.comparison import equivalence_p, spread, standardised
from eiplatform.statistics.kernels.difference import distributions, means
from eiplatform.statistics.kernels.distance import cliffs_delta, distance, wasserstein
from eiplatform.statistics.kernels.multiple import benjamini_hochberg

__all__ = ["VERDICTS", "compare_cell", "match_time", "run", "same_samples", "step_in_ms", "verdict_of"]

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
"""What can be said of a layer beside a reference, from the corrected tests and the reference's own seeds."""

_ROUNDING = 1e-5  # a spread below this part of the values is rounding: signals are float32
_ZERO = 1e-12  # of numbers without unit

_DESCRIPTIONS = {
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

_CELL = (
    *("converted", "difference", "difference_low", "difference_high", "effect", "effect_low", "effect_high"),
    *("effect_seeds", "dominance", "distance", "distance_low", "distance_high", "distance_floor"),
    *("p", "p_distance", "p_smallest", "p_equivalence"),
)
_OF_REFERENCE = ("spread", "ceiling", "ceiling_effect", "ceiling_distance", "ceiling_distance_maximum")


def run(
    recording: Reference,
    references: Sequence[Reference],
    *,
    statistics: Iterable[str] | None = None,
    margin: float = 0.5,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> xr.Dataset:
    """Set every firing layer beside the excitatory populations of references.

    Parameters
    ----------
    recording : str, Path, DataTree, or a sequence of them
        Of a network that ran long enough for temporal statistics (some hundred steps); several
        are its seeds.
    references : sequence
        Each a recording (str, Path, DataTree) of a circuit, whose samples are its seeds, or of
        another network; a list of recordings, the seeds of one network; or the name of a shipped
        summary (:data:`eiplatform.reference.CASES`).
    statistics : iterable of str, optional
        Keys of :data:`~eiplatform.statistics.STATISTICS`; default: all.
    margin : float
        Largest difference that counts as none, in units of the reference's spread over neurons.
    n_bootstrap, seed : int
        Of the intervals and permutations.

    Returns
    -------
    xarray.Dataset, dims (population, reference, statistic)
        Raw values: ``value``, ``low``, ``high`` (population, statistic) of the network;
        ``reference_value``, ``reference_low``, ``reference_high`` (reference, statistic).
        ``caution`` and ``reference_caution``: what limits the meaning of these values.
        Scores, NaN where not comparable: ``converted`` (the network's value in the reference's
        unit); ``difference`` with Student's interval; ``effect``
        with interval (Glass's delta: over the reference's spread over neurons),
        ``effect_seeds`` (over its spread over seeds), ``dominance`` (Cliff's delta);
        ``distance`` with interval (Wasserstein over the reference's spread) and
        ``distance_floor``; ``p``, ``p_distance``, ``p_equivalence`` and their ``q``
        (Benjamini & Hochberg over the whole table: ``p`` and ``p_distance`` together, since either
        makes a difference; ``p_equivalence`` alone); ``verdict``, one of :data:`VERDICTS`;
        ``unit``: what the test takes as independent
        (:mod:`eiplatform.statistics.kernels.difference`); ``p_smallest``.
        Of the reference: ``spread``, ``ceiling`` (range over its seeds), ``ceiling_effect``,
        ``ceiling_distance`` and ``ceiling_distance_maximum`` (between pairs of its seeds).
        ``comparable`` and ``reason`` (reference, statistic), ``note`` (population, reference,
        statistic).

    Raises
    ------
    ConfigError
        If `recording` is not of a network.
    StatisticError
        If nothing fires or has a rate, the layers' membranes have different time constants, the recording is
        its own reference, or the margin is not positive.
    """
    if not margin > 0:
        raise StatisticError(f"the margin is {margin}", valid="a positive number of the reference's spreads")
    keys = [choose(key, STATISTICS, "statistic") for key in (STATISTICS if statistics is None else statistics)]
    seeds = open_kind(_several(recording), "network", purpose="the recording")
    groups = [_opened(reference) for reference in references]
    trees = [*seeds, *(found for group in groups if not isinstance(group, str) for found in group)]
    where = seeds[0].attrs["path"]
    if len({found.attrs["id"] for found in trees}) < len(trees):
        raise StatisticError("a recording stands for its own reference, or is given twice", where=where)
    options: dict[str, Any] = {"n_bootstrap": n_bootstrap, "seed": seed, "level": LEVEL}
    own = sides_of(seeds, keys, None, **options)
    layers = active(seeds[0])
    layer = layers[own[0].population]
    timed = any(isinstance(group, str) or group[0].attrs["source"]["kind"] == "circuit" for group in groups)
    if timed and not spiking(seeds[0]):
        raise StatisticError(
            "rates have no membrane, so that no time of a circuit can be matched to their steps",
            where=where,
            remedy="compare them with other networks",
        )
    if timed and len({float(one.attrs.get("membrane_decay", np.nan)) for one in layers.values()}) > 1:
        raise StatisticError("the layers differ in their membrane constant", where=where)
    others: list[Side] = []
    for group in groups:
        if isinstance(group, str):
            others += sides_of_summary(group, keys, layer)
        else:
            others += sides_of(group, keys, layer, **options)
    result = _assembled(own, others, keys, margin, n_bootstrap, seed)
    result["role"] = ("population", [str(layers[side.population].attrs["role"]) for side in own])
    return result.set_coords("role").assign_attrs(
        analysis="comparison",
        label=label_of(seeds[0]) if len(seeds) == 1 else f"{label_of(seeds[0])} and {len(seeds) - 1} more",
        margin=margin,
        fdr=FDR,
        **options,
        **describe_inputs(trees),
    )


def _several(recording: Reference) -> list[Recording]:
    return list(recording) if isinstance(recording, Sequence) and not isinstance(recording, str) else [recording]


def _opened(reference: Reference) -> str | list[xr.DataTree]:
    if isinstance(reference, str) and reference in CASES:
        return reference
    several = _several(reference)
    return opened(several) if len(several) == 1 else open_kind(several, "network", purpose="a seed of the reference")


def _assembled(
    own: Sequence[Side], others: Sequence[Side], keys: list[str], margin: float, n_bootstrap: int, seed: int
) -> xr.Dataset:
    """Compare every cell and put all into one Dataset."""
    dims = ("population", "reference", "statistic")
    shape = (len(own), len(others), len(keys))
    scores = {name: np.full(shape, np.nan) for name in _CELL}
    notes, verdicts = np.full(shape, "", dtype=object), np.full(shape, "not compared", dtype=object)
    units = np.full(shape, "", dtype=object)
    options: dict[str, Any] = {"margin": margin, "n_bootstrap": n_bootstrap, "seed": seed}
    allowed = [[comparability(STATISTICS[key], own[0], other) for key in keys] for other in others]
    for i, j, k in np.ndindex(*shape):
        mine, other = own[i].cells[keys[k]], others[j].cells[keys[k]]
        told = [f"network: {mine.note}"] if mine.note else []
        told += [f"reference: {other.note}"] if other.note else []
        comparable, _, factor = allowed[j][k]
        if comparable and keys[k] in BY_SIZE and own[i].population != others[j].population:
            comparable = False
            told.append("another layer: it depends on the in-degree")
        if comparable and np.isfinite([mine.value, other.value]).all():
            cell, unit, note = compare_cell(
                mine, other, factor=factor, same_samples=same_samples(own[i], others[j]), **options
            )
            for name, number in cell.items():
                scores[name][i, j, k] = number
            units[i, j, k] = unit
            told += [note] if note else []
        notes[i, j, k] = "; ".join(told)
    ceilings = [[_ceiling(side.cells[key]) for key in keys] for side in others]
    scores["q"], scores["q_distance"] = benjamini_hochberg(np.stack([scores["p"], scores["p_distance"]]))
    scores["q_equivalence"] = benjamini_hochberg(scores["p_equivalence"])
    for i, j, k in np.ndindex(*shape):
        if np.isfinite(scores["difference"][i, j, k]):
            largest = ceilings[j][k][_OF_REFERENCE.index("ceiling_distance_maximum")]
            found = {name: float(scores[name][i, j, k]) for name in ("q", "q_distance", "q_equivalence")}
            verdicts[i, j, k] = verdict_of(**found, within=bool(scores["distance"][i, j, k] <= largest))
    result = xr.Dataset(
        {
            name: (dims, values, {"long_name": _DESCRIPTIONS[name]} if name in _DESCRIPTIONS else {})
            for name, values in scores.items()
        },
        coords={
            "population": [side.population for side in own],
            "reference": [side.name for side in others],
            "statistic": keys,
            "label": ("statistic", [STATISTICS[key].label for key in keys]),
            "over": ("statistic", [STATISTICS[key].over for key in keys]),
        },
    )
    for name, texts in (("note", notes), ("verdict", verdicts), ("unit", units)):
        result[name] = (dims, texts.astype(str))
    for prefix, dim, sides in (("", "population", own), ("reference_", "reference", others)):
        for name in ("value", "low", "high", "n_samples", "n_neurons", "n_excluded", "units", "caution"):
            rows = [[getattr(side.cells[key], name) for key in keys] for side in sides]
            result[f"{prefix}{name}"] = ((dim, "statistic"), np.array(rows))
    for index, name in enumerate(_OF_REFERENCE):
        values = np.array([[cell[index] for cell in row] for row in ceilings])
        result[name] = (("reference", "statistic"), values, {"long_name": _DESCRIPTIONS[name]})
    counted = [[group.n if (group := side.cells[key].group) else 0 for key in keys] for side in others]
    result["n_seeds"] = (("reference", "statistic"), counted)
    result["interval_ms"] = ("reference", [side.interval_ms for side in others])
    result["step_ms"] = ("reference", [side.step_ms for side in others])
    result["kind"] = ("reference", [side.kind for side in others])
    result["comparable"] = (("reference", "statistic"), [[found[0] for found in row] for row in allowed])
    result["reason"] = (("reference", "statistic"), [[found[1] for found in row] for row in allowed])
    return result


def same_samples(own: Side, other: Side) -> bool:
    """Say whether two networks saw the same samples of the same data in the same order, with the same noise.

    Parameters
    ----------
    own, other : Side
    """
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


def _ceiling(cell: Measured) -> tuple[float, ...]:
    """Return the entries of _OF_REFERENCE: what the reference's own seeds differ by."""
    sd, _ = _spread(cell)
    values = cell.seed_values[np.isfinite(cell.seed_values)]
    if len(values) < 2:
        # Two seeds of a normal distribution differ by 2 sd / sqrt(pi) on average.
        expected = 2 * cell.sd_seeds / np.sqrt(np.pi) / sd if sd > 0 else np.nan
        return sd, np.nan, expected, np.nan, np.nan
    between = float(np.mean([abs(a - b) for a, b in combinations(values, 2)]))
    if not sd > 0:
        return sd, float(np.ptp(values)), np.nan, np.nan, np.nan
    apart = [float(wasserstein(a, b)) / sd for a, b in combinations(cell.seeds, 2)]
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
