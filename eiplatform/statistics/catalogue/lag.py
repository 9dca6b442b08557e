"""Public statistics of the cross-correlogram of excitation and inhibition."""

from __future__ import annotations

from functools import partial

from eiplatform.statistics import estimates
from eiplatform.statistics.catalogue.common import CURRENTS, OVER_TIME, Statistic

__all__ = ["LISTED"]

_TEXT = {"own": "", "excess": ", own minus other"}

LISTED = [
    Statistic(
        key=f"ei_{measure}{'' if pairs == 'own' else '_excess'}",
        name="ei_lag",
        label=("lag of I behind E" if measure == "lag" else "peak of the E-I correlogram") + text,
        needs=CURRENTS,
        over="time",
        comparable=measure == "peak",
        comparable_reason=OVER_TIME
        if measure == "peak"
        else "steps against milliseconds: a step is a time only by assumption",
        reference="Okun & Lampl 2008, Nat Neurosci 11:535",
        estimate=partial(estimates.lag, measure=measure, pairs=pairs),
        private=pairs != "own",
        dimensionless=measure == "peak",
        by_time={"step": "step", "ms": "ms"},
    )
    for measure in estimates.LAG_MEASURES
    for pairs, text in _TEXT.items()
]
