"""Array kernels: numpy and scipy on plain float64 arrays, axes always explicit.

Nothing here knows xarray or a recording.  Per-neuron quantities are written as functions of a
matrix of sample weights, shape (draw, sample), so that the bootstrap of every statistic is a
handful of matrix products and never gathers resampled data.
"""

from eiplatform.statistics.base.balance import (
    PAIRS,
    balance_index,
    correlation_over_time,
    correlations_over_time,
    cross_correlation,
    ei_ratio,
    own_correlation,
    pair_correlation,
    partial_correlation,
)
from eiplatform.statistics.base.bootstrap import Interval, Unit, bootstrap_statistics, hierarchical_bootstrap
from eiplatform.statistics.base.gain import describe
from eiplatform.statistics.base.intervals import METHODS, combine_seeds, interval_of, resample_counts
from eiplatform.statistics.base.moments import CurrentPair, Moments, weighted_mean, weighted_nanmean, weighted_sums
from eiplatform.statistics.base.spikes import SpikeTrains, cv_isi, fano_factor, lv, rate

__all__ = [
    "METHODS",
    "PAIRS",
    "CurrentPair",
    "Interval",
    "Moments",
    "SpikeTrains",
    "Unit",
    "balance_index",
    "bootstrap_statistics",
    "combine_seeds",
    "correlation_over_time",
    "correlations_over_time",
    "cross_correlation",
    "cv_isi",
    "describe",
    "ei_ratio",
    "fano_factor",
    "hierarchical_bootstrap",
    "interval_of",
    "lv",
    "own_correlation",
    "pair_correlation",
    "partial_correlation",
    "rate",
    "resample_counts",
    "weighted_mean",
    "weighted_nanmean",
    "weighted_sums",
]
