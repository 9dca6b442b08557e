"""Balance statistics with uncertainty: array kernels, labelled functions, and the ``.ei`` accessor.

Importing this package registers the accessor.  It needs numpy, scipy and xarray only.
"""

from eiplatform.statistics.accessor import EIAccessor
from eiplatform.statistics.labelled import (
    balance_index,
    cv_isi,
    ei_correlation,
    ei_ratio,
    fano_factor,
    gain,
    gain_distribution,
    lv,
    per_neuron,
    rate,
)
from eiplatform.statistics.nulls import SURROGATES, null_from, surrogate
from eiplatform.statistics.registry import STATISTICS, Statistic, statistic
from eiplatform.statistics.seeds import against_null, summarise_seeds
from eiplatform.statistics.summary import populations_of, summarise

__all__ = [
    "STATISTICS",
    "SURROGATES",
    "EIAccessor",
    "Statistic",
    "against_null",
    "balance_index",
    "cv_isi",
    "ei_correlation",
    "ei_ratio",
    "fano_factor",
    "gain",
    "gain_distribution",
    "lv",
    "null_from",
    "per_neuron",
    "populations_of",
    "rate",
    "statistic",
    "summarise",
    "summarise_seeds",
    "surrogate",
]
