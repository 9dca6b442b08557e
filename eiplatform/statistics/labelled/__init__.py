"""Labelled functions: one public statistic each, from a population's Dataset to a value per neuron.

Every result is an :class:`xarray.DataArray` over ``neuron`` whose attributes carry the unit, how
many neurons count (``n``), how many were excluded and by which rule, the estimator axis
(``over``) and the paper.
"""

from eiplatform.statistics.labelled.balance import balance_index, ei_correlation, ei_ratio
from eiplatform.statistics.labelled.common import per_neuron
from eiplatform.statistics.labelled.gain import gain, gain_distribution
from eiplatform.statistics.labelled.spikes import cv_isi, fano_factor, lv, rate

__all__ = [
    "balance_index",
    "cv_isi",
    "ei_correlation",
    "ei_ratio",
    "fano_factor",
    "gain",
    "gain_distribution",
    "lv",
    "per_neuron",
    "rate",
]
