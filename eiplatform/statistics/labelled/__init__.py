"""Labelled functions: one public statistic each, from a population's Dataset to a value per neuron.

Every result is an :class:`xarray.DataArray` over ``neuron`` whose attributes carry the unit, how
many neurons count (``n``), how many were excluded and by which rule, the estimator axis
(``over``) and the paper.  A statistic of the whole population has no dimension.
"""

from eiplatform.statistics.labelled.activity import dead_fraction, rate_distribution, saturated_fraction, sparseness
from eiplatform.statistics.labelled.balance import balance_index, ei_correlation, ei_ratio
from eiplatform.statistics.labelled.common import per_neuron
from eiplatform.statistics.labelled.dimension import participation_ratio
from eiplatform.statistics.labelled.gain import gain, gain_distribution
from eiplatform.statistics.labelled.gain_curve import gain_normalisation, gain_slope, inhibition_split, naka_rushton
from eiplatform.statistics.labelled.lag import ei_correlogram, ei_lag
from eiplatform.statistics.labelled.membrane import driven_above_threshold, fluctuation_index
from eiplatform.statistics.labelled.soundness import always_on, private_inhibition, silent_share
from eiplatform.statistics.labelled.spikes import cv2, cv_isi, fano_factor, lv, lvr, rate
from eiplatform.statistics.labelled.stability import paradoxical_index, perturbation_response
from eiplatform.statistics.labelled.synchrony import chi, count_correlation, synchrony
from eiplatform.statistics.labelled.tightness import (
    ei_correlation_windows,
    ei_ratio_distribution,
    imbalance_index,
    mean_to_fluctuation,
    residual_variance,
)
from eiplatform.statistics.labelled.timescale import power_spectrum, timescale
from eiplatform.statistics.labelled.tuning import ei_cotuning

__all__ = [
    "always_on",
    "balance_index",
    "chi",
    "count_correlation",
    "cv2",
    "cv_isi",
    "dead_fraction",
    "driven_above_threshold",
    "ei_correlation",
    "ei_correlation_windows",
    "ei_correlogram",
    "ei_cotuning",
    "ei_lag",
    "ei_ratio",
    "ei_ratio_distribution",
    "fano_factor",
    "fluctuation_index",
    "gain",
    "gain_distribution",
    "gain_normalisation",
    "gain_slope",
    "imbalance_index",
    "inhibition_split",
    "lv",
    "lvr",
    "mean_to_fluctuation",
    "naka_rushton",
    "paradoxical_index",
    "participation_ratio",
    "per_neuron",
    "perturbation_response",
    "power_spectrum",
    "private_inhibition",
    "rate",
    "rate_distribution",
    "residual_variance",
    "saturated_fraction",
    "silent_share",
    "sparseness",
    "synchrony",
    "timescale",
]
