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
from eiplatform.statistics.labelled.spikes import cv2, cv_isi, fano_factor, lv, lvr, rate
from eiplatform.statistics.labelled.synchrony import chi, count_correlation, synchrony
from eiplatform.statistics.labelled.timescale import power_spectrum, timescale

__all__ = [
    "balance_index",
    "chi",
    "count_correlation",
    "cv2",
    "cv_isi",
    "dead_fraction",
    "ei_correlation",
    "ei_ratio",
    "fano_factor",
    "gain",
    "gain_distribution",
    "lv",
    "lvr",
    "participation_ratio",
    "per_neuron",
    "power_spectrum",
    "rate",
    "rate_distribution",
    "saturated_fraction",
    "sparseness",
    "synchrony",
    "timescale",
]
