"""From a population to an estimate per neuron: which arrays, which kernel, which exclusion rule."""

from eiplatform.statistics.estimates.activity import (
    SATURATED_SHARE,
    SPARSENESS,
    dead,
    rate_shape,
    saturated,
    sparseness,
)
from eiplatform.statistics.estimates.balance import balance, correlation
from eiplatform.statistics.estimates.common import OVER, Estimate
from eiplatform.statistics.estimates.curves import DRIVES, input_output, paired, require_points, split_units
from eiplatform.statistics.estimates.dimension import participation_ratio
from eiplatform.statistics.estimates.gain import GAIN_MEASURES, gain
from eiplatform.statistics.estimates.gain_curve import ACTIVITIES, gain_slope, population_activity
from eiplatform.statistics.estimates.lag import LAG_MEASURES, by_draws, correlograms, in_intervals, lag
from eiplatform.statistics.estimates.membrane import driven_above_threshold, fluctuation_index
from eiplatform.statistics.estimates.soundness import ALWAYS_ON, always_on, private_inhibition, silent_share
from eiplatform.statistics.estimates.spikes import (
    FANO_WINDOWS,
    MIN_WINDOWS,
    REFRACTORINESS,
    fano,
    isi,
    rate,
    rate_table,
)
from eiplatform.statistics.estimates.synchrony import (
    FIXED_NEURONS,
    SYNCHRONY_WINDOWS,
    chi,
    count_correlation,
    count_correlation_pairs,
    synchrony,
)
from eiplatform.statistics.estimates.tightness import (
    MIN_NEURONS,
    imbalance,
    mean_to_fluctuation,
    over_neurons,
    ratio_spread,
    residual,
)
from eiplatform.statistics.estimates.timescale import MAX_LAGS, PEAK_MEASURES, SEGMENTS, peak, spectrum, timescale
from eiplatform.statistics.estimates.tuning import MIN_CLASSES, cotuning

__all__ = [
    "ACTIVITIES",
    "ALWAYS_ON",
    "DRIVES",
    "Estimate",
    "FANO_WINDOWS",
    "FIXED_NEURONS",
    "GAIN_MEASURES",
    "LAG_MEASURES",
    "MAX_LAGS",
    "MIN_CLASSES",
    "MIN_NEURONS",
    "MIN_WINDOWS",
    "OVER",
    "PEAK_MEASURES",
    "REFRACTORINESS",
    "SATURATED_SHARE",
    "SEGMENTS",
    "SPARSENESS",
    "SYNCHRONY_WINDOWS",
    "always_on",
    "balance",
    "by_draws",
    "chi",
    "correlation",
    "correlograms",
    "cotuning",
    "count_correlation",
    "count_correlation_pairs",
    "dead",
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
    "participation_ratio",
    "peak",
    "population_activity",
    "private_inhibition",
    "rate",
    "rate_shape",
    "rate_table",
    "ratio_spread",
    "require_points",
    "residual",
    "saturated",
    "silent_share",
    "sparseness",
    "spectrum",
    "split_units",
    "synchrony",
    "timescale",
]
