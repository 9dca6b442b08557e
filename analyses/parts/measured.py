"""What is compared: one statistic of one population, and a population as a side of a comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from eiplatform.statistics.kernels.evidence import Group
from eiplatform.statistics.kernels.moments import FloatArray

__all__ = ["Measured", "Side"]


@dataclass(frozen=True)
class Measured:
    """One statistic of one population.

    Attributes
    ----------
    value, low, high : float
        Mean over neurons (geometric for ratios) and its interval, in `units`.
    units : str
    n_samples, n_neurons, n_excluded : int
    note : str
        Why something is missing.
    caution : str
        What limits the meaning of the value.
    seeds : tuple of array
        Values per neuron, undefined ones left out, one array per seed.
    seed_values : array, shape (seed,)
        The population's value in each seed; empty when unknown.
    sd_seeds : float
        Their standard deviation (ddof 1); NaN with fewer than two.
    counts : array of int, optional
        How many neurons have each value of the one array in `seeds`: a histogram.
    bin_width : float
        Of that histogram.
    window : str
        What the estimate says about its window, in its own time.
    not_comparable : str
        Why this value may not be compared with a network's, whatever the statistic.
    group : Group, optional
        What a test of this side rests on.
    """

    value: float
    low: float
    high: float
    units: str
    n_samples: int = 0
    n_neurons: int = 0
    n_excluded: int = 0
    note: str = ""
    caution: str = ""
    seeds: tuple[FloatArray, ...] = ()
    seed_values: FloatArray = field(default_factory=lambda: np.zeros(0))
    sd_seeds: float = float("nan")
    counts: np.ndarray | None = None
    bin_width: float = 0.0
    window: str = ""
    not_comparable: str = ""
    group: Group | None = None


@dataclass(frozen=True)
class Side:
    """One population as a side of a comparison.

    Attributes
    ----------
    name : str
        ``"label: population"``.
    kind : {"network", "circuit", "summary"}
    population : str
    interval_ms : float
        Time that one recorded interval stands for when a network's step is matched; NaN for a network.
    step_ms : float
        Time that a network's step stands for; NaN for a network.
    cells : dict of str to Measured
        By key of the statistic.
    facts : dict
        What has to agree for a statistic to be comparable: sample ids, what was shown, steps, input, sizes of
        the layers.
    """

    name: str
    kind: str
    population: str
    interval_ms: float
    step_ms: float
    cells: dict[str, Measured]
    facts: dict[str, Any]
