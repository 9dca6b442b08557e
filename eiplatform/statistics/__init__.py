"""Balance statistics with uncertainty: array kernels, labelled functions, and the ``.ei`` accessor.

Importing this package registers the accessor.  It needs numpy, scipy and xarray only.
"""

from eiplatform.statistics.accessor import EIAccessor
from eiplatform.statistics.labelled import (
    balance_index,
    cv_isi,
    driven_above_threshold,
    ei_correlation,
    ei_correlation_windows,
    ei_correlogram,
    ei_cotuning,
    ei_lag,
    ei_ratio,
    ei_ratio_distribution,
    fano_factor,
    fluctuation_index,
    gain,
    gain_distribution,
    gain_normalisation,
    gain_slope,
    imbalance_index,
    inhibition_split,
    lv,
    mean_to_fluctuation,
    naka_rushton,
    paradoxical_index,
    per_neuron,
    perturbation_response,
    rate,
    residual_variance,
)
from eiplatform.statistics.registry import STATISTICS, Statistic, statistic
from eiplatform.statistics.seeds import against_null, summarise_seeds
from eiplatform.statistics.summary import populations_of, summarise

__all__ = [
    "STATISTICS",
    "EIAccessor",
    "Statistic",
    "against_null",
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
    "populations_of",
    "rate",
    "residual_variance",
    "statistic",
    "summarise",
    "summarise_seeds",
]
