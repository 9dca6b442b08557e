"""Labelled functions: one public statistic each, from a population's Dataset to a value per neuron.

Every result is an :class:`xarray.DataArray` over ``neuron`` whose attributes carry the unit, how
many neurons count (``n``), how many were excluded and by which rule, the estimator axis
(``over``) and the paper.
"""

from eiplatform.statistics.labelled.balance import balance_index, ei_correlation, ei_ratio
from eiplatform.statistics.labelled.common import per_neuron
from eiplatform.statistics.labelled.gain import gain, gain_distribution
from eiplatform.statistics.labelled.gain_curve import gain_normalisation, gain_slope, inhibition_split, naka_rushton
from eiplatform.statistics.labelled.lag import ei_correlogram, ei_lag
from eiplatform.statistics.labelled.membrane import driven_above_threshold, fluctuation_index
from eiplatform.statistics.labelled.spikes import cv_isi, fano_factor, lv, rate
from eiplatform.statistics.labelled.stability import paradoxical_index, perturbation_response
from eiplatform.statistics.labelled.tightness import (
    ei_correlation_windows,
    ei_ratio_distribution,
    imbalance_index,
    mean_to_fluctuation,
    residual_variance,
)
from eiplatform.statistics.labelled.tuning import ei_cotuning

__all__ = [
    "balance_index",
    "cv_isi",
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
    "mean_to_fluctuation",
    "naka_rushton",
    "paradoxical_index",
    "per_neuron",
    "perturbation_response",
    "rate",
    "residual_variance",
]
