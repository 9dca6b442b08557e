"""Public statistics of how activity is spread over neurons and samples."""

from __future__ import annotations

import math
from functools import partial

from eiplatform.statistics import estimates
from eiplatform.statistics.catalogue.common import OVER_SAMPLES, POSITIVE, SPIKES, Statistic

__all__ = ["LISTED"]

_SHAPE = (
    "dimensionless and free of the unit of time; few spikes per neuron widen it (equal Poisson neurons: "
    "CV 1/sqrt(spikes)): read it beside the number of spikes"
)
_SILENCE = "a neuron is silent or saturated in the time recorded: its length and the samples differ"
_SAMPLE_NOISE = "the counts of one sample: an image of a few steps and a trial of seconds differ in noise"

_SHAPES = {
    "cv": ("CV of rates over neurons", "Roxin et al. 2011, J Neurosci 31:16217"),
    "gini": ("Gini index of rates over neurons", "Gini 1912; Buzsaki & Mizuseki 2014, Nat Rev Neurosci 15:264"),
    "log_sd": ("sd of log rates over active neurons", "Buzsaki & Mizuseki 2014, Nat Rev Neurosci 15:264"),
    "log_skewness": ("skewness of log rates over active neurons", "Roxin et al. 2011, J Neurosci 31:16217"),
}

_SHARE = (0.0, 1.0)
_LIMITS = {"cv": POSITIVE, "gini": _SHARE, "log_sd": POSITIVE, "log_skewness": (-math.inf, math.inf)}

LISTED = [
    *(
        Statistic(
            key=f"rate_{measure}",
            name="rate_distribution",
            label=label,
            needs=SPIKES,
            over="sample and time",
            comparable=True,
            comparable_reason=_SHAPE,
            reference=reference,
            estimate=partial(estimates.rate_shape, measure=measure),
            level="population",
            bounds=_LIMITS[measure],
        )
        for measure, (label, reference) in _SHAPES.items()
    ),
    Statistic(
        key="dead_fraction",
        name="dead_fraction",
        label="share of dead neurons",
        needs=SPIKES,
        over="sample and time",
        comparable=False,
        comparable_reason=_SILENCE,
        reference="share of neurons without a spike in the whole recording",
        estimate=estimates.dead,
        bounds=_SHARE,
        share=True,
    ),
    Statistic(
        key="saturated_fraction",
        name="saturated_fraction",
        label="share of saturated neurons",
        needs=SPIKES,
        over="sample and time",
        comparable=False,
        comparable_reason=_SILENCE,
        reference="share of neurons at 90 % of the highest possible rate",
        estimate=partial(estimates.saturated, share=estimates.SATURATED_SHARE, maximum=None),
        bounds=_SHARE,
        share=True,
    ),
    Statistic(
        key="sparseness_lifetime",
        name="sparseness",
        label="lifetime sparseness (over samples)",
        needs=SPIKES,
        over="sample",
        comparable=False,
        comparable_reason=OVER_SAMPLES,
        reference="Vinje & Gallant 2000, Science 287:1273; Treves & Rolls 1991, Network 2:371",
        estimate=partial(estimates.sparseness, kind="lifetime"),
        bounds=_SHARE,
    ),
    Statistic(
        key="sparseness_population",
        name="sparseness",
        label="population sparseness (over neurons)",
        needs=SPIKES,
        over="sample and time",
        comparable=False,
        comparable_reason=_SAMPLE_NOISE,
        reference="Treves & Rolls 1991, Network 2:371; Willmore & Tolhurst 2001, Network 12:255",
        estimate=partial(estimates.sparseness, kind="population"),
        bounds=_SHARE,
        level="population",
    ),
]
