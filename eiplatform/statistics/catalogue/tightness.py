"""Public statistics of how closely inhibition cancels excitation."""

from __future__ import annotations

from functools import partial

from eiplatform.statistics import estimates
from eiplatform.statistics.catalogue.common import BY_SIZE, CURRENTS, OVER_SAMPLES, OVER_TIME, POSITIVE, Statistic

__all__ = ["LISTED"]

_RUBIN = "Rubin, Abbott & Sompolinsky 2017, PNAS 114:E9366"
_PAIRS = {"own": ("", ""), "cross": ("_cross", ", other {}"), "excess": ("_excess", ", own minus other")}
_NEURONS = {
    "own": (True, "over the neurons of a sample in both; neurons of a circuit differ by chance in their in-degree"),
    "cross": (False, OVER_SAMPLES),
    "excess": (False, OVER_SAMPLES),
}


def _residuals() -> list[Statistic]:
    return [
        Statistic(
            key=f"residual_variance_{word}{suffix}",
            name="residual_variance",
            label=f"residual variance{text.format('neurons')} (over {word})",
            needs=CURRENTS,
            over=over,
            comparable=over == "time",
            comparable_reason=OVER_TIME if over == "time" else OVER_SAMPLES,
            reference="var(E - I)/(var E + var I); Renart et al. 2010, Science 327:587",
            estimate=partial(estimates.residual, over=over, pairs=pairs),
            private=pairs != "own",
            bounds=(-2.0, 2.0) if pairs == "excess" else (0.0, 2.0),
        )
        for over, word in (("sample", "samples"), ("time", "time"))
        for pairs, (suffix, text) in _PAIRS.items()
    ]


def _over_neurons() -> list[Statistic]:
    return [
        Statistic(
            key=f"ei_correlation_neurons{suffix}",
            name="ei_correlation",
            label=f"E-I correlation{text.format('samples')} (over neurons)",
            needs=CURRENTS,
            over="neuron",
            comparable=_NEURONS[pairs][0],
            comparable_reason=_NEURONS[pairs][1],
            reference="Xue, Atallah & Scanziani 2014, Nature 511:596",
            estimate=partial(estimates.over_neurons, pairs=pairs),
            private=pairs != "own",
            level="population",
            bounds=(-2.0, 2.0) if pairs == "excess" else (-1.0, 1.0),
        )
        for pairs, (suffix, text) in _PAIRS.items()
    ]


LISTED = [
    Statistic(
        key="imbalance_index",
        name="imbalance_index",
        label="imbalance index IB (E - I)/(E + I)",
        needs=CURRENTS,
        over="sample and time",
        comparable=False,
        comparable_reason=BY_SIZE,
        reference=_RUBIN,
        estimate=estimates.imbalance,
        bounds=(-1.0, 1.0),
    ),
    Statistic(
        key="ei_ratio_sd",
        name="ei_ratio_distribution",
        label="sd over neurons of ln(E/I)",
        needs=CURRENTS,
        over="neuron",
        comparable=False,
        comparable_reason="the more inputs a neuron has, the more alike are the ratios of the neurons",
        reference="Xue, Atallah & Scanziani 2014, Nature 511:596",
        estimate=estimates.ratio_spread,
        level="population",
        bounds=POSITIVE,
    ),
    *(
        Statistic(
            key=f"mean_to_fluctuation_{word}",
            name="mean_to_fluctuation",
            label=f"mean over fluctuation of the net current (over {word})",
            needs=CURRENTS,
            over=over,
            comparable=False,
            comparable_reason="grows with the number of inputs; mean_to_fluctuation(n_inputs=...) divides by its root",
            reference=_RUBIN,
            estimate=partial(estimates.mean_to_fluctuation, over=over),
        )
        for over, word in (("sample", "samples"), ("time", "time"))
    ),
    *_residuals(),
    *_over_neurons(),
]
