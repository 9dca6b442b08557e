"""Public statistics of the gain."""

from __future__ import annotations

from functools import partial

from eiplatform.statistics import estimates
from eiplatform.statistics.catalogue.common import Statistic

__all__ = ["LISTED"]

LISTED = [
    Statistic(
        key="gain",
        name="gain",
        label="gain",
        needs=("gain",),
        over="sample and time",
        comparable=False,
        comparable_reason="current-based circuits have no gain (it is 1 by definition)",
        reference="Chance, Abbott & Reyes 2002, Neuron 35:773",
        estimate=partial(estimates.gain, measure="mean"),
    ),
    Statistic(
        key="gain_cv",
        name="gain",
        label="CV of the gain over samples and time",
        needs=("gain",),
        over="sample and time",
        comparable=False,
        comparable_reason="current-based circuits have no gain (it is 1 by definition)",
        reference="Carandini & Heeger 2012, Nat Rev Neurosci 13:51",
        estimate=partial(estimates.gain, measure="cv"),
    ),
]
