"""Public statistics of the regime of firing."""

from __future__ import annotations

from eiplatform.statistics import estimates
from eiplatform.statistics.catalogue.common import CURRENTS, Statistic

__all__ = ["LISTED"]

_REASON = (
    "over time in both, in units of each membrane's own threshold and fluctuation; the fluctuation is that of "
    "recorded intervals: compare at intervals that are short beside the membrane constant"
)

LISTED = [
    Statistic(
        key="fluctuation_index",
        name="fluctuation_index",
        label="fluctuation index (threshold - mean)/sd",
        needs=CURRENTS,
        over="time",
        comparable=True,
        comparable_reason=_REASON,
        reference="Rossbroich, Gygax & Zenke 2022, Neuromorph Comput Eng 2:044016",
        estimate=estimates.fluctuation_index,
    ),
    Statistic(
        key="driven_above_threshold",
        name="driven_above_threshold",
        label="share of time driven above threshold",
        needs=CURRENTS,
        over="time",
        comparable=True,
        comparable_reason=_REASON,
        reference="Brunel 2000, J Comput Neurosci 8:183",
        estimate=estimates.driven_above_threshold,
    ),
]
