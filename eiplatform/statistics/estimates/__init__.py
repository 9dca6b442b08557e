"""From a population to an estimate per neuron: which arrays, which kernel, which exclusion rule."""

from eiplatform.statistics.estimates.activity import (
    SATURATED_SHARE,
    SPARSENESS,
    dead,
    rate_shape,
    saturated,
    sparseness,
)
from eiplatform.statistics.estimates.balance import balance, correlation
from eiplatform.statistics.estimates.common import OVER, Estimate
from eiplatform.statistics.estimates.dimension import participation_ratio
from eiplatform.statistics.estimates.gain import GAIN_MEASURES, gain
from eiplatform.statistics.estimates.spikes import (
    FANO_WINDOWS,
    MIN_WINDOWS,
    REFRACTORINESS,
    fano,
    isi,
    rate,
    rate_table,
)
from eiplatform.statistics.estimates.synchrony import (
    FIXED_NEURONS,
    SYNCHRONY_WINDOWS,
    chi,
    count_correlation,
    count_correlation_pairs,
    synchrony,
)
from eiplatform.statistics.estimates.timescale import MAX_LAGS, PEAK_MEASURES, SEGMENTS, peak, spectrum, timescale

__all__ = [
    "FANO_WINDOWS",
    "FIXED_NEURONS",
    "GAIN_MEASURES",
    "MAX_LAGS",
    "MIN_WINDOWS",
    "OVER",
    "PEAK_MEASURES",
    "REFRACTORINESS",
    "SATURATED_SHARE",
    "SEGMENTS",
    "SPARSENESS",
    "SYNCHRONY_WINDOWS",
    "Estimate",
    "balance",
    "chi",
    "correlation",
    "count_correlation",
    "count_correlation_pairs",
    "dead",
    "fano",
    "gain",
    "isi",
    "participation_ratio",
    "peak",
    "rate",
    "rate_shape",
    "rate_table",
    "saturated",
    "sparseness",
    "spectrum",
    "synchrony",
    "timescale",
]
