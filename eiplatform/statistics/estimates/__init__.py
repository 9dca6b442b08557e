"""From a population to an estimate per neuron: which arrays, which kernel, which exclusion rule."""

from eiplatform.statistics.estimates.balance import balance, correlation
from eiplatform.statistics.estimates.common import OVER, Estimate
from eiplatform.statistics.estimates.gain import GAIN_MEASURES, gain
from eiplatform.statistics.estimates.spikes import FANO_WINDOWS, MIN_WINDOWS, fano, isi, rate

__all__ = [
    "FANO_WINDOWS",
    "GAIN_MEASURES",
    "MIN_WINDOWS",
    "OVER",
    "Estimate",
    "balance",
    "correlation",
    "fano",
    "gain",
    "isi",
    "rate",
]
