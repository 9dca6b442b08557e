"""Balance statistics with uncertainty: array kernels, labelled functions, and the ``.ei`` accessor.

Importing this package registers the accessor.  It needs numpy, scipy and xarray only.
"""

from eiplatform.statistics.accessor import EIAccessor
from eiplatform.statistics.labelled import (
    balance_index,
    chi,
    count_correlation,
    cv2,
    cv_isi,
    dead_fraction,
    ei_correlation,
    ei_ratio,
    fano_factor,
    gain,
    gain_distribution,
    lv,
    lvr,
    participation_ratio,
    per_neuron,
    power_spectrum,
    rate,
    rate_distribution,
    saturated_fraction,
    sparseness,
    synchrony,
    timescale,
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
    "populations_of",
    "power_spectrum",
    "rate",
    "rate_distribution",
    "saturated_fraction",
    "sparseness",
    "statistic",
    "summarise",
    "summarise_seeds",
    "synchrony",
    "timescale",
]
