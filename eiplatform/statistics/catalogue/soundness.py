"""Public statistics of what makes other numbers mean less; see :mod:`eiplatform.statistics.cautions`."""

from __future__ import annotations

from functools import partial

from eiplatform.statistics import estimates
from eiplatform.statistics.catalogue.common import SPIKES, Statistic

__all__ = ["LISTED"]

_LENGTH = "it falls with the length of a sample and depends on the samples shown"
_SHARE = (0.0, 1.0)
_ALWAYS = {
    "pairs": ("share of always-on pairs of neuron and sample", "neuron"),
    "spikes": ("share of spikes from always-on neurons", "population"),
}

LISTED = [
    Statistic(
        key="silent_share",
        name="silent_share",
        label="share of silent pairs of neuron and sample",
        needs=SPIKES,
        over="sample",
        comparable=False,
        comparable_reason=_LENGTH,
        reference="share of pairs of neuron and sample without a spike",
        estimate=estimates.silent_share,
        bounds=_SHARE,
        share=True,
    ),
    *(
        Statistic(
            key=f"always_on_{measure}",
            name="always_on",
            label=label,
            needs=SPIKES,
            over="sample",
            comparable=False,
            comparable_reason=_LENGTH,
            reference="own definition: a spike at every recorded step of a sample",
            estimate=partial(estimates.always_on, measure=measure),
            level=level,
            bounds=_SHARE,
            share=level == "neuron",
        )
        for measure, (label, level) in _ALWAYS.items()
    ),
    Statistic(
        key="private_inhibition",
        name="private_inhibition",
        label="private share of the variance of inhibition",
        needs=("current_inh",),
        over="sample and time",
        comparable=False,
        comparable_reason="images differ in a network, time passes in a circuit: other sources of variance",
        reference="own definition, 1 - r^2; after Renart et al. 2010, Science 327:587 (private against shared input)",
        estimate=estimates.private_inhibition,
        bounds=_SHARE,
    ),
]
