"""Means over neurons with their bootstrap interval, as tables give them."""

from __future__ import annotations

import numpy as np

from eiplatform.statistics.kernels.bootstrap import hierarchical_bootstrap
from eiplatform.statistics.kernels.crossed import NeuronValues

__all__ = ["mean_with_interval"]


def mean_with_interval(
    name: str, kernel: NeuronValues, *, n_bootstrap: int, seed: int, level: float
) -> tuple[dict[str, float], str]:
    """Return the mean over neurons, with ``_low`` and ``_high``, and a note if the interval is missing.

    A geometric mean has its interval in logarithms, so that it stays positive.

    Examples
    --------
    >>> kernel = NeuronValues(lambda w: np.full((len(w), 3), 2.0), 4, 3)
    >>> mean_with_interval("gain", kernel, n_bootstrap=5, seed=0, level=0.9)
    ({'gain': 2.0, 'gain_low': 2.0, 'gain_high': 2.0}, '')
    """
    inside = kernel
    if kernel.geometric:
        inside = NeuronValues(lambda w: np.log(kernel.values(w)), kernel.n_samples, kernel.n_neurons)
    found = hierarchical_bootstrap([inside], n_bootstrap=n_bootstrap, seed=seed, level=level)
    note = ""
    if np.isfinite(found.estimate) and found.failed:
        note = f"{name}: no interval, undefined in {found.failed} of {len(found.draws)} draws"
    numbers = {name: found.estimate, f"{name}_low": found.low, f"{name}_high": found.high}
    if kernel.geometric:
        numbers = {key: float(np.exp(value)) for key, value in numbers.items()}
    return numbers, note
