"""Public statistics of the dimension of activity."""

from __future__ import annotations

from functools import partial

from eiplatform.statistics import estimates
from eiplatform.statistics.catalogue.common import OVER_SAMPLES, SPIKES, Statistic

__all__ = ["LISTED"]

_FIXED = estimates.FIXED_NEURONS
_REFERENCE = "Gao et al. 2017, bioRxiv 214262; Abbott, Rajan & Sompolinsky 2011, in The Dynamic Brain"

LISTED = [
    Statistic(
        key="participation_ratio",
        name="participation_ratio",
        label=f"participation ratio (over windows, {_FIXED} neurons)",
        needs=SPIKES,
        over="time",
        comparable=False,
        comparable_reason="the windows differ: 10 steps in a network, 50 ms in a circuit",
        reference=_REFERENCE,
        estimate=partial(estimates.participation_ratio, over="time", n_neurons=_FIXED, window=None),
        level="population",
    ),
    Statistic(
        key="participation_ratio_samples",
        name="participation_ratio",
        label=f"participation ratio (over samples, {_FIXED} neurons)",
        needs=SPIKES,
        over="sample",
        comparable=False,
        comparable_reason=OVER_SAMPLES,
        reference=_REFERENCE,
        estimate=partial(estimates.participation_ratio, over="sample", n_neurons=_FIXED, window=None),
        level="population",
    ),
]
