"""External Poisson input that is the same, number for number, on every Brian2 device."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LARGEST_MEAN", "SMALLEST_TERM", "poisson_quantile", "poisson_quantile_function"]

LARGEST_MEAN = 500.0
"""Largest mean count per step (exp(-mean) must not underflow)."""

SMALLEST_TERM = 1e-18
"""Terms below this end the search; their sum cannot be told from rounding."""

# The count is the inverse of the cumulative distribution at one uniform number, summed in the same
# order everywhere: libraries' own Poisson generators consume different numbers of random numbers.
# The C++ form looks the start of its search up in a table: 1024 equal steps of u.
_CPP = f"""
static inline int _poisson_quantile(const double u, const double mean, const double zero)
{{
    static double of_mean = -1.0;
    static std::vector<double> sums;
    static int first[1024];
    if (mean != of_mean)
    {{
        sums.assign(1, zero);
        double term = zero;
        for (int count = 1; term > {SMALLEST_TERM!r} || count - 1 < mean; ++count)
        {{
            term *= mean / count;
            sums.push_back(sums.back() + term);
        }}
        sums.pop_back();
        for (int step = 0; step < 1024; ++step)
            first[step] = std::lower_bound(sums.begin(), sums.end(), step / 1024.0) - sums.begin();
        of_mean = mean;
    }}
    const int last = sums.size();
    int count = first[static_cast<int>(u * 1024)];
    while (count < last && u > sums[count])
        ++count;
    return count;
}}
"""
_CYTHON = f"""
cdef int _poisson_quantile(double u, double mean, double zero):
    cdef int count = 0
    cdef double term = zero
    cdef double total = zero
    while u > total and (term > {SMALLEST_TERM!r} or count < mean):
        count += 1
        term *= mean / count
        total += term
    return count
"""


@lru_cache(maxsize=64)
def _table(mean: float, zero: float) -> NDArray[np.float64]:
    count, term, sums = 0, zero, [zero]
    while term > SMALLEST_TERM or count < mean:
        count += 1
        term *= mean / count
        sums.append(sums[-1] + term)
    return np.array(sums[:-1])


def poisson_quantile(u: Any, mean: Any, zero: Any) -> Any:
    """Quantile of the Poisson distribution: the count whose cumulative probability first reaches `u`.

    The superposition of independent Poisson sources is Poisson, so that one uniform number per
    neuron and step draws the spikes of all its external sources.

    Parameters
    ----------
    u : array or float
        Uniform random numbers in [0, 1).
    mean : array or float
        Mean count, at most :data:`LARGEST_MEAN`.
    zero : array or float
        ``exp(-mean)``; given by the caller, because libraries round it differently.

    Returns
    -------
    array of int32, shape of `u`

    Examples
    --------
    >>> poisson_quantile(np.array([0.1, 0.5, 0.9]), 2.0, np.exp(-2.0))
    array([0, 2, 4], dtype=int32)
    """
    u = np.asarray(u)
    means, zeros = np.broadcast_arrays(np.asarray(mean, float), np.asarray(zero, float))
    if means.size == 1:
        counts = np.searchsorted(_table(float(means.flat[0]), float(zeros.flat[0])), u)
        return counts.astype(np.int32)
    result = np.empty(u.shape, np.int32)
    for value in np.unique(means):
        here = means == value
        result[here] = np.searchsorted(_table(float(value), float(zeros[here].flat[0])), u[here])
    return result


def poisson_quantile_function() -> Any:
    """Return :func:`poisson_quantile` as a Brian2 function, for use as ``poisson_quantile(rand(), mean, zero)``."""
    import brian2

    function = brian2.Function(
        poisson_quantile,
        arg_units=[1, 1, 1],
        arg_names=["u", "mean", "zero"],
        arg_types=["float", "float", "float"],
        return_unit=1,
        return_type="integer",
    )
    function.implementations.add_numpy_implementation(poisson_quantile)
    function.implementations.add_implementation("cpp", _CPP, name="_poisson_quantile")
    function.implementations.add_implementation("cython", _CYTHON, name="_poisson_quantile")
    return function
