"""Array kernels: numpy and scipy on plain float64 arrays, axes always explicit.

Nothing here knows xarray or a recording.  Per-neuron quantities are written as functions of a
matrix of sample weights, shape (draw, sample), so that the bootstrap of every statistic is a
handful of matrix products and never gathers resampled data.
"""

from eiplatform.statistics.base.activity import (
    RATE_MEASURES,
    dead,
    lifetime_sparseness,
    population_sparseness,
    rate_shape,
    saturated,
)
from eiplatform.statistics.base.balance import (
    PAIRS,
    balance_index,
    correlation_over_time,
    cross_correlation,
    ei_ratio,
    own_correlation,
    pair_correlation,
    partial_correlation,
)
from eiplatform.statistics.base.bootstrap import Interval, Unit, combine_seeds, hierarchical_bootstrap, resample_counts
from eiplatform.statistics.base.dimension import participation_ratio
from eiplatform.statistics.base.gain import describe
from eiplatform.statistics.base.moments import CurrentPair, Moments, weighted_mean, weighted_nanmean
from eiplatform.statistics.base.spikes import SpikeTrains, cv2, cv_isi, fano_factor, lv, lvr, rate
from eiplatform.statistics.base.synchrony import SharedSums, chi, count_synchrony, pair_correlations, partner_mean
from eiplatform.statistics.base.timescale import LagSums, decay_time, integrated_time, peak, population_spectrum

__all__ = [
    "PAIRS",
    "RATE_MEASURES",
    "CurrentPair",
    "Interval",
    "LagSums",
    "Moments",
    "SharedSums",
    "SpikeTrains",
    "Unit",
    "balance_index",
    "chi",
    "combine_seeds",
    "correlation_over_time",
    "count_synchrony",
    "cross_correlation",
    "cv2",
    "cv_isi",
    "dead",
    "decay_time",
    "describe",
    "ei_ratio",
    "fano_factor",
    "hierarchical_bootstrap",
    "integrated_time",
    "lifetime_sparseness",
    "lv",
    "lvr",
    "own_correlation",
    "pair_correlation",
    "pair_correlations",
    "partial_correlation",
    "participation_ratio",
    "partner_mean",
    "peak",
    "population_sparseness",
    "population_spectrum",
    "rate",
    "rate_shape",
    "resample_counts",
    "saturated",
    "weighted_mean",
    "weighted_nanmean",
]
