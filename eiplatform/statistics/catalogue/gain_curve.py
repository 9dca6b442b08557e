"""Public statistics of how the gain follows activity."""

from __future__ import annotations

from eiplatform.statistics import estimates
from eiplatform.statistics.catalogue.common import Statistic

__all__ = ["LISTED"]

LISTED = [
    Statistic(
        key="gain_slope",
        name="gain_slope",
        label="slope of ln gain on ln population activity",
        needs=("gain", "current_exc"),
        over="sample",
        comparable=False,
        comparable_reason="current-based circuits have no gain (it is 1 by definition)",
        reference="Carandini & Heeger 2012, Nat Rev Neurosci 13:51",
        estimate=estimates.gain_slope,
    ),
]
