"""Public statistics of how excitation and inhibition compare and vary together."""

from __future__ import annotations

from functools import partial

from eiplatform.statistics import estimates
from eiplatform.statistics.catalogue.common import BY_SIZE, CURRENTS, OVER_SAMPLES, OVER_TIME, POSITIVE, Statistic

__all__ = ["LISTED"]

_PAIRS = {
    "own": ("", "E-I correlation"),
    "cross": ("_cross", "E-I correlation, other neurons"),
    "excess": ("_excess", "E-I correlation, own minus other"),
    "partial": ("_partial", "E-I correlation, common mode removed"),
}
_PAIR_REFERENCE = {
    "own": "Okun & Lampl 2008, Nat Neurosci 11:535",
    "cross": "Renart et al. 2010, Science 327:587",
    "excess": "own minus cross; Hennequin, Agnes & Vogels 2017, Annu Rev Neurosci 40:557",
    "partial": "partial correlation given the mean excitation of the other neurons",
}


def _correlations() -> list[Statistic]:
    found = []
    for over, word in (("sample", "samples"), ("time", "time")):
        for pairs, (suffix, label) in _PAIRS.items():
            found.append(
                Statistic(
                    key=f"ei_correlation_{word}{suffix}",
                    name="ei_correlation",
                    label=f"{label} (over {word})",
                    needs=CURRENTS,
                    over=over,
                    comparable=over == "time",
                    comparable_reason=OVER_TIME if over == "time" else OVER_SAMPLES,
                    reference=_PAIR_REFERENCE[pairs],
                    estimate=partial(estimates.correlation, over=over, pairs=pairs),
                    private=pairs != "own",
                    bounds=(-2.0, 2.0) if pairs == "excess" else (-1.0, 1.0),
                )
            )
    return found


LISTED = [
    Statistic(
        key="ei_ratio",
        name="ei_ratio",
        label="E/I ratio",
        needs=CURRENTS,
        over="sample and time",
        comparable=False,
        comparable_reason=BY_SIZE,
        reference="Xue, Atallah & Scanziani 2014, Nature 511:596",
        estimate=partial(estimates.balance, kind="ratio"),
        average="geometric mean",
        bounds=POSITIVE,
    ),
    Statistic(
        key="balance_index",
        name="balance_index",
        label="balance index (E - I)/E",
        needs=CURRENTS,
        over="sample and time",
        comparable=False,
        comparable_reason=BY_SIZE,
        reference="Ahmadian & Miller 2021, Neuron 109:3373",
        estimate=partial(estimates.balance, kind="index"),
    ),
    *_correlations(),
]
