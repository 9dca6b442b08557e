"""From a population to an estimate per neuron: which arrays, which kernel, which exclusion rule."""

from eiplatform.statistics.estimates.balance import balance, correlation
from eiplatform.statistics.estimates.common import OVER, Estimate
from eiplatform.statistics.estimates.curves import DRIVES, input_output, paired, require_points, split_units
from eiplatform.statistics.estimates.gain import GAIN_MEASURES, gain
from eiplatform.statistics.estimates.gain_curve import ACTIVITIES, gain_slope, population_activity
from eiplatform.statistics.estimates.lag import LAG_MEASURES, by_draws, correlograms, in_intervals, lag
from eiplatform.statistics.estimates.membrane import driven_above_threshold, fluctuation_index
from eiplatform.statistics.estimates.spikes import FANO_WINDOWS, MIN_WINDOWS, fano, isi, rate
from eiplatform.statistics.estimates.tightness import (
    MIN_NEURONS,
    imbalance,
    mean_to_fluctuation,
    over_neurons,
    ratio_spread,
    residual,
)
from eiplatform.statistics.estimates.tuning import MIN_CLASSES, cotuning

__all__ = [
    "ACTIVITIES",
    "DRIVES",
    "FANO_WINDOWS",
    "GAIN_MEASURES",
    "LAG_MEASURES",
    "MIN_CLASSES",
    "MIN_NEURONS",
    "MIN_WINDOWS",
    "OVER",
    "Estimate",
    "balance",
    "by_draws",
    "correlation",
    "correlograms",
    "cotuning",
    "driven_above_threshold",
    "fano",
    "fluctuation_index",
    "gain",
    "gain_slope",
    "imbalance",
    "in_intervals",
    "input_output",
    "isi",
    "lag",
    "mean_to_fluctuation",
    "over_neurons",
    "paired",
    "population_activity",
    "rate",
    "ratio_spread",
    "require_points",
    "residual",
    "split_units",
]
