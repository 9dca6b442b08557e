"""Correlation of excitation and inhibition over neurons, and the spread of their ratio over neurons.

Both are one number for a population.  They are written as one value per neuron whose mean over neurons is
that number, and whose spread is its influence (Efron 1992, J R Stat Soc B 54:83): so the bootstrap over neurons
needs no other code than for statistics that every neuron has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from eiplatform.errors import choose
from eiplatform.statistics.base.moments import RELATIVE_TOLERANCE, FloatArray
from eiplatform.statistics.base.tracking import RESIDUAL_PAIRS

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
        scored = _scored(exc), _scored(inh)
        self.defined: npt.NDArray[np.bool_] = np.isfinite(scored[0][:, 0]) & np.isfinite(scored[1][:, 0])
        self._exc, self._inh = (np.where(self.defined[:, None], part, 0.0) for part in scored)
        self._product = self._exc * self._inh
        self._exc2, self._inh2 = self._exc**2, self._inh**2
        self._r: FloatArray = self._product.mean(axis=1)
        self._own: FloatArray = self._r[:, None] + self._product - self._r[:, None] * (self._exc2 + self._inh2) / 2

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
        own: FloatArray = w @ self._own
        if pairs == "own":
            return own
        cross = self._cross(w)
        return cross if pairs == "cross" else own - cross

    def _cross(self, w: FloatArray) -> FloatArray:
        """Average over ordered pairs of different samples, without a sample-by-sample matrix."""
        n = self._exc.shape[1]
        mean_exc, mean_inh = w @ self._exc, w @ self._inh
        # Weighted mean correlation of each sample with all others, from either side, shape (draw, sample).
        from_exc = mean_inh @ self._exc.T / n - w * self._r
        from_inh = mean_exc @ self._inh.T / n - w * self._r
        product = mean_exc * mean_inh - w**2 @ self._product
        influence = ((w * from_exc) @ self._exc2 + (w * from_inh) @ self._inh2) / 2
        mean = (w * from_exc).sum(axis=1, keepdims=True)
        pairs = 1 - (w**2).sum(axis=1, keepdims=True)
        some = np.where(pairs > 1e-12, pairs, np.nan)
        cross: FloatArray = (mean + product - influence) / some
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
