"""Public statistics of spikes."""

from __future__ import annotations

from functools import partial

from eiplatform.statistics import estimates
from eiplatform.statistics.catalogue.common import OVER_SAMPLES, POSITIVE, SPIKES, Statistic

__all__ = ["LISTED"]

_IRREGULARITY = (
    "a network's intervals are whole steps: a random train of p spikes a step has CV sqrt(1 - p), not 1; "
    "read it beside its own rate"
)

LISTED = [
    Statistic(
        key="rate",
        name="rate",
        label="firing rate",
        needs=SPIKES,
        over="sample and time",
        comparable=False,
        comparable_reason="spikes per step against Hz: a step is a time only by assumption",
        reference="mean spike count per unit of time, silent neurons included",
        estimate=estimates.rate,
        dimensionless=False,
        bounds=POSITIVE,
    ),
    Statistic(
        key="cv_isi",
        name="cv_isi",
        label="CV of inter-spike intervals",
        needs=SPIKES,
        over="time",
        comparable=False,
        comparable_reason=_IRREGULARITY,
        reference="Softky & Koch 1993, J Neurosci 13:334",
        estimate=partial(estimates.isi, kind="cv", min_spikes=10),
        bounds=POSITIVE,
    ),
    Statistic(
        key="lv",
        name="lv",
        label="local variation LV",
        needs=SPIKES,
        over="time",
        comparable=False,
        comparable_reason=_IRREGULARITY,
        reference="Shinomoto, Shima & Tanji 2003, Neural Comput 15:2823",
        estimate=partial(estimates.isi, kind="lv", min_spikes=10),
        bounds=POSITIVE,
    ),
    Statistic(
        key="lvr",
        name="lvr",
        label="revised local variation LvR",
        needs=SPIKES,
        over="time",
        comparable=False,
        comparable_reason="R is 5 ms in a circuit and 0 in a network; " + _IRREGULARITY,
        reference="Shinomoto et al. 2009, PLoS Comput Biol 5:e1000433",
        estimate=partial(estimates.isi, kind="lvr", min_spikes=10),
        bounds=POSITIVE,
    ),
    Statistic(
        key="cv2",
        name="cv2",
        label="local coefficient of variation CV2",
        needs=SPIKES,
        over="time",
        comparable=False,
        comparable_reason=_IRREGULARITY,
        reference="Holt et al. 1996, J Neurophysiol 75:1806",
        estimate=partial(estimates.isi, kind="cv2", min_spikes=10),
        bounds=(0.0, 2.0),
    ),
    Statistic(
        key="fano_factor",
        name="fano_factor",
        label="Fano factor (over windows)",
        needs=SPIKES,
        over="time",
        comparable=False,
        comparable_reason="the windows differ: 10 steps in a network, 50 ms in a circuit",
        reference="Fano 1947, Phys Rev 72:26",
        estimate=partial(estimates.fano, over="time", window=None),
        bounds=POSITIVE,
    ),
    Statistic(
        key="fano_factor_samples",
        name="fano_factor",
        label="Fano factor (over samples)",
        needs=SPIKES,
        over="sample",
        comparable=False,
        comparable_reason=OVER_SAMPLES,
        reference="Fano 1947, Phys Rev 72:26",
        estimate=partial(estimates.fano, over="sample", window=None),
        bounds=POSITIVE,
    ),
]
