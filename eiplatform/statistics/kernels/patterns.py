"""Correlation of excitation and inhibition over neurons, and the spread of their ratio over neurons.

Both are one number for a population.  They are written as one value per neuron whose mean over neurons is
that number, and whose spread is its influence (Efron 1992, J R Stat Soc B 54:83): so the bootstrap over neurons
needs no other code than for statistics that every neuron has.  The influence on a correlation is what
leaving the neuron out does, times the neurons left (the jackknife): its derivative is too small for some tens of
neurons whose currents are skewed, by a third of the variance for 30 log-normal ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.errors import choose
from eiplatform.statistics.kernels.moments import RELATIVE_TOLERANCE, FloatArray, weighted_sums
from eiplatform.statistics.kernels.spill import map_rows, row_blocks_of
from eiplatform.statistics.kernels.tracking import RESIDUAL_PAIRS

__all__ = ["Patterns", "log_ratio_spread", "mean_influence", "spread_influence"]


def _scored(values: npt.NDArray[Any]) -> FloatArray:
    """z-score over neurons in each sample; a sample in which all neurons are equal is NaN."""
    values = np.asarray(values, dtype=np.float64)
    centred = values - values.mean(axis=1, keepdims=True)
    sd = centred.std(axis=1, keepdims=True)
    size = np.sqrt((values**2).mean(axis=1, keepdims=True))
    varies = sd > RELATIVE_TOLERANCE * size
    scored: FloatArray = np.where(varies, centred / np.where(varies, sd, 1.0), np.nan)
    return scored


def _scored_together(exc: npt.NDArray[Any], inh: npt.NDArray[Any]) -> FloatArray:
    """z-scores of both, shape (sample, 2, neuron); 0 where the neurons do not differ in one of them."""
    both = np.stack([_scored(exc), _scored(inh)], axis=1)
    return np.where(np.isfinite(both).all(axis=(1, 2), keepdims=True), both, 0.0)


def _left(scored: FloatArray) -> FloatArray:
    """Factor by which z-scores grow when a neuron is left out, for every neuron, shape (sample, neuron).

    Without it the variance is that of all, times N/(N - 1), less its own part, which counts for three quarters at most.
    """
    factor: FloatArray = 1 / np.sqrt(np.maximum(1 - scored**2 / max(scored.shape[1] - 1, 1), 0.25))
    return factor


def _own_terms(exc: FloatArray, inh: FloatArray, r: FloatArray) -> tuple[FloatArray]:
    """Each neuron's part in the correlation over neurons of a sample: value plus influence."""
    left = max(exc.shape[1] - 1, 1)
    without = np.clip((r - exc * inh / left) * _left(exc) * _left(inh), -1.0, 1.0)
    return (r - left * (without - without.mean(axis=1, keepdims=True)),)


class Patterns:
    """Excitation and inhibition of a population as patterns over its neurons, one per sample.

    Parameters
    ----------
    exc, inh : array, shape (sample, neuron)

    Examples
    --------
    >>> import numpy as np
    >>> exc = np.random.default_rng(0).gamma(2.0, size=(50, 40))
    >>> patterns = Patterns(exc, 3 * exc)
    >>> bool(np.allclose(patterns.correlation(np.ones((1, 50)), "own").mean(), 1))
    True
    >>> abs(patterns.correlation(np.ones((1, 50)), "cross").mean().round(1))  # other samples share nothing
    np.float64(0.0)
    """

    def __init__(self, exc: npt.NDArray[Any], inh: npt.NDArray[Any]) -> None:
        both = map_rows(_scored_together, exc, inh)
        self._exc, self._inh = both[:, 0], both[:, 1]  # 0 in samples that do not count
        self._r: FloatArray = map_rows(lambda e, i: (e * i).mean(axis=1, keepdims=True), self._exc, self._inh)
        self.defined: npt.NDArray[np.bool_] = np.any(both, axis=(1, 2))

    def correlation(self, weights: npt.NDArray[Any], pairs: str) -> FloatArray:
        """Correlation over neurons, averaged over samples, shape (draw, neuron).

        Parameters
        ----------
        weights : array, shape (draw, sample)
        pairs : {"own", "cross", "excess"}
            E and I of the same sample; E of this with I of the other samples, which is what the neurons'
            constant differences give; own minus that, which belongs to the sample.

        Returns
        -------
        array, shape (draw, neuron)
            Their mean over neurons is the correlation; NaN where no sample (no two, for the last two) counts.
        """
        choose(pairs, RESIDUAL_PAIRS, "pairing")
        kept = np.asarray(weights, dtype=np.float64) * self.defined
        with np.errstate(invalid="ignore", divide="ignore"):
            w = kept / kept.sum(axis=1, keepdims=True)
        own: FloatArray = weighted_sums(w, _own_terms, self._exc, self._inh, self._r)[0]
        if pairs == "own":
            return own
        cross = self._cross(w)
        return cross if pairs == "cross" else own - cross

    def _cross(self, w: FloatArray) -> FloatArray:
        """Average over ordered pairs of different samples, without a sample-by-sample matrix."""
        n = self._exc.shape[1]
        mean_exc, mean_inh, grown_exc, grown_inh = weighted_sums(
            w, lambda exc, inh: (exc, inh, exc * _left(exc), inh * _left(inh)), self._exc, self._inh
        )
        same = weighted_sums(w**2, lambda exc, inh: (exc * inh * _left(exc) * _left(inh),), self._exc, self._inh)[0]
        without = -(grown_exc * grown_inh - same) / max(n - 1, 1)
        mean = np.zeros((len(w), 1))
        for rows, (exc, inh, r) in row_blocks_of(self._exc, self._inh, self._r):
            here = w[:, rows]
            # Weighted mean correlation of each sample with all others, from either side, shape (draw, sample).
            from_exc = here * (mean_inh @ exc.T / n - here * r[:, 0])
            from_inh = here * (mean_exc @ inh.T / n - here * r[:, 0])
            # In the product of two samples one factor grows at a time: what is left is of second order.
            without += from_exc @ _left(exc) + from_inh @ _left(inh)
            mean += from_exc.sum(axis=1, keepdims=True)
        pairs = 1 - (w**2).sum(axis=1, keepdims=True)
        some = np.where(pairs > 1e-12, pairs, np.nan)
        cross: FloatArray = (mean - (n - 1) * (without - without.mean(axis=1, keepdims=True))) / some
        return cross


def spread_influence(values: FloatArray) -> FloatArray:
    """Values per neuron whose mean is the standard deviation (ddof 0) of `values` over neurons, NaN left out.

    Parameters
    ----------
    values : array, shape (draw, neuron)

    Examples
    --------
    >>> import numpy as np
    >>> spread_influence(np.array([[1.0, 3.0, np.nan]])).round(6)
    array([[ 1.,  1., nan]])
    """
    defined = np.isfinite(values)
    count = np.maximum(defined.sum(axis=1, keepdims=True), 1)
    filled = np.where(defined, values, 0.0)
    mean = filled.sum(axis=1, keepdims=True) / count
    square = np.where(defined, (values - mean) ** 2, 0.0)
    sd = np.sqrt(square.sum(axis=1, keepdims=True) / count)
    with np.errstate(invalid="ignore", divide="ignore"):
        influence = np.where(sd > 0, sd + (square - sd**2) / (2 * sd), 0.0)
    return np.where(defined, influence, np.nan)


def log_ratio_spread(mean_exc: FloatArray, mean_inh: FloatArray) -> FloatArray:
    """Values per neuron whose mean is the standard deviation over neurons of ln(E/I), shape (draw, neuron)."""
    both = (mean_exc > 0) & (mean_inh > 0)
    safe = np.where(both, mean_exc, 1.0) / np.where(both, mean_inh, 1.0)
    return spread_influence(np.where(both, np.log(safe), np.nan))


def mean_influence(terms: tuple[FloatArray, ...], value: FloatArray, slopes: tuple[FloatArray, ...]) -> FloatArray:
    """Values per neuron whose mean over neurons is a function of the means of several terms.

    Parameters
    ----------
    terms : tuple of array, shape (draw, neuron)
        Finite; the function depends on their means over neurons.
    value : array, shape (draw,)
        The function at these means.
    slopes : tuple of array, shape (draw,)
        Its derivative by each mean.

    Examples
    --------
    >>> import numpy as np
    >>> rate = np.array([[1.0, 3.0]])  # the square of the mean, 4
    >>> mean_influence((rate,), np.array([4.0]), (np.array([4.0]),))
    array([[0., 8.]])
    """
    parts = [
        slope[:, None] * (term - term.mean(axis=1, keepdims=True)) for term, slope in zip(terms, slopes, strict=True)
    ]
    influence: FloatArray = value[:, None] + np.sum(parts, axis=0)
    return influence
