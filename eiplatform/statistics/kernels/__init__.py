"""Array kernels: numpy and scipy on plain float64 arrays, axes always explicit.

Nothing here knows xarray or a recording.  Per-neuron quantities are written as functions of a
matrix of sample weights, shape (draw, sample), so that the bootstrap of every statistic is a
handful of matrix products and never gathers resampled data.
"""

from eiplatform.statistics.kernels.activity import (
    RATE_MEASURES,
    dead,
    lifetime_sparseness,
    population_sparseness,
    rate_shape,
    saturated,
)
from eiplatform.statistics.kernels.balance import (
    LEAST_EXCITATION,
    PAIRS,
    balance_index,
    correlation_over_time,
    correlations_over_time,
    cross_correlation,
    ei_ratio,
    hardly_excited,
    own_correlation,
    pair_correlation,
    partial_correlation,
)
from eiplatform.statistics.kernels.bootstrap import Interval, Unit, bootstrap_statistics, hierarchical_bootstrap
from eiplatform.statistics.kernels.correlogram import correlogram, mean_correlogram, peak, pooled_peak
from eiplatform.statistics.kernels.curves import RectifiedFit, regress
from eiplatform.statistics.kernels.dimension import participation_ratio
from eiplatform.statistics.kernels.gain import describe
from eiplatform.statistics.kernels.intervals import (
    METHODS,
    combine_seeds,
    interval_of,
    resample_counts,
    share_interval,
    student,
    student_half_width,
)
from eiplatform.statistics.kernels.irregularity import cv2, cv_isi, fano_factor, lv, lvr, rate
from eiplatform.statistics.kernels.membrane import FreeMembrane, fluctuation_index, free_membrane
from eiplatform.statistics.kernels.moments import CurrentPair, Moments, weighted_mean, weighted_nanmean, weighted_sums
from eiplatform.statistics.kernels.naka_rushton import NakaRushton, fit_naka_rushton
from eiplatform.statistics.kernels.normalisation import fit_normalisation, log_slope
from eiplatform.statistics.kernels.patterns import Patterns, log_ratio_spread, mean_influence, spread_influence
from eiplatform.statistics.kernels.soundness import always_on_spikes, private_share
from eiplatform.statistics.kernels.spikes import SpikeTrains
from eiplatform.statistics.kernels.synchrony import SharedSums, chi, count_synchrony, pair_correlations, partner_mean
from eiplatform.statistics.kernels.timescale import (
    LagSums,
    decay_time,
    integrated_time,
    population_spectrum,
    spectrum_peak,
)
from eiplatform.statistics.kernels.tracking import (
    RESIDUAL_PAIRS,
    PairMoments,
    moments_over_samples,
    moments_over_time,
    paired_correlation,
    residual_variance,
    sample_blocks,
)
from eiplatform.statistics.kernels.tuning import ClassTuning

__all__ = [
    "always_on_spikes",
    "private_share",
    "LEAST_EXCITATION",
    "ClassTuning",
    "CurrentPair",
    "FreeMembrane",
    "Interval",
    "LagSums",
    "METHODS",
    "Moments",
    "NakaRushton",
    "PAIRS",
    "PairMoments",
    "Patterns",
    "RATE_MEASURES",
    "RESIDUAL_PAIRS",
    "RectifiedFit",
    "SharedSums",
    "SpikeTrains",
    "Unit",
    "balance_index",
    "bootstrap_statistics",
    "chi",
    "combine_seeds",
    "correlation_over_time",
    "correlations_over_time",
    "correlogram",
    "count_synchrony",
    "cross_correlation",
    "cv2",
    "cv_isi",
    "dead",
    "decay_time",
    "describe",
    "ei_ratio",
    "hardly_excited",
    "fano_factor",
    "fit_naka_rushton",
    "fit_normalisation",
    "fluctuation_index",
    "free_membrane",
    "hierarchical_bootstrap",
    "integrated_time",
    "interval_of",
    "lifetime_sparseness",
    "log_ratio_spread",
    "log_slope",
    "lv",
    "lvr",
    "mean_correlogram",
    "mean_influence",
    "moments_over_samples",
    "moments_over_time",
    "own_correlation",
    "pair_correlation",
    "pair_correlations",
    "paired_correlation",
    "partial_correlation",
    "participation_ratio",
    "partner_mean",
    "peak",
    "pooled_peak",
    "population_sparseness",
    "population_spectrum",
    "rate",
    "rate_shape",
    "regress",
    "resample_counts",
    "residual_variance",
    "sample_blocks",
    "saturated",
    "spectrum_peak",
    "spread_influence",
    "share_interval",
    "student",
    "student_half_width",
    "weighted_mean",
    "weighted_nanmean",
    "weighted_sums",
]
