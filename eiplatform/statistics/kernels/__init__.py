"""Array kernels: numpy and scipy on plain float64 arrays, axes always explicit.

Nothing here knows xarray or a recording.  Per-neuron quantities are written as functions of a
matrix of sample weights, shape (draw, sample), so that the bootstrap of every statistic is a
handful of matrix products and never gathers resampled data.
"""

from eiplatform.statistics.kernels.activity import *
from eiplatform.statistics.kernels.balance import *
from eiplatform.statistics.kernels.bootstrap import *
from eiplatform.statistics.kernels.correlogram import *
from eiplatform.statistics.kernels.crossed import *
from eiplatform.statistics.kernels.curves import *
from eiplatform.statistics.kernels.dimension import *
from eiplatform.statistics.kernels.gain import *
from eiplatform.statistics.kernels.intervals import *
from eiplatform.statistics.kernels.irregularity import *
from eiplatform.statistics.kernels.membrane import *
from eiplatform.statistics.kernels.moments import *
from eiplatform.statistics.kernels.naka_rushton import *
from eiplatform.statistics.kernels.normalisation import *
from eiplatform.statistics.kernels.over_time import *
from eiplatform.statistics.kernels.patterns import *
from eiplatform.statistics.kernels.spikes import *
from eiplatform.statistics.kernels.synchrony import *
from eiplatform.statistics.kernels.timescale import *
from eiplatform.statistics.kernels.tracking import *
from eiplatform.statistics.kernels.tuning import *
