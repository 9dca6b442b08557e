"""Public statistics of the memory and rhythm of activity."""

from __future__ import annotations

from functools import partial

from eiplatform.statistics import estimates
from eiplatform.statistics.catalogue.common import POSITIVE, SPIKES, Statistic

__all__ = ["LISTED"]

_STEPS = "steps against ms: a step is a time only by assumption"
_TIME = {"step": "step", "ms": "ms"}

LISTED = [
    Statistic(
        key="timescale_voltage",
        name="timescale",
        label="autocorrelation time of the membrane potential",
        needs=("voltage",),
        over="time",
        comparable=False,
        comparable_reason=_STEPS,
        reference="Sokal 1997, in Functional Integration, 131; Marriott & Pope 1954, Biometrika 41:390",
        estimate=partial(estimates.timescale, signal="voltage", max_lag=None, window=None),
        bounds=POSITIVE,
        dimensionless=False,
        by_time=_TIME,
    ),
    Statistic(
        key="timescale_spikes",
        name="timescale",
        label="decay time of the autocorrelation of spike counts",
        needs=SPIKES,
        over="time",
        comparable=False,
        comparable_reason=_STEPS,
        reference="Murray et al. 2014, Nat Neurosci 17:1661",
        estimate=partial(estimates.timescale, signal="spikes", max_lag=None, window=None),
        bounds=POSITIVE,
        dimensionless=False,
        level="population",
        by_time=_TIME,
    ),
    Statistic(
        key="spectrum_peak",
        name="power_spectrum",
        label="frequency of the peak of the population's spectrum",
        needs=SPIKES,
        over="time",
        comparable=False,
        comparable_reason=_STEPS,
        reference="Welch 1967, IEEE Trans Audio 15:70",
        estimate=partial(estimates.peak, measure="frequency"),
        bounds=POSITIVE,
        dimensionless=False,
        level="population",
        by_time={"step": "1/step", "ms": "Hz"},
    ),
    Statistic(
        key="spectrum_height",
        name="power_spectrum",
        label="peak of the population's spectrum over its median",
        needs=SPIKES,
        over="time",
        comparable=False,
        comparable_reason="grows with the number of neurons and with the length of a segment, which differ",
        reference="Welch 1967, IEEE Trans Audio 15:70",
        estimate=partial(estimates.peak, measure="height"),
        bounds=POSITIVE,
        level="population",
    ),
]
