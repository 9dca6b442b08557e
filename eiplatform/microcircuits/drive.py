"""External Poisson input that is the same, number for number, on every Brian2 device."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LARGEST_MEAN",
    "SMALLEST_TERM",
    "poisson_quantile",
    "poisson_quantile_function",
    "poisson_stream",
    "poisson_stream_function",
]

LARGEST_MEAN = 500.0
"""Largest mean count per step (exp(-mean) must not underflow)."""

SMALLEST_TERM = 1e-18
"""Terms below this end the search; their sum is as small as rounding."""

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


# Steele, Lea & Flood (2014), "Fast splittable pseudorandom number generators": the random number at
# any place of the sequence is a function of the place, so that the order of evaluation is free.
_INCREMENT, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB

_STREAM_CPP = f"""
static inline int _poisson_stream(const int64_t stream, const int64_t step, const int64_t index,
                                  const int64_t size, const double mean, const double zero)
{{
    uint64_t z = (uint64_t)stream + ((uint64_t)step * (uint64_t)size + (uint64_t)index + 1u) * {_INCREMENT:#x}ull;
    z = (z ^ (z >> 30)) * {_FIRST:#x}ull;
    z = (z ^ (z >> 27)) * {_SECOND:#x}ull;
    const double u = (double)(int64_t)((z ^ (z >> 31)) >> 11) * 0x1p-53;
    int count = 0;
    double term = zero, total = zero;
    while (u > total && (term > {SMALLEST_TERM!r} || count < mean))
    {{
        ++count;
        term *= mean / count;
        total += term;
    }}
    return count;
}}
"""
_STREAM_CYTHON = f"""
cdef int _poisson_stream(int64_t stream, int64_t step, int64_t index, int64_t size, double mean, double zero):
    cdef unsigned long long z = <unsigned long long>(step * size + index + 1)
    z = <unsigned long long>stream + z * <unsigned long long>{_INCREMENT:#x}ull
    z = (z ^ (z >> 30)) * <unsigned long long>{_FIRST:#x}ull
    z = (z ^ (z >> 27)) * <unsigned long long>{_SECOND:#x}ull
    cdef double u = <double><long long>((z ^ (z >> 31)) >> 11) * {2.0**-53!r}
    cdef int count = 0
    cdef double term = zero
    cdef double total = zero
    while u > total and (term > {SMALLEST_TERM!r} or count < mean):
        count += 1
        term *= mean / count
        total += term
    return count
"""


def poisson_stream(stream: Any, step: Any, index: Any, size: Any, mean: Any, zero: Any) -> Any:
    """Poisson numbers of one time step, drawn from a sequence that can be entered anywhere.

    The uniform number of neuron `index` in step `step` is the entry ``step size + index`` of the
    splitmix64 sequence that starts at `stream`; the count is its quantile, as in
    :func:`poisson_quantile`.  No state is kept, no device's own generator is used, and small
    means cost little: faster than a Mersenne twister, and the same on every device.

    Parameters
    ----------
    stream : int
        Start of the sequence, a random 64-bit number per seed and purpose.
    step : int
        Time step.
    index : array of int
        Neurons.
    size : int
        Number of neurons.
    mean : array or float
        Mean counts, small (time grows with the count).
    zero : array or float
        ``exp(-mean)``.

    Returns
    -------
    array of int32, shape of `index`

    Examples
    --------
    >>> counts = poisson_stream(7, 0, np.arange(10000), 10000, 0.5, np.exp(-0.5))
    >>> bool(abs(counts.mean() - 0.5) < 0.03), bool(abs(counts.var() - 0.5) < 0.03)
    (True, True)
    """
    place = np.int64(step) * np.int64(size) + np.asarray(index, np.int64) + 1
    start = np.asarray(stream, np.int64).astype(np.uint64)
    with np.errstate(over="ignore"):
        z = start + place.astype(np.uint64) * np.uint64(_INCREMENT)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(_FIRST)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(_SECOND)
    u = ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    means, total = np.broadcast_to(mean, u.shape), np.array(np.broadcast_to(zero, u.shape), float)
    counts = np.zeros(u.shape, np.int32)
    term, count = total.copy(), 0
    while (more := (u > total) & ((term > SMALLEST_TERM) | (count < means))).any():
        count += 1
        counts[more] = count
        term = np.where(more, term * (means / count), term)
        total = np.where(more, total + term, total)
    return counts


def poisson_stream_function() -> Any:
    """Return :func:`poisson_stream` as a Brian2 function."""
    import brian2

    function = brian2.Function(
        poisson_stream,
        arg_units=[1] * 6,
        arg_names=["stream", "step", "index", "size", "mean", "zero"],
        arg_types=["integer"] * 4 + ["float"] * 2,
        return_unit=1,
        return_type="integer",
    )
    function.implementations.add_numpy_implementation(poisson_stream)
    function.implementations.add_implementation("cpp", _STREAM_CPP, name="_poisson_stream")
    function.implementations.add_implementation("cython", _STREAM_CYTHON, name="_poisson_stream")
    return function
