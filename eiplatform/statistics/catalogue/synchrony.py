"""Public statistics of how neurons vary together."""

from __future__ import annotations

from functools import partial

from eiplatform.statistics import estimates
from eiplatform.statistics.catalogue.common import OVER_SAMPLES, OVER_TIME, POSITIVE, SPIKES, Statistic

__all__ = ["LISTED"]

_WINDOWS = "the windows differ: {} in a network, {} in a circuit"
_GOLOMB = "Golomb & Rinzel 1993, Phys Rev E 48:4810; Golomb 2007, Scholarpedia 2(1):1347"
_FIXED = estimates.FIXED_NEURONS

LISTED = [
    Statistic(
        key="count_correlation",
        name="count_correlation",
        label="correlation of spike counts (over windows)",
        needs=SPIKES,
        over="time",
        comparable=False,
        comparable_reason=_WINDOWS.format("10 steps", "50 ms"),
        reference="Cohen & Kohn 2011, Nat Neurosci 14:811; Renart et al. 2010, Science 327:587",
        estimate=partial(estimates.count_correlation, over="time", n_neurons=_FIXED, window=None),
        bounds=(-1.0, 1.0),
    ),
    Statistic(
        key="count_correlation_samples",
        name="count_correlation",
        label="correlation of spike counts (over samples)",
        needs=SPIKES,
        over="sample",
        comparable=False,
        comparable_reason=OVER_SAMPLES,
        reference="Cohen & Kohn 2011, Nat Neurosci 14:811",
        estimate=partial(estimates.count_correlation, over="sample", n_neurons=_FIXED, window=None),
        bounds=(-1.0, 1.0),
    ),
    Statistic(
        key="chi_voltage",
        name="chi",
        label=f"chi of the membrane potential ({_FIXED} neurons)",
        needs=("voltage",),
        over="time",
        comparable=True,
        comparable_reason=OVER_TIME,
        reference=_GOLOMB,
        estimate=partial(estimates.chi, signal="voltage", n_neurons=_FIXED, window=None),
        bounds=(0.0, 1.0),
        level="population",
    ),
    Statistic(
        key="chi_spikes",
        name="chi",
        label=f"chi of spike counts ({_FIXED} neurons)",
        needs=SPIKES,
        over="time",
        comparable=False,
        comparable_reason=_WINDOWS.format("1 step", "3 ms"),
        reference=_GOLOMB,
        estimate=partial(estimates.chi, signal="spikes", n_neurons=_FIXED, window=None),
        bounds=(0.0, 1.0),
        level="population",
    ),
    Statistic(
        key="synchrony",
        name="synchrony",
        label=f"variance over mean of population counts ({_FIXED} neurons)",
        needs=SPIKES,
        over="time",
        comparable=False,
        comparable_reason=_WINDOWS.format("1 step", "3 ms"),
        reference="Potjans & Diesmann 2014, Cereb Cortex 24:785",
        estimate=partial(estimates.synchrony, n_neurons=_FIXED, window=None),
        bounds=POSITIVE,
        level="population",
    ),
]
